/** The order of things that a file has in the order of a table, or with the newest first. */

/**
 * The things by their times. One without a time follows the one that it follows in the list. Those of one moment are in the order
 * of the list. A list that begins with the newest is read from its end.
 */
export function inTimeOrder<One>(list: readonly One[], timeOf: (one: One) => number | undefined): readonly One[] {
  const timed = list.map((one) => ({ one, at: timeOf(one) }));
  const times = timed.flatMap(({ at }) => at ?? []);
  if (times.length === 0) return list;
  if (areNewestFirst(times, { isEach: times.length === list.length })) timed.reverse();
  // The things before the first one with a time come before it.
  let last = Number.NEGATIVE_INFINITY;
  return timed
    .map(({ one, at = last }) => ({ one, at: (last = at) }))
    .toSorted((first, second) => (first.at < second.at ? -1 : Number(first.at > second.at)))
    .map(({ one }) => one);
}

/**
 * True for a list that begins with the newest. Where some things have no time, the times of the others fall from each to the next,
 * and there are at least three: an earlier time reverses nothing by itself.
 */
function areNewestFirst(times: readonly number[], { isEach }: { readonly isEach: boolean }): boolean {
  const falls = times.every((at, index) => index === 0 || at <= times[index - 1]!) && new Set(times).size > 2;
  return times[0]! > times.at(-1)! && (isEach || falls);
}
