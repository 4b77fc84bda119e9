import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { identityOf, type Change } from "../../domain/record/change.ts";
import { systemClock } from "../../clock.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../testing/samples.ts";
import { Patience } from "./connection/busy-retry.ts";
import { migrations } from "./schema/schema.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { Transactions } from "./connection/transactions.ts";

/** A store in memory, together with the connection under it. */
function openBare(): { database: DatabaseSync; store: SqliteStore } {
  const database = new DatabaseSync(":memory:");
  for (const { sql } of migrations) database.exec(sql);
  const name = "bare";
  const patience = new Patience({ store: name, busyTimeoutMs: 1000 });
  const transactions = new Transactions(database);
  return {
    database,
    store: new SqliteStore(database, {
      transactions,
      name,
      patience,
      clock: systemClock,
      synchronous: "full",
      folder: null,
    }),
  };
}

const creation = (id: string, values: readonly string[]): ReturnType<typeof creationOf> =>
  creationOf(sampleRecord({ id }), { splices: [sampleSplice("turns", 1, values)] });

function countOf(database: DatabaseSync, table: "sessions" | "entries"): unknown {
  return database.prepare(`select count(*) as count from ${table}`).get()?.["count"];
}

test("commit-is-whole: a batch that outgrows the file half-way leaves no data and no transaction behind", async () => {
  const { database, store } = openBare();
  await store.commit([[creation("first", ["one"])]]);
  const pages = database.prepare("pragma page_count").get()?.["page_count"];
  database.exec(`pragma max_page_count = ${Number(pages) + 5}`);
  const batch = ["a", "b", "c"].map((id) => [creation(id, ["x".repeat(12_000)])]);
  await assert.rejects(store.commit(batch), { code: "store_full" });
  assert.equal(database.isTransaction, false);
  assert.deepEqual([countOf(database, "sessions"), countOf(database, "entries")], [1, 1]);
  database.exec("pragma max_page_count = 100000");
  assert.ok((await store.commit(batch)).every(({ status }) => status === "ok"));
  await store.close();
});

for (const number of ["9223372036854775807", "-9223372036854775808", "9007199254740993"])
  test(`load: ${number}, which JavaScript does not hold exactly, fails its record alone`, async () => {
    const { database, store } = openBare();
    await store.commit([[creation("s", ["one"])], [creation("other", ["one"])]]);
    database.exec(`update sessions set last_activity_at = ${number} where id = 's'`);
    const key = (id: string): { key: { tenant: string; id: string }; tails: [] } => ({
      key: { tenant: "default", id },
      tails: [],
    });
    await assert.rejects(store.load([key("s")]), { code: "session_unreadable" });
    assert.equal((await store.load([key("other")])).sessions[0]?.record.id, "other");
    await store.close();
  });

test("commit-is-whole: an internal error leaves no data and no transaction behind, and is thrown unchanged", async () => {
  const { database, store } = openBare();
  const broken = creation("broken", ["one"]);
  const [splice] = broken.splices;
  assert.ok(splice?.entries[0]);
  const twice = { ...broken, splices: [{ ...splice, entries: [splice.entries[0], splice.entries[0]] }] };
  await assert.rejects(store.commit([[creation("fine", ["one"])], [twice]]), {
    code: "ERR_SQLITE_ERROR",
    errcode: 2067,
  });
  assert.equal(database.isTransaction, false);
  assert.deepEqual([countOf(database, "sessions"), countOf(database, "entries")], [0, 0]);
  await store.close();
});

test("a session that is removed leaves no entry behind", async () => {
  const { database, store } = openBare();
  const gone = creation("gone", ["one", "two"]);
  const { record } = gone;
  await store.commit([[gone], [creation("kept", ["one"])]]);
  assert.ok(record);
  await store.commit([
    [{ key: { tenant: "default", id: "gone" }, expected: identityOf(record), record: null, splices: [], claims: [] }],
  ]);
  assert.deepEqual([countOf(database, "sessions"), countOf(database, "entries")], [1, 1]);
  await store.close();
});

test("appends of a batch are written behind their logs, also where a damaged file has entries there", async () => {
  const { database, store } = openBare();
  const ids = Array.from({ length: 11 }, (_, index) => `s${index}`);
  const changes = ids.map((id) => creation(id, ["one"]));
  await store.commit(changes.map((change) => [change]));
  database.exec(`
    insert into entries (session, log, seq, key, at, data)
    select no, 'turns', seq.value, null, 0, '"stray"' from sessions, json_each('[2, 3]') as seq where sessions.id in ('s1', 's9')`);
  const appends = changes.map(({ record }) => {
    assert.ok(record);
    return stepOf(record, { splices: [sampleSplice("turns", 2, ["two"])] });
  });
  assert.ok((await store.commit(appends.map((change) => [change]))).every(({ status }) => status === "ok"));
  const count = "select count(*) as count from entries group by session";
  const counts = database.prepare(count).all();
  assert.deepEqual(
    counts.map((row) => row["count"]),
    ids.map(() => 2),
  );
  const stray = database.prepare(`select count(*) as count from entries where data = '"stray"'`).get();
  assert.equal(stray?.["count"], 0);
  await store.close();
});

const repeatedly = [
  { what: "append, replace the end of the log", left: ["one", "zwei"] },
  { what: "append, replace the end of the log, append again", left: ["one", "zwei", "drei"] },
];
for (const { what, left } of repeatedly)
  test(`a batch may change one session several times: ${what}`, async () => {
    const { store } = openBare();
    const first = creation("s", ["one", "two"]);
    await store.commit([[first]]);
    const steps: Change[] = [];
    let record = first.record;
    for (const splice of [
      sampleSplice("turns", 3, ["three"]),
      sampleSplice("turns", 2, ["zwei"]),
      sampleSplice("turns", 3, ["drei"]),
    ].slice(0, left.length)) {
      assert.ok(record);
      const step = stepOf(record, { splices: [splice] });
      steps.push(step);
      record = step.record;
    }
    const outcomes = await store.commit(steps.map((step) => [step]));
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      steps.map(() => "ok"),
    );
    const range = { log: "turns", from: 1, to: 9, order: "ascending", limit: 9, bytesMax: 1e6 } as const;
    const entries = await store.read({ tenant: "default", id: "s" }, range);
    assert.deepEqual(
      entries.map(({ seq, data }) => [seq, data]),
      [sampleSplice("turns", 1, left)].flatMap(({ entries: all }) => all.map(({ seq, data }) => [seq, data])),
    );
    await store.close();
  });

test("a session that another connection wrote meanwhile is a conflict, with the record that is stored", async () => {
  const { database, store } = openBare();
  const first = creation("s", ["one"]);
  await store.commit([[first]]);
  assert.ok(first.record);
  const step = stepOf(first.record, { splices: [sampleSplice("turns", 2, ["two"])] });
  for (const column of ["commit_id = 'other'", `version = ${first.record.version + 5}`]) {
    database.exec(`update sessions set ${column}`);
    const [outcome] = await store.commit([[step]]);
    assert.equal(outcome?.status, "conflict");
    assert.equal(countOf(database, "entries"), 1);
  }
  await store.close();
});
