import assert from "node:assert/strict";
import { removeSession } from "../../../domain/record/lifecycle.ts";
import { dateMaxMs } from "../../../domain/values/limits.ts";
import { eachPage } from "../../../domain/values/pages.ts";
import { keyText } from "../../../domain/record/entry.ts";
import type { SessionRecord, SettledState } from "../../../domain/record/record.ts";
import { hasCode } from "../../../errors.ts";
import type { SessionFilter, SessionQuery, Store } from "../../../store/store.ts";
import { creationOf, sampleAt, stepOf } from "../../samples.ts";
import { commitOne, land, type Bench, type Check } from "../bench.ts";
import { oddIds } from "../odd-texts.ts";

type Recent = Extract<SessionQuery, { order: "recent" | "created" }>;
type ByKey = Extract<SessionQuery, { order: "key" }>;
export type Fields = Partial<SessionRecord> & { readonly id: string };

export const minute = 60_000;
/** The first moment of a minute. */
export const noon: number = Math.ceil(sampleAt / minute) * minute;

export function findCases(check: Check): void {
  recentCases(check);
  sweepCases(check);
  pageCases(check);
}

function recentCases(check: Check): void {
  check(
    "pages-are-complete: recent is by the last activity, newest first, then by id, the last one first",
    async (bench) => {
      await create(bench, [
        { id: "b", lastActivityAt: noon + 1 },
        { id: "c", lastActivityAt: noon + minute },
        { id: "a", lastActivityAt: noon + 59_999 },
        { id: "d", lastActivityAt: noon - 1 },
        { id: "e", lastActivityAt: 0 },
        { id: "B", lastActivityAt: noon + 2 },
        { id: "\uffff", lastActivityAt: noon },
        { id: "\u{10000}", lastActivityAt: noon },
        { id: "é", lastActivityAt: noon },
      ]);
      const { records } = await bench.store.find(recent(bench));
      assert.deepEqual(
        records.map(({ id }) => id),
        ["c", "a", "B", "b", "\u{10000}", "\uffff", "é", "d", "e"],
      );
    },
  );

  check("pages-are-complete: created is by creation, newest first, whatever is active meanwhile", async (bench) => {
    const { store } = bench;
    const [first] = await create(bench, [
      { id: "b", createdAt: noon + 1, lastActivityAt: noon + 9 },
      { id: "c", createdAt: noon + minute, lastActivityAt: noon },
      { id: "a", createdAt: noon + 1, lastActivityAt: noon + 8 },
      { id: "d", createdAt: 0, lastActivityAt: noon + minute },
    ]);
    assert.ok(first);
    await land(store, stepOf(first, { fields: { lastActivityAt: noon + 5 * minute } }));
    for (const limit of [1, 3, 100]) {
      const created = recent(bench, { order: "created", limit });
      assert.deepEqual(inOrder(await pages(store, created)), ["c", "b", "a", "d"]);
    }
    const filtered = recent(bench, { order: "created", activeSince: noon + 8, limit: 1 });
    assert.deepEqual(inOrder(await pages(store, filtered)), ["b", "a", "d"]);
  });

  check("pages-are-complete: what is found is the whole record", async (bench) => {
    const metadata = { z: [1, -0], a: new Date(5) };
    const titled = { title: "Ordering flour", labels: { team: "ops" } };
    const [record] = await create(bench, [{ id: "whole", metadata, user: "u", waiters: [], ...titled }]);
    assert.deepEqual((await bench.store.find(recent(bench))).records, [record]);
  });

  const now = noon;
  const sessions: readonly Fields[] = [
    { id: "active", agent: "ceo", user: "ann", expiresAt: now + 1, lastActivityAt: noon - 10, createdAt: noon - 20 },
    {
      id: "inactive",
      state: "inactive",
      agent: "cfo",
      user: "ann",
      expiresAt: now + 1,
      lastActivityAt: noon - 9,
      createdAt: noon - 21,
    },
    { id: "due", agent: "ceo", user: "bob", expiresAt: now, lastActivityAt: noon - 8, createdAt: noon - 22 },
    {
      id: "overdue",
      state: "inactive",
      agent: "ceo",
      user: null,
      expiresAt: now - 1,
      lastActivityAt: noon - 7,
      createdAt: noon - 23,
    },
    {
      id: "expired",
      state: "expired",
      agent: "cfo",
      user: "ann",
      expiresAt: now - 5,
      lastActivityAt: noon - 6,
      createdAt: noon - 24,
    },
    {
      id: "ended",
      state: "ended",
      agent: "ceo",
      user: "ann",
      expiresAt: now - 5,
      lastActivityAt: noon - 5,
      createdAt: noon - 25,
    },
    {
      id: "archived",
      state: "archived",
      agent: "CEO",
      user: "Ann",
      expiresAt: now - 5,
      lastActivityAt: noon - 4,
      createdAt: noon - 26,
    },
  ];
  const queries: readonly [string, Partial<SessionFilter>, readonly string[]][] = [
    ["no filter", {}, ["active", "archived", "due", "ended", "expired", "inactive", "overdue"]],
    ["an agent", { agent: "ceo" }, ["active", "due", "ended", "overdue"]],
    ["a user", { user: "ann" }, ["active", "ended", "expired", "inactive"]],
    ["an agent and a user", { agent: "ceo", user: "ann" }, ["active", "ended"]],
    ["an agent without sessions", { agent: "cto" }, []],
    ["active ones", { states: ["active"] }, ["active"]],
    ["inactive ones", { states: ["inactive"] }, ["inactive"]],
    ["expired ones, also before a sweep has marked them", { states: ["expired"] }, ["due", "expired", "overdue"]],
    ["ended ones", { states: ["ended"] }, ["ended"]],
    ["archived ones", { states: ["archived"] }, ["archived"]],
    ["live ones", { states: ["active", "inactive"] }, ["active", "inactive"]],
    ["live ones, earlier", { states: ["active", "inactive"], now: now - 2 }, ["active", "due", "inactive", "overdue"]],
    ["live ones, later", { states: ["active", "inactive"], now: now + 1 }, []],
    ["expired ones, later", { states: ["expired"], now: now + 1 }, ["active", "due", "expired", "inactive", "overdue"]],
    [
      "all states but live ones",
      { states: ["expired", "ended", "archived"] },
      ["archived", "due", "ended", "expired", "overdue"],
    ],
    ["a guest", { guest: "o" }, ["overdue"]],
    ["a guest whose sessions all name a user", { guest: "e" }, []],
    ["a guest and a state", { guest: "over", states: ["active"] }, []],
    ["no states at all", { states: [] }, []],
    ["activity since", { activeSince: noon - 6 }, ["archived", "ended", "expired"]],
    ["activity before", { activeBefore: noon - 8 }, ["active", "inactive"]],
    ["activity between", { activeSince: noon - 8, activeBefore: noon - 6 }, ["due", "overdue"]],
    ["activity since and before the same", { activeSince: noon - 8, activeBefore: noon - 8 }, []],
    ["creation since", { createdSince: noon - 22 }, ["active", "due", "inactive"]],
    ["creation before", { createdBefore: noon - 24 }, ["archived", "ended"]],
    ["creation between", { createdSince: noon - 24, createdBefore: noon - 22 }, ["expired", "overdue"]],
    ["an agent and creation", { agent: "ceo", createdSince: noon - 23 }, ["active", "due", "overdue"]],
    ["creation since and before the same", { createdSince: noon - 22, createdBefore: noon - 22 }, []],
    [
      "everything at once",
      { agent: "ceo", user: "bob", states: ["expired"], activeSince: noon - 8, activeBefore: noon },
      ["due"],
    ],
  ];
  for (const [what, filter, expected] of queries) {
    check(`pages-are-complete: recent finds by ${what}`, async (bench) => {
      await create(bench, sessions);
      const latestFirst = sessions.map(({ id }) => id).toReversed();
      const ordered = latestFirst.filter((id) => expected.includes(id));
      for (const limit of [1, 2, 100])
        assert.deepEqual(inOrder(await pages(bench.store, recent(bench, { now, ...filter, limit }))), ordered);
    });
    check(`pages-are-complete: created finds by ${what}`, async (bench) => {
      await create(bench, sessions);
      const newestFirst = sessions.map(({ id }) => id).filter((id) => expected.includes(id));
      for (const limit of [1, 2, 100]) {
        const created = recent(bench, { order: "created", now, ...filter, limit });
        assert.deepEqual(inOrder(await pages(bench.store, created)), newestFirst);
      }
    });
    check(`pages-are-complete: key finds by ${what}`, async (bench) => {
      await create(bench, sessions);
      for (const limit of [1, 2, 100])
        assert.deepEqual(inOrder(await pages(bench.store, byKey(bench, { now, ...filter, limit }))), expected);
    });
  }

  check("count-is-what-is-found: by each filter", async (bench) => {
    await create(bench, sessions);
    for (const [what, filter, expected] of queries)
      assert.equal(await bench.store.count({ tenant: bench.tenant, now, ...filter }), expected.length, what);
  });

  check("count-is-what-is-found: of one tenant, or of all where none is named", async (bench) => {
    const before = await bench.store.count({ now });
    await create(bench, [...sessions, { id: "theirs", tenant: `${bench.tenant} too` }]);
    assert.equal(await bench.store.count({ now }), before + sessions.length + 1);
    assert.equal(await bench.store.count({ now, tenant: bench.tenant }), sessions.length);
    assert.equal(await bench.store.count({ now, tenant: `${bench.tenant} without sessions` }), 0);
  });

  check("pages-are-complete: recent follows a record as it changes", async (bench) => {
    const { store } = bench;
    const [record] = await create(bench, [{ id: "changing", user: "ann", lastActivityAt: noon }]);
    assert.ok(record);
    const fields = { user: "bob", agent: "cfo", lastActivityAt: noon + minute };
    const changed = await land(store, stepOf(record, { fields }));
    const found = async (filter: Partial<Recent>): Promise<number> =>
      (await store.find(recent(bench, filter))).records.length;
    assert.equal(await found({ user: "ann" }), 0);
    assert.equal(await found({ agent: "ceo" }), 0);
    assert.equal(await found({ activeBefore: noon + 1 }), 0);
    assert.equal(await found({ user: "bob", agent: "cfo", activeSince: noon + minute }), 1);
    await commitOne(store, removeSession(changed));
    assert.equal(await found({}), 0);
  });
}

function sweepCases(check: Check): void {
  // Long before any other session of the store, so that queries over all tenants meet only these.
  const sessions: readonly Fields[] = [
    { id: "c", sweepAt: 1000, stateSince: 2000 },
    { id: "b", sweepAt: 1000, stateSince: 2000, state: "inactive" },
    { id: "a", sweepAt: 1001, stateSince: 1999, state: "inactive" },
    { id: "early", sweepAt: 0, stateSince: 0 },
    { id: "late", sweepAt: 1002, stateSince: 2001 },
    { id: "never", sweepAt: Number.MAX_SAFE_INTEGER, stateSince: dateMaxMs },
    { id: "expired", sweepAt: 1, stateSince: 1, state: "expired" },
    { id: "ended", sweepAt: 1, stateSince: 2, state: "ended" },
    { id: "archived", sweepAt: 1, stateSince: 2, state: "archived" },
  ];
  check("pages-are-complete: due is live ones whose time to be swept has come, oldest first", async (bench) => {
    const { store, tenant } = bench;
    await create(bench, sessions);
    const due = async (before: number): Promise<string[]> =>
      inOrder(await pages(store, { order: "due", tenant, before, limit: 2 }));
    assert.deepEqual(await due(1001), ["early", "b", "c", "a"]);
    assert.deepEqual(await due(1000), ["early", "b", "c"]);
    assert.deepEqual(await due(999), ["early"]);
    assert.deepEqual(await due(-1), []);
    assert.equal((await due(Number.MAX_SAFE_INTEGER)).length, 6);
  });

  check("pages-are-complete: settled is ones in these states since before then, oldest first", async (bench) => {
    const { store, tenant } = bench;
    await create(bench, sessions);
    const settled = async (before: number, ...states: SettledState[]): Promise<string[]> =>
      inOrder(await pages(store, { order: "settled", tenant, states, before, limit: 2 }));
    assert.deepEqual(await settled(3, "expired", "ended", "archived"), ["expired", "archived", "ended"]);
    assert.deepEqual(await settled(2, "expired", "ended", "archived"), ["expired"]);
    assert.deepEqual(await settled(3, "ended"), ["ended"]);
    assert.deepEqual(await settled(3, "archived", "expired"), ["expired", "archived"]);
    assert.deepEqual(await settled(3), []);
    const all = { order: "settled", tenant, states: ["expired", "ended", "archived"], before: 3, limit: 2 } as const;
    assert.deepEqual(inOrder(await pages(store, { ...all, agent: "absent" })), []);
    assert.deepEqual(inOrder(await pages(store, { ...all, user: "absent" })), []);
    await create(bench, [{ id: "theirs", state: "ended", stateSince: 2, agent: "cfo", user: "u" }]);
    assert.deepEqual(inOrder(await pages(store, { ...all, agent: "cfo" })), ["theirs"]);
    assert.deepEqual(inOrder(await pages(store, { ...all, user: "u" })), ["theirs"]);
    assert.deepEqual(inOrder(await pages(store, { ...all, agent: "ceo", user: "u" })), []);
  });

  check("pages-are-complete: due and settled go over all tenants where none is named", async (bench) => {
    const { store, tenant } = bench;
    // Blank, hyphen and letter sort differently in languages and in code points.
    const tenants = [`${tenant} 1`, `${tenant}-1`, `${tenant}B`, `${tenant}a`, `${tenant}é`];
    for (const [index, name] of tenants.toReversed().entries()) {
      const [early, late] = [500, 500 + index];
      await create(bench, [
        { tenant: name, id: "same", sweepAt: early },
        { tenant: name, id: "own", sweepAt: late },
        { tenant: name, id: "same ended", state: "ended", sweepAt: 0, stateSince: early },
        { tenant: name, id: "own ended", state: "archived", sweepAt: 0, stateSince: late },
      ]);
    }
    const own = (records: readonly SessionRecord[]): string[] =>
      records
        .filter((one) => one.tenant.startsWith(tenant))
        .map((one) => `${one.id.split(" ")[0]} ${one.tenant.slice(tenant.length)}`);
    const expected = [
      "same  1",
      "same -1",
      "same B",
      "same a",
      "own é",
      "same é",
      "own a",
      "own B",
      "own -1",
      "own  1",
    ];
    for (const limit of [1, 3, 100]) {
      const due = await pages(store, { order: "due", before: 600, limit });
      assert.deepEqual(own(due), expected);
      const settled = await pages(store, {
        order: "settled",
        states: ["ended", "archived"],
        before: 600,
        limit,
      });
      assert.deepEqual(own(settled), expected);
    }
    const one = await pages(store, { order: "due", tenant: tenants[0]!, before: 600, limit: 3 });
    assert.deepEqual(inOrder(one), ["same", "own"]);
  });
}

function pageCases(check: Check): void {
  check("pages-are-complete: many of the same age appear on exactly one page each", async (bench) => {
    const { store, tenant } = bench;
    // Three minutes, ids in no order, exact times that go against the order of the ids.
    const fields = Array.from({ length: 45 }, (_, index) => ({
      id: `s${(index * 29) % 45}`,
      lastActivityAt: noon + (index % 3) * minute + 59_000 - index * 100,
      createdAt: noon + (index % 3),
      sweepAt: noon + (index % 3),
      stateSince: noon + (index % 3),
    }));
    await create(bench, fields);
    const ended = fields.map((one) => ({ ...one, tenant: `${tenant} ended`, state: "ended" as const }));
    await create(bench, ended);
    const queries: readonly SessionQuery[] = [
      byKey(bench),
      recent(bench),
      recent(bench, { order: "created" }),
      { order: "due", tenant, before: noon + minute, limit: 1 },
      { order: "settled", tenant: `${tenant} ended`, states: ["ended"], before: noon + minute, limit: 1 },
    ];
    for (const query of queries) {
      const whole = (await store.find({ ...query, limit: 100 })).records;
      assert.equal(whole.length, 45);
      for (const limit of [1, 2, 7, 15, 44, 45, 46])
        assert.deepEqual(await pages(store, { ...query, limit }), whole, `${query.order} by ${limit}`);
    }
  });

  check("pages-are-bounded: a page ends where its bytes are reached, and the next one continues", async (bench) => {
    const { store, tenant } = bench;
    const sizes = [10, 20_000, 30_000, 90_000, 10, 20_000, 20_000, 20_000, 20_000, 10];
    const fields = sizes.map((size, index) => ({
      id: `s${index}`,
      lastActivityAt: noon,
      stateSince: noon,
      sweepAt: noon,
      metadata: { text: "x".repeat(size) },
    }));
    await create(bench, fields);
    const ended = fields.map((one) => ({ ...one, tenant: `${tenant} ended`, state: "ended" as const }));
    await create(bench, ended);
    const bytesMax = 64 * 1024;
    const queries: readonly SessionQuery[] = [
      byKey(bench),
      recent(bench),
      recent(bench, { order: "created" }),
      { order: "due", tenant, before: noon + minute, limit: 100 },
      { order: "settled", tenant: `${tenant} ended`, states: ["ended"], before: noon + minute, limit: 100 },
    ];
    for (const query of queries) {
      const whole = (await store.find({ ...query, limit: 100 })).records;
      assert.equal(whole.length, sizes.length);
      for (const limit of [1, 2, 3, 100]) {
        const found: SessionRecord[] = [];
        for await (const page of eachPage((after) => store.find({ ...query, ...after, limit, bytesMax }))) {
          const bytes = page.records.reduce((sum, { metadata }) => sum + (metadata["text"] as string).length, 0);
          assert.ok(page.records.length <= limit, "within the limit");
          assert.ok(page.records.length === 1 || (page.records.length > 1 && bytes <= bytesMax), "within the bytes");
          found.push(...page.records);
        }
        assert.deepEqual(found, whole, `${query.order} by ${limit}`);
      }
    }
  });

  check("pages-are-complete: ids of every kind lie between pages", async (bench) => {
    const { store } = bench;
    await create(
      bench,
      oddIds.map((id) => ({ id, lastActivityAt: noon })),
    );
    const byBytes = oddIds.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(inOrder(await pages(store, recent(bench, { limit: 1 }))), byBytes.toReversed());
    assert.deepEqual(inOrder(await pages(store, recent(bench, { order: "created", limit: 1 }))), byBytes.toReversed());
    const due = {
      order: "due",
      tenant: bench.tenant,
      before: Number.MAX_SAFE_INTEGER,
      limit: 1,
    } as const;
    assert.deepEqual(inOrder(await pages(store, due)), byBytes);
    assert.deepEqual(inOrder(await pages(store, byKey(bench, { limit: 1 }))), byBytes);
  });

  check("pages-are-complete: by key, what becomes active between pages is found once", async (bench) => {
    const { store } = bench;
    const created = ["a", "b", "c", "d"].map((id) => ({ id, lastActivityAt: noon }));
    const records = await create(bench, created);
    const first = await store.find(byKey(bench, { limit: 2 }));
    for (const record of records) await land(store, stepOf(record, { fields: { lastActivityAt: noon + minute } }));
    assert.ok(first.next);
    assert.deepEqual(inOrder(await pages(store, byKey(bench, { limit: 2, after: first.next }))), ["c", "d"]);
  });

  check("pages-are-complete: by key goes over all tenants where none is named", async (bench) => {
    const { store, tenant } = bench;
    const tenants = [`${tenant} 1`, `${tenant}-1`, `${tenant}B`, `${tenant}a`, `${tenant}é`];
    for (const name of tenants.toReversed())
      await create(bench, [
        { tenant: name, id: "b" },
        { tenant: name, id: "a" },
      ]);
    for (const limit of [1, 3, 100]) {
      const found = await pages(store, { order: "key", now: noon, limit });
      const own = found.filter((one) => one.tenant.startsWith(tenant)).map((one) => [one.tenant, one.id]);
      assert.deepEqual(
        own,
        tenants.flatMap((name) => [
          [name, "a"],
          [name, "b"],
        ]),
      );
    }
  });

  check("pages-are-complete: comings and goings between pages neither hide nor double the others", async (bench) => {
    const { store } = bench;
    const records = await create(
      bench,
      Array.from({ length: 12 }, (_, index) => ({
        id: `s${String(index).padStart(2, "0")}`,
        // The first of them was active last.
        lastActivityAt: noon + 1000 - index,
      })),
    );
    const first = await store.find(recent(bench, { limit: 4 }));
    // One that was shown goes, one that was not goes, some come before and after the place of the cursor.
    await commitOne(store, removeSession(records[3]!));
    await commitOne(store, removeSession(records[7]!));
    await create(bench, [
      { id: "s02b", lastActivityAt: noon + 998 },
      { id: "s09b", lastActivityAt: noon + 991 },
      { id: "newest", lastActivityAt: noon + minute },
    ]);
    assert.ok(first.next);
    const rest = await pages(store, recent(bench, { limit: 4, after: first.next }));
    assert.deepEqual(inOrder(first.records), ["s00", "s01", "s02", "s03"]);
    assert.deepEqual(inOrder(rest), ["s04", "s05", "s06", "s08", "s09b", "s09", "s10", "s11"]);
  });

  check("pages-are-complete: an empty answer is one empty page", async (bench) => {
    assert.deepEqual(await bench.store.find(recent(bench)), { records: [], unreadable: [], next: undefined });
  });

  const cursors = [
    "",
    "nonsense",
    "{}",
    "AAAA",
    "W10",
    "WzEsMiwzLDQsNV0",
    "bnVsbA",
    "'; drop table sessions; --",
    "😀",
  ];
  for (const after of cursors) {
    check(`pages-are-complete: ${JSON.stringify(after)} is no place where a page ended`, async (bench) => {
      const { store, tenant } = bench;
      await create(bench, [{ id: "one" }]);
      const queries: readonly SessionQuery[] = [
        byKey(bench, { after }),
        recent(bench, { after }),
        recent(bench, { order: "created", after }),
        { order: "due", tenant, before: noon, limit: 5, after },
        { order: "settled", tenant, states: ["ended"], before: noon, limit: 5, after },
      ];
      for (const query of queries)
        await assert.rejects(store.find(query), (error) => hasCode(error, "argument_invalid"));
    });
  }
}

export function recent(bench: Bench, fields: Partial<Recent> = {}): Recent {
  return { order: "recent", tenant: bench.tenant, now: noon, limit: 100, ...fields };
}

function byKey(bench: Bench, fields: Partial<ByKey> = {}): ByKey {
  return { order: "key", tenant: bench.tenant, now: noon, limit: 100, ...fields };
}

export async function create(bench: Bench, all: readonly Fields[]): Promise<SessionRecord[]> {
  const records: SessionRecord[] = [];
  for (const fields of all) {
    const change = creationOf(bench.record(fields));
    assert.deepEqual(await commitOne(bench.store, change), { status: "ok" });
    assert.ok(change.record);
    records.push(change.record);
  }
  return records;
}

/**
 * All pages of a query, each of which must be full, but for the last, and bring records that no earlier page had: so the pages
 * come to an end, however many sessions the place holds.
 */
export async function pages(store: Store, query: SessionQuery): Promise<SessionRecord[]> {
  const records: SessionRecord[] = [];
  const seen = new Set<string>();
  let after = query.after;
  for (;;) {
    const found = await store.find(after === undefined ? query : { ...query, after });
    for (const record of found.records) {
      assert.ok(!seen.has(keyText(record)), `session ${record.id} is found again: the pages come to no end`);
      seen.add(keyText(record));
      records.push(record);
    }
    assert.ok(found.records.length <= query.limit, "no page is longer than its limit");
    if (found.next === undefined) {
      assert.ok(found.records.length > 0 || after === query.after, "no page follows where nothing follows");
      return records;
    }
    assert.equal(found.records.length, query.limit, "only the last page is shorter");
    after = found.next;
  }
}

export function inOrder(records: readonly SessionRecord[]): string[] {
  return records.map(({ id }) => id);
}
