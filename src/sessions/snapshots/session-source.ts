import type { Portable, PortableRecord } from "../../domain/copies/snapshot.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { SessionError } from "../../errors.ts";
import { Pauses } from "./pauses.ts";
import { encode } from "../../domain/values/codec.ts";
import {
  entryText,
  snapshotFormat,
  snapshotOrder,
  SnapshotWriter,
  type SessionSnapshot,
  type SnapshotEntry,
} from "./snapshot-text.ts";

/** An entry and its log. */
export interface LoggedEntry {
  readonly log: LogName;
  readonly entry: Entry;
}

/** A whole session that is read entry by entry: from a document, or from a store. */
export interface SessionSource {
  readonly record: PortableRecord;
  /** The session, where it is small enough to be in memory. */
  readonly inMemory: Portable | undefined;
  /** The entries of all logs, log by log, in the order of a snapshot; each call reads them again. */
  readonly entries: () => AsyncGenerator<LoggedEntry, void, undefined>;
}

/** The source of a session in memory. */
export function sourceOf(portable: Portable): SessionSource & { readonly inMemory: Portable } {
  return { record: portable.record, inMemory: portable, entries: () => entriesOf(portable) };
}

async function* entriesOf({ logs }: Portable): AsyncGenerator<LoggedEntry, void, undefined> {
  for (const log of snapshotOrder(logs.keys())) for (const entry of logs.get(log) ?? []) yield { log, entry };
}

/** The turns of a source, in order. */
export async function* turnsOf({ inMemory, entries }: SessionSource): AsyncGenerator<Entry, void, undefined> {
  if (inMemory !== undefined) yield* inMemory.logs.get("turns") ?? [];
  else for await (const { log, entry } of entries()) if (log === "turns") yield entry;
}

/** The text of a snapshot in pieces, and its checksum at the end. */
export async function* snapshotPieces(
  source: SessionSource,
  pauses: Pauses = new Pauses(),
): AsyncGenerator<string, string, undefined> {
  const writer = new SnapshotWriter(source.record);
  yield writer.beginning;
  for await (const { log, entry } of source.entries()) {
    const piece = writer.entry(log, entryText(entry));
    yield piece;
    await pauses.after(piece.length);
  }
  const { ending, checksum } = writer.end();
  yield ending;
  return checksum;
}

/** The checksum that a snapshot of the session has, and the length of its text. */
export async function checksumOf(
  source: SessionSource,
): Promise<{ readonly checksum: string; readonly length: number }> {
  const pieces = snapshotPieces(source);
  let length = 0;
  for (;;) {
    const next = await pieces.next();
    if (next.done === true) return { checksum: next.value, length };
    length += next.value.length;
  }
}

/** The value of an entry as JSON. @throws SessionError `store_invalid` for data that is not JSON */
export function jsonOf({ id: sessionId }: PortableRecord, { log, entry: { seq, data } }: LoggedEntry): unknown {
  try {
    return JSON.parse(data) as unknown;
  } catch (cause) {
    throw new SessionError("store_invalid", { problem: "entry_invalid", sessionId, log, seq }, { cause });
  }
}

/** The snapshot of a session as an object. @throws SessionError `store_invalid` as {@link jsonOf} */
export async function snapshotOf(
  { record, entries }: SessionSource,
  pauses: Pauses = new Pauses(),
): Promise<SessionSnapshot> {
  const writer = new SnapshotWriter(record);
  const logs = new Map<string, SnapshotEntry[]>();
  for await (const logged of entries()) {
    const { log, entry } = logged;
    const { seq, key, at, data } = entry;
    const snapshotEntries = logs.get(log) ?? [];
    snapshotEntries.push({ seq, key, at, data: jsonOf(record, logged) });
    logs.set(log, snapshotEntries);
    writer.entry(log, entryText(entry));
    await pauses.after(data.length);
  }
  const session = JSON.parse(encode(record, "session")) as SessionSnapshot["session"];
  return { format: snapshotFormat, session, logs: Object.fromEntries(logs), checksum: writer.end().checksum };
}
