import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import type { MigrationReport } from "../../store/postgres/index.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { storeUrl, type StoreOptions } from "../program/environment.ts";
import { note, report } from "../terminal/output.ts";
import { CliError } from "../terminal/cli-error.ts";

interface MigrateOptions extends StoreOptions, JsonOption {
  readonly dryRun?: boolean;
  readonly print?: boolean;
  readonly schema?: string;
  readonly partitions?: number;
}

export function migrateCommand(): Command {
  return storeCommand("migrate", "Create or update the schema of a PostgreSQL store")
    .option("--dry-run", "change nothing; list the missing steps")
    .option("--print", "print all steps as SQL, for a database administrator to run; does not connect")
    .option("--schema <name>", "the schema that holds the tables (default: that of the URL, else perdure)")
    .option("--partitions <count>", "the number of partitions of the entries table, when it is created", Number)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure migrate --store postgres://app@db.example/app",
        "perdure migrate --dry-run --json",
        "perdure migrate --print --partitions 8 > perdure.sql",
      ]) + "\nExit code 5: a newer version of Perdure has changed the schema; upgrade Perdure.\n",
    )
    .action(migrate);
}

async function migrate({ dryRun = false, print = false, json, schema, partitions, ...rest }: MigrateOptions) {
  const layout = defined({ schema, partitions });
  const { migratePostgres, postgresSchemaScript } = await import("../../store/postgres/index.ts");
  if (print) {
    process.stdout.write(postgresSchemaScript(layout));
    return;
  }
  const url = storeUrl(rest);
  if (!/^postgres(ql)?:/i.test(url)) {
    const scheme = url.split(":")[0] ?? "";
    throw new CliError(
      "usage",
      `the store is ${scheme}:; name a postgres:// URL; an SQLite file is migrated when it is opened`,
    );
  }
  const migration = await migratePostgres({ url, ...layout }, { dryRun });
  report({ ...migration, dryRun }, summary(migration, dryRun), { json });
  if (json !== true) for (const { version, title } of migration.steps) note(`  ${version}  ${title}`);
}

function summary({ found, known, steps }: MigrationReport, dryRun: boolean): string {
  if (steps.length === 0) return `the schema is up to date (version ${found})`;
  const count = `${steps.length} ${steps.length === 1 ? "step" : "steps"}`;
  return dryRun
    ? `the schema is at version ${found} of ${known}; ${count} missing:`
    : `migrated the schema from version ${found} to ${known} in ${count}:`;
}
