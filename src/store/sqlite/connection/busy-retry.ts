import { setImmediate as turnOfTheLoop, setTimeout as sleep } from "node:timers/promises";
import { SessionError } from "../../../errors.ts";
import { LoopShare } from "./loop-share.ts";
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
  readonly busyTimeoutMs: number;
  readonly #store: string;
  readonly #share = new LoopShare();

  constructor({ store, busyTimeoutMs }: { store: string; busyTimeoutMs: number }) {
    this.#store = store;
    this.busyTimeoutMs = busyTimeoutMs;
  }

  /** Run `work`, again and again while another connection is in its way. @throws SessionError `store_busy` */
  async when<T>(work: () => T): Promise<T> {
    // Real time, not the store's clock: it is a real process that is waited for.
    const startedAt = performance.now();
    this.#share.begin();
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 1.5, pauseMaxMs)) {
      try {
        const result = work();
        if (this.#share.isUsedUp) await turnOfTheLoop();
        return result;
      } catch (error) {
        const waitedMs = Math.round(performance.now() - startedAt);
        if (!isBusy(error) || waitedMs >= this.busyTimeoutMs) throw this.failureOf(error, waitedMs);
      }
      await sleep(pauseMs * (0.5 + Math.random()));
    }
  }

  /** What is thrown to the caller for an error of SQLite that came after so long a wait. */
  failureOf(error: unknown, waitedMs: number): unknown {
    if (!isBusy(error)) return sessionErrorOf(error, this.#store);
    return new SessionError("store_busy", { store: this.#store, waitedMs }, { cause: error });
  }
}
