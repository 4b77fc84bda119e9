import type { Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

interface EndOptions extends StoreOptions, JsonOption {
  readonly reason?: string;
}

export function endCommand(): Command {
  return storeCommand("end", "End a session permanently; it stays readable")
    .argument("<id>", "the session")
    .option("--reason <text>", "the reason, stored in its events")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions end ceo_01m7… --reason 'the case is closed'"]))
    .action(end);
}

async function end(id: string, { reason, json, ...options }: EndOptions): Promise<void> {
  await using sessions = await openExisting(options);
  await (await sessions.get(id)).end(defined({ reason }));
  report({ session: id, state: "ended" }, `session ${id} has ended; it stays readable`, { json });
}
