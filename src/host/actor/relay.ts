/**
 * Passes the chunks of an answer to one reader, with backpressure. `whole` settles when the source is done: it ended or
 * failed, it cleaned up after the reader stopped, or it was interrupted.
 */
export function relay(
  chunks: AsyncIterable<unknown>,
  interrupted: Promise<never>,
  outward: (error: unknown) => Error,
): { readonly stream: AsyncIterableIterator<unknown>; readonly whole: Promise<void> } {
  const iterator = chunks[Symbol.asyncIterator]();
  const whole = Promise.withResolvers<void>();
  let isOver = false;
  const end = (settle: () => void): void => {
    isOver = true;
    settle();
  };
  const close = async (): Promise<void> => void (await iterator.return?.());
  // A `Promise.race` with `interrupted` for each chunk would leak a reaction per chunk until the answer ends.
  const waiting = new Set<(error: unknown) => void>();
  let interruption: { readonly error: unknown } | undefined;
  interrupted.catch((error: unknown) => {
    // Set before anything else: an iterator that is closed by the interruption looks as if it had ended.
    interruption = { error };
    for (const interrupt of waiting) interrupt(error);
    end(() => whole.reject(error));
    // The answer is over; an error while closing its source has no reader.
    void close().catch(() => undefined);
  });

  const stream: AsyncIterableIterator<unknown> = {
    async next() {
      const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<unknown>>();
      waiting.add(reject);
      try {
        if (interruption !== undefined) throw interruption.error;
        iterator.next().then(resolve, reject);
        const result = await promise;
        if (result.done === true) end(whole.resolve);
        return result;
      } catch (error) {
        end(() => whole.reject(error));
        throw outward(error);
      } finally {
        waiting.delete(reject);
      }
    },
    async return() {
      if (isOver) return { done: true, value: undefined };
      // Cleanup of the source belongs to the answer: the next message waits for it.
      try {
        await Promise.race([interrupted, close()]);
        end(whole.resolve);
        return { done: true, value: undefined };
      } catch (error) {
        end(() => whole.reject(error));
        throw outward(error);
      }
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return { stream, whole: whole.promise };
}
