import { setTimeout as sleep } from "node:timers/promises";
import { SessionError } from "../../errors.ts";
import { isBusy, sessionErrorOf } from "./sqlite-error.ts";

/**
 * Nobody queues for SQLite's lock, so whoever pauses longest starves: with eight processes that write without a break
 * the longest wait was 0.3 to 0.6 s where pauses end at 4 ms, 0.8 to 1.7 s where they end at 16 ms, for a tenth more
 * commits at best.
 */
const pauseMaxMs = 4;

/**
 * Waiting for other processes without holding up this one: SQLite's own busy timeout would block the event loop, so it
 * is off, and a statement that meets a lock is tried again a little later.
 */
export class Patience {
  readonly #store: string;
  readonly #busyTimeoutMs: number;

  constructor({ store, busyTimeoutMs }: { store: string; busyTimeoutMs: number }) {
    this.#store = store;
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  /** Run `work`, again and again while another connection is in its way. @throws SessionError `store_busy` */
  async when<T>(work: () => T): Promise<T> {
    // Real time, not the store's clock: it is a real process that is waited for.
    const startedAt = performance.now();
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 1.5, pauseMaxMs)) {
      try {
        return work();
      } catch (error) {
        if (!isBusy(error)) throw sessionErrorOf(error, this.#store);
        const waitedMs = Math.round(performance.now() - startedAt);
        if (waitedMs >= this.#busyTimeoutMs) {
          throw new SessionError("store_busy", { store: this.#store, waitedMs }, { cause: error });
        }
      }
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }
}
