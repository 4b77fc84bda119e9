import { Option, type Command } from "commander";
import type { SaveOptions } from "../../admin.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead } from "../program/environment.ts";
import { report } from "../terminal/output.ts";
import { dirOption, snapshotFolder, type FolderOptions } from "./snapshot-folder.ts";
import { counted } from "../../errors/counted.ts";

/** `perdure snapshot save`: write a session to a file. */
export function saveCommand(): Command {
  return storeCommand("save", "Save a session as a file")
    .argument("<id>", "the session")
    .addOption(
      new Option(
        "--format <format>",
        "the whole session (perdure), or {session_id, state, saved_at} with its messages (plain)",
      )
        .choices(["perdure", "plain"])
        .default("perdure"),
    )
    .option(...dirOption)
    .option(...jsonOption)
    .addHelpText(
      "after",
      examples([
        "perdure snapshot save ceo_01m7…",
        "perdure snapshot save ceo_01m7… --format plain",
        "perdure snapshot save ceo_01m7… --dir backups --json | jq -r .file",
      ]),
    )
    .action(save);
}

interface Options extends FolderOptions, JsonOption {
  readonly format: NonNullable<SaveOptions["format"]>;
}

async function save(id: string, { json, format, ...options }: Options): Promise<void> {
  await using sessions = await openToRead(options);
  const { file, bytes, savedAt } = await snapshotFolder(options, sessions).save(id, { format });
  report({ session: id, file, bytes, savedAt }, `session ${id} is saved in ${file} (${counted(bytes, "byte")})`, {
    json,
  });
}
