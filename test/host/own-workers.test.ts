/** Many sessions, each with a thread or a process of its own, under traffic, while some come to their end in every way there is. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHost, type Host, type Isolation } from "../../src/host/index.ts";
import { hasCode, openSessions, type Sessions } from "../../src/index.ts";

const runtime = new URL("./mortal.ts", import.meta.url);

/** What a session is told to die of, and how that is told. */
const deaths: Readonly<Record<string, string>> = {
  throw: "threw",
  reject: "exited",
  exit: "exited",
  hoard: "memory",
  loop: "deadline",
};
/** It would take the host along where the session has a thread only. */
const deathsOfProcesses: Readonly<Record<string, string>> = { ...deaths, kill: "exited" };

const everyMs = 250;
/** So long an endless loop runs before it is noticed. */
const turnTimeoutMs = 10_000;

/** Speak to a session until it is over; gives back the turns that it acknowledged. Every message is answered, or this fails. */
async function talk(host: Host, id: string, isOver: () => boolean): Promise<readonly number[]> {
  const turns: number[] = [];
  await sleep(Math.random() * everyMs);
  while (!isOver()) {
    turns.push(Number(await host.send(id, "append")));
    await sleep(everyMs);
  }
  return turns;
}

/** Die, and come back; twice, for a successor may die as well. */
async function dieOf(host: Host, message: string, how: string): Promise<void> {
  for (const _ of message === "loop" ? [1] : [1, 2]) {
    await assert.rejects(host.send(message, message), (error) => {
      assert(hasCode(error, "runtime_failed"), `${message}: ${String(error)}`);
      assert.equal(error.details.how, how, message);
      return true;
    });
    assert.equal(typeof (await host.send(message, "x")), "number", `after "${message}" it is there again`);
  }
}

async function guardTurns(sessions: Sessions, id: string, acknowledged: readonly number[]): Promise<void> {
  const turns = await Array.fromAsync((await sessions.get(id)).turns());
  const expected = Array.from({ length: turns.length }, (_, turn) => turn + 1);
  assert.deepEqual(
    turns.map(({ input }) => Number(input[0]?.content)),
    expected,
    `${id}: each turn is there once, in order`,
  );
  assert.deepEqual(acknowledged, expected, `${id}: each was acknowledged, once`);
}

async function underLoad(
  t: TestContext,
  { isolation, others, deaths }: { isolation: Isolation; others: number; deaths: Readonly<Record<string, string>> },
): Promise<void> {
  await using sessions = await openSessions({ store: "memory:", sweep: false });
  await using host = await startHost(sessions, {
    runtime,
    isolation,
    memoryMax: 64,
    turnTimeout: turnTimeoutMs,
    restart: { backoff: "10ms", max: 10 },
  });
  const mortals = Object.keys(deaths);
  const ids = Array.from({ length: others }, (_, index) => `s${index}`);
  const began = performance.now();
  const all = [...mortals, ...ids];
  // A few at a time: many threads that start at once keep each other from it.
  for (let from = 0; from < all.length; from += 8)
    await Promise.all(all.slice(from, from + 8).map((id) => host.ensure(id)));
  const startedMs = performance.now() - began;
  let isOver = false;
  const talks = ids.map((id) => talk(host, id, () => isOver));
  const dying = Promise.all(Object.entries(deaths).map(([message, how]) => dieOf(host, message, how)));
  await Promise.race([dying, Promise.all(talks)]); // who talks ends before only where it fails
  isOver = true;
  const acknowledged = await Promise.all(talks);
  await dying;
  for (const [index, id] of ids.entries()) await guardTurns(sessions, id, acknowledged[index] ?? []);
  const { byPhase, counts } = host.metrics();
  assert.equal(byPhase.live, others + mortals.length);
  assert.equal(counts.failed, 0);
  assert.equal(counts.crashed, 2 * mortals.length - 1, "nobody died beside those that were told to");
  assert.equal(host.metrics().workers.length, others + mortals.length + 1, "one for each, and the next one");
  const answers = acknowledged.reduce((sum, turns) => sum + turns.length, 0);
  const ms = performance.now() - began;
  t.diagnostic(
    `${others + mortals.length} started in ${startedMs.toFixed()} ms; ${answers} answers while ${mortals.length} died; ${ms.toFixed()} ms in all`,
  );
}

test("session: of 40 sessions with their own threads, each kind of death ends one; the others answer every message", async (t) => {
  await underLoad(t, { isolation: "session", others: 40 - Object.keys(deaths).length, deaths });
});

test("process: of 12 sessions with their own processes, each kind of death ends one; the others answer every message", async (t) => {
  await underLoad(t, {
    isolation: "process",
    others: 12 - Object.keys(deathsOfProcesses).length,
    deaths: deathsOfProcesses,
  });
});
