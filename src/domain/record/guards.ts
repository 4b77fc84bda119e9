/**
 * Who writes, and what that writer knows. Both guards of a write stand here: the lease (who may write) and the last
 * change of the turns that the writer has seen (nobody writes on stale knowledge).
 */
import { SessionError } from "../../errors.ts";
import { headOf, isSame, turnsIdentity } from "./change.ts";
import type { Limits } from "../values/limits.ts";
import type { Identity, Lease, SessionRecord } from "./record.ts";

/** What a rule may know of the world. */
export interface Context {
  /** The store's time, epoch ms. */
  readonly now: number;
  /** A random number, from 0 up to 1. */
  readonly chance: number;
  readonly limits: Limits;
  /** Names the request or job on whose behalf something happens, for the events that tell of it. */
  readonly correlation?: string;
}

/** Somebody who wants to write turns. */
export interface Writer {
  readonly instance: string;
  /** The fence of the lease it writes under; null: without a lease. */
  readonly fence: number | null;
  /** The last change of the turns that it has seen. */
  readonly seen: Identity;
  /** The number of turns it has seen, for the error message. */
  readonly seenTurn: number;
}

/** The ids every error about a session carries. */
export function sessionIds(record: SessionRecord): { sessionId: string; tenant: string; agent: string } {
  return { sessionId: record.id, tenant: record.tenant, agent: record.agent };
}

/**
 * Nobody writes turns on stale knowledge.
 * @throws SessionError `conflict`
 */
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
 * A holder writes under its own fence, anybody else only where no lease stands. Dead leases are cleared by `recover`
 * before a rule asks, so a lease that stands here is taken for alive.
 * @throws SessionError `fenced` for a superseded holder, `busy` for the others
 */
export function guardLease(record: SessionRecord, fence: number | null, context: Context): void {
  if (fence !== null) {
    guardFence(record, fence);
    return;
  }
  if (record.lease !== null) throw busy(record, record.lease, context.now);
}

/** @throws SessionError `fenced` where this fence is not the one that stands */
export function guardFence(record: SessionRecord, fence: number): void {
  if (record.lease?.fence === fence) return;
  throw fenced(record, fence);
}

export function fenced(record: SessionRecord, fence: number): SessionError {
  const holder = record.lease?.instance ?? null;
  return new SessionError("fenced", { ...sessionIds(record), fence, storedFence: record.fence, holder });
}

export function turnOpen(record: SessionRecord, turn: number): SessionError {
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
