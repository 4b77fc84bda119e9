/** What a turn says of the tool calls of an answer that broke off: which ran, may have run, or did not run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import type { Turn } from "../domain/turns/turn.ts";
import type { Model } from "../sessions/options/model.ts";
import { createManager } from "./manager.ts";
import type { Tool } from "./tool.ts";
import { withTools } from "./tool-loop.ts";

const usage = { inputTokens: 60, outputTokens: 40, totalTokens: 100 };

/** Calls these tools at each step. */
function calling(...names: readonly string[]): Model {
  return async function* calling() {
    const tool_calls = names.map((name) => ({ id: name, function: { name, arguments: "{}" } }));
    yield { type: "message", message: { role: "assistant", content: null, tool_calls } };
    yield { type: "usage", usage };
  };
}

function tool(name: string, run: Tool["run"] = () => "done"): Tool {
  return { name, description: "a tool", parameters: { type: "object" }, run };
}

/** Of each result of a turn: `ran`, `unknown` or `not run`. */
function results(turn: Turn | undefined): readonly string[] {
  return (turn?.output ?? [])
    .filter(({ role }) => role === "tool")
    .map(({ synthetic, content }) => {
      if (synthetic !== true) return "ran";
      return /did not run/.test(String(content)) ? "not run" : "unknown";
    });
}

test("a call that a budget stops before its tool runs did not run, and the same key asks again once the budget is raised", async () => {
  await using place = inMemory({ agents: { ceo: {} }, budget: { tokens: 50 } });
  let runs = 0;
  const manager = createManager({ sessions: place.sessions, tools: { ceo: [tool("look", () => `${++runs}`)] } });
  const session = await place.sessions.create({ id: "s" });
  const answer = await manager.send(session, "go", { key: "k", model: calling("look", "look") });
  await assert.rejects(answer.done, { code: "budget_exceeded" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([turn?.status, results(turn), runs], ["failed", ["not run", "not run"], 0]);
  const refused = manager.send(session, "go", { key: "k", model: calling("look") });
  await assert.rejects(refused, { code: "budget_exceeded" }, "the budget is still used up");
  await session.update({ budget: { tokens: 10_000 } });
  const again = await manager.send(session, "go", {
    key: "k",
    model: async function* () {
      yield { type: "text", text: "Yes." };
    },
  });
  assert.deepEqual([(await again.done).status, again.seq], ["done", 1]);
  assert.equal((await Array.fromAsync(session.turns())).length, 1);
});

test("where a tool ran before the budget stopped the answer, the retry gets the failure", async () => {
  await using place = inMemory({ agents: { ceo: {} }, budget: { tokens: 150 } });
  const manager = createManager({ sessions: place.sessions, tools: { ceo: [tool("look")] } });
  const session = await place.sessions.create({ id: "s" });
  const answer = await manager.send(session, "go", { key: "k", model: calling("look") });
  await assert.rejects(answer.done, { code: "budget_exceeded" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual(results(turn), ["ran", "not run"]);
  await session.update({ budget: { tokens: 10_000 } });
  const again = await manager.send(session, "go", { key: "k", model: calling("look") });
  await assert.rejects(again.done, { code: "budget_exceeded" });
});

test("the calls of the last step did not run, and the same key asks again where no tool ran", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const model = withTools(calling("a", "b"), [tool("a"), tool("b")], { session, stepsMax: 1 });
  const answer = await session.consult("go", { key: "k", model });
  await assert.rejects(answer.done, { code: "tool_steps_exceeded" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual(results(turn), ["not run", "not run"]);
  const again = await session.consult("go", { key: "k", model: withTools(calling(), [], { session }) });
  assert.deepEqual([(await again.done).status, again.seq], ["done", 1]);
});

for (const how of ["cancel", "abort", "interrupt", "drain"] as const) {
  test(`of the calls of a step that was stopped while a tool ran, one ran, one may have run, and one did not: ${how}`, async () => {
    await using place = inMemory();
    const sessions = place.another();
    const session = await sessions.create({ id: "s" });
    const running = Promise.withResolvers<void>();
    const hangs = tool("b", (_args, { signal }) => {
      running.resolve();
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    });
    const model = withTools(calling("a", "b", "c"), [tool("a"), hangs, tool("c")], { session });
    const stop = new AbortController();
    const answer = await session.consult("go", { model, signal: stop.signal });
    await running.promise;
    const other = await place.sessions.get("s");
    if (how === "cancel") await other.cancel();
    if (how === "abort") stop.abort();
    if (how === "drain") await sessions.close();
    if (how === "interrupt") await other.consult("more", { model: calling(), busy: "interrupt" });
    await assert.rejects(answer.done, { code: "interrupted" });
    await other.refresh();
    const [turn] = await Array.fromAsync(other.turns({ from: 1, to: 1 }));
    assert.deepEqual(results(turn), ["ran", "unknown", "not run"]);
  });
}

test("calls that are stopped before the model has finished its step did not run", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const model: Model = async function* (request) {
    yield* calling("a")(request);
    await new Promise(() => undefined);
  };
  const answer = await session.consult("go", { model: withTools(model, [tool("a")], { session }), key: "k" });
  for await (const event of answer.events()) if (event.type === "tool_call") break;
  await session.cancel();
  await assert.rejects(answer.done, { code: "interrupted" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual(results(turn), ["not run"]);
});

test("the calls of a model that runs its tools itself may have run, also beside those of the loop", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const model = withTools(
    async function* (request) {
      yield* calling("its own", "a")(request);
      await new Promise(() => undefined);
    },
    [tool("a")],
    { session },
  );
  const answer = await session.consult("go", { model });
  for await (const event of answer.events()) if (event.type === "tool_call") break;
  await session.cancel();
  await assert.rejects(answer.done, { code: "interrupted" });
  const [first] = await Array.fromAsync(session.turns());
  assert.deepEqual(results(first), ["unknown", "not run"]);
});

test("the calls of a writer that is gone may have run", async () => {
  await using place = inMemory();
  const dying = await place.another().create({ id: "s" });
  const turn = await dying.begin("go");
  const tool_calls = [{ id: "a", function: { name: "a", arguments: "{}" } }];
  await turn.write({ message: { role: "assistant", content: null, tool_calls } });
  for await (const { type } of (await place.sessions.get("s")).watch({ after: 0 })) if (type === "chunk") break;
  await place.clock.advance(60_000);
  const session = await place.sessions.get("s");
  await session.recover();
  const [left] = await Array.fromAsync(session.turns());
  assert.deepEqual([left?.status, results(left)], ["interrupted", ["unknown"]]);
});
