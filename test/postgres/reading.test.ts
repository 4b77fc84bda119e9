/** Commands that only read neither create the schema of a PostgreSQL store nor migrate it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Workplace } from "../cli/command-line.ts";
import { layoutOf, stepSql } from "../../src/store/postgres/schema/migrate.ts";
import { migrations } from "../../src/store/postgres/schema/schema.ts";
import { serverOfFile } from "./of-file.ts";
import { query } from "./server.ts";

const server = await serverOfFile();

const tables =
  "select table_schema, table_name from information_schema.tables where table_schema !~ '^(pg_|information)'";

const commands: readonly (readonly string[])[] = [
  ["sessions", "list"],
  ["sessions", "show", "a"],
  ["sessions", "end", "a"],
  ["sessions", "sweep", "--dry-run"],
  ["stats"],
  ["events"],
  ["export"],
  ["keys", "list"],
  ["keys", "revoke", "k"],
  ["backup", "create", "all.ndjson"],
  ["snapshot", "save", "a"],
  ["host", "status", "--key", "k"],
  ["erase", "--user", "ada", "--dry-run"],
];

test("commands that create no store say that there is none, and the schema of the DATABASE_URL stays as it is", async () => {
  const url = await server.createDatabase("application");
  await query(url, "create table public.invoices (id int)");
  const env = { DATABASE_URL: `${url}?schema=public&connection_limit=3`, PERDURE_SECRET: "a secret for tests only" };
  await using place = await Workplace.open(env);
  for (const args of [...commands, ["copy", "--from", `${url}?schema=public`, "--to", "memory:"]]) {
    const { code, stderr } = await place.run(args);
    assert.match(
      stderr,
      /perdure: there is no store at .*application.*: it has no schema (perdure|public).*\[store_invalid\]\n$/,
    );
    if (args[0] !== "copy") assert.equal(stderr.match(/the schema "public" of DATABASE_URL is ignored/g)?.length, 1);
    assert.equal(code, 1, args.join(" "));
    assert.deepEqual(await query(url, tables), [{ table_schema: "public", table_name: "invoices" }], args.join(" "));
  }
});

test("a store is made in the schema perdure where only DATABASE_URL names another one, and in the named one of PERDURE_STORE", async () => {
  const url = await server.createDatabase("prisma");
  const schemas = async () =>
    (await query(url, "select distinct table_schema from information_schema.tables where table_name = 'sessions'")).map(
      (row) => row["table_schema"],
    );
  await using place = await Workplace.open();
  const made = await place.run(["keys", "create", "--name", "k"], { env: { DATABASE_URL: `${url}?schema=public` } });
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stderr, /the schema "public" of DATABASE_URL is ignored: the store is in the schema "perdure"/);
  assert.deepEqual(await schemas(), ["perdure"]);
  const env = { PERDURE_STORE: `${url}?schema=agents` };
  assert.equal((await place.run(["keys", "create", "--name", "k"], { env })).stderr.includes("ignored"), false);
  assert.deepEqual((await schemas()).map(String).toSorted(), ["agents", "perdure"]);
});

test("commands that create no store refuse an older schema, and leave it", async () => {
  const url = await server.createDatabase("older");
  const layout = layoutOf({ schema: "perdure", partitions: 1 });
  for (const step of migrations.slice(0, 4)) await query(url, stepSql(step, layout));
  await using place = await Workplace.open({ PERDURE_STORE: url, PERDURE_SECRET: "a secret for tests only" });
  const says = new RegExp(
    `is at version 4 of the schema, this version of Perdure needs ${migrations.length}: make a backup with the older version or pg_dump, then run "perdure migrate".*store_schema_newer \\[store_invalid\\]\\n$`,
  );
  for (const args of commands) {
    const { code, stderr } = await place.run(args);
    assert.match(stderr, says, args.join(" "));
    assert.equal(code, 1, args.join(" "));
  }
  assert.deepEqual(await query(url, "select max(version) from perdure.migrations"), [{ max: 4 }]);
  const dry = await place.run(["migrate", "--dry-run"]);
  assert.match(dry.stderr, /make a backup first: .*pg_dump; stop the programs of the older version/);
});
