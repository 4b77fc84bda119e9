/**
 * The one primitive: if the record is still the one `expected`, put `record` in its place and replace these tails of
 * its logs. Everything that happens to a session is a {@link Change}; the rules beside this file make them.
 */
import type { Entry, LogName, SessionKey, Splice } from "./entry.ts";
import type { Identity, SessionRecord } from "./record.ts";

/** An idempotency key that a change brings into a log for the first time. */
export interface KeyClaim {
  readonly log: LogName;
  readonly key: string;
}

/** One step in the life of one session. */
export interface Change {
  readonly key: SessionKey;
  /** The version and commit id the stored record must have; null: there must be no record. */
  readonly expected: Identity | null;
  /** What takes its place; null removes the session with all its logs. */
  readonly record: SessionRecord | null;
  readonly splices: readonly Splice[];
  /** Keys that must not stand in the log yet. */
  readonly claims: readonly KeyClaim[];
  /**
   * The session whose logs this one takes over, all of them and as they stand, in the place of its own. Its splices continue
   * those logs. The same transaction changes or removes the other session, whose logs are empty from there on.
   */
  readonly logsOf?: SessionKey;
}

/** What a change of this record expects to stand; null where the record stands for a session that is to be created. */
export function identityOf({ version, commitId }: Identity): Identity | null {
  return version === 0 ? null : { version, commitId };
}

/** Whether a change that expects this fits the record that stands, if one does. */
export function fits(expected: Identity | null, standing: Identity | undefined): boolean {
  if (expected === null || standing === undefined) return expected === null && standing === undefined;
  return isSame(expected, standing);
}

export function isSame(a: Identity, b: Identity): boolean {
  return a.version === b.version && a.commitId === b.commitId;
}

/** The last change of a record's turns: what a writer of turns must have seen. */
export function turnsIdentity({ turnsVersion, turnsCommitId }: TurnsIdentity): Identity {
  return { version: turnsVersion, commitId: turnsCommitId };
}

/**
 * False where the record that stands cannot have come from the one that was known: the store was put back to an earlier
 * state, and others may have written to it since. What a record tells of its past is its version, the last change of its
 * turns and its lease; a history that agrees in all of them is taken for the same.
 */
export function mayFollow(current: SessionRecord, known: SessionRecord): boolean {
  // A session that was removed and begun anew, perhaps by a clock that was set back, is another one.
  if (current.createdAt > known.createdAt) return true;
  if (current.version === known.version) return current.commitId === known.commitId;
  if (current.version < known.version) return false;
  const [held, holds] = [known.lease, current.lease];
  if (held !== null && holds?.fence === held.fence && holds.commitId !== held.commitId) return false;
  return haveSameTurns(current, known) || current.turnsVersion > known.version;
}

/** The version and commit id of the last change of a record's turns. */
export type TurnsIdentity = Pick<SessionRecord, "turnsVersion" | "turnsCommitId">;

/** Whether the `turns` log is the same in both records. */
export function haveSameTurns(a: TurnsIdentity, b: TurnsIdentity): boolean {
  return a.turnsVersion === b.turnsVersion && a.turnsCommitId === b.turnsCommitId;
}

/** The change as the commit of this id writes it: the id stands wherever this commit's version stands. */
export function withCommitId(change: Change, commitId: string): Change {
  const { record } = change;
  if (record === null) return change;
  const { version, turnsVersion } = record;
  const turnsCommitId = turnsVersion === version ? commitId : record.turnsCommitId;
  const lease = record.lease?.fence === version ? { ...record.lease, commitId } : record.lease;
  return { ...change, record: { ...record, commitId, turnsCommitId, lease } };
}

/** Changes of different sessions that land together or not at all; nearly always just one. */
export type Transaction = readonly Change[];

/** The place of the change of this session in a transaction; -1 where there is none. */
export function indexOfKey(transaction: Transaction, { tenant, id }: SessionKey): number {
  return transaction.findIndex(({ key }) => key.id === id && key.tenant === tenant);
}

/** A change in the making: rules edit the draft, {@link changeOf} closes it. */
export interface Draft {
  readonly base: SessionRecord;
  /** The version that the change brings; also the fence, where it gives out a lease. */
  readonly nextVersion: number;
  /** The base itself until something is set; from then on the draft's own copy, which moves on with every `set`. */
  record: SessionRecord;
  readonly splices: Map<LogName, Splice>;
  readonly claims: KeyClaim[];
}

/** `nextVersion`: for a session that begins here, what `firstVersion` gives. */
export function draftOf(record: SessionRecord, nextVersion: number = record.version + 1): Draft {
  return { base: record, nextVersion, record, splices: new Map(), claims: [] };
}

/** Versions a millisecond: a session that changes this often for all its life stays below one that begins after it. */
const versionsPerMs = 1000;

/**
 * The first version of a session that begins now. It lies above every version that an earlier session of its id had, as
 * far as the store's clock can tell, so that what was known of that one is stale. The random part keeps apart two that
 * begin in the same millisecond. Versions stay below 2^53 until the year 2255.
 */
export function firstVersion({ now, chance }: { readonly now: number; readonly chance: number }): number {
  return Math.max(1, now * versionsPerMs + Math.floor(chance * versionsPerMs));
}

/** A change that alters nothing: the changes beside it land only where this record is still the stored one. */
export function unchanged(record: SessionRecord): Change {
  return changeOf(draftOf(record));
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

/**
 * Close the draft, which is not to be used any more: it gets the next version, which is also that of a changed `turns`
 * log. With `moves` the same turns are kept elsewhere from here on, and a handle that has seen them has seen them.
 */
export function changeOf(draft: Draft, { moves = false }: { readonly moves?: boolean } = {}): Change {
  const { base, splices, claims, nextVersion: version } = draft;
  const turnsVersion = (splices.has("turns") && !moves) || base.version === 0 ? version : draft.record.turnsVersion;
  set(draft, { version, turnsVersion });
  return {
    key: { tenant: base.tenant, id: base.id },
    expected: identityOf(base),
    record: draft.record,
    splices: [...splices.values()],
    claims,
  };
}
