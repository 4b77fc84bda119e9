import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleAt } from "./samples.ts";
import { scriptedClock } from "./scripted-clock.ts";

test("time stands still until the test moves it", async () => {
  const clock = scriptedClock();
  assert.equal(clock.now(), sampleAt);
  await clock.advance(250);
  assert.equal(clock.now(), sampleAt + 250);
  clock.set(5);
  assert.equal(clock.now(), 5);
});

test("sleeps end in the order of their times, each at its own time", async () => {
  const clock = scriptedClock(0);
  const woken: [string, number][] = [];
  const sleep = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms);
    woken.push([name, clock.now()]);
  };
  const sleeps = [sleep("late", 300), sleep("early", 100), sleep("later", 301), sleep("as early", 100)];
  assert.equal(clock.sleeping, 4);
  await clock.advance(99);
  assert.deepEqual(woken, []);
  await clock.advance(201);
  assert.deepEqual(woken, [
    ["early", 100],
    ["as early", 100],
    ["late", 300],
  ]);
  assert.equal(clock.sleeping, 1);
  await clock.advance(1);
  await Promise.all(sleeps);
});

test("a sleep that begins while time passes ends in time", async () => {
  const clock = scriptedClock(0);
  const beats: number[] = [];
  const stopped = new AbortController();
  const beating = (async (): Promise<void> => {
    for (;;) {
      await clock.sleep(100, stopped.signal);
      beats.push(clock.now());
    }
  })();
  await clock.advance(350);
  assert.deepEqual(beats, [100, 200, 300]);
  stopped.abort(new Error("stop"));
  await assert.rejects(beating, /stop/);
  assert.equal(clock.sleeping, 0);
  await assert.rejects(clock.sleep(1, stopped.signal), /stop/);
});

test("random numbers repeat with their seed", () => {
  const bytes = scriptedClock(0, 7).random(1000);
  assert.deepEqual(scriptedClock(0, 7).random(1000), bytes);
  assert.notDeepEqual(scriptedClock(0, 8).random(1000), bytes);
  assert.ok(new Set(bytes).size > 200, "and it is no constant");
});
