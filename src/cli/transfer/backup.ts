import type { Command } from "commander";
import { isContentScope } from "../../domain/attachments/attachment.ts";
import { defined } from "../../domain/values/defined.ts";
import { tenantOfScope } from "../../domain/values/internal-scope.ts";
import { printable } from "../../domain/values/format-value.ts";
import { backupStore, type BackupOptions, type BackupReport } from "../../admin.ts";
import { bareCommand, examples, jsonOption, storeOption, type JsonOption } from "../program/command.ts";
import { placeOfSecret } from "../program/device-secret.ts";
import { attachmentsOfEnvironment, storeUrl } from "../program/environment.ts";
import { kindsText } from "./copy.ts";
import { restoreCommand } from "./backup-restore.ts";
import { note, report } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { counted } from "../../errors/counted.ts";

interface Options extends JsonOption {
  readonly store?: string;
}

/** `perdure backup`: a whole store as one file. */
export function backupCommand(): Command {
  return bareCommand("backup", "Back up a whole store to one file, and restore it")
    .addHelpText(
      "after",
      examples(["perdure backup create monday.db", "perdure backup restore monday.db --store sqlite:restored.db"]),
    )
    .addCommand(createCommand())
    .addCommand(restoreCommand());
}

function createCommand(): Command {
  return bareCommand("create", "Write the store at one moment to a file, while it is in use")
    .argument(
      "<file>",
      "the file to write: an SQLite database for an SQLite store; lines of JSON for PostgreSQL, compressed if it ends in .gz",
    )
    .option(...storeOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure backup create monday.db",
        "perdure backup create monday.ndjson.gz --store postgres://app@db.example/app",
      ]),
    )
    .action(create);
}

async function create(path: string, { json, ...options }: Options): Promise<void> {
  const onSkipped: BackupOptions["onSkipped"] = ({ tenant, id }, { message }) => {
    process.exitCode ||= 1;
    const [kind, of] = isContentScope(tenant) ? ["attachment", tenantOfScope(tenant)] : ["session", tenant];
    note(`skipped ${kind} ${printable(id)} of tenant ${printable(of)}: ${printable(message)}`);
  };
  const done = await withProgress((progress) =>
    backupStore(storeUrl(options), path, {
      ...progress,
      ...defined({ attachments: attachmentsOfEnvironment() }),
      onSkipped,
    }),
  );
  const { file, kinds, entries, bytes } = done;
  const contents = `${kindsText(kinds)} with ${counted(entries, "entry")}`;
  report(done, `backed up ${contents} to ${file} (${counted(bytes, "byte")}), and read it back`, { json });
  const secret = await placeOfSecret(storeUrl(options));
  if (secret !== undefined) note(`the secret of its devices is not in it: keep ${secret}, too`);
}

async function withProgress(
  work: (options: Pick<BackupOptions, "onProgress">) => Promise<BackupReport>,
): Promise<BackupReport> {
  if (!Progress.isShown) return await work({});
  using progress = await Progress.begin();
  return await work({ onProgress: (advance) => progress.show(advance) });
}
