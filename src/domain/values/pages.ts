/** Lists in pages: each page is asked for with the cursor of the page before. */
import type { OptionNames } from "./option-names.ts";

/** One page of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** Pass it as `after` for the next page; absent on the last one. */
  readonly next?: string;
}

/** The `next` of the page before, absent for the first page. */
export interface After<Cursor = string> {
  readonly after?: Cursor;
}

/** The page to return, and its length. */
export interface PageQuery extends After {
  /** The maximum number of items. @default 100 */
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

/** The options of a page. */
export const pageNames: OptionNames<PageQuery> = { limit: true, after: true };

/**
 * All pages of a list, one in memory at a time: each is asked for with the `next` of the page before, the first with
 * `first`. The last page has no `next`.
 */
export async function* eachPage<Paged extends { readonly next?: Cursor | undefined }, Cursor = string>(
  ask: (after: After<Cursor>) => Promise<Paged>,
  first: After<Cursor> = {},
): AsyncGenerator<Paged, void, undefined> {
  let page = await ask(first);
  yield page;
  while (page.next !== undefined) {
    page = await ask({ after: page.next });
    yield page;
  }
}

/** All items of a list, one page in memory at a time. */
export async function* eachItem<Item>(
  ask: (after: After) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  for await (const { items } of eachPage(ask)) yield* items;
}
