import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead } from "../program/environment.ts";
import { report } from "../terminal/output.ts";
import { dirOption, snapshotFolder, type FolderOptions } from "./snapshot-folder.ts";
import { counted } from "../../errors/counted.ts";

/** `perdure snapshot save`: write a session to a file. */
export function saveCommand(): Command {
  return storeCommand("save", "Save a session as a file")
    .argument("<id>", "the session")
    .option(...dirOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure snapshot save ceo_01m7…",
        "perdure snapshot save ceo_01m7… --dir backups --json | jq -r .file",
      ]),
    )
    .action(save);
}

async function save(id: string, { json, ...options }: FolderOptions & JsonOption): Promise<void> {
  await using sessions = await openToRead(options);
  const { file, bytes, savedAt } = await snapshotFolder(options, sessions).save(id);
  report({ session: id, file, bytes, savedAt }, `session ${id} is saved in ${file} (${counted(bytes, "byte")})`, {
    json,
  });
}
