import type { Command } from "commander";
import { restoreStore } from "../../index.ts";
import { bareCommand, examples, jsonOption, storeOption, type JsonOption } from "../program/command.ts";
import { tellCopy, withProgress } from "./copy.ts";
import { storeUrl } from "../program/environment.ts";
import { untilSignalled } from "../terminal/signals.ts";

interface RestoreOptions extends JsonOption {
  readonly store?: string;
}

/** `perdure restore-all`: a backup becomes a store. */
export function restoreAllCommand(): Command {
  return bareCommand("restore-all", "Put everything that a backup holds into a store, best an empty one")
    .argument("<file>", "what perdure backup wrote, from whichever store")
    .option(...storeOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure restore-all monday.db --store sqlite:restored.db",
        "perdure restore-all monday.ndjson.gz --store postgres://app@db.example/app",
      ]) + "\nWhat stands already is left alone: after a break, run it again.\n",
    )
    .action(restoreAll);
}

async function restoreAll(file: string, { json, ...options }: RestoreOptions): Promise<void> {
  await untilSignalled(async (signal) => {
    const done = await withProgress((progress) => restoreStore(file, storeUrl(options), { signal, ...progress }));
    tellCopy(done, { json, verb: "restored" });
  });
}
