import assert from "node:assert/strict";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Store } from "../../store/store.ts";
import { creationOf, sampleAt, sampleSplice, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, see, type Bench, type Check } from "./bench.ts";

const logs = ["turns", "events"];
/** More entries than a store may delete in one step. */
const entriesMany = 6000;
const pageMax = 10_000;

/** Sessions with more entries than one step deletes. A process that closes its store at once stops between two steps. */
export function removalCases(check: Check): void {
  check(
    "removed-is-not-found: no call finds a large session that a process removed and did not delete",
    async (bench) => {
      const record = await large(bench, "gone");
      await inAnotherProcess(bench, async (store) => {
        assert.deepEqual(await commitOne(store, removeSession(record)), { status: "ok" });
      });
      await assertGone(bench, record);
      await assertHas(bench, []);
      await bench.store.scrub();
      await assertHas(bench, []);
    },
  );

  check(
    "removed-is-not-found: a session that is created again has its own entries, also once the old ones are deleted",
    async (bench) => {
      const record = await large(bench, "again");
      await inAnotherProcess(bench, async (store) => {
        assert.deepEqual(await commitOne(store, removeSession(record)), { status: "ok" });
      });
      const again = await land(
        bench.store,
        creationOf(bench.record({ id: "again" }), {
          splices: [sampleSplice("turns", 1, [{ key: "k1", value: "new" }])],
          claims: [{ log: "turns", key: "k1" }],
        }),
      );
      await assertHas(bench, ["new"], again);
      await bench.store.scrub();
      await assertHas(bench, ["new"], again);
      // A second removal in the meantime does not stop the first one.
      const grown = await land(bench.store, stepOf(again, { splices: [sampleSplice("turns", 2, many("grown "))] }));
      assert.deepEqual(await commitOne(bench.store, removeSession(grown)), { status: "ok" });
      const third = await land(bench.store, creationOf(bench.record({ id: "again" })));
      await assertHas(bench, [], third);
      await bench.store.scrub();
      await assertHas(bench, [], third);
    },
  );

  check("removed-is-not-found: many entries that a session replaces by the logs of another one", async (bench) => {
    const record = await large(bench, "replaced");
    const giver = await land(
      bench.store,
      creationOf(bench.record({ id: "gives" }), {
        splices: [sampleSplice("turns", 1, [{ key: "k1", value: "taken" }])],
      }),
    );
    const taking = { ...stepOf(record, { fields: { heads: { turns: 1 } } }), logsOf: keyOf(giver) };
    await inAnotherProcess(bench, async (store) => {
      assert.deepEqual(await commitOne(store, taking, removeSession(giver)), { status: "ok" });
    });
    await assertHas(bench, ["taken"], taking.record!);
    await bench.store.scrub();
    await assertHas(bench, ["taken"], taking.record!);
  });

  check("removed-is-deleted: one process deletes what another one left, and removals of both", async (bench) => {
    const records = [await large(bench, "one"), await large(bench, "two")];
    const [one, two] = records;
    assert.ok(one && two);
    await inAnotherProcess(bench, async (store) => {
      assert.deepEqual(await commitOne(store, removeSession(one)), { status: "ok" });
    });
    assert.deepEqual(await commitOne(bench.store, removeSession(two)), { status: "ok" });
    await Promise.all([bench.store.scrub(), inAnotherProcess(bench, (store) => store.scrub())]);
    for (const record of records) await assertGone(bench, record);
    await assertHas(bench, []);
  });
}

function many(beginning: string): { readonly key: string; readonly value: string }[] {
  return Array.from({ length: entriesMany / 2 }, (_, index) => ({
    key: `${beginning}${index}`,
    value: `old ${index}`,
  }));
}

async function large(bench: Bench, id: string): Promise<SessionRecord> {
  const splices = logs.map((log) => sampleSplice(log, 1, [{ key: "k1", value: "old" }, ...many("k")].slice(1)));
  return await land(bench.store, creationOf(bench.record({ id }), { splices }));
}

async function inAnotherProcess(bench: Bench, work: (store: Store) => Promise<void>): Promise<void> {
  const isShared = bench.store.capabilities.shared;
  const store = isShared ? await bench.openAnother() : bench.store;
  await work(store);
  if (isShared) await store.close();
}

async function assertGone({ store }: Bench, record: SessionRecord): Promise<void> {
  const key = keyOf(record);
  assert.equal(await see(store, key, logs), undefined);
  for (const log of logs) assert.deepEqual(await store.read(key, { log, keys: ["k0", "k1"] }), []);
}

/** Checks that the tenant has these turns, all of this session, and no other entries. */
async function assertHas({ store, tenant }: Bench, values: readonly string[], record?: SessionRecord): Promise<void> {
  if (record !== undefined) {
    const seen = await see(store, keyOf(record), logs);
    assert.deepEqual(
      seen?.logs["turns"]?.map(({ data }) => data),
      values.map((value) => JSON.stringify(value)),
    );
    assert.deepEqual(seen.logs["events"], []);
  }
  const { logs: sums } = await store.stats({ tenant, now: sampleAt, by: [], limit: 10 });
  assert.deepEqual(
    sums.map(({ log, entries }) => [log, entries]),
    values.length === 0 ? [] : [["turns", values.length]],
  );
  const { events } = await store.events({ tenant, order: "ascending", limit: pageMax });
  assert.equal(events.length, 0);
  assert.equal(await store.count({ tenant, now: sampleAt }), record === undefined ? 0 : 1);
  assert.deepEqual(
    (await store.inspect()).filter(({ what }) => what.includes(tenant)),
    [],
  );
}
