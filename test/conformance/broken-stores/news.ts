/** Stores that break the contract when they note, read or delete news. */
import type { FoundNews } from "../../../src/store/store.ts";
import type { Store } from "../../../src/store/store.ts";
import type { Breakage, NamedBreakage } from "./breakage.ts";

export const newsBreakages: readonly NamedBreakage[] = [
  ["tells nothing of removed sessions", "news-miss-nothing: creations", mapNews((page) => without(page, isRemoved))],
  [
    "tells nothing of documents",
    "news-miss-nothing: creations",
    mapNews((page) => without(page, (change) => "document" in change)),
  ],
  [
    "gives each page from now on",
    "news-miss-nothing: each page",
    (store) => ({
      news: async ({ after: _, ...query }) => ({ ...(await store.news(query)), isReset: false }),
    }),
  ],
  [
    "moves the cursor on behind a page that is limited",
    "news-are-bounded: by the changes",
    (store) => ({
      news: async (query) => {
        const page = await store.news(query);
        return page.hasMore ? { ...page, next: (await store.news({ ...query, limit: 1000 })).next } : page;
      },
    }),
  ],
  [
    "ends the pages before changes that landed between them",
    "news-are-bounded: a change that lands",
    (store) => ({
      news: async (query) => ({ ...(await store.news(query)), hasMore: false }),
    }),
  ],
  [
    "has no bound of bytes for news",
    "news-are-bounded: by the bytes",
    (store) => ({ news: ({ bytesMax: _, ...query }) => store.news(query) }),
  ],
  ["continues the cursor of another tenant", "a reset: without", mapNews((page) => ({ ...page, isReset: false }))],
  [
    "tells another tenant's news as well",
    "scope-is-in-the-key: news",
    (store) => ({
      news: async (query) => {
        const page = await store.news(query);
        const foreign = { session: { tenant: "other", id: "foreign" }, record: undefined };
        return { ...page, changes: [...page.changes, foreign] };
      },
    }),
  ],
  ["keeps the news at a scrub", "scrubbed-is-deleted: the keys", () => ({ scrub: async () => undefined })],
  [
    "takes a cursor of any form",
    "a cursor of another form",
    (store) => ({
      news: async ({ after: _, ...query }) => await store.news(query),
    }),
  ],
];

type Change = FoundNews["changes"][number];

function mapNews(map: (page: FoundNews) => FoundNews): Breakage {
  return (store: Store) => ({ news: async (query) => map(await store.news(query)) });
}

function without(page: FoundNews, isLeftOut: (change: Change) => boolean): FoundNews {
  return { ...page, changes: page.changes.filter((change) => !isLeftOut(change)) };
}

function isRemoved(change: Change): boolean {
  return "session" in change && change.record === undefined;
}
