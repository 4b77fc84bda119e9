/** A time limit for work that may ignore its signal. */

/**
 * Resolves with the result of the work. When its time is up or the signal aborts, aborts the work's own signal and
 * throws at once, even if the work continues.
 * @throws DOMException `TimeoutError`, or the reason of `signal`, or what the work throws
 */
export async function withTimeout<T>(
  work: (signal: AbortSignal) => T | Promise<T>,
  { ms, signal }: { ms: number; signal: AbortSignal | undefined },
): Promise<T> {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const stopped = Promise.withResolvers<never>();
  const end = (reason: unknown): void => {
    stop.abort(reason);
    stopped.reject(reason);
  };
  const onAbort = (): void => end(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => end(new DOMException(`nothing came for ${ms} ms`, "TimeoutError")), ms);
  try {
    // Called within a promise, so that a synchronous throw is a rejection.
    const working = Promise.resolve().then(() => work(stop.signal));
    return await Promise.race([working, stopped.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
