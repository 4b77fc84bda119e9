/**
 * The first items whose sizes add up to at most `bytesMax`, and the first item whatever its size. It stops reading `items`
 * at the limit.
 */
export function withinBytes<Item>(
  items: Iterable<Item>,
  bytesOf: (item: Item) => number,
  bytesMax: number | undefined,
): Item[] {
  const within: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    if (bytesMax !== undefined) {
      bytes += bytesOf(item);
      if (bytes > bytesMax && within.length > 0) break;
    }
    within.push(item);
  }
  return within;
}

/** The size of an entry for the byte bounds of a store. */
export function entryBytes({ data }: { readonly data: string }): number {
  return Buffer.byteLength(data);
}

/** At most `limit` items within `bytesMax`, and whether more follow. Reads one item more than it returns. */
export function pageOf<Item>(
  items: Iterable<Item>,
  bytesOf: (item: Item) => number,
  { limit, bytesMax }: { readonly limit: number; readonly bytesMax?: number },
): { readonly page: readonly Item[]; readonly hasMore: boolean } {
  let found = 0;
  function* counted(): Generator<Item> {
    for (const item of items) {
      found++;
      if (found > limit) return;
      yield item;
    }
  }
  const page = withinBytes(counted(), bytesOf, bytesMax);
  return { page, hasMore: found > page.length };
}
