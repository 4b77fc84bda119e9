import { countUsage, set, type Draft } from "../record/change.ts";
import type { Context } from "../record/guards.ts";
import { appendTruncatedUsage } from "../turns/truncated-usage.ts";
import type { Usage } from "../turns/turn.ts";
import { addCounts } from "../turns/usage.ts";
import { defined } from "../values/defined.ts";

/** A call of a model that belongs to no turn. */
export interface ModelCall {
  readonly agent: string;
  readonly model?: string;
  /** Absent where the caller does not know it. */
  readonly usage?: Usage;
  readonly durationMs: number;
}

/** Count a request of a model that belongs to no turn, in the draft: its usage is beside that of the turns. */
export function countModelCall(draft: Draft, { agent, model, usage, durationMs }: ModelCall, { now }: Context): void {
  if (usage === undefined) return;
  const { counters } = draft.record;
  const { inputTokens, outputTokens, totalTokens } = usage;
  set(draft, {
    counters: {
      ...counters,
      requests: addCounts(counters.requests, 1),
      inputTokens: addCounts(counters.inputTokens, inputTokens),
      outputTokens: addCounts(counters.outputTokens, outputTokens),
      totalTokens: addCounts(counters.totalTokens, totalTokens),
      durationMs: addCounts(counters.durationMs, durationMs),
      longestMs: Math.max(counters.longestMs, durationMs),
    },
  });
  const { estimated: _, ...tokens } = usage;
  const none = { turns: 0, failed: 0, interrupted: 0, estimated: 0 };
  const hour = Math.floor(now / hourMs) * hourMs;
  appendTruncatedUsage(draft, [
    { agent, ...defined({ model }), usage: tokens, requests: 1, durationMs, longestMs: durationMs, ...none, hour },
  ]);
  countUsage(draft, { tokens: totalTokens, turns: 0 });
}

const hourMs = 3_600_000;
