import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionError } from "../../errors.ts";
import { scriptedClock } from "../../testing/scripted-clock.ts";
import { Breaker } from "./breaker.ts";
import { openMemory } from "../memory.ts";
import type { Store } from "../store.ts";

/** A store that is away when it is told to be, and counts how often it is asked. */
function awayStore() {
  const clock = scriptedClock();
  const memory = openMemory({ clock });
  const place = {
    clock,
    away: false,
    asked: 0,
    error: () =>
      new SessionError("store_unavailable", { store: "s", problem: "unreachable" }, { reported: "gone" }) as Error,
  };
  const store: Store = {
    ...memory,
    capabilities: memory.capabilities,
    async instances(ids) {
      place.asked++;
      if (place.away) throw place.error();
      return await memory.instances(ids);
    },
  };
  return { ...place, place, breaker: new Breaker(store, { clock, failuresMax: 3 }) };
}

const away = { code: "store_unavailable" };

test("after three failures in a row the breaker is open, and asks once after a pause that grows", async () => {
  const { place, clock, breaker } = awayStore();
  place.away = true;
  for (let call = 0; call < 100; call++) await assert.rejects(breaker.store.instances([]), away);
  assert.equal(place.asked, 3, "a hundred calls cost three");
  assert.equal(breaker.state.state, "open");
  assert.deepEqual(
    [breaker.state.since, breaker.state.reason],
    [new Date(clock.now()), "the store s cannot be reached: gone"],
  );
  await assert.rejects(breaker.store.instances([]), {
    message: /the next attempt is in \d+ ms; the request was not sent; .*gone$/,
  });
  await clock.advance(700);
  assert.equal(breaker.state.state, "probing");
  await assert.rejects(breaker.store.instances([]), away);
  await assert.rejects(breaker.store.instances([]), away);
  assert.equal(place.asked, 4, "one probe, and the next pause");
  await clock.advance(700);
  await assert.rejects(breaker.store.instances([]), away);
  assert.equal(place.asked, 4, "longer than the first");
  for (let round = 0; round < 20; round++) {
    await clock.advance(15_000);
    await assert.rejects(breaker.store.instances([]), away);
  }
  assert(place.asked >= 20, "never longer than a quarter of a minute");
  place.away = false;
  await clock.advance(15_000);
  await breaker.store.instances([]);
  assert.deepEqual(breaker.state, { state: "closed", since: null, reason: null });
});

test("after the pause, one of many concurrent calls goes through", async () => {
  const { place, clock, breaker } = awayStore();
  place.away = true;
  for (let call = 0; call < 3; call++) await assert.rejects(breaker.store.instances([]), away);
  place.away = false;
  await clock.advance(1000);
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => breaker.store.instances([])));
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  assert.equal(place.asked, 4);
  await breaker.store.instances([]);
});

test("typed refusals, and failures with a success in between, do not open the breaker", async () => {
  const { place, breaker } = awayStore();
  place.away = true;
  place.error = () => new SessionError("store_busy", { store: "s", waitedMs: 1 });
  for (let call = 0; call < 10; call++) await assert.rejects(breaker.store.instances([]), { code: "store_busy" });
  place.error = () =>
    new SessionError("store_unavailable", { store: "s", problem: "unreachable" }, { reported: "gone" });
  for (let call = 0; call < 10; call++) {
    place.away = true;
    await assert.rejects(breaker.store.instances([]), away);
    await assert.rejects(breaker.store.instances([]), away);
    place.away = false;
    await breaker.store.instances([]);
  }
  assert.equal(place.asked, 40);
});

test("many calls under way when the store goes away count as one failure for the pause, and late ones do not prolong it", async () => {
  const { place, clock, breaker } = awayStore();
  place.away = true;
  await Promise.allSettled(Array.from({ length: 100 }, () => breaker.store.instances([])));
  assert.equal(place.asked, 100);
  await clock.advance(700);
  place.away = false;
  await breaker.store.instances([]);
  assert.equal(breaker.state.state, "closed");
});

test("a store without types may answer or throw at once: both count as answers of a promise do", async () => {
  const { place } = awayStore();
  const untyped = {
    ...openMemory(),
    count: () => 7,
    find: () => {
      throw place.error();
    },
  } as unknown as Store;
  const behind = new Breaker(untyped, { clock: place.clock, failuresMax: 1 });
  assert.equal(await behind.store.count({ now: 0 }), 7);
  await assert.rejects(behind.store.find({ order: "key", limit: 1, now: 0 }), away);
  assert.equal(behind.state.state, "open");
});
