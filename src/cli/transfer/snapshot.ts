import type { Command } from "commander";
import { bareCommand, examples } from "../program/command.ts";
import { deleteCommand, listCommand } from "./snapshot-list.ts";
import { restoreCommand } from "./snapshot-restore.ts";
import { saveCommand } from "./snapshot-save.ts";

/** `perdure snapshot`: single sessions as files. */
export function snapshotCommand(): Command {
  const group = bareCommand("snapshot", "Save single sessions as files, and restore them").addHelpText(
    "after",
    examples(["perdure snapshot save ceo_01m7…", "perdure snapshot restore ceo_01m7…"]),
  );
  for (const command of [saveCommand(), restoreCommand(), listCommand(), deleteCommand()]) group.addCommand(command);
  return group;
}
