import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";
import { removeSession } from "../../admin.ts";

export function removeCommand(): Command {
  return storeCommand("remove", "Remove a session with all its turns and events")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions remove ceo_01m7…"]))
    .action(remove);
}

async function remove(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openExisting(options);
  await removeSession(sessions, id);
  report({ session: id, removed: true }, `session ${id} is removed with all its turns and events`, { json });
}
