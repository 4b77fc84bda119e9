import type { CountedUsage } from "../../domain/record/change.ts";
import type { Store, UsageName } from "../store.ts";

interface Waiting {
  readonly names: readonly UsageName[];
  readonly read: PromiseWithResolvers<readonly CountedUsage[]>;
}

/**
 * Reads sums of usage. Reads that arrive while one is in flight wait for it and then share the next one, so many turns that
 * begin at the same time cost few round trips. Each result is from after its call.
 */
export class UsageReads {
  readonly #store: Pick<Store, "usage">;
  #waiting: Waiting[] = [];
  #isReading = false;

  constructor(store: Pick<Store, "usage">) {
    this.#store = store;
  }

  /** The sums, in the order of the names. */
  async read(names: readonly UsageName[]): Promise<readonly CountedUsage[]> {
    const read = Promise.withResolvers<readonly CountedUsage[]>();
    this.#waiting.push({ names, read });
    if (!this.#isReading) void this.#readAll();
    return await read.promise;
  }

  async #readAll(): Promise<void> {
    this.#isReading = true;
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      try {
        const sums = await this.#store.usage(waiting.flatMap(({ names }) => names));
        let from = 0;
        for (const { names, read } of waiting) read.resolve(sums.slice(from, (from += names.length)));
      } catch (error) {
        for (const { read } of waiting) read.reject(error);
      }
    }
    this.#isReading = false;
  }
}
