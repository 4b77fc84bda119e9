/**
 * Turns that a question replaced: entries of the log `replaced`, written in the commit that truncates them and begins the
 * question's turn. The seal of that turn deletes them; if its answer failed before its first word, the seal puts them back.
 * The first entry of the log holds the fields of the record to restore; the turns follow, in their order.
 */
import { clearSegment } from "../branches/branching.ts";
import { hasTurns } from "../branches/segments.ts";
import { treeData, type BranchTree } from "../branches/tree.ts";
import { SessionError } from "../../errors.ts";
import { defined } from "../values/defined.ts";
import { changeOf, draftOf, lastOwn, set, splice, type Change, type Draft } from "../record/change.ts";
import { branchesLog, truncatedUsageLog, type Entry } from "../record/entry.ts";
import { sessionIds, turnOpen } from "../record/guards.ts";
import type { SessionRecord } from "../record/record.ts";
import { decode, encode } from "../values/codec.ts";
import type { Limits } from "../values/limits.ts";
import { countSealed } from "./counters.ts";
import { TruncatedSums, appendTruncatedUsage } from "./truncated-usage.ts";
import { turnOf, type Turn } from "./turn.ts";

/** The name of the log. */
export const replacedLog = "replaced";

/**
 * The log of the keys of turns that were replaced for good, one entry each: a late retry of such a turn must not replace, or
 * follow, the turns of today.
 */
export const replacedKeysLog = "replaced-keys";

/** Turns that one question may replace; their bytes are at most those of one turn. */
export const replacedTurnsMax = 1000;

/** The fields of the record before the replacement. */
export interface ReplacedHeader {
  /** The last turn whose usage is counted in another session. */
  readonly inherited: number;
  /** The last entry of the log of truncated usage, under the name of that log. */
  readonly [truncatedUsageLog]: number;
  /** The last entry of the log `replaced-keys`. */
  readonly keys: number;
  /** The last turn before the replaced ones; absent in entries of earlier versions. */
  readonly after?: number;
  /** The branch that keeps the turns; absent where they are entries of this log. */
  readonly branch?: ReplacedBranch;
}

/** The branches before the replacement, where one of them keeps the turns that were replaced. */
interface ReplacedBranch {
  readonly branches: SessionRecord["branches"];
  /** The last entries of the logs with turns, and of the log with the tree. */
  readonly heads: SessionRecord["heads"];
  readonly messages: number;
  /** The data of the tree. */
  readonly tree: string;
}

/** @throws SessionError `replaced_too_large` where these entries do not fit into one commit */
export function guardReplaced(record: SessionRecord, after: number, entries: readonly Entry[], limits: Limits): void {
  const bytesMax = limits.turnBytesMax;
  const bytes = entries.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);
  if (entries.length <= replacedTurnsMax && bytes <= bytesMax) return;
  const sizes = { turns: entries.length, turnsMax: replacedTurnsMax, bytes, bytesMax };
  throw new SessionError("replaced_too_large", { ...sessionIds(record), after, ...sizes });
}

/**
 * The end of a turn that replaced others deletes those or itself, so no legal hold may begin before it.
 * @throws SessionError `turn_open`
 */
export function guardNoneReplaced(record: SessionRecord): void {
  if (record.openTurn !== null && hasReplaced(record)) throw turnOpen(record, record.openTurn);
}

/**
 * Keep the turns in the draft that truncates them. `before`: the record before the truncation. `kept`: the entries, or the branches
 * before the one that has them was left.
 */
export function keepReplaced(
  draft: Draft,
  before: SessionRecord,
  kept: readonly Entry[] | { readonly tree: BranchTree },
): void {
  const entries = "tree" in kept ? [] : kept;
  const keys = lastOwn(before, replacedKeysLog);
  const after = lastOwn(draft.record, "turns") - 1;
  const usageHead = lastOwn(before, truncatedUsageLog);
  const branch = "tree" in kept ? replacedBranch(before, kept.tree) : undefined;
  const places = { inherited: before.inherited, [truncatedUsageLog]: usageHead, keys, after };
  const header: ReplacedHeader = { ...places, ...defined({ branch }) };
  const keyed = entries.filter(({ key }) => key !== null);
  const keptKeys = keyed.map(({ seq: turn, key, at }, index) => ({
    seq: keys + 1 + index,
    key,
    at,
    data: encode({ turn }),
  }));
  if (keptKeys.length > 0) splice(draft, replacedKeysLog, keys + 1, keptKeys);
  const first = { seq: 1, key: null, at: entries[0]?.at ?? 0, data: encode({ ...header }) };
  splice(draft, replacedLog, 1, [first, ...entries.map((entry, index) => ({ ...entry, seq: index + 2 }))]);
}

function replacedBranch({ branches, heads, counters: { messages } }: SessionRecord, tree: BranchTree): ReplacedBranch {
  return { branches, heads: withTurns(heads, true), messages, tree: treeData(tree) };
}

/** The heads of the logs with turns and with their tree, or those of the others. */
function withTurns(heads: SessionRecord["heads"], areTurns: boolean): SessionRecord["heads"] {
  return Object.fromEntries(
    Object.entries(heads).filter(([log]) => (hasTurns(log) || log === branchesLog) === areTurns),
  );
}

/** True where the turns that the open one replaced are put back if it ends without a word. */
export function hasKept(kept: readonly Entry[]): boolean {
  return kept.some(isTurn) || kept.some((entry) => readHeader(entry)["branch"] !== undefined);
}

/** The number that the turn of a replaced key had; 0 for a damaged entry. */
export function replacedTurnOf({ data }: Entry): number {
  try {
    const { turn } = decode(data) as { readonly turn?: unknown };
    return Number.isSafeInteger(turn) ? (turn as number) : 0;
  } catch {
    return 0;
  }
}

/** True for a record whose open turn replaced others. */
export function hasReplaced(record: SessionRecord): boolean {
  return lastOwn(record, replacedLog) > 0;
}

/** The place of a turn in the log; undefined where the open turn did not replace it. */
export function replacedPlace(
  { openTurn, heads }: Pick<SessionRecord, "openTurn" | "heads">,
  turn: number,
): number | undefined {
  if (openTurn === null || turn < openTurn) return undefined;
  const place = turn - openTurn + 2;
  return place <= lastOwn({ heads }, replacedLog) ? place : undefined;
}

/** The last turn whose usage is counted in another session, once the turns are put back. `first` is the first entry of the log. */
export function inheritedBefore(record: SessionRecord, first: Entry | undefined): number {
  return headerOf(first, record).inherited;
}

/** Delete the turns that were kept. */
export function dropReplaced(draft: Draft): void {
  if (hasReplaced(draft.record)) splice(draft, replacedLog, 1, []);
}

/**
 * Put the turns back in the place of the open turn, whose usage stays counted. `kept` are the entries of the log; `failed`
 * is the open turn as it would be sealed, without output.
 */
export function putBack(draft: Draft, kept: readonly Entry[], failed: Turn): void {
  const { record } = draft;
  const branch = branchIn(kept.find((entry) => !isTurn(entry)));
  if (branch !== undefined) {
    switchBack(draft, branch, failed);
    return;
  }
  const entries = kept.filter(isTurn);
  const {
    inherited,
    [truncatedUsageLog]: usageHead,
    keys,
  } = headerOf(
    kept.find((entry) => !isTurn(entry)),
    record,
  );
  const turns = entries.map((entry, index) => ({ ...entry, seq: failed.seq + index }));
  const sums = new TruncatedSums();
  sums.add(failed, 0);
  splice(draft, "turns", failed.seq, turns);
  if (usageHead < lastOwn(record, truncatedUsageLog)) splice(draft, truncatedUsageLog, usageHead + 1, []);
  appendTruncatedUsage(draft, sums.result.usage);
  if (keys < lastOwn(record, replacedKeysLog)) splice(draft, replacedKeysLog, keys + 1, []);
  set(draft, {
    inherited,
    counters: {
      ...countSealed(record.counters, failed),
      turns: failed.seq - 1 + turns.length,
      messages: record.counters.messages - failed.input.length + countMessages(turns),
    },
  });
  dropReplaced(draft);
}

/** Make the branch that keeps the replaced turns the current one again; the new branch goes with its only turn. */
function switchBack(draft: Draft, { branches, heads, messages, tree }: ReplacedBranch, failed: Turn): void {
  const { record } = draft;
  if (record.branches !== null) clearSegment(draft, record.branches.current);
  const sums = new TruncatedSums();
  sums.add(failed, 0);
  appendTruncatedUsage(draft, sums.result.usage);
  const hadTree = lastOwn({ heads }, branchesLog) > 0;
  splice(draft, branchesLog, 1, hadTree ? [{ seq: 1, key: null, at: failed.at.getTime(), data: tree }] : []);
  set(draft, {
    branches,
    heads: { ...withTurns(draft.record.heads, false), ...heads },
    counters: { ...countSealed(record.counters, failed), turns: lastOwn({ heads }, "turns"), messages },
  });
  dropReplaced(draft);
}

function branchIn(header: Entry | undefined): ReplacedBranch | undefined {
  return readHeader(header)["branch"] as ReplacedBranch | undefined;
}

/**
 * Put turns back whose replacement was lost from the log, which now ends before their place. The counters stay as they are: the
 * caller counts the logs again. Null if the log has other turns by now, or the place is unknown.
 */
export function putBackLost(record: SessionRecord, kept: readonly Entry[], turnsEnd: number): Change | null {
  const first = kept.find((entry) => !isTurn(entry));
  const turns = kept.filter(isTurn);
  const after = readHeader(first)["after"] ?? (record.openTurn === null ? undefined : record.openTurn - 1);
  if (turns.length === 0 || after !== turnsEnd) return null;
  const { inherited, [truncatedUsageLog]: usageHead, keys } = headerOf(first, record);
  const draft = draftOf(record);
  set(draft, { openTurn: null, waiting: null, cancel: null, inherited, heads: { ...record.heads, turns: turnsEnd } });
  splice(
    draft,
    "turns",
    turnsEnd + 1,
    turns.map((entry, index) => ({ ...entry, seq: turnsEnd + 1 + index })),
  );
  if (usageHead < lastOwn(record, truncatedUsageLog)) splice(draft, truncatedUsageLog, usageHead + 1, []);
  if (keys < lastOwn(record, replacedKeysLog)) splice(draft, replacedKeysLog, keys + 1, []);
  dropReplaced(draft);
  return changeOf(draft);
}

/** True for an entry of the log that is a turn; the other one is the header. */
export function isTurn({ seq }: Entry): boolean {
  return seq > 1;
}

/** A damaged or lost header does not keep the turns away: a field that cannot be is as in the record. */
function headerOf(entry: Entry | undefined, record: SessionRecord): ReplacedHeader {
  const [usageHead, keys] = [lastOwn(record, truncatedUsageLog), lastOwn(record, replacedKeysLog)];
  const read = readHeader(entry);
  const within = (value: unknown, most: number, otherwise: number): number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most ? (value as number) : otherwise;
  return {
    inherited: within(read["inherited"], Number.MAX_SAFE_INTEGER, record.inherited),
    [truncatedUsageLog]: within(read[truncatedUsageLog], usageHead, usageHead),
    keys: within(read["keys"], keys, keys),
  };
}

function readHeader(entry: Entry | undefined): Readonly<Record<string, unknown>> {
  try {
    return { ...(decode(entry?.data ?? "{}") as object) };
  } catch {
    // As a lost one.
    return {};
  }
}

/** The messages of these turns. A damaged turn counts none, and `doctor` reports it. */
function countMessages(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => {
    try {
      const { input, output } = turnOf(entry);
      return sum + input.length + output.length;
    } catch {
      return sum;
    }
  }, 0);
}
