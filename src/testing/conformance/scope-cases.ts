import assert from "node:assert/strict";
import { removeSession } from "../../domain/record/lifecycle.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, see, type Check } from "./bench.ts";
import { oddIds } from "./odd-texts.ts";

export function scopeCases(check: Check): void {
  check("scope-is-in-the-key: the same id in two tenants is two sessions", async (bench) => {
    const { store } = bench;
    const keyed = {
      splices: [sampleSplice("turns", 1, [{ key: "k", value: "one" }])],
      claims: [{ log: "turns", key: "k" }],
    };
    const ours = await land(store, creationOf(bench.record({ id: "same" }), keyed));
    const foreign = sampleRecord({ tenant: `${bench.tenant} `, id: "same", agent: "cfo" });
    const theirs = await land(store, creationOf(foreign, keyed));
    const before = await see(store, keyOf(theirs), ["turns"]);
    assert.deepEqual(before?.record, theirs);
    const next = await land(store, stepOf(ours, { splices: [sampleSplice("turns", 1, [])] }));
    assert.deepEqual(await see(store, keyOf(theirs), ["turns"]), before);
    await commitOne(store, removeSession(next));
    assert.deepEqual(await see(store, keyOf(theirs), ["turns"]), before);
    assert.equal(await see(store, keyOf(ours), ["turns"]), undefined);
  });

  check("scope-is-in-the-key: tenants that look alike see only their own", async (bench) => {
    const { store } = bench;
    const mark = bench.tenant.slice(-12);
    const tenants = oddIds.filter((id) => id.length < 200).map((id) => `${id}${mark}${id}`);
    for (const tenant of tenants) {
      await land(store, creationOf(sampleRecord({ tenant, id: "s", sweepAt: 1 })));
      await land(store, creationOf(sampleRecord({ tenant, id: "e", state: "ended", lastActivityAt: 0 })));
    }
    for (const tenant of tenants) {
      const pages = [
        await store.find({ order: "recent", tenant, now: 0, activeSince: 1, limit: 9 }),
        await store.find({ order: "due", tenant, before: 1, limit: 9 }),
        await store.find({ order: "settled", tenant, states: ["ended"], before: 1e15, limit: 9 }),
      ];
      for (const { records } of pages)
        assert.deepEqual(
          records.map((one) => one.tenant),
          [tenant],
        );
      assert.equal((await see(store, { tenant, id: "s" }, []))?.record.tenant, tenant);
    }
  });

  check("scope-is-in-the-key: no separator makes two keys one", async (bench) => {
    const { store, tenant } = bench;
    const keys = [" ", "/", ":", "|", ".", ",", "-", "_", '"', "'"].flatMap((mark) => [
      { tenant: `${tenant}a${mark}b`, id: "c" },
      { tenant: `${tenant}a`, id: `b${mark}c` },
    ]);
    for (const key of keys) {
      const splices = [sampleSplice("turns", 1, [`${key.tenant}\n${key.id}`])];
      await land(store, creationOf(sampleRecord(key), { splices }));
    }
    for (const key of keys) {
      const seen = await see(store, key, ["turns"]);
      assert.equal(seen?.logs["turns"]?.length, 1);
      assert.equal(JSON.parse(seen.logs["turns"][0]!.data), `${key.tenant}\n${key.id}`);
    }
  });
}
