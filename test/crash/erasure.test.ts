import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type ErasureReceipt } from "../../src/index.ts";
import { openPlace, WorkerProcess } from "../processes/worker-process.ts";
import { secret } from "../processes/worker.ts";

test("an erasure killed again and again is complete in the end, counts everything once, and leaves no word in the file", async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false, secret });
  for (let index = 0; index < 300; index++) {
    const session = await sessions.create({ id: `s${index}`, user: index % 3 === 0 ? "bob" : "ada" });
    const word = { input: `a word of ${session.info.user}'s`, output: "I see" };
    await session.append(word);
    if (index % 10 === 1) await session.archive();
    if (index % 20 === 2) await (await session.fork({ as: `f${index}` })).append(word);
  }
  let kills = 0;
  for (;;) {
    const worker = new WorkerProcess({ store: place.store, task: { kind: "erase", user: "ada" } });
    await worker.hear("began");
    await Promise.race([sleep(Math.random() * 60), worker.hear("receipt").catch(() => undefined)]);
    const receipt = worker.said.findLast((said) => said["receipt"] !== undefined)?.["receipt"];
    await worker.kill();
    if (receipt === undefined) {
      kills++;
      continue;
    }
    const parsed = JSON.parse(String(receipt)) as ErasureReceipt;
    const hers = Array.from({ length: 300 }, (_, index) => index).filter((index) => index % 3 !== 0);
    const forks = hers.filter((index) => index % 20 === 2).length;
    const archives = hers.filter((index) => index % 10 === 1).length;
    assert.deepEqual(parsed.erased, {
      sessions: hers.length + forks,
      forks,
      archives,
      turns: hers.length + forks,
      events: hers.length + 2 * forks + archives,
      devices: 0,
      codes: 0,
      outbox: 0,
    });
    assert(sessions.verifyErasure(parsed, "ada"));
    assert.deepEqual(await sessions.erase({ user: "ada" }), parsed, "single");
    break;
  }
  assert(kills > 0);
  const bobs = await sessions.list({ user: "bob", limit: 1000 });
  assert.equal(bobs.sessions.length, 100 + 5);
  const folder = dirname(place.store.slice("sqlite:".length));
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))));
  const holds = (text: string): boolean => files.some((file) => file.includes(text));
  assert.deepEqual([holds("a word of ada's"), holds("a word of bob's")], [false, true]);
});
