/** The order of things that a file has in the order of a table, or with the newest first. */

/**
 * The things by their times, where each has one; else in their order. Those of one moment are in the order of the list, or in the
 * reverse of it where the list begins with the newest.
 */
export function inTimeOrder<One>(list: readonly One[], timeOf: (one: One) => number | undefined): readonly One[] {
  const timed = list.map((one) => ({ one, at: timeOf(one) }));
  if (!timed.every(hasTime)) return list;
  if (timed.length > 0 && timed[0]!.at > timed.at(-1)!.at) timed.reverse();
  return timed.toSorted((first, second) => first.at - second.at).map(({ one }) => one);
}

function hasTime<One>(timed: { one: One; at: number | undefined }): timed is { one: One; at: number } {
  return timed.at !== undefined;
}
