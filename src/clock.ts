/** Time, identifiers and chance come in through here, so that tests can script all three. */
export interface Clock {
  /** The present as epoch milliseconds. */
  now(): number;
  /**
   * Resolve after `ms`; reject with the signal's reason if it aborts first.
   * A sleep of the system clock keeps the process running until it ends.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** `count` unpredictable bytes. */
  random(count: number): Uint8Array;
}

/** The machine's own clock and randomness. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortReason(signal));
        return;
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      function onAbort(): void {
        clearTimeout(timer);
        reject(abortReason(signal));
      }
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
  random: (count) => crypto.getRandomValues(new Uint8Array(count)),
};

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new DOMException("This operation was aborted", "AbortError");
}
