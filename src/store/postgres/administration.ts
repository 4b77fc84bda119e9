import { connect } from "./open.ts";
import { layoutOf, migrate, migrationScript, schemaState } from "./schema/migrate.ts";
import { parsePartitions, resolveOptions, type PostgresOptions } from "./options.ts";
import { parseSchemaName } from "./connection/names.ts";

/** What a migration did, or would do. */
export interface MigrationReport {
  /** The version that was found; 0 where there was nothing. */
  readonly found: number;
  /** The newest version known here. */
  readonly known: number;
  /** The steps between, in order. */
  readonly steps: readonly { readonly version: number; readonly title: string; readonly breaking: boolean }[];
}

/**
 * Create the schema or bring it up to date; with `dryRun` only say what is missing. Any number may do so at once.
 * @throws SessionError as `openPostgres`
 */
export async function migratePostgres(
  options: PostgresOptions,
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): Promise<MigrationReport> {
  const resolved = resolveOptions(options);
  const database = await connect(resolved);
  try {
    const layout = layoutOf(resolved);
    const { found, known, pending } = await (dryRun ? schemaState : migrate)(database, layout);
    return { found, known, steps: pending.map(({ version, title, breaking }) => ({ version, title, breaking })) };
  } finally {
    await database.close();
  }
}

/** All steps of the schema as SQL, for who runs such things by hand; each does nothing where it was applied already. */
export function postgresSchemaScript({
  schema = "perdure",
  partitions = 1,
}: Pick<PostgresOptions, "schema" | "partitions"> = {}): string {
  return migrationScript(layoutOf({ schema: parseSchemaName(schema), partitions: parsePartitions(partitions) }));
}
