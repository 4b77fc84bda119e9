/** Pass it with the query of a page: the `next` of the page before, absent for the first page. */
export interface After<Cursor = string> {
  readonly after?: Cursor;
}

/**
 * All pages of a list, one in memory at a time: each is asked for with the `next` of the page before, the first with
 * `first`. The last page has no `next`.
 */
export async function* eachPage<Page extends { readonly next?: Cursor | undefined }, Cursor = string>(
  ask: (after: After<Cursor>) => Promise<Page>,
  first: After<Cursor> = {},
): AsyncGenerator<Page, void, undefined> {
  let page = await ask(first);
  yield page;
  while (page.next !== undefined) {
    page = await ask({ after: page.next });
    yield page;
  }
}
