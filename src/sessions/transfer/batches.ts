/** How much is under way at the same time. */
export interface WindowMax {
  readonly count: number;
  readonly size: number;
}

/**
 * Go through what comes, some of it at a time: while one window is worked on, the next one is gathered, and no more.
 * What `work` throws ends it.
 */
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
    // It is awaited before the next one is sent; until then its failure is nobody's surprise.
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
