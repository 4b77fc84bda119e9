/** Summaries: what a model is shown in place of the turns that they cover. The turns stay. */
import { SessionError } from "../../errors.ts";
import { changeOf, lastOwn, splice, type Change, type Draft } from "../record/change.ts";
import { summaryLog, type Entry } from "../record/entry.ts";
import { guardFence, sessionIds, type Context, type Writer } from "../record/guards.ts";
import type { SessionRecord } from "../record/record.ts";
import { dropSummaryLog, summaryLogs } from "../record/summary-logs.ts";
import { guardNoneReplaced } from "../turns/replaced-turns.ts";
import type { Usage } from "../turns/turn.ts";
import { isModelName, parseUsage } from "../turns/usage.ts";
import { decode, encode } from "../values/codec.ts";
import { defined } from "../values/defined.ts";
import { isDate } from "../values/limits.ts";
import { countModelCall } from "./model-call.ts";

/** A summary of the first turns of a session. */
export interface Summary {
  /** The first turn that it covers. */
  readonly from: number;
  /** The last turn that it covers. */
  readonly to: number;
  /** At most 16 000 characters. */
  readonly text: string;
  /** When it was stored. */
  readonly at: Date;
  /** The agent that it was made for. */
  readonly agent: string;
  readonly model?: string;
  /** The tokens of the call that made it; absent for a summarizer that reports none. */
  readonly usage?: Usage;
}

/** A longer summary is cut. */
export const summaryLengthMax = 16_000;

/** A session keeps the summaries up to so many different turns, those that cover most. */
export const summariesMax = 8;

/** A summary, and the identity of the last turn that it covers. */
export interface StoredSummary {
  readonly summary: Summary;
  readonly turn: string;
}

/** The summary of an entry of the log of summaries up to turn `to`; undefined for one that cannot be read. */
export function readSummary(to: number, { at, data }: Entry): StoredSummary | undefined {
  try {
    const { turn, text, agent, model, usage } = decode(data) as { readonly [field: string]: unknown };
    if (typeof turn !== "string" || typeof text !== "string" || typeof agent !== "string" || !isDate(at))
      return undefined;
    const summary = {
      from: 1,
      to,
      text,
      at: new Date(at),
      agent,
      ...defined({
        model: isModelName(model) ? model : undefined,
        usage: usage === undefined ? undefined : parseUsage(usage, noUsage),
      }),
    };
    return { summary, turn };
  } catch {
    return undefined;
  }
}

function noUsage(): Usage {
  return { inputTokens: 0, outputTokens: 0, totalTokens: 0 };
}

/** A summary to store. */
export interface NewSummary {
  readonly to: number;
  /** The identity of the last turn that it covers. */
  readonly turn: string;
  readonly text: string;
  readonly agent: string;
  readonly model?: string;
  readonly usage?: Usage;
  readonly durationMs: number;
}

/**
 * Store a summary and count its usage, in the draft. `isStored`: false where the covered turns are others by now, or another process
 * stored the same summary: then only the usage is counted.
 * @throws SessionError `fenced`, `turn_open`, `session_archived`
 */
export function storeSummary(
  draft: Draft,
  { summary, isStored }: { readonly summary: NewSummary; readonly isStored: boolean },
  { fence }: Pick<Writer, "fence">,
  context: Context,
): Change {
  guardMemory(draft.record);
  // The usage would be lost where the end of the open turn puts the replaced turns back.
  guardNoneReplaced(draft.record);
  if (fence !== null) guardFence(draft.record, fence);
  countModelCall(draft, summary, context);
  if (isStored) {
    const { to, turn, text, agent, model, usage } = summary;
    const log = summaryLog(to);
    const seq = lastOwn(draft.record, log) + 1;
    const data = encode(defined({ turn, text, agent, model, usage }));
    splice(draft, log, seq, [{ seq, key: null, at: context.now, data }]);
    // This one stays, also where others cover more: the next step continues it, and another branch may have no other one.
    const others = summaryLogs({ heads: draft.record.heads, archive: null }).filter((one) => one.log !== log);
    for (const { log: oldest } of others.slice(summariesMax - 1)) dropSummaryLog(draft, oldest);
  }
  return changeOf(draft);
}

/** @throws SessionError `session_archived` */
export function guardMemory(record: SessionRecord): void {
  if (record.archive !== null || record.state === "archived")
    throw new SessionError("session_archived", sessionIds(record));
}
