/**
 * Named logs: their names, the marks of their last changes, and the entries that a write puts into them. A mark is the version
 * and the commit id of the last change of a log, as text.
 */
import { SessionError } from "../../errors.ts";
import { headOf, namedLogs, splice, turnsIdentity, type Draft } from "../record/change.ts";
import { isNamedLog, newEntry, type Entry, type LogName } from "../record/entry.ts";
import { sessionIds, type Context } from "../record/guards.ts";
import type { Identity, SessionRecord } from "../record/record.ts";
import { guardLegalHold } from "../record/retention.ts";
import { formatValue } from "../values/format-value.ts";
import { parseLogName } from "../values/ids.ts";
import { invalidArgument } from "../values/invalid-argument.ts";

/**
 * The name of a log that callers may write: as `parseLogName`, none of Perdure's own, and not reserved for later.
 * @throws SessionError `id_invalid`, `log_reserved`
 */
export function parseNamedLog(name: unknown): LogName {
  if (typeof name !== "string")
    throw new SessionError("id_invalid", { name: "log", value: formatValue(name), expected: "log_name" });
  const log = parseLogName(name);
  if (isNamedLog(log) && !isReserved(log)) return log;
  throw new SessionError("log_reserved", { log });
}

/** True for a name that no caller may write, and that Perdure does not use yet. */
export function isReserved(log: LogName): boolean {
  return log.startsWith("perdure");
}

/** The last change of a log, as text. A log that was never written to has the mark of the session's creation. */
export function markOf(record: SessionRecord, log: LogName): string {
  return markOfChange(log === "turns" ? turnsIdentity(record) : (changeOfLog(record, log) ?? neverOf(record)));
}

/** A change of a log, as text. */
export function markOfChange({ version, commitId }: Identity): string {
  return `${version}.${commitId}`;
}

function neverOf({ createdAt }: SessionRecord): Identity {
  return { version: 0, commitId: String(createdAt) };
}

/** The version of the last change of a log; 0 if it was never written to. */
function changedAt(record: SessionRecord, log: LogName): number {
  return log === "turns" ? record.turnsVersion : (changeOfLog(record, log)?.version ?? 0);
}

/** Undefined for a log that was never written to, also for one that is named like a property of every object. */
function changeOfLog({ logMarks }: SessionRecord, log: LogName): Identity | undefined {
  return Object.hasOwn(logMarks, log) ? logMarks[log] : undefined;
}

/** The basis of a write: a version of the session, or the marks of some logs at a version. */
export type Onto = number | { readonly version: number; readonly marks: { readonly [log: string]: string } };

/**
 * A write is decided on what its caller has read: the logs of the marks and those that it writes, or all logs for a version alone,
 * must not have changed since.
 * @throws SessionError `conflict`, `argument_invalid` for a version that the session has not reached
 */
export function guardOnto(record: SessionRecord, onto: Onto, written: readonly LogName[]): void {
  const { version, marks } = typeof onto === "number" ? { version: onto, marks: {} } : onto;
  if (version > record.version)
    throw invalidArgument("onto", version, { expected: "whole_number", min: 1, max: record.version });
  const compared = typeof onto === "number" ? ["turns", ...namedLogs(record)] : written;
  const changed =
    Object.keys(marks).find((log) => marks[log] !== markOf(record, log)) ??
    compared.find((log) => !Object.hasOwn(marks, log) && changedAt(record, log) > version);
  if (changed === undefined) return;
  const versions = { seenVersion: version, storedVersion: changedAt(record, changed) };
  throw new SessionError("conflict", { ...sessionIds(record), log: changed, ...versions });
}

/** The effect of an entry whose key is in the log. */
export type IfPresent = "refuse" | "skip" | "replace";

/** An entry to write. */
export interface NewEntry {
  readonly key: string | null;
  /** Text of the codec. */
  readonly data: string;
  readonly ifPresent: IfPresent;
}

/** Entries to write to a named log. */
export interface NewEntries {
  readonly log: LogName;
  /** The first entry to replace. @default behind the last one */
  readonly from?: number;
  readonly entries: readonly NewEntry[];
}

/** The part of a log that was read before a write. */
export interface KnownLog {
  /** The mark of the log when it was read. */
  readonly mark: string;
  /** The seq of each key of the write that is in the log. */
  readonly keys: ReadonlyMap<string, number>;
  /** The entries from the first one that the write replaces by its key; empty if it replaces none. */
  readonly tail: readonly Entry[];
}

/** The outcome of a write to one log. */
export type PlacedEntries =
  | {
      readonly status: "placed";
      /** The seq of each given entry; null for one that was left out. */
      readonly seqs: readonly (number | null)[];
      /** The last seq of the log. */
      readonly end: number;
    }
  /** The write depends on entries that were not read, or that changed since. */
  | { readonly status: "unread" }
  /** Two entries of the write have one key. */
  | { readonly status: "duplicate"; readonly entry: Entry };

/**
 * Write to a named log, in the draft. Without `known`, no key of the write counts as present: the store compares the keys.
 * @throws SessionError `range_invalid`, `legal_hold` for a write that replaces entries, `write_too_large`
 */
export function placeEntries(
  draft: Draft,
  { write, known }: { readonly write: NewEntries; readonly known: KnownLog | undefined },
  context: Context,
): PlacedEntries {
  const { record } = draft;
  const { log } = write;
  const head = headOf(record, log);
  const from = write.from ?? head + 1;
  if (from < 1 || from > head + 1) throw new SessionError("range_invalid", { from, to: head + 1 });
  if (known !== undefined && known.mark !== markOf(draft.base, log)) return { status: "unread" };
  const plan = planOf(write.entries, { from, known });
  if (plan.status === "duplicate") {
    const { key, data, seq } = plan;
    return { status: "duplicate", entry: { seq, key, at: context.now, data } };
  }
  const { added, replaced, seqs, claims } = plan;
  const first = Math.min(from, ...replaced.keys());
  const moved = (known?.tail ?? []).filter(({ seq }) => seq >= first && seq < from);
  // The tail was read for the keys of another state of the log.
  if (moved.length !== from - first) return { status: "unread" };
  const isUnchanged = first > head && added.length === 0;
  if (isUnchanged) return { status: "placed", seqs, end: head };
  if (first <= head) guardLegalHold(record);
  const kept = moved.map((entry) => {
    const data = replaced.get(entry.seq)?.data;
    return data === undefined ? entry : { ...entry, at: context.now, data };
  });
  const fresh = added.map(({ key, data }, index) => newEntry({ seq: from + index, at: context.now }, key, data));
  guardLogs(record, log, context);
  if (kept.length > 0) guardRewritten(record, { log, entries: [...kept, ...fresh] }, context);
  splice(draft, log, first, [...kept, ...fresh]);
  draft.claims.push(...claims.map((key) => ({ log, key })));
  return { status: "placed", seqs, end: from + added.length - 1 };
}

type Plan =
  | {
      readonly status: "planned";
      /** The entries from `from` on. */
      readonly added: readonly NewEntry[];
      /** The entries that take the place of others, by seq. */
      readonly replaced: ReadonlyMap<number, NewEntry>;
      readonly seqs: readonly (number | null)[];
      readonly claims: readonly string[];
    }
  | { readonly status: "duplicate"; readonly key: string; readonly data: string; readonly seq: number };

/** The place of each entry. An entry whose key an earlier entry of the write has follows its own rule. */
function planOf(
  entries: readonly NewEntry[],
  { from, known }: { readonly from: number; readonly known: KnownLog | undefined },
): Plan {
  const added: NewEntry[] = [];
  const replaced = new Map<number, NewEntry>();
  const seqs: (number | null)[] = [];
  const claims: string[] = [];
  /** The places of the keys of this write, and the entries there. */
  const own = new Map<string, { readonly seq: number; readonly index: number }>();
  const put = (seq: number, entry: NewEntry): void => {
    if (seq < from) replaced.set(seq, entry);
    else added[seq - from] = entry;
  };
  for (const [index, entry] of entries.entries()) {
    const { key, ifPresent } = entry;
    const earlier = key === null ? undefined : own.get(key);
    const stored = key === null ? undefined : known?.keys.get(key);
    const isKept = stored !== undefined && stored < from;
    let seq: number | null = from + added.length;
    if (key !== null && earlier !== undefined) {
      const { data } = entries[earlier.index] ?? entry;
      if (ifPresent === "refuse") return { status: "duplicate", key, data, seq: earlier.seq };
      seq = ifPresent === "skip" ? null : earlier.seq;
      if (seq !== null) seqs[earlier.index] = null;
    } else if (isKept && ifPresent !== "refuse") {
      seq = ifPresent === "skip" ? null : stored;
    } else if (key !== null && (stored === undefined || ifPresent === "refuse")) {
      claims.push(key);
    }
    seqs.push(seq);
    if (seq === null) continue;
    put(seq, entry);
    if (key !== null) own.set(key, { seq, index });
  }
  return { status: "planned", added, replaced, seqs, claims };
}

/** @throws SessionError `write_too_large` where the session would have too many named logs */
function guardLogs(record: SessionRecord, log: LogName, { limits }: Context): void {
  const logs = namedLogs(record);
  if (logs.includes(log) || logs.length < limits.logsMax) return;
  const size = { part: "logs", count: logs.length + 1, countMax: limits.logsMax } as const;
  throw new SessionError("write_too_large", { ...sessionIds(record), log, ...size });
}

/**
 * An entry that is replaced by its key is written with all entries behind it.
 * @throws SessionError `write_too_large`
 */
function guardRewritten(
  record: SessionRecord,
  { log, entries }: { readonly log: LogName; readonly entries: readonly Entry[] },
  { limits }: Context,
): void {
  const ids = { ...sessionIds(record), log };
  const { writeEntriesMax, writeBytesMax } = limits;
  if (entries.length > writeEntriesMax) {
    const size = { part: "entries", count: entries.length, countMax: writeEntriesMax } as const;
    throw new SessionError("write_too_large", { ...ids, ...size });
  }
  const bytes = entries.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);
  if (bytes > writeBytesMax)
    throw new SessionError("write_too_large", { ...ids, part: "writeBytes", count: bytes, countMax: writeBytesMax });
}
