/** Reads the logs of an archived session, part by part. */
import { isSame } from "../../domain/record/change.ts";
import { decode } from "../../domain/values/codec.ts";
import type { Entry } from "../../domain/record/entry.ts";
import type { Archive, SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import type { LogRange, Store } from "../../store/store.ts";
import { entriesBetween } from "../../store/ordered-rows.ts";
import { entryBytes, withinBytes } from "../../store/within-bytes.ts";
import { isKnown, packedIn, unpackPart, type ArchivedEntries } from "./archive-text.ts";

/** The entries of a range; undefined where the archive no longer exists. @throws SessionError `store_invalid` */
export async function readArchive(
  store: Pick<Store, "read" | "load">,
  record: SessionRecord,
  archive: Archive,
  range: LogRange,
): Promise<readonly Entry[] | undefined> {
  const places = archive.parts.flatMap(({ ranges }, index) =>
    ranges.some((one) => one.log === range.log && touches(one, range)) ? [index] : [],
  );
  const isByKey = "between" in range;
  const isDescending = "order" in range && range.order === "descending";
  const found: Entry[] = [];
  for (const index of isDescending ? places.toReversed() : places) {
    if (!isByKey && "limit" in range && isFull(found, range)) break;
    const sections = await readPart(store, record, archive, index);
    if (sections === undefined) return undefined;
    const entries = sections
      .filter(({ log }) => log === range.log)
      .flatMap((section) => section.entries.filter((entry) => isWanted(entry, range)));
    // One by one: a part may hold more entries than a call takes arguments.
    for (const entry of isDescending ? entries.toReversed() : entries) found.push(entry);
  }
  if (!("limit" in range)) return found;
  const wanted = isByKey ? inOrder(entriesBetween(found, range.between), range.order) : found;
  return withinBytes(wanted.slice(0, range.limit), entryBytes, range.bytesMax);
}

function inOrder(entries: readonly Entry[], order: "ascending" | "descending"): readonly Entry[] {
  return order === "ascending" ? entries : entries.toReversed();
}

function isFull(found: readonly Entry[], { limit, bytesMax }: { limit: number; bytesMax?: number }): boolean {
  return found.length >= limit || withinBytes(found, entryBytes, bytesMax).length < found.length;
}

/** One part of an archive, by its place; undefined where it no longer exists. @throws SessionError `store_invalid` */
export async function readPart(
  store: Pick<Store, "read" | "load">,
  record: SessionRecord,
  archive: Archive,
  index: number,
): Promise<readonly ArchivedEntries[] | undefined> {
  const seq = index + 1;
  const range = { log: "archive", from: seq, to: seq, order: "ascending", limit: 1 } as const;
  const [entry] = await store.read(record, range);
  if (entry === undefined) return undefined;
  const packed = packedIn(decode(entry.data));
  const part = archive.parts[index];
  const isReadable = packed !== undefined && part !== undefined && isKnown(packed);
  const sections = isReadable ? await unpackPart(packed, part.sha256, archive.bytes) : undefined;
  if (sections !== undefined) return sections;
  // The session was archived again since the record was read, or the part is damaged: the newest record tells.
  const {
    sessions: [newest],
  } = await store.load([{ key: record, tails: [] }]);
  if (newest === undefined || !isSame(newest.record, record)) return undefined;
  const problem = packed === undefined || isKnown(packed) ? "archive_damaged" : "archive_method_unknown";
  throw new SessionError("store_invalid", { sessionId: record.id, tenant: record.tenant, problem, seq });
}

function touches({ from, to }: { from: number; to: number }, range: LogRange): boolean {
  return "to" in range ? from <= range.to && to >= range.from : true;
}

function isWanted({ seq, key }: Entry, range: LogRange): boolean {
  if ("to" in range) return seq >= range.from && seq <= range.to;
  return "keys" in range ? key !== null && range.keys.includes(key) : key !== null;
}
