import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { inputsOf } from "../../../test/support/inputs-of.ts";
import { passRetry, place } from "../../../test/support/store-away.ts";
import { sessionsOn } from "../sessions.ts";

test("without a fallback, a store that is away is a typed error", async () => {
  await using here = place();
  const plain = sessionsOn(here.store, { clock: here.clock, sweep: false });
  here.state.away = true;
  await assert.rejects(plain.ensure("s"), { code: "store_unavailable" });
  assert.equal((await plain.health()).store, "down");
  await assert.rejects(plain.create(), { code: "store_unavailable" });
});

test("with a fallback, a session works for the request and is marked as not durable, and health reports the outbox", async () => {
  await using here = place();
  const device = randomUUID();
  const before = await here.sessions.devices.open(device);
  await before.append({ input: "before" });
  assert.equal(before.durable, true);
  assert.equal((await here.sessions.health()).degraded, false);
  here.state.away = true;
  const session = await here.sessions.devices.open(device);
  assert.equal(session.durable, false);
  assert.equal(await (await session.consult("hello")).text(), "shown 1", "it remembers nothing from before");
  const again = await here.sessions.devices.open(device);
  assert.equal(await (await again.consult("and?")).text(), "shown 3", "and all since");
  const { store, degraded, fallbackSessions, outbox, breaker } = await here.sessions.health();
  assert.deepEqual([store, degraded, fallbackSessions], ["down", true, 2]);
  assert.deepEqual([outbox?.waiting, outbox?.sessions, outbox?.parked], [2, 1, []]);
  assert.notEqual(breaker.since, null);
});

test("while the store is away, writes to named logs are refused, because they could not be replayed", async () => {
  await using here = place();
  const before = await here.sessions.create({ id: "s" });
  const write = { logs: { notes: { entries: [{ value: 1 }] } } };
  here.state.away = true;
  const session = await here.sessions.devices.open(randomUUID());
  await assert.rejects(session.write(write), { code: "store_unavailable" });
  await assert.rejects(before.write(write), { code: "store_unavailable" });
  await assert.rejects(here.sessions.write([{ id: "s", ...write }]), { code: "store_unavailable" });
  await here.back();
  assert.deepEqual((await before.refresh()).logs, {});
});

test("the outbox holds the sessions alone, without records of devices", async () => {
  await using here = place();
  here.state.away = true;
  const session = await here.sessions.devices.open(randomUUID());
  await session.append({ input: "hello" });
  const { records } = await here.outbox.find({ order: "due", before: Number.MAX_SAFE_INTEGER, limit: 100 });
  assert.deepEqual(
    records.map(({ tenant, id }) => ({ tenant, id })),
    [{ tenant: "default", id: session.id }],
  );
});

test("when the store is back the outbox replays its turns in order, once, and before the next turn", async () => {
  await using here = place();
  const device = randomUUID();
  await (await here.sessions.devices.open(device)).append({ input: "1" });
  here.state.away = true;
  for (const input of ["2", "3", "4"])
    await (await here.sessions.devices.open(device)).append({ input, output: `re ${input}` });
  await here.back();
  const session = await here.sessions.devices.open(device);
  assert.equal(session.durable, true);
  await session.append({ input: "5" });
  assert.deepEqual(await inputsOf(await here.witness.devices.open(device)), ["1", "2", "3", "4", "5"]);
  const { store, degraded, outbox } = await here.sessions.health();
  assert.deepEqual([store, degraded, outbox?.waiting], ["up", false, 0]);
  const turns = await Array.fromAsync((await here.witness.devices.open(device)).turns());
  assert.equal(turns[1]?.output[0]?.content, "re 2");
  assert(turns.slice(1, 4).every(({ key }) => key?.startsWith("fallback_")));
  assert(Number(turns[1]?.at) < Number(turns[4]?.at) - 10_000, "with the time at which it was said");
});

test("an interrupted replay continues where it stopped, and no turn is written twice", async () => {
  await using here = place();
  const device = randomUUID();
  here.state.away = true;
  for (let index = 1; index <= 10; index++) {
    await (await here.sessions.devices.open(device)).append({ input: `${index}` }, { key: `mine ${index}` });
  }
  await here.back();
  // Every other commit is cut, some of them after they landed.
  here.state.fails = (commit) => commit % 2 === 0;
  for (let attempt = 0; attempt < 40; attempt++) {
    await here.clock.advance(20_000);
    await (await here.sessions.devices.open(device)).refresh().catch(() => undefined);
  }
  here.state.fails = () => false;
  await here.clock.advance(20_000);
  await here.sessions.devices.open(device);
  assert.deepEqual(
    await inputsOf(await here.witness.devices.open(device)),
    Array.from({ length: 10 }, (_, index) => `${index + 1}`),
  );
});

test("another process that replays the same outbox, as after a crash, writes no turn twice", async () => {
  await using here = place();
  const device = randomUUID();
  here.state.away = true;
  for (const input of ["1", "2"]) await (await here.sessions.devices.open(device)).append({ input });
  await here.back();
  await here.sessions.devices.open(device);
  const successor = sessionsOn(
    here.store,
    { clock: here.clock, sweep: false, secret: "a secret for tests only" },
    here.outbox,
  );
  await successor.devices.open(device);
  await (await successor.devices.open(device)).append({ input: "3" });
  assert.deepEqual(await inputsOf(await here.witness.devices.open(device)), ["1", "2", "3"]);
});

test("the replay keeps the turns that others wrote meanwhile, and replays the handoff", async () => {
  await using here = place();
  const session = await here.sessions.ensure("s");
  await session.append({ input: "before" });
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  await stateless.append({ input: "in the dark" });
  await stateless.handOff("scheduling", { ttl: "1h", note: "n" });
  await (await here.witness.get("s")).append({ input: "elsewhere" });
  await here.back();
  const back = await here.sessions.ensure("s");
  assert.deepEqual(await inputsOf(back), ["before", "elsewhere", "in the dark"]);
  const active = await back.activeAgent();
  assert.deepEqual([active?.agent, active?.note], ["scheduling", "n"]);
});

test("a replay without a handoff leaves the active agent of the store", async () => {
  await using here = place();
  const session = await here.sessions.ensure("s");
  await session.handOff("billing", { ttl: "1h" });
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  // A lease that is left and found dead tells an event, and none of the floor.
  await stateless.lease({ ttl: "1s" });
  await here.clock.advance(2000);
  await (await here.sessions.ensure("s")).append({ input: "in the dark" });
  await here.back();
  const back = await here.sessions.ensure("s");
  assert.deepEqual(await inputsOf(back), ["in the dark"]);
  assert.equal((await back.activeAgent())?.agent, "billing");
});

test("a session that the store refuses for good is parked and reported in health, and does not delay the others", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using here = place();
  await (await here.sessions.ensure("ended")).append({ input: "1" });
  here.state.away = true;
  await (await here.sessions.ensure("ended")).append({ input: "2" });
  await (await here.sessions.ensure("fine")).append({ input: "3" });
  await (await here.witness.get("ended")).end();
  await here.back();
  await here.sessions.ensure("fine");
  await assert.rejects(here.sessions.ensure("ended"), { code: "session_ended" });
  const parked = async () => (await here.sessions.health()).outbox?.parked ?? [];
  while ((await parked()).length === 0) await passRetry(t, here);
  assert.deepEqual(await parked(), [{ session: "ended", tenant: "default", code: "session_ended" }]);
  assert.deepEqual(await inputsOf(await here.witness.get("fine")), ["3"]);
  assert.deepEqual(await inputsOf(await here.witness.get("ended")), ["1"]);
});

test("the outbox refuses writes over its limit with a typed error", async () => {
  await using here = place({ limits: { outboxBytesMax: 20_000 } });
  here.state.away = true;
  const session = await here.sessions.ensure("s");
  await assert.rejects(
    async () => {
      for (let index = 0; index < 100; index++) await session.append({ input: "x".repeat(500) });
    },
    { code: "outbox_full" },
  );
  const kept = (await session.refresh()).turn;
  assert(kept > 5 && kept < 20, `${kept} turns were kept`);
  await here.back();
  assert.equal((await here.sessions.ensure("s")).info.turn, kept);
});

test("the limit of the outbox bounds every kind of change, and what it sends makes room", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using here = place({ limits: { outboxBytesMax: 40_000 }, agents: { assistant: {}, ceo: {} } });
  const kinds: Readonly<Record<string, (round: number) => Promise<unknown>>> = {
    "sessions that are only handed off": async (round) => (await here.sessions.ensure(`h${round}`)).handOff("ceo"),
    "one session that is handed off again and again": async (round) => {
      const session = await here.sessions.ensure("again");
      await session.handOff(round % 2 === 0 ? "ceo" : "assistant", { note: "x".repeat(500) });
    },
    metadata: (round) => here.sessions.ensure(`m${round}`, { metadata: { text: "x".repeat(1000) } }),
  };
  for (const [kind, change] of Object.entries(kinds)) {
    here.state.away = true;
    let taken = 0;
    const fill = async (): Promise<void> => {
      for (; taken < 1000; taken++) await change(taken);
    };
    await assert.rejects(fill(), { code: "outbox_full" }, kind);
    assert.ok(taken > 2 && taken < 100, `${kind}: ${taken}`);
    await here.back();
    // The outbox forgets what was sent ten minutes after its last change.
    await here.clock.advance(11 * 60_000);
    const held = async (): Promise<number> =>
      (await here.outbox.find({ order: "key", now: 0, limit: 1000 })).records.length;
    while ((await held()) > 0) await passRetry(t, here);
  }
});

test("health reads no records of the outbox, at any size", async () => {
  await using here = place();
  here.state.away = true;
  for (let index = 0; index < 300; index++) await (await here.sessions.ensure(`s${index}`)).append({ input: "1" });
  await here.sessions.health();
  let looks = 0;
  for (const name of ["find", "read", "load"] as const) {
    const call = here.outbox[name].bind(here.outbox) as () => never;
    Object.assign(here.outbox, { [name]: (...given: []) => (looks++, call(...given)) });
  }
  await (await here.sessions.ensure("s0")).append({ input: "2" });
  looks = 0;
  const { outbox, degraded } = await here.sessions.health();
  assert.deepEqual([outbox?.waiting, outbox?.sessions, degraded, looks], [301, 300, true, 0]);
  assert.ok(outbox?.oldest !== null);
});

test("closing replays the outbox; if the store stays away, an outbox in memory is lost with a typed error", async () => {
  const here = place();
  here.state.away = true;
  await (await here.sessions.ensure("s")).append({ input: "1" });
  const closing = here.sessions.close();
  const rejected = assert.rejects(closing, { code: "outbox_unsent", details: { turns: 1 } });
  await here.clock.advance(6000);
  await rejected;
  await here.witness.close();
});

test("closing closes both stores, also if the outbox cannot be read", async () => {
  const here = place();
  const closed: string[] = [];
  for (const [name, store] of Object.entries({ store: here.store, outbox: here.outbox }))
    Object.assign(store, { close: async () => void closed.push(name) });
  Object.assign(here.outbox, { find: () => Promise.reject(new Error("the disk of the outbox is gone")) });
  await assert.rejects(here.sessions.close(), { message: "the disk of the outbox is gone" });
  assert.deepEqual(closed, ["outbox", "store"]);
});

test("while the store is away, a lookup of a session that the fallback does not have fails with the store's error", async () => {
  await using here = place();
  await here.sessions.create({ id: "s" });
  here.state.away = true;
  await assert.rejects(here.sessions.get("s"), { code: "store_unavailable" });
  await assert.rejects(here.sessions.devices.find(randomUUID()), { code: "store_unavailable" });
  await here.sessions.ensure("t");
  assert.equal((await here.sessions.get("t")).durable, false);
  await assert.rejects(here.sessions.devices.linkCode(randomUUID()), { code: "store_unavailable" });
});
