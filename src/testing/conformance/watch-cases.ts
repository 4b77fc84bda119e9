import assert from "node:assert/strict";
import { removeSession } from "../../domain/record/lifecycle.ts";
import { hasCode } from "../../errors.ts";
import { streamScope } from "../../domain/values/internal-scope.ts";
import { creationOf, samplePut, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, refuse, type Check } from "./bench.ts";

export function watchCases(check: Check): void {
  check("own-changes-wake: a creation, a change and a removal, before the commit resolves", async (bench) => {
    const { store } = bench;
    const record = bench.record({ id: "watched" });
    let woken = 0;
    const stop = store.watch(keyOf(record), () => woken++);
    const change = stepOf(record);
    const steps: [string, () => Promise<unknown>][] = [
      ["creation", () => land(store, creationOf(record))],
      ["change", () => land(store, change)],
      ["removal", () => commitOne(store, removeSession(change.record!))],
    ];
    for (const [name, step] of steps) {
      const before = woken;
      await step();
      assert.ok(woken > before, `the ${name} wakes`);
    }
    stop();
  });

  check("own-changes-wake: each session of a batch and of a transaction, and every watcher of it", async (bench) => {
    const { store } = bench;
    const records = ["a", "b", "c"].map((id) => bench.record({ id }));
    const woken = new Set<string>();
    const stops = records.flatMap((record) =>
      ["first", "second"].map((who) => store.watch(keyOf(record), () => woken.add(`${record.id} ${who}`))),
    );
    const [a, b, c] = records.map((record) => creationOf(record));
    await store.commit([[a!], [b!, c!]]);
    assert.deepEqual([...woken].toSorted(), ["a first", "a second", "b first", "b second", "c first", "c second"]);
    for (const stop of stops) stop();
  });

  check(
    "own-changes-wake: not those who have stopped, nor for another tenant's session of the same id",
    async (bench) => {
      const { store } = bench;
      const record = await land(store, creationOf(bench.record({ id: "same" })));
      let woken = 0;
      const wake = (): void => void woken++;
      const stop = store.watch(keyOf(record), wake);
      const stopOther = store.watch({ tenant: `${bench.tenant} other`, id: "same" }, wake);
      stop();
      stop();
      const next = await land(store, stepOf(record));
      await refuse(store, stepOf(record));
      stopOther();
      assert.equal(woken, 0);
      assert.equal(next.version, record.version + 1);
    },
  );

  check(
    "own-changes-wake: the news of a tenant, for its sessions, streams and documents, and for no other tenant",
    async (bench) => {
      const { store, tenant } = bench;
      const woken: string[] = [];
      const stops = [tenant, `${tenant} other`].map((one) =>
        store.watch({ tenant: one, id: "" }, () => woken.push(one)),
      );
      await land(store, creationOf(bench.record({ id: "of-news" })));
      await land(store, creationOf(bench.record({ id: "of-news", tenant: streamScope(tenant) })));
      const document = { tenant, scope: "news", key: "k" };
      await store.commit([[samplePut(document, { version: 1 })]]);
      assert.deepEqual(woken, [tenant, tenant, tenant]);
      for (const stop of stops) stop();
    },
  );

  check("close: watch on a closed store is an error", async ({ store }) => {
    await store.close();
    assert.throws(
      () => store.watch({ tenant: "t", id: "i" }, () => undefined),
      (error) => hasCode(error, "closed"),
    );
  });
}
