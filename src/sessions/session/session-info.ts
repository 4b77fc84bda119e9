import { headOf } from "../../domain/record/change.ts";
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
import { durationMaxMs } from "../../domain/values/limits.ts";
import { stateAt } from "../../domain/record/states.ts";
import { seenOf, type Seen } from "../core/seen.ts";

/** The agent that has the floor. */
export interface ActiveAgent {
  readonly agent: string;
  /** When the floor was handed to it. */
  readonly since: Date;
  /** From when on the floor is nobody's. */
  readonly expiresAt: Date;
  /** What who handed it over wants the agent to know. */
  readonly note: string | null;
}

/** What is known of a session without reading its logs. */
export interface SessionInfo {
  readonly tenant: string;
  readonly id: string;
  /** As it holds at the moment of asking. */
  readonly state: SessionState;
  readonly agent: string;
  readonly user: string | null;
  readonly metadata: Metadata;
  readonly createdAt: Date;
  readonly lastActivityAt: Date;
  /** When it expires if nothing happens until then; null: never. */
  readonly expiresAt: Date | null;
  /** Who has the floor, as it holds at the moment of asking; null: nobody. */
  readonly activeAgent: ActiveAgent | null;
  /** The number of the last turn. */
  readonly turn: number;
  readonly counters: Counters;
  /** What it may spend; null: as much as it likes. */
  readonly budget: Budget | null;
  /** Grows by one with every change. */
  readonly version: number;
  /** Names the commit that made this version: tells it from the same number in a store that was restored. */
  readonly commitId: string;
  /** What `get` takes to write turns only where none came since. */
  readonly seen: Seen;
  /** Who may write, where somebody reserved that. */
  readonly lease: Lease | null;
  /** How many wait for the right to write. */
  readonly waiting: number;
  /** Why it must not go; null: it may. */
  readonly legalHold: { readonly reason: string; readonly since: Date } | null;
  /** The session whose turns it shares, up to a turn; null: all are its own. */
  readonly parent: { readonly id: string; readonly turn: number } | null;
  /** How large its logs were, and are now that they are put away; null: they are not. */
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
    metadata: record.metadata,
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
    lease: record.lease,
    waiting: record.waiters.filter(({ until }) => until > now).length,
    legalHold: legalHold === null ? null : { reason: legalHold.reason, since: new Date(legalHold.at) },
    parent: parent === null ? null : { id: parent.id, turn: parent.at },
    archive: archive === null ? null : { bytes: archive.bytes, packedBytes: archive.packedBytes },
  };
}

export function activeAgentOf(record: SessionRecord, now: number): ActiveAgent | null {
  const handoff = handoffAt(record, now);
  return handoff === null ? null : activeAgent(handoff);
}

export function activeAgent(handoff: Handoff): ActiveAgent {
  const { agent, since, expiresAt, note } = handoff;
  return { agent, since: new Date(since), expiresAt: new Date(expiresAt), note };
}
