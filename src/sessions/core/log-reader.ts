/**
 * One way to read a log, wherever its entries are: in the session's own rows; in its archive; or, for the first turns of a
 * fork, in the session it was forked from. A record that is out of date may speak of entries that have been moved
 * meanwhile: then the newest record says where they are.
 */
import { isArchivable } from "../../domain/copies/archive.ts";
import { firstOwn, headOf, isSame } from "../../domain/record/change.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import type { Loaded, LoadRequest, LogRange } from "../../store/store.ts";
import { entryBytes, withinBytes } from "../../store/within-bytes.ts";
import type { Core } from "./core.ts";

type SeqRange = Extract<LogRange, { from: number }>;

/**
 * Entries of a log of this session, as {@link LogRange} says.
 * @throws SessionError `store_invalid` where the logs hold less than the record speaks of, `session_not_found`
 */
export async function readLog(core: Core, known: SessionRecord, range: LogRange): Promise<readonly Entry[]> {
  for (let record = known; ;) {
    const found = await entriesOf(core, record, range);
    if (found !== undefined) return found;
    record = await newer(core, record, range.log);
  }
}

/** All entries of a log, oldest first, never more than a page in memory. */
export async function* eachEntry(core: Core, record: SessionRecord, log: LogName): AsyncGenerator<Entry, void, void> {
  const to = headOf(record, log);
  for (let from = 1; from <= to;) {
    const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
    const page = await readLog(core, record, { log, from, to, order: "ascending", limit, bytesMax });
    if (page.length === 0) return; // it was cut meanwhile: who writes upon this is told so
    yield* page;
    from = (page.at(-1)?.seq ?? to) + 1;
  }
}

/** What was loaded, with the parts of its tails that stand elsewhere. */
export async function wholeTails(core: Core, found: Loaded, tails: LoadRequest["tails"]): Promise<Loaded> {
  let loaded = found;
  while (standsElsewhere(loaded.record)) {
    const whole = await Promise.all(tails.map((tail, index) => wholeTail(core, loaded, tail, index)));
    if (!whole.includes(undefined)) return { ...loaded, tails: whole.map((tail) => tail ?? []) };
    const {
      sessions: [newest],
    } = await core.store.load([{ key: loaded.record, tails }]);
    if (newest === undefined) throw gone(loaded.record);
    if (isSame(newest.record, loaded.record)) throw lacking(loaded.record, "its logs");
    loaded = newest;
  }
  return loaded;
}

async function wholeTail(
  core: Core,
  { record, tails }: Loaded,
  { log, last, bytesMax }: LoadRequest["tails"][number],
  index: number,
): Promise<readonly Entry[] | undefined> {
  const own = tails[index] ?? [];
  const missing = Math.min(last, headOf(record, log)) - own.length;
  if (missing <= 0) return own;
  // It was cut by its bytes before it came to the entries that stand elsewhere.
  if ((own[0]?.seq ?? 0) > firstOwn(record, log)) return own;
  const to = headOf(record, log) - own.length;
  const range = { log, from: to - missing + 1, to, order: "descending", limit: missing, ...bounded(bytesMax) } as const;
  const older = await entriesOf(core, record, range);
  return older && withinBytes([...own.toReversed(), ...older], entryBytes, bytesMax).toReversed();
}

function bounded(bytesMax: number | undefined): { bytesMax?: number } {
  return bytesMax === undefined ? {} : { bytesMax };
}

/** True where some of a session's entries are not in its own rows. */
export function standsElsewhere({ archive, parent }: SessionRecord): boolean {
  return archive !== null || parent !== null;
}

/** Undefined where something that the record speaks of is not where it says. */
async function entriesOf(core: Core, record: SessionRecord, range: LogRange): Promise<readonly Entry[] | undefined> {
  if (record.archive !== null && isArchivable(range.log)) {
    // Few programs read what was put away: the decompression is imported when one does.
    const { readArchive } = await import("../archive/archive-reader.ts");
    return await readArchive(core.store, record, record.archive, range);
  }
  const { log } = range;
  const first = firstOwn(record, log);
  if (first === 1) return await core.store.read(record, range);
  if ("keys" in range) {
    const older = await parentsEntries(core, record, range);
    return older && [...older, ...(await core.store.read(record, range))];
  }
  const { from, to, order, limit } = range;
  const older: SeqRange = { ...range, from: Math.max(1, from), to: Math.min(to, first - 1) };
  const own: SeqRange = { ...range, from: Math.max(from, first), to };
  const read: Record<"older" | "own", (most: number) => Promise<readonly Entry[] | undefined>> = {
    older: async (most) =>
      older.from > older.to || most === 0 ? [] : await parentsEntries(core, record, { ...older, limit: most }),
    own: async (most) =>
      own.from > own.to || most === 0 ? [] : await core.store.read(record, { ...own, limit: most }),
  };
  const [one, other] = order === "ascending" ? (["older", "own"] as const) : (["own", "older"] as const);
  const begun = await read[one](limit);
  const last = begun?.at(-1)?.seq;
  const isCut = last !== undefined && last !== (order === "ascending" ? older.to : own.from);
  if (begun === undefined || isCut) return begun;
  const rest = await read[other](limit - begun.length);
  return rest && withinBytes([...begun, ...rest], entryBytes, range.bytesMax);
}

async function parentsEntries(
  core: Core,
  { tenant, parent }: SessionRecord,
  range: LogRange,
): Promise<readonly Entry[] | undefined> {
  if (parent === null) return [];
  const record = (await core.find({ tenant, id: parent.id }))?.record;
  if (record === undefined || record.createdAt !== parent.born || headOf(record, "turns") < parent.at) return undefined;
  const found = await readLog(core, record, range);
  if ("keys" in range) return found.filter(({ seq }) => seq <= parent.at);
  const isCut = range.bytesMax !== undefined && found.length > 0;
  return isCut || found.length === Math.min(range.limit, range.to - range.from + 1) ? found : undefined;
}

async function newer(core: Core, record: SessionRecord, log: LogName): Promise<SessionRecord> {
  const {
    sessions: [newest],
  } = await core.store.load([{ key: record, tails: [] }]);
  if (newest === undefined) throw gone(record);
  if (isSame(newest.record, record)) throw lacking(record, log);
  return newest.record;
}

function gone({ id, tenant }: SessionRecord): SessionError {
  return new SessionError("session_not_found", { sessionId: id, tenant });
}

function lacking({ id }: SessionRecord, what: string): SessionError {
  const reason = `its record speaks of entries of ${what} that are not where it says; restore it from a backup`;
  return new SessionError("store_invalid", { store: `of session ${id}`, reason });
}
