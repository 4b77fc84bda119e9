/** The tokens of a run, as the run context of the Agents SDK counts them. */
import type { ReportedUsage, Turn } from "../../index.ts";

/** The context of a run, described by the members that are read: `RunContext` of the Agents SDK is one. */
export interface AgentRunContext {
  readonly usage: {
    readonly requests: number;
    readonly inputTokens: number;
    readonly outputTokens: number;
    readonly totalTokens: number;
    readonly inputTokensDetails?: readonly Readonly<Record<string, number>>[];
    readonly outputTokensDetails?: readonly Readonly<Record<string, number>>[];
  };
}

/** Counts at one moment. */
export interface Tokens {
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly cachedTokens: number;
  readonly reasoningTokens: number;
}

export const noTokens: Tokens = {
  requests: 0,
  inputTokens: 0,
  outputTokens: 0,
  totalTokens: 0,
  cachedTokens: 0,
  reasoningTokens: 0,
};

/** The counts of a run so far. */
export function tokensOf({ usage }: AgentRunContext): Tokens {
  const sum = (list: readonly Readonly<Record<string, number>>[] = [], name: string): number =>
    list.reduce((total, details) => total + (details[name] ?? 0), 0);
  const { requests, inputTokens, outputTokens, totalTokens } = usage;
  return {
    requests,
    inputTokens,
    outputTokens,
    totalTokens,
    cachedTokens: sum(usage.inputTokensDetails, "cached_tokens"),
    reasoningTokens: sum(usage.outputTokensDetails, "reasoning_tokens"),
  };
}

/**
 * The usage of a turn whose run has counted from `before` to `now`, on top of what the turn has; absent where no model was
 * called. A model that reports no tokens counts requests alone.
 */
export function usageOfTurn(
  turn: Pick<Turn, "usage" | "requests"> | undefined,
  { before, now }: { readonly before: Tokens; readonly now: Tokens },
): { readonly usage?: ReportedUsage; readonly requests?: number } {
  const more = (name: keyof Tokens): number => Math.max(0, now[name] - before[name]);
  if (more("requests") + more("totalTokens") === 0) return {};
  const requests = (turn?.requests ?? 0) + more("requests");
  const earlier = turn?.usage;
  if (more("totalTokens") === 0) return { requests };
  const details = (name: "cachedTokens" | "reasoningTokens"): object => {
    const sum = (earlier?.[name] ?? 0) + more(name);
    return sum === 0 ? {} : { [name]: sum };
  };
  return {
    requests,
    usage: {
      inputTokens: (earlier?.inputTokens ?? 0) + more("inputTokens"),
      outputTokens: (earlier?.outputTokens ?? 0) + more("outputTokens"),
      totalTokens: (earlier?.totalTokens ?? 0) + more("totalTokens"),
      ...details("cachedTokens"),
      ...details("reasoningTokens"),
    },
  };
}
