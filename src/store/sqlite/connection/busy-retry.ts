import { setImmediate as turnOfTheLoop, setTimeout as sleep } from "node:timers/promises";
import { SessionError } from "../../../errors.ts";
import { LoopShare } from "./loop-share.ts";
import { isBusy, sessionErrorOf } from "./sqlite-error.ts";

/**
 * SQLite's lock has no queue, so the process with the longest pause starves. With eight processes that write without a break
 * the longest wait was 0.3 to 0.6 s for pauses up to 4 ms, and 0.8 to 1.7 s for pauses up to 16 ms, with at most a tenth
 * more commits.
 */
const pauseMaxMs = 4;

/**
 * Waits for locks of other connections without blocking the event loop. SQLite's own busy timeout would block it, so that is
 * off, and a statement that meets a lock is retried after a short pause.
 */
export class Patience {
  readonly busyTimeoutMs: number;
  readonly #store: string;
  readonly #share = new LoopShare();

  constructor({ store, busyTimeoutMs }: { store: string; busyTimeoutMs: number }) {
    this.#store = store;
    this.busyTimeoutMs = busyTimeoutMs;
  }

  /** Runs `work`, and retries it while another connection has the lock. @throws SessionError `store_busy` */
  when<T>(work: () => T): Promise<T> {
    this.#share.begin();
    try {
      const result = work();
      return this.#share.isUsedUp ? turnOfTheLoop(result) : Promise.resolve(result);
    } catch (error) {
      return this.#again(work, error);
    }
  }

  /** Retries work that failed. */
  async #again<T>(work: () => T, failure: unknown): Promise<T> {
    // Real time, not the store's clock: the lock is that of a real process.
    const startedAt = performance.now();
    let error = failure;
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 1.5, pauseMaxMs)) {
      const waitedMs = Math.round(performance.now() - startedAt);
      if (!isBusy(error) || waitedMs >= this.busyTimeoutMs) throw this.failureOf(error, waitedMs);
      await sleep(pauseMs * (0.5 + Math.random()));
      try {
        const result = work();
        if (this.#share.isUsedUp) await turnOfTheLoop();
        return result;
      } catch (another) {
        error = another;
      }
    }
  }

  /** The error for the caller after a wait of this length. */
  failureOf(error: unknown, waitedMs: number): unknown {
    if (!isBusy(error)) return sessionErrorOf(error, this.#store);
    return new SessionError("store_busy", { store: this.#store, waitedMs }, { cause: error });
  }
}
