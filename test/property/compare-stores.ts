/**
 * Model-based testing of stores: the same random commits and reads on two stores must have the same outcomes. What is
 * random is made by {@link steps}; what it means depends on what stands, so it is worked out on the model as it goes.
 */
import assert from "node:assert/strict";
import * as fc from "../support/fast-check.ts";
import type { Change, KeyClaim, Transaction } from "../../src/domain/record/change.ts";
import type { Value } from "../../src/domain/values/codec.ts";
import { removeSession } from "../../src/domain/record/lifecycle.ts";
import { truncatedUsageLog, type Entry, type SessionKey, type Splice } from "../../src/domain/record/entry.ts";
import type { SessionRecord, SettledState } from "../../src/domain/record/record.ts";
import { sessionStates } from "../../src/domain/record/states.ts";
import type { LoadRequest, LogRange, Outcome, SessionQuery, Store } from "../../src/store/store.ts";
import type { StatsKind, StoreStatsQuery } from "../../src/store/stats.ts";
import {
  creationOf,
  sampleAt,
  sampleEntries,
  sampleRecord,
  stepOf,
  type SampleEntry,
} from "../../src/testing/samples.ts";

const logs = ["turns", "chunks", "events", truncatedUsageLog];
const tenants = ["a", "A"];
const ids = ["s", "S", "s ", "😀", "__proto__"];
const keys = ["k", "K", "k ", "constructor"];
const agents = ["ceo", "CEO"];
const users = ["ann", "Ann", null];

interface RandomChange {
  readonly key: SessionKey;
  /** How far the expected version is from the one that stands; mostly not at all. */
  readonly off: number;
  /** It expects another commit id than stands; mostly not. */
  readonly isForeign: boolean;
  readonly removes: boolean;
  readonly fields: Partial<SessionRecord>;
  readonly splices: readonly RandomSplice[];
  /** Keys that are claimed though no entry brings them. */
  readonly claims: readonly KeyClaim[];
}

interface RandomSplice {
  readonly log: string;
  /** Where between the beginning and the end of the log, in parts of a hundred. */
  readonly place: number;
  readonly entries: readonly { readonly key: string | null; readonly value: number }[];
}

/** One thing to do to both stores. */
export type Step =
  | { readonly do: "commit"; readonly transactions: readonly (readonly RandomChange[])[] }
  | { readonly do: "load"; readonly requests: readonly LoadRequest[] }
  | { readonly do: "read"; readonly key: SessionKey; readonly range: LogRange }
  | { readonly do: "find"; readonly query: SessionQuery & { readonly tenant: string } }
  | { readonly do: "stats"; readonly query: StoreStatsQuery }
  | { readonly do: "beat"; readonly instance: string; readonly leaving: boolean };

const key = fc.record({ tenant: fc.constantFrom(...tenants), id: fc.constantFrom(...ids) });
const log = fc.constantFrom(...logs);
/** A few moments, so that sort columns are often equal. */
const moment = fc.constantFrom(0, 59_999, 60_000, 60_001, 120_000);

const splice: fc.Arbitrary<RandomSplice> = fc.record({
  log,
  place: fc.oneof(fc.constant(100), fc.nat(100)),
  entries: fc.array(fc.record({ key: fc.option(fc.constantFrom(...keys)), value: fc.nat(9) }), { maxLength: 3 }),
});

const fields = fc.record({
  state: fc.constantFrom(...sessionStates),
  agent: fc.constantFrom(...agents),
  user: fc.constantFrom(...users),
  lastActivityAt: moment,
  stateSince: moment,
  expiresAt: moment,
  sweepAt: moment,
});

const change: fc.Arbitrary<RandomChange> = fc.record({
  key,
  off: fc.oneof({ arbitrary: fc.constant(0), weight: 6 }, { arbitrary: fc.constantFrom(-1, 1, 5), weight: 1 }),
  isForeign: fc.oneof({ arbitrary: fc.constant(false), weight: 9 }, { arbitrary: fc.constant(true), weight: 1 }),
  removes: fc.oneof({ arbitrary: fc.constant(false), weight: 6 }, { arbitrary: fc.constant(true), weight: 1 }),
  fields,
  splices: fc.uniqueArray(splice, { selector: ({ log }) => log, maxLength: 3 }),
  claims: fc.array(fc.record({ log, key: fc.constantFrom(...keys) }), { maxLength: 1 }),
});

const limit = fc.constantFrom(1, 2, 3, 100);
const tenant = fc.constantFrom(...tenants);
const live = fc.uniqueArray(fc.constantFrom(...sessionStates));
const settled = fc.uniqueArray(fc.constantFrom<SettledState>("expired", "ended", "archived"));

const query = fc
  .oneof(
    fc.record({
      order: fc.constantFrom("recent" as const, "created" as const, "key" as const),
      tenant,
      agent: fc.option(fc.constantFrom(...agents), { nil: undefined }),
      user: fc.option(fc.constantFrom("ann", "Ann"), { nil: undefined }),
      guest: fc.option(fc.constantFrom("s", "S"), { nil: undefined }),
      states: fc.option(live, { nil: undefined }),
      now: moment,
      activeSince: fc.option(moment, { nil: undefined }),
      activeBefore: fc.option(moment, { nil: undefined }),
      createdSince: fc.option(moment, { nil: undefined }),
      createdBefore: fc.option(moment, { nil: undefined }),
      limit,
    }),
    fc.record({ order: fc.constant("due" as const), tenant, before: moment, limit }),
    fc.record({ order: fc.constant("settled" as const), tenant, states: settled, before: moment, limit }),
  )
  // A filter that is not there, rather than one that is undefined.
  .map(
    (all) =>
      Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as SessionQuery & {
        tenant: string;
      },
  );

const stats: fc.Arbitrary<StoreStatsQuery> = fc
  .record({
    tenant,
    now: moment,
    since: fc.option(fc.constantFrom(0, 60_000, sampleAt, sampleAt + 2), { nil: undefined }),
    by: fc.uniqueArray(fc.constantFrom<StatsKind>("agent", "session", "user", "model", "day", "hour")),
    limit,
  })
  .map(({ since, ...all }) => (since === undefined ? all : { ...all, since }));

const range: fc.Arbitrary<LogRange> = fc.oneof(
  fc.record({
    log,
    from: fc.integer({ min: 0, max: 8 }),
    to: fc.integer({ min: 0, max: 8 }),
    order: fc.constantFrom("ascending" as const, "descending" as const),
    limit,
  }),
  fc.record({ log, keys: fc.array(fc.constantFrom(...keys), { maxLength: 3 }) }),
);

const request = fc.record({ key, tails: fc.array(fc.record({ log, last: fc.nat(4) }), { maxLength: 3 }) });
const instance = fc.constantFrom("i", "I", "j");

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("commit" as const),
      transactions: fc.array(fc.array(change, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("load" as const), requests: fc.array(request, { maxLength: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("read" as const), key, range }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("find" as const), query }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("stats" as const), query: stats }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("beat" as const), instance, leaving: fc.boolean() }),
  },
);

/** Random things to do, in order. */
export const steps: fc.Arbitrary<Step[]> = fc.array(step, { maxLength: 40, size: "+1" });

/**
 * Do the same to the model and to the store, and compare every outcome and, at the end, all that stands. Everything
 * happens in tenants that begin with `scope`, so that a store may be used for several runs.
 */
export async function compareStores(
  { model, store, scope }: { readonly model: Store; readonly store: Store; readonly scope: string },
  steps: readonly Step[],
): Promise<void> {
  const within = ({ tenant, id }: SessionKey): SessionKey => ({ tenant: scope + tenant, id });
  const same = async <Result>(
    run: (one: Store) => Promise<Result>,
    plain: (result: Result) => unknown,
  ): Promise<Result> => {
    const expected = await run(model);
    assert.deepStrictEqual(plain(await run(store)), plain(expected));
    return expected;
  };

  for (const one of steps) {
    switch (one.do) {
      case "commit": {
        const batch = await batchOf(model, one.transactions, within);
        await same(
          (either) => either.commit(batch),
          (outcomes) => outcomes.map(plainOutcome),
        );
        break;
      }
      case "load": {
        const requests = one.requests.map(({ key, tails }) => ({ key: within(key), tails }));
        await same(
          (either) => either.load(requests),
          ({ sessions }) =>
            sessions.map((loaded) => loaded && { record: loaded.record, tails: loaded.tails.map(plainEntries) }),
        );
        break;
      }
      case "read":
        await same((either) => either.read(within(one.key), one.range), plainEntries);
        break;
      case "find": {
        const query = { ...one.query, tenant: scope + one.query.tenant };
        await same(
          (either) => pagesOf(either, query),
          (pages) => pages,
        );
        break;
      }
      case "stats": {
        const query = { ...one.query, tenant: scope + one.query.tenant };
        await same(
          (either) => either.stats(query),
          // Each store has a form of its own for records.
          ({ sessions, ...sums }) => ({ ...sums, sessions: { ...sessions, bytes: undefined } }),
        );
        break;
      }
      case "beat": {
        const id = scope + one.instance;
        const beat = {
          id,
          host: "host",
          pid: 1,
          machine: "machine",
          startedAt: "0",
          address: null,
          staleAfterMs: null,
        };
        await same(
          (either) => either.heartbeat(beat, { leaving: one.leaving }),
          () => undefined,
        );
        await same(
          (either) => either.instances([`${scope}i`, `${scope}I`, `${scope}j`]),
          ({ instances }) => instances.map((known) => known.id).toSorted(),
        );
        break;
      }
    }
  }

  // All that stands, in both.
  for (const tenant of tenants) {
    const scan = { tenant: scope + tenant, order: "ascending", limit: 1000 } as const;
    await same(
      (either) => either.events(scan),
      ({ events }) => events.map(({ entry, ...whose }) => ({ ...whose, ...entry })),
    );
    for (const id of ids) {
      const tails = logs.map((log) => ({ log, last: 1000 }));
      await same(
        (either) => either.load([{ key: within({ tenant, id }), tails }]),
        ({ sessions: [loaded] }) => loaded && { record: loaded.record, tails: loaded.tails.map(plainEntries) },
      );
    }
  }
}

/** What the random changes mean on the model as it stands: valid splices, versions that mostly fit. */
async function batchOf(
  model: Store,
  transactions: readonly (readonly RandomChange[])[],
  within: (key: SessionKey) => SessionKey,
): Promise<Transaction[]> {
  const taken = new Set<string>();
  const batch: Transaction[] = [];
  for (const transaction of transactions) {
    const made: Change[] = [];
    // The changes of a transaction are of one tenant, and no session comes twice in a batch.
    const tenant = transaction[0]?.key.tenant ?? "";
    for (const random of transaction) {
      const key = within({ tenant, id: random.key.id });
      if (taken.has(JSON.stringify(key))) continue;
      taken.add(JSON.stringify(key));
      made.push(await changeOfRandom(model, key, random));
    }
    if (made.length > 0) batch.push(made);
  }
  return batch;
}

async function changeOfRandom(model: Store, key: SessionKey, random: RandomChange): Promise<Change> {
  const tails = logs.map((log) => ({ log, last: 1000 }));
  const {
    sessions: [loaded],
  } = await model.load([{ key, tails }]);
  const record: SessionRecord = loaded?.record ?? { ...sampleRecord(key), version: 0, heads: {} };
  const version = Math.max(0, record.version + random.off);
  const expected = version === 0 ? null : { version, commitId: random.isForeign ? "foreign" : record.commitId };
  if (random.removes) return { ...removeSession(record), expected };
  const standing = new Map(logs.map((log, index) => [log, loaded?.tails[index] ?? []]));
  const claims = [...random.claims];
  const splices = random.splices.map(({ log, place, entries }): Splice => {
    const before = standing.get(log) ?? [];
    const from = 1 + Math.round((before.length * place) / 100);
    return { log, from, entries: entriesOf(from, entries, { log, before, claims }) };
  });
  const made = loaded === undefined ? creationOf : stepOf;
  const change = made({ ...record, ...random.fields }, { splices, claims });
  return { ...change, expected };
}

/** Entries whose keys are claimed, but for those that only take the place of an entry with the same key. */
function entriesOf(
  from: number,
  wanted: readonly { readonly key: string | null; readonly value: number }[],
  { log, before, claims }: { log: string; before: readonly Entry[]; claims: { log: string; key: string }[] },
): Entry[] {
  const used = new Set<string>();
  const replaced = new Set(before.slice(from - 1).map((entry) => entry.key));
  const values = wanted.map(({ key, value }): SampleEntry => {
    const written = saidBy(log, value);
    if (key === null || used.has(key)) return written;
    used.add(key);
    // Now and then a change claims a key that it also splices away, which makes it a duplicate.
    if (!replaced.has(key) || value === 0) claims.push({ log, key });
    return { key, value: written };
  });
  return sampleEntries(from, values);
}

/** What an entry of this log says: what sums can be made of, or, now and then, nothing of the kind. */
function saidBy(log: string, value: number): Value {
  if (value === 9) return value;
  const usage = { inputTokens: value, outputTokens: 2 * value, totalTokens: 3 * value };
  const whose = { agent: agents[value % 2] ?? "", ...(value % 3 === 0 ? {} : { model: `m${value % 3}` }) };
  const took = { requests: value % 3, durationMs: value * 1234.5 };
  switch (log) {
    case "turns": {
      const status = ["done", "open", "failed", "interrupted"][value % 4] ?? "";
      const input = [{ role: "user", content: `,"input":[ ${value}` }];
      const counted = { ...usage, ...(value % 2 === 0 ? { estimated: true } : {}) };
      return { status, ...whose, usage: counted, ...took, input, output: [] };
    }
    case truncatedUsageLog:
      return {
        ...whose,
        usage,
        ...took,
        longestMs: value,
        turns: value,
        failed: 1,
        interrupted: 0,
        estimated: value % 2,
      };
    case "events":
      return {
        type: value % 2 === 0 ? "released" : "handed_off",
        heldMs: value === 1 ? null : value * 777,
        reason: "expired",
      };
    default:
      return value;
  }
}

async function pagesOf(store: Store, query: SessionQuery): Promise<(readonly SessionRecord[])[]> {
  const pages: (readonly SessionRecord[])[] = [];
  let after: string | undefined;
  do {
    const page = await store.find(after === undefined ? query : { ...query, after });
    pages.push(page.records);
    after = page.next;
  } while (after !== undefined && pages.length < 100);
  return pages;
}

function plainOutcome(outcome: Outcome): Outcome {
  return outcome.status === "duplicate" ? { ...outcome, entry: { ...outcome.entry } } : outcome;
}

function plainEntries(entries: readonly Entry[]): Entry[] {
  return entries.map((entry) => ({ ...entry }));
}
