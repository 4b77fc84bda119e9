/** The pending writes of a checkpoint: one entry for each call. A reader sorts them. */
import type { Value } from "../../index.ts";

/** The writes of one call. */
export interface StoredWrites {
  readonly task: string;
  readonly path?: string;
  readonly writes: readonly (readonly [channel: string, value: Value])[];
}

/** One write in its place. */
export interface PlacedWrite {
  readonly task: string;
  readonly path: string;
  readonly index: number;
  readonly channel: string;
  readonly value: Value;
}

/** The channel of tasks that a node sends. */
export const tasksChannel = "__pregel_tasks";

/** Special channels have numbers of their own: their last write counts. Of all others the first one does. */
const specialIndex: ReadonlyMap<string, number> = new Map([
  ["__error__", -1],
  ["__scheduled__", -2],
  ["__interrupt__", -3],
  ["__resume__", -4],
]);

/** The writes by path, task and number, as a run applies them; `calls` in the order in which they were made. */
export function writesInOrder(calls: readonly StoredWrites[]): readonly PlacedWrite[] {
  const placed = new Map<string, PlacedWrite>();
  for (const { task, path = "", writes } of calls)
    for (const [number, [channel, value]] of writes.entries()) {
      const index = specialIndex.get(channel) ?? number;
      const key = `${index} ${task}`;
      if (index < 0 || !placed.has(key)) placed.set(key, { task, path, index, channel, value });
    }
  return [...placed.values()].toSorted(
    (a, b) => compareTexts(a.path, b.path) || compareTexts(a.task, b.task) || a.index - b.index,
  );
}

/** By code point, as the package compares them. */
export function compareTexts(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  for (const [index, character] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    if (character !== other) return (character.codePointAt(0) ?? 0) - (other.codePointAt(0) ?? 0);
  }
  return left.length - right.length;
}
