/** The writes of callers as plain data, and their parser: everything that a write can be refused for without the store. */
import type { Amendment } from "../../domain/turns/amended-turn.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { encode, type Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseId, sortableId } from "../../domain/values/ids.ts";
import { invalidArgument, parseArray } from "../../domain/values/invalid-argument.ts";
import type { Limits } from "../../domain/values/limits.ts";
import {
  parseNamedLog,
  type IfPresent,
  type NewEntries,
  type NewEntry,
  type Onto,
} from "../../domain/writes/named-logs.ts";
import type { NewTurns, NewWait, NewWrite, WrittenTurn } from "../../domain/writes/session-write.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import type { WriteKey } from "../operations/append.ts";
import { namedAgent } from "../operations/named-agent.ts";
import { parseWait, type WaitingTurn, type WaitOptions } from "../turns/progress/waiting-turn.ts";
import { newTurn, turnInputNames, type TurnInput } from "../operations/turn-input.ts";
import { parsePatch, type SessionPatch } from "../operations/update.ts";
import { parseOneOf, parseWholeNumber } from "../options/arguments.ts";
import { guardNames, guardObject, type OptionNames } from "../../domain/values/option-names.ts";
import type { ScopedDocumentWrite } from "../documents/document-write.ts";
import type { LogEntry } from "./log-entry.ts";

/** The changes of one write, all in one commit. */
export interface SessionWrite {
  readonly turns?: TurnsWrite;
  /** By the names of the logs. */
  readonly logs?: { readonly [name: string]: LogWrite };
  /** Fields of the session, as in `update`. */
  readonly set?: SessionPatch;
  /** Documents of any scope of the tenant, by scope and key. */
  readonly documents?: readonly ScopedDocumentWrite[];
  /**
   * What the write was decided on: a `version` of the session, or a look at it. If one of the logs has changed since, the write
   * fails with `conflict`. A version compares all logs; a look compares the logs that were looked at, and those that are
   * written. Touches, leases and updates are no changes of a log.
   * @default the write is applied to whatever is stored
   */
  readonly onto?: Onto;
}

/** Turns to write, each finished. */
export interface TurnsWrite {
  /** The first turn to replace, with all behind it; needs `onto`, unless it is 1. @default behind the last one */
  readonly from?: number;
  readonly turns: readonly (TurnInput & WriteKey)[];
  /**
   * The first of the turns is a later version of the last turn, which `from` names: it takes its place, with its key and time.
   * Fields that it does not name stay. Its usage, requests and duration are at least the earlier ones.
   * @default false
   */
  readonly amends?: boolean;
  /**
   * The last of the turns waits: its output is the output so far, its usage and requests are those so far, and it has no status,
   * duration or finish reason. `session.resume` continues it. A later version of the last turn cannot wait.
   * @default all turns are finished
   */
  readonly wait?: TurnWait;
  /** A branch keeps the replaced turns, and `Session.switchTo` shows it again. @default false */
  readonly keep?: boolean;
}

/** How a turn waits that is written as a waiting one. */
export type TurnWait = Pick<WaitOptions, "state" | "reason" | "expires">;

/** Entries to write to a named log. */
export interface LogWrite {
  /** The first entry to replace, with all behind it; needs `onto`, unless it is 1. @default behind the last one */
  readonly from?: number;
  readonly entries: readonly LogEntryInput[];
}

/** One entry to write. */
export interface LogEntryInput {
  /** Unique in the log. @default none */
  readonly key?: string;
  readonly value: Value;
  /**
   * What becomes of this entry if its key is in the log. `refuse`: nothing of the write is written, and its status is
   * `duplicate`, also where the write replaces the entry that has the key; `skip`: the entry is left out; `replace`: it takes
   * the place of the stored entry. `skip` and `replace` count only keys before `from`.
   * @default "refuse"
   */
  readonly ifPresent?: IfPresent;
}

/** The outcome of a write. */
export type WriteOutcome =
  | WriteResult
  | {
      /** A key is in its log already; nothing was written. */
      readonly status: "duplicate";
      readonly log: string;
      /** The entry with the key: that of the log, or an earlier one of the same write. */
      readonly entry: LogEntry;
    };

/** A write that was committed. */
export interface WriteResult {
  readonly status: "ok";
  /** The version of the session that the write made: pass it as `onto` of the next one. */
  readonly version: number;
  /** The turns that it wrote. */
  readonly turns: readonly Turn[];
  /** The turn that waits; absent where none of them does. */
  readonly waiting?: WaitingTurn;
  readonly logs: { readonly [name: string]: WrittenEntries };
  /** The version of each document, in the order of the writes; null for a deletion. Absent without documents. */
  readonly documents?: readonly (number | null)[];
}

/** The entries that a write put into a log. */
export interface WrittenEntries {
  /** The seq of each given entry; null for one that was left out. */
  readonly seqs: readonly (number | null)[];
  /** The last seq of the log. */
  readonly end: number;
}

const writeNames: OptionNames<SessionWrite> = { turns: true, logs: true, set: true, documents: true, onto: true };
const turnsNames: OptionNames<TurnsWrite> = { from: true, turns: true, amends: true, wait: true, keep: true };
const waitNames: OptionNames<TurnWait> = { state: true, reason: true, expires: true };
const turnNames: OptionNames<TurnInput & WriteKey> = { key: true, ...turnInputNames };
const logNames: OptionNames<LogWrite> = { from: true, entries: true };
const entryNames: OptionNames<LogEntryInput> = { key: true, value: true, ifPresent: true };
const ifPresents = ["refuse", "skip", "replace"] as const;

/**
 * @throws SessionError `argument_invalid`, `id_invalid`, `log_reserved`, `write_too_large`, `message_invalid`, `value_unstorable`,
 *   `agent_unknown`
 */
export function parseWrite(core: Core, sessionId: string, write: SessionWrite): NewWrite {
  guardNames(write, "write", writeNames);
  const onto = write.onto === undefined ? undefined : parseOnto(write.onto);
  const isGuarded = onto !== undefined;
  const { logs: named = {}, turns, set } = write;
  guardObject(named, "logs");
  if (set !== undefined) guardObject(set, "set");
  const logs = Object.entries(named).map(([name, log]) => parseLog(name, log, isGuarded));
  const parsed = turns === undefined ? undefined : parseTurns(core, turns, isGuarded);
  guardSizes(sessionId, { turns: turns?.turns.length ?? 0, logs }, core.options.limits);
  return defined({
    turns: parsed,
    logs,
    set: set === undefined ? undefined : parsePatch(core, set),
    onto,
  });
}

function parseOnto(onto: Onto): Onto {
  if (typeof onto !== "object" || onto === null) return parseWholeNumber(onto, "onto", 1);
  const { version, marks } = onto;
  parseWholeNumber(version, "onto.version", 1);
  guardObject(marks, "onto.marks");
  for (const [log, mark] of Object.entries(marks)) {
    if (log !== "turns") parseNamedLog(log);
    if (typeof mark !== "string") throw invalidArgument(`onto.marks.${log}`, mark, { expected: "text" });
  }
  return { version, marks };
}

function parseTurns(core: Core, write: TurnsWrite, isGuarded: boolean): NewTurns {
  guardNames(write, "turns", turnsNames);
  const { turns, amends = false, keep } = write;
  const wait = write.wait === undefined ? undefined : parseTurnWait(core, write.wait);
  parseArray(turns, "turns.turns");
  if (typeof amends !== "boolean") throw invalidArgument("turns.amends", amends, { expected: "boolean" });
  if (amends && write.from === undefined)
    throw invalidArgument("turns.from", write.from, { expected: "whole_number", min: 1 });
  const from = parseFrom(write.from, "turns.from", isGuarded);
  // Unlike map, the loop visits the holes of a sparse array.
  const written: WrittenTurn[] = [];
  for (let index = 0; index < turns.length; index++) written.push(parseTurn(core, turns[index]!, `turns[${index}]`));
  const least = (amends ? 1 : 0) + (wait === undefined ? 0 : 1);
  if (written.length < least) throw invalidArgument("turns.turns", turns, { expected: "entries" });
  if (wait !== undefined) guardUnfinished(turns.at(-1), `turns[${turns.length - 1}]`);
  if (keep !== undefined && typeof keep !== "boolean")
    throw invalidArgument("turns.keep", keep, { expected: "boolean" });
  if (!amends) return defined({ from, turns: written, wait, keep });
  const [first, ...rest] = written;
  const [given] = turns;
  if (first === undefined || given === undefined) throw new Error("an amended turn is given");
  return defined({ from, turns: rest, amendment: amendmentOf(given, first), wait });
}

/** @throws SessionError `argument_invalid`, `duration_invalid`, `value_unstorable` */
function parseTurnWait({ options }: Core, wait: TurnWait): NewWait {
  guardNames(wait, "turns.wait", waitNames);
  const { clock } = options;
  return { ...parseWait(wait), state: wait.state, token: sortableId(clock.now(), clock.random(16)) };
}

/** A turn that waits has no end yet. @throws SessionError `argument_invalid` */
function guardUnfinished(turn: TurnInput | undefined, path: string): void {
  for (const name of ["status", "durationMs", "finish"] as const)
    if (turn?.[name] !== undefined) throw invalidArgument(`${path}.${name}`, turn[name], { expected: "no_field" });
}

/** The turn as it is appended. */
function parseTurn(core: Core, written: TurnInput & WriteKey, path: string): WrittenTurn {
  guardNames(written, path, turnNames);
  const agent = written.agent === undefined ? undefined : namedAgent(core, written.agent);
  return { ...newTurn(written, { agent: agent ?? "", key: written.key ?? null }), agent };
}

/** The turn as it amends another one: with the fields that the caller names alone. */
function amendmentOf(given: TurnInput, parsed: WrittenTurn): NonNullable<NewTurns["amendment"]> {
  const { output, requests, status, agent, ...named } = parsed;
  const amendment: Amendment = {
    ...named,
    ...defined({
      agent,
      output: given.output === undefined ? undefined : output,
      requests: given.requests === undefined && given.output === undefined ? undefined : requests,
      status: given.status === undefined ? undefined : status,
    }),
  };
  return { ...amendment, key: parsed.key };
}

function parseLog(name: string, write: LogWrite, isGuarded: boolean): NewEntries {
  const log = parseNamedLog(name);
  guardNames(write, `logs.${log}`, logNames);
  const from = parseFrom(write.from, `logs.${log}.from`, isGuarded);
  const { entries } = write;
  parseArray(entries, `logs.${log}.entries`);
  // Unlike map, from visits the holes of a sparse array.
  const parsed = Array.from(entries, (entry, index) => parseEntry(entry, `${log}[${index}]`));
  return defined({ log, from, entries: parsed });
}

function parseEntry(entry: LogEntryInput, path: string): NewEntry {
  guardNames(entry, path, entryNames);
  const { key, value, ifPresent = "refuse" } = entry;
  return {
    key: key === undefined ? null : parseId(key, "key"),
    data: encode(value, path),
    ifPresent: parseOneOf(ifPresent, "ifPresent", ifPresents),
  };
}

/** A write that replaces what it does not name must have read it; one that replaces everything need not. */
function parseFrom(from: number | undefined, name: string, isGuarded: boolean): number | undefined {
  if (from === undefined) return undefined;
  const parsed = parseWholeNumber(from, name, 1);
  if (parsed > 1 && !isGuarded) throw invalidArgument(name, from, { expected: "with_onto" });
  return parsed;
}

function guardSizes(
  sessionId: string,
  { turns, logs }: { readonly turns: number; readonly logs: readonly NewEntries[] },
  { logsMax, writeEntriesMax, entryBytesMax, writeBytesMax }: Limits,
): void {
  const tooLarge = (size: {
    part: "logs" | "entries" | "entryBytes" | "writeBytes";
    log?: string;
    count: number;
    countMax: number;
  }): SessionError => new SessionError("write_too_large", { sessionId, ...size });
  if (logs.length > logsMax) throw tooLarge({ part: "logs", count: logs.length, countMax: logsMax });
  const count = logs.reduce((sum, { entries }) => sum + entries.length, turns);
  if (count > writeEntriesMax) throw tooLarge({ part: "entries", count, countMax: writeEntriesMax });
  let all = 0;
  for (const { log, entries } of logs)
    for (const { data } of entries) {
      const bytes = Buffer.byteLength(data);
      if (bytes > entryBytesMax) throw tooLarge({ part: "entryBytes", log, count: bytes, countMax: entryBytesMax });
      all += bytes;
    }
  if (all > writeBytesMax) throw tooLarge({ part: "writeBytes", count: all, countMax: writeBytesMax });
}
