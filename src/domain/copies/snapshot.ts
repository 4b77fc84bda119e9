/** The portable part of a session, without leases, fences, waiters and versions, and the rule that restores a session from it. */
import { graceMs, isContentScope, isReferenceScope } from "../attachments/attachment.ts";
import { inheritedIn, storedLogs } from "../branches/segments.ts";
import { changeOf, changesLog, draftOf, firstVersion, markLogs, set, splice, type Change } from "../record/change.ts";
import { noLabels, type Labels } from "../values/labels.ts";
import type { SessionKey } from "../record/entry.ts";
import { deadlines, noRecord, type Logs } from "../record/lifecycle.ts";
import {
  noCounters,
  type Counters,
  type LegalHold,
  type Metadata,
  type Segments,
  type SessionRecord,
  type SessionState,
  type Budget,
  type Waiting,
} from "../record/record.ts";
import { handoffOf, type StoredHandoff } from "../record/handoff.ts";
import { guardForks, guardLegalHold } from "../record/retention.ts";
import { isSettled, stateAt } from "../record/states.ts";
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
  /** The seq of a turn that was in progress; the next writer seals it with the output received so far. */
  readonly openTurn: number | null;
  /** Absent unless that turn waits to be resumed. */
  readonly waiting?: Waiting;
  readonly counters: Counters;
  readonly metadata: Metadata;
  /** Absent for a session without a title. */
  readonly title?: string;
  /** Absent for a session without labels. */
  readonly labels?: Labels;
  /** Absent for a session without a budget. */
  readonly budget?: Budget;
  /** The usage of the turns up to this one is counted with another session; absent where there are none. */
  readonly inherited?: number;
  /** Absent for a session without a legal hold. */
  readonly hold?: LegalHold;
  /** The number of the current branch, and the greatest one; absent for a session that never had a second branch. */
  readonly branch?: { readonly current: number; readonly made: number; readonly shared: number };
}

/** The fields in the order of a snapshot. */
export function portableOf(record: SessionRecord): PortableRecord {
  const { counters, handoff, waiting, title, labels, budget, legalHold, branches } = record;
  const inherited = branches === null ? record.inherited : inheritedIn(record, "turns");
  return {
    id: record.id,
    agent: record.agent,
    // The user of a content names its object in the attachment store; a copy has the bytes instead.
    user: isContentScope(record.tenant) ? null : record.user,
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
    ...(waiting === null ? {} : { waiting: waitingOf(waiting) }),
    ...(title === null ? {} : { title }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(budget === null ? {} : { budget }),
    ...(inherited === 0 ? {} : { inherited }),
    ...(legalHold === null ? {} : { hold: { reason: legalHold.reason, at: legalHold.at } }),
    ...(branches === null ? {} : { branch: branchOf(branches) }),
  };
}

/** The fields in the order of a snapshot. */
function branchOf({ current, made, shared }: Segments): NonNullable<PortableRecord["branch"]> {
  return { current, made, shared };
}

/** The fields in the order of a snapshot. */
function waitingOf({ token, reason, since, expiresAt }: Waiting): Waiting {
  return { token, reason, since, expiresAt };
}

/** A session in memory: its header and its logs, without empty ones. */
export interface Portable {
  readonly record: PortableRecord;
  readonly logs: Logs;
}

/** The place of a restored session, and the session that is there now. */
export interface RestoredPlace {
  readonly key: SessionKey;
  /** The record that it replaces; undefined where there is none. */
  readonly found: SessionRecord | undefined;
  /** It is a later state of the same session, which a legal hold of the earlier state does not refuse. @default false */
  readonly isLater?: boolean;
  /** It is the session of a copied store, whose retention goes on. @default false */
  readonly isCopy?: boolean;
  /** The place of its logs, where they were written already; then the logs of the portable session are empty. */
  readonly staged?: Staged | undefined;
}

/**
 * Restore a session where none is, or in the place of one. Times, numbers, keys and usage stay as they were; handles that had read
 * the replaced session are stale. The retention of an expired, ended or archived session begins now. All logs become rows of the session, also those that it shared or had archived.
 * @throws SessionError `legal_hold`, `session_forked` of the session that it would replace
 */
export function restoreSession(
  { record: { floor, hold, branch, ...record }, logs }: Portable,
  { key, found, isLater = false, isCopy = false, staged }: RestoredPlace,
  context: Context,
): Change {
  if (found !== undefined) {
    if (!isLater) guardLegalHold(found);
    guardForks(found, 0);
  }
  const isAttachment = isContentScope(key.tenant) || isReferenceScope(key.tenant);
  const visitAt = isAttachment ? context.now + graceMs : undefined;
  const { version, commitId } = found ?? noRecord;
  const next = found === undefined ? firstVersion(context) : version + 1;
  const restored: SessionRecord = {
    ...record,
    restoredAt: null,
    title: record.title ?? null,
    labels: record.labels ?? noLabels,
    legalHold: hold ?? null,
    handoff: floor && handoffOf(floor),
    waiting: record.waiting ?? null,
    budget: record.budget ?? null,
    inherited: record.inherited ?? 0,
    archive: null,
    parent: null,
    forkedAt: 0,
    branches: branch === undefined ? null : { ...branch, root: branch.current, path: [] },
    resets: [],
    tenant: key.tenant,
    id: key.id,
    version,
    commitId,
    expiresAt: Number.MAX_SAFE_INTEGER,
    sweepAt: visitAt ?? floor?.expiresAt ?? Number.MAX_SAFE_INTEGER,
    counters: noCounters,
    heads: {},
    turnsVersion: next,
    turnsCommitId: "",
    logMarks: {},
    cancel: null,
    // The fence never falls, or a lease holder of before could write under the token of a present one.
    fence: found?.fence ?? 0,
    lease: null,
    waiters: [],
  };
  const draft = draftOf(restored, next);
  set(draft, { counters: record.counters });
  set(draft, deadlines(draft.record));
  const state = stateAt(draft.record, context.now);
  if (!isCopy && isSettled(state)) set(draft, { restoredAt: context.now });
  if (staged !== undefined) {
    set(draft, { heads: staged.heads });
    markLogs(draft, Object.keys(staged.heads));
    return { ...changeOf(draft), logsOf: staged.key };
  }
  for (const [log, entries] of logs) splice(draft, log, 1, entries);
  for (const log of found === undefined ? [] : storedLogs(found)) {
    if (!changesLog(draft, log)) draft.rows.push({ log, from: 1, entries: [] });
  }
  return changeOf(draft);
}
