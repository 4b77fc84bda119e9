/**
 * Leases: the exclusive right to write to a session. States of a lease:
 *
 * - *held*: until its holder releases it, an operator breaks it, or it is dead.
 * - *dead*: its `expiresAt` has passed, or its instance has no fresh heartbeat. The next writer clears it (`recover`) and
 *   seals the turn that it left open.
 *
 * Each acquisition and each recovery raises the fencing token, so the next write of the former holder fails with `fenced`.
 */
import { SessionError } from "../../errors.ts";
import { changeOf, countUsage, draftOf, set, splice, spliceEntry, type Change, type Draft } from "../record/change.ts";
import { assemble, type Chunk } from "./chunk.ts";
import type { Entry } from "../record/entry.ts";
import { appendEvent } from "../record/event.ts";
import type { Lease, SessionRecord, Waiter, Waiting } from "../record/record.ts";
import { nextState, stateAt } from "../record/states.ts";
import { closeToolCalls, entryOfTurn, type Message, type ToolCall, type Turn, type Usage } from "./turn.ts";
import { defined } from "../values/defined.ts";
import { countSealed } from "./counters.ts";
import { dropReplaced, hasKept, putBack } from "./replaced-turns.ts";
import { estimateUsage } from "./usage.ts";
import { isStreamScope } from "../values/internal-scope.ts";
import { busy, guardFence, sessionIds, turnOpen, type Context } from "../record/guards.ts";

/** The open turn of a dead lease holder, and the chunks of its answer. */
export interface AbandonedTurn {
  readonly turn: Turn;
  /** The readable chunks. */
  readonly chunks: readonly Chunk[];
  /** The number of chunks by the record; larger than `chunks` if some are missing or damaged. */
  readonly written: number;
  /** The tool calls whose tools have not begun to run, of a turn that waits. */
  readonly notRun: readonly ToolCall[];
  /** The entries of the turns that it replaced. */
  readonly replaced: readonly Entry[];
}

/** The holder of a lease whose writer proves it by a token, through any instance: it is alive until its time is up. */
export const tokenHolder = "token";

/** True until the lease's own time is up; the caller checks whether its instance is alive. */
export function leaseRuns(lease: Lease, now: number): boolean {
  return lease.expiresAt === null || now < lease.expiresAt;
}

/** Why a session is recovered. */
export interface Recovery {
  readonly reason: string;
  /** The instance that takes over from a holder that may be alive; null: the holder is dead. */
  readonly to: string | null;
}

/**
 * Clear the lease of a former holder and seal its open turn as `interrupted`, with the output received so far; tool calls
 * without a result get a marked one. The fencing token grows, so that the former holder is fenced if it wakes.
 */
export function recover(draft: Draft, remains: AbandonedTurn | null, { reason, to }: Recovery, context: Context): void {
  const { lease, openTurn, waiting } = draft.record;
  // A turn that waits continues to wait: its session lost a lease that no turn was written under.
  const turn = remains === null && waiting !== null ? null : openTurn;
  const fence = draft.nextVersion;
  set(draft, { lease: null, fence, cancel: null });
  const facts = { fence, turn, reason };
  if (lease === null || to === null) {
    appendEvent(draft, { type: "recovered", from: lease?.instance ?? null, ...facts }, context);
  } else {
    appendEvent(draft, { type: "taken_over", from: lease.instance, to, ...facts }, context);
  }
  if (turn === null) return;
  if (remains?.turn.seq !== turn) throw new Error(`recovery of turn ${turn} without the abandoned turn`);
  sealLeft(draft, remains, reason, context);
}

/** Seal the open turn, which has no writer, as `interrupted`, with the output received so far. The lease stays as it is. */
export function sealLeft(draft: Draft, remains: AbandonedTurn, reason: string, context: Context): void {
  const { waiting, lastActivityAt } = draft.record;
  const { chunks, written, notRun, replaced } = remains;
  const output = assemble(chunks);
  const isWhole = chunks.length >= written;
  const waitedMs = waitedAt(remains.turn, waiting, context.now);
  const endedAt = waiting?.since ?? Math.min(context.now, lastActivityAt);
  const sealed: Turn = {
    ...remains.turn,
    status: "interrupted",
    output: closeToolCalls(output, notRun),
    usage: usageSoFar(remains.turn, output),
    requests: Math.max(1, remains.turn.requests),
    durationMs: Math.max(0, endedAt - remains.turn.at.getTime() - (remains.turn.waitedMs ?? 0)),
    ...defined({ waitedMs }),
    error: isWhole
      ? { code: "interrupted", message: reason }
      : {
          code: "store_invalid",
          message: `${reason}; only ${chunks.length} of ${written} chunks of the answer can be read`,
        },
  };
  if (waiting !== null) {
    const waited = Math.max(0, context.now - waiting.since);
    appendEvent(draft, { type: "wait_ended", turn: remains.turn.seq, waitedMs: waited, reason }, context);
  }
  sealOver(draft, sealed, replaced);
}

/** The usage that the turn reported before it waited, or an estimate if that is more. */
function usageSoFar({ input, usage }: Turn, output: readonly Message[]): Usage {
  const estimate = estimateUsage(input, output);
  return usage !== undefined && usage.totalTokens >= estimate.totalTokens ? usage : estimate;
}

/** How long the turn has waited, with a wait that lasts until now; undefined if it never waited. */
export function waitedAt({ waitedMs }: Turn, waiting: Waiting | null, now: number): number | undefined {
  if (waiting === null) return waitedMs;
  return (waitedMs ?? 0) + Math.max(0, now - waiting.since);
}

/** True while the open turn waits to be resumed: its time is not up, and the session takes writes. */
export function waitsAt(record: SessionRecord, now: number): boolean {
  const { waiting } = record;
  if (waiting === null || (waiting.expiresAt !== null && waiting.expiresAt <= now)) return false;
  const state = stateAt(record, now);
  return state === "active" || state === "inactive";
}

/**
 * Replace the open turn by the sealed one and empty the chunks, in the same step; a stream keeps its chunks. A turn that failed without output gives
 * its place back to the turns that it replaced.
 */
export function sealOver(draft: Draft, turn: Turn, replaced: readonly Entry[]): Entry {
  // Its input was counted when it began.
  const entry = entryOfTurn(turn, draft.record.counters.messages - turn.input.length);
  // Readers of a stream may come after its end.
  const keepsChunks = isStreamScope(draft.record.tenant);
  if (draft.record.heads["chunks"] !== undefined && !keepsChunks) splice(draft, "chunks", 1, []);
  set(draft, { openTurn: null, waiting: null, cancel: null });
  countUsage(draft, { tokens: turn.usage?.totalTokens ?? 0, turns: 0 });
  if (isWordless(turn) && hasKept(replaced)) {
    putBack(draft, replaced, turn);
    return entry;
  }
  spliceEntry(draft, "turns", entry);
  set(draft, { counters: countSealed(draft.record.counters, turn) });
  dropReplaced(draft);
  return entry;
}

/** True for a turn that ended before the first word of its answer. */
export function isWordless({ status, output }: Pick<Turn, "status" | "output">): boolean {
  return (status === "failed" || status === "interrupted") && output.length === 0;
}

export interface Acquisition {
  readonly instance: string;
  /** Null: while the instance is alive. */
  readonly ttlMs: number | null;
  /** The caller's ticket in the queue, if it waited. */
  readonly ticket: string | null;
  /** Pass the waiters of the queue. @default false */
  readonly ahead?: boolean;
}

/**
 * Take the lease of a free session; the draft may come from {@link recover}. An inactive session stays inactive until a
 * write.
 * @throws SessionError `busy`, that of the session's state
 */
export function grant(draft: Draft, { instance, ttlMs, ticket, ahead = false }: Acquisition, context: Context): void {
  const { record } = draft;
  const isGranted = isGrantedTo(record, ticket);
  if (record.lease !== null && !isGranted) throw busy(record, record.lease, context.now);
  const waiters = record.waiters.filter((waiter) => waiter.until > context.now);
  if (waiters.some((waiter) => waiter.ticket === ticket && waiter.withdrawn === true)) throw withdrawn(record);
  const first = waiters.find((waiter) => waiter.withdrawn !== true);
  const isFirst = first !== undefined && first.ticket === ticket;
  if (first !== undefined && !isFirst && !isGranted && !ahead) {
    throw busy(
      record,
      { instance: first.instance, fence: record.fence, commitId: "", acquiredAt: context.now, expiresAt: null },
      context.now,
    );
  }
  nextState(record, "use", context.now); // refuses a lease of a session that takes no writes
  const fence = draft.nextVersion;
  set(draft, {
    fence,
    lease: {
      instance,
      fence,
      commitId: "",
      acquiredAt: context.now,
      expiresAt: ttlMs === null ? null : context.now + ttlMs,
    },
    waiters: isFirst ? waiters.filter((waiter) => waiter !== first) : waiters,
  });
}

/** How long a granted lease lasts until its holder confirms it, ms: a dead waiter does not block the queue for longer. */
const grantMs = 5000;

/**
 * End the lease. In the same step the first waiter of the queue gets one, so it need not write to take it, and no other writer
 * comes before it.
 */
export function passLease(draft: Draft, context: Context): void {
  const { record } = draft;
  const waiters = record.waiters.filter((waiter) => waiter.until > context.now);
  const next = waiters.find((waiter) => waiter.withdrawn !== true);
  const state = stateAt(record, context.now);
  const takesTurns = record.openTurn === null && (state === "active" || state === "inactive");
  if (next?.leaseMs === undefined || !takesTurns) {
    set(draft, { lease: null });
    return;
  }
  const { ticket, instance, leaseMs } = next;
  const fence = draft.nextVersion;
  const expiresAt = context.now + Math.min(leaseMs ?? grantMs, grantMs);
  set(draft, {
    fence,
    lease: { instance, fence, commitId: "", acquiredAt: context.now, expiresAt, ticket, fenceBefore: record.fence },
    waiters: waiters.filter((waiter) => waiter !== next),
  });
}

/** True if the lease was granted to this place in the queue. */
export function isGrantedTo({ lease }: Pick<SessionRecord, "lease">, ticket: string | null): boolean {
  return ticket !== null && lease?.ticket === ticket;
}

/** Release the lease. An open turn must be sealed first. */
export function releaseLease(record: SessionRecord, fence: number, context: Context): Change {
  guardFence(record, fence);
  if (record.openTurn !== null && record.waiting === null) throw turnOpen(record, record.openTurn);
  const draft = draftOf(record);
  passLease(draft, context);
  return changeOf(draft);
}

/** Renew a lease that has a time limit; null: it lasts as long as its instance from now on. */
export function renewLease(
  record: SessionRecord,
  { fence, ttlMs }: { fence: number; ttlMs: number | null },
  context: Context,
): Change {
  guardFence(record, fence);
  const draft = draftOf(record);
  const expiresAt = ttlMs === null ? null : context.now + ttlMs;
  if (record.lease !== null) set(draft, { lease: { ...record.lease, expiresAt } });
  return changeOf(draft);
}

/** Ask the running answer to stop. Null if no answer runs, it was asked already, or it waits and has no writer. */
export function requestCancel(record: SessionRecord, context: Context): Change | null {
  if (record.openTurn === null || record.waiting !== null || record.cancel?.turn === record.openTurn) return null;
  const draft = draftOf(record);
  set(draft, { cancel: { turn: record.openTurn, at: context.now } });
  return changeOf(draft);
}

/**
 * Join the queue for the lease, in the order given, or prolong the wait of tickets that are in it. Tickets beyond the
 * limit do not join.
 * @throws SessionError `queue_full` if none of them fits
 */
export function joinQueue(record: SessionRecord, joining: readonly Waiter[], context: Context): Change {
  const { waitersMax } = context.limits;
  const waiters = record.waiters.filter(({ until }) => until > context.now);
  let placed = 0;
  for (const waiter of joining) {
    const place = waiters.findIndex(({ ticket }) => ticket === waiter.ticket);
    if (place >= 0) waiters[place] = { ...waiter, ...(waiters[place]?.withdrawn === true ? { withdrawn: true } : {}) };
    else if (waiters.length < waitersMax) waiters.push(waiter);
    else continue;
    placed++;
  }
  if (placed === 0) {
    throw new SessionError("queue_full", { ...sessionIds(record), waiting: waiters.length, waitingMax: waitersMax });
  }
  const draft = draftOf(record);
  set(draft, { waiters });
  // The lease may have been released before the first waiter joined.
  if (record.lease === null) passLease(draft, context);
  return changeOf(draft);
}

/** Withdraw the questions with this key that wait for the lease. Null if none waits. */
export function withdrawWaiters(record: SessionRecord, key: string, context: Context): Change | null {
  const isMeant = (waiter: Waiter): boolean =>
    waiter.key === key && waiter.withdrawn !== true && waiter.until > context.now;
  if (!record.waiters.some(isMeant)) return null;
  const draft = draftOf(record);
  set(draft, {
    waiters: record.waiters.map((waiter) => (isMeant(waiter) ? { ...waiter, withdrawn: true } : waiter)),
  });
  return changeOf(draft);
}

/** The error of a question that was withdrawn while it waited. */
export function withdrawn(record: SessionRecord): SessionError<"aborted"> {
  return new SessionError("aborted", { ...sessionIds(record), waitedMs: 0 });
}

/** Leave the queue, or give up the lease that was granted to this place. Null if the ticket has neither. */
export function leaveQueue(record: SessionRecord, ticket: string, context: Context): Change | null {
  const draft = draftOf(record);
  if (isGrantedTo(record, ticket)) {
    passLease(draft, context);
    return changeOf(draft);
  }
  if (!record.waiters.some((waiter) => waiter.ticket === ticket)) return null;
  set(draft, { waiters: record.waiters.filter((waiter) => waiter.ticket !== ticket) });
  return changeOf(draft);
}
