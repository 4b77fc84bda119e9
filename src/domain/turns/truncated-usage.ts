/**
 * Usage of turns that are no longer in their log: entries of a log of its own, written in the commit that truncates the
 * turns, so that stats by agent, hour and model do not change when turns are deleted.
 */
import type { BranchTree } from "../branches/tree.ts";
import { defined } from "../values/defined.ts";
import { headOf, splice, type Draft } from "../record/change.ts";
import { decode, encode } from "../values/codec.ts";
import { truncatedUsageLog, type Entry } from "../record/entry.ts";
import type { SessionRecord } from "../record/record.ts";
import type { Turn, Usage } from "./turn.ts";
import { addCounts, addUsage, estimateUsage, parseUsage } from "./usage.ts";

/** Usage of the turns of one hour, by one agent, with one model. */
export interface TruncatedUsage {
  readonly agent: string;
  readonly model?: string;
  /** Tokens of all of them. */
  readonly usage: Omit<Usage, "estimated">;
  /** Calls of a model. */
  readonly requests: number;
  readonly durationMs: number;
  /** The longest of them, ms. */
  readonly longestMs: number;
  /** Number of turns in the sum. */
  readonly turns: number;
  readonly failed: number;
  readonly interrupted: number;
  /** Turns whose tokens are estimated. */
  readonly estimated: number;
  /** The hour in which they began, epoch ms. */
  readonly hour: number;
}

/** Truncated turns: the number of their messages, and their usage. */
export interface TruncatedTurns {
  readonly messages: number;
  readonly usage: readonly TruncatedUsage[];
  /** The branches of the session; absent for one that never had a second branch. */
  readonly tree?: BranchTree;
  /** Another branch keeps the turns: they are not deleted, and their usage stays where it is. @default false */
  readonly isKept?: boolean;
}

const hourMs = 3_600_000;
const noUsage: Usage = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };

/** Sums the usage of truncated turns: one sum per agent, model and hour. */
export class TruncatedSums {
  #messages = 0;
  readonly #usage = new Map<string, TruncatedUsage>();

  /** @param inherited the last turn whose usage is counted in another session */
  add(turn: Turn, inherited: number): void {
    const { at, status, agent, model, requests, durationMs = 0, input, output } = turn;
    // An earlier version stored reported usage unchecked.
    const usage = turn.usage && parseUsage(turn.usage, () => estimateUsage(input, output));
    this.#messages += input.length + output.length;
    if (turn.seq <= inherited) return;
    const hour = Math.floor(at.getTime() / hourMs) * hourMs;
    const key = encode([hour, agent, model ?? null]);
    const before = this.#usage.get(key);
    const { estimated: _, ...tokens } = addUsage(before?.usage ?? noUsage, usage ?? noUsage);
    this.#usage.set(key, {
      agent,
      ...defined({ model }),
      usage: tokens,
      requests: addCounts(before?.requests ?? 0, requests),
      durationMs: addCounts(before?.durationMs ?? 0, durationMs),
      longestMs: Math.max(before?.longestMs ?? 0, durationMs),
      turns: (before?.turns ?? 0) + 1,
      failed: (before?.failed ?? 0) + (status === "failed" ? 1 : 0),
      interrupted: (before?.interrupted ?? 0) + (status === "interrupted" ? 1 : 0),
      estimated: (before?.estimated ?? 0) + (usage?.estimated === true ? 1 : 0),
      hour,
    });
  }

  get result(): TruncatedTurns {
    return { messages: this.#messages, usage: [...this.#usage.values()] };
  }
}

/** Append the usage to {@link truncatedUsageLog}, in the draft. */
export function appendTruncatedUsage(draft: Draft, usage: readonly TruncatedUsage[]): void {
  const entries = truncatedUsageEntries(draft.record, usage);
  const [first] = entries;
  if (first !== undefined) splice(draft, truncatedUsageLog, first.seq, entries);
}

/** The next entries of the log of truncated usage. */
export function truncatedUsageEntries(record: SessionRecord, usage: readonly TruncatedUsage[]): readonly Entry[] {
  const from = headOf(record, truncatedUsageLog) + 1;
  return usage.map(({ hour, ...data }, index) => ({
    seq: from + index,
    key: null,
    at: hour,
    data: encode(data, truncatedUsageLog),
  }));
}

export function truncatedUsageOf({ at, data }: Entry): TruncatedUsage {
  return { ...(decode(data) as unknown as Omit<TruncatedUsage, "hour">), hour: at };
}
