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
  interrupted.catch((error: unknown) => {
    end(() => whole.reject(error));
    // All is over: how the parts take it concerns nobody.
    void close().catch(() => undefined);
  });

  const stream: AsyncIterableIterator<unknown> = {
    async next() {
      try {
        // In this order: parts that were closed because of an interruption seem to have come to their end.
        const result = await Promise.race([interrupted, iterator.next()]);
        if (result.done === true) end(whole.resolve);
        return result;
      } catch (error) {
        end(() => whole.reject(error));
        throw outward(error);
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
