import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openFor, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

export function unlockCommand(): Command {
  return storeCommand(
    "unlock",
    "Break the lease on a session, whoever holds it; its open turn is sealed as interrupted",
  )
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions unlock ceo_01m7…"]))
    .action(unlock);
}

async function unlock(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openFor(options);
  const unlocked = await (await sessions.get(id)).breakLease();
  const text = unlocked ? `session ${id} is free; its former holder can no longer write` : `nobody held session ${id}`;
  report({ session: id, unlocked }, text, { json });
}
