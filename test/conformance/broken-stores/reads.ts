/** Stores that break the contract when they load a session or read a log. */
import { setImmediate } from "node:timers/promises";
import type { Store } from "../../../src/store/store.ts";
import { type NamedBreakage, mapTails, mapSessions } from "./breakage.ts";

export const readBreakages: readonly NamedBreakage[] = [
  [
    "tells the time only with what it finds",
    "load-returns-the-time",
    (store) => ({
      load: async (requests) => {
        const look = await store.load(requests);
        return look.sessions.some((one) => one !== undefined) ? look : { ...look, now: Number.NaN };
      },
    }),
  ],
  ["loads the record and its tails at two moments", "load-is-one-moment: a reader", twoMoments],
  [
    "loads what is there, in the order it is there",
    "load-is-one-moment: records",
    mapSessions((sessions) => sessions.filter((one) => one !== undefined)),
  ],
  ["has tails that descend", "load-is-one-moment: tails", mapTails((entries) => entries.toReversed())],
  ["has tails one entry short", "load-is-one-moment: tails", mapTails((entries) => entries.slice(1))],
  [
    "reads without a limit",
    "read-is-bounded: from",
    (store) => ({ read: (key, range) => store.read(key, "keys" in range ? range : { ...range, limit: 1e6 }) }),
  ],
  [
    "reads keys without a limit",
    "read-is-bounded: a range of keys",
    (store) => ({ read: (key, range) => store.read(key, "between" in range ? { ...range, limit: 1e6 } : range) }),
  ],
  [
    "includes the end of a range of keys",
    "keys-sort-by-code-point: a range",
    (store) => ({
      read: (key, range) =>
        store.read(key, "between" in range ? { ...range, between: [range.between[0], `${range.between[1]} `] } : range),
    }),
  ],
  [
    "sorts keys by UTF-16 units",
    "keys-sort-by-code-point: keys",
    (store) => ({
      read: async (key, range) => {
        const entries = await store.read(key, range);
        if (!("between" in range)) return entries;
        const sorted = entries.toSorted((a, b) => ((a.key ?? "") < (b.key ?? "") ? -1 : 1));
        return range.order === "ascending" ? sorted : sorted.toReversed();
      },
    }),
  ],
  [
    "reads without a bound of bytes",
    "read-is-bounded",
    (store) => ({
      read: (key, range) => {
        if ("keys" in range) return store.read(key, range);
        const { bytesMax: _ignored, ...unbounded } = range;
        return store.read(key, unbounded);
      },
    }),
  ],
  [
    "loads tails without a bound of bytes",
    "tails-are-bounded",
    (store) => ({
      load: (requests) =>
        store.load(requests.map(({ key, tails }) => ({ key, tails: tails.map(({ log, last }) => ({ log, last })) }))),
    }),
  ],
  [
    "leaves the last of a range out",
    "read-is-bounded",
    (store) => ({ read: (key, range) => store.read(key, "to" in range ? { ...range, to: range.to - 1 } : range) }),
  ],
  [
    "only reads upwards",
    "read-is-bounded",
    (store) => ({ read: (key, range) => store.read(key, "keys" in range ? range : { ...range, order: "ascending" }) }),
  ],
  [
    "finds by the first key only",
    "read-is-bounded: entries by their keys",
    (store) => ({
      read: (key, range) => store.read(key, "keys" in range ? { ...range, keys: range.keys.slice(0, 1) } : range),
    }),
  ],
];

function twoMoments(store: Store): Partial<Store> {
  return {
    load: async (requests) => {
      const { now, sessions } = await store.load(requests.map(({ key }) => ({ key, tails: [] })));
      await setImmediate();
      const { sessions: whole } = await store.load(requests);
      return { now, sessions: sessions.map((one, index) => one && { ...one, tails: whole[index]?.tails ?? [] }) };
    },
  };
}
