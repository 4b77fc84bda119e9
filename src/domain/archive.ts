/** Putting a session's logs away, compressed, and bringing them back: the same entries, kept elsewhere. */
import { changeOf, firstOwn, lastOwn, set, splice, type Change, type Draft } from "./change.ts";
import { encode } from "./codec.ts";
import type { Entry, LogName } from "./entry.ts";
import type { Logs } from "./lifecycle.ts";
import type { Archive, ArchivedRange, SessionRecord } from "./record.ts";
import { SessionError } from "../errors.ts";
import { nextState, stateAt } from "./states.ts";
import { guardLease, sessionIds, type Context } from "./writer.ts";

/** Logs that stay beside the record: what is put away, and who reads through it. */
const keptLogs: readonly LogName[] = ["archive", "forks"];

/** True for a log that is put away with the session. */
export function isArchivable(log: LogName): boolean {
  return !keptLogs.includes(log);
}

/** The logs that a session is made of, wherever they are. */
export function logsOf({ heads, archive }: Pick<SessionRecord, "heads" | "archive">): readonly LogName[] {
  return Object.keys(archive?.heads ?? heads).filter(isArchivable);
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
  /** Their bytes before. */
  readonly bytes: number;
}

/**
 * Put the logs away: compressed ones take their place, in the same step. Null where that was done already.
 * @throws SessionError `busy` or `fenced` where another writer is at work, `turn_open` where this one is
 */
export function archiveSession(
  draft: Draft,
  { logs: { parts, heads, bytes }, fence }: { logs: PackedLogs; fence: number | null },
  context: Context,
): Change | null {
  const { record } = draft;
  if (record.archive !== null) return null;
  guardLease(record, fence, context);
  if (record.openTurn !== null) throw new SessionError("turn_open", { ...sessionIds(record), turn: record.openTurn });
  const before = stateAt(record, context.now);
  // What a restart has put away was at its end.
  const state = before === "archived" ? nextState(record, "unarchive", context.now) : before;
  if (state === "archived") throw new Error("nothing comes back as archived");
  for (const log of Object.keys(record.heads)) {
    if (isArchivable(log)) splice(draft, log, firstOwn(record, log), []);
  }
  const entries = parts.map(({ packed }, index): Entry => {
    return { seq: index + 1, key: null, at: context.now, data: encode({ brotli: packed }) };
  });
  splice(draft, "archive", 1, entries);
  set(draft, {
    state: nextState(record, "archive", context.now),
    stateSince: context.now,
    lease: null,
    waiters: [],
    cancel: null,
    floor: null,
    // The archive is whole, the turns of a parent included.
    parent: null,
    heads: liveHeads(draft.record.heads),
    archive: {
      state,
      heads,
      bytes,
      packedBytes: entries.reduce((sum, { data }) => sum + data.length, 0),
      parts: parts.map(({ ranges, sha256 }) => ({ ranges, sha256 })),
    },
  });
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
  const state = record.archive?.state ?? nextState(record, "unarchive", context.now);
  // Its age in this state begins anew, or a retention policy would put it away again at once.
  set(draft, { state, stateSince: context.now, archive: null });
  for (const [log, entries] of logs) splice(draft, log, 1, entries);
  if (lastOwn(draft.record, "archive") > 0) {
    splice(draft, "archive", 1, []);
    const { archive: _, ...heads } = draft.record.heads;
    set(draft, { heads });
  }
  return changeOf(draft, { moves: true });
}
