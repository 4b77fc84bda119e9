/** Handles of machines whose clocks disagree: versions decide about writes, never times. */
import assert from "node:assert/strict";
import { creationOf, sampleInstance, sampleSplice, stepOf } from "../../samples.ts";
import { commitOne, keyOf, land, type Check } from "../bench.ts";

const hour = 3_600_000;

export function skewedClockCases(check: Check): void {
  check(
    "skewed-clocks-decide-nothing: writers an hour ahead and behind take turns, and a stale one is refused",
    async (bench, context) => {
      const { openAhead } = bench;
      if (openAhead === undefined || !bench.store.capabilities.shared) {
        context.skip("the harness opens no handle with another clock");
        return;
      }
      const [ahead, behind] = [await openAhead(hour), await openAhead(-hour)];
      let record = await land(ahead, creationOf(bench.record({ id: "s" })));
      for (let seq = 1; seq <= 6; seq++) {
        const [writer, other] = seq % 2 === 0 ? [ahead, behind] : [behind, ahead];
        const stale = stepOf(record, { splices: [sampleSplice("turns", seq, ["stale"])] });
        record = await land(writer, stepOf(record, { splices: [sampleSplice("turns", seq, [seq])] }));
        assert.equal((await commitOne(other, stale)).status, "conflict");
      }
      const range = { log: "turns", from: 1, to: 9, order: "ascending", limit: 9 } as const;
      const entries = await bench.store.read(keyOf(record), range);
      assert.deepEqual(
        entries.map(({ seq, data }) => [seq, data]),
        [1, 2, 3, 4, 5, 6].map((seq) => [seq, String(seq)]),
      );
      // An instance behind is no dead one to an instance ahead.
      const ids = [`${bench.tenant} behind`, `${bench.tenant} ahead`] as const;
      await behind.heartbeat(sampleInstance(ids[0]));
      await ahead.heartbeat(sampleInstance(ids[1]));
      for (const store of [ahead, behind, bench.store])
        assert.equal((await store.instances([...ids])).instances.length, 2);
    },
  );
}
