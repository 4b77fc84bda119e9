/** Kills processes while they archive, fork and erase, on every engine. The sessions stay whole, and repeating completes the work. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { chanceOf } from "../support/chance.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { secret } from "../processes/worker.ts";
import { assertSound, engineNames, Engines } from "./engines.ts";
import { isThorough, rounds } from "../support/rounds.ts";
import { erase, verifyErasure, type ErasureReceipt } from "../../src/admin.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

for (const name of engineNames) {
  test(`a process killed again and again while it archives and brings back leaves the session whole, one way or the other: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const engine = await engines.get(name);
    const store = await engine.fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "s", instructions: "Be brief." });
    for (let index = 1; index <= 300; index++) {
      await session.append({ input: `question ${index}`, output: "an answer ".repeat(100) }, { key: `k${index}` });
    }
    const turns = await Array.fromAsync(session.turns());
    const seen = new Set<string>();
    const blows = [...Array.from({ length: rounds(8, 4) }, () => undefined), ...engine.blows];
    for (let round = 0; round < blows.length || seen.size < 2; round++) {
      const worker = new WorkerProcess({ store, task: { kind: "archive", session: "s" } });
      await worker.hear("did");
      await sleep(chance() * 60);
      await blows[round]?.();
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
    const store = await engine.fresh();
    await using sessions = await openSessions({ store, sweep: false });
    /** Forks whose parent was not removed before the kill. */
    const withParent = async (): Promise<number> => {
      const { items } = await sessions.list({ limit: 1000 });
      return items.filter(({ parent }) => parent !== null).length;
    };
    const blows = [...Array.from({ length: rounds(7, 3) }, () => undefined), ...engine.blows];
    for (let round = 0; round < blows.length || (await withParent()) === 0; round++) {
      // A fork takes its turns over in several steps.
      const worker = new WorkerProcess({ store, limits: { readMax: 2 }, task: { kind: "fork", name: String(round) } });
      await worker.hear("count");
      // Half of them are killed before the parent is removed, the others at any moment.
      if (round % 2 === 0) await worker.hear("forked", 2);
      else await sleep(chance() * 60);
      await blows[round]?.();
      await worker.kill();
    }
    await assertSound(sessions);
    const { items: infos } = await sessions.list({ limit: 1000 });
    for (const { id, turn } of infos) {
      const turns = await Array.fromAsync((await sessions.get(id)).turns());
      const expected = Array.from({ length: turn }, (_, index) => `turn ${index + 1}`);
      assert.deepEqual(
        turns.map(({ input }) => input[0]?.content),
        expected,
        id,
      );
    }
    assert(infos.length >= 3 * rounds(7, 3));
  });

  for (const forks of ["keep", "erase"] as const) {
    // A quick run takes each on one engine.
    if (!isThorough && (forks === "keep") !== (name === "SQLite")) continue;
    test(`an erasure killed again and again is complete in the end, counts everything once, and leaves no word (forks of others: ${forks}): ${name}`, async (context) => {
      const chance = chanceOf(context);
      const engine = await engines.get(name);
      const store = await engine.fresh();
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
        // The first two end themselves soon after their start. The others have ever more time, so that one completes it.
        const ownEnd = kills < 2 ? { diesWithinMs: chance() * 10 } : {};
        const worker = new WorkerProcess({ store, task: { kind: "erase", user: "ada", forks, ...ownEnd } });
        await worker.hear("began");
        const completed = worker.hear("receipt").catch(() => undefined);
        await Promise.race([sleep(chance() * (60 + 30 * kills)), completed]);
        await blows.pop()?.();
        await worker.kill();
        const reports = worker.reports.findLast((one) => one["receipt"] !== undefined)?.["receipt"];
        if (reports !== undefined) receipt = JSON.parse(String(reports)) as ErasureReceipt;
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
        documents: 0,
        attachments: 0,
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
