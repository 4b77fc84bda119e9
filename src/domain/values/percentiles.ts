/** The distribution of some values: half of them are at most `p50`, 95 of 100 at most `p95`. */
export interface Percentiles {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

/** The percentiles of a histogram, which has the smallest value first; null for an empty one. */
export function percentilesOf(histogram: readonly (readonly [value: number, count: number])[]): Percentiles | null {
  const count = histogram.reduce((sum, [, often]) => sum + often, 0);
  const last = histogram.at(-1);
  if (last === undefined) return null;
  const at = (share: number): number => {
    let left = Math.ceil(count * share);
    for (const [value, often] of histogram) {
      left -= often;
      if (left <= 0) return value;
    }
    return last[0];
  };
  const sum = histogram.reduce((total, [value, often]) => total + value * often, 0);
  // The values have three digits, so the mean has no more.
  const mean = Number((sum / count).toPrecision(3));
  return { count, mean, p50: at(0.5), p95: at(0.95), max: last[0] };
}
