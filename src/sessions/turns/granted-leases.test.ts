import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { joinQueue } from "../../domain/turns/leases.ts";
import { storeBefore, callStore } from "../../store/calls/forwarding-store.ts";
import { openMemory } from "../../store/memory.ts";
import { coreOf, sessionsOn } from "../sessions.ts";

const key = { tenant: "default", id: "s" };

test("turns in the queue of one process take three commits each, and read nothing", async () => {
  const calls = new Map<string, number>();
  const memory = openMemory();
  const store = storeBefore(memory, (method, args) => {
    calls.set(method, (calls.get(method) ?? 0) + 1);
    return callStore(memory, method, args);
  });
  await using sessions = sessionsOn(store, { sweep: false });
  await sessions.create({ id: "s" });
  const writers = await Promise.all(Array.from({ length: 8 }, () => sessions.get("s")));
  calls.clear();
  const [each, turns] = [10, 80];
  await Promise.all(
    writers.map(async (session) => {
      for (let count = 0; count < each; count++)
        await session.exclusive((inside) => inside.append({ input: "one", output: "two" }), { busy: "queue" });
    }),
  );
  assert.equal((await sessions.get("s")).info.counters.turns, turns);
  assert.ok((calls.get("commit") ?? 0) <= 3 * turns + writers.length, `${calls.get("commit")} commits`);
  assert.equal(calls.get("instances") ?? 0, 0);
});

test("a released lease is granted to the first waiter in the same commit", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const elsewhere = place.another();
  const held = await (await place.sessions.get("s")).lease();
  const order: string[] = [];
  const waiting = [elsewhere, place.sessions].map(async (sessions, index) => {
    const session = await sessions.get("s");
    while ((await record(place)).waiters.length < index) await new Promise(setImmediate);
    await session.exclusive(
      async (inside) => {
        order.push(sessions === elsewhere ? "elsewhere" : "here");
        await inside.append({ input: "one", output: "two" });
      },
      { busy: "queue" },
    );
  });
  while ((await record(place)).waiters.length < 2) await new Promise(setImmediate);
  const [first] = (await record(place)).waiters;
  await held.release();
  const { lease, fence } = await record(place);
  assert.deepEqual([lease?.ticket, lease?.fence], [first?.ticket, fence]);
  await Promise.all(waiting);
  assert.deepEqual(order, ["elsewhere", "here"]);
});

for (const [title, isAlive] of [
  ["died", false],
  ["lives, where its caller does not take it", true],
] as const) {
  test(`a lease granted to a process that ${title} passes on`, async () => {
    await using place = inMemory();
    await place.sessions.create({ id: "s" });
    const core = coreOf(place.sessions);
    const held = await (await place.sessions.get("s")).lease();
    if (isAlive)
      await place.shared.heartbeat({
        id: "i_other",
        host: "h",
        pid: 1,
        machine: "elsewhere",
        startedAt: "0",
        address: null,
        staleAfterMs: 600_000,
      });
    const waiter = { ticket: "t", instance: "i_other", until: core.now() + 5000, leaseMs: null };
    await core.commit([joinQueue(await record(place), [waiter], core.context())]);
    const done = (await place.sessions.get("s")).exclusive(async () => "done", { busy: "queue" });
    while ((await record(place)).waiters.length < 2) await new Promise(setImmediate);
    await held.release();
    assert.equal((await record(place)).lease?.instance, "i_other");
    await place.clock.advance(isAlive ? 6000 : 1500);
    assert.equal(await done, "done");
  });
}

test("a lease with a time limit that is granted and not taken passes on as soon as one without", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const core = coreOf(place.sessions);
  const held = await (await place.sessions.get("s")).lease();
  const instance = { id: "i_other", host: "h", pid: 1, machine: "elsewhere", startedAt: "0", address: null };
  await place.shared.heartbeat({ ...instance, staleAfterMs: 600_000 });
  const waiter = { ticket: "t", instance: "i_other", until: core.now() + 5000, leaseMs: 60_000 };
  await core.commit([joinQueue(await record(place), [waiter], core.context())]);
  const done = (await place.sessions.get("s")).exclusive(async () => "done", { busy: "queue", wait: "30s" });
  while ((await record(place)).waiters.length < 2) await new Promise(setImmediate);
  await held.release();
  assert.equal((await record(place)).lease?.instance, "i_other");
  await place.clock.advance(6000);
  assert.equal((await record(place)).lease?.instance === "i_other", false);
  assert.equal(await done, "done");
});

test("a lease with a time limit lasts that long where its caller waited for it", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const held = await session.lease();
  const waiting = (await place.another().get("s")).lease({ ttl: "60s", wait: "30s" });
  while ((await record(place)).waiters.length < 1) await new Promise(setImmediate);
  await held.release();
  const lease = await waiting;
  const { acquiredAt, expiresAt } = (await record(place)).lease ?? assert.fail("the session has a lease");
  assert.equal((expiresAt ?? 0) - acquiredAt, 60_000);
  await lease.release();
  assert.equal((await record(place)).lease, null);
});

for (const waits of [false, true])
  test(`a session whose lease has lapsed takes the next one${waits ? ", which it waited for" : ""}`, async () => {
    await using place = inMemory();
    const session = await place.sessions.create({ id: "s" });
    const lapsed = await session.lease({ ttl: "1s" });
    const waiting = waits ? session.lease({ wait: "10s" }) : undefined;
    if (waits) while ((await record(place)).waiters.length < 1) await new Promise(setImmediate);
    await place.clock.advance(3000);
    const next = await (waiting ?? session.lease());
    await lapsed.release(); // releases nothing
    assert.equal((await record(place)).lease?.fence, next.fence);
    await session.append({ input: "one", output: "two" });
    await next.release();
    assert.equal((await record(place)).lease, null);
  });

test("a waiter that gives up after the grant passes the lease on", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const elsewhere = place.another();
  const held = await (await place.sessions.get("s")).lease();
  const first = await elsewhere.get("s");
  const impatient = first.exclusive(async () => "late", { busy: "queue", wait: "1s" });
  while ((await record(place)).waiters.length < 1) await new Promise(setImmediate);
  const second = (await place.sessions.get("s")).exclusive(async () => "done", { busy: "queue" });
  while ((await record(place)).waiters.length < 2) await new Promise(setImmediate);
  const given = impatient.catch(({ code }: { code: string }) => code);
  await place.clock.advance(1001);
  await held.release();
  assert.ok(["late", "busy"].includes(await given));
  assert.equal(await second, "done");
  assert.deepEqual([(await record(place)).lease, (await record(place)).waiters], [null, []]);
});

async function record(place: { readonly shared: ReturnType<typeof inMemory>["shared"] }) {
  const { sessions } = await place.shared.load([{ key, tails: [] }]);
  const record = sessions[0]?.record;
  assert.ok(record);
  return record;
}
