import type { TestContext } from "node:test";

/**
 * Random numbers from 0 to 1 for a test that has moments chosen by chance. It says its seed; `PERDURE_TEST_SEED` has the same row
 * of them again, and what several processes make of it is as like as their clocks allow.
 */
export function chanceOf(context: TestContext): () => number {
  const seed = Number(process.env["PERDURE_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
  context.diagnostic(`seed ${seed}`);
  // Mulberry32, by Tommy Ettinger.
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
