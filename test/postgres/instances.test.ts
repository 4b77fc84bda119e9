/** Several instances that share a database: leases under SIGKILL and SIGSTOP, and clocks that disagree. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, systemClock, type Clock } from "../../src/index.ts";
import { WorkerProcess, type Said } from "../processes/worker-process.ts";
import { PostgresServer, query } from "./server.ts";

let server: PostgresServer;
before(async () => {
  server = await PostgresServer.start();
});
after(async () => {
  await server[Symbol.asyncDispose]();
});

test("3 instances with leases on 50 sessions under SIGKILL and SIGSTOP: fences grow, no superseded write lands", async () => {
  const store = server.url();
  await using sessions = await openSessions({ store, sweep: false });
  const ids = Array.from({ length: 50 }, (_, index) => `s${index}`);
  for (const id of ids) await sessions.create({ id });
  /** A worker writes so often before it is killed. */
  const writesMin = 6;
  const kills = 24;
  let started = 0;
  const start = (): WorkerProcess =>
    new WorkerProcess({
      store,
      staleAfter: "500ms",
      task: { kind: "lease", sessions: ids, name: `w${started++}` },
    });
  const workers = Array.from({ length: 3 }, start);
  const heard: Said[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const index = kill % workers.length;
    const victim = workers[index]!;
    await victim.hear("mark", writesMin);
    await sleep(Math.random() * 100); // anywhere within a write
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
  assert(acknowledged.length >= (kills / 2) * writesMin, `${acknowledged.length} writes were acknowledged`);
  for (const id of ids) {
    const turns = await Array.fromAsync((await sessions.get(id)).turns());
    const fences = turns.map(({ output }) => Number(output[0]?.content));
    assert.deepEqual(
      fences,
      fences.toSorted((a, b) => a - b),
      `the fences of ${id} grow with the log`,
    );
    const marks = turns.map(({ input }) => String(input[0]?.content));
    assert.equal(new Set(marks).size, marks.length, "no write landed twice");
    for (const { mark, seq, fence } of acknowledged.filter((said) => said["id"] === id)) {
      assert.equal(marks[Number(seq) - 1], mark, "an acknowledged write is where it was said to be");
      assert.equal(fences[Number(seq) - 1], fence);
    }
  }
});

test("instances with clocks two hours apart agree on leases, expiry and live instances", async () => {
  const clockAt = (aheadMs: number): Clock => ({ ...systemClock, now: () => Date.now() + aheadMs });
  const hour = 3_600_000;
  const store = server.url();
  const open = (aheadMs: number): ReturnType<typeof openSessions> =>
    openSessions({ store, tenant: "clocks", sweep: false, staleAfter: "1s", clock: clockAt(aheadMs) });
  await using early = await open(-hour);
  await using late = await open(hour);
  await using exact = await open(0);
  await exact.create({ id: "shared", ttl: "10m" });

  const mine = await early.get("shared");
  const theirs = await late.get("shared");
  assert.equal(theirs.info.state, "active", "an hour ahead, it has not expired");
  assert.ok(Math.abs(Number(mine.info.expiresAt) - Date.now() - 600_000) < 30_000, "deadlines are of the store's time");

  await mine.append({ input: "first" }); // slides the deadline
  assert.ok(Math.abs(Number(mine.info.expiresAt) - Date.now() - 600_000) < 30_000);
  await theirs.refresh();

  const lease = await mine.lease({ ttl: "30m" });
  await assert.rejects(theirs.lease(), { code: "busy" });
  await assert.rejects(theirs.append({ input: "no" }), { code: "busy" });
  await sleep(1500); // the holder's heartbeat goes on, whatever its clock says
  await assert.rejects(theirs.lease(), { code: "busy" });
  await mine.append({ input: "mine" });
  await lease.release();
  await theirs.refresh();
  const next = await theirs.lease({ ttl: "1s" });
  assert.ok(next.fence > lease.fence);
  await mine.refresh();
  await assert.rejects(mine.append({ input: "no" }), { code: "busy" });
  await sleep(1300); // its own end comes, by the store's clock
  await mine.append({ input: "mine again" });
  const [row] = await query(
    store,
    "select max(abs(seen_at - extract(epoch from now()) * 1000)) < 60000 as near from perdure.instances",
  );
  assert.equal(row?.["near"], true, "heartbeats carry the store's time");
});
