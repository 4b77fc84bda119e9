/** A bound on work that need not listen. */

/**
 * What the work comes to, unless its time is up or the signal aborts first: then its own signal aborts, and this throws
 * at once, whether or not the work heeds it.
 * @throws DOMException `TimeoutError`, or the reason of `signal`, or what the work throws
 */
export async function within<T>(
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
    // Called within a promise, so that what it throws at once is one of its failures.
    const working = Promise.resolve().then(() => work(stop.signal));
    return await Promise.race([working, stopped.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
