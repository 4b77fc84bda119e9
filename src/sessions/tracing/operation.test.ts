import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe, tracingChannel, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Consultation, EventNews, Operation, StoreCall, SweepNews, ToolRun, TurnNews } from "../../index.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { withTools } from "../../manager/tool-loop.ts";
import { storeBefore } from "../../store/calls/forwarding-store.ts";
import { openMemory } from "../../store/memory.ts";
import type { Store } from "../../store/store.ts";
import type { Model } from "../options/model.ts";
import { sessionsOn } from "../sessions.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import { sweep } from "../../admin.ts";

/** What is received on a tracing channel, from the end of each. */
function hear<Payload extends object>(
  name: string,
  received: Payload[] = [],
): Disposable & { readonly received: Payload[] } {
  const channel = tracingChannel<unknown, Payload>(name);
  const listeners = {
    start: () => undefined,
    end: () => undefined,
    asyncStart: () => undefined,
    error: () => undefined,
    asyncEnd: (payload: Payload) => void received.push(payload),
  };
  channel.subscribe(listeners);
  return { received, [Symbol.dispose]: () => channel.unsubscribe(listeners) };
}

/** What is received on a plain channel. */
function hearPlain<Payload>(name: string, received: Payload[] = []): Disposable & { readonly received: Payload[] } {
  const listener = (message: unknown): void => void received.push(message as Payload);
  subscribe(name, listener);
  return { received, [Symbol.dispose]: () => void unsubscribe(name, listener) };
}

const model: Model = async function* () {
  yield { type: "model", model: "m-1" };
  yield { type: "text", text: "a secret answer" };
  yield { type: "usage", usage: { inputTokens: 7, outputTokens: 3, totalTokens: 10 } };
};

test("each operation is published with its session, agent, time and outcome", async () => {
  await using place = inMemory();
  using operations = hear<Operation>("perdure:operation");
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  await session.append({ input: "hello" });
  await assert.rejects(place.sessions.get("nobody"), { code: "session_not_found" });
  const published = operations.received.map(({ operation, tenant, session, agent, error }) => ({
    operation,
    tenant,
    session,
    agent,
    failed: error !== undefined,
  }));
  assert.deepEqual(published, [
    { operation: "create", tenant: "default", session: "s", agent: "ceo", failed: false },
    { operation: "append", tenant: "default", session: "s", agent: "ceo", failed: false },
    { operation: "get", tenant: "default", session: "nobody", agent: undefined, failed: true },
  ]);
  for (const { ms } of operations.received) assert(ms !== undefined && ms >= 0);
});

test("an error names the session, its agent, the operation, versions, lease holder and fencing token", async () => {
  await using place = inMemory();
  const mine = await place.sessions.create({ id: "s", agent: "ceo" });
  const theirs = await place.another().get("s");
  const lease = await theirs.lease();
  const { instance: holder } = (await theirs.leaseHolder()) ?? assert.fail("there is no lease holder");
  const ids = { sessionId: "s", tenant: "default", agent: "ceo" };
  await assert.rejects(mine.append({ input: "mine" }), (error) => {
    assert(error instanceof SessionError);
    assert.partialDeepStrictEqual(error.details, { ...ids, command: "append", holder, fence: lease.fence });
    return true;
  });
  await mine.breakLease();
  await assert.rejects(theirs.append({ input: "theirs" }), (error) => {
    assert(error instanceof SessionError);
    const { fence } = lease;
    assert.partialDeepStrictEqual(error.details, { ...ids, command: "append", fence, storedFence: fence + 1 });
    return true;
  });
});

test("an error of a stream, a lease or a turn in progress names the same", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  const lease = await session.lease({ ttl: "1h" });
  const turn = await session.begin("hello");
  await (await place.another().get("s")).breakLease();
  const failures: readonly (readonly [command: string, call: () => Promise<unknown>])[] = [
    ["turns", async () => await Array.fromAsync(session.turns({ from: 2, to: 1 }))],
    ["watch", async () => await Array.fromAsync(session.watch({ after: -1 }))],
    ["lease.renew", async () => await lease.renew("1h")],
    ["seal", async () => await turn.seal()],
    ["update", async () => await session.update({ ttl: "soon" })],
    ["handOff", async () => await session.handOff("")],
  ];
  for (const [command, call] of failures) {
    await assert.rejects(call(), (error) => {
      assert(error instanceof SessionError);
      assert.partialDeepStrictEqual(error.details, { sessionId: "s", tenant: "default", agent: "ceo", command });
      return true;
    });
  }
});

test("a failure of the store names the session and the operation, and keeps its cause", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  place.loadsFail = true;
  for (const call of ["refresh", "leaseHolder"] as const) {
    await assert.rejects(session[call](), (error) => {
      assert(error instanceof SessionError);
      const details = { store: "test", sessionId: "s", tenant: "default", agent: "ceo", command: call };
      assert.equal(error.code, "store_unavailable");
      assert.partialDeepStrictEqual(error.details, details);
      return true;
    });
  }
  place.loadsFail = false;
});

test("a consultation is published from the question to the sealed answer, without any message text", async () => {
  await using place = inMemory({ model });
  using consultations = hear<Consultation>("perdure:consult");
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  const answer = await session.consult("a secret question", { model: "m", key: "k" });
  assert.equal(consultations.received.length, 0, "the question is durable, the answer is not over");
  await answer.done;
  const repeated = await session.consult("a secret question", { model: "m", key: "k" });
  await repeated.done;
  const [first, again] = consultations.received;
  const usage = { inputTokens: 7, outputTokens: 3, totalTokens: 10 };
  assert.partialDeepStrictEqual(first, { tenant: "default", session: "s", agent: "ceo", turn: 1 });
  assert.partialDeepStrictEqual(first?.answer, { status: "done", usage, requests: 1 });
  assert(first?.firstTextMs !== undefined && first.ms !== undefined && first.firstTextMs <= first.ms);
  assert.equal(again?.repeated, true);
  assert.doesNotMatch(JSON.stringify(consultations.received), /secret/);
});

test("an answer that breaks off is published with its status and error", async () => {
  const failing: Model = async function* () {
    yield { type: "text", text: "so far" };
    throw new Error("the line is dead");
  };
  await using place = inMemory({ model: failing });
  using consultations = hear<Consultation>("perdure:consult");
  using turns = hearPlain<TurnNews>("perdure:turn");
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects((await session.consult("hello")).done, (error) => {
    assert(error instanceof SessionError);
    const context = { sessionId: "s", tenant: "default", agent: "assistant", command: "consult", turn: 1 };
    assert.partialDeepStrictEqual(error.details, context);
    return true;
  });
  const [consultation] = consultations.received;
  assert(hasCode(consultation?.error, "model_failed"));
  assert.partialDeepStrictEqual(consultation?.answer, { status: "failed", code: "model_failed", requests: 1 });
  assert.partialDeepStrictEqual(turns.received, [{ session: "s", turn: { seq: 1, status: "failed" } }]);
});

test("a finished turn is published once it is durable, from every way of writing, without any message text", async () => {
  await using place = inMemory({ model });
  using turns = hearPlain<TurnNews>("perdure:turn");
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  await session.append({ input: "a secret", output: "another secret" });
  await (await session.begin("a secret")).seal({ output: [{ role: "assistant", content: "secret" }] });
  await (
    await session.consult("a secret")
  ).done;
  const published = turns.received.map(({ session, turn }) => [session, turn.seq, turn.status, turn.agent]);
  assert.deepEqual(published, [
    ["s", 1, "done", "ceo"],
    ["s", 2, "done", "ceo"],
    ["s", 3, "done", "ceo"],
  ]);
  assert.doesNotMatch(JSON.stringify(turns.received), /secret/);
});

test("an event is published once it is durable, and not again when a reset archives its session", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", ttl: "1h" });
  using events = hearPlain<EventNews>("perdure:event");
  await session.handOff("scheduling");
  await session.endHandoff();
  await place.clock.advance(2 * 3_600_000);
  await place.sessions.ensure("s", { onExpired: "reset" });
  const published = events.received.map(({ session, event }) => [session, event.type]);
  assert.deepEqual(published.slice(0, 2), [
    ["s", "handed_off"],
    ["s", "handoff_ended"],
  ]);
  assert(!published.slice(2).some(([, type]) => type === "handed_off" || type === "handoff_ended"));
});

test("a sweep reports how long the most overdue session had waited", async () => {
  await using place = inMemory();
  await place.sessions.create({ ttl: 1000 });
  await place.clock.advance(61_000);
  using sweeps = hearPlain<SweepNews>("perdure:sweep");
  await sweep(place.sessions);
  assert.partialDeepStrictEqual(sweeps.received, [{ tenant: "default", expired: 1, lagMs: 60_000 }]);
});

test("a tool run that a model requested is published with its time and outcome", async () => {
  const asking: Model = async function* ({ messages }) {
    const last = messages.at(-1);
    if (last?.role === "tool") yield { type: "text", text: "done" };
    else {
      const call = { id: "c1", type: "function", function: { name: "look", arguments: "{}" } } as const;
      yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
    }
  };
  await using place = inMemory();
  using runs = hear<ToolRun>("perdure:tool");
  const session = await place.sessions.create({ id: "s" });
  const run = (): never => {
    throw new Error("it is dark");
  };
  const look = { name: "look", description: "look", parameters: { type: "object" }, run };
  await (
    await session.consult("look", { model: withTools(asking, [look], { session }) })
  ).done;
  assert.partialDeepStrictEqual(runs.received, [{ tool: "look", callId: "c1", session: "s", agent: "assistant" }]);
  assert.match(String(runs.received[0]?.error), /dark/);
});

test("a commit is published in the async context of its caller, also after it waited for another commit", async () => {
  const memory = openMemory();
  const gates: (() => void)[] = [];
  const slow: Store = {
    ...storeBefore(memory),
    capabilities: { ...memory.capabilities, lanes: 1 },
    async commit(batch) {
      await new Promise<void>((resolve) => gates.push(resolve));
      return await memory.commit(batch);
    },
  };
  await using sessions = sessionsOn(slow, { sweep: false });
  const context = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const started = (message: unknown): void => {
    if ((message as StoreCall).operation === "commit") seen.push(context.getStore());
  };
  subscribe("tracing:perdure:store:start", started);
  const first = context.run("first", () => sessions.create());
  while (gates.length === 0) await setImmediate();
  const second = context.run("second", () => sessions.create());
  await setImmediate();
  gates.shift()?.();
  await first;
  while (gates.length === 0) await setImmediate();
  gates.shift()?.();
  await second;
  unsubscribe("tracing:perdure:store:start", started);
  assert.deepEqual(seen, ["first", "second"]);
});
