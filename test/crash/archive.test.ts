import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { openPlace, WorkerProcess } from "../processes/worker-process.ts";

test("a process killed 30 times while it archives and brings back leaves the session whole, one way or the other", async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false });
  const session = await sessions.create({ id: "s", instructions: "Be brief." });
  for (let index = 1; index <= 300; index++) {
    await session.append({ input: `question ${index}`, output: "an answer ".repeat(100) }, { key: `k${index}` });
  }
  const turns = await Array.fromAsync(session.turns());
  const seen = new Set<string>();
  for (let round = 0; round < 30; round++) {
    const worker = new WorkerProcess({ store: place.store, task: { kind: "archive", session: "s" } });
    await worker.hear("did");
    await sleep(Math.random() * 60);
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
});
