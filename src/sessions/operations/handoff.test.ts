import assert from "node:assert/strict";
import { test } from "node:test";
import { defined } from "../../domain/values/defined.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import type { Model, ModelRequest } from "../options/model.ts";
import { sweep } from "../../admin.ts";

const hour = 3_600_000;

test("a handoff makes an agent the active one for its time, on every handle", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const elsewhere = await place.another().get("s");
  assert.equal(await session.activeAgent(), null);
  const given = await session.handOff("scheduling", { ttl: "1h", note: "wants a date" });
  assert.deepEqual(await elsewhere.activeAgent(), given);
  assert.equal(given.expiresAt.getTime() - given.since.getTime(), hour);
  await place.clock.advance(hour - 1);
  assert.equal((await elsewhere.activeAgent())?.agent, "scheduling");
  await place.clock.advance(1);
  assert.equal(await elsewhere.activeAgent(), null);
  assert.equal(session.info.activeAgent, null, "also before a read of the store");
});

test("handing off, prolonging and ending a handoff are events, in order, in the same commit", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const elsewhere = await place.another().get("s");
  await session.handOff("a", { ttl: "1h" });
  await elsewhere.handOff("b", { ttl: "1h", note: "yours" });
  await elsewhere.handOff("b", { ttl: "2h" });
  assert.equal(await session.endHandoff(), true);
  assert.equal(await session.endHandoff(), false);
  await session.handOff("c", { ttl: "1h" });
  await place.clock.advance(2 * hour);
  await session.handOff("d");
  const recorded = (await Array.fromAsync(elsewhere.events())).map((event) => {
    if (event.type === "handed_off") return [event.type, event.agent, event.from];
    return event.type === "handoff_ended" ? [event.type, event.agent, event.reason] : [event.type];
  });
  assert.deepEqual(recorded, [
    ["created"],
    ["handed_off", "a", null],
    ["handed_off", "b", "a"],
    ["handed_off", "b", "b"],
    ["handoff_ended", "b", "released"],
    ["handed_off", "c", null],
    ["handoff_ended", "c", "expired"],
    ["handed_off", "d", null],
  ]);
  assert.deepEqual(
    (await Array.fromAsync(session.events({ last: 2 }))).map(({ seq }) => seq),
    [7, 8],
  );
});

test("a failed commit of a handoff leaves neither state nor event", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.handOff("a");
  place.store.plan(() => ({ fails: "before" }));
  await assert.rejects(session.handOff("b"));
  const elsewhere = await place.another().get("s");
  assert.equal((await elsewhere.activeAgent())?.agent, "a");
  assert.deepEqual(
    (await Array.fromAsync(elsewhere.events())).map(({ type }) => type),
    ["created", "handed_off"],
  );
});

test("the time of a handoff comes from the call, else the user, the agent, the options, else it is a day", async () => {
  await using place = inMemory({
    agents: { assistant: {}, long: { handoffTtl: "7d" } },
    handoffTtl: "2h",
    handoffTtlOfUser: (user) => (user === "vip" ? "30d" : undefined),
  });
  const heldFor = async (user: string, agent: string, ttl?: string): Promise<number> => {
    const session = await place.sessions.create({ user });
    const { since, expiresAt } = await session.handOff(agent, defined({ ttl }));
    return (expiresAt.getTime() - since.getTime()) / hour;
  };
  assert.equal(await heldFor("vip", "long", "5m"), 1 / 12);
  assert.equal(await heldFor("vip", "long"), 30 * 24);
  assert.equal(await heldFor("u", "long"), 7 * 24);
  assert.equal(await heldFor("u", "assistant"), 2);
  const plain = await place.another().create();
  const { since, expiresAt } = await plain.handOff("any");
  assert.equal((expiresAt.getTime() - since.getTime()) / hour, 24);
});

test("the active agent answers, with its own instructions, model and the note; then the session's agent again", async () => {
  const asked: ModelRequest[] = [];
  // oxlint-disable-next-line require-yield
  const model: Model = async function* (request) {
    asked.push(request);
  };
  await using place = inMemory({
    agents: { ceo: { instructions: "You lead." }, scheduling: { instructions: "You plan.", model: "small" } },
    model,
  });
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  const elsewhere = await place.another({ model }).get("s");
  await (
    await session.consult("hello")
  ).done;
  await elsewhere.handOff("scheduling", { note: "before Friday" });
  const { done } = await session.consult("when?", { key: "k" });
  assert.equal((await done).agent, "scheduling", "also where this handle has not heard of the handoff");
  await session.endHandoff();
  await (
    await session.consult("bye")
  ).done;
  assert.equal(
    (await (await session.consult("when?", { key: "k" })).done).seq,
    2,
    "a retry is the turn of who answered",
  );
  assert.deepEqual(
    asked.map(({ agent, model: name, messages }) => [
      agent,
      name,
      messages.filter(({ role }) => role === "system").map(({ content }) => content),
    ]),
    [
      ["ceo", undefined, ["You lead."]],
      ["scheduling", "small", ["You plan.\n\nThe conversation was handed to you: before Friday"]],
      ["ceo", undefined, ["You lead."]],
    ],
  );
});

test("the sweep ends expired handoffs, page by page, and returns when the next one is due", async () => {
  await using place = inMemory({ ttl: "7d" });
  const sessions = await Promise.all(Array.from({ length: 250 }, () => place.sessions.create()));
  await Promise.all(sessions.map((session) => session.handOff("a", { ttl: "1h" })));
  assert.equal((await sweep(place.sessions)).handoffs, 0);
  await place.clock.advance(hour);
  const report = await sweep(place.sessions);
  assert.deepEqual(report, {
    expired: 0,
    handoffs: 250,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 250,
    failed: 0,
    failures: [],
    complete: true,
  });
  assert.equal((await Array.fromAsync(sessions[7]?.events() ?? [])).at(-1)?.type, "handoff_ended");
  assert.equal((await sweep(place.sessions)).looked, 0);
  await place.clock.advance(7 * 24 * hour);
  assert.equal((await sweep(place.sessions)).expired, 250, "the deadlines of the sessions still hold");
});

test("bad handoffs are refused before anything is written", async () => {
  await using place = inMemory({ agents: { assistant: {} } });
  const session = await place.sessions.create();
  await assert.rejects(session.handOff("nobody"), { code: "agent_unknown" });
  await assert.rejects(session.handOff(""), { code: "id_invalid" });
  await assert.rejects(session.handOff("assistant", { ttl: -1 }), { code: "duration_invalid" });
  await assert.rejects(session.handOff("assistant", { note: "x".repeat(4001) }), { code: "argument_invalid" });
  await assert.rejects(Array.fromAsync(session.events({ last: -1 })), { code: "argument_invalid" });
  await place.clock.advance(25 * hour);
  await assert.rejects(session.handOff("assistant"), { code: "session_expired" });
  assert.deepEqual(
    (await Array.fromAsync(session.events())).map(({ type }) => type),
    ["created"],
  );
});
