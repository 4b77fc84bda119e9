/** Streams between processes: no gap, no repeat, and no reader that waits for a producer that is gone, on every engine. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode, openSessions, type Sessions } from "../../src/index.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { numbersUpTo, readInPieces } from "../streams/read-in-pieces.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** The parts that a reader has got, and how the stream ended for it. */
async function readToEnd(sessions: Sessions, id: string): Promise<{ parts: unknown[]; error: unknown }> {
  const parts: unknown[] = [];
  try {
    for await (const { part } of sessions.streams.read(id)) parts.push(part);
  } catch (error) {
    return { parts, error };
  }
  return { parts, error: undefined };
}

for (const name of enginesOfRun("SQLite")) {
  test(`readers that come and go get each part of a producer in another process once, in order: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const producer = new WorkerProcess({
      store,
      task: { kind: "produce", stream: "run", parts: 200, pauseMs: 5 },
    });
    await producer.hear("part");
    const readers = Array.from({ length: 4 }, () => readInPieces(sessions, "run", chance));
    const whole = readToEnd(sessions, "run");
    await producer.ended();
    for (const read of await Promise.all(readers)) assert.deepEqual(read, numbersUpTo(200));
    assert.deepEqual(await whole, { parts: numbersUpTo(200), error: undefined });
    assert.equal(await sessions.streams.status("run"), "done");
    assert.deepEqual(await readInPieces(sessions, "run", chance), numbersUpTo(200), "after the end");
  });

  test(`a reader of a producer that was killed ends, without a gap, while the heartbeat is fresh: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    const staleAfter = "1h";
    await using sessions = await openSessions({ store, staleAfter, sweep: false });
    for (let round = 0; round < rounds(6, 2); round++) {
      const id = `run ${round}`;
      const producer = new WorkerProcess({
        store,
        staleAfter,
        task: { kind: "produce", stream: id, parts: null, pauseMs: 2 },
      });
      await producer.hear("part", 20 + round * 13);
      const reading = [readToEnd(sessions, id), readToEnd(sessions, id)];
      await producer.hear("part", 60 + round * 13);
      await producer.kill();
      const [first, second] = await Promise.all(reading);
      assert.deepEqual(first?.parts, numbersUpTo(first?.parts.length ?? 0));
      assert.deepEqual(first?.parts, second?.parts);
      assert(hasCode(first?.error, "stream_failed"), String(first?.error));
      assert.equal(first.error.details.how, "lost");
      assert.equal(await sessions.streams.status(id), "lost");
      assert.equal((await sessions.streams.acquire(id)).role, "consumer");
    }
  });

  test(`a producer that is paused until its lease is stale is fenced, and its readers have their end: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    const staleAfter = "2s";
    await using sessions = await openSessions({ store, staleAfter, sweep: false });
    const producer = new WorkerProcess({
      store,
      staleAfter,
      task: { kind: "produce", stream: "run", parts: null, pauseMs: 20 },
    });
    await producer.hear("part", 5);
    await producer.pause(() => sessions.documents("any").put("any", 1));
    const { parts, error } = await readToEnd(sessions, "run");
    assert(hasCode(error, "stream_failed"), String(error));
    producer.child.kill("SIGCONT");
    assert.equal((await producer.hear("code"))["code"], "fenced");
    await producer.ended();
    const again = await readToEnd(sessions, "run");
    assert.deepEqual(again.parts, parts, "the fenced producer has written nothing");
  });

  test(`a producer that is killed while it ends a stream leaves its turn and its end, or neither: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "chat" });
    /** The keys of the turns from one on: the looking process may be far behind the writing one. */
    const keysOf = async (from: number): Promise<Set<unknown>> => {
      await session.refresh();
      return new Set((await Array.fromAsync(session.turns({ from }))).map(({ key }) => key));
    };
    const reports = new Map<string, "began" | "ended">();
    for (let round = 0; round < rounds(24, 6); round++) {
      await session.refresh();
      const first = session.info.counters.turns + 1;
      const producer = new WorkerProcess({ store, task: { kind: "answers", session: "chat", name: `r${round}` } });
      await producer.hear("began");
      let isOver = false;
      const looking = (async () => {
        while (!isOver) {
          const { began: id } = await producer.hear("began").catch(() => ({ began: undefined }));
          if (typeof id !== "string") return;
          const before = await keysOf(first);
          const status = await sessions.streams.status(id);
          if (before.has(id)) assert.equal(status, "done", "a turn without the end of its stream");
          if (status === "done") assert((await keysOf(first)).has(id), "an end without its turn");
        }
      })();
      const wanted = producer.count("ended") + 1 + Math.floor(chance() * 3);
      await producer.hear("ended", wanted);
      await sleep(chance() * 12);
      await producer.kill();
      isOver = true;
      await looking;
      for (const { began, ended } of producer.reports) {
        if (began !== undefined) reports.set(String(began), "began");
        if (ended !== undefined) reports.set(String(ended), "ended");
      }
    }
    await session.refresh();
    const keys = new Set((await Array.fromAsync(session.turns())).map(({ key }) => key));
    // Together: a reader waits until it finds that a producer is no longer alive.
    const check = async (id: string, heard: "began" | "ended"): Promise<void> => {
      const { parts, error } = await readToEnd(sessions, id);
      const isDone = (await sessions.streams.status(id)) === "done";
      assert.equal(keys.has(id), isDone, `${id}: its turn and its end`);
      if (heard === "ended") assert(isDone, "an acknowledged end stands");
      if (isDone) assert.deepEqual([parts, error], [[1, 2, 3], undefined]);
      else assert.deepEqual(parts, numbersUpTo(parts.length));
    };
    await Promise.all([...reports].map(([id, heard]) => check(id, heard)));
    assert.equal(keys.size, (await session.refresh()).turn, "no turn twice");
  });

  test(`of processes that acquire the same stream, one produces it: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const task = { kind: "produce", stream: "run", parts: 20, pauseMs: 1 } as const;
    const workers = Array.from({ length: 4 }, () => new WorkerProcess({ store, task }));
    await Promise.all(workers.map((worker) => worker.ended()));
    const roles = workers.map(({ reports }) => String(reports[0]?.["role"]));
    assert.deepEqual(roles.toSorted(), ["consumer", "consumer", "consumer", "producer"]);
    assert.deepEqual((await readToEnd(sessions, "run")).parts, numbersUpTo(20));
  });
}

test("readers and a producer outlive cut connections and a crash of the server", async (context) => {
  const chance = chanceOf(context);
  const engine = await engines.get("PostgreSQL");
  const store = await engine.fresh();
  await using sessions = await openSessions({ store, sweep: false });
  for (const [index, blow] of engine.blows.entries()) {
    const id = `run ${index}`;
    const producer = new WorkerProcess({ store, task: { kind: "produce", stream: id, parts: 400, pauseMs: 5 } });
    await producer.hear("part", 50);
    const reading = readInPieces(sessions, id, chance);
    await blow();
    await producer.ended();
    const failed = producer.reports.find(({ code }) => code !== undefined)?.["code"];
    const status = await sessions.streams.status(id);
    if (failed === undefined) {
      assert.deepEqual(await reading, numbersUpTo(400));
      assert.equal(status, "done");
    } else {
      // The server was away for longer than the producer's store waits: readers have no gap, and an end.
      const parts = await reading;
      assert.deepEqual(parts, numbersUpTo(parts.length));
      assert.notEqual(status, "streaming", String(failed));
    }
  }
});
