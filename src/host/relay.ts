/**
 * Pass an answer's parts on to one reader, at the reader's pace. `whole` settles when nothing more goes on in the parts:
 * they ended or failed, they have tidied up after a reader that had enough, or they were interrupted.
 */
export function relay(
  parts: AsyncIterable<unknown>,
  interrupted: Promise<never>,
  outward: (error: unknown) => Error,
): { readonly stream: AsyncIterableIterator<unknown>; readonly whole: Promise<void> } {
  const iterator = parts[Symbol.asyncIterator]();
  const whole = Promise.withResolvers<void>();
  let isOver = false;
  const end = (settle: () => void): void => {
    isOver = true;
    settle();
  };
  const close = async (): Promise<void> => void (await iterator.return?.());
  // Not a race with `interrupted` for each part: that would keep something for every part until the answer ends.
  const waiting = new Set<(error: unknown) => void>();
  let broken: { readonly error: unknown } | undefined;
  interrupted.catch((error: unknown) => {
    // First of all: parts that were closed because of an interruption seem to have come to their end.
    broken = { error };
    for (const interrupt of waiting) interrupt(error);
    end(() => whole.reject(error));
    // All is over: how the parts take it concerns nobody.
    void close().catch(() => undefined);
  });

  const stream: AsyncIterableIterator<unknown> = {
    async next() {
      const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<unknown>>();
      waiting.add(reject);
      try {
        if (broken !== undefined) throw broken.error;
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
      // What the parts still do when nobody reads them any more is part of the answer: the next message waits for it.
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
