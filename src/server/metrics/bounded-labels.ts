/** The maximum number of values of a label with a time series of their own. */
const namesMax = 50;

/** Values of a label that callers choose, so their number is bounded: further ones are counted as "other". */
export class BoundedLabels {
  readonly #names = new Set<string>();

  /** The name as a label; "unknown" for none. */
  labelOf(name: string | undefined): string {
    if (name === undefined) return "unknown";
    if (this.#names.size < namesMax) this.#names.add(name);
    return this.#names.has(name) ? name : "other";
  }
}
