import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { sampleEntries, sampleRecord, sampleSplice, stepOf } from "../../../testing/samples.ts";
import type { Counters } from "../../../domain/record/record.ts";
import { earlierRowOf } from "../../../../test/support/earlier-row.ts";
import { rowOf } from "../../row.ts";
import { openSqlite } from "../open.ts";
import { applicationId, migrations } from "./schema.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-migrations-"));
after(() => rmSync(folder, { recursive: true }));

const counters: Counters = {
  turns: 1,
  messages: 2,
  requests: 3,
  inputTokens: 4,
  outputTokens: 5,
  totalTokens: 6,
  durationMs: 7,
  longestMs: 8,
};

for (let from = 1; from < migrations.length; from++) {
  test(`a file of schema ${from} is migrated with its data, also if several processes open it at once`, async () => {
    const file = join(folder, `${from}.db`);
    const old = new DatabaseSync(file);
    for (const { sql } of migrations.slice(0, from)) old.exec(sql);
    old.exec(`pragma user_version = ${from}; pragma application_id = ${applicationId}`);
    const row = (from < 11 ? earlierRowOf : rowOf)({ ...sampleRecord({ id: "s", counters }), heads: { events: 1 } });
    const [event] = sampleEntries(1, [{ type: "created" }]);
    assert.ok(event);
    old
      .prepare(
        `insert into sessions (no, tenant, id, version, state, agent, created_at, last_activity_at, active_minute,
           state_since, expires_at, sweep_at, data) values (7, 'default', 's', 1, 'active', ?, 0, 0, 0, 0, ?, ?, ?)`,
      )
      .run(row.agent, row.expiresAt, row.sweepAt, row.data);
    old
      .prepare("insert into entries (session, log, seq, at, data) values (7, 'events', 1, ?, ?)")
      .run(event.at, event.data);
    old.close();

    const stores = await Promise.all([1, 2, 3].map(() => openSqlite({ url: `sqlite:${file}` })));
    const [store] = stores;
    assert.ok(store);
    const { events } = await store.events({ tenant: "default", order: "ascending", limit: 9 });
    assert.deepEqual(
      events.map((one) => ({ ...one, entry: { ...one.entry } })),
      [{ session: "s", agent: row.agent, entry: event }],
    );
    const {
      sessions: [loaded],
    } = await store.load([{ key: { tenant: "default", id: "s" }, tails: [] }]);
    assert.ok(loaded);
    assert.deepEqual(loaded.record.counters, counters);
    const splices = [sampleSplice("events", 2, ["later"])];
    assert.deepEqual(await store.commit([[stepOf(loaded.record, { splices })]]), [{ status: "ok" }]);
    const { sessions } = await store.load([{ key: { tenant: "default", id: "s" }, tails: [] }]);
    const { record } = sessions[0] ?? assert.fail();
    assert.deepEqual([record.title, record.labels], [null, {}]);
    const labelled = stepOf(record, { fields: { title: "The first", labels: { team: "ops" } } });
    assert.deepEqual(await store.commit([[labelled]]), [{ status: "ok" }]);
    const filter = { tenant: "default", now: 0, labels: { team: "ops" } };
    for (const one of stores) assert.equal(await one.count(filter), 1);
    for (const one of stores) await one.close();
    const now = new DatabaseSync(file);
    assert.deepEqual({ ...now.prepare("pragma user_version").get() }, { user_version: migrations.length });
    const [view] = now.prepare("select turns, output_tokens, duration_ms, metadata from readable_sessions").all();
    assert.deepEqual({ ...view }, { turns: 1, output_tokens: 5, duration_ms: 7, metadata: "{}" });
    now.close();
  });
}

test("a step replaces views that a user of the store dropped or changed, and names a table that is in its way", async () => {
  const changed = [
    ["dropped", "drop view usage_by_day; drop view readable_turns", null],
    ["changed", "drop view readable_messages; create view readable_messages as select 1 as one", null],
    ["table", "drop view usage_by_day; create table usage_by_day (day text)", /refused a statement: .*usage_by_day/],
  ] as const;
  for (const [name, sql, refusal] of changed) {
    const file = join(folder, `${name}-views.db`);
    using old = new DatabaseSync(file);
    for (const { sql: step } of migrations.slice(0, 12)) old.exec(step);
    old.exec(`pragma user_version = 12; pragma application_id = ${applicationId}; ${sql}`);
    if (refusal === null) await (await openSqlite({ url: `sqlite:${file}` })).close();
    else {
      const error = { code: "store_invalid", message: refusal };
      await assert.rejects(() => openSqlite({ url: `sqlite:${file}` }), error);
    }
    const version = refusal === null ? migrations.length : 12;
    assert.deepEqual({ ...old.prepare("pragma user_version").get() }, { user_version: version });
    if (refusal === null)
      for (const view of ["readable_turns", "readable_messages", "usage_by_day"])
        assert.deepEqual(old.prepare(`select * from ${view} where tenant = 't'`).all(), []);
  }
});

test("the step to shorter records leaves a record that cannot be read as it is", () => {
  using database = new DatabaseSync(":memory:");
  for (const { sql } of migrations.slice(0, 10)) database.exec(sql);
  const damaged = ["", "{", "null", "5", "[]", "{}", '{"counters":7}', `{"counters":{},"x":${"[".repeat(2000)}`];
  const insert = database.prepare(`
    insert into sessions (no, tenant, id, version, state, agent, created_at, last_activity_at, active_minute, state_since,
      expires_at, sweep_at, data) values (?1, 't', 's' || ?1, 1, 'active', 'a', 0, 0, 0, 0, 0, 0, ?2)`);
  for (const [no, data] of damaged.entries()) insert.run(no, data);
  insert.run(99, '{"metadata":{"counters":{"turns":1},"\\u0000":1e400},"counters":{"turns":"x","longestMs":[1]}}');
  database.exec(migrations[10]?.sql ?? "");
  const [last, ...others] = database.prepare("select data from sessions order by no desc").all();
  assert.deepEqual(others.map(({ data }) => data).toReversed(), damaged);
  const counted = '["x",null,null,null,null,null,null,[1]]';
  assert.deepEqual(last?.["data"], `{"metadata":{"counters":{"turns":1},"\\u0000":1e400},"counters":${counted}}`);
});
