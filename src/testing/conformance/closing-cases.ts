import assert from "node:assert/strict";
import { removeSession } from "../../domain/record/lifecycle.ts";
import { hasCode } from "../../errors.ts";
import type { Store } from "../../store/store.ts";
import { creationOf, sampleInstance, sampleSplice, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, see, type Check } from "./bench.ts";

export function closingCases(check: Check): void {
  check(
    "committed-is-durable: all committed data outlives the handle, or none where the store is not durable",
    async (bench) => {
      const { store } = bench;
      const { durable } = store.capabilities;
      const logs = ["turns", "events", "chunks"];
      const splices = logs.map((log) => sampleSplice(log, 1, [{ key: "k", value: log }, "more"]));
      const first = await land(store, creationOf(bench.record({ id: "kept" }), { splices }));
      const kept = await land(store, stepOf(first, { splices: [sampleSplice("chunks", 1, [])] }));
      const removed = await land(store, creationOf(bench.record({ id: "removed" }), { splices }));
      await commitOne(store, removeSession(removed));
      await store.heartbeat(sampleInstance(bench.tenant));
      const before = await see(store, keyOf(kept), logs);
      await store.close();

      const again = await bench.openAnother();
      assert.deepEqual(await see(again, keyOf(kept), logs), durable ? before : undefined);
      assert.equal(await see(again, keyOf(removed), logs), undefined);
      const found = await again.find({ order: "recent", tenant: bench.tenant, now: 0, limit: 9 });
      assert.deepEqual(found.records, durable ? [kept] : []);
      const { instances } = await again.instances([bench.tenant]);
      assert.equal(instances.length, durable ? 1 : 0);
      // Life continues where it stopped.
      const next = stepOf(kept, {
        splices: [sampleSplice("turns", 3, ["after"])],
        claims: [{ log: "turns", key: "j" }],
      });
      const outcome = await commitOne(again, next);
      assert.deepEqual(outcome, durable ? { status: "ok" } : { status: "conflict", current: undefined });
      if (durable) {
        const retry = stepOf(next.record!, { claims: [{ log: "turns", key: "k" }] });
        assert.equal((await commitOne(again, retry)).status, "duplicate");
      }
    },
  );

  check("scrubbed-is-deleted: stored data stays as it is, also under concurrent writes", async (bench) => {
    const { store } = bench;
    const splices = [sampleSplice("turns", 1, ["a", { key: "k", value: "b" }])];
    const kept = await land(store, creationOf(bench.record({ id: "kept" }), { splices }));
    const removed = await land(store, creationOf(bench.record({ id: "removed" }), { splices }));
    await commitOne(store, removeSession(removed));
    const before = await see(store, keyOf(kept), ["turns"]);
    const records = Array.from({ length: 20 }, (_, index) => bench.record({ id: `s${index}` }));
    const scrubbing = store.scrub();
    for (const record of records) await land(store, creationOf(record));
    await scrubbing;
    await store.scrub();
    assert.deepEqual(await see(store, keyOf(kept), ["turns"]), before);
    for (const record of records) assert.ok(await see(store, keyOf(record), []));
    assert.equal(await see(store, keyOf(removed), []), undefined);
    await land(store, stepOf(kept, { splices: [sampleSplice("turns", 3, ["c"])] }));
  });

  check("close: calling it again does nothing", async ({ store }) => {
    await store.close();
    await store.close();
    await Promise.all([store.close(), store.close()]);
  });

  check("close: running calls are settled, not lost silently", async (bench) => {
    const { store } = bench;
    const records = Array.from({ length: 5 }, (_, index) => bench.record({ id: `s${index}` }));
    const commits = records.map((record) => store.commit([[creationOf(record)]]));
    const closing = store.close();
    const results = await Promise.allSettled(commits);
    await closing;
    if (!store.capabilities.durable) return;
    const again = await bench.openAnother();
    for (const [index, result] of results.entries()) {
      if (result.status === "fulfilled") assert.ok(await see(again, keyOf(records[index]!), []));
    }
  });

  const calls: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
    commit: (store) => store.commit([]),
    load: (store) => store.load([]),
    read: (store) => store.read({ tenant: "t", id: "i" }, { log: "turns", keys: [] }),
    count: (store) => store.count({ now: 0 }),
    find: (store) => store.find({ order: "due", before: 0, limit: 1 }),
    events: (store) => store.events({ tenant: "t", order: "ascending", limit: 1 }),
    stats: (store) => store.stats({ tenant: "t", now: 0, by: [], limit: 1 }),
    inspect: (store) => store.inspect(),
    deleteEvents: (store) => store.deleteEvents({ before: 0, limit: 1 }),
    heartbeat: (store) => store.heartbeat(sampleInstance("i")),
    instances: (store) => store.instances([]),
    scrub: (store) => store.scrub(),
  };
  for (const [name, call] of Object.entries(calls)) {
    check(`close: ${name} on a closed store is an error`, async ({ store }) => {
      await store.close();
      let promise: Promise<unknown> | undefined;
      assert.doesNotThrow(() => (promise = call(store)), "the promise rejects, the call does not throw");
      await assert.rejects(promise!, (error) => hasCode(error, "closed"));
    });
  }
}
