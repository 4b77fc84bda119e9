/** Kills processes while they archive, fork and erase, on every engine. The sessions stay whole, and repeating completes the work. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { chanceOf } from "../support/chance.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { secret } from "../processes/worker.ts";
import { assertSound, engineNames, Engines } from "./engines.ts";
import { rounds } from "../support/rounds.ts";
import { erase, verifyErasure, type ErasureReceipt } from "../../src/admin.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

for (const name of engineNames) {
  test(`a process killed again and again while it archives and brings back leaves the session whole, one way or the other: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const engine = await engines.get(name);
    const store = engine.fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "s", instructions: "Be brief." });
    for (let index = 1; index <= 300; index++) {
      await session.append({ input: `question ${index}`, output: "an answer ".repeat(100) }, { key: `k${index}` });
    }
    const turns = await Array.fromAsync(session.turns());
    const seen = new Set<string>();
    for (const blow of [...Array.from({ length: rounds(12, 4) }, () => undefined), ...engine.blows]) {
      const worker = new WorkerProcess({ store, task: { kind: "archive", session: "s" } });
      await worker.hear("did");
      await sleep(chance() * 60);
      await blow?.();
      await worker.kill();
      const { state, archive, counters } = await session.refresh();
      seen.add(state);
      assert.equal(state === "archived", archive !== null);
      assert.equal(counters.turns, 300);
      assert.deepEqual(await Array.fromAsync(session.turns()), turns);
      assert.equal(await session.instructions(), "Be brief.");
    }
    assert.deepEqual([...seen].toSorted(), ["active", "archived"]);
    await session.unarchive();
    assert.equal((await session.append({ input: "and on" })).seq, 301);
    await assertSound(sessions);
  });

  test(`processes killed while they fork sessions and remove the parents leave every fork whole: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const engine = await engines.get(name);
    const store = engine.fresh();
    await using sessions = await openSessions({ store, sweep: false });
    for (const [round, blow] of [
      ...Array.from({ length: rounds(10, 3) }, () => undefined),
      ...engine.blows,
    ].entries()) {
      // A fork takes its turns over in several steps.
      const worker = new WorkerProcess({ store, limits: { readMax: 2 }, task: { kind: "fork", name: String(round) } });
      await worker.hear("count");
      // Half of them are killed before the parent is removed, the others at any moment.
      if (round % 2 === 0) await worker.hear("forked", 2);
      else await sleep(chance() * 60);
      await blow?.();
      await worker.kill();
    }
    await assertSound(sessions);
    const { items: infos } = await sessions.list({ limit: 1000 });
    let shared = 0;
    for (const { id, turn, parent } of infos) {
      if (parent !== null) shared++;
      const turns = await Array.fromAsync((await sessions.get(id)).turns());
      const expected = Array.from({ length: turn }, (_, index) => `turn ${index + 1}`);
      assert.deepEqual(
        turns.map(({ input }) => input[0]?.content),
        expected,
        id,
      );
    }
    assert(infos.length >= 3 * rounds(10, 3));
    assert(shared > 0, "some were killed before the parent went");
  });

  for (const forks of ["keep", "erase"] as const) {
    test(`an erasure killed again and again is complete in the end, counts everything once, and leaves no word (forks of others: ${forks}): ${name}`, async (context) => {
      const chance = chanceOf(context);
      const engine = await engines.get(name);
      const store = engine.fresh();
      await using sessions = await openSessions({ store, sweep: false, secret });
      const shared: string[] = [];
      for (let index = 0; index < 180; index++) {
        const session = await sessions.create({ id: `s${index}`, user: index % 3 === 0 ? "bob" : "ada" });
        const word = { input: `a word of ${session.info.user}'s`, output: "I see" };
        await session.append(word);
        if (index % 20 === 2) await (await session.fork({ as: `f${index}` })).append(word);
        if (index % 30 === 4) {
          const fork = await session.fork({ as: `bobs${index}` });
          await fork.update({ user: "bob" });
          shared.push(fork.id);
        }
        if (index % 10 === 1) await session.archive();
      }
      let receipt: ErasureReceipt | undefined;
      const blows = [...engine.blows];
      let kills = 0;
      for (; receipt === undefined; kills++) {
        const worker = new WorkerProcess({ store, task: { kind: "erase", user: "ada", forks } });
        await worker.hear("began");
        // At once at first, so that it is killed at work on a fast machine, then ever later, so that a slow one comes to an end.
        const withinMs = kills < 2 ? 10 : 60 + 30 * kills;
        await Promise.race([sleep(chance() * withinMs), worker.hear("receipt").catch(() => undefined)]);
        await blows.pop()?.();
        const said = worker.said.findLast((one) => one["receipt"] !== undefined)?.["receipt"];
        await worker.kill();
        if (said !== undefined) receipt = JSON.parse(String(said)) as ErasureReceipt;
      }
      assert(kills > 1);
      const hers = Array.from({ length: 180 }, (_, index) => index).filter((index) => index % 3 !== 0);
      const own = hers.filter((index) => index % 20 === 2).length;
      const archives = hers.filter((index) => index % 10 === 1).length;
      const others = forks === "erase" ? shared.length : 0;
      assert.deepEqual(receipt.erased, {
        sessions: hers.length + own + others,
        forks: own + others,
        archives,
        turns: hers.length + own,
        events: hers.length + 2 * own + 3 * others + archives,
        devices: 0,
        codes: 0,
        outbox: 0,
      });
      assert.deepEqual(receipt.sharedForks.ids.toSorted(), forks === "keep" ? shared.toSorted() : []);
      assert(verifyErasure(sessions, receipt, "ada"));
      assert.deepEqual(await erase(sessions, { user: "ada", forks }), receipt, "single");
      const bobs = await sessions.list({ user: "bob", limit: 1000 });
      assert.equal(bobs.items.length, 60 + 3 + shared.length - others);
      for (const { id, turn } of bobs.items) {
        assert.equal((await Array.fromAsync((await sessions.get(id)).turns())).length, turn);
      }
      await assertSound(sessions);
      const left = [await engine.holds(store, "a word of ada's"), await engine.holds(store, "a word of bob's")];
      assert.deepEqual(left, [forks === "keep", true]);
    });
  }
}
