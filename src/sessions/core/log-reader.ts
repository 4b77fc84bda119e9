/**
 * Reads a log wherever its entries are: in the session's own rows; in its archive; or, for the first turns of a fork, in the
 * parent. Entries may move after a record was read: a reader that finds fewer than the record names loads the newest
 * record and reads again.
 */
import { isArchivable } from "../../domain/copies/archive.ts";
import { firstOwn, headOf, isSame } from "../../domain/record/change.ts";
import type { Entry, LogName, SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
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

/** The loaded session, with the entries of its tails that are in an archive or in a parent. */
export async function wholeTails(source: LogSource, found: Loaded, tails: LoadRequest["tails"]): Promise<Loaded> {
  let loaded = found;
  while (hasEntriesElsewhere(loaded.record)) {
    const whole = await Promise.all(tails.map((tail, index) => wholeTail(source, loaded, tail, index)));
    if (!whole.includes(undefined)) return { ...loaded, tails: whole.map((tail) => tail ?? []) };
    const {
      sessions: [newest],
    } = await source.store.load([{ key: loaded.record, tails }]);
    if (newest === undefined) throw notFound(loaded.record);
    if (isSame(newest.record, loaded.record)) throw entriesMissing(loaded.record);
    loaded = newest;
  }
  return loaded;
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
  if ((own[0]?.seq ?? 0) > firstOwn(record, log)) return own;
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

/** True where some of a session's entries are in an archive or in a parent. */
export function hasEntriesElsewhere({ archive, parent }: SessionRecord): boolean {
  return archive !== null || parent !== null;
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
