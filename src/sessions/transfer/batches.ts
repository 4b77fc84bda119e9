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

/** The conversation that an item is a branch of, and the number of its branches. */
export interface GroupOfBranches {
  readonly id: string;
  readonly count: number;
}

/**
 * The items, each alone, but the branches of one conversation that follow each other together. More of them than `max` are in several
 * groups.
 */
export async function* inGroups<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  how: {
    readonly max: WindowMax;
    readonly sizeOf: (item: Item) => number;
    readonly groupOf: (item: Item) => GroupOfBranches | undefined;
  },
): AsyncGenerator<readonly [Item, ...Item[]], void, undefined> {
  const { max, sizeOf, groupOf } = how;
  let group: [Item, ...Item[]] | undefined;
  let last: GroupOfBranches | undefined;
  let size = 0;
  for await (const item of items) {
    const next = groupOf(item);
    const belongs = next !== undefined && next.id === last?.id && next.count === last.count;
    const isFull = group !== undefined && (group.length >= max.count || size + sizeOf(item) > max.size);
    if (group !== undefined && (!belongs || isFull)) {
      yield group;
      group = undefined;
    }
    size = group === undefined ? sizeOf(item) : size + sizeOf(item);
    if (group === undefined) group = [item];
    else group.push(item);
    last = next;
    if (next !== undefined && group.length < next.count) continue;
    yield group;
    group = undefined;
  }
  if (group !== undefined) yield group;
}
