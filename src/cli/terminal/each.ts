import { once } from "node:events";

/** Writes items with backpressure from the reader, until the signal aborts or the reader closes the pipe. */
export async function writeEach<Item>(
  items: (stop: AbortSignal) => AsyncIterable<Item>,
  write: (item: Item) => void,
  signal: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  const onError = (): void => gone.abort();
  process.stdout.once("error", onError);
  const stop = AbortSignal.any([signal, gone.signal]);
  try {
    for await (const item of items(stop)) {
      if (stop.aborted) return;
      write(item);
      if (process.stdout.writableNeedDrain) await once(process.stdout, "drain", { signal: stop });
    }
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    process.stdout.removeListener("error", onError);
  }
}
