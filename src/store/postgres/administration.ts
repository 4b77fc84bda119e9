import { guardNames } from "../../domain/values/option-names.ts";
import type { MigrationReport } from "../migrations.ts";
import { connect } from "./open.ts";
import { layoutOf, migrate, migrationScript, schemaState } from "./schema/migrate.ts";
import { parsePartitions, resolveOptions, type PostgresOptions } from "./options.ts";
import { parseSchemaName } from "./connection/names.ts";

/**
 * Creates or updates the schema; `dryRun` only returns the missing steps. Any number of programs may migrate at the same time.
 * @throws SessionError as `openPostgres`
 */
export async function migratePostgres(
  options: PostgresOptions,
  how: { readonly dryRun?: boolean } = {},
): Promise<MigrationReport> {
  guardNames(how, "options", { dryRun: true });
  const { dryRun = false } = how;
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

/** All steps of the schema as SQL, for an administrator to run; a step that was applied does nothing. */
export function postgresSchemaScript(options: Pick<PostgresOptions, "schema" | "partitions"> = {}): string {
  guardNames(options, "options", { schema: true, partitions: true });
  const { schema = "perdure", partitions = 1 } = options;
  return migrationScript(layoutOf({ schema: parseSchemaName(schema), partitions: parsePartitions(partitions) }));
}
