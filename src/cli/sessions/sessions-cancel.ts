import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

export function cancelCommand(): Command {
  return storeCommand("cancel", "Stop the running answer of a session, in any process; its text so far is kept")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions cancel ceo_01m7…"]))
    .action(cancel);
}

async function cancel(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openExisting(options);
  const cancelled = await (await sessions.get(id)).cancel();
  const text = cancelled
    ? `the answer of session ${id} stops; its text so far is kept`
    : `session ${id} has no running answer that was not cancelled yet`;
  report({ session: id, cancelled }, text, { json });
}
