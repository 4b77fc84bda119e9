/** Summaries by hand, pinned turns, turns that are left out, and ratings of turns. */
import { lastFinished } from "../../domain/copies/fork.ts";
import { putRatings, ratingsMax, type Rating, type StoredRating } from "../../domain/memory/feedback.ts";
import { guardMemory, type Summary } from "../../domain/memory/summary.ts";
import { turnIdentity } from "../../domain/memory/turn-identity.ts";
import {
  leftOutMax,
  marked,
  memoryOf,
  pinnedMax,
  putMemory,
  type MarkedTurn,
  type TurnMemory,
} from "../../domain/memory/turn-memory.ts";
import { haveSameTurns, headOf } from "../../domain/record/change.ts";
import { feedbackLog, memoryLog } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { guardNoneReplaced } from "../../domain/turns/replaced-turns.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseId } from "../../domain/values/ids.ts";
import { guardNumber, invalidArgument, invalidText, parseFunction } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { markOf } from "../../domain/writes/named-logs.ts";
import { SessionError } from "../../errors.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import type { Handle } from "../handle/handle.ts";
import { currentSummaries } from "../memory/read-memory.ts";
import { KnownTurns, storedRatings } from "../turn-marks/read-marks.ts";
import { keptBy, summarizerOf, summarizeTurns } from "../memory/summarize.ts";
import type { Summarizer } from "../options/compaction.ts";

/** The turns to summarize. */
export interface SummarizeOptions {
  /** The last turn that the summary covers. @default the last finished one before those that the agent keeps, 4 by default */
  readonly to?: number;
  /** The agent whose model and settings are used. @default the agent that would answer now */
  readonly agent?: string;
  /** Makes the summary. @default that of the agent's compaction, else its model */
  readonly summarizer?: Summarizer;
  readonly signal?: AbortSignal;
}

const summarizeNames: OptionNames<SummarizeOptions> = { to: true, agent: true, summarizer: true, signal: true };

/** @throws SessionError as `Session.summarize` */
export async function summarizeOn(handle: Handle, options: SummarizeOptions): Promise<Summary | null> {
  guardNames(options, "options", summarizeNames);
  const { core } = handle;
  const { agent: named, signal = new AbortController().signal } = options;
  if (options.to !== undefined) guardNumber(options.to, "to");
  if (options.summarizer !== undefined) parseFunction(options.summarizer, "summarizer");
  if (named !== undefined) core.agent(parseId(named, "agent"));
  const { record } = await handle.peek();
  const last = lastFinished(record);
  const { agent } = core.chooseAgent(record, { named });
  const to = options.to ?? last - keptBy(core, agent);
  if (options.to !== undefined && (!Number.isSafeInteger(to) || to < 1 || to > last))
    throw new SessionError("range_invalid", { name: "to", from: to, to: last });
  if (to < 1) return null;
  guardMemory(record);
  guardNoneReplaced(record);
  const summarizer = options.summarizer ?? summarizerOf(core, record, { agent, asked: undefined });
  const plan = { agent, to, summarizer, isAutomatic: false, stepsMax: Number.POSITIVE_INFINITY, signal };
  const made = await summarizeTurns(handle, plan);
  if (made !== undefined) return made;
  throw new SessionError("summary_empty", { ...sessionIds(record), from: 1, to });
}

/** The summaries of the current branch, those that cover most first. */
export async function* summariesOn(handle: Handle): AsyncGenerator<Summary, void, void> {
  const { record } = await handle.peek();
  const turns = new KnownTurns(handle.core, record);
  for await (const { summary } of currentSummaries(handle.core, record, turns)) yield summary;
}

/** The pinned turns of the current branch, and those that are left out. */
export interface SessionMemory {
  readonly pinned: readonly number[];
  readonly leftOut: readonly number[];
}

export async function memoryOn(handle: Handle): Promise<SessionMemory> {
  const { record, tails } = await handle.peek([{ log: memoryLog, last: 1 }]);
  const { pinned, leftOut } = memoryOf(tails[0]?.[0]);
  const turns = new KnownTurns(handle.core, record);
  const numbers = (list: readonly Turn[]): readonly number[] => list.map(({ seq }) => seq);
  return { pinned: numbers(await turns.marked(pinned)), leftOut: numbers(await turns.marked(leftOut)) };
}

/** Set or remove a mark of a turn; false where it was so already. @throws SessionError as `Session.pin` */
export async function markOn(
  handle: Handle,
  { turn: seq, mark, isSet }: { readonly turn: number; readonly mark: keyof TurnMemory; readonly isSet: boolean },
): Promise<boolean> {
  return await retryOnConflict(sessionIds(handle.record), async () => {
    const { record, tails } = await handle.peek([{ log: memoryLog, last: 1 }]);
    const turn = await turnOn(handle, record, seq);
    const stored = memoryOf(tails[0]?.[0]);
    const before = isSet ? await withoutGone(handle, record, stored) : stored;
    const memory = marked(before, { mark, isSet, turn: [seq, turnIdentity(turn)] });
    if (memory === undefined) return false;
    // A summary does not say whether a turn is pinned, but it must not repeat one that is left out.
    const summarized = memory.leftOut.length === before.leftOut.length ? undefined : seq;
    const written = await handle.write((draft, context) =>
      haveSameTurns(draft.record, record) && markOf(draft.record, memoryLog) === markOf(record, memoryLog)
        ? putMemory(draft, { memory, summarized }, context)
        : null,
    );
    return written.status === "ok" ? true : undefined;
  });
}

/**
 * Where the marks are many and no branch keeps turns: without those of turns that were deleted. Nothing else removes them, and they
 * would be in the way of new ones.
 */
async function withoutGone(handle: Handle, record: SessionRecord, memory: TurnMemory): Promise<TurnMemory> {
  const isFull = memory.pinned.length >= pinnedMax || memory.leftOut.length >= leftOutMax;
  if (!isFull || record.branches !== null) return memory;
  const turns = new KnownTurns(handle.core, record);
  const current = async (marks: readonly MarkedTurn[]): Promise<readonly MarkedTurn[]> =>
    (await turns.marked(marks)).map((turn) => [turn.seq, turnIdentity(turn)]);
  return { pinned: await current(memory.pinned), leftOut: await current(memory.leftOut) };
}

/** @throws SessionError `range_invalid` where there is no such turn */
async function turnOn(handle: Handle, record: SessionRecord, seq: number): Promise<Turn> {
  guardNumber(seq, "turn");
  const last = headOf(record, "turns");
  const isWithin = Number.isSafeInteger(seq) && seq >= 1 && seq <= last;
  const turn = isWithin ? await new KnownTurns(handle.core, record).at(seq) : undefined;
  if (turn !== undefined) return turn;
  throw new SessionError("range_invalid", { name: "turn", from: seq, to: last });
}

/** A rating to store. */
export interface NewRating {
  /** Approval, disapproval, or a score on a scale of the application; null removes the rating. */
  readonly rating: "up" | "down" | number | null;
  /** At most 2000 characters. */
  readonly comment?: string;
  /** The rater, such as the name of a user or of a judge. A later rating of the same rater replaces the earlier one. @default not named */
  readonly by?: string;
}

const ratingNames: OptionNames<NewRating> = { rating: true, comment: true, by: true };

const commentLengthMax = 2000;

/** @throws SessionError as `Session.rate` */
export async function rateOn(handle: Handle, seq: number, given: NewRating): Promise<void> {
  guardNames(given, "rating", ratingNames);
  const { rating, comment, by } = given;
  const isRating = rating === null || rating === "up" || rating === "down" || Number.isFinite(rating);
  if (!isRating)
    throw invalidArgument("rating", rating, { expected: "one_of", known: ["up", "down", "number", "null"] });
  if (comment !== undefined && (typeof comment !== "string" || comment.length > commentLengthMax))
    throw invalidText("comment", comment, { min: 0, max: commentLengthMax });
  const rater = by === undefined ? null : parseId(by, "by");
  await changeRatings(handle, async (record, before) => {
    const identity = turnIdentity(await turnOn(handle, record, seq));
    const isSame = (one: StoredRating): boolean =>
      one.rating.turn === seq && one.identity === identity && one.rating.by === rater;
    // Ratings of turns that were deleted make room, where no branch keeps turns.
    const isFull = before.length >= ratingsMax && record.branches === null;
    const others = (isFull ? await ofCurrentTurns(handle, record, before) : before).filter((one) => !isSame(one));
    if (rating === null) return others;
    const at = new Date(handle.core.now());
    return [...others, { rating: { turn: seq, rating, by: rater, at, ...defined({ comment }) }, identity }];
  });
}

/** Apply a change to the stored ratings. */
async function changeRatings(
  handle: Handle,
  change: (record: SessionRecord, ratings: readonly StoredRating[]) => Promise<readonly StoredRating[]>,
): Promise<void> {
  await retryOnConflict(sessionIds(handle.record), async () => {
    const { record } = await handle.peek();
    const before = await storedRatings(handle.core, record);
    const ratings = await change(record, before);
    const differs = before.findIndex((one, index) => one !== ratings[index]);
    const kept = differs < 0 ? before.length : differs;
    const areReadable = before.length === headOf(record, feedbackLog);
    let isUnchanged = false;
    const written = await handle.write((draft, context) => {
      const isRead =
        haveSameTurns(draft.record, record) && markOf(draft.record, feedbackLog) === markOf(record, feedbackLog);
      if (!isRead) return null;
      // Entries that cannot be read go with the next change.
      const put = putRatings(draft, { ratings, kept: areReadable ? kept : 0 }, context);
      isUnchanged = put === null;
      return put;
    });
    return written.status === "ok" || isUnchanged ? true : undefined;
  });
}

/** The turns whose ratings to list. */
export interface RatingQuery {
  /** Only ratings of this turn. @default all turns of the current branch */
  readonly turn?: number;
}

const queryNames: OptionNames<RatingQuery> = { turn: true };

/** @throws SessionError `argument_invalid` */
export async function ratingsOn(handle: Handle, query: RatingQuery): Promise<readonly Rating[]> {
  guardNames(query, "query", queryNames);
  const { turn: wanted } = query;
  if (wanted !== undefined && !(Number.isSafeInteger(wanted) && wanted >= 1))
    throw invalidArgument("turn", wanted, { expected: "whole_number", min: 1 });
  const { record } = await handle.peek();
  const all = await storedRatings(handle.core, record);
  const asked = all.filter(({ rating }) => wanted === undefined || rating.turn === wanted);
  return (await ofCurrentTurns(handle, record, asked)).map(({ rating }) => rating).toSorted((a, b) => a.turn - b.turn);
}

/** Without the ratings of turns of other branches, and of turns that were deleted. */
async function ofCurrentTurns(
  handle: Handle,
  record: SessionRecord,
  ratings: readonly StoredRating[],
): Promise<readonly StoredRating[]> {
  const turns = new KnownTurns(handle.core, record);
  const current: StoredRating[] = [];
  for (const one of ratings) {
    const turn = await turns.at(one.rating.turn);
    if (turn !== undefined && turnIdentity(turn) === one.identity) current.push(one);
  }
  return current;
}
