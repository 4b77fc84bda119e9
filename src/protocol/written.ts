/** Writes, looks and entries of logs on the wire: as in the library, with instants as ISO 8601. */
import { defined } from "../domain/values/defined.ts";
import { guardObject } from "../domain/values/option-names.ts";
import type {
  LogEntry,
  Metadata,
  SessionLook,
  SessionPatch,
  SessionWrite,
  Turn,
  Value,
  WriteOutcome,
  WriteResult,
  WritesOutcome,
} from "../index.ts";
import {
  infoOfWire,
  turnOfWire,
  waitingOfWire,
  wireSession,
  wireTurn,
  wireWaitingFor,
  type WireSession,
  type WireTurn,
  type WireWaitingTurn,
} from "./wire.ts";
import type { PatchBody, WriteBody } from "./write-schemas.ts";

/** An entry of a log. */
export interface WireLogEntry extends Omit<LogEntry, "at"> {
  readonly at: string;
}

type WireResult = Omit<WriteResult, "turns" | "waiting"> & {
  readonly turns: readonly WireTurn[];
  readonly waiting?: WireWaitingTurn;
};

/** The key of a write is in its log already. */
type WireDuplicate = Omit<Extract<WriteOutcome, { status: "duplicate" }>, "entry"> & { readonly entry: WireLogEntry };

export type WireOutcome = WireResult | WireDuplicate;

export type WireOutcomes =
  | { readonly status: "ok"; readonly writes: readonly WireResult[] }
  | (WireDuplicate & { readonly id: string });

export interface WireLook extends Omit<SessionLook, "info" | "tails"> {
  readonly info: WireSession;
  readonly tails: readonly (readonly WireLogEntry[])[];
}

/** The value of the log `turns` is a turn. */
export function wireLogEntry(log: string, { at, value, ...entry }: LogEntry): WireLogEntry {
  const sent = log === "turns" ? wireTurn(value as unknown as Turn) : value;
  return { ...entry, at: at.toISOString(), value: sent as Value };
}

export function logEntryOfWire(log: string, { at, value, ...entry }: WireLogEntry): LogEntry {
  const read = log === "turns" ? turnOfWire(value as unknown as WireTurn) : value;
  return { ...entry, at: new Date(at), value: read as unknown as Value };
}

export function wireOutcome(outcome: WriteOutcome): WireOutcome {
  if (outcome.status === "ok") return wireResult(outcome);
  return { ...outcome, entry: wireLogEntry(outcome.log, outcome.entry) };
}

export function outcomeOfWire(wire: WireOutcome): WriteOutcome {
  if (wire.status === "ok") return resultOfWire(wire);
  return { ...wire, entry: logEntryOfWire(wire.log, wire.entry) };
}

function wireResult({ turns, waiting, ...result }: WriteResult): WireResult {
  const sent = waiting === undefined ? undefined : wireWaitingFor("operator", waiting);
  return defined({ ...result, turns: turns.map(wireTurn), waiting: sent });
}

function resultOfWire({ turns, waiting, ...result }: WireResult): WriteResult {
  const read = waiting === undefined ? undefined : waitingOfWire(waiting);
  return defined({ ...result, turns: turns.map(turnOfWire), waiting: read });
}

export function wireOutcomes(outcome: WritesOutcome): WireOutcomes {
  if (outcome.status === "duplicate") return { ...outcome, entry: wireLogEntry(outcome.log, outcome.entry) };
  return { ...outcome, writes: outcome.writes.map(wireResult) };
}

export function outcomesOfWire(wire: WireOutcomes): WritesOutcome {
  if (wire.status === "duplicate") return { ...wire, entry: logEntryOfWire(wire.log, wire.entry) };
  return { ...wire, writes: wire.writes.map(resultOfWire) };
}

/** Its tails are of these logs, in this order. */
export function wireLook({ info, tails, ...look }: SessionLook, logs: readonly string[]): WireLook {
  const sent = tails.map((tail, index) => tail.map((entry) => wireLogEntry(logs[index] ?? "", entry)));
  return { ...look, info: wireSession(info), tails: sent };
}

export function lookOfWire({ info, tails, ...look }: WireLook, logs: readonly string[]): SessionLook {
  const read = tails.map((tail, index) => tail.map((entry) => logEntryOfWire(logs[index] ?? "", entry)));
  return { ...look, info: infoOfWire(info), tails: read };
}

/** A write as JSON has it. A look is its version and its marks. */
export function wireWrite(given: SessionWrite): WriteBody {
  guardObject(given, "write");
  const { set, onto, ...write } = given;
  return defined({
    ...write,
    set: set === undefined ? undefined : wirePatch(set),
    onto: typeof onto === "object" && onto !== null ? { version: onto.version, marks: onto.marks } : onto,
  });
}

export function writeOfWire({ set, ...write }: WriteBody): SessionWrite {
  return defined({ ...write, set: set === undefined ? undefined : patchOf(set) });
}

/** Metadata to remove, whose value is `undefined`, is listed. */
export function wirePatch(given: SessionPatch): PatchBody {
  guardObject(given, "patch");
  const { metadata, ...patch } = given;
  if (metadata === undefined) return patch;
  guardObject(metadata, "metadata");
  const entries = Object.entries(metadata);
  const removed = entries.filter(([, value]) => value === undefined).map(([key]) => key);
  return {
    ...patch,
    metadata: Object.fromEntries(entries.filter(([, value]) => value !== undefined)),
    ...(removed.length === 0 ? {} : { removeMetadata: removed }),
  };
}

export function patchOf({ removeMetadata = [], metadata: merged, ...patch }: PatchBody): SessionPatch {
  if (merged === undefined && removeMetadata.length === 0) return patch;
  return { ...patch, metadata: metadataPatch(merged, removeMetadata) };
}

function metadataPatch(merged: unknown, removed: readonly string[]): Metadata {
  // The library refuses values that are not plain objects; spreading would turn them into one.
  if (merged !== undefined && !isPlain(merged)) return merged as Metadata;
  return { ...Object.fromEntries(removed.map((key) => [key, undefined])), ...merged };
}

function isPlain(value: unknown): value is Metadata {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
