/** Two processes answer in the same sessions, and one is killed while it makes a title: each session has one, of two calls at most. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { assertSound, Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());
const count = 4;

for (const name of enginesOfRun("SQLite")) {
  test(`a process that is killed while it makes a title leaves it to the next exchange: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    for (let round = 0; round < rounds(6, 1); round++) {
      const task = { kind: "titles", round, sessions: count } as const;
      const [first, second] = [new WorkerProcess({ store, task }), new WorkerProcess({ store, task })];
      const titling = first.hear("titling", 1 + Math.floor(chance() * 2));
      // The second process may make so many of the titles that the first one ends before this.
      await Promise.race([titling, first.hear("did"), second.hear("did")]);
      await sleep(chance() * 8);
      await first.kill();
      await second.hear("did");
      await second.kill();
      const calls = [first, second].flatMap(({ reports }) => reports.flatMap(({ titling }) => titling ?? []));
      for (let index = 0; index < count; index++) {
        const id = `s${round}.${index}`;
        const { title, counters } = (await sessions.get(id)).info;
        const attempts = (await sessions.snapshot(id)).logs["#titles"]?.length ?? 0;
        const asked = calls.filter((called) => called === id).length;
        assert.equal(title, `title of ${id}`);
        assert.ok(attempts >= 1 && attempts <= 2 && asked <= attempts, `${asked} calls in ${attempts} attempts`);
        const tokens = (await Array.fromAsync((await sessions.get(id)).turns())).reduce(
          (sum, { usage }) => sum + (usage?.totalTokens ?? 0),
          0,
        );
        const cost = counters.totalTokens - tokens;
        assert.ok(cost === 4 || cost === 8, `${cost} tokens were counted for titles`);
      }
    }
    // The killed processes held leases of turns, which their next writers take over.
    await assertSound(sessions, /no longer alive, holds its lease/);
  });
}
