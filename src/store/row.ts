/**
 * A record as a table row: a column for each field that statements use, and the other fields as one text. All stores read the
 * same row.
 */
import { decode, plainOf } from "../domain/values/codec.ts";
import { handoffOf, storedHandoff, type StoredHandoff } from "../domain/record/handoff.ts";
import type { Archive, Counters, Identity, SessionRecord } from "../domain/record/record.ts";
import { noLabels, ownLabels, storedLabels, type Labels } from "../domain/values/labels.ts";
import { hasCode, SessionError } from "../errors.ts";
import { unreadableField } from "./readable-record.ts";
import type { Outcome, FoundRecords } from "./store.ts";

/** The columns that every append changes (version, activity, expiry, data) have no index; `activeMinute` changes once a minute. */
export interface RecordRow {
  readonly tenant: string;
  readonly id: string;
  readonly version: number;
  readonly commitId: string;
  readonly state: SessionRecord["state"];
  readonly agent: string;
  readonly user: string | null;
  readonly createdAt: number;
  readonly lastActivityAt: number;
  /**
   * The minute of the last activity since the epoch. Lists by activity read its index, which an append changes once a
   * minute, and sort within a minute.
   */
  readonly activeMinute: number;
  readonly stateSince: number;
  readonly expiresAt: number;
  readonly sweepAt: number;
  readonly title: string | null;
  /** JSON of the labels by which the session is found; null: none. */
  readonly labels: string | null;
  /** The other fields, as text of the codec. */
  readonly data: string;
}

/** The fields of a record without a column of their own. */
type Rest = Omit<SessionRecord, keyof RecordRow>;
/** Absent in most records, and in rows of older versions. */
type OptionalFields =
  | "restoredAt"
  | "waiting"
  | "budget"
  | "archive"
  | "parent"
  | "inherited"
  | "forkedAt"
  | "branches"
  | "resets"
  | "turnsCommitId";
/** The last change of a named log: the version and the commit id, or the version alone for the commit of the row. */
type StoredMark = number | readonly [version: number, commitId: string];
/** `spent` is the number of entries of usage. */
type StoredArchive = Omit<Archive, "usageEntries"> & { readonly spent?: number };
/** The fields that the text omits where they have their most frequent value. Texts of earlier steps have all of them. */
type FrequentFields =
  | "maxAgeMs"
  | "maxAgeFrom"
  | "turnsVersion"
  | "openTurn"
  | "cancel"
  | "fence"
  | "lease"
  | "waiters";
/** Rows have the names `floor`, `hold` and `spent` since the first version. */
type StoredRest = Omit<Rest, OptionalFields | FrequentFields | "counters" | "handoff" | "legalHold" | "logMarks"> &
  Partial<Pick<Rest, Exclude<OptionalFields, "archive"> | FrequentFields>> & {
    /** The numbers, in the order of `counterNames`. Texts of earlier steps have them by name. */
    counters: Counters | readonly number[];
    archive?: StoredArchive;
    floor?: StoredHandoff | null;
    hold?: SessionRecord["legalHold"];
    marks?: { readonly [log: string]: StoredMark };
  };
type EditableRest = { -readonly [Field in keyof StoredRest]: StoredRest[Field] };

/**
 * The row of a record. Its text omits the most frequent values. Every append writes the row, and short rows share a page: an
 * append of many sessions writes fewer pages, and less write-ahead log. Fields are named one by one, which the compiler checks:
 * copying "the rest" costs more than encoding it.
 */
export function rowOf(record: SessionRecord): RecordRow {
  const { maxAgeMs, maxAgeFrom, counters, openTurn, cancel, handoff, fence, lease, waiters } = record;
  const rest: EditableRest = {
    metadata: plainMetadata(record),
    ttlMs: record.ttlMs,
    counters: listed(counters),
    heads: record.heads,
  };
  if (maxAgeMs !== null) rest.maxAgeMs = maxAgeMs;
  if (maxAgeFrom !== record.createdAt) rest.maxAgeFrom = maxAgeFrom;
  if (record.turnsVersion !== record.version) rest.turnsVersion = record.turnsVersion;
  if (openTurn !== null) rest.openTurn = openTurn;
  if (cancel !== null) rest.cancel = cancel;
  if (handoff !== null) rest.floor = storedHandoff(handoff);
  if (fence !== 0) rest.fence = fence;
  if (lease !== null) rest.lease = lease;
  if (waiters.length > 0) rest.waiters = waiters;
  return rowWith(record, rest);
}

/** Of all fields only the metadata has values that JSON lacks. */
function plainMetadata({ metadata }: SessionRecord): SessionRecord["metadata"] {
  return plainOf(metadata, "metadata") as SessionRecord["metadata"];
}

/** In the order of `counterNames`. */
function listed({
  turns,
  messages,
  requests,
  inputTokens,
  outputTokens,
  totalTokens,
  durationMs,
  longestMs,
}: Counters): readonly number[] {
  return [turns, messages, requests, inputTokens, outputTokens, totalTokens, durationMs, longestMs];
}

/** A number that is missing makes the record unreadable. */
function countersOf(stored: StoredRest["counters"]): Counters {
  if (!Array.isArray(stored)) return stored as Counters;
  const numbers = stored as readonly number[];
  const [turns, messages, requests, inputTokens, outputTokens, totalTokens, durationMs, longestMs] = numbers;
  return { turns, messages, requests, inputTokens, outputTokens, totalTokens, durationMs, longestMs } as Counters;
}

function rowWith(record: SessionRecord, rest: EditableRest): RecordRow {
  const { restoredAt, waiting, budget, archive, legalHold, parent, inherited, forkedAt, branches, resets } = record;
  // Absent fields and fields with columns are omitted.
  if (record.turnsVersion !== record.version) rest.turnsCommitId = record.turnsCommitId;
  if (restoredAt !== null) rest.restoredAt = restoredAt;
  if (waiting !== null) rest.waiting = waiting;
  if (budget !== null) rest.budget = budget;
  if (archive !== null) rest.archive = storedArchive(archive);
  if (legalHold !== null) rest.hold = legalHold;
  if (parent !== null) rest.parent = parent;
  if (inherited !== 0) rest.inherited = inherited;
  if (forkedAt !== 0) rest.forkedAt = forkedAt;
  if (branches !== null) rest.branches = branches;
  if (resets.length > 0) rest.resets = resets;
  for (const _ in record.logMarks) {
    const marks = Object.entries(record.logMarks);
    rest.marks = Object.fromEntries(marks.map(([log, mark]) => [log, storedMark(mark, record.version)]));
    break;
  }
  return {
    tenant: record.tenant,
    id: record.id,
    version: record.version,
    commitId: record.commitId,
    state: record.state,
    agent: record.agent,
    user: record.user,
    createdAt: record.createdAt,
    lastActivityAt: record.lastActivityAt,
    activeMinute: activeMinuteOf(record.lastActivityAt),
    stateSince: record.stateSince,
    expiresAt: record.expiresAt,
    sweepAt: record.sweepAt,
    title: record.title,
    labels: labelsText(storedLabels(record.labels, waiting)),
    data: JSON.stringify(rest),
  };
}

function storedArchive({ usageEntries, ...archive }: Archive): StoredArchive {
  return { ...archive, spent: usageEntries };
}

function archiveOf({ spent = 0, ...archive }: StoredArchive): Archive {
  return { ...archive, usageEntries: spent };
}

function storedMark({ version, commitId }: Identity, written: number): StoredMark {
  return version === written ? version : [version, commitId];
}

/** A damaged mark has no version, so the record cannot be read. */
function markOf(stored: StoredMark | null | undefined, written: string): Identity {
  if (typeof stored === "number") return { version: stored, commitId: written };
  const [version, commitId] = Array.isArray(stored) ? (stored as readonly [number, string]) : [Number.NaN, ""];
  return { version, commitId };
}

/** @throws SessionError `session_unreadable` */
export function recordOf(row: RecordRow): SessionRecord {
  const rest = restOf(row);
  const record = recordOfParts(row, rest);
  const field = unreadableField(record);
  if (field !== undefined) throw unreadable(row, field, rest);
  return record;
}

function restOf(row: RecordRow): StoredRest {
  try {
    const rest: unknown = decode(row.data);
    if (typeof rest === "object" && rest !== null) return rest as StoredRest;
  } catch (error) {
    throw unreadable(row, "data", {}, error);
  }
  throw unreadable(row, "data", {});
}

/** The error has the readable fields that guard the removal of a session. */
function unreadable(
  { tenant, id, version, commitId }: RecordRow,
  field: string,
  { hold, forkedAt }: Partial<StoredRest>,
  cause?: unknown,
): SessionError {
  const isUnderLegalHold = hold !== undefined && hold !== null;
  const shared = typeof forkedAt === "number" ? forkedAt : 0;
  return new SessionError(
    "session_unreadable",
    { sessionId: id, tenant, field, version, commitId, isUnderLegalHold, forkedAt: shared },
    { cause },
  );
}

/** The outcome of a change that does not fit the stored row. */
export function conflictWith(row: RecordRow | undefined): Outcome {
  try {
    return { status: "conflict", current: row && recordOf(row) };
  } catch (error) {
    if (hasCode(error, "session_unreadable")) return { status: "unreadable", details: error.details };
    throw error;
  }
}

/** The records of a page, and its rows that cannot be read. */
export function recordsOf(rows: readonly RecordRow[]): Pick<FoundRecords, "records" | "unreadable"> {
  const records: SessionRecord[] = [];
  const unreadable: SessionError<"session_unreadable">[] = [];
  for (const row of rows) {
    const record = readRecord(row);
    if (record instanceof SessionError) unreadable.push(record);
    else records.push(record);
  }
  return { records, unreadable };
}

/** The record in a row, or the error of one that cannot be read. */
export function readRecord(row: RecordRow): SessionRecord | SessionError<"session_unreadable"> {
  try {
    return recordOf(row);
  } catch (error) {
    if (!hasCode(error, "session_unreadable")) throw error;
    return error;
  }
}

function recordOfParts(row: RecordRow, rest: StoredRest): SessionRecord {
  const { turnsVersion = row.version } = rest;
  return {
    tenant: row.tenant,
    id: row.id,
    version: row.version,
    commitId: row.commitId,
    state: row.state,
    agent: row.agent,
    user: row.user,
    createdAt: row.createdAt,
    lastActivityAt: row.lastActivityAt,
    stateSince: row.stateSince,
    expiresAt: row.expiresAt,
    sweepAt: row.sweepAt,
    title: row.title,
    labels: recordLabels(row.labels),
    restoredAt: rest.restoredAt ?? null,
    metadata: rest.metadata,
    ttlMs: rest.ttlMs,
    maxAgeMs: valueOr(rest.maxAgeMs, null),
    maxAgeFrom: valueOr(rest.maxAgeFrom, row.createdAt),
    counters: countersOf(rest.counters),
    budget: rest.budget ?? null,
    heads: rest.heads,
    turnsVersion,
    // Absent if this commit wrote the turns, and in rows of earlier versions.
    turnsCommitId: rest.turnsCommitId ?? (turnsVersion === row.version ? row.commitId : ""),
    logMarks: Object.fromEntries(
      Object.entries(rest.marks ?? {}).map(([log, mark]) => [log, markOf(mark, row.commitId)]),
    ),
    openTurn: valueOr(rest.openTurn, null),
    waiting: rest.waiting ?? null,
    cancel: valueOr(rest.cancel, null),
    handoff: rest.floor ? handoffOf(rest.floor) : null,
    fence: valueOr(rest.fence, 0),
    lease: valueOr(rest.lease, null),
    waiters: valueOr(rest.waiters, []),
    archive: rest.archive ? archiveOf(rest.archive) : null,
    legalHold: rest.hold ?? null,
    parent: rest.parent ?? null,
    inherited: rest.inherited ?? 0,
    forkedAt: rest.forkedAt ?? 0,
    branches: rest.branches ?? null,
    resets: rest.resets ?? [],
  };
}

/** The stored value, also one that makes the record unreadable; the most frequent one where the text omits it. */
function valueOr<T>(stored: T | undefined, frequent: T): T {
  return stored === undefined ? frequent : stored;
}

function labelsText(labels: Labels): string | null {
  for (const _ in labels) return JSON.stringify(labels);
  return null;
}

/** The labels of the record in a row; undefined for a text that is not an object. */
function recordLabels(text: string | null): Labels {
  const stored: unknown = parsedLabels(text);
  return typeof stored === "object" && stored !== null ? ownLabels(stored as Labels) : (stored as Labels);
}

/** The labels in a row; undefined for a text that is not JSON, which the check of the record refuses. */
export function parsedLabels(text: string | null): Labels {
  if (text === null) return noLabels;
  try {
    return JSON.parse(text) as Labels;
  } catch {
    return undefined as unknown as Labels;
  }
}

export function activeMinuteOf(lastActivityAt: number): number {
  return Math.floor(lastActivityAt / 60_000);
}

/** The size of a row for the byte bounds of a store. Columns of their own are small and not counted. */
export function rowBytes({ data }: RecordRow): number {
  return Buffer.byteLength(data);
}
