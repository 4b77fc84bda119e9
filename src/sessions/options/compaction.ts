import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { invalidArgument, parseFunction } from "../../domain/values/invalid-argument.ts";
import { isModelName } from "../../domain/turns/usage.ts";
import type { ReportedUsage, Turn } from "../../domain/turns/turn.ts";

/**
 * When a summary takes the place of past turns. The turns stay in the session; a model is shown the summary and the turns that
 * follow it.
 */
export interface Compaction {
  /**
   * A question whose unsummarized past turns have at least so many tokens is answered once they are summarized, if those before the
   * kept ones have at least half as many; also where they are more than the window shows.
   */
  readonly atTokens: number;
  /** The last turns, which are not summarized. @default 4 */
  readonly keep?: number;
  /** The name of the model that summarizes. @default the agent's model */
  readonly model?: string;
  /** Makes the summary. @default the model of `openSessions`, else that of the question, without tools */
  readonly summarizer?: Summarizer;
}

/**
 * Makes a summary. Words of users may ask it for anything: it should run no tools.
 * @throws any error: the turn goes on without a new summary
 */
export type Summarizer = (request: SummaryRequest) => Promise<string | MadeSummary>;

/** The turns to summarize. */
export interface SummaryRequest {
  readonly tenant: string;
  readonly session: string;
  readonly agent: string;
  /** The summary of the turns before `from`; the new one covers them too. */
  readonly earlier?: string;
  readonly from: number;
  readonly to: number;
  /** The turns from `from` to `to`, without those that no model is shown. */
  readonly turns: readonly Turn[];
  readonly signal: AbortSignal;
}

/** A summary as a summarizer made it. */
export interface MadeSummary {
  readonly text: string;
  /** The tokens that it cost, for budgets and stats. @default none are counted */
  readonly usage?: ReportedUsage;
  /** The name of the model. */
  readonly model?: string;
}

/** The last turns that are not summarized, where an agent does not say. */
export const keepDefault = 4;

const names: OptionNames<Compaction> = { atTokens: true, keep: true, model: true, summarizer: true };

/** @throws SessionError `argument_invalid` */
export function parseCompaction(compaction: Compaction, name: string): Compaction {
  guardNames(compaction, name, names);
  const { atTokens, keep = keepDefault, model, summarizer } = compaction;
  if (!Number.isSafeInteger(atTokens) || atTokens < 1)
    throw invalidArgument(`${name}.atTokens`, atTokens, { expected: "whole_number", min: 1 });
  if (!Number.isSafeInteger(keep) || keep < 0)
    throw invalidArgument(`${name}.keep`, keep, { expected: "whole_number", min: 0 });
  if (model !== undefined && !isModelName(model))
    throw invalidArgument(`${name}.model`, model, { expected: "name", min: 1, max: 256 });
  if (summarizer !== undefined) parseFunction(summarizer, `${name}.summarizer`);
  return compaction;
}
