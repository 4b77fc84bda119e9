/** Leases under SIGKILL and SIGSTOP: fencing tokens grow, and a superseded lease holder writes nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { openPlace, WorkerProcess, type Said } from "../processes/worker-process.ts";
import { rounds } from "../support/rounds.ts";

test("8 processes with leases on 20 sessions under SIGKILL and SIGSTOP: fencing tokens grow, no superseded write lands", async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false });
  const ids = Array.from({ length: 20 }, (_, index) => `s${index}`);
  for (const id of ids) await sessions.create({ id });
  let started = 0;
  const start = (): WorkerProcess =>
    new WorkerProcess({
      store: place.store,
      staleAfter: "500ms",
      task: { kind: "lease", sessions: ids, name: `w${started++}` },
    });
  const workers = Array.from({ length: 8 }, start);
  const heard: Said[] = [];
  for (let kill = 0; kill < rounds(40, 10); kill++) {
    await sleep(Math.random() * 250);
    const index = Math.floor(Math.random() * workers.length);
    const victim = workers[index];
    if (victim === undefined) continue;
    if (kill % 4 === 0) {
      victim.child.kill("SIGSTOP");
      await sleep(700); // past its lease
      victim.child.kill("SIGCONT");
      continue;
    }
    await victim.kill();
    heard.push(...victim.said);
    workers[index] = start();
  }
  for (const worker of workers) {
    await worker.kill();
    heard.push(...worker.said);
  }

  const acknowledged = heard.filter(({ mark }) => mark !== undefined);
  assert(acknowledged.length > 0, "some writes were acknowledged");
  for (const id of ids) {
    const turns = await Array.fromAsync((await sessions.get(id)).turns());
    const fences = turns.map(({ output }) => Number(output[0]?.content));
    assert.deepEqual(
      fences,
      fences.toSorted((a, b) => a - b),
      `the fences of ${id} grow with the log`,
    );
    const marks = turns.map(({ input }) => String(input[0]?.content));
    const holders = new Map(fences.map((fence, index) => [fence, marks[index]?.split(" ")[0]]));
    for (const [index, fence] of fences.entries()) {
      assert.equal(marks[index]?.split(" ")[0], holders.get(fence), `fence ${fence} of ${id} was given out once`);
    }
    for (const { leased, seen } of heard.filter((said) => said["id"] === id && said["leased"] !== undefined)) {
      assert(
        fences.slice(Number(seen)).every((fence) => fence >= Number(leased)),
        `no process wrote to ${id} under an older fence after ${leased} was given out`,
      );
    }
    assert.equal(new Set(marks).size, marks.length, "no write landed twice");
    for (const { mark, seq, fence } of acknowledged.filter((said) => said["id"] === id)) {
      assert.equal(marks[Number(seq) - 1], mark, "an acknowledged write is where it was said to be");
      assert.equal(fences[Number(seq) - 1], fence);
    }
  }
});

test("a lease holder that was stopped past its lease is fenced, and writes nothing after its successor", async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, staleAfter: "500ms", sweep: false });
  const session = await sessions.create({ id: "s" });
  const holder = new WorkerProcess({ store: place.store, staleAfter: "500ms", task: { kind: "hold", session: "s" } });
  const { fence } = await holder.hear("fence");
  await holder.hear("seq");
  await assert.rejects(session.lease(), { code: "busy" });

  holder.child.kill("SIGSTOP");
  await sleep(800);
  await session.refresh();
  const lease = await session.lease();
  assert(lease.fence > Number(fence));
  await session.append({ input: "mine now", output: String(lease.fence) });
  holder.child.kill("SIGCONT");
  assert.equal((await holder.hear("code"))["code"], "fenced");
  await holder.ended();
  await session.append({ input: "still mine" });
  await lease.release();
});

test("a session whose lease holder was killed on the same machine is free at once", async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false });
  const session = await sessions.create({ id: "s" });
  const holder = new WorkerProcess({ store: place.store, task: { kind: "hold", session: "s" } });
  await holder.hear("seq");
  await holder.kill();
  await session.refresh();
  await session.append({ input: "next" }); // no wait for a heartbeat of 10 s to grow stale
});
