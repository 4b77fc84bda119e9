/**
 * Compaction: before a question is answered, the turns that are too many for the window are summarized, under the lease of its turn.
 * So one process makes a summary, and one that is killed leaves it to the next question. A failure delays the next try, and the
 * question is answered without a new summary.
 */
import { keyText } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { remembered } from "../../domain/request/memory.ts";
import { isShown, shownTurn } from "../../domain/request/shown-turn.ts";
import type { WindowBounds } from "../../domain/request/window.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";
import type { Model } from "../options/model.ts";
import { memoryFor } from "./read-memory.ts";
import { compactionOf, keptBy, summarizerOf, summarizeTurns, turnsBetween, type SummaryPlan } from "./summarize.ts";

/** The question before which turns may be summarized. */
export interface CompactedQuestion {
  readonly agent: string;
  /** The number of its turn. */
  readonly seq: number;
  readonly window: WindowBounds;
  /** The model of the question. */
  readonly model: Model;
  /** The turns before it that were read already, the newest. */
  readonly loaded: readonly Turn[];
}

/** A summary to make before a question is answered. */
export type DueSummary = Omit<SummaryPlan, "signal">;

/** A summarizer may take this long, ms. */
const timeoutMs = 120_000;
/** After a failure the session is tried again after this time, ms, and after twice the time with each further failure. */
const firstPauseMs = 60_000;
const longestPauseMs = 3_600_000;
/** The sessions whose last summary failed; the oldest are forgotten first. */
const failedMax = 1000;
/** One question waits for so many steps at most: a long conversation from before the compaction is summarized little by little. */
const stepsMax = 4;

/** A summary covers so many turns at least, also for an agent that keeps fewer, unless the window is full. */
const coveredMin = 2;

interface Failure {
  readonly count: number;
  readonly until: number;
}

const failures = new WeakMap<Core, Map<string, Failure>>();

function failuresOf(core: Core): Map<string, Failure> {
  const known = failures.get(core) ?? new Map<string, Failure>();
  failures.set(core, known);
  return known;
}

/** The summary that is due before a question; undefined where none is. @throws the store's errors */
export async function dueSummary(handle: Handle, question: CompactedQuestion): Promise<DueSummary | undefined> {
  const { core, record } = handle;
  const { agent, seq, window, loaded, model } = question;
  const compaction = compactionOf(core, agent);
  if (compaction === undefined || core.isFallback || window.turns === 0 || window.tokens === 0) return undefined;
  if (seq === 1 || isPaused(core, record)) return undefined;
  const memory = await memoryFor(core, record, { before: seq, loaded });
  const from = (memory?.summary?.to ?? 0) + 1;
  // The summary and the pinned turns take a part of the window: the other turns have the rest.
  const left = remembered([], { memory, window }).window;
  const keep = keptWithin(loaded, { keep: keptBy(core, agent), left });
  const to = seq - 1 - keep;
  if (to < from) return undefined;
  const { atTokens } = compaction;
  const turnsMin = Math.max(coveredMin, keep);
  const leftOut = memory?.leftOut ?? new Set<number>();
  if (!(await isDue(core, record, { from, to, last: seq - 1, loaded, leftOut, atTokens, turnsMin, left })))
    return undefined;
  try {
    const summarizer = summarizerOf(core, record, { agent, asked: model });
    return { agent, to, summarizer, isAutomatic: true, stepsMax };
  } catch {
    // No model can be asked without tools: `summarize` says so.
    return undefined;
  }
}

/**
 * The number of turns that are kept as they are: as far as they fit into half of the window, and one at least. More of them would be
 * neither in the summary nor shown, and the window would be full again with the next question.
 */
function keptWithin(
  loaded: readonly Turn[],
  { keep, left }: { readonly keep: number; readonly left: WindowBounds },
): number {
  const keepMax = Math.min(keep, Math.ceil(left.turns / 2));
  let [kept, tokens] = [0, 0];
  for (const turn of loaded.toReversed()) {
    tokens += isShown(turn) ? shownTurn(turn).tokens : 0;
    if (kept === keepMax || (kept > 0 && tokens > left.tokens / 2)) break;
    kept++;
  }
  return kept;
}

/** The turns that no summary covers yet: those up to `to` are to be summarized, those after it are kept as they are. */
interface Unsummarized {
  readonly from: number;
  readonly to: number;
  readonly last: number;
  readonly loaded: readonly Turn[];
  /** Those of `loaded` that no model is shown. */
  readonly leftOut: ReadonlySet<number>;
  readonly atTokens: number;
  /** A window that is not full has a summary of so many turns at least. */
  readonly turnsMin: number;
  /** The window that is left for them. */
  readonly left: WindowBounds;
}

/**
 * True where they are more than the window shows, or have `atTokens` tokens. In the second case the turns to summarize must have at
 * least half of these tokens, and be as many as are kept: neither large kept turns nor large new ones make a summary before each
 * question.
 */
async function isDue(
  core: Core,
  record: SessionRecord,
  { from, to, last, loaded, leftOut, atTokens, turnsMin, left }: Unsummarized,
): Promise<boolean> {
  const isLoaded = (loaded[0]?.seq ?? Number.POSITIVE_INFINITY) <= from;
  let [tokens, count] = [0, 0];
  let covered = { tokens: 0, turns: 0 };
  for await (const turn of isLoaded ? loaded : turnsBetween(core, record, { from, to: last })) {
    if (turn.seq < from || !isShown(turn) || leftOut.has(turn.seq)) continue;
    const own = shownTurn(turn).tokens;
    tokens += own;
    if (turn.seq <= to) covered = { tokens: covered.tokens + own, turns: covered.turns + 1 };
    count++;
    if (tokens >= left.tokens || count > left.turns) return true;
    if (tokens >= atTokens && covered.tokens >= atTokens / 2 && covered.turns >= turnsMin) return true;
  }
  return false;
}

/** Make the summary, unless that fails: the tracing channel `perdure:summary` has the error, and the caller goes on. */
export async function compact(handle: Handle, due: DueSummary, signal: AbortSignal): Promise<void> {
  const { core } = handle;
  const key = keyText(handle.key);
  const stop = new AbortController();
  const timeout = core.options.clock.sleep(timeoutMs, stop.signal).then(
    () => stop.abort(new Error(`no summary after ${timeoutMs} ms`)),
    () => undefined,
  );
  try {
    await summarizeTurns(handle, { ...due, signal: AbortSignal.any([signal, stop.signal]) });
    failuresOf(core).delete(key);
  } catch (error) {
    // A stop of the question is no failure of the summarizer, and neither is a budget that is used up.
    if (!signal.aborted && !isUsedUp(error)) pause(core, key);
  } finally {
    stop.abort();
    await timeout;
  }
}

function isUsedUp(error: unknown): boolean {
  return hasCode(error, "budget_exceeded") || hasCode(error, "daily_budget_exceeded");
}

function isPaused(core: Core, record: SessionRecord): boolean {
  return (failuresOf(core).get(keyText(record))?.until ?? 0) > core.now();
}

function pause(core: Core, key: string): void {
  const known = failuresOf(core);
  const count = (known.get(key)?.count ?? 0) + 1;
  const until = core.now() + Math.min(longestPauseMs, firstPauseMs * 2 ** (count - 1));
  known.delete(key);
  known.set(key, { count, until });
  for (const oldest of known.keys()) {
    if (known.size <= failedMax) break;
    known.delete(oldest);
  }
}
