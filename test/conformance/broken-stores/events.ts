/** Stores that break the contract when they find and delete events. */
import type { EventScan } from "../../../src/store/store.ts";
import type { NamedBreakage } from "./breakage.ts";

export const eventBreakages: readonly NamedBreakage[] = [
  ["finds no events", "events-are-found", () => ({ events: async () => ({ events: [], next: undefined }) })],
  [
    "finds events upwards only",
    "events-are-found: those of all",
    (store) => ({ events: (scan) => store.events({ ...scan, order: "ascending" }) }),
  ],
  ...(["session", "agent", "beginnings", "since", "before"] as const).map((filter): NamedBreakage => [
    `ignores ${filter} when it finds events`,
    "events-are-found: found by",
    (store) => ({ events: ({ [filter as "agent"]: _ignored, ...scan }: EventScan) => store.events(scan) }),
  ]),
  [
    "ends after the first page of events",
    "events-are-found",
    (store) => ({ events: async (scan) => ({ ...(await store.events(scan)), next: undefined }) }),
  ],
  [
    "begins every page of events at the beginning",
    "events-are-found",
    (store) => ({ events: ({ after: _after, ...scan }) => store.events(scan) }),
  ],
  [
    "finds events without a bound of bytes",
    "events-are-bounded",
    (store) => ({ events: ({ bytesMax: _ignored, ...scan }) => store.events(scan) }),
  ],
  ["deletes no events", "deleted-events-leave-the-rest", () => ({ deleteEvents: async () => 0 })],
  [
    "deletes all old events at once",
    "deleted-events-leave-the-rest: the oldest",
    (store) => ({ deleteEvents: (past) => store.deleteEvents({ ...past, limit: 1e6 }) }),
  ],
  [
    "deletes events of another tenant",
    "scope-is-in-the-key: events",
    (store) => ({ deleteEvents: ({ tenant: _tenant, ...past }) => store.deleteEvents(past) }),
  ],
];
