/**
 * Reads a log wherever its entries are: in the session's own rows, turns in the segments of its branches; in its archive; or, for
 * the first turns of a fork, in the parent. Entries may move after a record was read: a reader that finds fewer than the record names loads the newest
 * record and reads again.
 */
import { isArchivable } from "../../domain/copies/archive.ts";
import { hasTurns, lastPiece, piecesOf, storedRange, withOffset } from "../../domain/branches/segments.ts";
import { firstOwn, headOf, isSame } from "../../domain/record/change.ts";
import type { Entry, LogName, SessionKey } from "../../domain/record/entry.ts";
import type { Segments, SessionRecord } from "../../domain/record/record.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Limits } from "../../domain/values/limits.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Loaded, LoadRequest, LogRange, Store } from "../../store/store.ts";
import { entryBytes, withinBytes } from "../../store/within-bytes.ts";

/** The source of logs; a {@link Core} is one. */
export interface LogSource {
  readonly store: Pick<Store, "load" | "read">;
  readonly options: { readonly limits: Pick<Limits, "readMax" | "readBytesMax"> };
}

type SeqRange = Extract<LogRange, { from: number }>;

/**
 * Entries of a log of this session, by {@link LogRange}.
 * @throws SessionError `store_invalid` if the logs have fewer entries than the record names, `session_not_found`
 */
export async function readLog(source: LogSource, known: SessionRecord, range: LogRange): Promise<readonly Entry[]> {
  for (let record = known; ;) {
    const found = await entriesOf(source, record, range);
    if (found !== undefined) return found;
    record = await newer(source, record, range.log);
  }
}

/** All entries of a log, oldest first, one page in memory at a time. */
export async function* eachEntry(
  source: LogSource,
  record: SessionRecord,
  log: LogName,
): AsyncGenerator<Entry, void, void> {
  const to = headOf(record, log);
  let from = 1;
  for await (const part of partsOf(source, record, log)) {
    yield* part;
    from = (part.at(-1)?.seq ?? 0) + 1;
  }
  while (from <= to) {
    const { readMax: limit, readBytesMax: bytesMax } = source.options.limits;
    const page = await readLog(source, record, { log, from, to, order: "ascending", limit, bytesMax });
    if (page.length === 0) return; // truncated meanwhile: a write based on this read fails with a conflict
    yield* page;
    from = (page.at(-1)?.seq ?? to) + 1;
  }
}

/**
 * The entries of an archived log, part by part: pages would decompress each part again and again. It ends early where the archive no
 * longer exists.
 */
async function* partsOf(
  { store }: LogSource,
  record: SessionRecord,
  log: LogName,
): AsyncGenerator<readonly Entry[], void, void> {
  const { archive } = record;
  if (archive === null || !isArchivable(log)) return;
  const { readPart } = await import("../archive/archive-reader.ts");
  for (const [index, { ranges }] of archive.parts.entries()) {
    if (!ranges.some((range) => range.log === log)) continue;
    const sections = await readPart(store, record, archive, index);
    if (sections === undefined) return;
    for (const section of sections) if (section.log === log) yield section.entries;
  }
}

/** The tails by the names that their logs have in the store, as far as the last segments reach. */
export function storedTails(record: SessionRecord, tails: LoadRequest["tails"]): LoadRequest["tails"] {
  return tails.map((tail) => {
    if (!hasTurns(tail.log)) return tail;
    const { log, from, to } = lastPiece(record, tail.log);
    return { ...tail, log, last: Math.min(tail.last, Math.max(0, to - from + 1)) };
  });
}

/**
 * The loaded session, with the entries of its tails that are in an archive, in a parent or in other segments. `segments`: those for
 * which the tails were loaded.
 */
export async function wholeTails(
  source: LogSource,
  found: Loaded,
  { tails, segments }: { readonly tails: LoadRequest["tails"]; readonly segments: Segments | null },
): Promise<Loaded> {
  let loaded = found;
  for (let known = segments; ;) {
    const { record } = loaded;
    if (!areSame(record.branches, known)) {
      known = record.branches;
      loaded = await again(source, record, tails);
      continue;
    }
    if (!hasEntriesElsewhere(record)) return loaded;
    const numbered = { record, tails: loaded.tails.map((tail, index) => asNamed(record, tails[index]?.log, tail)) };
    const whole = await Promise.all(tails.map((tail, index) => wholeTail(source, numbered, tail, index)));
    if (!whole.includes(undefined)) return { ...loaded, tails: whole.map((tail) => tail ?? []) };
    loaded = await again(source, record, tails);
    if (isSame(loaded.record, record)) throw entriesMissing(record);
  }
}

async function again(source: LogSource, record: SessionRecord, tails: LoadRequest["tails"]): Promise<Loaded> {
  const {
    sessions: [newest],
  } = await source.store.load([{ key: record, tails: storedTails(record, tails) }]);
  if (newest === undefined) throw notFound(record);
  return newest;
}

/** The entries of a tail with their numbers in the log. */
function asNamed(record: SessionRecord, log: LogName | undefined, tail: readonly Entry[]): readonly Entry[] {
  if (record.branches === null || log === undefined || !hasTurns(log)) return tail;
  const { offset, from } = lastPiece(record, log);
  return tail.map((entry) => withOffset(entry, offset)).filter(({ seq }) => seq >= from);
}

function areSame(a: Segments | null, b: Segments | null): boolean {
  if (a === null || b === null) return a === b;
  const textOf = ({ root, current, path }: Segments): string => JSON.stringify([root, current, path]);
  return a === b || textOf(a) === textOf(b);
}

async function wholeTail(
  source: LogSource,
  { record, tails }: Loaded,
  { log, last, bytesMax }: LoadRequest["tails"][number],
  index: number,
): Promise<readonly Entry[] | undefined> {
  const own = tails[index] ?? [];
  const missing = Math.min(last, headOf(record, log)) - own.length;
  if (missing <= 0) return own;
  // The limit of bytes was reached before the entries that are elsewhere.
  if ((own[0]?.seq ?? 0) > firstLoaded(record, log)) return own;
  const to = headOf(record, log) - own.length;
  const range = {
    log,
    from: to - missing + 1,
    to,
    order: "descending",
    limit: missing,
    ...defined({ bytesMax }),
  } as const;
  const older = await entriesOf(source, record, range);
  return older && withinBytes([...own.toReversed(), ...older], entryBytes, bytesMax).toReversed();
}

/** The first entry of a log that a load of its tail can return. */
function firstLoaded(record: SessionRecord, log: LogName): number {
  if (record.branches === null || !hasTurns(log)) return firstOwn(record, log);
  const { log: stored, offset, from } = lastPiece(record, log);
  return Math.max(from, storedRange(record, stored).first + offset);
}

/** True where some of a session's entries are in an archive, in a parent or in segments of several branches. */
export function hasEntriesElsewhere({ archive, parent, branches }: SessionRecord): boolean {
  return archive !== null || parent !== null || branches !== null;
}

/** Undefined if entries are not where the record says. */
async function entriesOf(
  source: LogSource,
  record: SessionRecord,
  range: LogRange,
): Promise<readonly Entry[] | undefined> {
  if (record.archive !== null && isArchivable(range.log)) {
    // Few programs read archives: the decompression is imported on first use.
    const { readArchive } = await import("../archive/archive-reader.ts");
    return await readArchive(source.store, record, record.archive, range);
  }
  if (record.branches === null || "between" in range || !hasTurns(range.log))
    return await storedEntries(source, record, range);
  return await entriesOfPieces(source, record, range);
}

/** Entries of a log with turns, from all segments that have some of them. */
async function entriesOfPieces(
  source: LogSource,
  record: SessionRecord,
  range: Exclude<LogRange, { between: unknown }>,
): Promise<readonly Entry[] | undefined> {
  const pieces = piecesOf(record, range.log);
  const found: Entry[] = [];
  const ordered = "order" in range && range.order === "descending" ? pieces.toReversed() : pieces;
  for (const { log, offset, from, to } of ordered) {
    const [first, last] = "keys" in range ? [from, to] : [Math.max(range.from, from), Math.min(range.to, to)];
    const limit = "keys" in range ? Infinity : range.limit - found.length;
    if (first > last || limit <= 0) continue;
    const stored =
      "keys" in range ? { ...range, log } : { ...range, log, from: first - offset, to: last - offset, limit };
    const entries = await storedEntries(source, record, stored);
    if (entries === undefined) return undefined;
    const within = entries.map((entry) => withOffset(entry, offset)).filter(({ seq }) => seq >= first && seq <= last);
    found.push(...within);
    // The limit of bytes was reached within the segment.
    if (within.length < Math.min(limit, last - first + 1) && !("keys" in range)) break;
  }
  return "keys" in range ? found : withinBytes(found, entryBytes, range.bytesMax);
}

/** Entries of a log by the name that it has in the store. Undefined if entries are not where the record says. */
async function storedEntries(
  source: LogSource,
  record: SessionRecord,
  range: LogRange,
): Promise<readonly Entry[] | undefined> {
  const { log } = range;
  const first = firstOwn(record, log);
  // A fork has all entries of its named logs, and a range of keys is of a named log.
  if (first === 1 || "between" in range) return await source.store.read(record, range);
  if ("keys" in range) {
    const older = await entriesOfParent(source, record, range);
    return older && [...older, ...(await source.store.read(record, range))];
  }
  const { from, to, order, limit } = range;
  const older: SeqRange = { ...range, from: Math.max(1, from), to: Math.min(to, first - 1) };
  const own: SeqRange = { ...range, from: Math.max(from, first), to };
  const read: Record<"older" | "own", (most: number) => Promise<readonly Entry[] | undefined>> = {
    older: async (most) =>
      older.from > older.to || most === 0 ? [] : await entriesOfParent(source, record, { ...older, limit: most }),
    own: async (most) =>
      own.from > own.to || most === 0 ? [] : await source.store.read(record, { ...own, limit: most }),
  };
  const [one, other] = order === "ascending" ? (["older", "own"] as const) : (["own", "older"] as const);
  const begun = await read[one](limit);
  const last = begun?.at(-1)?.seq;
  const isCut = last !== undefined && last !== (order === "ascending" ? older.to : own.from);
  if (begun === undefined || isCut) return begun;
  const rest = await read[other](limit - begun.length);
  return rest && withinBytes([...begun, ...rest], entryBytes, range.bytesMax);
}

/**
 * The shared entries of a fork. Undefined where the parent does not have them: the fork has its own by then. The parent may be
 * archived, restored or removed between the reads of its record and of its entries.
 */
async function entriesOfParent(
  source: LogSource,
  { tenant, parent }: SessionRecord,
  range: Exclude<LogRange, { between: unknown }>,
): Promise<readonly Entry[] | undefined> {
  if (parent === null) return [];
  const { id, born, at } = parent;
  for (let record = await newestRecord(source, { tenant, id }); ;) {
    if (record === undefined || record.createdAt !== born || headOf(record, "turns") < at) return undefined;
    const found = await sharedEntries(source, record, { range, at });
    if (found !== undefined && isWhole(found, range)) return found;
    const newest = await newestRecord(source, { tenant, id });
    if (newest !== undefined && isSame(newest, record)) return "keys" in range ? found : undefined;
    record = newest;
  }
}

/** Entries of a parent up to the last shared one; undefined if the parent was removed meanwhile. */
async function sharedEntries(
  source: LogSource,
  record: SessionRecord,
  { range, at }: { readonly range: Exclude<LogRange, { between: unknown }>; readonly at: number },
): Promise<readonly Entry[] | undefined> {
  try {
    return (await readLog(source, record, range)).filter(({ seq }) => seq <= at);
  } catch (error) {
    if (hasCode(error, "session_not_found")) return undefined;
    throw error;
  }
}

/** True where the entries are all of the range, or a first page of it. Entries of other keys may never have been. */
function isWhole(found: readonly Entry[], range: Exclude<LogRange, { between: unknown }>): boolean {
  if ("keys" in range) return found.length === range.keys.length;
  const isCut = range.bytesMax !== undefined && found.length > 0;
  return isCut || found.length === Math.min(range.limit, range.to - range.from + 1);
}

async function newer(source: LogSource, record: SessionRecord, log: LogName): Promise<SessionRecord> {
  const newest = await newestRecord(source, record);
  if (newest === undefined) throw notFound(record);
  if (isSame(newest, record)) throw entriesMissing(record, log);
  return newest;
}

async function newestRecord({ store }: LogSource, key: SessionKey): Promise<SessionRecord | undefined> {
  const { sessions } = await store.load([{ key, tails: [] }]);
  return sessions[0]?.record;
}

function notFound({ id, tenant }: SessionRecord): SessionError {
  return new SessionError("session_not_found", { sessionId: id, tenant });
}

function entriesMissing({ id, tenant }: SessionRecord, log?: LogName): SessionError {
  return new SessionError("store_invalid", { sessionId: id, tenant, problem: "entries_missing", ...defined({ log }) });
}
