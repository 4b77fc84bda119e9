import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { after, test } from "node:test";
import type { LabelFilter, Labels } from "../../domain/values/labels.ts";
import { creationOf, sampleAt, sampleRecord, sampleSplice, stepOf } from "../../testing/samples.ts";
import { openMemory } from "../memory.ts";
import type { SessionFilter, SessionQuery, Store } from "../store.ts";
import { findPage } from "./find.ts";
import { openSqlite } from "./open.ts";
import { migrations } from "./schema/schema.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-labelled-"));
after(() => rmSync(folder, { recursive: true }));

test("common and rare filters find the same sessions as a store in memory, in each order", async () => {
  const stores = [await openSqlite({ url: "sqlite::memory:" }), openMemory()];
  const changes = Array.from({ length: 6000 }, (_, index) => {
    const labels: Labels = {
      common: index % 10 === 0 ? "no" : "yes",
      ...(index % 1000 === 7 ? { rare: String(index) } : {}),
      other: index % 4 === 0 ? "no" : "yes",
    };
    const id = `s${(index * 7919) % 6000}`;
    const at = sampleAt + ((index * 31) % 6000) * 1000;
    const [agent, user] = [
      index % 500 === 3 ? "rare" : "ceo",
      index % 100 === 3 ? "ann" : index % 7 === 0 ? null : "bob",
    ];
    const lastActivityAt = at + ((index * 17) % 600) * 1000;
    return creationOf(sampleRecord({ id, agent, user, labels, createdAt: at, lastActivityAt }));
  });
  for (const store of stores)
    for (let first = 0; first < changes.length; first += 100)
      await store.commit(changes.slice(first, first + 100).map((change) => [change]));
  const labelFilters: readonly LabelFilter[] = [
    { common: "yes" },
    { common: "no" },
    { common: true },
    { common: "yes", other: "yes" },
    { common: true, other: "no" },
    { rare: true },
    { rare: "1007", common: "yes" },
    { rare: true, common: "no" },
    { common: "yes", absent: true },
  ];
  const late = { createdSince: sampleAt + 1_000_000 };
  const short = { createdSince: sampleAt + 2_000_000, createdBefore: sampleAt + 2_200_000 };
  const filters: readonly Partial<SessionFilter>[] = [
    ...labelFilters.map((labels) => ({ labels })),
    { agent: "rare" },
    { agent: "ceo" },
    { agent: "absent" },
    { user: "ann" },
    { user: "bob" },
    { user: "ann", labels: { common: "yes" } },
    { agent: "rare", user: "ann" },
    { guest: "s12" },
    { guest: "s1", labels: { common: "yes" } },
    { agent: "ceo", user: "ann" },
    { agent: "rare", labels: { common: "yes" } },
    { agent: "ceo", labels: { rare: true } },
    late,
    short,
    { agent: "rare", ...late },
    { agent: "ceo", ...short },
    { labels: { common: true }, ...short },
    { labels: { common: "yes" }, ...late },
    { agent: "ceo", labels: { common: "yes" }, activeSince: sampleAt + 3_000_000, ...late },
  ];
  const orders: readonly SessionQuery[] = [
    { order: "recent", tenant: "default", now: sampleAt, limit: 97 },
    { order: "created", tenant: "default", now: sampleAt, limit: 97 },
    { order: "key", tenant: "default", now: sampleAt, limit: 97 },
  ];
  for (const filter of filters) {
    for (const query of orders) {
      const [found, expected] = await Promise.all(
        stores.map((store) => threePages(store, { ...query, ...filter } as SessionQuery)),
      );
      assert.deepEqual(found, expected, `${query.order} ${JSON.stringify(filter)}`);
    }
    const [counted, expected] = await Promise.all(
      stores.map((store) => store.count({ tenant: "default", now: sampleAt, ...filter })),
    );
    assert.equal(counted, expected, JSON.stringify(filter));
  }
  for (const store of stores) await store.close();
});

async function threePages(store: Store, query: SessionQuery): Promise<readonly string[]> {
  const ids: string[] = [];
  let cursor: { readonly after?: string } = {};
  for (let page = 0; page < 3; page++) {
    const { records, next } = await store.find({ ...query, ...cursor });
    ids.push(...records.map(({ id }) => id));
    if (next === undefined) break;
    cursor = { after: next };
  }
  return ids;
}

test("a list of a rare agent, or of a short time of creation, reads the rows of its index, and a common one walks its order", async () => {
  const database = new DatabaseSync(":memory:");
  for (const { sql } of migrations) database.exec(sql);
  const insert = database.prepare(`
    insert into sessions (tenant, id, version, state, agent, user, created_at, last_activity_at, active_minute,
      state_since, expires_at, sweep_at, data)
    values ('default', 's' || ?1, 1, 'active', iif(?1 % 1000 = 0, 'rare', 'common'), iif(?1 % 1000 = 1, 'ann', 'bob'), ?1, ?1, ?1, ?1, 9, 9, '{}')`);
  for (let number = 0; number < 10_000; number++) insert.run(number);
  const plans: string[] = [];
  const explained = {
    prepare(sql: string) {
      const statement = database.prepare(sql);
      return new Proxy(statement, {
        get:
          (target, name: "iterate" | "get") =>
          (...values: readonly SQLInputValue[]): unknown => {
            const steps = database.prepare(`explain query plan ${sql}`).all(...values);
            plans.push(steps.map(({ detail }) => String(detail)).join("\n"));
            return target[name](...values);
          },
      });
    },
  } as DatabaseSync;
  const planOf = (query: Partial<SessionFilter> & { readonly order: "recent" | "created" | "key" }): string => {
    plans.length = 0;
    findPage(explained, { tenant: "default", now: 0, limit: 10, ...query });
    return plans.at(-1) ?? "";
  };
  for (const order of ["recent", "created", "key"] as const) {
    const rare = planOf({ order, agent: "rare" });
    assert.match(rare, /SEARCH sessions USING (COVERING )?INDEX sessions_of_agent \(tenant=\? AND agent=\?\)/);
    assert.match(planOf({ order, agent: "common", createdSince: 5, createdBefore: 9 }), /INDEX sessions_of_agent/);
    assert.match(planOf({ order, user: "ann" }), /INDEX sessions_of_user \(tenant=\? AND user=\?/);
    assert.match(planOf({ order, guest: "device_1" }), /autoindex_sessions_1 \(tenant=\? AND id>\? AND id<\?\)/);
    const short = planOf({ order, createdSince: 5, createdBefore: 9 });
    assert.match(short, /INDEX sessions_created \(tenant=\? AND created_at>\? AND created_at<\?\)/);
  }
  for (const filter of [
    { user: "bob" },
    { agent: "common" },
    { createdSince: 5 },
    { agent: "common", createdSince: 5 },
  ]) {
    for (const [order, index] of [
      ["recent", "user" in filter ? "sessions_of_user" : "sessions_recent"],
      ["key", "sqlite_autoindex_sessions_1"],
    ] as const) {
      const walked = planOf({ order, ...filter });
      assert.match(walked, new RegExp(`INDEX ${index} `), walked);
      assert.doesNotMatch(walked, /sessions_of_agent|sessions_created/);
    }
    const created = planOf({ order: "created", ...filter });
    assert.doesNotMatch(created, /TEMP B-TREE FOR ORDER BY/, created);
  }
  database.close();
});

/** The bytes that appends to one session write, each in another minute, so that the index of the activity changes. */
async function appended(name: string, labels: Labels, withoutIndex?: string): Promise<number> {
  const file = join(folder, `${name}.db`);
  const store = await openSqlite({ url: `sqlite:${file}` });
  if (withoutIndex !== undefined) {
    using other = new DatabaseSync(file);
    other.exec(`drop index ${withoutIndex}`);
  }
  const creation = creationOf(sampleRecord({ id: "s", labels }));
  await store.commit([[creation]]);
  let record = creation.record ?? assert.fail();
  const size = (): number => statSync(`${file}-wal`).size;
  const before = size();
  for (let turn = 1; turn <= 20; turn++) {
    const fields = { lastActivityAt: record.lastActivityAt + 60_000 };
    const change = stepOf(record, {
      fields,
      splices: [sampleSplice("turns", turn, [{ key: `k${turn}`, value: turn }])],
    });
    assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
    record = change.record ?? assert.fail();
  }
  const written = size() - before;
  await store.close();
  return written;
}

test("an append writes no page more for labels, for the index of agents, or for that of creation", async () => {
  const plain = await appended("plain", {});
  assert.ok(plain > 0);
  const labels = { team: "ops", tier: "1", region: "eu-central", channel: "mail" };
  assert.equal(await appended("labelled", labels), plain);
  for (const index of ["sessions_of_agent", "sessions_created"])
    assert.equal(await appended(index, {}, index), plain, `without ${index}`);
});
