import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { SessionRecord } from "../../../domain/record/record.ts";
import { creationOf, sampleRecord, stepOf } from "../../../testing/samples.ts";
import type { Store } from "../../store.ts";
import { openSqlite } from "../open.ts";

/** Two connections to one file, as of two processes. */
async function shared(): Promise<AsyncDisposable & { readonly mine: Store; readonly theirs: Store }> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-foreign-"));
  const url = `sqlite:${join(folder, "s.db")}`;
  const [mine, theirs] = [await openSqlite({ url }), await openSqlite({ url })];
  return {
    mine,
    theirs,
    async [Symbol.asyncDispose]() {
      await mine.close();
      await theirs.close();
      rmSync(folder, { recursive: true });
    },
  };
}

async function created(store: Store, id: string): Promise<SessionRecord> {
  const change = creationOf(sampleRecord({ id }));
  assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
  assert(change.record);
  return change.record;
}

/** Commits a change of this record; the record that is then stored. */
async function stepped(store: Store, record: SessionRecord): Promise<SessionRecord> {
  const change = stepOf(record);
  assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
  assert(change.record);
  return change.record;
}

/** A watcher of a session: `woken` resolves at the next wake. It keeps the process alive, which a watcher does not. */
function watched(store: Store, id: string): { readonly woken: () => Promise<void>; readonly stop: () => void } {
  let next = Promise.withResolvers<void>();
  const stop = store.watch({ tenant: "default", id }, () => next.resolve());
  return {
    woken: async () => {
      const hangs = setTimeout(() => next.reject(new Error(`the watcher of ${id} was not woken`)), 30_000);
      await next.promise.finally(() => clearTimeout(hangs));
      next = Promise.withResolvers();
    },
    stop,
  };
}

test("a commit of another connection wakes the watchers of its session", async () => {
  await using stores = await shared();
  let record = await created(stores.theirs, "s");
  const watcher = watched(stores.mine, "s");
  for (let round = 0; round < 3; round++) {
    record = await stepped(stores.theirs, record);
    await watcher.woken();
  }
});

test("a session that another connection creates wakes its watchers, and so does its removal", async () => {
  await using stores = await shared();
  const watcher = watched(stores.mine, "s");
  const { version, commitId, ...record } = await created(stores.theirs, "s");
  await watcher.woken();
  const key = { tenant: record.tenant, id: record.id };
  await stores.theirs.commit([[{ key, expected: { version, commitId }, record: null, splices: [], claims: [] }]]);
  await watcher.woken();
});

test("a commit of another connection wakes no watcher of a session that it leaves alone", async () => {
  await using stores = await shared();
  await created(stores.theirs, "quiet");
  let record = await created(stores.theirs, "s");
  const [quiet, watcher] = [watched(stores.mine, "quiet"), watched(stores.mine, "s")];
  record = await stepped(stores.theirs, record);
  await Promise.all([quiet.woken(), watcher.woken()]); // neither was compared before
  await stepped(stores.theirs, record);
  let isQuiet = true;
  stores.mine.watch({ tenant: "default", id: "quiet" }, () => (isQuiet = false));
  await watcher.woken();
  assert(isQuiet);
});

test("a watcher that begins after the last one ended is woken", async () => {
  await using stores = await shared();
  let record = await created(stores.theirs, "s");
  const first = watched(stores.mine, "s");
  record = await stepped(stores.theirs, record);
  await first.woken();
  first.stop();
  record = await stepped(stores.theirs, record);
  const second = watched(stores.mine, "s");
  await stepped(stores.theirs, record);
  await second.woken();
});
