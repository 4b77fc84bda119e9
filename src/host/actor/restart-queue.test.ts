import assert from "node:assert/strict";
import { test } from "node:test";
import { countTimers, settled } from "../../../test/support/count-timers.ts";
import { RestartQueue, type QueuedRestart } from "./restart-queue.ts";

/** Records the order of turns, by name. */
function recordTurns(places: Readonly<Record<string, QueuedRestart>>): string[] {
  const turns: string[] = [];
  for (const [name, { turn }] of Object.entries(places)) {
    void turn.then((isTurn) => turns.push(isTurn ? name : `not ${name}`));
  }
  return turns;
}

test("sessions with waiting callers restart first, one at a time, until the queue is empty", async () => {
  let quiet = 0;
  const queue = new RestartQueue(() => quiet++);
  const first = queue.enter(false);
  const [idle, leaves, hurried, awaited] = [false, false, false, true].map((one) => queue.enter(one));
  assert(idle !== undefined && leaves !== undefined && hurried !== undefined && awaited !== undefined);
  const turns = recordTurns({ first, idle, leaves, hurried, awaited });
  hurried.prioritize();
  leaves.leave();
  assert.equal(await idle.turn, true);
  assert.deepEqual(turns, ["first", "not leaves", "awaited", "hurried", "idle"]);
  assert.equal(quiet, 0);
  for (const place of [first, idle, leaves, hurried, awaited, first]) place.leave();
  assert.equal(quiet, 1, "all are back, once");
});

test("concurrent restarts are limited", async () => {
  const queue = new RestartQueue(() => undefined);
  const places = Array.from({ length: 100 }, () => queue.enter(true));
  const turns = recordTurns(Object.fromEntries(places.entries()));
  await places[63]?.turn;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(turns.length, 64);
  for (const place of places) place.leave();
  await Promise.all(places.map(({ turn }) => turn));
});

test("a closed queue has no timer, and starts no further restart", async () => {
  const timers = countTimers();
  const queue = new RestartQueue(() => undefined);
  const [first, second] = [queue.enter(true), queue.enter(true)];
  assert.equal(await first.turn, true);
  queue.close();
  first.leave();
  second.leave();
  assert.equal(await second.turn, false);
  await settled();
  timers.stop();
  assert.deepEqual(timers.running(), []);
});
