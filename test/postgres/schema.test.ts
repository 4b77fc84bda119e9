/** The schema as the migrations leave it, against the dump in schema.txt: nothing changes it by accident. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { migratePostgres } from "../../src/store/postgres/index.ts";
import { PostgresServer, query } from "./server.ts";

const file = new URL("schema.txt", import.meta.url);

/** Everything in the schema, as the server itself describes it, in an order of its own. */
async function dump(url: string): Promise<string> {
  const rows = await query(
    url,
    `select kind, name, text from (
       select 1 as kind, c.relname || '.' || lpad(a.attnum::text, 3, '0') as name,
         format('%s.%s %s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
           case when l.collname <> 'default' then ' collate ' || quote_ident(l.collname) end,
           case when a.attnotnull then ' not null' end, ' default ' || pg_get_expr(d.adbin, d.adrelid)) as text
       from pg_attribute a join pg_class c on c.oid = a.attrelid
       left join pg_collation l on l.oid = a.attcollation
       left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
       where c.relnamespace = 'perdure'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
       union all
       select 2, c.relname, format('table %s with (%s)', c.relname, array_to_string(c.reloptions, ', '))
       from pg_class c where c.relnamespace = 'perdure'::regnamespace and c.relkind = 'r'
       union all
       select 3, i.indexname, i.indexdef from pg_indexes i where i.schemaname = 'perdure'
       union all
       select 4, c.relname, format(E'view %s as\\n%s', c.relname, pg_get_viewdef(c.oid, true))
       from pg_class c where c.relnamespace = 'perdure'::regnamespace and c.relkind = 'v'
       union all
       select 5, p.proname, pg_get_functiondef(p.oid) from pg_proc p where p.pronamespace = 'perdure'::regnamespace
     ) part order by kind, name collate "C"`,
  );
  return `${rows.map(({ text }) => String(text)).join("\n")}\n`;
}

test("the migrations make the schema of schema.txt", async () => {
  await using server = await PostgresServer.start();
  await migratePostgres({ url: server.url() });
  const made = await dump(server.url());
  // To be looked at in the diff of a commit that means to change it.
  if (process.env["PERDURE_WRITE_SCHEMA"] === "1") writeFileSync(file, made);
  assert.equal(made, readFileSync(file, "utf8"));
});
