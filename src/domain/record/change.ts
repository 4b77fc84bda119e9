/**
 * The one primitive: if the stored record is still `expected`, replace it by `record`, and replace the ends of its
 * logs. Each write to a session is a {@link Change}; the rules beside this file make them.
 */
import type { DocumentChange } from "../documents/document.ts";
import {
  feedbackLog,
  isNamedLog,
  memoryLog,
  truncatedUsageLog,
  type Entry,
  type LogName,
  type SessionKey,
  type Splice,
} from "./entry.ts";
import type { Identity, SessionRecord } from "./record.ts";

/** An idempotency key that a change adds to a log. */
export interface KeyClaim {
  readonly log: LogName;
  readonly key: string;
}

/** Usage as budgets count it: tokens and turns. */
export interface CountedUsage {
  readonly tokens: number;
  readonly turns: number;
}

/** An addition to a sum of usage, in the same commit as the change that used it. */
export interface UsageAddition extends CountedUsage {
  readonly tenant: string;
  /** The name of the sum within its tenant. */
  readonly name: string;
  /** The store forgets the sum at this time, epoch ms. */
  readonly until: number;
}

/** One atomic write to one session. */
export interface Change {
  readonly key: SessionKey;
  /** The version and commit id that the stored record must have; null: the session must not exist. */
  readonly expected: Identity | null;
  /** The new record; null removes the session with all its logs. */
  readonly record: SessionRecord | null;
  readonly splices: readonly Splice[];
  /** Splices of segments, by the names that their logs have in the store, beside those of the current branch. */
  readonly rows?: readonly Splice[];
  /** Keys that must not be in the log yet. */
  readonly claims: readonly KeyClaim[];
  /**
   * The session whose logs this one takes over, all of them, in place of its own. The splices continue those logs. The
   * same transaction changes or removes the other session, whose logs are then empty.
   */
  readonly logsOf?: SessionKey;
  /** The usage of the turns of this change. */
  readonly usage?: CountedUsage;
  /** Sums that grow by it. */
  readonly additions?: readonly UsageAddition[];
  /** The number of writes whose changes it joins. @default 1 */
  readonly writes?: number;
  /**
   * True if {@link keepsListed} says so of the stored record: a store need not write the fields that stay. The rule sets it where
   * the store looks for the same sessions before and after. @default false
   */
  readonly keepsListed?: boolean;
}

/** The `expected` of a change of this record; null for a session that is to be created. */
export function identityOf({ version, commitId }: Identity): Identity | null {
  return version === 0 ? null : { version, commitId };
}

/** True if a change with this `expected` fits the stored record, or its absence. */
export function fits(expected: Identity | null, standing: Identity | undefined): boolean {
  if (expected === null || standing === undefined) return expected === null && standing === undefined;
  return isSame(expected, standing);
}

export function isSame(a: Identity, b: Identity): boolean {
  return a.version === b.version && a.commitId === b.commitId;
}

/** The last change of a record's turns; a writer of turns must have seen it. */
export function turnsIdentity({ turnsVersion, turnsCommitId }: TurnsIdentity): Identity {
  return { version: turnsVersion, commitId: turnsCommitId };
}

/**
 * False if the stored record cannot descend from the known one: the store was restored to an earlier state, and other
 * writers may have written to it since. The versions, the last changes of the turns and of the named logs, and the leases
 * are compared; histories that agree in all of them count as the same.
 */
export function mayFollow(current: SessionRecord, known: SessionRecord): boolean {
  // A session that was removed and created again is another one, also if the clock was set back meanwhile.
  if (current.createdAt > known.createdAt) return true;
  if (current.version === known.version) return current.commitId === known.commitId;
  if (current.version < known.version) return false;
  const [held, holds] = [known.lease, current.lease];
  if (held !== null && holds?.fence === held.fence && holds.commitId !== held.commitId) return false;
  for (const [log, mark] of Object.entries(known.logMarks)) {
    const now = Object.hasOwn(current.logMarks, log) ? current.logMarks[log] : undefined;
    if (now !== undefined && !isSame(now, mark) && now.version <= known.version) return false;
  }
  return haveSameTurns(current, known) || current.turnsVersion > known.version;
}

/** The version and commit id of the last change of a record's turns. */
export type TurnsIdentity = Pick<SessionRecord, "turnsVersion" | "turnsCommitId">;

/** True if both records have the same `turns` log. */
export function haveSameTurns(a: TurnsIdentity, b: TurnsIdentity): boolean {
  return a.turnsVersion === b.turnsVersion && a.turnsCommitId === b.turnsCommitId;
}

/** The change with the id of its commit, wherever the record names the version of this commit. */
export function withCommitId(change: Change, commitId: string): Change {
  if (change.record === null) return change;
  const record = { ...change.record };
  nameCommit(record, commitId);
  return { ...change, record };
}

/**
 * Write the id of its commit into a record, wherever it names the version of this commit. The record is that of a change which a
 * rule has just made, and nothing else has it yet.
 */
export function nameCommit(record: EditableRecord, commitId: string): void {
  const { version, turnsVersion, lease, logMarks } = record;
  record.commitId = commitId;
  if (turnsVersion === version) record.turnsCommitId = commitId;
  if (lease?.fence === version) record.lease = { ...lease, commitId };
  for (const log in logMarks) {
    if (logMarks[log]?.version !== version) continue;
    const marks = Object.entries(logMarks);
    record.logMarks = Object.fromEntries(
      marks.map(([name, mark]) => [name, mark.version === version ? { version, commitId } : mark]),
    );
    return;
  }
}

/**
 * One change for changes of one session that follow each other: each was made of the record before. The record keeps the version
 * of the last one, so every change has a version of its own.
 */
export function joined(changes: readonly [Change, ...Change[]]): Change {
  const [first] = changes;
  if (changes.length === 1) return first;
  const splices: Splice[] = [];
  for (const change of changes) for (const one of change.splices) putSplice(splices, one);
  const additions = changes.flatMap((change) => change.additions ?? []);
  return {
    key: first.key,
    expected: first.expected,
    record: changes.at(-1)?.record ?? null,
    splices,
    claims: changes.flatMap(({ claims }) => claims),
    ...(additions.length === 0 ? {} : { additions }),
    writes: changes.length,
    keepsListed: changes.every(({ keepsListed: keeps }) => keeps === true),
  };
}

/** Add a splice to the list, which has one for each log: it does what the one that is there and then `next` do. */
function putSplice(splices: Splice[], next: Splice): void {
  const index = splices.findIndex(({ log }) => log === next.log);
  // The property -1 of a list is looked up as a name, which costs more than the rest of the splice.
  const earlier = index === -1 ? undefined : splices[index];
  if (earlier === undefined) {
    splices.push(next);
    return;
  }
  const from = Math.min(next.from, earlier.from);
  const entries = [...earlier.entries.slice(0, next.from - from), ...next.entries];
  const appends = earlier.appends === true && next.from >= earlier.from;
  splices[index] = { log: next.log, from, entries, appends };
}

/**
 * Changes of different sessions and documents that are committed together or not at all; mostly a single one. The changes
 * of sessions come first.
 */
export type Transaction = readonly (Change | DocumentChange)[];

export function isDocumentChange(change: Change | DocumentChange): change is DocumentChange {
  return "document" in change;
}

/** The changes of sessions in a transaction. */
export function sessionChanges(transaction: Transaction): readonly Change[] {
  if (!transaction.some(isDocumentChange)) return transaction as readonly Change[];
  return transaction.filter((change): change is Change => !isDocumentChange(change));
}

/** The changes of documents in a transaction. */
export function documentChanges(transaction: Transaction): readonly DocumentChange[] {
  return transaction.filter(isDocumentChange);
}

/** The index of the change of this session; -1 if there is none. */
export function indexOfKey(changes: readonly Change[], { tenant, id }: SessionKey): number {
  return changes.findIndex(({ key }) => key.id === id && key.tenant === tenant);
}

/** A change that is being built: rules edit the draft, {@link changeOf} closes it. */
export interface Draft {
  readonly base: SessionRecord;
  /** The version of the new record; also the fencing token of a lease that the change grants. */
  readonly nextVersion: number;
  /** The base itself until a field is set, then a copy that later calls of `editable` and `set` give and edit. */
  record: SessionRecord;
  /** One for each log. */
  readonly splices: Splice[];
  /** As `rows` of a change. */
  readonly rows: Splice[];
  readonly claims: KeyClaim[];
  usage: CountedUsage | undefined;
}

/** `nextVersion`: that of `firstVersion` for a session that is created. */
export function draftOf(record: SessionRecord, nextVersion: number = record.version + 1): Draft {
  return {
    base: record,
    nextVersion,
    record,
    splices: emptyList(),
    rows: emptyList(),
    claims: emptyList(),
    usage: undefined,
  };
}

/**
 * Versions per millisecond: a session with fewer changes per millisecond stays below the versions of one that is
 * created later.
 */
const versionsPerMs = 1000;

/**
 * The first version of a session that is created now. It is above all versions of earlier sessions with its id, by the
 * store's clock, so what callers know of those is stale. The random part distinguishes two sessions of the same
 * millisecond. Versions stay below 2^53 until the year 2255.
 */
export function firstVersion({ now, chance }: { readonly now: number; readonly chance: number }): number {
  return Math.max(1, now * versionsPerMs + Math.floor(chance * versionsPerMs));
}

/** A change that alters nothing: the changes beside it land only where this record is still the stored one. */
export function unchanged(record: SessionRecord): Change {
  return changeOf(draftOf(record));
}

/** A record whose fields may be set. */
export type EditableRecord = { -readonly [Field in keyof SessionRecord]: SessionRecord[Field] };

/** The record of the draft, to set its fields. However often it is called, the base is copied once. */
export function editable(draft: Draft): EditableRecord {
  if (draft.record === draft.base) draft.record = { ...draft.base };
  return draft.record;
}

/** Set fields of the record, as {@link editable}. */
export function set(draft: Draft, fields: Partial<SessionRecord>): void {
  Object.assign(editable(draft), fields);
}

/** The last seq of a log, in the session's rows, its archive or its parent; 0 for an empty log. */
export function headOf(record: SessionRecord, log: LogName): number {
  const archived = record.archive?.heads;
  // The last entries of this log are the usage of archived turns: while those are archived, they are not part of the log.
  if (log === truncatedUsageLog) return lastOwn(record, log) - (record.archive?.usageEntries ?? 0);
  return archived !== undefined && Object.hasOwn(archived, log) ? (archived[log] ?? 0) : lastOwn(record, log);
}

/** The last seq of a log among the session's own rows. */
export function lastOwn({ heads }: Pick<SessionRecord, "heads">, log: LogName): number {
  return Object.hasOwn(heads, log) ? (heads[log] ?? 0) : 0;
}

/** The first seq of a log in the session's own rows: the first turns of a fork are in its parent. */
export function firstOwn({ parent }: Pick<SessionRecord, "parent">, log: LogName): number {
  return log === "turns" && parent !== null ? parent.at + 1 : 1;
}

/** Replace a log from `from` on. A second splice of the same log continues or overwrites the first one. */
export function splice(draft: Draft, log: LogName, from: number, entries: readonly Entry[]): void {
  const head = lastOwn(draft.record, log);
  if (from < 1 || from > head + 1) throw new RangeError(`a splice of ${log} at ${from} leaves a gap after ${head}`);
  putSplice(draft.splices, newSplice(log, { from, appends: from > lastOwn(draft.base, log) }, entries));
  editable(draft).heads = withHead(draft.record.heads, log, from + entries.length - 1);
}

/** Replace a log from this entry on by it. */
export function spliceEntry(draft: Draft, log: LogName, entry: Entry): void {
  splice(draft, log, entry.seq, listOf(entry));
}

/**
 * A list of one item. V8 makes the list of a literal among the old objects where most of its lists were, and a new item beside it.
 * The copy of a list is young. `Array.of` takes ten times as long.
 */
export function listOf<Item>(item: Item): Item[] {
  copied.push(item);
  const list = copied.slice() as Item[];
  copied.pop();
  return list;
}

/** An empty list that is young, as those of {@link listOf}. */
export function emptyList<Item>(): Item[] {
  return copied.slice() as Item[];
}

const copied: unknown[] = [];

/** Made field by field, as {@link newEntry}: an old splice keeps its entries alive. */
function newSplice(
  log: LogName,
  { from, appends }: Omit<Splice, "log" | "entries">,
  entries: readonly Entry[],
): Splice {
  const made = {} as EditableSplice;
  made.log = log;
  made.from = from;
  made.entries = entries;
  made.appends = appends ?? false;
  return made;
}

type EditableSplice = { -readonly [Field in keyof Splice]: Splice[Field] };

/** A computed name in a literal costs a call of the runtime, and most logs of an append have entries already. */
function withHead(heads: SessionRecord["heads"], log: LogName, last: number): SessionRecord["heads"] {
  if (!Object.hasOwn(heads, log)) return { ...heads, [log]: last };
  const copy: { [log: string]: number } = { ...heads };
  copy[log] = last;
  return copy;
}

/** True if the draft has a splice of the log. */
export function changesLog({ splices }: Draft, name: LogName): boolean {
  return splices.some(({ log }) => log === name);
}

/** Count what a turn of this draft uses. */
export function countUsage(draft: Draft, { tokens, turns }: CountedUsage): void {
  if (tokens === 0 && turns === 0) return;
  const { usage } = draft;
  draft.usage = { tokens: (usage?.tokens ?? 0) + tokens, turns: (usage?.turns ?? 0) + turns };
}

/** True if the fields by which lists find a session stay as they are, but for the times of its activity and its deadlines. */
export function keepsListed({ base, record }: Draft): boolean {
  return (
    record.state === base.state &&
    record.stateSince === base.stateSince &&
    record.agent === base.agent &&
    record.user === base.user &&
    record.createdAt === base.createdAt &&
    record.title === base.title &&
    record.labels === base.labels &&
    record.waiting === base.waiting
  );
}

/** True for a log whose last change the record names. */
function hasMark(log: LogName): boolean {
  return isNamedLog(log) || log === memoryLog || log === feedbackLog;
}

/** Note in the record that those of these logs whose last change it names change with the draft. */
export function markLogs(draft: Draft, logs: readonly LogName[]): void {
  const named = logs.filter(hasMark);
  if (named.length === 0) return;
  const mark: Identity = { version: draft.nextVersion, commitId: "" };
  set(draft, { logMarks: { ...draft.record.logMarks, ...Object.fromEntries(named.map((log) => [log, mark])) } });
}

/** The named logs of a session, those of its archive included. */
export function namedLogs({ heads, archive }: Pick<SessionRecord, "heads" | "archive">): readonly LogName[] {
  return Object.keys({ ...archive?.heads, ...heads }).filter(isNamedLog);
}

/**
 * Close the draft: the record gets the next version, which is also that of a changed `turns` log and of the named logs that
 * changed. With `moves` the same entries are only stored elsewhere: handles that have seen them stay up to date. The draft must
 * not be used afterwards.
 */
export function changeOf(draft: Draft, { moves = false }: { readonly moves?: boolean } = {}): Change {
  const { base, splices, claims, usage, nextVersion: version } = draft;
  const record = editable(draft);
  record.version = version;
  const changesTurns = changesLog(draft, "turns") || record.branches !== base.branches;
  if ((!moves && changesTurns) || base.version === 0) record.turnsVersion = version;
  if (!moves && splices.some(({ log }) => hasMark(log)))
    markLogs(
      draft,
      splices.map(({ log }) => log),
    );
  const key = { tenant: base.tenant, id: base.id };
  const expected = identityOf(base);
  // Made field by field, as an entry: an old change keeps its entries alive.
  const change = {} as EditableChange;
  change.key = key;
  change.expected = expected;
  change.record = record;
  change.splices = splices;
  change.claims = claims;
  if (usage !== undefined) change.usage = usage;
  return draft.rows.length === 0 ? change : { ...change, rows: draft.rows };
}

type EditableChange = { -readonly [Field in keyof Change]: Change[Field] };
