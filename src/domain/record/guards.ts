/**
 * The two guards of a write of turns: the lease, which says which writer may write, and the last change of the turns
 * that the writer has seen, so that it does not write on stale data.
 */
import { SessionError } from "../../errors.ts";
import { defined } from "../values/defined.ts";
import { headOf, isSame, mayFollow, turnsIdentity } from "./change.ts";
import type { Limits } from "../values/limits.ts";
import type { Identity, Lease, SessionRecord } from "./record.ts";

/** The inputs of a rule from outside. */
export interface Context {
  /** The store's time, epoch ms. */
  readonly now: number;
  /** A random number, from 0 to below 1. */
  readonly chance: number;
  readonly limits: Limits;
  /** The name of the request or job that caused the change, for its events. */
  readonly correlation?: string;
}

/** A writer of turns. */
export interface Writer {
  readonly instance: string;
  /** The fencing token of the lease that it writes under; null: it has no lease. */
  readonly fence: number | null;
  /** The last change of the turns that it has seen. */
  readonly seen: Identity;
  /** The number of turns it has seen, for the error message. */
  readonly seenTurn: number;
}

/** The ids that errors about a session carry. */
export function sessionIds(record: SessionRecord): { sessionId: string; tenant: string; agent: string } {
  return { sessionId: record.id, tenant: record.tenant, agent: record.agent };
}

/** A writer must have seen the last change of the turns. @throws SessionError `conflict` */
export function guardSeen(record: SessionRecord, writer: Writer): void {
  if (isSame(writer.seen, turnsIdentity(record))) return;
  throw new SessionError("conflict", {
    ...sessionIds(record),
    seenTurn: writer.seenTurn,
    storedTurn: headOf(record, "turns"),
    seenVersion: writer.seen.version,
    storedVersion: record.turnsVersion,
  });
}

/**
 * Commits are durable: a record that cannot descend from a known one came with a restored backup.
 * @throws SessionError `store_restored`
 */
export function guardHistory(known: SessionRecord, current: SessionRecord): void {
  if (mayFollow(current, known)) return;
  throw new SessionError("store_restored", {
    ...sessionIds(known),
    seenTurn: headOf(known, "turns"),
    storedTurn: headOf(current, "turns"),
    seenVersion: known.version,
    storedVersion: current.version,
  });
}

/**
 * A lease holder writes under its own fencing token; other writers may write only if there is no lease. The caller
 * clears leases of dead holders with `recover` first, so a lease here counts as alive.
 * @throws SessionError `fenced` for a superseded holder, `busy` for other writers
 */
export function guardLease(record: SessionRecord, fence: number | null, context: Context): void {
  if (fence !== null) {
    guardFence(record, fence);
    return;
  }
  if (record.lease !== null) throw busy(record, record.lease, context.now);
}

/** @throws SessionError `fenced` if this is not the fencing token of the lease */
export function guardFence(record: SessionRecord, fence: number): void {
  if (record.lease?.fence === fence) return;
  throw fenced(record, fence);
}

export function fenced(record: SessionRecord, fence: number): SessionError {
  const holder = record.lease?.instance ?? null;
  return new SessionError("fenced", { ...sessionIds(record), fence, storedFence: record.fence, holder });
}

/** The error of a write that the open turn refuses: `turn_waiting` if it waits to be resumed, else `turn_open`. */
export function turnOpen(record: SessionRecord, turn: number): SessionError {
  const { waiting } = record;
  if (waiting !== null) {
    const { reason, since, expiresAt } = waiting;
    return new SessionError("turn_waiting", {
      ...sessionIds(record),
      turn,
      reason,
      since,
      ...defined({ expiresAt: expiresAt ?? undefined }),
    });
  }
  const holder = record.lease?.instance ?? null;
  return new SessionError("turn_open", { ...sessionIds(record), turn, holder, fence: record.fence });
}

export function busy(record: SessionRecord, lease: Lease, now: number): SessionError {
  return new SessionError("busy", {
    ...sessionIds(record),
    holder: lease.instance,
    fence: lease.fence,
    heldForMs: Math.max(0, now - lease.acquiredAt),
  });
}
