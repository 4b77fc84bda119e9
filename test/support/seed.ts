/**
 * The seed of what tests generate: the values of fast-check, and random commands of `seededChanceOf`. Tests take the same seed
 * every time, so that a change passes or fails by what it changed. `PERDURE_TEST_SEED` is another seed, or `random` for a new
 * one in each test: `npm run test:explore` tries many.
 */
const usualSeed = 20;

/** `null` where each test takes a random one. */
export const seedOfRun: number | null = parseSeed(process.env["PERDURE_TEST_SEED"]);

/** The seed that the caller asked for, if any. */
export const askedSeed: number | null = process.env["PERDURE_TEST_SEED"] === undefined ? null : seedOfRun;

export function randomSeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}

function parseSeed(text: string | undefined): number | null {
  if (text === undefined) return usualSeed;
  if (text === "random") return null;
  const seed = Number(text);
  if (text === "" || !Number.isInteger(seed))
    throw new Error(`PERDURE_TEST_SEED is "${text}"; expected a number or "random"`);
  return seed;
}
