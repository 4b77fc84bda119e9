import type { LogName } from "./entry.ts";
import type { Value } from "../values/codec.ts";

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
 * What a session has seen and spent. Turns and messages count what the log holds; requests, tokens and durations were
 * spent and never go down, also when turns are truncated.
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

/**
 * The exclusive right to write to a session. It is worth something while its instance's heartbeat is fresh, its
 * `expiresAt` lies ahead and no greater fence was given out; only the last of these is a matter of safety.
 */
export interface Lease {
  /** The id of the instance that holds it. */
  readonly instance: string;
  readonly fence: number;
  /** The commit that gave it out: tells it from a lease of the same number in a store that was restored. */
  readonly commitId: string;
  readonly acquiredAt: number;
  /** Epoch ms after which it is worth nothing even if its instance lives; null: as long as the instance lives. */
  readonly expiresAt: number | null;
}

/** A place in the queue for the lease of a session. */
export interface Waiter {
  readonly ticket: string;
  readonly instance: string;
  /** Epoch ms after which nobody waits here any more. */
  readonly until: number;
}

/** A wish that the running answer stop, seen by its writer at its next write or look. */
export interface Cancel {
  /** The open turn it is meant for. */
  readonly turn: number;
  readonly at: number;
}

/** The floor of a session: the agent it was handed to, for a time. */
export interface Handoff {
  readonly agent: string;
  /** When it was handed over, epoch ms. */
  readonly since: number;
  /** From when on it is nobody's, epoch ms. */
  readonly expiresAt: number;
  /** What who handed it over wants the agent to know. */
  readonly note: string | null;
  /** The application wrote the note, so the agent may take it as an instruction. Without it the note is reported speech. */
  readonly noteFrom?: "application";
}

/** Where a part of an archive's entries belongs: these of this log, bounds included. */
export interface ArchivedRange {
  readonly log: LogName;
  readonly from: number;
  readonly to: number;
}

/** The logs of a session, put away: compressed, as the entries of its log `archive`, one for each part. */
export interface Archive {
  /** The state to come back to. */
  readonly state: Exclude<SessionState, "archived">;
  /** The last seq of each log that was put away. */
  readonly heads: { readonly [log: string]: number };
  /** What each entry of the log `archive` holds, in order, and the SHA-256 of its text before it was compressed. */
  readonly parts: readonly { readonly ranges: readonly ArchivedRange[]; readonly sha256: string }[];
  /** How many entries of the log `spent`, the last, say what the turns took that were put away. */
  readonly spent: number;
  /** The bytes of the logs before. */
  readonly bytes: number;
  /** The bytes of the log `archive`. */
  readonly packedBytes: number;
}

/** Why a session must not go, be it by hand, by the sweep or by an erasure. */
export interface LegalHold {
  readonly reason: string;
  readonly at: number;
}

/** A reset: the session began afresh under its id, and what it was before is archived. */
export interface Reset {
  /** The id of the archived session. */
  readonly archive: string;
  readonly at: number;
}

/** The session that holds the first turns of a fork. */
export interface Parent {
  readonly id: string;
  /** The turns up to this one are the parent's. */
  readonly at: number;
  /** When the parent was created: tells it from a later session of its id. */
  readonly born: number;
}

/**
 * Which state of a session's record this is. The number alone may come back: a store that was restored from a backup
 * counts the same versions again, with other content.
 */
export interface Identity {
  /** Grows by one with every change; `firstVersion` gives the first. */
  readonly version: number;
  /** Names the commit that wrote this version, unique for each commit. */
  readonly commitId: string;
}

/** The small, typed header of a session. Every change replaces it as a whole and raises `version` by one. */
export interface SessionRecord extends Identity {
  readonly tenant: string;
  readonly id: string;
  /** As last written; what holds now also depends on the clock, see `stateAt`. */
  readonly state: SessionState;
  /** The agent the session was opened for. */
  readonly agent: string;
  readonly user: string | null;
  readonly metadata: Metadata;
  readonly createdAt: number;
  readonly lastActivityAt: number;
  /** When the state last changed, epoch ms. */
  readonly stateSince: number;
  /** Life after the last activity, ms. */
  readonly ttlMs: number;
  /** Life after `maxAgeFrom`, ms, whatever the activity; null: no cap. */
  readonly maxAgeMs: number | null;
  /** The creation or the last revival, epoch ms. */
  readonly maxAgeFrom: number;
  readonly expiresAt: number;
  /**
   * When the sweep looks at the session next: at most the next deadline, often earlier, so that an append leaves it
   * alone; a minute after a look that found the deadline near or somebody still at work.
   */
  readonly sweepAt: number;
  readonly counters: Counters;
  /** What it may spend; null: as much as it likes. */
  readonly budget: Budget | null;
  /** The last seq of each log that was ever written to. */
  readonly heads: { readonly [log: string]: number };
  /** The version of the last change of the `turns` log: what a handle must have seen to write a turn. */
  readonly turnsVersion: number;
  /** The commit that made it. */
  readonly turnsCommitId: string;
  /** The seq of the turn in progress. */
  readonly openTurn: number | null;
  readonly cancel: Cancel | null;
  /** As last written; whether it still holds depends on the clock, see `floorAt`. */
  readonly handoff: Handoff | null;
  /** The greatest fence ever given out, 0 before the first: the version of the change that gave it. */
  readonly fence: number;
  readonly lease: Lease | null;
  readonly waiters: readonly Waiter[];
  /** Null where the logs stand as they are, in any state. */
  readonly archive: Archive | null;
  readonly legalHold: LegalHold | null;
  /** Null for a session whose turns are all its own. */
  readonly parent: Parent | null;
  /** The turns up to this one were another session's, which has spent what they took; 0: all are this one's. */
  readonly inherited: number;
  /** The last turn that forks share; 0: there are none. */
  readonly forkedAt: number;
  /** The recent resets of this id, the last one first: the keys of the archived turns are refused. */
  readonly resets: readonly Reset[];
}

/** One instance of a program that shares the store with others. */
export interface Instance {
  readonly id: string;
  /** The host's name, for people. */
  readonly host: string;
  readonly pid: number;
  /** Names the machine, boot and process namespace; equal only where a process id means the same process. */
  readonly machine: string;
  /** When the process started, in the machine's own unit; tells a process from a later one with the same id. */
  readonly startedAt: string;
  /** Where a host of live sessions is spoken to, a URL; null for other programs. */
  readonly address: string | null;
  /** How long after its last heartbeat others may take it for gone, ms; null: it does not say. */
  readonly staleAfterMs: number | null;
  /** The last heartbeat, epoch ms of the store's clock. */
  readonly seenAt: number;
}
