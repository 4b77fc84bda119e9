import { sessionChanges } from "../../../src/domain/record/change.ts";
/** Stores that break the contract of stats and of the sums of usage. */
import { setImmediate } from "node:timers/promises";
import type { Store } from "../../../src/store/store.ts";
import { type NamedBreakage, mapStats, mapChanges } from "./breakage.ts";

export const statsBreakages: readonly NamedBreakage[] = [
  ["adds to no sum", "usage-adds-up: a sum grows", mapChanges(({ additions: _, ...change }) => change)],
  ["adds what it refuses to a sum", "usage-adds-up: a duplicate", addsTwice],
  ["adds what other writers add at most once", "usage-adds-up: writers", () => ({ usage: onlyOne })],
  ["never deletes a sum", "old-usage-is-deleted", () => ({ heartbeat: async () => {} })],
  [
    "has one sum for all tenants",
    "scope-is-in-the-key: a sum",
    (store) => ({
      usage: (names) => store.usage(names.map((name) => ({ ...name, tenant: name.tenant.replace(/2$/, "") }))),
    }),
  ],
  [
    "sums up another tenant's turns, too",
    "scope-is-in-the-key: stats",
    mapStats(async (stats, query) => {
      const [own, other] = [await stats(query), await stats({ ...query, tenant: `${query.tenant}x` })];
      return { ...own, turns: { ...own.turns, turns: own.turns.turns + other.turns.turns } };
    }),
  ],
  [
    "does not count truncated turns",
    "stats-are-whole: truncated turns stay",
    mapStats(async (stats, query) => {
      const whole = await stats(query);
      return { ...whole, turns: { ...whole.turns, turns: whole.turns.turns - whole.turns.truncated } };
    }),
  ],
  [
    "takes all events for conflicts",
    "stats-are-whole: conflicts",
    mapStats(async (stats, query) => {
      const whole = await stats(query);
      const conflicts = whole.logs.find(({ log }) => log === "events")?.entries ?? 0;
      return { ...whole, turns: { ...whole.turns, conflicts } };
    }),
  ],
  ["sums up all groups", "stats-are-bounded", mapStats((stats, query) => stats({ ...query, limit: 1e6 }))],
  ["sums up all times", "stats-are-whole: since", mapStats((stats, { since: _, ...query }) => stats(query))],
  ["takes states as written", "stats-are-whole: sessions", mapStats((stats, query) => stats({ ...query, now: 0 }))],
  [
    "sums up sessions and turns at two moments",
    "stats-are-one-moment",
    mapStats(async (stats, query) => {
      const { sessions } = await stats(query);
      await setImmediate();
      return { ...(await stats(query)), sessions };
    }),
  ],
];

/** Counts additions of refused changes too. */
function addsTwice(store: Store): Partial<Store> {
  let refused = 0;
  return {
    async commit(batch) {
      const outcomes = await store.commit(batch);
      for (const [index, { status }] of outcomes.entries()) {
        if (status === "ok") continue;
        for (const { additions = [] } of sessionChanges(batch[index] ?? []))
          refused += additions.reduce((sum, { tokens }) => sum + tokens, 0);
      }
      return outcomes;
    },
    usage: async (names) =>
      (await store.usage(names)).map(({ tokens, turns }) => ({ tokens: tokens + refused, turns })),
  };
}

const onlyOne: Store["usage"] = async (names) => names.map(() => ({ tokens: 7, turns: 1 }));
