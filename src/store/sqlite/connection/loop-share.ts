/** The time that the store works on the caller's thread before timers and sockets get a turn, ms. */
const workMaxMs = 20;

/**
 * Shares the event loop. The store works on the caller's thread and its promises resolve in microtasks, so a caller that
 * awaits one call after another keeps every timer and socket waiting. After {@link workMaxMs} without a turn of the event
 * loop a call waits for one.
 */
export class LoopShare {
  #sinceMs = 0;
  #isCounting = false;

  /** Counts from this call to the next turn of the event loop. */
  begin(): void {
    if (this.#isCounting) return;
    this.#isCounting = true;
    this.#sinceMs = performance.now();
    setImmediate(() => (this.#isCounting = false));
  }

  /** True if the event loop is due for a turn. */
  get isUsedUp(): boolean {
    return this.#isCounting && performance.now() - this.#sinceMs >= workMaxMs;
  }
}
