/** News while writers are killed and the server of the store crashes: the last positions are those of the store. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { hasCode, openSessions } from "../../src/index.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { seededChanceOf } from "../support/chance.ts";
import { NewsFollower, sorted, versionsIn } from "../support/news-follower.ts";
import { rounds } from "../support/rounds.ts";
import { Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

for (const name of enginesOfRun("PostgreSQL")) {
  test(`a reader misses nothing of writers that are killed: ${name}`, async (context) => {
    const chance = seededChanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, staleAfter: "1s", sweep: false });
    const follower = new NewsFollower(() => sessions, chance);
    const following = follower.until("last");
    for (let round = 0; round < rounds(20, 4); round++) {
      const seed = Math.floor(chance() * 2 ** 32);
      const worker = new WorkerProcess({ store, staleAfter: "1s", task: { kind: "changes", seed, changes: null } });
      await worker.hear("made", 1 + Math.floor(chance() * 40));
      await worker.kill();
    }
    await sessions.create({ id: "last" });
    assert.deepEqual(sorted(await following), sorted(await versionsIn(sessions)));
    assert.equal(follower.resets, 1);
  });
}

test("a reader misses nothing while the server of PostgreSQL crashes and connections end", async (context) => {
  const chance = seededChanceOf(context);
  const engine = await engines.get("PostgreSQL");
  const store = await engine.fresh();
  await using sessions = await openSessions({ store, sweep: false });
  const follower = new NewsFollower(() => sessions, chance);
  const following = follower.until("last");
  for (const blow of engine.blows) {
    const seed = Math.floor(chance() * 2 ** 32);
    const worker = new WorkerProcess({ store, task: { kind: "changes", seed, changes: null } });
    await worker.hear("made", 20);
    await blow();
    await worker.hear("made", 40);
    await worker.kill();
  }
  for (;;) {
    try {
      await sessions.create({ id: "last" });
      break;
    } catch (error) {
      if (!hasCode(error, "store_unavailable") && !hasCode(error, "session_exists")) throw error;
      if (hasCode(error, "session_exists")) break;
    }
  }
  assert.deepEqual(sorted(await following), sorted(await versionsIn(sessions)));
  assert.equal(follower.resets, 1);
});
