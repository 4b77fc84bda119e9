/** The most that is under way at the same time. */
export interface WindowMax {
  readonly count: number;
  readonly size: number;
}

/** Process items in windows: while `work` processes one window, the next one is gathered. An error of `work` ends the pass. */
export async function inWindows<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  { max, sizeOf }: { readonly max: WindowMax; readonly sizeOf: (item: Item) => number },
  work: (window: readonly Item[]) => Promise<void>,
): Promise<void> {
  let underWay = Promise.resolve();
  let window: Item[] = [];
  let size = 0;
  const send = async (): Promise<void> => {
    await underWay;
    underWay = work(window);
    // The next call awaits it; until then its rejection is not unhandled.
    underWay.catch(() => undefined);
    window = [];
    size = 0;
  };
  for await (const item of items) {
    window.push(item);
    size += sizeOf(item);
    if (window.length >= max.count || size >= max.size) await send();
  }
  await send();
  await underWay;
}
