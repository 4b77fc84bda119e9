/** Stores that break the contract when they commit: versions, splices, logs, transactions. */
import { setImmediate } from "node:timers/promises";
import { sessionChanges, fits, type Change, type Transaction } from "../../../src/domain/record/change.ts";
import { keyText, type Entry } from "../../../src/domain/record/entry.ts";
import type { SessionRecord } from "../../../src/domain/record/record.ts";
import type { Outcome, Store } from "../../../src/store/store.ts";
import { type Breakage, type NamedBreakage, mapChanges, mapOutcomes } from "./breakage.ts";

export const commitBreakages: readonly NamedBreakage[] = [
  [
    "loses all splices but the first",
    "commit-is-whole",
    mapChanges((change) => ({ ...change, splices: change.splices.slice(0, 1) })),
  ],
  [
    "loses the splices that only cut",
    "commit-is-whole",
    mapChanges((change) => ({ ...change, splices: change.splices.filter(({ entries }) => entries.length > 0) })),
  ],
  [
    "loses what stands behind entries that come in front",
    "logs-grow-at-the-front",
    mapChanges((change) => ({
      ...change,
      splices: change.splices.map((one) => ({ ...one, from: Math.min(one.from, one.entries[0]?.seq ?? one.from) })),
    })),
  ],
  [
    "leaves the logs with the session that gives them away",
    "logs-move-whole",
    mapChanges(({ logsOf: _, ...change }) => change),
  ],
  [
    "looks for logs that move in the tenant of the session that takes them",
    "logs-move-whole: a session that exists",
    mapChanges(({ logsOf, ...change }) =>
      logsOf === undefined ? change : { ...change, logsOf: { ...logsOf, tenant: change.key.tenant } },
    ),
  ],
  ["keeps the old record", "commit-is-whole", keepsOldRecord],
  ["keeps the logs of what is removed", "commit-is-whole: a removal", keepsLogs],
  ["keeps the logs of what is removed for a session of the same id", "removed-is-not-found: a session", keepsLogs],
  [
    "adds the logs that a session takes over to those that it has",
    "removed-is-not-found: many entries",
    mapChanges(({ logsOf: _, ...change }) => change),
  ],
  ["writes a batch one by one until one fails", "commit-is-whole: a batch that fails", oneByOne],
  ["never compares versions", "stale-version-writes-nothing", forced(() => true)],
  [
    "takes one that expects no record for no matter what",
    "stale-version-writes-nothing",
    forced(({ expected }) => expected === null),
  ],
  [
    "takes an older version for as good",
    "stale-version-writes-nothing",
    forced((change, current) => (change.expected?.version ?? 0) < (current?.version ?? 0)),
  ],
  [
    "compares versions and not commit ids",
    "another-commit-id-writes-nothing",
    forced((change, current) => change.expected?.version === current?.version),
  ],
  [
    "compares commit ids without their case",
    "another-commit-id-writes-nothing",
    forced((change, current) => change.expected?.commitId.toLowerCase() === current?.commitId.toLowerCase()),
  ],
  [
    "compares commit ids when it updates, and not when it removes",
    "another-commit-id-writes-nothing: a removal",
    forced((change, current) => change.record === null && change.expected?.version === current?.version),
  ],
  [
    "compares no commit ids in a transaction of several",
    "another-commit-id-writes-nothing: in a batch",
    comparesNumbersInTransactions,
  ],
  ["keeps the commit id that a session had first", "commit-is-whole", keepsFirstCommitId],
  ["removes whatever stands", "stale-version-writes-nothing: a removal", forced(({ record }) => record === null)],
  ["compares first and writes later", "stale-version-writes-nothing: of two that race", comparesThenWrites],
  [
    "does not say what stands",
    "stale-version-writes-nothing",
    mapOutcomes((outcome) => (outcome.status === "conflict" ? { status: "conflict", current: undefined } : outcome)),
  ],
  ["fails a whole batch for one", "transactions-are-separate", allOrNothing],
  [
    "answers in another order",
    "transactions-are-separate",
    (store) => ({ commit: async (batch) => (await store.commit(batch)).toReversed() }),
  ],
  ["splits a transaction", "changes-land-together", splitsTransactions],
];

/** Changes of which this is true land whatever version stands. */
function forced(applies: (change: Change, current: SessionRecord | undefined) => boolean): Breakage {
  return (store) => ({
    commit: async (batch) => {
      const keys = batch.flatMap(sessionChanges).map(({ key }) => ({ key, tails: [] }));
      const standing = new Map(
        (await store.load(keys)).sessions.map((one) => [one && keyText(one.record), one?.record]),
      );
      const force = (change: Change): Change => {
        const current = standing.get(keyText(change.key));
        return applies(change, current) ? { ...change, expected: current ?? null } : change;
      };
      return store.commit(batch.map((transaction) => sessionChanges(transaction).map(force)));
    },
  });
}

function comparesNumbersInTransactions(store: Store): Partial<Store> {
  const loose = forced((change, current) => change.expected?.version === current?.version)(store);
  return {
    commit: async (batch) => {
      const outcomes: Outcome[] = [];
      for (const transaction of batch) {
        const commit = transaction.length > 1 ? loose.commit : undefined;
        outcomes.push(...(await (commit ?? ((one) => store.commit(one)))([transaction])));
      }
      return outcomes;
    },
  };
}

function keepsFirstCommitId(store: Store): Partial<Store> {
  const first = new Map<string, string>();
  return mapChanges((change) => {
    if (change.record === null) return change;
    const text = keyText(change.key);
    if (change.expected === null) first.set(text, change.record.commitId);
    return { ...change, record: { ...change.record, commitId: first.get(text) ?? change.record.commitId } };
  })(store);
}

function keepsOldRecord(store: Store): Partial<Store> {
  const keep = forced(() => false)(store);
  return {
    ...keep,
    commit: async (batch) => {
      const late: Transaction[] = [];
      for (const transaction of batch) {
        const changes: Change[] = [];
        for (const change of sessionChanges(transaction)) {
          const {
            sessions: [loaded],
          } = await store.load([{ key: change.key, tails: [] }]);
          const record = loaded && change.record && { ...loaded.record, version: change.record.version };
          changes.push(record ? { ...change, record } : change);
        }
        late.push(changes);
      }
      return store.commit(late);
    },
  };
}

function keepsLogs(store: Store): Partial<Store> {
  const left = new Map<string, readonly Entry[]>();
  return {
    commit: async (batch) => {
      for (const change of batch.flatMap(sessionChanges))
        if (change.record === null) left.set(keyText(change.key), await store.read(change.key, everyTurn));
      return store.commit(batch);
    },
    read: async (key, range) => {
      const entries = await store.read(key, range);
      return entries.length === 0 && range.log === "turns" ? (left.get(keyText(key)) ?? []) : entries;
    },
  };
}

function oneByOne(store: Store): Partial<Store> {
  return {
    commit: async (batch) => {
      const outcomes: Outcome[] = [];
      for (const transaction of batch) outcomes.push(...(await store.commit([transaction])));
      return outcomes;
    },
  };
}

function comparesThenWrites(store: Store): Partial<Store> {
  return {
    commit: async (batch) => {
      const outcomes: Outcome[] = [];
      for (const transaction of batch) {
        const changes = sessionChanges(transaction);
        const loads = changes.map(({ key }) => ({ key, tails: [] }));
        const isFit = (await store.load(loads)).sessions.every((loaded, index) =>
          fits(changes[index]?.expected ?? null, loaded?.record),
        );
        await setImmediate();
        const write = isFit ? forced(() => true)(store).commit : undefined;
        outcomes.push(...(await (write ?? ((one) => store.commit(one)))([transaction])));
      }
      return outcomes;
    },
  };
}

function allOrNothing(store: Store): Partial<Store> {
  return {
    commit: async (batch) => {
      const [outcome] = await store.commit([batch.flat()]);
      return batch.map(() => outcome ?? { status: "ok" });
    },
  };
}

function splitsTransactions(store: Store): Partial<Store> {
  return {
    commit: async (batch) => {
      const outcomes: Outcome[] = [];
      for (const transaction of batch) {
        const parts = await store.commit(transaction.map((change) => [change]));
        outcomes.push(parts.find(({ status }) => status !== "ok") ?? { status: "ok" });
      }
      return outcomes;
    },
  };
}

const everyTurn = { log: "turns", from: 1, to: 1e6, limit: 1e6, order: "ascending" } as const;
