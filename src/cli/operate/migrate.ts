import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import type { MigrationReport } from "../../store/migrations.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { storeUrl, type StoreOptions } from "../program/environment.ts";
import { fileOfStore } from "../program/store-file.ts";
import { opened } from "../program/store-wait.ts";
import { note, report } from "../terminal/output.ts";
import { CliError } from "../terminal/cli-error.ts";

interface MigrateOptions extends StoreOptions, JsonOption {
  readonly dryRun?: boolean;
  readonly print?: boolean;
  readonly schema?: string;
  readonly partitions?: number;
}

export function migrateCommand(): Command {
  return storeCommand("migrate", "Update the schema of a store to this version; create that of a PostgreSQL store")
    .option("--dry-run", "change nothing; list the missing steps")
    .option("--print", "print all steps of PostgreSQL as SQL, for a database administrator to run; does not connect")
    .option("--schema <name>", "PostgreSQL: the schema that holds the tables (default: that of the URL, else perdure)")
    .option(
      "--partitions <count>",
      "PostgreSQL: the number of partitions of the entries table, when it is created",
      Number,
    )
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure migrate --dry-run",
        "perdure migrate --store sqlite:perdure.db",
        "perdure migrate --store postgres://app@db.example/app",
        "perdure migrate --print --partitions 8 > perdure.sql",
      ]) +
        "\nMake a backup first; docs/operate/upgrading.md has the order.\nExit code 5: a newer version of Perdure has changed the schema; upgrade Perdure.\n",
    )
    .action(migrate);
}

async function migrate({ dryRun = false, print = false, json, schema, partitions, ...rest }: MigrateOptions) {
  const layout = defined({ schema, partitions });
  if (print) {
    const { postgresSchemaScript } = await import("../../store/postgres/index.ts");
    process.stdout.write(postgresSchemaScript(layout));
    return;
  }
  const url = storeUrl(rest);
  const migration = await opened(url, () => migrated(url, layout, { dryRun }));
  report({ ...migration, dryRun }, migrationSummary(migration, dryRun), { json });
  if (json === true) return;
  for (const { version, title } of migration.steps) note(`  ${version}  ${title}`);
  if (dryRun && migration.steps.length > 0) note(advice(migration, url));
}

function isPostgres(url: string): boolean {
  return /^postgres(ql)?:/i.test(url);
}

type Layout = Pick<MigrateOptions, "schema" | "partitions">;

async function migrated(url: string, layout: Layout, options: { readonly dryRun: boolean }): Promise<MigrationReport> {
  if (isPostgres(url)) {
    const { migratePostgres } = await import("../../store/postgres/index.ts");
    return await migratePostgres({ url, ...layout }, options);
  }
  if (!/^sqlite:/i.test(url) || (await fileOfStore(url)) === undefined) {
    throw new CliError("usage", `the store is ${url.split(":")[0] ?? ""}:; name sqlite:FILE or a postgres:// URL`);
  }
  const [ofPostgres] = Object.keys(layout);
  if (ofPostgres !== undefined) throw new CliError("usage", `--${ofPostgres} is an option of PostgreSQL stores`);
  const { migrateSqlite } = await import("../../store/sqlite/administration.ts");
  return await migrateSqlite(url, options);
}

/** The line that says how the schema was migrated. Other programs may have taken some of the steps. */
export function migrationSummary(
  { found, known, steps }: Pick<MigrationReport, "found" | "known"> & { readonly steps: readonly unknown[] },
  dryRun: boolean,
): string {
  if (steps.length === 0) return `the schema is up to date (version ${found})`;
  const count = `${steps.length} ${steps.length === 1 ? "step" : "steps"}`;
  if (dryRun) return `the schema is at version ${found} of ${known}; ${count} missing:`;
  const isAlone = steps.length === known - found;
  return isAlone
    ? `migrated the schema from version ${found} to ${known} in ${count}:`
    : `the schema is at version ${known}; this program took ${count} from version ${found} on, other programs the others:`;
}

/** The steps before the migration, and its effect on running programs. */
function advice({ found, steps }: MigrationReport, url: string): string {
  if (found === 0) return "there is no store yet; the migration creates it";
  const after = steps.some(({ breaking }) => breaking)
    ? "stop the programs of the older version; after the migration they fail with store_schema_newer"
    : "programs of the older version still work after the migration";
  const backup = isPostgres(url) ? "perdure backup create of the older version, or pg_dump" : "perdure backup create";
  return `make a backup first: ${backup}; ${after}`;
}
