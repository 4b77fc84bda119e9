/** A process is killed while questions replace a rated turn: each stored mark and rating is of a stored turn, raw entries included. */
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

for (const name of enginesOfRun("SQLite")) {
  test(`a process that is killed while it replaces rated turns leaves no rating without its turn: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "s" });
    for (const turn of [1, 2, 3]) await session.append({ input: `q${turn}`, output: "a" });
    await session.rate(1, { rating: "down", comment: "q1" });
    await session.pin(1);
    for (let round = 0; round < rounds(6, 1); round++) {
      const worker = new WorkerProcess({ store, task: { kind: "replaced-marks", session: "s", round } });
      await worker.hear("asking", 2 + Math.floor(chance() * 3));
      await sleep(chance() * 10);
      await worker.kill();
      await session.breakLease();
      await session.recover();
      const turns = await Array.fromAsync(session.turns());
      const questions = turns.map(({ input }) => input[0]?.content);
      assert.equal(turns.length, 3);
      const { logs } = await sessions.snapshot("s");
      const ratings = (logs["#feedback"] ?? []).map(({ data }) => data as { turn: number; comment: string });
      for (const { turn, comment } of ratings) assert.equal(comment, questions[turn - 1]);
      assert.equal(ratings[0]?.comment, "q1");
      const { pinned } = (logs["#memory"]?.[0]?.data ?? assert.fail()) as { pinned: readonly [number, string][] };
      const found = (await session.memory()).pinned;
      assert.deepEqual(
        pinned.map(([turn]) => turn),
        found,
      );
      const rated = worker.reports.findLast((report) => report["rated"] !== undefined)?.["rated"];
      if (rated === questions[2]) assert.deepEqual([ratings.length, found], [2, [1, 3]], "what was acknowledged stays");
    }
    await assertSound(sessions);
  });
}
