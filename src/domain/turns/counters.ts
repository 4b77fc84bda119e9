import { noCounters, type Counters } from "../record/record.ts";
import type { TruncatedUsage } from "./truncated-usage.ts";
import { isSealed, type Turn, type TurnContent } from "./turn.ts";
import { addCounts } from "./usage.ts";

/** The counters after a turn began: it and its input are in the log. */
export function countBegun(counters: Counters, turn: Pick<Turn, "input">): Counters {
  return {
    ...counters,
    turns: counters.turns + 1,
    messages: counters.messages + turn.input.length,
  };
}

/** The counters after a turn in progress was sealed: adds its output and its usage. */
export function countSealed(counters: Counters, turn: TurnContent): Counters {
  const durationMs = turn.durationMs ?? 0;
  return {
    turns: counters.turns,
    messages: counters.messages + turn.output.length,
    requests: addCounts(counters.requests, turn.requests),
    inputTokens: addCounts(counters.inputTokens, turn.usage?.inputTokens ?? 0),
    outputTokens: addCounts(counters.outputTokens, turn.usage?.outputTokens ?? 0),
    totalTokens: addCounts(counters.totalTokens, turn.usage?.totalTokens ?? 0),
    durationMs: addCounts(counters.durationMs, durationMs),
    longestMs: Math.max(counters.longestMs, durationMs),
  };
}

/** The counters after an amended turn, whose usage is at least that of `before`, took the place of it. */
export function countAmended(counters: Counters, before: Turn, after: Turn): Counters {
  const messagesOf = ({ input, output }: Turn): number => input.length + output.length;
  const more = (sum: number, earlier = 0, later = 0): number => addCounts(sum, later - earlier);
  return {
    turns: counters.turns,
    messages: counters.messages + messagesOf(after) - messagesOf(before),
    requests: more(counters.requests, before.requests, after.requests),
    inputTokens: more(counters.inputTokens, before.usage?.inputTokens, after.usage?.inputTokens),
    outputTokens: more(counters.outputTokens, before.usage?.outputTokens, after.usage?.outputTokens),
    totalTokens: more(counters.totalTokens, before.usage?.totalTokens, after.usage?.totalTokens),
    durationMs: more(counters.durationMs, before.durationMs, after.durationMs),
    longestMs: Math.max(counters.longestMs, after.durationMs ?? 0),
  };
}

/** The counters after turns were truncated: their usage stays counted. */
export function countTruncated(counters: Counters, truncated: { turns: number; messages: number }): Counters {
  return {
    ...counters,
    turns: counters.turns - truncated.turns,
    messages: counters.messages - truncated.messages,
  };
}

/** The counters of the log, with the usage of truncated turns added. */
export function countTruncatedUsage(counters: Counters, usage: Iterable<TruncatedUsage>): Counters {
  let { requests, inputTokens, outputTokens, totalTokens, durationMs, longestMs } = counters;
  for (const truncated of usage) {
    requests = addCounts(requests, truncated.requests);
    inputTokens = addCounts(inputTokens, truncated.usage.inputTokens);
    outputTokens = addCounts(outputTokens, truncated.usage.outputTokens);
    totalTokens = addCounts(totalTokens, truncated.usage.totalTokens);
    durationMs = addCounts(durationMs, truncated.durationMs);
    longestMs = Math.max(longestMs, truncated.longestMs);
  }
  return { ...counters, requests, inputTokens, outputTokens, totalTokens, durationMs, longestMs };
}

/** The counters of a whole log, to compare a record with its log. */
export function countAll(turns: Iterable<Turn>): Counters {
  let counters = noCounters;
  for (const turn of turns) {
    counters = countBegun(counters, turn);
    if (isSealed(turn)) counters = countSealed(counters, turn);
  }
  return counters;
}
