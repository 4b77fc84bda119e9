/** Many sessions, each in its own thread or process, under traffic, while some of them fail in every way there is. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHost, type Host, type Isolation } from "../../src/host/index.ts";
import { hasCode, openSessions, type Sessions } from "../../src/index.ts";
import { forwardClock } from "../support/forward-clock.ts";
import { rounds } from "../support/rounds.ts";

const runtime = new URL("./mortal.ts", import.meta.url);

/** The message that ends a session, and the reported way of its end. */
const deaths: Readonly<Record<string, string>> = {
  throw: "threw",
  reject: "exited",
  exit: "exited",
  hoard: "memory",
  loop: "deadline",
};
/** A session in a thread that kills its process ends the host. */
const deathsOfProcesses: Readonly<Record<string, string>> = { ...deaths, kill: "exited" };

const everyMs = 250;
const turnTimeoutMs = 60_000;

/** Send a session messages until `isOver`; gives back the turns that it acknowledged. Fails if a message is not answered. */
async function talk(host: Host, id: string, isOver: () => boolean): Promise<readonly number[]> {
  const turns: number[] = [];
  await sleep(Math.random() * everyMs);
  while (!isOver()) {
    turns.push(Number(await host.send(id, "append")));
    await sleep(everyMs);
  }
  return turns;
}

/** End a session and its successor, and see it live again after each end. */
async function dieOf(host: Host, message: string, how: string): Promise<void> {
  for (const _ of message === "loop" ? [1] : [1, 2]) {
    await assert.rejects(host.send(message, message), (error) => {
      assert(hasCode(error, "runtime_failed"), `${message}: ${String(error)}`);
      assert.equal(error.details.how, how, message);
      return true;
    });
    assert.equal(typeof (await host.send(message, "x")), "number", `after "${message}" it is live again`);
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
  { isolation, count, deaths }: { isolation: Isolation; count: number; deaths: Readonly<Record<string, string>> },
): Promise<void> {
  const clock = forwardClock();
  await using sessions = await openSessions({ store: "memory:", sweep: false, clock });
  await using host = await startHost(sessions, {
    runtime,
    isolation,
    memoryMax: 64,
    turnTimeout: turnTimeoutMs,
    restart: { backoff: "10ms", max: 10 },
  });
  const mortals = Object.keys(deaths);
  const ids = Array.from({ length: count - mortals.length }, (_, index) => `s${index}`);
  const began = performance.now();
  const all = [...mortals, ...ids];
  // Many threads that start at the same time slow each other down.
  for (let from = 0; from < all.length; from += 8)
    await Promise.all(all.slice(from, from + 8).map((id) => host.ensure(id)));
  const startedMs = performance.now() - began;
  let isOver = false;
  const talks = ids.map((id) => talk(host, id, () => isOver));
  const looping = dieOf(host, "loop", "deadline");
  looping.catch(() => undefined); // reported below
  const { loop: _, ...others } = deaths;
  const dying = Promise.all(Object.entries(others).map(([message, how]) => dieOf(host, message, how)));
  const isLooping = async (): Promise<boolean> => (await sessions.get("loop")).info.turn > 0;
  await Promise.race([dying, Promise.all(talks)]); // a talk ends before only if it fails
  await dying;
  while (!(await isLooping())) await sleep(10);
  isOver = true;
  const acknowledged = await Promise.all(talks);
  clock.forward(turnTimeoutMs);
  await looping;
  for (const [index, id] of ids.entries()) await guardTurns(sessions, id, acknowledged[index] ?? []);
  const { byPhase, counts } = host.gauges();
  assert.equal(byPhase.live, count);
  assert.equal(counts.failed, 0);
  assert.equal(counts.crashed, 2 * mortals.length - 1, "no other session failed");
  assert.equal(host.gauges().workers.length, count + 1, "one for each, and the next one");
  const answers = acknowledged.reduce((sum, turns) => sum + turns.length, 0);
  const ms = performance.now() - began;
  t.diagnostic(
    `${count} started in ${startedMs.toFixed()} ms; ${answers} answers while ${mortals.length} died; ${ms.toFixed()} ms in all`,
  );
}

const threads = rounds(40, 16);

test(`session: of ${threads} sessions in their own threads, each kind of end ends one; the others answer every message`, async (t) => {
  await underLoad(t, { isolation: "session", count: threads, deaths });
});

test("process: of 12 sessions in their own processes, each kind of end ends one; the others answer every message", async (t) => {
  await underLoad(t, { isolation: "process", count: 12, deaths: deathsOfProcesses });
});
