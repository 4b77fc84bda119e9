import { headOf, namedLogs } from "../../domain/record/change.ts";
import { handoffAt } from "../../domain/record/handoff.ts";
import type {
  Counters,
  Handoff,
  Lease,
  Metadata,
  SessionRecord,
  SessionState,
  Budget,
} from "../../domain/record/record.ts";
import type { Labels } from "../../domain/values/labels.ts";
import { durationMaxMs } from "../../domain/values/limits.ts";
import { waitsAt } from "../../domain/turns/leases.ts";
import { stateAt } from "../../domain/record/states.ts";
import { seenOf, type Seen } from "../core/seen.ts";

/** The active agent of a session. */
export interface ActiveAgent {
  readonly agent: string;
  /** The time of the handoff. */
  readonly since: Date;
  /** The end of the handoff. */
  readonly expiresAt: Date;
  /** Information for the agent. */
  readonly note: string | null;
}

/** A session without its logs. */
export interface SessionInfo {
  readonly tenant: string;
  readonly id: string;
  /** The state at the time of the call. */
  readonly state: SessionState;
  readonly agent: string;
  readonly user: string | null;
  /** The title for people; null: none. */
  readonly title: string | null;
  readonly labels: Labels;
  readonly metadata: Metadata;
  readonly createdAt: Date;
  readonly lastActivityAt: Date;
  /** When it expires if nothing happens until then; null: never. */
  readonly expiresAt: Date | null;
  /** The active agent at the time of the call; null: none. */
  readonly activeAgent: ActiveAgent | null;
  /** The number of the last turn. */
  readonly turn: number;
  readonly counters: Counters;
  /** The budget; null: no limit. */
  readonly budget: Budget | null;
  /** Grows by one with every change. */
  readonly version: number;
  /** The id of the commit that made this version: distinguishes it from the same number in a restored store. */
  readonly commitId: string;
  /** Pass it to `get`: turns are then written only if no other turn was written since. */
  readonly seen: Seen;
  /** The named logs that were ever written to, and the last seq of each. */
  readonly logs: { readonly [name: string]: { readonly end: number } };
  /** The lease; null: none. */
  readonly lease: Lease | null;
  /** The number of waiters for the lease. */
  readonly waiting: number;
  /** The turn that waits to be resumed; null: none. Its token and its state are in `Session.waiting()`. */
  readonly waitingTurn: {
    readonly turn: number;
    readonly reason: string;
    readonly since: Date;
    /** Null: it waits as long as the session lives. */
    readonly expiresAt: Date | null;
  } | null;
  /** The legal hold; null: none. */
  readonly legalHold: { readonly reason: string; readonly since: Date } | null;
  /** The session whose turns it shares, up to a turn; null: it shares none. */
  readonly parent: { readonly id: string; readonly turn: number } | null;
  /** The bytes of its logs before and after compression; null: they are not archived. */
  readonly archive: { readonly bytes: number; readonly packedBytes: number } | null;
}

export function infoOf(record: SessionRecord, now: number): SessionInfo {
  const { legalHold, parent, archive } = record;
  return {
    tenant: record.tenant,
    id: record.id,
    state: stateAt(record, now),
    agent: record.agent,
    user: record.user,
    title: record.title,
    labels: record.labels,
    metadata: copyOf(record.metadata),
    createdAt: new Date(record.createdAt),
    lastActivityAt: new Date(record.lastActivityAt),
    expiresAt: record.ttlMs >= durationMaxMs && record.maxAgeMs === null ? null : new Date(record.expiresAt),
    activeAgent: activeAgentOf(record, now),
    turn: headOf(record, "turns"),
    counters: record.counters,
    budget: record.budget,
    version: record.version,
    commitId: record.commitId,
    seen: seenOf(record),
    logs: Object.fromEntries(namedLogs(record).map((log) => [log, { end: headOf(record, log) }])),
    lease: record.lease,
    waiting: record.waiters.filter((waiter) => waiter.until > now && waiter.withdrawn !== true).length,
    waitingTurn: waitingTurnOf(record, now),
    legalHold: legalHold === null ? null : { reason: legalHold.reason, since: new Date(legalHold.at) },
    parent: parent === null ? null : { id: parent.id, turn: parent.at },
    archive: archive === null ? null : { bytes: archive.bytes, packedBytes: archive.packedBytes },
  };
}

/** A caller may change what it is given. The record must not change with it: the next write stores the record. */
function copyOf(metadata: Metadata): Metadata {
  return Object.keys(metadata).length === 0 ? {} : structuredClone(metadata);
}

function waitingTurnOf(record: SessionRecord, now: number): SessionInfo["waitingTurn"] {
  const { waiting, openTurn } = record;
  if (waiting === null || openTurn === null || !waitsAt(record, now)) return null;
  const { reason, since, expiresAt } = waiting;
  const end = expiresAt === null ? null : new Date(expiresAt);
  return { turn: openTurn, reason, since: new Date(since), expiresAt: end };
}

export function activeAgentOf(record: SessionRecord, now: number): ActiveAgent | null {
  const handoff = handoffAt(record, now);
  return handoff === null ? null : activeAgent(handoff);
}

export function activeAgent(handoff: Handoff): ActiveAgent {
  const { agent, since, expiresAt, note } = handoff;
  return { agent, since: new Date(since), expiresAt: new Date(expiresAt), note };
}
