/** The queue for one session, across processes: in order, bounded, and not held up by a waiter that was killed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Limits, type Sessions } from "../../src/index.ts";
import { openPlace, WorkerProcess } from "../processes/worker-process.ts";

interface Queueing extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly running: WorkerProcess;
  /** Ask in a process of its own; resolves once that process waits in the queue. */
  ask(question: string): Promise<WorkerProcess>;
  /** Ask in a process of its own that is not expected to wait. */
  start(question: string, pieces: number): WorkerProcess;
}

/** A session that a process is answering in, slowly, and processes that want to ask it next. */
async function queueing({ pieces, limits = {} }: { pieces: number; limits?: Partial<Limits> }): Promise<Queueing> {
  const place = await openPlace();
  const sessions = await openSessions({ store: place.store, sweep: false });
  const workers: WorkerProcess[] = [];
  const start = (question: string, pieces: number): WorkerProcess => {
    const task = { kind: "consult", session: "s", question, pieces, busy: "queue" } as const;
    const worker = new WorkerProcess({ store: place.store, limits, task });
    workers.push(worker);
    return worker;
  };
  const running = start("running", pieces);
  await running.hear("asked");
  let waiting = 0;
  return {
    sessions,
    running,
    start,
    async ask(question) {
      const worker = start(question, 2);
      waiting++;
      while ((await sessions.get("s")).info.waiting < waiting) await sleep(5);
      return worker;
    },
    async [Symbol.asyncDispose]() {
      for (const worker of workers) await worker.kill();
      await sessions.close();
      await place[Symbol.asyncDispose]();
    },
  };
}

async function questionsOf(sessions: Sessions): Promise<string[]> {
  const turns = await Array.fromAsync((await sessions.get("s")).turns());
  return turns.map(({ input, status }) => `${String(input[0]?.content)} ${status}`);
}

test("four processes that wait for an answer are served in the order of arrival", async () => {
  await using queue = await queueing({ pieces: 5000 });
  const waiting: WorkerProcess[] = [];
  for (const name of ["first", "second", "third", "fourth"]) waiting.push(await queue.ask(name));
  await (await queue.sessions.get("s")).cancel();
  for (const worker of waiting) assert.equal((await worker.hear("status"))["status"], "done");
  assert.deepEqual(await questionsOf(queue.sessions), [
    "running 5000 interrupted",
    "first 2 done",
    "second 2 done",
    "third 2 done",
    "fourth 2 done",
  ]);
});

test("a process over the queue limit fails at once with queue_full", async () => {
  await using queue = await queueing({ pieces: 5000, limits: { waitersMax: 2 } });
  await queue.ask("first");
  await queue.ask("second");
  assert.equal((await queue.start("third", 2).hear("code"))["code"], "queue_full");
  assert.equal((await queue.sessions.get("s")).info.waiting, 2);
});

test("a killed waiter blocks those behind it only until its place expires", async () => {
  await using queue = await queueing({ pieces: 5000 });
  const first = await queue.ask("killed");
  const second = await queue.ask("second");
  await first.kill();
  await (await queue.sessions.get("s")).cancel();
  assert.equal((await second.hear("status"))["status"], "done");
  assert.deepEqual(await questionsOf(queue.sessions), ["running 5000 interrupted", "second 2 done"]);
});

test("killing the running process lets the next waiter run, and seals the abandoned turn", async () => {
  await using queue = await queueing({ pieces: 5000 });
  const next = await queue.ask("next");
  await queue.running.kill();
  assert.equal((await next.hear("status"))["status"], "done");
  assert.deepEqual(await questionsOf(queue.sessions), ["running 5000 interrupted", "next 2 done"]);
});
