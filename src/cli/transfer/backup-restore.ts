import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { restoreStore } from "../../admin.ts";
import { bareCommand, examples, jsonOption, storeOption, type JsonOption } from "../program/command.ts";
import { reportCopy, withProgress } from "./copy.ts";
import { otherSecretAdvice, secretAdvice } from "../program/device-secret.ts";
import { attachmentsOfEnvironment, openToRead, storeUrl } from "../program/environment.ts";
import { note } from "../terminal/output.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface RestoreOptions extends JsonOption {
  readonly store?: string;
  readonly skipDamaged?: boolean;
}

/** `perdure backup restore`: write a backup into a store. */
export function restoreCommand(): Command {
  return bareCommand("restore", "Restore all sessions of a backup into a store, preferably an empty one")
    .argument("<file>", "a file written by perdure backup create")
    .option(...storeOption)
    .option("--skip-damaged", "restore the readable lines of a damaged backup, report the others, and exit with 1")
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure backup restore monday.db --store sqlite:restored.db",
        "perdure backup restore monday.ndjson.gz --store postgres://app@db.example/app",
        "perdure backup restore cut-off.ndjson --store sqlite:rescued.db --skip-damaged",
      ]) + "\nExisting sessions are left unchanged: after an interruption, run the same command again.\n",
    )
    .action(restore);
}

async function restore(file: string, { json, skipDamaged = false, ...options }: RestoreOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    const done = await withProgress((progress) =>
      restoreStore(file, storeUrl(options), {
        signal,
        skipDamaged,
        ...progress,
        ...defined({ attachments: attachmentsOfEnvironment() }),
      }),
    );
    reportCopy(done, { json, verb: "restored" });
    await using sessions = await openToRead(options);
    const advice = (await secretAdvice(sessions, storeUrl(options))) ?? otherSecretAdvice(done.otherSecret);
    if (advice !== undefined) note(advice);
  });
}
