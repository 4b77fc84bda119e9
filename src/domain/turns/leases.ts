/**
 * Leases: who may write to a session.
 *
 * A lease is *held* until it is released, broken, or *dead*: past its `expiresAt`, or of an instance that is gone.
 * A dead lease is cleared by whoever wants to write next (`recover`), which also seals the turn it left open. Every
 * acquisition and every clearing raises the fence, so the former holder's next write fails `fenced`.
 */
import { SessionError } from "../../errors.ts";
import { changeOf, draftOf, set, splice, type Change, type Draft } from "../record/change.ts";
import { assemble, type Chunk } from "./chunk.ts";
import type { Entry } from "../record/entry.ts";
import { appendEvent } from "../record/event.ts";
import type { Lease, SessionRecord, Waiter } from "../record/record.ts";
import { nextState } from "../record/states.ts";
import { closeToolCalls, entryOfTurn, type Turn } from "./turn.ts";
import { countSealed } from "./counters.ts";
import { estimateUsage } from "./usage.ts";
import { busy, guardFence, sessionIds, turnOpen, type Context } from "../record/guards.ts";

/** What the holder of a dead lease left behind: the open turn and the pieces of its answer. */
export interface AbandonedTurn {
  readonly turn: Turn;
  /** The pieces that can be read. */
  readonly chunks: readonly Chunk[];
  /** How many pieces were written, by the record; more than `chunks` holds where some are missing or damaged. */
  readonly written: number;
}

/** True while the lease's own time runs; whether its instance lives is for the caller to find out. */
export function leaseRuns(lease: Lease, now: number): boolean {
  return lease.expiresAt === null || now < lease.expiresAt;
}

/** Why what a holder left is put in order. */
export interface Recovery {
  readonly reason: string;
  /** The instance that takes over from a holder that may well live; null: it is dead, and anybody may come next. */
  readonly to: string | null;
}

/**
 * Clear what a dead holder left: its lease, and its open turn, which becomes `interrupted` with what had arrived; its
 * dangling tool calls get a marked result. The fence grows, so the dead one, should it wake, is fenced.
 */
export function recover(draft: Draft, remains: AbandonedTurn | null, { reason, to }: Recovery, context: Context): void {
  const { lease, openTurn, lastActivityAt } = draft.record;
  const fence = draft.nextVersion;
  set(draft, { lease: null, fence, cancel: null });
  const told = { fence, turn: openTurn, reason };
  if (lease === null || to === null) {
    appendEvent(draft, { type: "recovered", from: lease?.instance ?? null, ...told }, context);
  } else {
    appendEvent(draft, { type: "taken_over", from: lease.instance, to, ...told }, context);
  }
  if (openTurn === null) return;
  if (remains?.turn.seq !== openTurn) throw new Error(`recovery of turn ${openTurn} without its remains`);
  const { chunks, written } = remains;
  const output = assemble(chunks);
  const isWhole = chunks.length >= written;
  const turn: Turn = {
    ...remains.turn,
    status: "interrupted",
    output: closeToolCalls(output),
    usage: estimateUsage(remains.turn.input, output),
    requests: 1,
    durationMs: Math.max(0, Math.min(context.now, lastActivityAt) - remains.turn.at),
    error: isWhole
      ? { code: "interrupted", message: reason }
      : {
          code: "store_invalid",
          message: `${reason}; only ${chunks.length} of ${written} pieces of the answer can be read`,
        },
  };
  sealOver(draft, turn);
}

/** Put the sealed turn in the open one's place and empty the chunks, in the same step. */
export function sealOver(draft: Draft, turn: Turn): Entry {
  // What it was begun with is counted already.
  const entry = entryOfTurn(turn, draft.record.counters.messages - turn.input.length);
  splice(draft, "turns", turn.seq, [entry]);
  if (draft.record.heads["chunks"] !== undefined) splice(draft, "chunks", 1, []);
  set(draft, { openTurn: null, cancel: null, counters: countSealed(draft.record.counters, turn) });
  return entry;
}

export interface Acquisition {
  readonly instance: string;
  /** Null: as long as the instance lives. */
  readonly ttlMs: number | null;
  /** The caller's place in the queue, if it waited. */
  readonly ticket: string | null;
  /** Go ahead of those who wait. @default false */
  readonly ahead?: boolean;
}

/**
 * Take the lease of a free session; the draft may have been through {@link recover}. One that sleeps goes on sleeping
 * until something is written.
 */
export function grant(draft: Draft, { instance, ttlMs, ticket, ahead = false }: Acquisition, context: Context): void {
  const { record } = draft;
  if (record.lease !== null) throw busy(record, record.lease, context.now);
  const waiters = record.waiters.filter((waiter) => waiter.until > context.now);
  const first = waiters[0];
  const isFirst = first !== undefined && first.ticket === ticket;
  if (first !== undefined && !isFirst && !ahead) {
    throw busy(
      record,
      { instance: first.instance, fence: record.fence, commitId: "", acquiredAt: context.now, expiresAt: null },
      context.now,
    );
  }
  nextState(record, "use", context.now); // a lease is for writing: one of a session that takes no writes is refused
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
    waiters: waiters.slice(isFirst ? 1 : 0),
  });
}

/** Give the lease back. An open turn must be sealed first. */
export function releaseLease(record: SessionRecord, fence: number): Change {
  guardFence(record, fence);
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  const draft = draftOf(record);
  set(draft, { lease: null });
  return changeOf(draft);
}

/** Prolong a lease that has an end of its own. */
export function renewLease(
  record: SessionRecord,
  { fence, ttlMs }: { fence: number; ttlMs: number },
  context: Context,
): Change {
  guardFence(record, fence);
  const draft = draftOf(record);
  if (record.lease !== null) set(draft, { lease: { ...record.lease, expiresAt: context.now + ttlMs } });
  return changeOf(draft);
}

/** Ask the running answer to stop. Null where nothing runs or somebody already asked. */
export function requestCancel(record: SessionRecord, context: Context): Change | null {
  if (record.openTurn === null || record.cancel?.turn === record.openTurn) return null;
  const draft = draftOf(record);
  set(draft, { cancel: { turn: record.openTurn, at: context.now } });
  return changeOf(draft);
}

/**
 * Join the queue for the lease, in the order given, or prolong the wait of tickets that are in it. Of those that do not
 * fit, none joins.
 * @throws SessionError `queue_full` where not one of them fits
 */
export function joinQueue(record: SessionRecord, joining: readonly Waiter[], context: Context): Change {
  const { waitersMax } = context.limits;
  const waiters = record.waiters.filter(({ until }) => until > context.now);
  let placed = 0;
  for (const waiter of joining) {
    const place = waiters.findIndex(({ ticket }) => ticket === waiter.ticket);
    if (place >= 0) waiters[place] = waiter;
    else if (waiters.length < waitersMax) waiters.push(waiter);
    else continue;
    placed++;
  }
  if (placed === 0) {
    throw new SessionError("queue_full", { ...sessionIds(record), waiting: waiters.length, waitingMax: waitersMax });
  }
  const draft = draftOf(record);
  set(draft, { waiters });
  return changeOf(draft);
}

/** Leave the queue. Null where the ticket is not in it. */
export function leaveQueue(record: SessionRecord, ticket: string): Change | null {
  if (!record.waiters.some((waiter) => waiter.ticket === ticket)) return null;
  const draft = draftOf(record);
  set(draft, { waiters: record.waiters.filter((waiter) => waiter.ticket !== ticket) });
  return changeOf(draft);
}
