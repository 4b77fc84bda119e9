/** Small and valid records, entries and changes, for tests of stores and of the layers above them. */
import { changeOf, draftOf, set, splice, withCommitId, type Change, type KeyClaim } from "../domain/record/change.ts";
import type { DocumentKey, DocumentPut, DocumentRemoval } from "../domain/documents/document.ts";
import { encode, type Value } from "../domain/values/codec.ts";
import type { Entry, Splice } from "../domain/record/entry.ts";
import { createSession } from "../domain/record/lifecycle.ts";
import { invalidArgument, invalidText, parseArray } from "../domain/values/invalid-argument.ts";
import { defaultLimits } from "../domain/values/limits.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import type { Instance, SessionRecord } from "../domain/record/record.ts";

/** The moment at which samples are made, epoch ms. */
export const sampleAt = 1_750_000_000_000;

/**
 * A record as it is after its session was created, without logs, with these fields in place of the usual ones.
 * @throws SessionError `argument_invalid`
 */
export function sampleRecord(fields: Partial<SessionRecord> = {}): SessionRecord {
  guardObject(fields, "fields");
  const { record } = createSession(
    {
      key: { tenant: fields.tenant ?? "default", id: fields.id ?? "sample" },
      agent: "ceo",
      user: null,
      metadata: {},
      ttlMs: 86_400_000,
      maxAgeMs: null,
      instructions: null,
    },
    { now: sampleAt, chance: 0, limits: defaultLimits },
  );
  if (record === null) throw new Error("creating a session makes a record");
  const commitId = sampleCommitId();
  return { ...record, ...firstVersion, commitId, turnsCommitId: commitId, heads: {}, ...fields };
}

let commits = 0;

/** A commit id that no other sample of this process has. */
export function sampleCommitId(): string {
  return `sample.${++commits}`;
}

/** Samples count their versions from 1, so that tests read well. */
const firstVersion = { version: 1, turnsVersion: 1 };

/** An entry of a sample log: a value, or a key and a value. */
export type SampleEntry = Value | { readonly key: string; readonly value: Value };

/** Entries whose seq run on from `from`. @throws SessionError `argument_invalid`, `value_unstorable` */
export function sampleEntries(from: number, values: readonly SampleEntry[]): Entry[] {
  guardSeq(from);
  // Unlike those of the array, the values of a copy include its holes.
  return Array.from(parseArray(values, "values")).map((item, index) => {
    const { key, value } = isKeyed(item) ? item : { key: null, value: item };
    return { seq: from + index, key, at: sampleAt + index, data: encode(value) };
  });
}

function guardSeq(from: number): void {
  if (!Number.isSafeInteger(from) || from < 1)
    throw invalidArgument("from", from, { expected: "whole_number", min: 1 });
}

function isKeyed(item: SampleEntry): item is { readonly key: string; readonly value: Value } {
  return typeof item === "object" && item !== null && "key" in item && "value" in item;
}

/** Replace `log` from `from` on by entries that hold these values. @throws SessionError as {@link sampleEntries} */
export function sampleSplice(log: string, from: number, values: readonly SampleEntry[]): Splice {
  if (typeof log !== "string" || log === "") throw invalidText("log", log, { min: 1 });
  return { log, from, entries: sampleEntries(from, values) };
}

/** The effects of {@link creationOf} and {@link stepOf} beside the next version. */
export interface SampleStep {
  readonly fields?: Partial<SessionRecord>;
  readonly splices?: readonly Splice[];
  readonly claims?: readonly KeyClaim[];
}

const stepNames: OptionNames<SampleStep> = { fields: true, splices: true, claims: true };

/** The change that puts this record, and logs if any, where there was none. @throws SessionError as {@link stepOf} */
export function creationOf(record: SessionRecord, step: Omit<SampleStep, "fields"> = {}): Change {
  guardObject(record, "record");
  return stepOf({ ...record, version: 0, heads: {} }, step);
}

/** The change that follows upon a record. @throws SessionError `argument_invalid` */
export function stepOf(record: SessionRecord, step: SampleStep = {}): Change {
  guardObject(record, "record");
  guardObject(record.heads, "record.heads");
  guardNames(step, "step", stepNames);
  const { fields = {}, splices = [], claims = [] } = step;
  guardObject(fields, "fields");
  const draft = draftOf(record);
  set(draft, fields);
  for (const given of parseArray(splices, "splices")) {
    guardObject(given, "splices");
    const { log, from, entries } = given;
    guardSeq(from);
    splice(draft, log, from, parseArray(entries, "entries"));
  }
  for (const claim of parseArray(claims, "claims")) {
    guardObject(claim, "claims");
    draft.claims.push(claim);
  }
  const change = changeOf(draft);
  return withCommitId(change, record.version === 0 ? record.commitId : sampleCommitId());
}

/** A process that is alive, for a heartbeat. */
export function sampleInstance(id: string): Omit<Instance, "seenAt"> {
  return { id, host: "host", pid: 7, machine: "machine", startedAt: "12345", address: null, staleAfterMs: null };
}

/** A put of a document with these fields in place of the usual ones. */
export function samplePut(
  document: DocumentKey,
  fields: Partial<Omit<DocumentPut, "document" | "kind">> & { readonly version: number },
): DocumentPut {
  return {
    kind: "put",
    document,
    user: null,
    createdAt: sampleAt,
    updatedAt: sampleAt,
    expiresAt: null,
    data: encode(fields.version),
    ...fields,
  };
}

/** A removal of a document. */
export function sampleRemoval(
  document: DocumentKey,
  fields: Pick<DocumentRemoval, "version" | "expected"> & { readonly updatedAt?: number },
): DocumentRemoval {
  return { kind: "remove", document, updatedAt: sampleAt, ...fields };
}
