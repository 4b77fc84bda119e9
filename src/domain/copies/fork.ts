/**
 * Forks: a fork continues from a turn of its parent. It shares the turns up to there, which remain rows of the parent, and has
 * its own from the next turn on, so a fork costs the same however long the parent is. The parent lists its forks, and keeps the
 * shared turns until each fork has its own copy.
 */
import {
  changeOf,
  draftOf,
  headOf,
  lastOwn,
  markLogs,
  set,
  splice,
  type Change,
  type Draft,
} from "../record/change.ts";
import { decode, encode } from "../values/codec.ts";
import { splicePrefix } from "../branches/branching.ts";
import type { Entry } from "../record/entry.ts";
import { appendEvent } from "../record/event.ts";
import { draftOfNew, type Logs, type NewSession } from "../record/lifecycle.ts";
import { noCounters, type SessionRecord } from "../record/record.ts";
import { SessionError } from "../../errors.ts";
import { turnOpen, type Context } from "../record/guards.ts";
import type { Staged } from "./staged.ts";

/** The last turn that a fork can share; 0 where there is none. */
export function lastFinished(record: SessionRecord): number {
  return record.openTurn === null ? headOf(record, "turns") : record.openTurn - 1;
}

/**
 * Fork the parent at turn `at`: the changes land together, that of the fork last. `messages` is the number of messages in
 * the turns up to there. At 0 the fork shares no turns, and the parent does not change. `named`: the named logs of the parent,
 * of which the fork has copies.
 * @throws SessionError `range_invalid` where there is no such turn, `turn_open`
 */
export function forkSession(
  parent: SessionRecord,
  {
    session,
    at,
    messages,
    named = { logs: new Map(), staged: undefined },
  }: { session: NewSession; at: number; messages: number; named?: CopiedLogs },
  context: Context,
): readonly [...Change[], Change] {
  const last = headOf(parent, "turns");
  if (!Number.isSafeInteger(at) || at < 0 || at > last)
    throw new SessionError("range_invalid", { name: "at", from: at, to: last });
  if (at > lastFinished(parent)) throw turnOpen(parent, at);
  const fork = draftOfNew(session, undefined, context);
  if (at === 0) {
    appendForked(fork, { parent, at }, context);
    return [withCopies(fork, named)];
  }

  const draft = draftOf(parent);
  const seq = lastOwn(parent, "forks") + 1;
  splice(draft, "forks", seq, [{ seq, key: null, at: context.now, data: encode({ session: session.key.id, at }) }]);
  set(draft, { forkedAt: Math.max(parent.forkedAt, at) });

  set(fork, {
    parent: { id: parent.id, at, born: parent.createdAt },
    inherited: at,
    heads: { ...fork.record.heads, turns: at },
    // The usage of the shared turns is counted with the parent.
    counters: { ...noCounters, turns: at, messages },
  });
  appendForked(fork, { parent, at }, context);
  return [changeOf(draft), withCopies(fork, named)];
}

/** Logs of the parent that a fork has copies of: in memory, or staged. With `staged` the logs in memory are empty. */
export interface CopiedLogs {
  readonly logs: Logs;
  readonly staged: Staged | undefined;
}

/** Close the draft of a fork, with its copies of the named logs. */
function withCopies(fork: Draft, { logs, staged }: CopiedLogs): Change {
  if (staged === undefined) {
    for (const [log, entries] of logs) splice(fork, log, 1, entries);
    return changeOf(fork);
  }
  set(fork, { heads: { ...fork.record.heads, ...staged.heads } });
  markLogs(fork, Object.keys(staged.heads));
  return { ...changeOf(fork), logsOf: staged.key };
}

function appendForked(fork: Draft, { parent, at }: { parent: SessionRecord; at: number }, context: Context): void {
  const { agent, user } = fork.record;
  appendEvent(fork, { type: "created", agent, user }, context);
  appendEvent(fork, { type: "forked", from: parent.id, turn: at }, context);
}

/** The id of the fork that an entry of the log `forks` names. */
export function forkOf(entry: Entry): string {
  return (decode(entry.data) as { readonly session: string }).session;
}

/** The parent that a fork had when the log `forks` of this session named it; null where another session has its id now. */
export function parentOf(fork: SessionRecord, entry: Entry, { id, createdAt }: SessionRecord): SessionRecord["parent"] {
  // A session that was created in the millisecond of the removed fork shares no turns.
  if (fork.createdAt !== entry.at || fork.inherited === 0) return null;
  const { at } = decode(entry.data) as { readonly at: number };
  return { id, at, born: createdAt };
}

/**
 * The last shared turns become rows of the fork: `turns` ends with the last shared one, and the fork continues to share those
 * before its first one. A log of any length is copied in several such steps, from its end to its beginning; between two steps the
 * record names the turns that are still rows of the parent.
 */
export function ownTurns(record: SessionRecord, turns: readonly Entry[]): Change {
  const { parent } = record;
  const first = turns[0]?.seq;
  if (parent === null || first === undefined || turns.at(-1)?.seq !== parent.at)
    throw new RangeError(`the turns to copy do not end with the last shared turn of ${record.id}`);
  const draft = draftOf(record);
  splicePrefix(draft, turns);
  set(draft, { parent: first === 1 ? null : { ...parent, at: first - 1 } });
  return changeOf(draft, { moves: true });
}

/** Empty the list of forks, each of which has its own turns by now; null where the list has more than these. */
export function deleteForkEntries(record: SessionRecord, count: number): Change | null {
  if (lastOwn(record, "forks") !== count) return null;
  const draft = draftOf(record);
  splice(draft, "forks", 1, []);
  set(draft, { forkedAt: 0 });
  return changeOf(draft);
}
