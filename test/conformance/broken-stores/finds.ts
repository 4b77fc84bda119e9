/** Stores that break the contract when they find and count sessions. */
import type { SessionQuery, Store } from "../../../src/store/store.ts";
import type { LabelFilter } from "../../../src/domain/values/labels.ts";
import { mapChanges, type NamedBreakage } from "./breakage.ts";

export const findBreakages: readonly NamedBreakage[] = [
  [
    "finds without a bound of bytes",
    "pages-are-bounded",
    (store) => ({
      find: (query) => {
        const { bytesMax: _ignored, ...unbounded } = query;
        return store.find(unbounded);
      },
    }),
  ],
  [
    "ends after the first page",
    "pages-are-complete",
    (store) => ({ find: async (query) => ({ ...(await store.find(query)), next: undefined }) }),
  ],
  [
    "begins every page at the beginning",
    "pages-are-complete",
    (store) => ({ find: (query) => store.find(withoutCursor(query)) }),
  ],
  ["pages by offset", "pages-are-complete: comings and goings", pagesByOffset],
  [
    "has an empty page at the end",
    "pages-are-complete",
    (store) => ({
      find: async (query) => {
        const page = await store.find(query);
        return { ...page, next: page.next ?? (page.records.length === query.limit ? "end" : undefined) };
      },
    }),
  ],
  [
    "takes any cursor",
    "pages-are-complete",
    (store) => ({
      find: (query) => store.find(query).catch(() => store.find(withoutCursor(query))),
    }),
  ],
  ["sorts ids as a language does", "pages-are-complete: ids of every kind", sortsByLanguage],
  [
    "judges states as last written",
    "pages-are-complete: recent finds by expired ones",
    (store) => ({ find: (query) => store.find(query.order === "recent" ? { ...query, now: 0 } : query) }),
  ],
  ...(
    ["agent", "user", "guest", "states", "activeSince", "activeBefore", "createdSince", "createdBefore"] as const
  ).map((filter): NamedBreakage => [
    `ignores ${filter} when it finds`,
    "pages-are-complete: recent finds by",
    (store) => ({
      find: ({ [filter as "agent"]: _ignored, ...query }: SessionQuery & { agent?: string }) => store.find(query),
    }),
  ]),
  [
    "ignores labels when it finds",
    "labels-are-found: by a value",
    (store) => ({
      find: ({ labels: _ignored, ...query }: SessionQuery & { labels?: LabelFilter }) => store.find(query),
    }),
  ],
  [
    "ignores labels when it counts",
    "labels-are-found: by a value",
    (store) => ({ count: ({ labels: _ignored, ...query }) => store.count(query) }),
  ],
  ["finds sessions with any of the labels", "labels-are-found: by two labels", findsByFirstLabel],
  [
    "loses the labels of a session that changes",
    "labels-are-found: a session is found by the labels that it has now",
    mapChanges((change) => ({
      ...change,
      record: change.record && change.expected !== null ? { ...change.record, labels: {} } : change.record,
    })),
  ],
  [
    "lists by activity instead of creation",
    "pages-are-complete: created is by creation",
    (store) => ({ find: (query) => store.find(query.order === "created" ? { ...query, order: "recent" } : query) }),
  ],
  [
    "sweeps what is due in a moment",
    "pages-are-complete: due",
    (store) => ({
      find: (query) => store.find(query.order === "due" ? { ...query, before: query.before + 1 } : query),
    }),
  ],
  [
    "misses what is due just now",
    "pages-are-complete: due",
    (store) => ({
      find: (query) => store.find(query.order === "due" ? { ...query, before: query.before - 1 } : query),
    }),
  ],
  [
    "finds what was settled just then",
    "pages-are-complete: settled",
    (store) => ({
      find: (query) => store.find(query.order === "settled" ? { ...query, before: query.before + 1 } : query),
    }),
  ],
  [
    "finds for all tenants",
    "scope-is-in-the-key",
    (store) => ({
      find: ({ tenant: _tenant, ...query }) => store.find({ order: "due", limit: query.limit, before: 1e15 }),
    }),
  ],
  [
    "counts states as written",
    "count-is-what-is-found: by each",
    (store) => ({ count: (query) => store.count({ ...query, now: 0 }) }),
  ],
  [
    "counts all tenants",
    "count-is-what-is-found: of one tenant",
    (store) => ({ count: ({ tenant: _, ...query }) => store.count(query) }),
  ],
];

function withoutCursor({ after: _after, ...query }: SessionQuery): SessionQuery {
  return query;
}

function pagesByOffset(store: Store): Partial<Store> {
  return {
    find: async ({ after, ...query }) => {
      // Cursors that the store beneath refuses are refused here too.
      if (after !== undefined && !/^\d+$/.test(after)) return store.find({ ...query, after });
      const from = Number(after ?? 0);
      const { records } = await store.find({ ...query, limit: 1e6 });
      const to = from + query.limit;
      return { records: records.slice(from, to), unreadable: [], next: to < records.length ? String(to) : undefined };
    },
  };
}

function sortsByLanguage(store: Store): Partial<Store> {
  const { compare } = new Intl.Collator("en");
  return {
    find: async (query) => {
      const page = await store.find({ ...query, limit: 1e6 });
      const records = page.records.toSorted((a, b) => compare(a.id, b.id));
      return { records, unreadable: [], next: undefined };
    },
  };
}

function findsByFirstLabel(store: Store): Partial<Store> {
  return {
    find: (query) => {
      if (!("labels" in query) || query.labels === undefined) return store.find(query);
      return store.find({ ...query, labels: Object.fromEntries(Object.entries(query.labels).slice(0, 1)) });
    },
  };
}
