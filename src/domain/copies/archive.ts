/** Archiving compresses the logs of a session, and unarchiving restores the same entries. */
import { clearSegments, soleSegments } from "../branches/branching.ts";
import { hasTurns, inheritedIn } from "../branches/segments.ts";
import { changeOf, firstOwn, headOf, lastOwn, set, splice, type Change, type Draft } from "../record/change.ts";
import { decode, encode, type Value } from "../values/codec.ts";
import { truncatedUsageLog, type Entry, type LogName } from "../record/entry.ts";
import { appendEvent } from "../record/event.ts";
import { closeForArchive, type Logs } from "../record/lifecycle.ts";
import type { Archive, ArchivedRange, SessionRecord } from "../record/record.ts";
import { appendTruncatedUsage, type TruncatedUsage } from "../turns/truncated-usage.ts";
import { stateAt, stateBefore } from "../record/states.ts";
import { guardLease, turnOpen, type Context } from "../record/guards.ts";
import type { Staged } from "./staged.ts";

/** Logs of this store: the parts of an archive, and the forks of the session. A snapshot leaves them out. */
const placeLogs: readonly LogName[] = ["archive", "forks"];

/** True for a log that belongs to the content of a session, wherever its entries are. */
export function isContent(log: LogName): boolean {
  return !placeLogs.includes(log);
}

/** True for a log that an archive contains. Events and the usage of truncated turns stay in rows, where queries find them. */
export function isArchivable(log: LogName): boolean {
  return isContent(log) && log !== "events" && log !== truncatedUsageLog;
}

/** The logs of a session's content. */
export function logsOf({ heads, archive }: Pick<SessionRecord, "heads" | "archive">): readonly LogName[] {
  return Object.keys({ ...archive?.heads, ...heads }).filter(isContent);
}

/**
 * The entry as a copy of the session has it. A turn of another branch whose usage another session counts has none in the copy:
 * there the number of such turns is that of the current branch.
 */
export function copiedEntry(entry: Entry, log: LogName, inherited: number): Entry {
  if (log === "turns" || entry.seq > inherited) return entry;
  const {
    usage: _,
    durationMs: _ms,
    steps: _steps,
    ...turn
  } = decode(entry.data) as { readonly [field: string]: Value };
  return { ...entry, data: encode({ ...turn, requests: 0 }, "turn") };
}

/** A compressed part of the logs. */
export interface PackedPart {
  readonly ranges: readonly ArchivedRange[];
  /** The hash of the text before compression. */
  readonly sha256: string;
  readonly packed: Uint8Array;
}

/** The compressed logs of a session. */
export interface PackedLogs {
  /** The entries of the log `archive`; empty where they are staged. */
  readonly entries: readonly Entry[];
  /** The place of the log `archive`, the usage of its turns, and all rows that stay, where they were written already. */
  readonly staged: Staged | undefined;
  /** The contents of each entry. */
  readonly parts: Archive["parts"];
  readonly packedBytes: number;
  /** The last seq of each log. */
  readonly heads: Archive["heads"];
  /** The usage of the turns among them. */
  readonly usage: readonly TruncatedUsage[];
  /** Their bytes before compression. */
  readonly bytes: number;
}

/** An entry of the log `archive`. */
export function archiveEntry(packed: Uint8Array, seq: number, at: number): Entry {
  return { seq, key: null, at, data: encode(packed) };
}

/**
 * Check that a session can be archived now.
 * @throws SessionError `busy` or `fenced` for a lease of another writer, `turn_open`
 */
export function guardArchivable(record: SessionRecord, fence: number | null, context: Context): void {
  guardLease(record, fence, context);
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
}

/**
 * Archive the session: the compressed logs replace the logs, in the same step. Null where the session has an archive already.
 * @throws SessionError as {@link guardArchivable}
 */
export function archiveSession(
  draft: Draft,
  { logs, fence }: { logs: PackedLogs; fence: number | null },
  context: Context,
): Change | null {
  const { record } = draft;
  if (record.archive !== null) return null;
  guardArchivable(record, fence, context);
  const { entries, staged, parts, heads, usage, bytes, packedBytes } = logs;
  const before = stateAt(record, context.now);
  const state = before === "archived" ? stateBefore(record) : before;
  if (staged === undefined) {
    for (const log of Object.keys(record.heads)) {
      const isSegment = record.branches !== null && hasTurns(log);
      if (isArchivable(log) && !isSegment) splice(draft, log, firstOwn(record, log), []);
    }
    clearSegments(draft);
    splice(draft, "archive", 1, entries);
    appendTruncatedUsage(draft, usage);
  } else {
    // The staged logs replace all rows of the session, those that stay included.
    set(draft, { heads: { ...record.heads, ...staged.heads } });
  }
  closeForArchive(draft, context);
  set(draft, {
    // The archive contains the turns of a parent as well.
    parent: null,
    branches: record.branches && soleSegments(record.branches),
    inherited: record.branches === null ? record.inherited : inheritedIn(record, "turns"),
    heads: liveHeads(draft.record.heads),
    archive: {
      state,
      heads,
      usageEntries: usage.length,
      bytes,
      packedBytes,
      parts,
    },
  });
  appendEvent(draft, { type: "archived", of: null }, context);
  return takingOver(changeOf(draft, { moves: true }), staged);
}

/** The heads of the logs that stay in rows beside an archive. */
function liveHeads(heads: Archive["heads"]): Archive["heads"] {
  return Object.fromEntries(Object.entries(heads).filter(([log]) => !isArchivable(log)));
}

function takingOver(change: Change, staged: Staged | undefined): Change {
  return staged === undefined ? change : { ...change, logsOf: staged.key };
}

/**
 * Unarchive the session: its logs replace the archive, and it returns to the state it had. `staged` are all rows that it has
 * then, where they were written already. Null where the session is not archived.
 */
export function unarchiveSession(
  draft: Draft,
  { logs, staged }: { readonly logs: Logs; readonly staged: Staged | undefined },
  context: Context,
): Change | null {
  const { record } = draft;
  if (record.state !== "archived") return null;
  const state = stateBefore(record);
  const usageHead = headOf(record, truncatedUsageLog);
  // The time in this state begins now, or a retention policy would archive the session again at once.
  set(draft, { state, stateSince: context.now, archive: null });
  if (staged === undefined) {
    for (const [log, entries] of logs) splice(draft, log, 1, entries);
    // The usage of these turns is in the turns again.
    if (usageHead < lastOwn(record, truncatedUsageLog)) splice(draft, truncatedUsageLog, usageHead + 1, []);
    if (lastOwn(draft.record, "archive") > 0) splice(draft, "archive", 1, []);
  } else {
    const left = Object.hasOwn(record.heads, truncatedUsageLog) ? { [truncatedUsageLog]: usageHead } : {};
    set(draft, { heads: { ...record.heads, ...record.archive?.heads, ...staged.heads, ...left } });
  }
  const { archive: _, ...heads } = draft.record.heads;
  set(draft, { heads });
  appendEvent(draft, { type: "unarchived", state }, context);
  return takingOver(changeOf(draft, { moves: true }), staged);
}
