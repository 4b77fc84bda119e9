import assert from "node:assert/strict";
import { test } from "node:test";
import { defined } from "../domain/values/defined.ts";
import { inMemory, type InMemory } from "../../test/support/in-memory.ts";
import type { Model } from "../sessions/options/model.ts";
import type { Session } from "../sessions/session/session.ts";
import type { SessionsOptions } from "../sessions/options/options.ts";
import { createManager, type ManagerOptions } from "./manager.ts";

const agents = {
  front: { keywords: ["hello"], default: true },
  billing: { keywords: ["invoice", "refund"], handoffTtl: "1h" },
  scheduling: { keywords: ["appointment"] },
};
const model: Model = async function* (request) {
  yield { type: "text", text: `${request.agent} here` };
};
const withoutDefault = { billing: agents.billing, scheduling: agents.scheduling };

function open(options: SessionsOptions = {}): InMemory {
  return inMemory({ agents, model, ...options });
}

/** The handoff events of a session. */
async function handoffEvents(session: Session): Promise<readonly string[]> {
  const events = (await Array.fromAsync(session.events())).filter(({ category }) => category === "handoff");
  return events.map((event) => ("agent" in event ? `${event.type} ${event.agent}` : event.type));
}

test("the routed agent answers and stays active for its time, and later messages are not routed", async () => {
  await using place = open();
  const manager = createManager({ sessions: place.sessions });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  const answer = await manager.send(session, "Where is my invoice?");
  assert.equal((await answer.done).agent, "billing");
  assert.equal((await (await manager.send(session, "An appointment, please")).done).agent, "billing");
  assert.deepEqual(await handoffEvents(session), ["handed_off billing"]);
  await place.clock.advance(3_600_000);
  assert.equal((await (await manager.send(session, "An appointment, please")).done).agent, "scheduling");
  assert.deepEqual(await handoffEvents(session), [
    "handed_off billing",
    "handoff_ended billing",
    "handed_off scheduling",
  ]);
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ agent }) => agent),
    ["billing", "billing", "scheduling"],
  );
});

test("a message is answered with the flush that its sender names", async () => {
  const words: Model = async function* () {
    for (const text of ["one ", "two ", "three"]) yield { type: "text", text };
  };
  await using place = open({ model: words });
  const manager = createManager({ sessions: place.sessions });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  await assert.rejects(manager.send(session, "hello", { flush: { ms: -1 } }), { code: "argument_invalid" });
  let writes = 0;
  const commit = place.store.commit.bind(place.store);
  place.store.commit = async (batch) => (writes++, await commit(batch));
  await (
    await manager.send(session, "hello", { flush: { length: 1 } })
  ).done;
  assert.equal(writes, 5, "the question, three chunks, the seal");
  writes = 0;
  await (
    await manager.send(session, "hello", { flush: { ms: 60_000 } })
  ).done;
  assert.equal(writes, 2, "the question and the seal");
});

test("the handoff and the question are one commit: if it fails, neither is stored", async () => {
  await using place = open();
  const manager = createManager({ sessions: place.sessions });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  place.store.plan(() => ({ fails: "before" }));
  await assert.rejects(manager.send(session, "my invoice"));
  place.store.plan({});
  assert.equal(await session.activeAgent(), null);
  assert.deepEqual(await handoffEvents(session), []);
  assert.equal((await session.refresh()).turn, 0);
});

test("if no agent fits, an unknown one is named, or the router fails, the default agent answers without a handoff", async () => {
  await using place = open({ agents });
  const routers: ManagerOptions["router"][] = [
    () => null,
    () => "nobody",
    () => undefined as unknown as null,
    () => {
      throw new Error("out of order");
    },
    () => Promise.reject(new Error("later too")),
  ];
  const session = await place.sessions.create({ id: "s", agent: "scheduling" });
  for (const router of routers) {
    const manager = createManager({ sessions: place.sessions, ...defined({ router }) });
    assert.equal((await (await manager.send(session, "what?")).done).agent, "front");
  }
  const manager = createManager({ sessions: place.sessions, router: () => null, default: "billing" });
  assert.equal((await (await manager.send(session, "what?")).done).agent, "billing");
  assert.deepEqual(await handoffEvents(session), []);
  assert.equal(session.info.turn, 6, "it is one conversation");
});

test("without a default agent a message that cannot be routed fails with a typed error and writes nothing", async () => {
  await using place = open({ agents: withoutDefault });
  const { sessions } = place;
  const session = await sessions.create({ id: "s", agent: "billing" });
  const { version } = await session.refresh();
  const hangs = (): Promise<null> => new Promise(() => undefined);
  const fails = (): never => {
    throw new Error("out of order");
  };
  const rejected = async (options: Omit<ManagerOptions, "sessions">, code: string): Promise<void> => {
    await assert.rejects(createManager({ sessions, ...options }).send(session, "hm"), { code }, code);
  };
  await rejected({}, "agent_not_routed");
  await rejected({ router: () => "nobody" }, "agent_unknown");
  await rejected({ router: fails }, "router_failed");
  await rejected({ router: hangs, routerTimeout: 20 }, "router_failed");
  assert.equal((await session.refresh()).version, version);
});

test("aborting a message ends its routing, and no agent answers", async () => {
  await using place = open();
  const stop = new AbortController();
  let received: AbortSignal | undefined;
  const manager = createManager({
    sessions: place.sessions,
    router: (_text, { signal }) => {
      received = signal;
      stop.abort(new Error("never mind"));
      return new Promise(() => undefined);
    },
  });
  const session = await place.sessions.create({ agent: "front" });
  await assert.rejects(manager.send(session, "hm", { signal: stop.signal }), {
    code: "aborted",
    cause: new Error("never mind"),
  });
  assert.equal(received?.aborted, true);
  assert.equal((await session.refresh()).turn, 0);
});

test("two instances that route a session at the same time agree on one agent, which answers both messages", async () => {
  await using place = open({ busy: "queue" });
  const here = await place.sessions.create({ id: "s", agent: "front" });
  const elsewhere = place.another({ agents, model, busy: "queue" });
  const there = await elsewhere.get("s");
  const both = Promise.withResolvers<void>();
  let waiting = 0;
  const meeting = (agent: string) => async () => {
    // Both have seen a session without an active agent before either continues.
    if (++waiting === 2) both.resolve();
    await both.promise;
    return agent;
  };
  const sending = Promise.all([
    createManager({ sessions: place.sessions, router: meeting("billing") }).send(here, "one"),
    createManager({ sessions: elsewhere, router: meeting("scheduling") }).send(there, "two"),
  ]);
  await both.promise;
  let isSent = false;
  const sent = sending.finally(() => (isSent = true));
  while (!isSent) {
    await new Promise(setImmediate);
    await place.clock.advance(200);
  }
  const turns = await Promise.all((await sent).map(({ done }) => done));
  assert.equal((await handoffEvents(here)).length, 1, "the floor was given once");
  assert.equal(new Set(turns.map(({ agent }) => agent)).size, 1);
});

test("a retry with the same key is the same turn and is not routed again, whichever agent is active by then", async () => {
  await using place = open();
  let routed = 0;
  const router = (): string => {
    if (++routed > 1) throw new Error("out of order");
    return "billing";
  };
  const manager = createManager({ sessions: place.sessions, router });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  const first = await (await manager.send(session, "my invoice", { key: "k" })).done;
  const again = async (): Promise<void> => {
    const turn = await (await manager.send(session, "my invoice", { key: "k" })).done;
    assert.deepEqual([turn.seq, turn.agent, turn.output], [first.seq, "billing", first.output]);
  };
  await again();
  await session.handOff("scheduling");
  await again();
  await session.endHandoff();
  await again();
  assert.equal(routed, 1);
  assert.equal(await session.activeAgent(), null, "a repetition makes no agent the active one");
});

test("an agent whose handoff expires between load and write answers, and does not stay active", async () => {
  await using place = open();
  const manager = createManager({ sessions: place.sessions, router: () => "scheduling" });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  await session.handOff("billing", { ttl: 1000 });
  const { store, clock } = place;
  const heartbeat = store.heartbeat.bind(store);
  // The heartbeat comes between the two.
  store.heartbeat = async (...given) => {
    await clock.advance(1000);
    await heartbeat(...given);
  };
  const turn = await (await manager.send(session, "my invoice")).done;
  assert.equal(turn.agent, "billing");
  assert.equal(await session.activeAgent(), null);
});

test("after a handoff between load and write, the new active agent answers, with its note", async () => {
  const asked: (readonly [agent: string, first: unknown])[] = [];
  await using place = open({
    model: async function* ({ agent, messages }) {
      asked.push([agent, messages[0]?.content]);
      yield { type: "text", text: "ok" };
    },
  });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  const elsewhere = await place.another({ agents }).get("s");
  const { store } = place;
  const heartbeat = store.heartbeat.bind(store);
  store.heartbeat = async (...given) => {
    await elsewhere.handOff("scheduling", { note: "soon" });
    await heartbeat(...given);
  };
  const manager = createManager({ sessions: place.sessions, router: () => "billing" });
  assert.equal((await (await manager.send(session, "hm")).done).agent, "scheduling");
  assert.deepEqual(asked, [["scheduling", "The conversation was handed to you: soon"]]);
  assert.equal((await session.activeAgent())?.agent, "scheduling");
});

test("a named agent answers the message, and the active agent does not change", async () => {
  await using place = open();
  const manager = createManager({ sessions: place.sessions });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  await manager.send(session, "my invoice").then(({ done }) => done);
  assert.equal((await (await manager.send(session, "when?", { agent: "scheduling" })).done).agent, "scheduling");
  assert.equal((await session.activeAgent())?.agent, "billing");
  await assert.rejects(manager.send(session, "when?", { agent: "nobody" }), { code: "agent_unknown" });
});

test("a model named in the call is asked, and the turn records it", async () => {
  const asked: (string | undefined)[] = [];
  await using place = open({
    model: async function* (request) {
      asked.push(request.model);
      yield { type: "text", text: "ok" };
    },
  });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  const turn = await (await createManager({ sessions: place.sessions }).send(session, "hm", { model: "m7" })).done;
  assert.deepEqual([asked, turn.model], [["m7"], "m7"]);
});

test("a session whose active agent is no longer known is routed again", async () => {
  await using place = open();
  const session = await place.sessions.create({ id: "s", agent: "front" });
  await session.handOff("billing");
  const later = place.another({ agents: { front: agents.front, scheduling: agents.scheduling }, model });
  const same = await later.get("s");
  assert.equal(
    (await (await same.consult("hello")).done).agent,
    "front",
    "without a router the session's agent answers",
  );
  const turn = await (await createManager({ sessions: later }).send(same, "an appointment")).done;
  assert.equal(turn.agent, "scheduling");
  assert.equal((await same.activeAgent())?.agent, "scheduling");
});

test("a manager without agents or with an unknown default is refused at once", async () => {
  await using place = open();
  assert.throws(() => createManager({ sessions: place.another() }), { code: "argument_invalid" });
  assert.throws(() => createManager({ sessions: place.sessions, default: "nobody" }), { code: "agent_unknown" });
  assert.throws(() => createManager({ sessions: place.sessions, routerTimeout: 0 }), { code: "duration_invalid" });
  const session = await place.sessions.create({ agent: "front" });
  await assert.rejects(createManager({ sessions: place.sessions }).send(session, " "), { code: "message_invalid" });
  const speechless = createManager({ sessions: place.another({ agents }) });
  await assert.rejects(speechless.send(session, "hm"), { code: "model_missing" });
});
