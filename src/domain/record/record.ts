import type { LogName } from "./entry.ts";
import type { Value } from "../values/codec.ts";
import type { Labels } from "../values/labels.ts";

/** The states of a session; the rules between them are in `states.ts`. */
export type SessionState = "active" | "inactive" | "expired" | "ended" | "archived";

/** The states of a session that is no longer live. */
export type SettledState = Exclude<SessionState, "active" | "inactive">;

/** The limits of a session. The turn that reaches one is kept; the next turn fails with `budget_exceeded`. */
export interface Budget {
  /** All tokens of the session, those of truncated turns included. */
  readonly tokens?: number;
  /** Turns in its log. */
  readonly turns?: number;
}

/** Free data of the application, a plain object of storable values. */
export type Metadata = { readonly [key: string]: Value | undefined };

/**
 * Sums over a session. Turns and messages count the entries in the log; requests, tokens and durations are usage, and
 * never decrease, also when turns are truncated.
 */
export interface Counters {
  readonly turns: number;
  readonly messages: number;
  /** Calls of a model. */
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  /** Sum over all turns, ms. */
  readonly durationMs: number;
  /** The longest turn, ms. */
  readonly longestMs: number;
}

export const noCounters: Counters = {
  turns: 0,
  messages: 0,
  requests: 0,
  inputTokens: 0,
  outputTokens: 0,
  totalTokens: 0,
  durationMs: 0,
  longestMs: 0,
};

export const counterNames: readonly (keyof Counters)[] = Object.keys(noCounters) as (keyof Counters)[];

/**
 * The exclusive right to write to a session. It is valid while the heartbeat of its instance is fresh, `expiresAt` is
 * in the future and no greater fencing token was granted; safety depends on the last condition only.
 */
export interface Lease {
  /** The id of the instance that holds it. */
  readonly instance: string;
  readonly fence: number;
  /** The commit that granted it: distinguishes it from a lease with the same fencing token in a restored store. */
  readonly commitId: string;
  readonly acquiredAt: number;
  /** The end of the lease, epoch ms, also if its instance is alive; null: it lasts as long as its instance. */
  readonly expiresAt: number | null;
  /** The place in the queue that a lease was granted to when the one before it ended; absent for a lease that its holder took. */
  readonly ticket?: string;
  /** The greatest fencing token before the grant. */
  readonly fenceBefore?: number;
}

/** A waiter in the queue for the lease of a session. */
export interface Waiter {
  readonly ticket: string;
  readonly instance: string;
  /** The time until which it waits, epoch ms. */
  readonly until: number;
  /** The idempotency key of its question. */
  readonly key?: string;
  /** How long its lease lasts, ms; null: as long as its instance. Absent for a program that takes no granted lease. */
  readonly leaseMs?: number | null;
  /** The question was withdrawn: its process leaves the queue, and the next one in the queue is first. */
  readonly withdrawn?: true;
}

/** A request to stop the running answer; its writer sees it at its next write or poll. */
export interface Cancel {
  /** The open turn that it is about. */
  readonly turn: number;
  readonly at: number;
}

/** The open turn has no writer, and waits until a caller resumes it. */
export interface Waiting {
  /** Resumes the turn, once. */
  readonly token: string;
  /** Why it waits, such as "approval". */
  readonly reason: string;
  readonly since: number;
  /** The end of the wait, epoch ms; null: it waits as long as the session lives. */
  readonly expiresAt: number | null;
}

/** The active agent of a session, for a time. */
export interface Handoff {
  readonly agent: string;
  /** The time of the handoff, epoch ms. */
  readonly since: number;
  /** The end of the handoff, epoch ms. */
  readonly expiresAt: number;
  /** Information for the agent. */
  readonly note: string | null;
  /** The application wrote the note, so the agent may take it as an instruction. Without it the note is reported speech. */
  readonly noteFrom?: "application";
}

/** Entries of a log that a part of an archive contains, bounds included. */
export interface ArchivedRange {
  readonly log: LogName;
  readonly from: number;
  readonly to: number;
}

/** The archived logs of a session: compressed, each part an entry of its log `archive`. */
export interface Archive {
  /** The state after the restore. */
  readonly state: Exclude<SessionState, "archived">;
  /** The last seq of each archived log. */
  readonly heads: { readonly [log: string]: number };
  /** The content of each entry of the log `archive`, in order, and the SHA-256 of its text before compression. */
  readonly parts: readonly { readonly ranges: readonly ArchivedRange[]; readonly sha256: string }[];
  /** The number of entries of the log of truncated usage, the last ones, that are the usage of the archived turns. */
  readonly usageEntries: number;
  /** The bytes of the logs before the compression. */
  readonly bytes: number;
  /** The bytes of the log `archive`. */
  readonly packedBytes: number;
}

/** A legal hold: callers, the sweep and erasures must not remove the session. */
export interface LegalHold {
  readonly reason: string;
  readonly at: number;
}

/** A reset: a new session began under the id, and the earlier one is archived. */
export interface Reset {
  /** The id of the archived session. */
  readonly archive: string;
  readonly at: number;
}

/** The session that contains the first turns of a fork. */
export interface Parent {
  readonly id: string;
  /** The last turn that is the parent's. */
  readonly at: number;
  /** The creation of the parent: distinguishes it from a later session with its id. */
  readonly born: number;
}

/**
 * The places of the turns of a session with branches. A segment is a log of turns. It bears the number of the branch that it
 * began with, and its entries are numbered from 1. The current branch has its last turns in the segment of its own number, and
 * those before in the segments of the path.
 */
export interface Segments {
  /** The segment in the log `turns`; each other one is a log of its own. */
  readonly root: number;
  /** The current branch. */
  readonly current: number;
  /** The segments with the earlier turns of the current branch, in order, each with the last turn that the branch has there. */
  readonly path: readonly (readonly [segment: number, to: number])[];
  /** The greatest number that a branch was given. */
  readonly made: number;
  /** The last turn that the current branch shares with another one; 0: none. */
  readonly shared: number;
}

/**
 * Identifies one version of a session's record. The number alone can recur: a store that was restored from a backup
 * counts the same versions again, with other content.
 */
export interface Identity {
  /** Grows by one with every change; `firstVersion` gives the first. */
  readonly version: number;
  /** The id of the commit that wrote this version, unique for each commit. */
  readonly commitId: string;
}

/** The small, typed header of a session. Every change replaces the whole record and increments `version`. */
export interface SessionRecord extends Identity {
  readonly tenant: string;
  readonly id: string;
  /** As last written; the current state also depends on the clock, see `stateAt`. */
  readonly state: SessionState;
  /** The agent the session was opened for. */
  readonly agent: string;
  readonly user: string | null;
  /** The title for people; null: none. */
  readonly title: string | null;
  /** Sorted by name. */
  readonly labels: Labels;
  readonly metadata: Metadata;
  readonly createdAt: number;
  readonly lastActivityAt: number;
  /** The time of the last change of the state, epoch ms. */
  readonly stateSince: number;
  /** The time when an expired, ended or archived session was restored: its retention begins then; null: as for its state. */
  readonly restoredAt: number | null;
  /** The time to live after the last activity, ms. */
  readonly ttlMs: number;
  /** The time to live after `maxAgeFrom`, ms, independent of activity; null: no limit. */
  readonly maxAgeMs: number | null;
  /** The creation or the last revival, epoch ms. */
  readonly maxAgeFrom: number;
  readonly expiresAt: number;
  /**
   * The time when the sweep visits the session next: the next deadline at the latest, often earlier, so that an append
   * need not change it; a minute after a visit that found the deadline near or a writer at work.
   */
  readonly sweepAt: number;
  readonly counters: Counters;
  /** The budget; null: no limit. */
  readonly budget: Budget | null;
  /** The last seq of each log that was ever written to. */
  readonly heads: { readonly [log: string]: number };
  /** The version of the last change of the `turns` log: a handle must have seen it to write a turn. */
  readonly turnsVersion: number;
  /** The id of the commit that made it. */
  readonly turnsCommitId: string;
  /** The last change of each named log that was ever written to; programs of earlier versions wrote none. */
  readonly logMarks: { readonly [log: string]: Identity };
  /** The seq of the turn in progress. */
  readonly openTurn: number | null;
  /** The open turn waits to be resumed; null: it has a writer, or none is open. */
  readonly waiting: Waiting | null;
  readonly cancel: Cancel | null;
  /** As last written; whether it is in force depends on the clock, see `handoffAt`. */
  readonly handoff: Handoff | null;
  /** The greatest fencing token that was granted, 0 before the first: the version of the change that granted it. */
  readonly fence: number;
  readonly lease: Lease | null;
  readonly waiters: readonly Waiter[];
  /** Null if the logs are not archived, in any state. */
  readonly archive: Archive | null;
  readonly legalHold: LegalHold | null;
  /** Null if all turns are the session's own. */
  readonly parent: Parent | null;
  /** Turns up to this number were another session's, which has their usage; 0: all turns are this session's own. */
  readonly inherited: number;
  /** The last turn that forks share; 0: no forks. */
  readonly forkedAt: number;
  /** Null: the session never had a second branch. */
  readonly branches: Segments | null;
  /** The recent resets of this id, the last one first: a retry with a key of an archived turn is refused. */
  readonly resets: readonly Reset[];
}

/** One instance of a program that shares the store with others. */
export interface Instance {
  readonly id: string;
  /** The name of its machine, for display. */
  readonly host: string;
  readonly pid: number;
  /** Identifies the machine, boot and process namespace: process ids are comparable only within the same one. */
  readonly machine: string;
  /** The start of the process, in a unit of its machine; distinguishes it from a later process with the same id. */
  readonly startedAt: string;
  /** The URL of a host of live sessions; null for other programs. */
  readonly address: string | null;
  /** How long after its last heartbeat others may consider it dead, ms; null: it does not say. */
  readonly staleAfterMs: number | null;
  /** The last heartbeat, epoch ms of the store's clock. */
  readonly seenAt: number;
}
