/** A reader of news that breaks off and resumes at random ends with what the store has, whatever several processes change. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { openSessions, type Sessions } from "../../src/index.ts";
import { Engines, enginesOfRun } from "../crash/engines.ts";
import { makeChanges } from "../processes/changes.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { seededChanceOf } from "../support/chance.ts";
import { inMemory } from "../support/in-memory.ts";
import { NewsFollower, sorted, versionsIn, type Versions } from "../support/news-follower.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/**
 * Create a last session, and compare what is known with the store once the reader knows of it. The event of a conflict is
 * recorded in the background, perhaps after that, so there are several last ones.
 */
async function compareAtTheEnd(sessions: Sessions, follower: NewsFollower, first: Promise<Versions>): Promise<void> {
  let following = first;
  for (let last = 1; ; last++) {
    await sessions.create({ id: `last ${last - 1}` });
    const [known, stored] = [sorted(await following), sorted(await versionsIn(sessions))];
    if (last === 10 || isDeepStrictEqual(known, stored)) {
      assert.deepEqual(known, stored);
      return;
    }
    following = follower.until(`last ${last}`);
  }
}

test("the last positions of a reader that resumes at random are those of the store (memory)", async (context) => {
  const chance = seededChanceOf(context);
  for (let round = 0; round < rounds(12); round++) {
    await using place = inMemory();
    const [one, other] = [place.another(), place.another()];
    const follower = new NewsFollower(() => (chance() < 0.5 ? one : other), chance);
    let isOver = false;
    const moving = (async () => {
      while (!isOver) {
        await place.clock.advance(chance() * 1000);
        await sleep(0);
      }
    })();
    const following = follower.until("last 0");
    const seeds = [chance(), chance()].map((seed) => Math.floor(seed * 2 ** 32));
    await Promise.all(
      [one, other].map((sessions, n) => makeChanges(sessions, { kind: "changes", seed: seeds[n] ?? 0, changes: 150 })),
    );
    await compareAtTheEnd(place.sessions, follower, following);
    isOver = true;
    await moving;
  }
});

for (const engine of enginesOfRun("PostgreSQL")) {
  test(`the last positions of a reader that resumes at random are those of the store (${engine})`, async (context) => {
    const chance = seededChanceOf(context);
    const running = await engines.get(engine);
    for (let round = 0; round < rounds(4); round++) {
      const store = await running.fresh();
      await using sessions = await openSessions({ store, sweep: false });
      await using another = await openSessions({ store, sweep: false });
      const follower = new NewsFollower(() => (chance() < 0.5 ? sessions : another), chance);
      const following = follower.until("last 0");
      const seed = (): number => Math.floor(chance() * 2 ** 32);
      const workers = [1, 2].map(
        () => new WorkerProcess({ store, task: { kind: "changes", seed: seed(), changes: 200 } }),
      );
      await makeChanges(sessions, { kind: "changes", seed: seed(), changes: 100 });
      for (const worker of workers) await worker.ended();
      await compareAtTheEnd(sessions, follower, following);
      assert.equal(follower.resets, 1, "only at the beginning");
    }
  });
}
