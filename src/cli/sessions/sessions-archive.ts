import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openFor, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";

export function archiveCommand(): Command {
  return storeCommand("archive", "Put a session away, compressed; it is still listed, counted and read")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions archive ceo_01m7…"]))
    .action(archive);
}

export function unarchiveCommand(): Command {
  return storeCommand("unarchive", "Bring an archived session back, as it was")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions unarchive ceo_01m7…"]))
    .action(unarchive);
}

async function archive(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openFor(options);
  const session = await sessions.get(id);
  const archived = await session.archive();
  const { bytes = 0, packedBytes = 0 } = session.info.archive ?? {};
  const text = archived ? `session ${id} is archived: ${packedBytes} bytes of ${bytes}` : `session ${id} was archived`;
  report({ session: id, archived, bytes, packedBytes }, text, { json });
}

async function unarchive(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openFor(options);
  const session = await sessions.get(id);
  const unarchived = await session.unarchive();
  const { state } = session.info;
  const text = unarchived ? `session ${id} is back, as ${state}` : `session ${id} is not archived, but ${state}`;
  report({ session: id, unarchived, state }, text, { json });
}
