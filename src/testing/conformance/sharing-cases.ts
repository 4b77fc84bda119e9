import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { Store } from "../../store/store.ts";
import { creationOf, sampleInstance, sampleSplice, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, see, type Bench, type Check } from "./bench.ts";

const rounds = 25;

/** Several handles stand for several processes; where a store is not shared, what one handle can tell is checked. */
export function sharingCases(check: Check): void {
  check("load-is-one-moment: a reader beside a writer sees a record with its own logs", async (bench) => {
    const { store } = bench;
    const reader = store.capabilities.shared ? await bench.openAnother() : store;
    let record = await land(store, creationOf(bench.record({ id: "growing" })));
    const writing = (async (): Promise<void> => {
      for (let turn = 1; turn <= 60; turn++) {
        // Both logs say which version they belong to; now and then the chunks vanish as the turn is sealed.
        const sealing = turn % 4 === 0;
        const chunk = (record.heads["chunks"] ?? 0) + 1;
        record = await land(
          store,
          stepOf(record, {
            splices: [
              sampleSplice("turns", turn, [record.version + 1]),
              sealing ? sampleSplice("chunks", 1, []) : sampleSplice("chunks", chunk, [record.version + 1]),
            ],
          }),
        );
        await setImmediate();
      }
    })();
    const { version: born } = record;
    const key = keyOf(record);
    const tails = ["turns", "chunks"].map((log) => ({ log, last: 100 }));
    await during(writing, async () => {
      const {
        sessions: [loaded],
      } = await reader.load([{ key, tails }]);
      assert.ok(loaded);
      const { version, heads } = loaded.record;
      const [turns, chunks] = loaded.tails;
      assert.equal(turns?.length, version - born, "as many turns as the record counts");
      assert.equal(chunks?.length, heads["chunks"] ?? 0, "as many chunks as the record counts");
      if (version > born) assert.equal(turns.at(-1)?.data, String(version), "the turn of this version");
    });
  });

  check(
    "handles of a shared store see each other's commits, and handles of other stores share nothing",
    async (bench) => {
      const { store } = bench;
      const record = await land(
        store,
        creationOf(bench.record({ id: "shared" }), {
          splices: [sampleSplice("turns", 1, ["one"])],
        }),
      );
      if (!store.capabilities.shared) {
        // Refusing a second handle is as good as giving out one with a place of its own.
        const another = await bench.openAnother().catch(() => undefined);
        if (another !== undefined) assert.equal(await see(another, keyOf(record), ["turns"]), undefined);
        return;
      }
      const another = await bench.openAnother();
      assert.deepEqual(await see(another, keyOf(record), ["turns"]), await see(store, keyOf(record), ["turns"]));
      await land(another, stepOf(record, { splices: [sampleSplice("turns", 2, ["two"])] }));
      assert.equal((await see(store, keyOf(record), ["turns"]))?.logs["turns"]?.length, 2);
      const found = await store.find({ order: "recent", tenant: bench.tenant, now: 0, limit: 5 });
      assert.equal(found.records[0]?.version, record.version + 1);
      await store.heartbeat(sampleInstance(bench.tenant));
      assert.equal((await another.instances([bench.tenant])).instances.length, 1);
    },
  );

  check("stale-version-writes-nothing: of two that race for a version exactly one wins", async (bench) => {
    const [left, right] = await handles(bench);
    let record = await land(left, creationOf(bench.record({ id: "raced" })));
    for (let round = 1; round <= rounds; round++) {
      const changes = ["left", "right"].map((who) =>
        stepOf(record, { splices: [sampleSplice("turns", round, [`${who} ${round}`])] }),
      );
      const outcomes = await race(left, right, (handle, who) => commitOne(handle, changes[who]!));
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["conflict", "ok"]);
      const winner = outcomes.findIndex(({ status }) => status === "ok");
      record = changes[winner]!.record!;
      const lost = outcomes[1 - winner]!;
      assert.ok(lost.status === "conflict");
      assert.deepEqual(lost.current, record, "the loser is shown what won");
      const seen = await see(left, keyOf(record), ["turns"]);
      assert.equal(seen?.logs["turns"]?.length, round);
      assert.equal(seen.logs["turns"].at(-1)?.data, changes[winner]!.splices[0]!.entries[0]!.data);
    }
  });

  check("stale-version-writes-nothing: of two that race to create a session exactly one wins", async (bench) => {
    const [left, right] = await handles(bench);
    for (let round = 0; round < rounds; round++) {
      const record = bench.record({ id: `born ${round}` });
      const changes = ["left", "right"].map((who) =>
        creationOf({ ...record, agent: who }, { splices: [sampleSplice("turns", 1, [who])] }),
      );
      const outcomes = await race(left, right, (handle, who) => commitOne(handle, changes[who]!));
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["conflict", "ok"]);
      const winner = changes[outcomes.findIndex(({ status }) => status === "ok")]!;
      const seen = await see(left, keyOf(record), ["turns"]);
      assert.deepEqual(seen?.record, winner.record);
      assert.deepEqual(seen?.logs["turns"], winner.splices[0]?.entries);
    }
  });

  check("key-is-once: of two that race with the same key the loser is handed the winner's entry", async (bench) => {
    const [left, right] = await handles(bench);
    let record = await land(left, creationOf(bench.record({ id: "keyed" })));
    for (let round = 1; round <= rounds; round++) {
      const key = `k${round}`;
      const change = stepOf(record, {
        splices: [sampleSplice("turns", round, [{ key, value: round }])],
        claims: [{ log: "turns", key }],
      });
      const outcomes = await race(left, right, (handle) => commitOne(handle, change));
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["duplicate", "ok"]);
      const lost = outcomes.find(({ status }) => status === "duplicate");
      assert.ok(lost?.status === "duplicate");
      assert.deepEqual({ ...lost.entry }, { ...change.splices[0]!.entries[0] });
      record = change.record!;
    }
  });

  check("changes-land-together: pairs that race in opposite order neither block nor mix", async (bench) => {
    const [left, right] = await handles(bench);
    let a = await land(left, creationOf(bench.record({ id: "a" })));
    let b = await land(left, creationOf(bench.record({ id: "b" })));
    for (let round = 0; round < rounds; round++) {
      const plans = ["left", "right"].map((agent) => [a, b].map((record) => stepOf(record, { fields: { agent } })));
      plans[1]!.reverse();
      const outcomes = await race(left, right, (handle, who) => commitOne(handle, ...plans[who]!));
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["conflict", "ok"]);
      const won = ["left", "right"][outcomes.findIndex(({ status }) => status === "ok")]!;
      a = (await see(left, keyOf(a), []))!.record;
      b = (await see(left, keyOf(b), []))!.record;
      assert.deepEqual([a.agent, b.agent], [won, won]);
      assert.deepEqual(
        [a, b],
        [a, b].map(({ id }) => plans.flat().find(({ key, record }) => key.id === id && record?.agent === won)?.record),
      );
    }
  });

  check("commit-is-whole: a removal that races an append leaves all or nothing", async (bench) => {
    const [left, right] = await handles(bench);
    for (let round = 0; round < rounds; round++) {
      const record = await land(
        left,
        creationOf(bench.record({ id: "removed" }), {
          splices: [sampleSplice("turns", 1, ["one"])],
        }),
      );
      const changes = [stepOf(record, { splices: [sampleSplice("turns", 2, ["two"])] }), removeSession(record)];
      const outcomes = await race(left, right, (handle, who) => commitOne(handle, changes[(who + round) % 2]!));
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["conflict", "ok"]);
      const seen = await see(left, keyOf(record), ["turns"]);
      if (seen === undefined) continue;
      assert.equal(seen.logs["turns"]?.length, 2);
      assert.deepEqual(await commitOne(right, removeSession(seen.record)), { status: "ok" });
    }
  });

  check("transactions-are-separate: batches that race over the same sessions settle each one once", async (bench) => {
    const [left, right] = await handles(bench);
    const size = Math.min(50, left.capabilities.batchMax);
    let records = Array.from({ length: size }, (_, index) => bench.record({ id: `s${index}` }));
    await left.commit(records.map((record) => [creationOf(record)]));
    for (let round = 0; round < 5; round++) {
      const plan = records.map((record) => [stepOf(record, { splices: [sampleSplice("turns", round + 1, ["x"])] })]);
      const mirrored = plan.toReversed();
      const [ours, theirs] = await Promise.all([left.commit(plan), right.commit(mirrored)]);
      for (const [index, { status }] of ours.entries())
        assert.deepEqual([status, theirs[size - 1 - index]!.status].toSorted(), ["conflict", "ok"]);
      records = plan.map(([change]) => change!.record!);
    }
    const tails = [{ log: "turns", last: 9 }];
    for (const one of (await right.load(records.map((record) => ({ key: keyOf(record), tails })))).sessions)
      assert.deepEqual(
        one?.tails[0]?.map(({ seq }) => seq),
        [1, 2, 3, 4, 5],
      );
  });
}

/** Look again and again until the work is done. */
async function during(work: Promise<void>, look: () => Promise<void>): Promise<void> {
  const state = { done: false };
  const watched = work.finally(() => {
    state.done = true;
  });
  const looking = (async (): Promise<void> => {
    while (!state.done) {
      await look();
      await setImmediate();
    }
  })();
  await Promise.all([watched, looking]);
}

/** Two handles on one place; twice the same where the store gives out only one. */
async function handles(bench: Bench): Promise<[Store, Store]> {
  const { store } = bench;
  return [store, store.capabilities.shared ? await bench.openAnother() : store];
}

/** Both at once, now the one, now the other a little ahead. */
function race<Result>(
  left: Store,
  right: Store,
  run: (handle: Store, who: 0 | 1) => Promise<Result>,
): Promise<Result[]> {
  return Promise.all(Math.random() < 0.5 ? [run(left, 0), run(right, 1)] : [run(right, 1), run(left, 0)].toReversed());
}
