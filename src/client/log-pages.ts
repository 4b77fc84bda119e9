import { defined } from "../domain/values/defined.ts";
import { eachPage, type After } from "../domain/values/pages.ts";
import type { EntryRange, SessionEvent, Turn, TurnRange, UnreadableEntry } from "../index.ts";
import { eventOfWire, turnOfWire, type WireEvent, type WireTurn } from "../protocol/wire.ts";
import type { Http } from "./http.ts";

/** A page of one of the logs. */
interface LogPage {
  readonly items: readonly unknown[];
  /** The entries of the page that cannot be read. */
  readonly unreadable?: readonly UnreadableEntry[];
  /** The number of the first entry of the next page. */
  readonly next?: number;
}

/** The turns of a range, page by page, as the server divides it. */
export function turnPages(http: Http, path: string, range: TurnRange): AsyncGenerator<Turn, void, undefined> {
  return logPages(http, `${path}/turns`, range, (turn) => turnOfWire(turn as WireTurn));
}

/** The events of a range, page by page, as the server divides it. */
export function eventPages(http: Http, path: string, range: EntryRange): AsyncGenerator<SessionEvent, void, undefined> {
  return logPages(http, `${path}/events`, range, (event) => eventOfWire(event as WireEvent));
}

/** The entries of a range of a log, page by page; `path` is that of the pages. */
export async function* logPages<Item>(
  http: Http,
  path: string,
  { last, onUnreadable, ...range }: TurnRange,
  ofWire: (item: unknown) => Item,
): AsyncGenerator<Item, void, undefined> {
  const ask = async ({ after: from }: After<number>): Promise<LogPage> => {
    const query = from === undefined ? { ...defined({ last }), ...range } : { ...range, from };
    return (await http.ask({ method: "GET", path, query })).body as LogPage;
  };
  let left = last ?? Number.POSITIVE_INFINITY;
  for await (const page of eachPage<LogPage, number>(ask)) {
    for (const item of page.items) {
      // Entries added meanwhile do not belong to the last ones that were requested.
      if (left-- <= 0) return;
      yield ofWire(item);
    }
    for (const entry of page.unreadable ?? []) onUnreadable?.(entry);
    left -= page.unreadable?.length ?? 0;
    if (left <= 0) return;
  }
}
