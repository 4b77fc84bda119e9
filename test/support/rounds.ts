/**
 * Sets how often a test repeats what chance decides, such as the moment of a kill, and how many combinations it takes.
 * `npm test` takes an eighth. PERDURE_TEST_THOROUGH=1, which CI sets, takes all.
 */
export const isThorough: boolean = process.env["PERDURE_TEST_THOROUGH"] === "1";

/** So many rounds in a thorough run, and an eighth of them, at least `least`, in a quick one. */
export function rounds(count: number, least = 2): number {
  return isThorough ? count : Math.max(least, Math.ceil(count / 8));
}
