/** Leases while their holders are killed and paused, on every engine: fencing tokens grow, and a superseded lease holder writes nothing. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode, openSessions, type Session, type SessionLease, type Turn } from "../../src/index.ts";
import { WorkerProcess, type Report } from "../processes/worker-process.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { Engines, enginesOfRun, type EngineName } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

interface Crowd {
  readonly workers: number;
  readonly sessions: number;
  readonly kills: number;
}

/** A file has one writer at a time, a server many. */
const crowds: Readonly<Record<EngineName, Crowd>> = {
  SQLite: { workers: 8, sessions: 20, kills: rounds(24, 10) },
  PostgreSQL: { workers: 3, sessions: 50, kills: rounds(16, 8) },
};

/** A worker writes so often before it is killed or paused. */
const writesMin = 6;

for (const name of enginesOfRun("SQLite")) {
  const crowd = crowds[name];

  test(`of ${crowd.workers} processes with leases on ${crowd.sessions} sessions, killed and paused, no superseded lease holder writes: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const ids = Array.from({ length: crowd.sessions }, (_, index) => `s${index}`);
    for (const id of ids) await sessions.create({ id });
    let started = 0;
    const start = (): WorkerProcess =>
      new WorkerProcess({
        store,
        staleAfter: "500ms",
        task: { kind: "lease", sessions: ids, name: `w${started++}` },
      });
    const workers = Array.from({ length: crowd.workers }, start);
    const reports: Report[] = [];
    for (let kill = 0; kill < crowd.kills; kill++) {
      const index = kill % workers.length;
      const victim = workers[index] ?? assert.fail();
      await victim.hear("mark", victim.count("mark") + writesMin);
      await sleep(chance() * 100); // anywhere within a write
      if (kill % 4 === 0) {
        victim.child.kill("SIGSTOP");
        await sleep(700); // its lease is stale by then
        victim.child.kill("SIGCONT");
        continue;
      }
      await victim.kill();
      reports.push(...victim.reports);
      workers[index] = start();
    }
    for (const worker of workers) {
      await worker.kill();
      reports.push(...worker.reports);
    }
    const acknowledged = reports.filter(({ mark }) => mark !== undefined);
    assert(acknowledged.length >= crowd.kills * writesMin, `${acknowledged.length} writes were acknowledged`);
    for (const id of ids) {
      const turns = await Array.fromAsync((await sessions.get(id)).turns());
      assertFenced(
        turns,
        reports.filter((one) => one["id"] === id),
      );
    }
  });

  test(`a lease holder that is paused until its lease is stale is fenced, and writes nothing after its successor: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    const staleAfter = "2s";
    await using sessions = await openSessions({ store, staleAfter, sweep: false });
    const session = await sessions.create({ id: "s" });
    const holder = new WorkerProcess({ store, staleAfter, task: { kind: "hold", session: "s" } });
    const { fence } = await holder.hear("fence");
    await holder.hear("seq");
    await assert.rejects(session.lease(), { code: "busy" });

    await holder.pause(() => sessions.documents("any").put("any", 1));
    const lease = await leaseOnceFree(session);
    assert(lease.fence > Number(fence));
    await session.append({ input: "mine now", output: String(lease.fence) });
    holder.child.kill("SIGCONT");
    assert.equal((await holder.hear("code"))["code"], "fenced");
    await holder.ended();
    await session.append({ input: "still mine" });
    await lease.release();
  });

  test(`a session whose lease holder was killed on the same machine is free at once: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    // The heartbeat of the killed process stays fresh for longer than this test takes.
    const staleAfter = "1h";
    await using sessions = await openSessions({ store, staleAfter, sweep: false });
    const session = await sessions.create({ id: "s" });
    const holder = new WorkerProcess({ store, staleAfter, task: { kind: "hold", session: "s" } });
    await holder.hear("seq");
    await holder.kill();
    await session.refresh();
    await session.append({ input: "next" });
  });
}

/** The lease of the paused holder, once it is stale. */
async function leaseOnceFree(session: Session): Promise<SessionLease> {
  for (;;) {
    try {
      await session.refresh();
      return await session.lease();
    } catch (error) {
      if (!hasCode(error, "busy")) throw error;
      await sleep(50);
    }
  }
}

/** The turns of a session against all that the workers printed about it. */
function assertFenced(turns: readonly Turn[], reports: readonly Report[]): void {
  const fences = turns.map(({ output }) => Number(output[0]?.content));
  const marks = turns.map(({ input }) => String(input[0]?.content));
  assert.deepEqual(
    fences,
    fences.toSorted((a, b) => a - b),
    "fencing tokens grow with the log",
  );
  assert.equal(new Set(marks).size, marks.length, "each write is stored once");
  const holders = new Map(fences.map((fence, index) => [fence, marks[index]?.split(" ")[0]]));
  for (const [index, fence] of fences.entries()) {
    assert.equal(marks[index]?.split(" ")[0], holders.get(fence), `fencing token ${fence} has one holder`);
  }
  for (const { leased, seen } of reports.filter((one) => one["leased"] !== undefined)) {
    assert(
      fences.slice(Number(seen)).every((fence) => fence >= Number(leased)),
      `no write with an older fencing token follows the grant of ${leased}`,
    );
  }
  for (const { mark, seq, fence } of reports.filter((one) => one["mark"] !== undefined)) {
    assert.equal(marks[Number(seq) - 1], mark, "an acknowledged write has its acknowledged number");
    assert.equal(fences[Number(seq) - 1], fence);
  }
}
