import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openFor, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

export function holdCommand(): Command {
  return storeCommand("hold", "Keep a session from being removed, cut or erased, by whomever")
    .argument("<id>", "the session")
    .requiredOption("--reason <text>", "why; it is shown to whoever tries")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions hold ceo_01m7… --reason 'case 4711'"]))
    .action(hold);
}

export function unholdCommand(): Command {
  return storeCommand("unhold", "Let a session go again")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions unhold ceo_01m7…"]))
    .action(unhold);
}

interface HoldOptions extends StoreOptions, JsonOption {
  readonly reason: string;
}

async function hold(id: string, { reason, json, ...options }: HoldOptions): Promise<void> {
  await using sessions = await openFor(options);
  await (await sessions.get(id)).setLegalHold(reason);
  report({ session: id, held: true, reason }, `session ${id} is under hold; unhold lets it go again`, { json });
}

async function unhold(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openFor(options);
  const released = await (await sessions.get(id)).clearLegalHold();
  const text = released ? `session ${id} may go again` : `nothing held session ${id}`;
  report({ session: id, released }, text, { json });
}
