/** Stores that break the contract in one way each. */
import { storeBefore } from "../../src/store/calls/forwarding-store.ts";
import { setImmediate } from "node:timers/promises";
import { fits, type Change, type Transaction } from "../../src/domain/record/change.ts";
import { decode, encode } from "../../src/domain/values/codec.ts";
import { keyText, type Entry, type SessionKey } from "../../src/domain/record/entry.ts";
import type { Instance, SessionRecord } from "../../src/domain/record/record.ts";
import type { EventScan, Look, Outcome, SessionQuery, Store } from "../../src/store/store.ts";
import type { StoreStats, StoreStatsQuery } from "../../src/store/stats.ts";

/** What a broken store does otherwise than the one it stands before. */
export type Breakage = (store: Store) => Partial<Store>;

const everyTurn = { log: "turns", from: 1, to: 1e6, limit: 1e6, order: "ascending" } as const;

/** What is wrong with a store, the beginning of the title of a case that must notice, and how it is done. */
export const breakages: readonly [what: string, noticedBy: string, Breakage][] = [
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
  ["keeps the logs of what is removed for a session of the same id", "removed-is-gone: a session", keepsLogs],
  [
    "adds the logs that a session takes over to those that it has",
    "removed-is-gone: many entries",
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
  [
    "says it is durable and is not",
    "committed-is-durable",
    (store) => ({ capabilities: { ...store.capabilities, durable: true } }),
  ],
  [
    "says it is shared and is not",
    "handles of a shared store",
    (store) => ({ capabilities: { ...store.capabilities, shared: true } }),
  ],
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
  ...(["agent", "user", "states", "activeSince", "activeBefore"] as const).map((filter): [string, string, Breakage] => [
    `ignores ${filter} when it finds`,
    "pages-are-complete: recent finds by",
    (store) => ({
      find: ({ [filter as "agent"]: _ignored, ...query }: SessionQuery & { agent?: string }) => store.find(query),
    }),
  ]),
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
  ["finds no events", "events-are-found", () => ({ events: async () => ({ events: [], next: undefined }) })],
  [
    "finds events upwards only",
    "events-are-found: those of all",
    (store) => ({ events: (scan) => store.events({ ...scan, order: "ascending" }) }),
  ],
  ...(["session", "agent", "beginnings", "since", "before"] as const).map((filter): [string, string, Breakage] => [
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
  ["does not tell upper from lower case", "values-are-kept: ids", mapKeys((text) => text.toLowerCase())],
  ["trims blanks", "values-are-kept: ids", mapKeys((text) => text.trimEnd())],
  ["normalises ids", "values-are-kept: ids", mapKeys((text) => text.normalize())],
  ["does not tell tenants apart", "scope-is-in-the-key: the same id in two", mapTenants(() => "one")],
  [
    "joins tenant and id by a slash",
    "scope-is-in-the-key: no separator",
    mapSessionKeys(({ tenant, id }) => ({ tenant: "one", id: `${tenant}/${id}` })),
  ],
  [
    "sorts the keys of data",
    "values-are-kept: the order of keys",
    mapData((text) => JSON.stringify(sorted(JSON.parse(text)))),
  ],
  ["loses what follows U+0000", "values-are-kept: U+0000", mapData((text) => text.replaceAll("\\u0000", ""))],
  [
    "replaces halves of surrogate pairs",
    "values-are-kept: halves",
    mapData((text) => text.replaceAll(/\\ud[89a-f]../g, "\ufffd")),
  ],
  ["cuts long texts", "values-are-kept: a text of a megabyte", mapData((text) => text.slice(0, 1_000_000))],
  [
    "loses the negative zero of records",
    "values-are-kept: negative zero",
    mapRecords((record) => ({ ...record, metadata: positive(record.metadata) })),
  ],
  [
    "keeps numbers of 32 bits",
    "values-are-kept: every field",
    mapRecords((record) => ({ ...record, fence: record.fence | 0 })),
  ],
  ["loses the queue of a record", "values-are-kept: every field", mapRecords((record) => ({ ...record, waiters: [] }))],
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
  ["stores no heartbeat", "heartbeats", () => ({ heartbeat: async () => {} })],
  [
    "never lets instances go",
    "heartbeats: an instance that leaves",
    (store) => ({ heartbeat: (instance) => store.heartbeat(instance) }),
  ],
  ["lists every worker of a host", "a-host-is-listed-once", listsWorkers],
  ["tells of instances nobody asked for", "heartbeats: only those", tellsAll],
  [
    "makes up what it does not know",
    "heartbeats",
    (store) => ({
      instances: async (ids) => ({
        now: (await store.instances([])).now,
        instances: (ids === "hosts" ? [] : ids).map((id) => ({
          id,
          host: "host",
          pid: 7,
          machine: "machine",
          startedAt: "12345",
          address: null,
          staleAfterMs: null,
          seenAt: 0,
        })),
      }),
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
    "counts states as written",
    "count-is-what-is-found: by each",
    (store) => ({ count: (query) => store.count({ ...query, now: 0 }) }),
  ],
  [
    "counts all tenants",
    "count-is-what-is-found: of one tenant",
    (store) => ({ count: ({ tenant: _, ...query }) => store.count(query) }),
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
  [
    "finds fault with itself",
    "inspect-finds-nothing",
    () => ({ inspect: async () => [{ kind: "damage", what: "everything", fix: null, repaired: false }] }),
  ],
  ["never deletes dead instances", "dead-instances-are-deleted", keepsDeadInstances],
  ["tells nobody", "own-changes-wake", () => ({ watch: () => () => undefined })],
  [
    "goes on telling",
    "own-changes-wake: not those",
    (store) => ({ watch: (key, wake) => (store.watch(key, wake), () => undefined) }),
  ],
  ["goes on after it is closed", "close", () => ({ close: async () => {} })],
  ["throws when it is closed twice", "close: calling it again", closesOnce],
];

/** The store with some of its methods in place of its own. */
export function broken(store: Store, breakage: Breakage): Store {
  return { ...storeBefore(store), ...breakage(store) };
}

// What is otherwise, from the small to the large.

function mapStats(work: (stats: Store["stats"], query: StoreStatsQuery) => Promise<StoreStats>): Breakage {
  return (store) => ({ stats: (query) => work((one) => store.stats(one), query) });
}

function withoutCursor({ after: _after, ...query }: SessionQuery): SessionQuery {
  return query;
}

function mapChanges(map: (change: Change) => Change): Breakage {
  return (store) => ({ commit: (batch) => store.commit(batch.map((transaction) => transaction.map(map))) });
}

function mapOutcomes(map: (outcome: Outcome) => Outcome): Breakage {
  return (store) => ({ commit: async (batch) => (await store.commit(batch)).map(map) });
}

function mapRecords(map: (record: SessionRecord) => SessionRecord): Breakage {
  return mapChanges((change) => ({ ...change, record: change.record && map(change.record) }));
}

function mapData(map: (text: string) => string): Breakage {
  return mapChanges((change) => ({
    ...change,
    splices: change.splices.map((splice) => ({
      ...splice,
      entries: splice.entries.map((entry) => ({ ...entry, data: map(entry.data) })),
    })),
  }));
}

function mapTails(map: (entries: readonly Entry[]) => readonly Entry[]): Breakage {
  return mapSessions((sessions) => sessions.map((loaded) => loaded && { ...loaded, tails: loaded.tails.map(map) }));
}

function mapSessions(map: (sessions: Look["sessions"]) => Look["sessions"]): Breakage {
  return (store) => ({
    load: async (requests) => {
      const { now, sessions } = await store.load(requests);
      return { now, sessions: map(sessions) };
    },
  });
}

/** Sessions live under other keys than they say; only commits and loads are looked at. */
function mapSessionKeys(map: (key: SessionKey) => SessionKey): Breakage {
  return (store) => ({
    commit: (batch) =>
      store.commit(batch.map((transaction) => transaction.map((change) => ({ ...change, key: map(change.key) })))),
    load: (requests) => store.load(requests.map((request) => ({ ...request, key: map(request.key) }))),
    read: (key, range) => store.read(map(key), range),
  });
}

function mapKeys(map: (text: string) => string): Breakage {
  return mapSessionKeys(({ tenant, id }) => ({ tenant, id: map(id) }));
}

function mapTenants(map: (text: string) => string): Breakage {
  return mapSessionKeys(({ tenant, id }) => ({ tenant: map(tenant), id }));
}

/** Changes of which this is true land whatever version stands. */
function forced(applies: (change: Change, current: SessionRecord | undefined) => boolean): Breakage {
  return (store) => ({
    commit: async (batch) => {
      const keys = batch.flat().map(({ key }) => ({ key, tails: [] }));
      const standing = new Map(
        (await store.load(keys)).sessions.map((one) => [one && keyText(one.record), one?.record]),
      );
      const force = (change: Change): Change => {
        const current = standing.get(keyText(change.key));
        return applies(change, current) ? { ...change, expected: current ?? null } : change;
      };
      return store.commit(batch.map((transaction) => transaction.map(force)));
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
        for (const change of transaction) {
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
      for (const change of batch.flat())
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
        const loads = transaction.map(({ key }) => ({ key, tails: [] }));
        const isFit = (await store.load(loads)).sessions.every((loaded, index) =>
          fits(transaction[index]?.expected ?? null, loaded?.record),
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

function conflictFirst(store: Store): Partial<Store> {
  return {
    commit: async (batch) => {
      const outcomes: Outcome[] = [];
      for (const transaction of batch) {
        let conflict: Outcome | undefined;
        for (const { key, expected } of transaction) {
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
        const taken = transaction
          .flatMap((change) => change.claims.map(({ key }) => claimed.get(nameOf(change, key))))
          .find((entry) => entry !== undefined);
        const [outcome] = taken === undefined ? await store.commit([transaction]) : [];
        if (outcome?.status === "ok") {
          for (const change of transaction)
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

function tellsAll(store: Store): Partial<Store> {
  const ids = new Set<string>();
  return {
    heartbeat: async (instance, options) => {
      ids.add(instance.id);
      await store.heartbeat(instance, options);
    },
    instances: () => store.instances([...ids]),
  };
}

function listsWorkers(store: Store): Partial<Store> {
  const { heartbeat, instances } = tellsAll(store);
  if (heartbeat === undefined || instances === undefined) throw new Error("it tells all");
  return { heartbeat, instances: (ids) => (ids === "hosts" ? instances([]) : store.instances(ids)) };
}

function keepsDeadInstances(store: Store): Partial<Store> {
  const known = new Map<string, Instance>();
  return {
    heartbeat: async (instance, options) => {
      await store.heartbeat(instance, options);
      if (options?.leaving === true) known.delete(instance.id);
      else known.set(instance.id, (await store.instances([instance.id])).instances[0]!);
    },
    instances: async (ids) => ({
      now: (await store.instances([])).now,
      instances: [...known.values()].filter(({ id }) => ids.includes(id)),
    }),
  };
}

function closesOnce(store: Store): Partial<Store> {
  let closed = false;
  return {
    close: async () => {
      if (closed) throw new Error("closed already");
      closed = true;
      await store.close();
    },
  };
}

/** With the keys of objects in the order of the alphabet. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

function positive(metadata: SessionRecord["metadata"]): SessionRecord["metadata"] {
  return decode(encode(metadata).replaceAll('{"$type":"number","value":"-0"}', "0")) as SessionRecord["metadata"];
}

/** Counts additions of refused changes too. */
function addsTwice(store: Store): Partial<Store> {
  let refused = 0;
  return {
    async commit(batch) {
      const outcomes = await store.commit(batch);
      for (const [index, { status }] of outcomes.entries()) {
        if (status === "ok") continue;
        for (const { additions = [] } of batch[index] ?? [])
          refused += additions.reduce((sum, { tokens }) => sum + tokens, 0);
      }
      return outcomes;
    },
    usage: async (names) =>
      (await store.usage(names)).map(({ tokens, turns }) => ({ tokens: tokens + refused, turns })),
  };
}

const onlyOne: Store["usage"] = async (names) => names.map(() => ({ tokens: 7, turns: 1 }));
