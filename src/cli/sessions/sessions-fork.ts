import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

interface ForkOptions extends StoreOptions, JsonOption {
  readonly at?: number;
  readonly as?: string;
}

export function forkCommand(): Command {
  return storeCommand("fork", "Create a session that continues from a turn of another one")
    .argument("<id>", "the session to fork")
    .option("--at <turn>", "the last turn that both sessions share (default: the last finished one)", wholeNumber)
    .option("--as <id>", "the id of the new session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions fork ceo_01m7… --at 12 --as what-if"]))
    .action(fork);
}

async function fork(id: string, { at, as, json, ...options }: ForkOptions): Promise<void> {
  await using sessions = await openExisting(options);
  const { info } = await (await sessions.get(id)).fork(defined({ at, as }));
  const data = { session: info.id, parent: id, turn: info.turn };
  report(data, `session ${info.id} continues from turn ${info.turn} of ${id}`, { json });
}
