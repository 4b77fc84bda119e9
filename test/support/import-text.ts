/** Imports a text as a file, and reads the sessions that it made. */
import assert from "node:assert/strict";
import { importSessions, type ImportOptions, type ImportReport } from "../../src/admin.ts";
import { withoutNative } from "../../src/domain/request/native-form.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { unpacked } from "../../src/files/bytes.ts";
import { importItems, type ItemsOptions } from "../../src/imports/import-items.ts";
import type { Message, Session, Sessions } from "../../src/index.ts";
import { isThorough } from "./rounds.ts";

/** A text as a file or a pipe delivers it: in chunks that end anywhere. */
async function* inPieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

export async function importText(
  sessions: Sessions,
  text: string | Uint8Array,
  { length = 7, bytesMax = 1e6, ...options }: Partial<ItemsOptions> & ImportOptions & { readonly length?: number } = {},
): Promise<ImportReport> {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  const { formats, format, branches, onForm: onFormOnce, file = "f", ...how } = options;
  const reading = { file, bytesMax, ...defined({ formats, format, branches }) };
  const run = async (own: ImportOptions, onForm?: ItemsOptions["onForm"]): Promise<ImportReport> => {
    const items = importItems(unpacked(inPieces(bytes, length), file), { ...reading, ...defined({ onForm }) });
    return await importSessions(sessions, items, own);
  };
  const isChecked = isThorough && how.dryRun !== true && how.onExists === undefined;
  const dry = isChecked ? await run({ ...how, dryRun: true }) : undefined;
  const report = await run(how, onFormOnce);
  if (dry === undefined) return report;
  // Every import of the tests: a dry run says what the real run does, and a second run writes nothing.
  assert.deepEqual(ordered(dry), ordered(report));
  const { restored, grown, replaced, skipped } = await run(how);
  assert.deepEqual(
    { restored, grown, replaced, skipped },
    { restored: 0, grown: 0, replaced: 0, skipped: report.skipped },
  );
  return report;
}

/** The report with its conversations by their ids: they are imported at the same time, and end in any order. */
function ordered(report: ImportReport): ImportReport {
  const nameOf = ({ id = "", source }: ImportReport["incomplete"][number]): string => `${source} ${id}`;
  return { ...report, incomplete: report.incomplete.toSorted((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1)) };
}

/** The stored messages, without their native forms. */
export async function messagesOf(sessions: Sessions, id: string): Promise<Message[]> {
  return (await storedMessages(sessions, id)).map(withoutNative);
}

export async function storedMessages(sessions: Sessions, id: string): Promise<Message[]> {
  const session = await sessions.get(id);
  const turns = await Array.fromAsync(session.turns());
  return turns.flatMap(({ input, output }) => [...input, ...output]);
}

/** The branches of a session: the id of each, the turn that it has a version of, and its words. */
export async function branchWords(session: Session): Promise<readonly (readonly [string, number, string])[]> {
  const found: [string, number, string][] = [];
  for (const { id, at, isCurrent } of await session.branches()) {
    const turns = await Array.fromAsync(session.turns({ branch: id }));
    const words = turns.flatMap(({ input, output }) => [...input, ...output].map(({ content }) => content));
    found.push([id, at, `${words.join(" ")}${isCurrent ? " (current)" : ""}`]);
  }
  return found;
}
