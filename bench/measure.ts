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
  | "messages/s"
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

/** Gives one number per round. */
type Work = (round: number) => Promise<number> | number;

/**
 * Run both in turns, round by round, so that other work of the machine slows both alike. Each gives one
 * number per round. The ratio is the median of the rounds' own ratios: a disk that slows down for a second moves both
 * numbers of a few rounds, and neither the ratio of the others nor the median.
 */
export async function alternate(rounds: number, { ours, limit }: { ours: Work; limit: Work }): Promise<Comparison> {
  const [comparison] = await alternateAll(rounds, { ours, limits: [limit] });
  if (comparison === undefined) throw new Error("one limit has one comparison");
  return comparison;
}

/** As {@link alternate}, beside several limits in the same rounds. */
export async function alternateAll(
  rounds: number,
  { ours, limits }: { ours: Work; limits: readonly Work[] },
): Promise<readonly Comparison[]> {
  const works = [ours, ...limits];
  const all: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    // The order alternates, because the later ones meet a warm disk and the garbage of the earlier ones.
    const order = round % 2 === 0 ? works.toReversed() : works;
    const found = new Map<Work, number>();
    for (const work of order) found.set(work, await work(round));
    all.push(works.map((work) => found.get(work) ?? Number.NaN));
  }
  const numbers = (index: number): number[] => all.map((round) => round[index] ?? Number.NaN);
  return limits.map((_, index) => ({
    ours: median(numbers(0)),
    limit: median(numbers(index + 1)),
    ratio: median(all.map(([a = Number.NaN, ...others]) => a / (others[index] ?? Number.NaN))),
  }));
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
