import assert from "node:assert/strict";
import { test } from "node:test";
import { RestartQueue, type QueuedRestart } from "./restart-queue.ts";

/** Note when it is somebody's turn, by name. */
function noted(places: Readonly<Record<string, QueuedRestart>>): string[] {
  const turns: string[] = [];
  for (const [name, { turn }] of Object.entries(places)) {
    void turn.then((isTurn) => turns.push(isTurn ? name : `not ${name}`));
  }
  return turns;
}

test("those that somebody waits for come back first, one at a time, and all who stay do", async () => {
  let quiet = 0;
  const returns = new RestartQueue(() => quiet++);
  const first = returns.enter(false);
  const [idle, leaves, hurried, awaited] = [false, false, false, true].map((one) => returns.enter(one));
  assert(idle !== undefined && leaves !== undefined && hurried !== undefined && awaited !== undefined);
  const turns = noted({ first, idle, leaves, hurried, awaited });
  hurried.hurry();
  leaves.leave();
  assert.equal(await idle.turn, true);
  assert.deepEqual(turns, ["first", "not leaves", "awaited", "hurried", "idle"]);
  assert.equal(quiet, 0);
  for (const place of [first, idle, leaves, hurried, awaited, first]) place.leave();
  assert.equal(quiet, 1, "all are back, once");
});

test("no more come back at the same time than may, however many want to", async () => {
  const returns = new RestartQueue(() => undefined);
  const places = Array.from({ length: 100 }, () => returns.enter(true));
  const turns = noted(Object.fromEntries(places.entries()));
  await places[63]?.turn;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(turns.length, 64);
  for (const place of places) place.leave();
  await Promise.all(places.map(({ turn }) => turn));
});
