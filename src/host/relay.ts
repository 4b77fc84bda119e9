/**
 * Pass an answer's parts on to one reader, at the reader's pace. `whole` settles when nothing more will be asked of the
 * parts: they ended or failed, the reader has had enough, or they were interrupted.
 */
export function relay(
  parts: AsyncIterable<unknown>,
  interrupted: Promise<never>,
  outward: (error: unknown) => Error,
): { readonly stream: AsyncIterableIterator<unknown>; readonly whole: Promise<void> } {
  const iterator = parts[Symbol.asyncIterator]();
  const whole = Promise.withResolvers<void>();
  const close = (): void => {
    // The reader is gone, or all is over: how the parts take it concerns nobody.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  };
  interrupted.catch((error: unknown) => {
    whole.reject(error);
    close();
  });
  const stream: AsyncIterableIterator<unknown> = {
    async next() {
      try {
        const result = await Promise.race([iterator.next(), interrupted]);
        if (result.done === true) whole.resolve();
        return result;
      } catch (error) {
        whole.reject(error);
        throw outward(error);
      }
    },
    async return() {
      close();
      whole.resolve();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return { stream, whole: whole.promise };
}
