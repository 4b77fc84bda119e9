import type { Command } from "commander";
import { bareCommand, examples, jsonOption, tenantOption, type JsonOption } from "../program/command.ts";
import { openFor } from "../program/environment.ts";
import { localTime, note, report, writeJson, writeTable } from "../terminal/output.ts";
import { dirOption, snapshotFolder, type FolderOptions } from "./snapshot-folder.ts";

/** `perdure snapshot list`. */
export function listCommand(): Command {
  return bareCommand("list", "List the snapshots in the folder")
    .option(...tenantOption)
    .option(...dirOption)
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure snapshot list", "perdure snapshot list --json | jq -r .id"]))
    .action(list);
}

async function list({ json, ...options }: FolderOptions & JsonOption): Promise<void> {
  await using sessions = await openFor({ ...options, store: "memory:" }); // only its tenant is used
  const saved = await Array.fromAsync(snapshotFolder(options, sessions).each());
  if (json === true) for (const one of saved) writeJson(one);
  else if (saved.length === 0) note("the folder has no snapshots");
  else
    writeTable(
      ["SESSION", "BYTES", "SAVED", "FILE"],
      saved.map(({ id, bytes, savedAt, file }) => [id, String(bytes), localTime(savedAt), file]),
    );
}

/** `perdure snapshot delete`. */
export function deleteCommand(): Command {
  return bareCommand("delete", "Delete the snapshot of a session; the session itself stays")
    .option(...tenantOption)
    .argument("<id>", "the session")
    .option(...dirOption)
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure snapshot delete ceo_01m7…"]))
    .action(remove);
}

async function remove(id: string, { json, ...options }: FolderOptions & JsonOption): Promise<void> {
  await using sessions = await openFor({ ...options, store: "memory:" });
  await snapshotFolder(options, sessions).delete(id);
  report({ session: id, deleted: true }, `the snapshot of session ${id} is deleted`, { json });
}
