/**
 * Sessions of a store as sources: a small one is loaded at one moment, a large one is read entry by entry, and whether it changed
 * meanwhile is checked at the end.
 */
import { inheritedIn } from "../../domain/branches/segments.ts";
import { copiedEntry, logsOf } from "../../domain/copies/archive.ts";
import { portableOf, type Portable } from "../../domain/copies/snapshot.ts";
import { headOf, isSame } from "../../domain/record/change.ts";
import { truncatedUsageLog, type Entry, type LogName, type SessionKey } from "../../domain/record/entry.ts";
import { mayLackItsBeginning } from "../../domain/record/event.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Loaded, LoadRequest } from "../../store/store.ts";
import { entryBytes } from "../../store/within-bytes.ts";
import type { Core } from "../core/core.ts";
import { eachEntry, readLog } from "../core/log-reader.ts";
import { stepOf } from "../core/staged-logs.ts";
import { sourceOf, type LoggedEntry, type SessionSource } from "../snapshots/session-source.ts";
import { snapshotOrder } from "../snapshots/snapshot-text.ts";
import { sessionIds } from "../../domain/record/guards.ts";

/** The session changed while it was read entry by entry. */
export class SessionMoved extends Error {
  override readonly name = "SessionMoved";
  /** The record that it was read for. */
  readonly session: SessionRecord;

  constructor(session: SessionRecord, cause?: unknown) {
    super(`session ${session.id} changed while it was read`, { cause });
    this.session = session;
  }
}

/** A session of a store as a source. Reading its entries throws {@link SessionMoved} where it is not at one moment. */
export interface StoredSession extends SessionSource {
  /** The record that it is read for. */
  readonly stored: SessionRecord;
}

/** The logs that every session may have; those of an adapter are in the record. */
const usualLogs = ["turns", "events", "instructions", "chunks"];

/** A session that changes while it is read is read again, this many times in all. */
const attemptsMax = 3;

/** The session as it is now. @throws SessionError `session_not_found`, `store_invalid` */
export async function storedSession(core: Core, key: SessionKey): Promise<StoredSession> {
  let logs = usualLogs;
  for (;;) {
    const loaded = await core.load(key, tailsOf(core, logs));
    const missing = logsOf(loaded.record).filter((log) => !logs.includes(log));
    if (missing.length === 0) return await sourceIn(core, loaded, logs);
    logs = [...logs, ...missing];
  }
}

/** The source of a session that was loaded with tails of these logs, which are all that it has. */
export async function sourceIn(core: Core, loaded: Loaded, logs: readonly LogName[]): Promise<StoredSession> {
  const { record } = loaded;
  if (await areCut(core, loaded, logs)) return sourceOfLarge(core, record);
  return { ...sourceOf(portableFrom(loaded, logs)), stored: record };
}

function sourceOfLarge(core: Core, record: SessionRecord): StoredSession {
  return { record: portableOf(record), stored: record, inMemory: undefined, entries: () => entriesIn(core, record) };
}

async function* entriesIn(core: Core, record: SessionRecord): AsyncGenerator<LoggedEntry, void, undefined> {
  try {
    for (const log of snapshotOrder(logsOf(record))) {
      // In a snapshot every log begins with 1, also events that lost their beginning.
      let seq = 0;
      const inherited = inheritedIn(record, log);
      for await (const entry of eachEntry(core, record, log))
        yield { log, entry: copiedEntry({ ...entry, seq: ++seq }, log, inherited) };
      if (isDamaged(record, log, seq)) {
        await guardUnmoved(core, record);
        throw damaged(record, log, seq);
      }
    }
  } catch (error) {
    if (hasCode(error, "session_not_found")) throw new SessionMoved(record, error);
    throw error;
  }
  await guardUnmoved(core, record);
}

async function guardUnmoved(core: Core, record: SessionRecord): Promise<void> {
  const newest = (await core.find(record))?.record;
  if (newest === undefined || !isSame(newest, record)) throw new SessionMoved(record);
}

/** The whole of these logs, each within the bytes that one commit takes. */
export function tailsOf({ options: { limits } }: Core, logs: readonly string[]): LoadRequest["tails"] {
  return tailsWithin(stepOf(limits).length, logs);
}

function tailsWithin(bytesMax: number, logs: readonly string[]): LoadRequest["tails"] {
  return logs.map((log) => ({ log, last: Number.MAX_SAFE_INTEGER, bytesMax }));
}

/**
 * True where a tail ends at its bytes, and more of its log is before it. A log that is damaged, and events that lost their
 * beginning, have nothing there.
 */
async function areCut(core: Core, { record, tails }: Loaded, logs: readonly string[]): Promise<boolean> {
  for (const [index, log] of logs.entries()) {
    const first = tails[index]?.[0]?.seq ?? 1;
    if (first === 1) continue;
    const range = { log, from: 1, to: first - 1, order: "descending", limit: 1, bytesMax: 1 } as const;
    if ((await readLog(core, record, range)).length > 0) return true;
    // A log that was written to meanwhile may have been cut before it was truncated; the next load tells.
    if (!mayLackItsBeginning(log) && !isSame((await core.load(record)).record, record)) return true;
  }
  return false;
}

/** @throws SessionError `store_invalid` where the record names more entries than the logs hold */
function portableFrom({ record, tails }: Loaded, names: readonly string[]): Portable {
  const logs = new Map<LogName, readonly Entry[]>();
  names.forEach((log, index) => {
    // The entries after these are the usage of archived turns.
    const entries = (tails[index] ?? []).slice(0, log === truncatedUsageLog ? headOf(record, log) : undefined);
    if (isDamaged(record, log, entries.length)) throw damaged(record, log, entries.length);
    const isWhole = entries.length === headOf(record, log);
    const numbered = isWhole ? entries : entries.map((entry, at) => ({ ...entry, seq: at + 1 }));
    const inherited = inheritedIn(record, log);
    logs.set(log, inherited === 0 ? numbered : numbered.map((entry) => copiedEntry(entry, log, inherited)));
  });
  return { record: portableOf(record), logs };
}

/** False for events that lost their beginning, or all of them. */
function isDamaged(record: SessionRecord, log: LogName, found: number): boolean {
  const head = headOf(record, log);
  return found !== head && (!mayLackItsBeginning(log) || found > head);
}

function damaged(record: SessionRecord, log: string, found: number): SessionError {
  return new SessionError("store_invalid", {
    ...sessionIds(record),
    problem: "entries_missing",
    log,
    found,
    known: headOf(record, log),
  });
}

/**
 * Do `work` with the session as it is at one moment, for a document that is in memory as a whole. A session that changes again and
 * again while it is read is loaded in one go.
 * @throws SessionError `session_not_found`, `snapshot_too_large`
 */
export async function atOneMoment<T>(
  core: Core,
  key: SessionKey,
  work: (source: SessionSource) => Promise<T>,
  first?: SessionSource,
): Promise<T> {
  let source = first ?? (await storedSession(core, key));
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    try {
      return await work(bounded(core, source));
    } catch (error) {
      if (!(error instanceof SessionMoved)) throw error;
      source = await storedSession(core, key);
    }
  }
  return await work(await loadedWhole(core, key));
}

/** All of a session in one load. @throws SessionError `session_not_found`, `snapshot_too_large` */
export async function loadedWhole(core: Core, key: SessionKey): Promise<StoredSession> {
  const { snapshotBytesMax } = core.options.limits;
  for (;;) {
    const { record } = await core.load(key);
    await guardBytes(core, record);
    const logs = logsOf(record);
    const loaded = await core.load(key, tailsWithin(snapshotBytesMax, logs));
    const isComplete = logsOf(loaded.record).every((log) => logs.includes(log));
    if (isComplete && !(await areCut(core, loaded, logs)))
      return { ...sourceOf(portableFrom(loaded, logs)), stored: loaded.record };
  }
}

/** @throws SessionError `snapshot_too_large` */
async function guardBytes(core: Core, record: SessionRecord): Promise<void> {
  const count = new BytesGuard(core, record);
  for (const log of logsOf(record)) for await (const entry of eachEntry(core, record, log)) count.add(entry);
}

/** The same source, which ends with `snapshot_too_large` at the limit. */
function bounded(core: Core, source: SessionSource): SessionSource {
  const guard = (): BytesGuard => new BytesGuard(core, source.record);
  if (source.inMemory !== undefined) {
    const count = guard();
    for (const entries of source.inMemory.logs.values()) for (const entry of entries) count.add(entry);
    return source;
  }
  return {
    ...source,
    async *entries() {
      const count = guard();
      for await (const logged of source.entries()) {
        count.add(logged.entry);
        yield logged;
      }
    },
  };
}

class BytesGuard {
  readonly #bytesMax: number;
  readonly #id: string;
  #bytes = 0;

  constructor(core: Core, { id }: { readonly id: string }) {
    this.#bytesMax = core.options.limits.snapshotBytesMax;
    this.#id = id;
  }

  /** @throws SessionError `snapshot_too_large` */
  add(entry: Entry): void {
    this.#bytes += entryBytes(entry);
    if (this.#bytes <= this.#bytesMax) return;
    throw new SessionError("snapshot_too_large", {
      sessionId: this.#id,
      bytes: this.#bytes,
      bytesMax: this.#bytesMax,
    });
  }
}
