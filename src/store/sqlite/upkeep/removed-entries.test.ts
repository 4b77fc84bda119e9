import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import { removeSession } from "../../../domain/record/lifecycle.ts";
import { creationOf, sampleRecord, sampleSplice } from "../../../testing/samples.ts";
import type { Store } from "../../store.ts";
import { openSqlite } from "../open.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-removed-"));
after(() => rmSync(folder, { recursive: true }));

const key = { tenant: "default", id: "large" };
const secret = "a word that is to be gone";

/** A store with a session of 3000 turns, and what its file holds in the table of entries. */
async function openLarge(name: string): Promise<{ file: string; store: Store; entries: () => number }> {
  const file = join(folder, name);
  const store = await openSqlite({ url: `sqlite:${file}` });
  const turns = Array.from({ length: 3000 }, (_, index) => `${secret} ${index}`);
  const change = creationOf(sampleRecord(key), { splices: [sampleSplice("turns", 1, turns)] });
  assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
  const looking = new DatabaseSync(file);
  after(() => looking.close());
  const entries = (): number => Number(looking.prepare("select count(*) as count from entries").get()?.["count"]);
  return { file, store, entries };
}

/** Whether another connection writes to the file now. */
function isLocked(file: string): boolean {
  using database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec("begin immediate; rollback");
    return false;
  } catch {
    return true;
  }
}

async function remove(store: Store): Promise<void> {
  const {
    sessions: [loaded],
  } = await store.load([{ key, tails: [] }]);
  assert.ok(loaded);
  assert.deepEqual(await store.commit([[removeSession(loaded.record)]]), [{ status: "ok" }]);
}

test("a large session is gone for readers at once, and its entries are deleted in bounded steps", async () => {
  const { store, entries } = await openLarge("steps.db");
  await remove(store);
  assert.ok(entries() > 0, "the commit deletes only some of them");
  assert.deepEqual((await store.load([{ key, tails: [] }])).sessions, [undefined]);
  assert.deepEqual(await store.read(key, { log: "turns", from: 1, to: 9, limit: 9, order: "ascending" }), []);
  assert.deepEqual(await store.inspect(), []);
  // One of the same id begins with logs of its own.
  const again = creationOf(sampleRecord(key), { splices: [sampleSplice("turns", 1, ["new"])] });
  assert.deepEqual(await store.commit([[again]]), [{ status: "ok" }]);
  while (entries() > 1) await turnOfTheLoop();
  const read = await store.read(key, { log: "turns", from: 1, to: 9, limit: 9, order: "ascending" });
  assert.deepEqual(
    read.map(({ data }) => data),
    ['"new"'],
  );
  assert.deepEqual(await store.inspect(), []);
  await store.close();
});

test("the next writer deletes the entries of a removed session that a process left", async () => {
  const { file, store, entries } = await openLarge("left.db");
  await remove(store);
  await store.close();
  const left = entries();
  assert.ok(left > 0, "it was closed before the end");
  await using next = {
    store: await openSqlite({ url: `sqlite:${file}` }),
    [Symbol.asyncDispose]: () => next.store.close(),
  };
  assert.deepEqual(await next.store.inspect(), []);
  assert.equal(entries(), left, "looking deletes nothing");
  await next.store.commit([[creationOf(sampleRecord({ id: "other" }))]]);
  while (entries() > 0) await turnOfTheLoop();
});

test("the heartbeat of a process that runs deletes what another process left", async () => {
  const { file, store, entries } = await openLarge("heartbeat.db");
  await using living = {
    store: await openSqlite({ url: `sqlite:${file}` }),
    [Symbol.asyncDispose]: () => living.store.close(),
  };
  await living.store.commit([[creationOf(sampleRecord({ id: "other" }))]]);
  await turnOfTheLoop();
  await remove(store);
  await store.close();
  assert.ok(entries() > 0, "it was closed before the end");
  const instance = { id: "i", host: "h", pid: 1, machine: "m", startedAt: "0", address: null, staleAfterMs: null };
  await living.store.heartbeat(instance);
  for (let turns = 0; entries() > 0 && turns < 10_000; turns++) await turnOfTheLoop();
  assert.equal(entries(), 0);
});

test("scrubbed-is-deleted: also what was removed and not yet deleted, while the event loop turns", async () => {
  const { file, store, entries } = await openLarge("scrubbed.db");
  await remove(store);
  const scrubbing = store.scrub().then(() => true);
  let turns = 0;
  while (!(await Promise.race([scrubbing, turnOfTheLoop(false)]))) turns++;
  assert.ok(turns > 10, `${turns} turns of the event loop`);
  assert.equal(entries(), 0);
  for (const name of [file, `${file}-wal`]) assert.ok(!readFileSync(name).includes(secret), name);
  await store.close();
});

test("writes wait for a scrub of their own process however long it takes, reads go on", async () => {
  const { file, store } = await openLarge("waits.db");
  // Keeps the scrub from its end for as long as it is open.
  const reader = new DatabaseSync(file);
  reader.exec("begin");
  reader.prepare("select count(*) from sessions").get();
  const scrubbing = store.scrub();
  while (!isLocked(file)) await turnOfTheLoop();
  let isWritten = false;
  const writing = store.commit([[creationOf(sampleRecord({ id: "waits" }))]]).then((outcomes) => {
    isWritten = true;
    return outcomes;
  });
  for (let look = 0; look < 50; look++) {
    assert.ok((await store.load([{ key, tails: [] }])).sessions[0]);
    await turnOfTheLoop();
  }
  assert.equal(isWritten, false);
  reader.exec("commit");
  reader.close();
  await scrubbing;
  assert.deepEqual(await writing, [{ status: "ok" }]);
  await store.close();
});

test("one read after another leaves timers their turn", { timeout: 60_000 }, async () => {
  await using store = await openSqlite({ url: "sqlite::memory:" }).then((opened) => ({
    load: opened.load.bind(opened),
    [Symbol.asyncDispose]: () => opened.close(),
  }));
  let isTimersTurn = false;
  setTimeout(() => (isTimersTurn = true), 1);
  const startedAt = performance.now();
  while (!isTimersTurn && performance.now() - startedAt < 10_000) await store.load([]);
  assert.ok(isTimersTurn);
});
