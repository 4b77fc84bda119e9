/** Two processes ask in one session, and are killed while they summarize: each summary is whole, and there is one of it. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { compacting } from "../processes/summaries.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { assertSound, Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

for (const name of enginesOfRun("SQLite")) {
  test(`processes that are killed while they summarize leave whole summaries, each once: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, ...compacting });
    const session = await sessions.create({ id: "s" });
    let summarized = 0;
    for (let round = 0; round < rounds(8, 2); round++) {
      const workers = ["a", "b"].map((worker) => {
        const task = { kind: "summaries", session: "s", name: `${worker}${round}` } as const;
        return new WorkerProcess({ store, task });
      });
      const [first, second] = workers;
      await first!.hear("summarizing", 1 + Math.floor(chance() * 2));
      await sleep(chance() * 6);
      await first!.kill();
      // The other one finds the open turn of the killed process, and goes on.
      await second!.hear("did", second!.count("did") + 2);
      await second!.kill();
      await session.refresh();
      const turns = await Array.fromAsync(session.turns());
      const words = turns.map(({ input }) => String(input[0]?.content));
      let covered = Number.POSITIVE_INFINITY;
      for await (const { to, text } of session.summaries()) {
        assert.ok(to < covered, "one summary of the same turns");
        covered = to;
        assert.equal(text, words.slice(0, to).join(" "));
        summarized = Math.max(summarized, to);
      }
      const { logs } = await sessions.snapshot("s");
      for (const [log, entries] of Object.entries(logs))
        if (log.startsWith("#summary:")) assert.equal(entries.length, 1, log);
    }
    assert.ok(summarized > 2, `the last summary covers ${summarized} turns`);
    const { seq, status } = await (await session.consult("the end")).done;
    assert.deepEqual([seq, status], [session.info.turn, "done"]);
    await assertSound(sessions);
  });
}
