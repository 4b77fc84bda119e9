import type { Command } from "commander";
import { printable } from "../../domain/values/format-value.ts";
import { backupStore, type BackupOptions, type BackupReport } from "../../index.ts";
import { bareCommand, examples, jsonOption, storeOption, type JsonOption } from "../program/command.ts";
import { storeUrl } from "../program/environment.ts";
import { note, report } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";

interface Options extends JsonOption {
  readonly store?: string;
}

/** `perdure backup`: the whole store, as it is at one moment, becomes one file. */
export function backupCommand(): Command {
  return bareCommand("backup", "Write the whole store into a file, as it is at one moment, while it is in use")
    .argument("<file>", "of an SQLite store a database; of a PostgreSQL store lines, compressed where it ends in .gz")
    .option(...storeOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples(["perdure backup monday.db", "perdure backup monday.ndjson.gz --store postgres://app@db.example/app"]),
    )
    .action(backup);
}

async function backup(path: string, { json, ...options }: Options): Promise<void> {
  const onSkipped: BackupOptions["onSkipped"] = ({ tenant, id }, { message }) => {
    process.exitCode ||= 1;
    note(`left out ${printable(id)} of tenant ${printable(tenant)}: ${printable(message)}`);
  };
  const done = await withProgress((progress) => backupStore(storeUrl(options), path, { ...progress, onSkipped }));
  const { file, sessions, entries, bytes } = done;
  const held = `${sessions} sessions with ${entries} entries`;
  report(done, `backed up ${held} to ${file} (${bytes} bytes), and read it back`, { json });
}

async function withProgress(
  work: (options: Pick<BackupOptions, "onProgress">) => Promise<BackupReport>,
): Promise<BackupReport> {
  if (!Progress.isShown) return await work({});
  using progress = await Progress.begin();
  return await work({ onProgress: (advance) => progress.show(advance) });
}
