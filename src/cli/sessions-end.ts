import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "./command.ts";
import { openFor, type StoreOptions } from "./environment.ts";
import { report } from "./output.ts";

export function endCommand(): Command {
  return storeCommand("end", "End a session for good; it stays readable")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions end ceo_01m7…"]))
    .action(end);
}

async function end(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openFor(options);
  await sessions.end(id);
  report({ session: id, state: "ended" }, `session ${id} has ended; it stays readable`, { json });
}
