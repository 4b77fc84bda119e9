import type { DocumentChange, StoredDocument } from "../../domain/documents/document.ts";
import {
  documentChanges,
  isDocumentChange,
  sessionChanges,
  type Change,
  type Transaction,
} from "../../domain/record/change.ts";
import type { Entry, Splice } from "../../domain/record/entry.ts";
import type { Identity, SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import { documentKeyOf } from "../documents.ts";
import { conflictWith, rowOf, type RecordRow } from "../row.ts";
import type { Outcome } from "../store.ts";
import type { Lane } from "./lanes.ts";
import type { Copies } from "./logs/copied-logs.ts";
import { newLogs } from "./logs/logs-number.ts";
import { BigintList } from "./connection/bigint-list.ts";
import { sqlState } from "./connection/postgres-error.ts";
import { keptTexts, nullText, separator } from "./schema/functions/commit-appends.ts";

/** A call of a function of the schema that commits. */
export interface CommitCall {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A batch of transactions to commit. */
export interface Batch {
  readonly batch: readonly Transaction[];
  readonly copies: Copies;
  /** An entry of the batch has the number or the key of another one, so its logs may be cut or a key be taken. @default false */
  readonly overlaps?: boolean;
}

/** The call that commits these transactions, numbered by their places, as the next batch of a lane. */
export function commitCall(schema: string, { id, number }: Lane, sent: Batch): CommitCall {
  const [name, values] = functionFor(sent);
  return { text: callText(schema, name, values.length + 2), values: [id, number, ...values] };
}

/** By the names of the schema and of the function. */
const texts = new Map<string, Map<string, string>>();

/** The statement that calls a function. */
function callText(schema: string, name: string, count: number): string {
  let ofSchema = texts.get(schema);
  if (ofSchema === undefined) {
    ofSchema = new Map();
    texts.set(schema, ofSchema);
  }
  let text = ofSchema.get(name);
  if (text === undefined) {
    const places = Array.from({ length: count }, (_, index) => `$${index + 1}`);
    text = `select ${schema}.${name}(${places.join(", ")})::text as answer`;
    ofSchema.set(name, text);
  }
  return text;
}

function functionFor({ batch, copies, overlaps = false }: Batch): [name: string, values: readonly unknown[]] {
  const [transaction] = batch;
  const [change] = transaction ?? [];
  const single = batch.length === 1 && transaction?.length === 1 && change !== undefined && !isDocumentChange(change);
  if (single && !copies.has(change) && isUpdate(change)) {
    const count = overlaps ? 0 : appendedCount(change);
    if (count === 1) return ["commit_entry", changeValues(change)];
    if (count === 2) return ["commit_two_entries", [...changeValues(change), ...secondValues(change)]];
    return ["commit_session", [...changeValues(change).slice(0, recordLength), ...logValues(change)]];
  }
  const appends = overlaps || copies.size > 0 ? undefined : appendsOf(batch);
  if (appends !== undefined) return appends;
  const documents = documentValues(batch);
  const sessions = batchValues(batch, { copies, locks: documents.length > 0 });
  return documents.length === 0
    ? ["commit_batch", sessions]
    : ["commit_batch_with_documents", [...sessions, JSON.stringify(documents)]];
}

/** The changes of documents, for `commit_batch_with_documents`. */
function documentValues(batch: readonly Transaction[]): readonly object[] {
  return batch.flatMap((transaction, n) =>
    documentChanges(transaction).map((change, place) => documentValue(change, { n, place })),
  );
}

function documentValue(change: DocumentChange, placed: { readonly n: number; readonly place: number }): object {
  const { document, expected, kind } = change;
  const beginning = {
    ...placed,
    ...document,
    kind,
    expected: typeof expected === "string" ? expectedCodes[expected] : expected,
  };
  if (change.kind === "touch") return { ...beginning, expires_at: change.expiresAt };
  const { version, updatedAt: updated_at } = change;
  if (change.kind === "remove") return { ...beginning, version, created_at: updated_at, updated_at, data: "" };
  const { user: user_id, createdAt: created_at, data } = change;
  const expiry = change.expiresAt === "kept" ? { keeps_expiry: true } : { expires_at: change.expiresAt };
  return { ...beginning, version, user_id, created_at, updated_at, data, ...expiry };
}

const expectedCodes = { absent: 0, present: -1 } as const;

/** A value of a column. */
type Cell = string | number | null;

/** A change of a stored session. */
type Update = Change & { readonly expected: Identity; readonly record: SessionRecord };

/** True for a change that `commit_session` can apply. */
function isUpdate({ expected, record, additions, logsOf }: Change): boolean {
  return record !== null && expected !== null && additions === undefined && logsOf === undefined;
}

/**
 * The number of entries of a change that only adds entries behind the ends of logs, whose keys, if any, no other entry may
 * have; 0 for other changes. Entries of archives are bytes.
 */
function appendedCount({ splices, claims }: Change): number {
  let count = 0;
  let keys = 0;
  for (const { log, appends, entries } of splices) {
    if (!appends || log === "archive" || entries.length === 0) return 0;
    count += entries.length;
    for (const { key } of entries) {
      if (key === null) continue;
      if (!claims.some((claim) => claim.key === key && claim.log === log)) return 0;
      keys++;
    }
  }
  return keys === claims.length ? count : 0;
}

/**
 * The values of the record of a change and of its first entry, in the order of the parameters of each function for one session.
 * Each append makes one such list, so it is a literal, which has its length from the beginning.
 */
function changeValues(change: Change): readonly Cell[] {
  const { key, expected, record, splices } = change as Update;
  const [splice] = splices;
  const entry = splice?.entries[0];
  const row = rowOf(record);
  return [
    key.tenant,
    key.id,
    expected.version,
    expected.commitId,
    row.version,
    row.commitId,
    row.state,
    row.agent,
    row.user,
    row.createdAt,
    row.lastActivityAt,
    row.activeMinute,
    row.stateSince,
    row.expiresAt,
    row.sweepAt,
    row.data,
    row.title,
    row.labels,
    splice?.log ?? null,
    entry?.seq ?? null,
    entry?.key ?? null,
    entry?.at ?? null,
    entry?.data ?? null,
  ];
}

/** The number of the values of {@link changeValues} that are those of the record. */
const recordLength = 18;

/** The values of the second entry of a change: it is behind the first one, or the first one of another log. */
function secondValues({ splices: [splice, another] }: Change): readonly Cell[] {
  const { log, entries = [] } = (splice?.entries.length === 2 ? splice : another) ?? {};
  const entry = entries.at(-1);
  return [log ?? null, entry?.seq ?? null, entry?.key ?? null, entry?.at ?? null, entry?.data ?? null];
}

/** The lists of `commit_session`: cuts of logs, entries, keys. */
function logValues({ splices, claims }: Change): readonly (string | null)[] {
  const cuts = splices.map(({ log, from }) => ({ log, from }));
  const entries = splices.flatMap(({ log, entries: added }) =>
    added.map(({ seq, key, at, data }) => ({ log, seq, key, at, data })),
  );
  return [cuts, entries, claims].map(jsonOf);
}

/** The function that applies a batch of appends, and its values; undefined for a batch that none of them can apply. */
function appendsOf(batch: readonly Transaction[]): [name: string, values: readonly unknown[]] | undefined {
  if (batch.length === 1 || !batch.every(isAppend)) return undefined;
  const changes = sorted(batch);
  if (changes.every(({ change }) => change.keepsListed === true)) return ["commit_kept_appends", keptColumns(changes)];
  return ["commit_append_batch", columnsOfAppends(changes)];
}

/** A text for each column. */
function columnsOfAppends(changes: readonly Placed[]): readonly (string | Buffer)[] {
  const rows = changes.map(({ change }) => changeValues(change));
  const cells: Cell[] = changes.map(({ n }) => n);
  const columns: (string | Buffer)[] = [cells.join(separator)];
  const last = (rows[0]?.length ?? 0) - 1;
  for (let column = 0; column < last; column++) {
    for (let index = 0; index < rows.length; index++) cells[index] = rows[index]?.[column] ?? nullText;
    columns.push(cells.join(separator));
  }
  columns.push(joinedBytes(rows.map((row) => String(row[last]))));
  return columns;
}

/** All numbers, in the order of `keptNumbers`, and a text for each column of `keptTexts`. */
function keptColumns(changes: readonly Placed[]): readonly unknown[] {
  const numbers: number[] = [];
  const texts: Record<(typeof keptTexts)[number], string[]> = {
    tenant: [],
    id: [],
    expected_commit: [],
    commit_id: [],
    data: [],
    log: [],
    key: [],
    entry: [],
  };
  for (const { n, change } of changes) {
    const { key, expected, record, splices } = change as Update;
    const [{ log, entries }] = splices as [Splice];
    const [entry] = entries as [Entry];
    const { version, commitId, lastActivityAt, activeMinute, expiresAt, sweepAt, data } = rowOf(record);
    numbers.push(n, expected.version, version, lastActivityAt, activeMinute, expiresAt, sweepAt, entry.seq, entry.at);
    texts.tenant.push(key.tenant);
    texts.id.push(key.id);
    texts.expected_commit.push(expected.commitId);
    texts.commit_id.push(commitId);
    texts.data.push(data);
    texts.log.push(log);
    texts.key.push(entry.key ?? nullText);
    texts.entry.push(entry.data);
  }
  return [
    new BigintList(numbers),
    ...keptTexts.map((column) => (column === "entry" ? joinedBytes(texts.entry) : texts[column].join(separator))),
  ];
}

/** Long texts with separators between them, as bytes: one text of all of them would be written twice. */
function joinedBytes(texts: readonly string[]): Buffer {
  const bytes = Buffer.allocUnsafe(texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, -1));
  let end = 0;
  texts.forEach((text, index) => {
    if (index > 0) end += bytes.write(separator, end);
    end += bytes.write(text, end);
  });
  return bytes;
}

/** True for a transaction that adds one entry behind the end of a log, with values that can be split. */
function isAppend(transaction: Transaction): boolean {
  const [change] = transaction;
  if (change === undefined || transaction.length > 1 || isDocumentChange(change)) return false;
  return isUpdate(change) && appendedCount(change) === 1 && isSplittable(change);
}

/** True for the error of a batch in which an entry has the number or the key of another one. It wrote nothing. */
export function isOverlap(error: unknown): boolean {
  return sqlState(error instanceof SessionError ? error.cause : error) === "23505";
}

/** True where no value has a character that separates values; JSON escapes them. */
function isSplittable({ key, record, splices: [splice] }: Change): boolean {
  return (
    isPart(key.tenant) &&
    isPart(key.id) &&
    isPart(record?.agent) &&
    isPart(record?.user) &&
    isPart(record?.title) &&
    isPart(splice?.log) &&
    isPart(splice?.entries[0]?.key)
  );
}

function isPart(text: string | null | undefined): boolean {
  return text == null || !(text.includes(separator) || text.includes(nullText));
}

/** The values of `commit_batch`: JSON texts, or null for an empty list. */
function batchValues(
  batch: readonly Transaction[],
  { copies, locks: mayWait }: { readonly copies: Copies; readonly locks: boolean },
): readonly unknown[] {
  const updates: object[] = [];
  const creates: object[] = [];
  const removals: object[] = [];
  const splices: object[] = [];
  const entries: object[] = [];
  const claims: object[] = [];
  const moves: object[] = [];
  const additions: object[] = [];
  let locks = mayWait;
  for (const { n, place, change } of sorted(batch)) {
    const { tenant, id } = change.key;
    const { record, expected } = change;
    const key = { n, tenant, id };
    const placed = { ...key, place, expected_version: expected?.version, expected_commit: expected?.commitId };
    if (place > 0 || record === null) locks = true;
    for (const addition of change.additions ?? []) additions.push({ n, ...addition });
    change.claims.forEach(({ log, key: claimed }, index) =>
      claims.push({ ...key, place: place * 1000 + index, log, key: claimed }),
    );
    if (record === null) {
      removals.push(placed);
      continue;
    }
    if (expected === null) creates.push({ ...placed, ...columnsOf(record), logs: newLogs() });
    else updates.push({ ...placed, ...columnsOf(record) });
    const copy = copies.get(change);
    if (copy !== undefined || change.logsOf !== undefined) {
      const { tenant: fromTenant, id: fromId } = change.logsOf ?? change.key;
      const from = { from_tenant: fromTenant, from_id: fromId, from_logs: newLogs() };
      moves.push({ ...key, logs: copy ?? newLogs(), copied: copy !== undefined, ...from });
    }
    for (const { log, from, entries: added } of change.splices) {
      if (expected !== null) splices.push({ ...key, log, from }); // a new session has no entries to cut
      for (const { seq, key: entryKey, at, data } of added) entries.push({ ...key, log, seq, key: entryKey, at, data });
    }
  }
  return [...[updates, creates, removals, moves, splices, entries, claims, additions].map(jsonOf), locks];
}

function jsonOf(list: readonly object[]): string | null {
  return list.length === 0 ? null : JSON.stringify(list);
}

/** The columns of a session that a change writes. */
function columnsOf(record: SessionRecord): Readonly<Record<string, Cell>> {
  const row = rowOf(record);
  return {
    version: row.version,
    commit_id: row.commitId,
    state: row.state,
    agent: row.agent,
    user_id: row.user,
    created_at: row.createdAt,
    last_activity_at: row.lastActivityAt,
    active_minute: row.activeMinute,
    state_since: row.stateSince,
    expires_at: row.expiresAt,
    sweep_at: row.sweepAt,
    data: row.data,
    title: row.title,
    labels: row.labels,
  };
}

interface Placed {
  /** The number of the transaction in its batch. */
  readonly n: number;
  /** The place of the change in its transaction. */
  readonly place: number;
  readonly change: Change;
}

/**
 * All changes by key, in the same order in every process, so two batches never wait for each other: by code point, which is
 * the order of the collation "C" in which the server locks rows.
 */
function sorted(batch: readonly Transaction[]): readonly Placed[] {
  const changes = batch.flatMap((transaction, n) =>
    sessionChanges(transaction).map((change, place): Placed => ({ n, place, change })),
  );
  // Code units have the order of code points, but for surrogates.
  const hasSurrogates = changes.some(({ change: { key } }) => surrogate.test(key.tenant) || surrogate.test(key.id));
  const compare = hasSurrogates ? compareBytes : compareUnits;
  return changes.sort(
    ({ change: { key: a } }, { change: { key: b } }) => compare(a.tenant, b.tenant) || compare(a.id, b.id),
  );
}

function compareUnits(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const surrogate = /[\ud800-\udfff]/;

/** The answer to a commit: null if all was written and nothing is left to delete. */
export type Answer =
  | null
  /** An earlier try wrote the batch, except for these transactions. */
  | { readonly settled: readonly number[] }
  /** The refused transactions with the reasons. */
  | {
      readonly duplicates?: readonly { readonly n: number; readonly entry: Entry }[] | null;
      readonly conflicts?:
        | readonly { readonly n: number; readonly fits: boolean; readonly current: RecordRow | null }[]
        | null;
      /** True if logs of removed sessions have entries left. */
      readonly left: boolean;
      /** The first document of each transaction that does not fit. */
      readonly documents?: readonly RefusedDocument[] | null;
    };

/** The row of a refused document, with nulls if there is none. */
type RefusedDocument = StoredDocument & {
  readonly n: number;
  readonly version: number | null;
  readonly isLive: boolean;
};

/** The answer of a function of the schema; that of `commit_batch_with_documents` has the reasons for sessions apart. */
export function answerOf(text: string | null): Answer {
  const answer =
    text === null ? null : (JSON.parse(text) as Answer | { sessions: Answer; documents: RefusedDocument[] });
  return answer !== null && "sessions" in answer
    ? ({ ...answer.sessions, documents: answer.documents } as Answer)
    : answer;
}

/**
 * The outcomes of a batch, in its order. Undefined for a transaction that an earlier try refused, whose answer was lost: it
 * wrote nothing, and is sent again.
 */
export function outcomesOf(answer: Answer, count: number): (Outcome | undefined)[] {
  const outcomes: (Outcome | undefined)[] = Array.from({ length: count }, () => ({ status: "ok" }));
  if (answer === null) return outcomes;
  if ("settled" in answer) {
    for (const n of answer.settled) outcomes[n] = undefined;
    return outcomes;
  }
  // The first claim, change or document that did not fit decides, before a change that fits by now.
  const conflicts = (answer.conflicts ?? []).toReversed();
  const refuse = ({ n, current }: (typeof conflicts)[number]): unknown =>
    (outcomes[n] = conflictWith(current ?? undefined));
  conflicts.filter(({ fits }) => fits).forEach(refuse);
  for (const document of answer.documents ?? []) outcomes[document.n] = documentConflictOf(document);
  conflicts.filter(({ fits }) => !fits).forEach(refuse);
  for (const { n, entry } of (answer.duplicates ?? []).toReversed()) outcomes[n] = { status: "duplicate", entry };
  return outcomes;
}

function documentConflictOf({ n: _, isLive, version, ...rest }: RefusedDocument): Outcome {
  const current = isLive && version !== null ? { ...rest, version } : undefined;
  return { status: "document_conflict", key: documentKeyOf(rest), current, lastVersion: version ?? 0 };
}
