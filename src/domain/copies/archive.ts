/** Putting a session's logs away, compressed, and bringing them back: the same entries, kept elsewhere. */
import { changeOf, firstOwn, headOf, lastOwn, set, splice, type Change, type Draft } from "../record/change.ts";
import { encode } from "../values/codec.ts";
import type { Entry, LogName } from "../record/entry.ts";
import { appendEvent } from "../record/event.ts";
import type { Logs } from "../record/lifecycle.ts";
import type { Archive, ArchivedRange, SessionRecord } from "../record/record.ts";
import { SessionError } from "../../errors.ts";
import { keepSpent, type Spent } from "../turns/truncated-usage.ts";
import { nextState, stateAt, stateBefore } from "../record/states.ts";
import { guardLease, sessionIds, type Context } from "../record/guards.ts";

/** Logs of this place: what is put away, and who reads through it. */
const placeLogs: readonly LogName[] = ["archive", "forks"];

/** True for a log that a session is made of, wherever it is. */
export function isContent(log: LogName): boolean {
  return !placeLogs.includes(log);
}

/** True for a log that is put away with the session. What happens to it, and what it took, is told in rows. */
export function isArchivable(log: LogName): boolean {
  return isContent(log) && log !== "events" && log !== "spent";
}

/** The logs that a session is made of. */
export function logsOf({ heads, archive }: Pick<SessionRecord, "heads" | "archive">): readonly LogName[] {
  return Object.keys({ ...archive?.heads, ...heads }).filter(isContent);
}

/** A part of the logs, compressed. */
export interface PackedPart {
  readonly ranges: readonly ArchivedRange[];
  /** Of the text before it was compressed. */
  readonly sha256: string;
  readonly packed: Uint8Array;
}

/** The logs of a session, compressed. */
export interface PackedLogs {
  readonly parts: readonly PackedPart[];
  /** The last seq of each. */
  readonly heads: Archive["heads"];
  /** What the turns among them took. */
  readonly spent: readonly Spent[];
  /** Their bytes before. */
  readonly bytes: number;
}

/**
 * Put the logs away: compressed ones take their place, in the same step. Null where that was done already.
 * @throws SessionError `busy` or `fenced` where another writer is at work, `turn_open` where this one is
 */
export function archiveSession(
  draft: Draft,
  { logs: { parts, heads, spent, bytes }, fence }: { logs: PackedLogs; fence: number | null },
  context: Context,
): Change | null {
  const { record } = draft;
  if (record.archive !== null) return null;
  guardLease(record, fence, context);
  if (record.openTurn !== null) throw new SessionError("turn_open", { ...sessionIds(record), turn: record.openTurn });
  const before = stateAt(record, context.now);
  const state = before === "archived" ? stateBefore(record) : before;
  for (const log of Object.keys(record.heads)) {
    if (isArchivable(log)) splice(draft, log, firstOwn(record, log), []);
  }
  const entries = parts.map(({ packed }, index): Entry => {
    return { seq: index + 1, key: null, at: context.now, data: encode(packed) };
  });
  splice(draft, "archive", 1, entries);
  keepSpent(draft, spent);
  set(draft, {
    state: nextState(record, "archive", context.now),
    stateSince: context.now,
    lease: null,
    waiters: [],
    cancel: null,
    handoff: null,
    // The archive is whole, the turns of a parent included.
    parent: null,
    heads: liveHeads(draft.record.heads),
    archive: {
      state,
      heads,
      spent: spent.length,
      bytes,
      packedBytes: parts.reduce((sum, { packed }) => sum + packed.length, 0),
      parts: parts.map(({ ranges, sha256 }) => ({ ranges, sha256 })),
    },
  });
  appendEvent(draft, { type: "archived", of: null }, context);
  return changeOf(draft, { moves: true });
}

/** The heads of what stands in rows beside an archive. */
function liveHeads(heads: Archive["heads"]): Archive["heads"] {
  return Object.fromEntries(Object.entries(heads).filter(([log]) => !isArchivable(log)));
}

/** Bring the logs back, and the session into the state it had. Null where it is not archived. */
export function unarchiveSession(draft: Draft, logs: Logs, context: Context): Change | null {
  const { record } = draft;
  if (record.state !== "archived") return null;
  const state = stateBefore(record);
  const spent = headOf(record, "spent");
  // Its age in this state begins anew, or a retention policy would put it away again at once.
  set(draft, { state, stateSince: context.now, archive: null });
  for (const [log, entries] of logs) splice(draft, log, 1, entries);
  // What these turns took is told by themselves again.
  if (spent < lastOwn(record, "spent")) splice(draft, "spent", spent + 1, []);
  if (lastOwn(draft.record, "archive") > 0) {
    splice(draft, "archive", 1, []);
    const { archive: _, ...heads } = draft.record.heads;
    set(draft, { heads });
  }
  appendEvent(draft, { type: "unarchived", state }, context);
  return changeOf(draft, { moves: true });
}
