import { SessionError } from "../../../errors.ts";
import type { Database } from "../connection/database.ts";
import { quoteBody, quoteName } from "../connection/names.ts";
import { isMissing, sqlState } from "../connection/postgres-error.ts";
import { migrations, type Layout, type PostgresMigration } from "./schema.ts";

/** The version of a schema. */
export interface SchemaState {
  /** The newest applied step; 0 without a schema. */
  readonly found: number;
  /** The newest step of this program. */
  readonly known: number;
  /** The steps before the newest applied one that are not recorded. */
  readonly skipped: readonly number[];
  /** The steps to be applied, in order. */
  readonly pending: readonly PostgresMigration[];
}

/**
 * Returns the version of the schema in the database, and the missing steps.
 * @throws SessionError `store_schema_newer` if a newer version of Perdure made a breaking change
 */
export async function schemaState(database: Database, { schema }: Layout): Promise<SchemaState> {
  const known = migrations.length;
  const { found, breaking, recorded } = await readVersions(database, schema);
  if (breaking > known) throw new SessionError("store_schema_newer", { store: database.name, found, known });
  const skipped = migrations.map(({ version }) => version).filter((step) => step < found && !recorded.has(step));
  return { found, known, skipped, pending: migrations.slice(found) };
}

/**
 * Updates the schema, and returns the steps that this call has applied. Any number of programs may do so at the same time; each
 * step is applied once, by one of them.
 */
export async function migrate(database: Database, layout: Layout): Promise<SchemaState> {
  const before = await schemaState(database, layout);
  const applied: PostgresMigration[] = [];
  for (const step of before.pending) {
    try {
      if (await applies(database, step, layout)) applied.push(step);
    } catch (error) {
      throw explained(error, database.name, layout);
    }
  }
  const [first] = applied;
  if (before.pending.length === 0) return before;
  return { ...before, found: first === undefined ? before.known : first.version - 1, pending: applied };
}

/** The SQLSTATE of a step that another program has applied. */
const appliedState = "PD001";

/** Whether this call applied the step, and not another program before it. */
async function applies(database: Database, step: PostgresMigration, layout: Layout): Promise<boolean> {
  try {
    await database.administer(stepSql(step, layout, `raise exception 'applied' using errcode = '${appliedState}'`));
    return true;
  } catch (error) {
    if (sqlState(error instanceof SessionError ? error.cause : error) === appliedState) return false;
    throw error;
  }
}

/**
 * One step as one statement, which the server runs as one transaction under a lock. A step that was applied does nothing, or
 * what `whenApplied` says. An administrator may run it instead of {@link migrate}.
 */
export function stepSql(
  { version, title, breaking, sql }: PostgresMigration,
  layout: Layout,
  whenApplied = "return",
): string {
  const { schema } = layout;
  return `do ${quoteBody(`
begin
  if current_setting('server_version_num')::integer < 140000 then
    raise feature_not_supported using message = 'Perdure needs PostgreSQL 14 or newer';
  end if;
  if current_setting('server_encoding') <> 'UTF8' then
    raise feature_not_supported using message = 'Perdure needs a database with the encoding UTF8';
  end if;
  perform pg_advisory_xact_lock(hashtextextended(${quoteBody(`perdure ${schema}`)}, 0));
  if to_regnamespace(${quoteBody(schema)}) is null then
    create schema ${schema};
  end if;
  if to_regclass(${quoteBody(`${schema}.migrations`)}) is null then
    create table ${schema}.migrations (
      version integer primary key,
      title text not null,
      breaking boolean not null,
      applied_at timestamptz not null default now()
    );
  end if;
  if exists (select from ${schema}.migrations where version >= ${version}) then
    ${whenApplied};
  end if;
${sql(layout)}
  insert into ${schema}.migrations (version, title, breaking) values (${version}, ${quoteBody(title)}, ${breaking});
end`)};`;
}

/** All statements of {@link migrate} from the first step on, as a script for an administrator. */
export function migrationScript(layout: Layout): string {
  return migrations.map((step) => `-- ${step.version}: ${step.title}\n${stepSql(step, layout)}\n`).join("\n");
}

/** The layout of a schema with this unquoted name. */
export function layoutOf({ schema, partitions }: { schema: string; partitions: number }): Layout {
  return { schema: quoteName(schema), partitions };
}

async function readVersions(
  database: Database,
  schema: string,
): Promise<{ readonly found: number; readonly breaking: number; readonly recorded: ReadonlySet<number> }> {
  try {
    const [row] = await database.ask(`
      select coalesce(max(version), 0) as found, coalesce(max(version) filter (where breaking), 0) as breaking,
        coalesce(json_agg(version), '[]')::text as recorded
      from ${schema}.migrations`);
    const recorded = new Set(JSON.parse(String(row?.["recorded"])) as number[]);
    return { found: Number(row?.["found"]), breaking: Number(row?.["breaking"]), recorded };
  } catch (error) {
    if (isMissing(error)) return { found: 0, breaking: 0, recorded: new Set() };
    throw error;
  }
}

/** The error of a migration that was refused. */
function explained(error: unknown, store: string, { schema }: Layout): unknown {
  const cause = error instanceof SessionError ? error.cause : error;
  switch (sqlState(cause)) {
    case "42501":
      return new SessionError("store_read_only", { store, schema }, { cause });
    case "42P07":
    case "42723":
      return new SessionError("store_invalid", { store, problem: "foreign_schema", schema }, { cause });
    default:
      return error;
  }
}
