/** Pinned turns, which a model is shown behind the summary however old they are, and turns that no model is shown. */
import { SessionError } from "../../errors.ts";
import { changeOf, splice, type Change, type Draft } from "../record/change.ts";
import { memoryLog, type Entry } from "../record/entry.ts";
import { sessionIds, type Context } from "../record/guards.ts";
import { dropSummaries } from "../record/summary-logs.ts";
import { decode, encode } from "../values/codec.ts";
import { guardMemory } from "./summary.ts";

/** A turn of one branch: its number and its identity. */
export type MarkedTurn = readonly [turn: number, identity: string];

/** The marked turns of a session, those of all branches. */
export interface TurnMemory {
  readonly pinned: readonly MarkedTurn[];
  readonly leftOut: readonly MarkedTurn[];
}

export const noMemory: TurnMemory = { pinned: [], leftOut: [] };

/** At most so many turns are pinned. */
export const pinnedMax = 20;
/** At most so many turns are left out. */
export const leftOutMax = 200;

/** The marked turns of an entry of the log. A damaged one marks none, as a missing one. */
export function memoryOf(entry: Entry | undefined): TurnMemory {
  try {
    const { pinned, leftOut } = decode(entry?.data ?? "{}") as {
      readonly pinned?: unknown;
      readonly leftOut?: unknown;
    };
    return { pinned: markedIn(pinned), leftOut: markedIn(leftOut) };
  } catch {
    return noMemory;
  }
}

function markedIn(value: unknown): readonly MarkedTurn[] {
  if (!Array.isArray(value)) return [];
  return (value as readonly unknown[]).filter(
    (one): one is MarkedTurn =>
      Array.isArray(one) && one.length === 2 && Number.isSafeInteger(one[0]) && typeof one[1] === "string",
  );
}

/** The mark to set on a turn, or to remove. */
export interface TurnMark {
  readonly mark: keyof TurnMemory;
  readonly isSet: boolean;
  readonly turn: MarkedTurn;
}

/** The memory with the mark; undefined where it has the mark already. A pinned turn is not left out, and the other way round. */
export function marked(memory: TurnMemory, { mark, isSet, turn }: TurnMark): TurnMemory | undefined {
  const [seq, identity] = turn;
  const isSame = ([one, other]: MarkedTurn): boolean => one === seq && other === identity;
  const without = (list: readonly MarkedTurn[]): readonly MarkedTurn[] => list.filter((one) => !isSame(one));
  if (memory[mark].some(isSame) === isSet) return undefined;
  const cleared = { pinned: without(memory.pinned), leftOut: without(memory.leftOut) };
  if (!isSet) return { ...memory, [mark]: cleared[mark] };
  return { ...cleared, [mark]: [...cleared[mark], turn].toSorted(([a], [b]) => a - b) };
}

/**
 * Put the marked turns in the place of the former ones. `summarized`: summaries of this turn and of those after it go, because what
 * they may say of it changed.
 * @throws SessionError `session_archived`, `write_too_large`
 */
export function putMemory(
  draft: Draft,
  { memory, summarized }: { readonly memory: TurnMemory; readonly summarized: number | undefined },
  context: Context,
): Change {
  guardMemory(draft.record);
  for (const [part, { length: count }, countMax] of [
    ["pinnedTurns", memory.pinned, pinnedMax],
    ["leftOutTurns", memory.leftOut, leftOutMax],
  ] as const)
    if (count > countMax)
      throw new SessionError("write_too_large", { ...sessionIds(draft.record), part, count, countMax });
  spliceMemory(draft, memory, context);
  if (summarized !== undefined) dropSummaries(draft, summarized - 1);
  return changeOf(draft);
}

/** Put the marked turns in the place of the former ones, in the draft. */
export function spliceMemory(draft: Draft, memory: TurnMemory, context: Context): void {
  splice(draft, memoryLog, 1, [{ seq: 1, key: null, at: context.now, data: encode({ ...memory }) }]);
}
