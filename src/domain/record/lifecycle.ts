/** Creation, time to live, metadata and end of a session. */
import { SessionError } from "../../errors.ts";
import {
  changeOf,
  draftOf,
  editable,
  firstVersion,
  headOf,
  identityOf,
  set,
  splice,
  type Change,
  type Draft,
} from "./change.ts";
import { decode, encode } from "../values/codec.ts";
import type { Entry, SessionKey } from "./entry.ts";
import { appendEvent } from "./event.ts";
import { noCounters, type Identity, type Metadata, type Reset, type SessionRecord, type Budget } from "./record.ts";
import { guardForks, guardLegalHold } from "./retention.ts";
import { keepUntitled, withoutPin } from "./pin.ts";
import { nextState, stateAt } from "./states.ts";
import { guardLease, sessionIds, turnOpen, type Context } from "./guards.ts";
import { noLabels, patchLabels, type LabelPatch, type Labels } from "../values/labels.ts";
import { invalidText } from "../values/invalid-argument.ts";

export interface NewSession {
  readonly key: SessionKey;
  readonly agent: string;
  readonly user: string | null;
  readonly title?: string | null;
  readonly labels?: Labels;
  readonly metadata: Metadata;
  readonly ttlMs: number;
  readonly maxAgeMs: number | null;
  readonly budget?: Budget | null;
  /** The startup context; stored in a log of its own, so that no append rewrites it. */
  readonly instructions: string | null;
}

/** @throws SessionError `metadata_too_large`, `argument_invalid` for instructions that are not a text or too long */
export function createSession(session: NewSession, context: Context): Change {
  const draft = draftOfNew(session, undefined, context);
  appendEvent(draft, { type: "created", agent: session.agent, user: session.user }, context);
  return changeOf(draft);
}

/** A new session in the draft, in place of the record that was found, if there was one. `now`: its time of creation. */
export function draftOfNew(
  session: NewSession,
  found: Identity | undefined,
  context: Context,
  now: number = context.now,
): Draft {
  const { version, commitId } = found ?? noRecord;
  const next = found === undefined ? firstVersion(context) : version + 1;
  const born: SessionRecord = {
    tenant: session.key.tenant,
    id: session.key.id,
    version,
    commitId,
    state: "active",
    agent: session.agent,
    user: session.user,
    title: session.title ?? null,
    labels: session.labels ?? noLabels,
    metadata: {},
    createdAt: now,
    lastActivityAt: now,
    stateSince: now,
    restoredAt: null,
    ttlMs: session.ttlMs,
    maxAgeMs: session.maxAgeMs,
    maxAgeFrom: now,
    expiresAt: now,
    sweepAt: Number.MAX_SAFE_INTEGER,
    counters: noCounters,
    budget: session.budget ?? null,
    heads: {},
    turnsVersion: next, // a reset makes all turns seen before stale
    turnsCommitId: "",
    logMarks: {},
    openTurn: null,
    waiting: null,
    cancel: null,
    handoff: null,
    fence: 0,
    lease: null,
    waiters: [],
    archive: null,
    legalHold: null,
    parent: null,
    inherited: 0,
    forkedAt: 0,
    branches: null,
    resets: [],
  };
  const draft = draftOf(born, next);
  set(draft, { metadata: keepMetadata(draft.record, session.metadata, context) });
  set(draft, deadlines(draft.record));
  if (session.instructions !== null) instruct(draft, session.instructions, context);
  return draft;
}

/** The identity of a record that does not exist. */
export const noRecord: Identity = { version: 0, commitId: "" };

/**
 * Record activity, in the draft: activates an inactive session and moves its deadline.
 * @throws SessionError that of an expired, ended or archived session's state
 */
export function use(draft: Draft, context: Context): void {
  const { state: before, lease } = draft.record;
  const state = nextState(draft.record, "use", context.now);
  if (state !== before) {
    set(draft, { state, stateSince: context.now });
    appendEvent(draft, { type: "activated", instance: lease?.instance ?? null, reason: "a write" }, context);
  }
  stayLive(draft, context);
}

/** Move the deadline without a check of the state: a turn that began in time may end after the session expired. */
export function stayLive(draft: Draft, { now }: Context): void {
  const record = editable(draft);
  record.lastActivityAt = Math.max(now, record.lastActivityAt);
  const { expiresAt, sweepAt } = deadlines(record);
  record.expiresAt = expiresAt;
  record.sweepAt = sweepAt;
}

/** When the session expires, and when the sweep must visit it; only the sweep itself moves that time forward. */
export function deadlines(
  record: SessionRecord,
  lastActivityAt: number = record.lastActivityAt,
): { expiresAt: number; sweepAt: number } {
  const sliding = lastActivityAt + record.ttlMs;
  const expiresAt = record.maxAgeMs === null ? sliding : Math.min(sliding, record.maxAgeFrom + record.maxAgeMs);
  return { expiresAt, sweepAt: Math.min(record.sweepAt, expiresAt, waitEnd(record)) };
}

/** When the open turn must be resumed at the latest; infinite where it does not wait, or waits without a limit. */
function waitEnd({ waiting }: SessionRecord): number {
  return waiting?.expiresAt ?? Number.MAX_SAFE_INTEGER;
}

/**
 * A copy of the metadata: each change writes the record again, and the caller may change its own object meanwhile.
 * @throws SessionError `metadata_too_large`
 */
export function keepMetadata(record: SessionRecord, metadata: Metadata, { limits }: Pick<Context, "limits">): Metadata {
  const text = encode(metadata, "metadata");
  const bytes = Buffer.byteLength(text);
  if (bytes <= limits.metadataBytesMax) return decode(text) as Metadata;
  throw new SessionError("metadata_too_large", {
    ...sessionIds(record),
    bytes,
    bytesMax: limits.metadataBytesMax,
  });
}

/** The changes of {@link updateSession}; absent fields stay. */
export interface Patch {
  /** Merged key by key; `undefined` removes a key. */
  readonly metadata?: Metadata;
  readonly ttlMs?: number;
  readonly maxAgeMs?: number | null;
  readonly user?: string | null;
  /** Null: none. */
  readonly title?: string | null;
  readonly labels?: LabelPatch;
  /** Its instructions replace those of the earlier agent; "": it has none. */
  readonly agent?: { readonly name: string; readonly instructions: string };
  readonly budget?: Budget | null;
  readonly instructions?: string;
}

/** @throws SessionError that of the session's state, `metadata_too_large`, `argument_invalid` */
export function updateSession(record: SessionRecord, patch: Patch, context: Context): Change {
  const draft = draftOf(record);
  use(draft, context);
  patchDraft(draft, patch, context);
  return changeOf(draft);
}

/** Change the fields in the draft. @throws SessionError `metadata_too_large`, `argument_invalid` */
export function patchDraft(draft: Draft, patch: Patch, context: Context): void {
  // Edits of the draft would change it.
  const record = { ...draft.record };
  const { metadata, labels, agent, ...fields } = patch;
  const next = agent?.name === record.agent ? undefined : agent;
  const { instructions = next?.instructions, ...plain } = fields;
  set(draft, plain);
  if (plain.title === null && record.title !== null) keepUntitled(draft, context.now);
  if (next !== undefined) set(draft, { agent: next.name });
  if (draft.record.user !== record.user) {
    appendEvent(draft, { type: "reassigned", user: draft.record.user }, context);
    set(draft, { labels: withoutPin(record.labels) });
  }
  if (labels !== undefined) set(draft, { labels: patchLabels(draft.record.labels, labels) });
  if (metadata !== undefined) {
    set(draft, { metadata: keepMetadata(record, mergeMetadata(record.metadata, metadata), context) });
  }
  const hadInstructions = headOf(record, "instructions") > 0;
  if (instructions !== undefined && (instructions !== "" || hadInstructions)) instruct(draft, instructions, context);
  set(draft, deadlines(draft.record));
}

function mergeMetadata(metadata: Metadata, patch: Metadata): Metadata {
  const merged = new Map(Object.entries(metadata));
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined) merged.delete(key);
    else merged.set(key, value);
  }
  return Object.fromEntries(merged);
}

function instruct(draft: Draft, instructions: string, { now, limits }: Context): void {
  if (typeof instructions !== "string" || instructions.length > limits.instructionsLengthMax)
    throw invalidText("instructions", instructions, { max: limits.instructionsLengthMax });
  const seq = (draft.record.heads["instructions"] ?? 0) + 1;
  splice(draft, "instructions", seq, [{ seq, key: null, at: now, data: encode(instructions) }]);
}

/**
 * The startup context that an entry of the log `instructions` stores; an empty one means none.
 * @throws SessionError `store_invalid` for an entry that cannot be read: no model answers without its instructions
 */
export function storedInstructions(entry: Entry | undefined): string | undefined {
  if (entry === undefined) return undefined;
  const details = { problem: "entry_invalid", log: "instructions", seq: entry.seq } as const;
  let text: unknown;
  try {
    text = decode(entry.data);
  } catch (cause) {
    throw new SessionError("store_invalid", details, { cause });
  }
  if (typeof text === "string") return text || undefined;
  throw new SessionError("store_invalid", details);
}

/** Record activity: moves a sliding deadline. */
export function touchSession(record: SessionRecord, context: Context): Change {
  const draft = draftOf(record);
  use(draft, context);
  return changeOf(draft);
}

/**
 * End a session on purpose; null if it has ended already.
 * @throws SessionError `busy` or `fenced` if another writer has the lease, `turn_open` if this one has an open turn
 */
export function endSession(
  draft: Draft,
  { fence, reason }: { readonly fence: number | null; readonly reason: string },
  context: Context,
): Change | null {
  const { record } = draft;
  if (record.state === "ended") return null;
  guardLease(record, fence, context);
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  set(draft, { lease: null });
  set(draft, { state: nextState(record, "end", context.now), stateSince: context.now });
  appendEvent(draft, { type: "ended", reason }, context);
  return changeOf(draft);
}

/** Mark a session as expired; null if its time is not up, or a writer has the lease. */
export function expireSession(draft: Draft, context: Context): Change | null {
  const { record } = draft;
  if (stateAt(record, context.now) !== "expired" || record.state === "expired" || record.lease !== null) return null;
  markExpired(draft, context);
  return changeOf(draft);
}

/** Set the state `expired` in the draft. */
export function markExpired(draft: Draft, context: Context): void {
  set(draft, { state: "expired", stateSince: expiredSince(draft.record) });
  appendEvent(draft, { type: "expired" }, context);
}

/**
 * The beginning of the state `expired`: when the time of the session was up, so retention does not depend on when a sweep marks the
 * session. A deadline that was set in the past, or passed while the session was archived, counts from the last activity or the
 * end of the archive.
 */
export function expiredSince({ expiresAt, lastActivityAt, stateSince }: SessionRecord): number {
  return Math.max(expiresAt, lastActivityAt, stateSince);
}

/**
 * Postpone the next visit of the sweep: it found nothing due but perhaps an expired handoff, or a writer at work in an
 * expired session. Null for a session that the sweep need not visit.
 */
export function postponeSweep(draft: Draft, { now }: Context, atLeastMs: number = 60_000): Change | null {
  const { record } = draft;
  if (record.state !== "active" && record.state !== "inactive") return null;
  const due = Math.min(record.expiresAt, record.handoff?.expiresAt ?? Number.MAX_SAFE_INTEGER, waitEnd(record));
  set(draft, { sweepAt: Math.max(due, now + atLeastMs) });
  return changeOf(draft);
}

/** Revive an expired session with a new deadline; an absolute cap counts from now. */
export function reviveSession(draft: Draft, context: Context): Change {
  const { now } = context;
  const { record } = draft;
  set(draft, { state: nextState(record, "revive", now), stateSince: now, lastActivityAt: now });
  set(draft, { restoredAt: null, maxAgeFrom: now, sweepAt: Number.MAX_SAFE_INTEGER });
  set(draft, deadlines(draft.record));
  appendEvent(draft, { type: "revived" }, context);
  return changeOf(draft);
}

/** @throws SessionError `legal_hold`, `session_forked` */
export function removeSession(record: SessionRecord): Change {
  guardLegalHold(record);
  guardForks(record, 0);
  return {
    key: { tenant: record.tenant, id: record.id },
    expected: identityOf(record),
    record: null,
    splices: [],
    claims: [],
  };
}

/**
 * Set the state `archived` in the draft and clear the lease, its queue, the cancel request and the handoff.
 * @throws SessionError that of the session's state
 */
export function closeForArchive(draft: Draft, { now }: Context): void {
  const state = nextState(draft.record, "archive", now);
  set(draft, { state, stateSince: now, lease: null, waiters: [], cancel: null, handoff: null });
}

/** All logs of a session. */
export type Logs = ReadonlyMap<string, readonly Entry[]>;

/** How long after a reset the keys of the turns before it are refused. */
const keyMemoryMs = 7 * 86_400_000;
/** The resets that a record names at most. */
const resetsMax = 8;

/** The resets after which a retry with a key of before is still refused. */
export function recentResets({ resets }: Pick<SessionRecord, "resets">, now: number): readonly Reset[] {
  return resets.filter(({ at }) => now - at < keyMemoryMs);
}

/**
 * Reset a session: a new one begins under its id, and the old one stays whole, as `archived`, under `archiveId`. Both
 * changes land in one commit. The store moves the logs to the archived session, so the changes stay small for logs of any
 * length. A session that shares turns of another one copies them first.
 * @throws SessionError `busy` or `turn_open` if a writer is at work, whose answer would be lost, `session_forked`
 */
export function restartSession(
  record: SessionRecord,
  { session, archiveId }: { session: NewSession; archiveId: string },
  context: Context,
): readonly [Change, Change] {
  // Forks would look for their first turns in the new session.
  guardForks(record, 0);
  guardLease(record, null, context);
  if (record.openTurn !== null) throw turnOpen(record, record.openTurn);
  if (record.parent !== null) throw new RangeError(`session ${record.id} still shares turns of ${record.parent.id}`);
  const archived = draftOf({ ...record, ...noRecord, id: archiveId }, firstVersion(context));
  closeForArchive(archived, context);
  appendEvent(archived, { type: "archived", of: record.id }, context);
  const fresh = draftOfNew(session, record, context);
  appendEvent(fresh, { type: "reset", agent: session.agent, user: session.user, archive: archiveId }, context);
  const resets = [{ archive: archiveId, at: context.now }, ...recentResets(record, context.now)].slice(0, resetsMax);
  // The fencing token never decreases, or a former holder could write to the new session.
  set(fresh, { fence: record.fence, resets });
  return [{ ...changeOf(archived), logsOf: { tenant: record.tenant, id: record.id } }, changeOf(fresh)];
}
