/** Changes the marks and the ratings of turns in the commit that deletes or amends these turns. */
import { spliceRatings, type StoredRating } from "../../domain/memory/feedback.ts";
import { turnIdentity } from "../../domain/memory/turn-identity.ts";
import { spliceMemory, type MarkedTurn, type TurnMemory } from "../../domain/memory/turn-memory.ts";
import { headOf, type Draft } from "../../domain/record/change.ts";
import { feedbackLog, memoryLog, type Entry } from "../../domain/record/entry.ts";
import type { Context } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { hasKept, isTurn } from "../../domain/turns/replaced-turns.ts";
import { readTurn, type Turn } from "../../domain/turns/turn.ts";
import { markOf } from "../../domain/writes/named-logs.ts";
import type { Core } from "../core/core.ts";
import { KnownTurns, readTurnMemory, storedRatings } from "./read-marks.ts";

/** What stays of the marks and the ratings of a session, as they are in one record of it. */
export interface StayingMarks {
  readonly record: SessionRecord;
  /** Undefined where all marks stay. */
  readonly memory: TurnMemory | undefined;
  /** Undefined where all ratings stay. */
  readonly ratings: readonly StoredRating[] | undefined;
}

/** True for a session with marks or ratings. */
export function hasMarks(record: SessionRecord): boolean {
  return headOf(record, memoryLog) > 0 || headOf(record, feedbackLog) > 0;
}

/** A turn with its number and its identity, as a text. */
export function markedText(turn: Turn): string {
  return textOf([turn.seq, turnIdentity(turn)]);
}

function textOf([seq, identity]: MarkedTurn): string {
  return `${seq} ${identity}`;
}

/** The marks and ratings that stay once the turns of the current branch after this one are deleted, which no other branch shares. */
export async function stayingUpTo(core: Core, record: SessionRecord, after: number): Promise<StayingMarks> {
  const turns = new KnownTurns(core, record);
  return await staying(core, record, async ([seq, identity]) => {
    if (seq <= after) return false;
    // Without branches no turn after this one stays: marks of turns that were replaced before go too.
    return record.branches === null || (await isCurrent(turns, [seq, identity]));
  });
}

/** The marks and ratings that stay once these turns of a branch are deleted. `deleted`: their {@link markedText}. */
export async function stayingWithout(
  core: Core,
  record: SessionRecord,
  deleted: ReadonlySet<string>,
): Promise<StayingMarks> {
  const turns = new KnownTurns(core, record);
  return await staying(
    core,
    record,
    async (marked) => deleted.has(textOf(marked)) && !(await isCurrent(turns, marked)),
  );
}

/** The end of an open turn that replaced others. */
export interface ReplacingEnd {
  readonly open: Turn;
  /** True where it ends before the first word of its answer: the replaced turns are put back. */
  readonly isWordless: boolean;
  /** The entries of the turns that it replaced. */
  readonly replaced: readonly Entry[];
}

/** The marks and ratings that stay once the turn has ended: those of the replaced turns go, or those of the open one, which gives way. */
export async function stayingAfterEnd(
  core: Core,
  record: SessionRecord,
  { open, isWordless, replaced }: ReplacingEnd,
): Promise<StayingMarks> {
  const others = replaced.filter(isTurn).flatMap((entry, index) => {
    const turn = readTurn({ ...entry, seq: open.seq + index });
    return typeof turn === "string" ? [] : [markedText(turn)];
  });
  const own = markedText(open);
  // The turn that is put back may begin as the open one, and keeps its marks. A branch that is put back is not read for this.
  const ofOpen = others.length > 0 && !others.includes(own) ? [own] : [];
  const gone = new Set(isWordless && hasKept(replaced) ? ofOpen : others);
  return await staying(core, record, (marked) => Promise.resolve(gone.has(textOf(marked))));
}

async function isCurrent(turns: KnownTurns, [seq, identity]: MarkedTurn): Promise<boolean> {
  const turn = await turns.at(seq);
  return turn !== undefined && turnIdentity(turn) === identity;
}

async function staying(
  core: Core,
  record: SessionRecord,
  isGone: (marked: MarkedTurn) => Promise<boolean>,
): Promise<StayingMarks> {
  if (!hasMarks(record)) return { record, memory: undefined, ratings: undefined };
  const marked = async <T>(all: readonly T[], turnOf: (one: T) => MarkedTurn): Promise<readonly T[]> => {
    const left: T[] = [];
    for (const one of all) if (!(await isGone(turnOf(one)))) left.push(one);
    return left.length === all.length ? all : left;
  };
  const memory = await readTurnMemory(core, record);
  const [pinned, leftOut] = [await marked(memory.pinned, (one) => one), await marked(memory.leftOut, (one) => one)];
  const stored = await storedRatings(core, record);
  const ratings = await marked(stored, ({ rating, identity }) => [rating.turn, identity]);
  const haveAllMarks = pinned === memory.pinned && leftOut === memory.leftOut;
  return {
    record,
    memory: haveAllMarks ? undefined : { pinned, leftOut },
    ratings: ratings === stored ? undefined : ratings,
  };
}

/**
 * Marks and ratings name a turn by its beginning. For a turn whose beginning is amended: the function has them name it by the new one,
 * in the draft. It returns false where they were changed since they were read.
 */
export async function marksOfAmended(
  core: Core,
  record: SessionRecord,
  earlier: Turn,
): Promise<(draft: Draft, amended: Turn, context: Context) => boolean> {
  if (!hasMarks(record)) return (draft) => haveSameMarks(draft.record, record);
  const [memory, stored] = [await readTurnMemory(core, record), await storedRatings(core, record)];
  const { seq } = earlier;
  const was = markedText(earlier);
  return (draft, amended, context) => {
    const identity = turnIdentity(amended);
    const isNamed = (marks: readonly MarkedTurn[]): boolean => marks.some((one) => textOf(one) === was);
    const renamed = (marks: readonly MarkedTurn[]): readonly MarkedTurn[] =>
      marks.map((one) => (textOf(one) === was ? [seq, identity] : one));
    const rated = stored.map(({ rating, identity: of }): MarkedTurn => [rating.turn, of]);
    const { pinned, leftOut } = memory;
    const marks =
      isNamed(pinned) || isNamed(leftOut) ? { pinned: renamed(pinned), leftOut: renamed(leftOut) } : undefined;
    const ratings = isNamed(rated)
      ? stored.map((one, at) => (textOf(rated[at] ?? [0, ""]) === was ? { ...one, identity } : one))
      : undefined;
    return putStaying(draft, { record, memory: marks, ratings }, context);
  };
}

function haveSameMarks(a: SessionRecord, b: SessionRecord): boolean {
  return [memoryLog, feedbackLog].every((log) => markOf(a, log) === markOf(b, log));
}

/** Put what stays into the draft. False where the marks or the ratings were changed since they were read. */
export function putStaying(draft: Draft, { record, memory, ratings }: StayingMarks, context: Context): boolean {
  if (!haveSameMarks(draft.record, record)) return false;
  if (memory !== undefined) spliceMemory(draft, memory, context);
  if (ratings !== undefined) spliceRatings(draft, { ratings, kept: 0 });
  return true;
}
