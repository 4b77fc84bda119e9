import { existsSync } from "node:fs";
import { Option, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import type { RestoreOptions, SessionSnapshot, Sessions } from "../../index.ts";
import { loadSnapshot } from "../../files/snapshot-directory.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openFor } from "../program/environment.ts";
import { report } from "../terminal/output.ts";
import { dirOption, snapshotFolder, type FolderOptions } from "./snapshot-folder.ts";
import { counted } from "../../errors/counted.ts";

interface Options extends FolderOptions, JsonOption {
  readonly as?: string;
  readonly onExists: NonNullable<RestoreOptions["onExists"]>;
}

/** `perdure snapshot restore`: create a session from a file. */
export function restoreCommand(): Command {
  return storeCommand("restore", "Restore a session from a snapshot, completely or not at all")
    .argument("<file|id>", "a file, or the id of a saved session")
    .option("--as <id>", "the id of the restored session (default: its own)")
    .addOption(
      new Option("--on-exists <policy>", "what to do if a session with this id exists")
        .choices(["fail", "replace", "new-id"])
        .default("fail"),
    )
    .option(...dirOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure snapshot restore ceo_01m7…",
        "perdure snapshot restore ./from-a-colleague.json --as debug",
        "perdure snapshot restore ceo_01m7… --on-exists replace --store postgres://app@db.example/app",
      ]),
    )
    .action(restore);
}

async function restore(name: string, { json, as, onExists, ...options }: Options): Promise<void> {
  // A wrong id or file makes no store.
  if (as !== undefined) parseNewId(as, "as");
  await using reader = await openFor({ ...options, store: "memory:" });
  const snapshot = await snapshotNamed(name, options, reader);
  await using sessions = await openFor(options);
  const { id, info } = await sessions.restore(snapshot, { onExists, ...defined({ as }) });
  report(
    { session: id, turns: info.counters.turns, state: info.state },
    `session ${id} is restored with ${counted(info.counters.turns, "turn")}; it is ${info.state}`,
    { json },
  );
}

/** An existing path is a file; any other name is the id of a saved session. */
async function snapshotNamed(name: string, options: FolderOptions, sessions: Sessions): Promise<SessionSnapshot> {
  const isPath = /[/\\]|\.json$/.test(name) && existsSync(name);
  return isPath ? await loadSnapshot(name, sessions) : await snapshotFolder(options, sessions).load(name);
}
