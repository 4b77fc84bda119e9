import type { Database } from "../connection/database.ts";
import type { Layout } from "./schema.ts";

/** A part of a schema in the catalogue of the server. */
export interface StandingPart {
  readonly kind: "table" | "column" | "index" | "constraint" | "trigger" | "part" | "function" | "view";
  /** `table.column` for a column. */
  readonly name: string;
  /** The table of the part; empty for a function or a view. */
  readonly table: string;
  readonly text: string;
  /** False for an index that the server does not use, and for a disabled trigger. */
  readonly valid: boolean;
  /** The settings of a function. */
  readonly settings: readonly string[];
}

/** The parts of the schema: these tables with their columns, indexes and triggers, the functions, the views. */
export async function standingParts(
  database: Database,
  { schema }: Layout,
  tables: readonly string[],
): Promise<readonly StandingPart[]> {
  const rows = await database.administer(text, [schema, JSON.stringify(tables)]);
  return rows.map((row) => ({ ...row, settings: JSON.parse(String(row["settings"])) }) as unknown as StandingPart);
}

/** Reads the catalogue, which needs no right on a table and locks none. */
const text = `
  with space as (
    select to_regnamespace($1) as oid
  ), ours as (
    select c.oid, c.relname from pg_class c join space on space.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relname in (select json_array_elements_text($2::json))
  )
  select 'table' as kind, relname::text as name, relname::text as "table", '' as text, true as valid, '[]' as settings
  from ours
  union all
  select 'column', ours.relname || '.' || a.attname, ours.relname, concat(
      a.attname, ' ', format_type(a.atttypid, a.atttypmod),
      case when l.collname <> 'default' then ' collate ' || quote_ident(l.collname) end,
      case when a.attnotnull then ' not null' end, ' default ' || pg_get_expr(d.adbin, d.adrelid)
    ), true, '[]'
  from ours
  join pg_attribute a on a.attrelid = ours.oid and a.attnum > 0 and not a.attisdropped
  left join pg_collation l on l.oid = a.attcollation
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  union all
  select 'index', c.relname, ours.relname,
    concat(case when i.indisunique then 'unique ' end, 'on ', ours.relname, ' ',
      regexp_replace(regexp_replace(pg_get_indexdef(i.indexrelid), '^.*? USING ', ''), '^btree ', '')),
    i.indisvalid and i.indisready and i.indislive, '[]'
  from ours join pg_index i on i.indrelid = ours.oid join pg_class c on c.oid = i.indexrelid
  union all
  select 'constraint', k.conname, ours.relname, pg_get_constraintdef(k.oid), true, '[]'
  from ours join pg_constraint k on k.conrelid = ours.oid and k.contype in ('c', 'f', 'x')
  union all
  select 'trigger', t.tgname, ours.relname, '', t.tgenabled in ('O', 'A'), '[]'
  from ours join pg_trigger t on t.tgrelid = ours.oid and not t.tgisinternal
  union all
  select 'part', c.relname, ours.relname, pg_get_expr(c.relpartbound, c.oid), true, '[]'
  from ours join pg_inherits i on i.inhparent = ours.oid join pg_class c on c.oid = i.inhrelid
  union all
  select 'function', p.proname, '', p.prosrc, true, coalesce(to_json(p.proconfig)::text, '[]')
  from pg_proc p join space on space.oid = p.pronamespace
  union all
  select 'view', c.relname, '', '', true, '[]'
  from pg_class c join space on space.oid = c.relnamespace where c.relkind = 'v'
  order by kind, name`;
