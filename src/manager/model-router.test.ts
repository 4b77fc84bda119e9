import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import type { Model, ModelRequest } from "../sessions/options/model.ts";
import { createManager } from "./manager.ts";
import { routeByModel } from "./model-router.ts";

const agents = {
  front: { default: true },
  billing: { description: "Payments and refunds", keywords: ["invoice"] },
};

function saying(...texts: readonly string[]): { model: Model; requests: ModelRequest[]; events: () => number } {
  const requests: ModelRequest[] = [];
  let events = 0;
  const model: Model = async function* (request) {
    requests.push(request);
    for (const text of texts) {
      events++;
      yield { type: "text", text };
    }
  };
  return { model, requests, events: () => events };
}

const quiet = saying("ok").model;

for (const [words, agent] of [
  [["billing"], "billing"],
  [["\n bil", "ling\n"], "billing"],
  [["Billing"], "front"],
  [["billing."], "front"],
  [["front or billing"], "front"],
  [["none"], "front"],
  [["nobody"], "front"],
  [[], "front"],
] as const) {
  test(`a model that says ${JSON.stringify(words)} routes to ${agent}`, async () => {
    await using place = inMemory({ agents, model: quiet });
    const router = routeByModel({ model: saying(...words).model });
    const session = await place.sessions.create({ agent: "front" });
    const turn = await (await createManager({ sessions: place.sessions, router }).send(session, "hm")).done;
    assert.equal(turn.agent, agent);
    const handoff = await session.activeAgent();
    assert.equal(
      handoff?.agent,
      agent === "front" ? undefined : agent,
      "an answer that is no name hands off to no agent",
    );
  });
}

test("the router's model gets the agents and the beginning of the message; by default it is the session's model", async () => {
  const { model, requests } = saying("billing");
  await using place = inMemory({ agents, model });
  const manager = createManager({ sessions: place.sessions, router: routeByModel(), offersHandoffs: false });
  const session = await place.sessions.create({ agent: "front" });
  const turn = await (await manager.send(session, `refund! ${"x".repeat(10_000)}`)).done;
  const [system, user] = requests[0]?.messages ?? [];
  assert.match(String(system?.content), /^- front\n- billing: Payments and refunds, invoice$/m);
  assert.equal(String(user?.content).length, 4001);
  assert.equal(requests.length, 2);
  assert.equal(turn.requests, 1, "routing is not the turn's");
});

test("half a million spaces before an agent's name are read in one pass", async () => {
  await using place = inMemory({ agents, model: quiet });
  const spacious: Model = async function* () {
    for (let count = 0; count < 500_000; count++) yield { type: "text", text: " " };
    yield { type: "text", text: "billing" };
  };
  const session = await place.sessions.create({ agent: "front" });
  const named = await routeByModel({ model: spacious })("hm", {
    agents: new Map(Object.entries(agents)),
    session,
    model: quiet,
    signal: AbortSignal.timeout(600_000),
  });
  assert.equal(named, "billing");
});

test("a model that keeps talking is cut off", async () => {
  const talks = saying(...Array.from({ length: 1000 }, () => "well, "));
  await using place = inMemory({ agents, model: quiet });
  const router = routeByModel({ model: talks.model });
  const session = await place.sessions.create({ agent: "front" });
  assert.equal(
    (await (await createManager({ sessions: place.sessions, router }).send(session, "hm")).done).agent,
    "front",
  );
  assert(talks.events() < 10);
});

test("a model that fails or hangs fails the router, and nothing is written", async () => {
  const withoutDefault = { billing: agents.billing, spare: {} };
  await using place = inMemory({ agents: withoutDefault, model: quiet });
  const { sessions } = place;
  const session = await sessions.create({ agent: "billing" });
  const { version } = await session.refresh();
  // oxlint-disable-next-line require-yield
  const fails: Model = async function* () {
    throw new Error("overloaded");
  };
  // oxlint-disable-next-line require-yield
  const hangs: Model = async function* () {
    await new Promise(() => undefined);
  };
  const routers = [routeByModel({ model: fails }), routeByModel({ model: hangs })];
  for (const router of routers) {
    const manager = createManager({ sessions, router, routerTimeout: 50 });
    await assert.rejects(manager.send(session, "hm"), { code: "router_failed" });
  }
  assert.equal((await session.refresh()).version, version);
});
