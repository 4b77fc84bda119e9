import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { identityOf } from "../../domain/record/change.ts";
import { systemClock } from "../../clock.ts";
import { creationOf, sampleRecord, sampleSplice } from "../../testing/samples.ts";
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
    store: new SqliteStore(database, { transactions, name, patience, clock: systemClock, folder: null }),
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
