/**
 * As a program: many sessions that live, go to sleep and come back. Fails where one of them is lost, or they cost
 * too much; says what they cost. A program of its own, for a test runner follows every promise, which costs more than all
 * of them.
 */
import assert from "node:assert/strict";
import { mock } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHost, type LiveSession } from "../../src/host/index.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { openMemory } from "../../src/store/memory.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { heapBytes } from "../support/heap.ts";
import { rounds } from "../support/rounds.ts";

export const count: number = rounds(20_000, 6000);
const bytesMax = 4096;

const runtime = {
  async onMessage(session: LiveSession): Promise<number> {
    const count = ((session.state as number | undefined) ?? 0) + 1;
    session.state = count;
    return count;
  },
};

async function inSteps(ids: readonly string[], work: (id: string) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < ids.length; from += 1000) await Promise.all(ids.slice(from, from + 1000).map(work));
}

async function liveAndSleep(): Promise<void> {
  const clock = scriptedClock();
  await using sessions = sessionsOn(openMemory({ clock }), { clock, sweep: false });
  const ids = Array.from({ length: count }, (_, index) => `s${index}`);
  await inSteps(ids, (id) => sessions.create({ id }));
  await using host = await startHost(sessions, { runtime, maxSessions: count, idleTimeout: "15m" });
  await host.send("s0", "hello"); // what is made once
  const asleepBefore = await heapBytes();
  const timers = [mock.method(globalThis, "setTimeout"), mock.method(globalThis, "setInterval")];
  await inSteps(ids, (id) => host.send(id, "hello"));
  const made = timers.reduce((sum, timer) => sum + timer.mock.callCount(), 0);
  mock.restoreAll();
  assert(made <= 2, `${made} timers were made`);
  assert.equal(host.gauges().live, count);
  assert.equal(host.gauges().byPhase.live, count);
  const live = await heapBytes();

  await clock.advance(14 * 60_000);
  await sleep(300);
  assert.equal(host.gauges().live, count, "not before their time");
  await clock.advance(2 * 60_000);
  while (host.gauges().live > 0) await sleep(100);
  assert.equal(host.gauges().counts.passivated, count);
  assert.equal(host.gauges().timers, 0);
  assert.deepEqual([...host.each()], []);
  const asleep = await heapBytes();
  const each = (live - asleep) / count;
  process.stdout.write(
    `${each.toFixed()} bytes per idle live session; asleep ${((asleep - asleepBefore) / count).toFixed()}\n`,
  );
  assert(each <= bytesMax, `${each} bytes per idle live session`);
  assert.equal(await host.send("s7", "hello"), 2, "and they come back where they were");
}

if (import.meta.main) await liveAndSleep();
