/** The size of an item in a write. */
export interface BatchSize {
  readonly count: number;
  readonly bytes: number;
}

/** The items in parts that fit one write each, in their order. An item that fits none is a part by itself. */
export function batchesOf<Item>(
  items: readonly Item[],
  sizeOf: (item: Item) => BatchSize,
  max: BatchSize,
): readonly (readonly Item[])[] {
  const batches: Item[][] = [];
  let [count, bytes] = [0, 0];
  for (const item of items) {
    const size = sizeOf(item);
    const batch = batches.at(-1);
    if (batch === undefined || count + size.count > max.count || bytes + size.bytes > max.bytes) {
      batches.push([item]);
      ({ count, bytes } = size);
    } else {
      batch.push(item);
      count += size.count;
      bytes += size.bytes;
    }
  }
  return batches;
}

/** The items in groups of at most a number, in their order. */
export function groups<Item>(items: readonly Item[], size: number): readonly (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}
