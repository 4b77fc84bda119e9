/** Hundreds of live sessions under traffic, one of which fails in every way there is. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHost, type Isolation } from "../../src/host/index.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { forwardClock } from "../support/forward-clock.ts";
import { rounds } from "../support/rounds.ts";
import { p99Of, Traffic, type Sent, type Talk } from "./traffic.ts";

const runtime = new URL("./keyed.ts", import.meta.url);
const mortal = "mortal";
const crowd = rounds(500, 125);
/** The time between two messages to a session, ms. One message a millisecond is on its way to the crowd. */
const crowdEveryMs = crowd;
const turnTimeoutMs = 60_000;

/** Every message was answered with the number of its turn. Each turn is stored once, and there are no others. */
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
  /** In a pool, the thread ends as well. */
  readonly endsThread: boolean;
}

interface Load {
  readonly isolation: Isolation;
  /** Sessions beside the one that fails. */
  readonly others: number;
  /** The time between two messages to a session, ms. */
  readonly everyMs: number;
  readonly deaths: readonly Death[];
}

async function underLoad(t: TestContext, { isolation, others, everyMs, deaths }: Load): Promise<void> {
  const warnings: string[] = [];
  const warned = (warning: Error): void => void warnings.push(String(warning));
  process.on("warning", warned);
  const clock = forwardClock();
  await using sessions = await openSessions({ store: "memory:", sweep: false, clock });
  await using host = await startHost(sessions, {
    runtime,
    isolation,
    workers: 2,
    memoryMax: 64,
    turnTimeout: turnTimeoutMs,
    restart: { backoff: "10ms", max: 100 },
  });
  const ids = Array.from({ length: others }, (_, index) => `s${index}`);
  await Promise.all([...ids, mortal].map((id) => host.ensure(id)));
  await using before = new Traffic(host, ids, everyMs);
  await before.more(ids, 2);
  const calm = await before.stop();
  const calmMs = p99Of(calm.values());
  const allTalks = new Map<string, Talk>(calm);
  for (const { message, how, endsThread } of deaths) {
    const threads = new Map(await Promise.all(ids.map(async (id) => [id, await host.send(id, "thread")] as const)));
    const doomed = isolation === "pool" ? await host.send(mortal, "thread") : undefined;
    const shares = (id: string): boolean => endsThread && doomed !== undefined && threads.get(id) === doomed;
    const apart = ids.filter((id) => !shares(id));
    await using during = new Traffic(host, ids, everyMs);
    await during.more(ids, 1);
    const dying = assert.rejects(
      host.send(mortal, message),
      (error: Error & { code: string; details: { how: string } }) => {
        assert.equal(error.code, "runtime_failed");
        // A slow machine finds that the thread does nothing else before its memory is full.
        assert((how === "memory" ? [how, "deadline"] : [how]).includes(error.details.how), error.message);
        return true;
      },
    );
    const hangs = how === "deadline" && !endsThread;
    if (hangs) {
      while ((await sessions.get(mortal)).info.turn === 0) await sleep(10);
    } else {
      const answersBefore = during.answersOf(apart);
      await dying;
      if (how === "deadline") assert(during.answersOf(apart) > answersBefore, "the others wait for the blocked thread");
    }
    await during.more(ids, 1);
    const talks = await during.stop();
    if (hangs) clock.forward(turnTimeoutMs);
    await dying;
    for (const [id, talk] of talks) {
      allTalks.set(id, [...(allTalks.get(id) ?? []), ...talk]);
    }
    const ms = p99Of([...talks].flatMap(([id, talk]) => (shares(id) ? [] : [talk])));
    const sharedMs = p99Of([...talks].flatMap(([id, talk]) => (shares(id) ? [talk] : [])));
    const shared = Number.isNaN(sharedMs) ? "" : `; of those in its thread ${sharedMs.toFixed(1)} ms`;
    t.diagnostic(`${message}: p99 of the others ${ms.toFixed(1)} ms, ${calmMs.toFixed(1)} before${shared}`);
    assert.equal(typeof (await host.send(mortal, "x")), "number", "it is live again");
  }
  for (const [id, talk] of allTalks) await guardTurns(sessions, id, talk);
  assert.equal([...host.each()].length, others + 1);
  while (host.gauges().byPhase.restarting > 0) await sleep(10);
  assert.equal(host.gauges().byPhase.live, others + 1);
  await host.close();
  assert.equal(host.gauges().timers, 0);
  process.off("warning", warned);
  assert.deepEqual(warnings, []);
}

test(`pool: of ${crowd} sessions under traffic one throws, exits or leaks memory; the others answer, and nothing is lost`, async (t) => {
  await underLoad(t, {
    isolation: "pool",
    others: crowd - 1,
    everyMs: crowdEveryMs,
    deaths: [
      { message: "throw", how: "threw", endsThread: false },
      { message: "later", how: "threw", endsThread: false },
      { message: "exit", how: "exited", endsThread: false },
      { message: "hoard", how: "memory", endsThread: true },
    ],
  });
});

test(`pool: of ${crowd} sessions under traffic one hangs or loops; the others answer, and nothing is lost`, async (t) => {
  await underLoad(t, {
    isolation: "pool",
    others: crowd - 1,
    everyMs: crowdEveryMs,
    deaths: [
      { message: "hang", how: "deadline", endsThread: false },
      { message: "spin", how: "deadline", endsThread: true },
    ],
  });
});

test(`inline: of ${crowd} sessions under traffic one throws or hangs; the others answer, and nothing is lost`, async (t) => {
  await underLoad(t, {
    isolation: "inline",
    others: crowd - 1,
    everyMs: 500,
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
    deaths: [{ message: "kill", how: "exited", endsThread: true }],
  });
});
