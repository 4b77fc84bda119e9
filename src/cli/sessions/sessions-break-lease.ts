import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

export function breakLeaseCommand(): Command {
  return storeCommand("break-lease", "Break the lease of a session; its open turn is sealed as interrupted")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions break-lease ceo_01m7…"]))
    .action(breakLease);
}

async function breakLease(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openExisting(options);
  const broken = await (await sessions.get(id)).breakLease();
  const text = broken
    ? `the lease of session ${id} is broken; its former holder can no longer write`
    : `session ${id} has no lease`;
  report({ session: id, broken }, text, { json });
}
