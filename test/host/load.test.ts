/** A thousand live sessions under traffic, one of which comes to its end in every way there is. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHost, type Isolation } from "../../src/host/index.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { p99Of, Traffic, type Sent, type Talk } from "./traffic.ts";

const runtime = new URL("./keyed.ts", import.meta.url);
const mortal = "mortal";

/** Every message was answered with the number of its turn, which is there, once, and nothing else is. */
async function guardTurns(sessions: Sessions, id: string, talk: Talk): Promise<void> {
  const unanswered = talk.filter(({ answer }) => typeof answer !== "number");
  assert.equal(unanswered.length, 0, `${id}: ${show(unanswered)}`);
  const turns = await Array.fromAsync((await sessions.get(id)).turns());
  assert.deepEqual(
    turns.map(({ key, seq }) => ({ key, answer: seq })),
    talk.map(({ key, answer }) => ({ key, answer })),
  );
}

function show(sent: readonly Sent[]): string {
  return sent.map(({ ms, answer }) => `after ${ms.toFixed()} ms ${String(answer)}`).join("; ");
}

interface Death {
  readonly message: string;
  readonly how: string;
  /** It takes its thread with it, in a pool. */
  readonly endsThread: boolean;
}

interface Load {
  readonly isolation: Isolation;
  /** Sessions beside the one that dies. */
  readonly others: number;
  /** Each is spoken to so often, ms. */
  readonly everyMs: number;
  readonly turnTimeout: string;
  readonly deaths: readonly Death[];
}

async function underLoad(t: TestContext, { isolation, others, everyMs, turnTimeout, deaths }: Load): Promise<void> {
  const warnings: string[] = [];
  const warned = (warning: Error): void => void warnings.push(String(warning));
  process.on("warning", warned);
  await using sessions = await openSessions({ store: "memory:", sweep: false });
  await using host = await startHost(sessions, {
    runtime,
    isolation,
    workers: 2,
    memoryMax: 64,
    turnTimeout,
    restart: { backoff: "10ms", max: 100 },
  });
  const ids = Array.from({ length: others }, (_, index) => `s${index}`);
  await Promise.all([...ids, mortal].map((id) => host.ensure(id)));
  await using before = new Traffic(host, ids, everyMs);
  await before.more(ids, 2);
  const calm = await before.stop();
  const calmMs = p99Of(calm.values());
  const said = new Map<string, Talk>(calm);
  for (const { message, how, endsThread } of deaths) {
    const threads = new Map(await Promise.all(ids.map(async (id) => [id, await host.send(id, "thread")] as const)));
    const doomed = isolation === "pool" ? await host.send(mortal, "thread") : undefined;
    const shares = (id: string): boolean => endsThread && doomed !== undefined && threads.get(id) === doomed;
    const apart = ids.filter((id) => !shares(id));
    await using during = new Traffic(host, ids, everyMs);
    await during.more(ids, 1);
    const answersBefore = during.answersOf(apart);
    await assert.rejects(host.send(mortal, message), (error: Error & { code: string; details: { how: string } }) => {
      assert.equal(error.code, "runtime_failed");
      assert.equal(error.details.how, how);
      return true;
    });
    // A session that never comes to an end is given up at its deadline; until then the other threads answer.
    if (how === "deadline") assert(during.answersOf(apart) > answersBefore, "the others wait for the deadline");
    await during.more(ids, 1);
    const talks = await during.stop();
    for (const [id, talk] of talks) {
      said.set(id, [...(said.get(id) ?? []), ...talk]);
    }
    const ms = p99Of([...talks].flatMap(([id, talk]) => (shares(id) ? [] : [talk])));
    const sharedMs = p99Of([...talks].flatMap(([id, talk]) => (shares(id) ? [talk] : [])));
    const shared = Number.isNaN(sharedMs) ? "" : `; of those in its thread ${sharedMs.toFixed(1)} ms`;
    t.diagnostic(`${message}: p99 of the others ${ms.toFixed(1)} ms, ${calmMs.toFixed(1)} before${shared}`);
    assert.equal(typeof (await host.send(mortal, "x")), "number", "and is there again");
  }
  for (const [id, talk] of said) await guardTurns(sessions, id, talk);
  assert.equal([...host.each()].length, others + 1);
  while (host.metrics().byPhase.restarting > 0) await sleep(10);
  assert.equal(host.metrics().byPhase.live, others + 1);
  await host.close();
  assert.equal(host.metrics().timers, 0);
  process.off("warning", warned);
  assert.deepEqual(warnings, []);
}

test("pool: of 1 000 sessions under traffic one throws, exits or leaks memory; the others answer, and nothing is lost", async (t) => {
  await underLoad(t, {
    isolation: "pool",
    others: 999,
    everyMs: 1000,
    turnTimeout: "30s", // a heap fills slowly where the machine has other work
    deaths: [
      { message: "throw", how: "threw", endsThread: false },
      { message: "later", how: "threw", endsThread: false },
      { message: "exit", how: "exited", endsThread: false },
      { message: "hoard", how: "memory", endsThread: true },
    ],
  });
});

test("pool: of 1 000 sessions under traffic one hangs or loops; the others answer, and nothing is lost", async (t) => {
  await underLoad(t, {
    isolation: "pool",
    others: 999,
    everyMs: 1000,
    turnTimeout: "5s",
    deaths: [
      { message: "hang", how: "deadline", endsThread: false },
      { message: "loop", how: "deadline", endsThread: true },
    ],
  });
});

test("inline: of 1 000 sessions under traffic one throws or hangs; the others answer, and nothing is lost", async (t) => {
  await underLoad(t, {
    isolation: "inline",
    others: 999,
    everyMs: 500,
    turnTimeout: "5s",
    deaths: [
      { message: "throw", how: "threw", endsThread: false },
      { message: "hang", how: "deadline", endsThread: false },
    ],
  });
});

test("process: of six sessions under traffic one kills its process; the others answer, and nothing is lost", async (t) => {
  await underLoad(t, {
    isolation: "process",
    others: 5,
    everyMs: 20,
    turnTimeout: "10s",
    deaths: [{ message: "kill", how: "exited", endsThread: true }],
  });
});
