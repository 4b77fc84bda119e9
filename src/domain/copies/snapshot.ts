/** What of a session makes sense elsewhere, and a session made of it: no leases, fences, waiters, marks and versions. */
import { changeOf, draftOf, firstVersion, set, splice, type Change } from "../record/change.ts";
import type { SessionKey } from "../record/entry.ts";
import { deadlines, noRecord, type Logs } from "../record/lifecycle.ts";
import {
  noCounters,
  type Counters,
  type LegalHold,
  type Metadata,
  type SessionRecord,
  type SessionState,
  type Budget,
} from "../record/record.ts";
import { handoffOf, type StoredHandoff } from "../record/handoff.ts";
import { guardForks, guardHold } from "../record/retention.ts";
import type { Staged } from "./staged.ts";
import type { Context } from "../record/guards.ts";

/** The part of a record that goes into a snapshot. */
export interface PortableRecord {
  readonly id: string;
  readonly agent: string;
  readonly user: string | null;
  readonly state: SessionState;
  /** When the state last changed, epoch ms. */
  readonly stateSince: number;
  readonly createdAt: number;
  readonly lastActivityAt: number;
  readonly ttlMs: number;
  readonly maxAgeMs: number | null;
  readonly maxAgeFrom: number;
  readonly floor: StoredHandoff | null;
  /** The seq of a turn that was in progress; whoever writes next seals it with what had arrived. */
  readonly openTurn: number | null;
  readonly counters: Counters;
  readonly metadata: Metadata;
  /** What it may spend; absent where nothing says so. */
  readonly budget?: Budget;
  /** The turns up to this one were another session's, which has spent what they took; absent where there are none. */
  readonly inherited?: number;
  /** Absent where it is under none. */
  readonly hold?: LegalHold;
}

/** Field by field, in the order in which a snapshot has them. */
export function portableOf(record: SessionRecord): PortableRecord {
  const { counters, handoff, budget, inherited, legalHold } = record;
  return {
    id: record.id,
    agent: record.agent,
    user: record.user,
    state: record.state,
    stateSince: record.stateSince,
    createdAt: record.createdAt,
    lastActivityAt: record.lastActivityAt,
    ttlMs: record.ttlMs,
    maxAgeMs: record.maxAgeMs,
    maxAgeFrom: record.maxAgeFrom,
    floor: handoff && {
      agent: handoff.agent,
      lockedAt: handoff.since,
      expiresAt: handoff.expiresAt,
      note: handoff.note,
    },
    openTurn: record.openTurn,
    counters: {
      turns: counters.turns,
      messages: counters.messages,
      requests: counters.requests,
      inputTokens: counters.inputTokens,
      outputTokens: counters.outputTokens,
      totalTokens: counters.totalTokens,
      durationMs: counters.durationMs,
      longestMs: counters.longestMs,
    },
    metadata: record.metadata,
    ...(budget === null ? {} : { budget }),
    ...(inherited === 0 ? {} : { inherited }),
    ...(legalHold === null ? {} : { hold: { reason: legalHold.reason, at: legalHold.at } }),
  };
}

/** A session as it was elsewhere: its header and its logs, those that hold nothing left out. */
export interface Portable {
  readonly record: PortableRecord;
  readonly logs: Logs;
}

/** Where it is to stand, and what stands there now. */
export interface RestoredPlace {
  readonly key: SessionKey;
  /** The record whose place it takes; undefined where there is none. */
  readonly found: SessionRecord | undefined;
  /** It is a later state of the same session: a hold of the one that stands does not keep it out. @default false */
  readonly isLater?: boolean;
  /** Its logs, where they were written already: then they stand there and not in the portable session. */
  readonly staged?: Staged | undefined;
}

/**
 * Put a session where none stands, or in the place of one. Times, numbers, keys and costs stay as they were; whatever
 * handles knew of a session that stood here is stale knowledge of this one. All logs are its own, and stand as they are, also
 * where they were another session's, or put away.
 * @throws SessionError `legal_hold`, `session_forked` of the one whose place it would take
 */
export function restoreSession(
  { record: { floor, hold, ...record }, logs }: Portable,
  { key, found, isLater = false, staged }: RestoredPlace,
  context: Context,
): Change {
  if (found !== undefined) {
    if (!isLater) guardHold(found);
    guardForks(found, 0);
  }
  const { version, commitId } = found ?? noRecord;
  const next = found === undefined ? firstVersion(context) : version + 1;
  const restored: SessionRecord = {
    ...record,
    legalHold: hold ?? null,
    handoff: floor && handoffOf(floor),
    budget: record.budget ?? null,
    inherited: record.inherited ?? 0,
    archive: null,
    parent: null,
    forkedAt: 0,
    resets: [],
    tenant: key.tenant,
    id: key.id,
    version,
    commitId,
    expiresAt: Number.MAX_SAFE_INTEGER,
    sweepAt: floor?.expiresAt ?? Number.MAX_SAFE_INTEGER,
    counters: noCounters,
    heads: {},
    turnsVersion: next,
    turnsCommitId: "",
    cancel: null,
    // It never falls, or a holder from before could pass for the one of today.
    fence: found?.fence ?? 0,
    lease: null,
    waiters: [],
  };
  const draft = draftOf(restored, next);
  set(draft, { counters: record.counters });
  set(draft, deadlines(draft.record));
  if (staged !== undefined) {
    set(draft, { heads: staged.heads });
    return { ...changeOf(draft), logsOf: staged.key };
  }
  for (const [log, entries] of logs) splice(draft, log, 1, entries);
  for (const log of Object.keys(found?.heads ?? {})) {
    if (!draft.splices.has(log)) draft.splices.set(log, { log, from: 1, entries: [] });
  }
  return changeOf(draft);
}
