/** The limit of a line of the table; a bench without one is for information. */
export type Bar = { readonly atMost: number } | { readonly atLeast: number };

/** How numbers of a measure are written. */
export type Unit =
  | "µs"
  | "ms"
  | "ns"
  | "bytes"
  | "MB/s"
  | "turns/s"
  | "calls/s"
  | "calls"
  | "commits"
  | "MiB"
  | "times";

/** One line of the table: the cost with Perdure beside the cost of the same work without it, both from the same run. */
export interface Measure {
  readonly name: string;
  /** Of `ours` and `limit`. */
  readonly unit: Unit;
  readonly ours: number;
  /** The same work without Perdure; undefined where there is no such thing. */
  readonly limit?: number;
  /** The limit in words. */
  readonly limitName?: string;
  /** The value that the limit judges. */
  readonly value: number;
  readonly valueUnit: Unit;
  readonly bar?: Bar;
}

/** The bench of one engine; it reports each measure as it is done. */
export type Bench = (report: (measure: Measure) => void) => Promise<void>;

export interface Comparison {
  readonly ours: number;
  readonly limit: number;
  readonly ratio: number;
}

/** True where the measure keeps to its bar; undefined where it has none. */
export function passes({ bar, value }: Measure): boolean | undefined {
  if (bar === undefined) return undefined;
  return "atMost" in bar ? value <= bar.atMost : value >= bar.atLeast;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/**
 * Run both in turns, round by round, so that other work of the machine slows both alike. Each gives one
 * number per round. The ratio is the median of the rounds' own ratios: a disk that slows down for a second moves both
 * numbers of a few rounds, and neither the ratio of the others nor the median.
 */
export async function alternate(
  rounds: number,
  { ours, limit }: { ours: (round: number) => Promise<number>; limit: (round: number) => Promise<number> | number },
): Promise<Comparison> {
  const all: Comparison[] = [];
  for (let round = 0; round < rounds; round++) {
    // The order alternates, because the second one meets a warm disk and the garbage of the first.
    const first = round % 2 === 0 ? await limit(round) : await ours(round);
    const second = round % 2 === 0 ? await ours(round) : await limit(round);
    const [a, b] = round % 2 === 0 ? [second, first] : [first, second];
    all.push({ ours: a, limit: b, ratio: a / b });
  }
  return {
    ours: median(all.map(({ ours }) => ours)),
    limit: median(all.map(({ limit }) => limit)),
    ratio: median(all.map(({ ratio }) => ratio)),
  };
}

/** The median time of one call, µs, over `count` calls one after another. */
export async function p50Of(count: number, work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const start = performance.now();
    await work();
    times.push((performance.now() - start) * 1000);
  }
  return median(times);
}

/** As {@link p50Of} for work that answers at once: a promise of its own would be part of the limit. */
export function p50OfSync(count: number, work: () => unknown): number {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const start = performance.now();
    work();
    times.push((performance.now() - start) * 1000);
  }
  return median(times);
}

/** How many per second. */
export async function rateOf(count: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (count / (performance.now() - start)) * 1000;
}
