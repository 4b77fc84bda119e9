import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { inputsOf } from "../../../test/support/inputs-of.ts";
import { passRetry, place } from "../../../test/support/store-away.ts";
import { identityOf } from "../../domain/record/change.ts";
import { sessionsOn } from "../sessions.ts";

test("a turn with a key that the store has with other content is parked and reported in health, and the turns around it are replayed", async () => {
  await using here = place();
  await (await here.sessions.ensure("s")).append({ input: "before" }, { key: "k" });
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  await stateless.append({ input: "1" });
  await stateless.append({ input: "other" }, { key: "k" });
  await stateless.append({ input: "2" });
  await here.back();
  assert.deepEqual(await inputsOf(await here.sessions.ensure("s")), ["before", "1", "2"]);
  const { outbox, degraded } = await here.sessions.health();
  assert.deepEqual(outbox?.parked, [{ session: "s", tenant: "default", turn: 2, code: "key_reused" }]);
  assert.deepEqual([outbox?.waiting, degraded], [1, true], "what is parked is not in the store");
});

test("a damaged turn of the outbox is parked and reported in health, and the turns around it are replayed", async () => {
  await using here = place();
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  for (const input of ["1", "2", "3"]) await stateless.append({ input });
  const key = { tenant: "default", id: "s" };
  const record = (await here.outbox.load([{ key, tails: [] }])).sessions[0]?.record ?? assert.fail();
  const range = { log: "turns", from: 2, to: 3, order: "ascending", limit: 2 } as const;
  const [two, three] = await here.outbox.read(key, range);
  assert.ok(two !== undefined && three !== undefined);
  const splices = [{ log: "turns", from: 2, entries: [{ ...two, data: "{" }, three] }];
  const next = { ...record, version: record.version + 1 };
  await here.outbox.commit([[{ key, expected: identityOf(record), record: next, splices, claims: [] }]]);
  await here.back();
  assert.deepEqual(await inputsOf(await here.sessions.ensure("s")), ["1", "3"]);
  const { outbox } = await here.sessions.health();
  assert.deepEqual(outbox?.parked, [{ session: "s", tenant: "default", turn: 2, code: "store_invalid" }]);
});

test("a session cannot be ended without the store, and its turns are replayed", async () => {
  await using here = place();
  await (await here.sessions.ensure("s")).append({ input: "1" });
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  await stateless.append({ input: "2" });
  await assert.rejects(stateless.end(), { code: "store_unavailable" });
  assert.equal((await here.sessions.health()).outbox?.waiting, 1);
  await here.back();
  await here.sessions.ensure("s").catch(() => undefined);
  assert.deepEqual(await inputsOf(await here.witness.get("s")), ["1", "2"]);
});

test("turns cannot be truncated without the store, so that no later turn is hidden", async () => {
  await using here = place();
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  for (const input of ["1", "2", "3"]) await stateless.append({ input });
  await here.back();
  await here.sessions.ensure("s");
  await assert.rejects(stateless.truncate(1), { code: "store_unavailable" });
  await stateless.append({ input: "4" });
  assert.deepEqual(await inputsOf(await here.sessions.ensure("s")), ["1", "2", "3", "4"]);
});

test("metadata cannot be changed without the store", async () => {
  await using here = place();
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  await assert.rejects(stateless.update({ metadata: { a: 1 } }), { code: "store_unavailable" });
});

test("the turns of a linked device in the outbox are replayed before its next turn", async () => {
  await using here = place();
  const [first, second] = [randomUUID(), randomUUID()];
  await (await here.sessions.devices.open(first)).append({ input: "1" });
  const { code } = await here.sessions.devices.linkCode(first);
  await here.sessions.devices.link(second, code);
  here.state.away = true;
  await (await here.sessions.devices.open(second)).append({ input: "2" });
  await here.back();
  await (await here.sessions.devices.open(second)).append({ input: "3" });
  assert.deepEqual(await inputsOf(await here.witness.devices.open(first)), ["1", "2", "3"]);
});

test("a successor does not replay a turn again, also if the device has another session by then", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using here = place();
  const [first, second] = [randomUUID(), randomUUID()];
  await (await here.witness.devices.open(first)).append({ input: "first" });
  here.state.away = true;
  await (await here.sessions.devices.open(second)).append({ input: "second" });
  await here.back();
  await here.sessions.devices.open(second);
  assert.deepEqual(await inputsOf(await here.witness.devices.open(second)), ["second"]);
  const { code } = await here.witness.devices.linkCode(first);
  await here.witness.devices.link(second, code);
  const successor = sessionsOn(
    here.store,
    { clock: here.clock, sweep: false, secret: "a secret for tests only" },
    here.outbox,
  );
  await successor.devices.open(second);
  for (let retry = 0; retry < 3; retry++) await passRetry(t, here);
  assert.deepEqual(await inputsOf(await here.witness.devices.open(first)), ["first"]);
});

test("a successor does not replay a handoff again over a newer one", async () => {
  await using here = place();
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  await stateless.handOff("scheduling");
  await here.back();
  await here.sessions.ensure("s");
  await (await here.witness.get("s")).handOff("billing");
  const successor = sessionsOn(here.store, { clock: here.clock, sweep: false }, here.outbox);
  const session = await successor.ensure("s");
  assert.equal((await session.activeAgent())?.agent, "billing");
});

test("closing a second time does nothing", async () => {
  await using here = place();
  await here.sessions.ensure("s");
  await here.sessions.close();
  await here.sessions.close();
});

test("an answer that still runs when the sessions are closed is sealed and replayed", async () => {
  await using here = place();
  here.state.away = true;
  const stateless = await here.sessions.ensure("s");
  await stateless.begin("a question");
  await here.back();
  await here.sessions.close();
  assert.deepEqual(await inputsOf(await here.witness.get("s")), ["a question"]);
});

test("a session with an id from the caller is not created without the store", async () => {
  await using here = place();
  await (await here.witness.create({ id: "s", user: "alice" })).append({ input: "hers" });
  here.state.away = true;
  await assert.rejects(here.sessions.create({ id: "s", user: "bob" }), { code: "store_unavailable" });
  assert.equal(
    (await here.sessions.create()).durable,
    false,
    "a session that the fallback created has no writer in the store",
  );
});

test("a store that is read-only for a while parks nothing", async () => {
  await using here = place();
  await here.sessions.ensure("s");
  here.state.away = true;
  await (await here.sessions.ensure("s")).append({ input: "1" });
  await here.back();
  here.state.readOnly = true;
  await here.sessions.ensure("s").catch(() => undefined);
  here.state.readOnly = false;
  await here.sessions.ensure("s");
  assert.deepEqual((await here.sessions.health()).outbox?.parked, []);
  assert.deepEqual(await inputsOf(await here.witness.get("s")), ["1"]);
});

test("a session that fails with an unexpected error does not delay the others, and health names it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using here = place();
  here.state.away = true;
  for (const id of ["a", "bad", "c"]) await (await here.sessions.ensure(id)).append({ input: id });
  const read = here.outbox.read.bind(here.outbox);
  let isBroken = true;
  here.outbox.read = async (key, range) => {
    if (isBroken && key.id === "bad" && range.log === "turns") throw new TypeError("an unexpected error");
    return await read(key, range);
  };
  await here.back();
  // It fails before the one behind it is sent: what waits says when the pass is over.
  const outbox = async (): Promise<unknown> => {
    const { waiting, failing } = (await here.sessions.health()).outbox ?? {};
    return { waiting, failing };
  };
  const failing = [{ session: "bad", tenant: "default", code: "internal" }];
  while (!isDeepStrictEqual(await outbox(), { waiting: 1, failing })) {
    await passRetry(t, here);
  }
  for (const id of ["a", "c"]) assert.deepEqual(await inputsOf(await here.witness.get(id)), [id]);
  isBroken = false;
  while (!isDeepStrictEqual(await outbox(), { waiting: 0, failing: [] })) {
    await passRetry(t, here);
  }
  assert.deepEqual(await inputsOf(await here.witness.get("bad")), ["bad"]);
});

test("a session that begins without the store has its title and labels in the store after the replay", async () => {
  await using here = place();
  here.state.away = true;
  const device = randomUUID();
  const options = { title: "Ordering flour", labels: { team: "ops" } };
  await (await here.sessions.ensure("s", options)).append({ input: "1" });
  await (await here.sessions.devices.open(device, options)).append({ input: "2" });
  await here.back();
  await here.sessions.ensure("another");
  while ((await here.sessions.health()).outbox?.waiting !== 0) await turnOfTheLoop();
  for (const { info } of [await here.witness.get("s"), await here.witness.devices.open(device)])
    assert.deepEqual([info.title, info.labels, info.turn], ["Ordering flour", { team: "ops" }, 1]);
  assert.equal(await here.witness.count({ labels: { team: "ops" } }), 2);
});
