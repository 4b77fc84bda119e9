/** Stores that break the contract of idempotency keys. */
import { sessionChanges, fits, type Change } from "../../../src/domain/record/change.ts";
import { keyText, type Entry } from "../../../src/domain/record/entry.ts";
import type { Outcome, Store } from "../../../src/store/store.ts";
import { type NamedBreakage, mapChanges, mapOutcomes } from "./breakage.ts";

export const keyBreakages: readonly NamedBreakage[] = [
  ["ignores claims", "key-is-once", mapChanges((change) => ({ ...change, claims: [] }))],
  [
    "ignores all claims but the first",
    "key-is-once",
    mapChanges((change) => ({ ...change, claims: change.claims.slice(0, 1) })),
  ],
  ["looks at versions before claims", "key-is-once", conflictFirst],
  ["never frees a key", "key-is-once: a key whose entry was spliced away", neverFrees],
  ["has one set of keys for all logs", "key-is-once: the same key in another log", oneSetOfKeys],
  [
    "hands back another entry",
    "key-is-once",
    mapOutcomes((outcome) =>
      outcome.status === "duplicate" ? { ...outcome, entry: { ...outcome.entry, seq: 1 } } : outcome,
    ),
  ],
];

function conflictFirst(store: Store): Partial<Store> {
  return {
    commit: async (batch) => {
      const outcomes: Outcome[] = [];
      for (const transaction of batch) {
        let conflict: Outcome | undefined;
        for (const { key, expected } of sessionChanges(transaction)) {
          const {
            sessions: [loaded],
          } = await store.load([{ key, tails: [] }]);
          if (!fits(expected, loaded?.record)) conflict ??= { status: "conflict", current: loaded?.record };
        }
        outcomes.push(...(conflict === undefined ? await store.commit([transaction]) : [conflict]));
      }
      return outcomes;
    },
  };
}

function neverFrees(store: Store): Partial<Store> {
  const claimed = new Map<string, Entry>();
  const nameOf = (change: Change, key: string): string => `${keyText(change.key)}\u0000${key}`;
  return {
    commit: async (batch) => {
      const outcomes: Outcome[] = [];
      for (const transaction of batch) {
        const changes = sessionChanges(transaction);
        const taken = changes
          .flatMap((change) => change.claims.map(({ key }) => claimed.get(nameOf(change, key))))
          .find((entry) => entry !== undefined);
        const [outcome] = taken === undefined ? await store.commit([transaction]) : [];
        if (outcome?.status === "ok") {
          for (const change of changes)
            for (const entry of change.splices.flatMap(({ entries }) => entries))
              if (entry.key !== null) claimed.set(nameOf(change, entry.key), entry);
        }
        outcomes.push(outcome ?? { status: "duplicate", entry: taken! });
      }
      return outcomes;
    },
  };
}

function oneSetOfKeys(store: Store): Partial<Store> {
  return mapChanges((change) => ({
    ...change,
    claims: change.claims.flatMap(({ key }) => ["turns", "events"].map((log) => ({ log, key }))),
  }))(store);
}
