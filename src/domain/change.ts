/**
 * The one primitive: if the record still has version `expected`, put `record` in its place and replace these tails of
 * its logs. Everything that happens to a session is a {@link Change}; the rules beside this file make them.
 */
import type { Entry, LogName, SessionKey, Splice } from "./entry.ts";
import type { SessionRecord } from "./record.ts";

/** An idempotency key that a change brings into a log for the first time. */
export interface Claim {
  readonly log: LogName;
  readonly key: string;
}

/** One step in the life of one session. */
export interface Change {
  readonly key: SessionKey;
  /** The version the stored record must have; 0: there must be none. */
  readonly expected: number;
  /** What takes its place; null removes the session with all its logs. */
  readonly record: SessionRecord | null;
  readonly splices: readonly Splice[];
  /** Keys that must not stand in the log yet. */
  readonly claims: readonly Claim[];
}

/** Changes of different sessions that land together or not at all; nearly always just one. */
export type Transaction = readonly Change[];

/** A change in the making: rules edit the draft, {@link changeOf} closes it. */
export interface Draft {
  readonly base: SessionRecord;
  /** The base itself until something is set; from then on the draft's own copy, which moves on with every `set`. */
  record: SessionRecord;
  readonly splices: Map<LogName, Splice>;
  readonly claims: Claim[];
}

export function draftOf(record: SessionRecord): Draft {
  return { base: record, record, splices: new Map(), claims: [] };
}

/** Set fields of the record, in one copy of the base however often it is called: a write sets some four times. */
export function set(draft: Draft, fields: Partial<SessionRecord>): void {
  if (draft.record === draft.base) draft.record = { ...draft.base, ...fields };
  else Object.assign(draft.record, fields);
}

/** The last seq of a log, wherever its entries are; 0 where nothing stands. */
export function headOf(record: SessionRecord, log: LogName): number {
  const archived = record.archive?.heads;
  // What an archive's turns took is told beside it, and is no more of the session than they are.
  if (log === "spent") return lastOwn(record, log) - (record.archive?.spent ?? 0);
  return archived !== undefined && Object.hasOwn(archived, log) ? (archived[log] ?? 0) : lastOwn(record, log);
}

/** The last seq of a log among the session's own rows. */
export function lastOwn({ heads }: Pick<SessionRecord, "heads">, log: LogName): number {
  return Object.hasOwn(heads, log) ? (heads[log] ?? 0) : 0;
}

/** The seq from which on a log stands in the session's own rows: the first turns of a fork are its parent's. */
export function firstOwn({ parent }: Pick<SessionRecord, "parent">, log: LogName): number {
  return log === "turns" && parent !== null ? parent.at + 1 : 1;
}

/** Replace a log from `from` on. A second splice of the same log continues or overwrites the first. */
export function splice(draft: Draft, log: LogName, from: number, entries: readonly Entry[]): void {
  const head = lastOwn(draft.record, log);
  if (from < 1 || from > head + 1) throw new RangeError(`a splice of ${log} at ${from} leaves a gap after ${head}`);
  const earlier = draft.splices.get(log);
  const start = Math.min(from, earlier?.from ?? from);
  const kept = earlier?.entries.slice(0, from - start) ?? [];
  draft.splices.set(log, { log, from: start, entries: [...kept, ...entries] });
  set(draft, { heads: { ...draft.record.heads, [log]: from + entries.length - 1 } });
}

/** Put entries in front of the session's own entries of a log, all of which stay. */
export function splicePrefix(draft: Draft, log: LogName, entries: readonly Entry[]): void {
  draft.splices.set(log, { log, from: lastOwn(draft.record, log) + 1, entries });
}

/** The version that the change will bring; also the fence, where it gives out a lease. */
export function nextVersion({ base }: Draft): number {
  // A session begins with its time of birth: one that is removed and created anew never comes by a version twice, so
  // what somebody knew of the first is stale knowledge of the second.
  return base.version === 0 ? Math.max(1, base.createdAt) : base.version + 1;
}

/**
 * Close the draft, which is not to be used any more: the next version, and the mark of a changed `turns` log; `moves`
 * where the same turns are kept elsewhere from here on, so that who has seen them has seen them.
 */
export function changeOf(draft: Draft, { moves = false }: { readonly moves?: boolean } = {}): Change {
  const { base, splices, claims } = draft;
  const version = nextVersion(draft);
  const turnsVersion = (splices.has("turns") && !moves) || base.version === 0 ? version : draft.record.turnsVersion;
  set(draft, { version, turnsVersion });
  return {
    key: { tenant: base.tenant, id: base.id },
    expected: base.version,
    record: draft.record,
    splices: [...splices.values()],
    claims,
  };
}
