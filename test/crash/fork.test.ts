import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Finding } from "../../src/index.ts";
import { openPlace, WorkerProcess } from "../processes/worker-process.ts";

test("processes killed while they fork sessions and remove the parents leave every fork whole", async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false });
  for (let round = 0; round < 12; round++) {
    const worker = new WorkerProcess({ store: place.store, task: { kind: "fork", name: String(round) } });
    await worker.hear("count");
    await sleep(Math.random() * 60);
    await worker.kill();
  }
  const found: Finding[] = [];
  await sessions.doctor({ onFinding: (finding) => found.push(finding) });
  assert.deepEqual(found, []);
  const { sessions: infos } = await sessions.list({ limit: 1000 });
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
  assert(infos.length >= 36);
  assert(shared > 0, "some were killed before the parent went");
});
