import type { TestContext } from "node:test";
import { askedSeed, randomSeed, seedOfRun } from "./seed.ts";

/**
 * Random numbers from 0 to 1 for moments: when a test kills a process, when a reader leaves. They differ from run to run. The
 * test says its seed; `PERDURE_TEST_SEED` has the same row of them again, and what several processes make of it is as like as
 * their clocks allow.
 */
export function chanceOf(context: TestContext): () => number {
  return saidChance(context, askedSeed ?? randomSeed());
}

/** Random numbers from 0 to 1 for what a test does: its commands and their values. They are the same in each run (`seed.ts`). */
export function seededChanceOf(context: TestContext): () => number {
  return saidChance(context, seedOfRun ?? randomSeed());
}

function saidChance(context: TestContext, seed: number): () => number {
  context.diagnostic(`seed ${seed}`);
  return chanceFrom(seed);
}

/** Mulberry32, by Tommy Ettinger. */
export function chanceFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
