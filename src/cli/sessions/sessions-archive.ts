import type { Command } from "commander";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openExisting, type StoreOptions } from "../program/environment.ts";
import { report } from "../terminal/output.ts";
import { counted } from "../../errors/counted.ts";

export function archiveCommand(): Command {
  return storeCommand("archive", "Archive a session: compress its logs; it can still be listed, counted and read")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions archive ceo_01m7…"]))
    .action(archive);
}

export function unarchiveCommand(): Command {
  return storeCommand("unarchive", "Restore an archived session, in the state that it had")
    .argument("<id>", "the session")
    .option(...jsonOption)
    .addHelpText("after", examples(["perdure sessions unarchive ceo_01m7…"]))
    .action(unarchive);
}

async function archive(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openExisting(options);
  const session = await sessions.get(id);
  const archived = await session.archive();
  const { bytes = 0, packedBytes = 0 } = session.info.archive ?? {};
  const text = archived
    ? `session ${id} is archived: ${counted(bytes, "byte")}, compressed to ${packedBytes}`
    : `session ${id} is already archived`;
  report({ session: id, archived, bytes, packedBytes }, text, { json });
}

async function unarchive(id: string, { json, ...options }: StoreOptions & JsonOption): Promise<void> {
  await using sessions = await openExisting(options);
  const session = await sessions.get(id);
  const unarchived = await session.unarchive();
  const { state } = session.info;
  const text = unarchived
    ? `session ${id} is restored; its state is ${state}`
    : `session ${id} is not archived; its state is ${state}`;
  report({ session: id, unarchived, state }, text, { json });
}
