/** The events, until the signal aborts: a model that ignores its signal must not keep the session busy. */
export async function* untilAborted<T>(
  events: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  let interrupt = (): void => undefined;
  const onAbort = (): void => interrupt();
  signal.addEventListener("abort", onAbort, { once: true });
  const iterator = events[Symbol.asyncIterator]();
  try {
    for (;;) {
      signal.throwIfAborted();
      // A race with one promise of the abort would keep memory for every event until the answer ends.
      const next = await new Promise<IteratorResult<T>>((resolve, reject) => {
        interrupt = () => reject(signal.reason);
        iterator.next().then(resolve, reject);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Not awaited: a model that hangs would block its own cleanup.
    iterator.return?.()?.catch(() => undefined);
  }
}
