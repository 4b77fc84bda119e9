import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import type { Model } from "../sessions/options/model.ts";
import { createManager } from "./manager.ts";

const usage = { inputTokens: 60, outputTokens: 40, totalTokens: 100 };

/** A model that calls a tool at each step, at 100 tokens a step, and says a word first. */
const runaway: Model = async function* runaway() {
  yield { type: "text", text: "Again. " };
  const call = { id: "c", function: { name: "look", arguments: "{}" } };
  yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
  yield { type: "usage", usage };
};

test("a tool loop stops at the step that reaches the budget; the turn keeps its output and its usage", async () => {
  await using place = inMemory({ agents: { ceo: {} }, budget: { tokens: 450 } });
  const look = { name: "look", description: "looks", parameters: { type: "object" }, run: () => "nothing" };
  const manager = createManager({ sessions: place.sessions, tools: { ceo: [look] }, stepsMax: 50 });
  const session = await place.sessions.create({ id: "s" });
  const refusal = { code: "budget_exceeded", details: { unit: "tokens", used: 500, max: 450 } };
  const isRefusal = (error: { code: string; details: object }): true => {
    assert.equal(error.code, refusal.code);
    assert.partialDeepStrictEqual(error.details, { sessionId: "s", ...refusal.details });
    return true;
  };
  const answer = await manager.send(session, "go", { key: "k", model: runaway });
  await assert.rejects(answer.done, isRefusal);
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "failed");
  assert.deepEqual(turn.error, {
    code: "budget_exceeded",
    message: "the session has used 500 tokens, its budget is 450",
  });
  assert.equal(turn.requests, 5);
  assert.equal(turn.output.filter(({ role }) => role === "tool").length, 5, "each call has a result");
  assert.equal((await session.refresh()).counters.totalTokens, 500);
  const again = await manager.send(session, "go", { key: "k", model: runaway });
  await assert.rejects(again.done, isRefusal, "a retry gets the failure");
  await assert.rejects(manager.send(session, "more", { model: runaway }), { code: "budget_exceeded" });
});

test("a model with a loop of its own stops before its next call, and a budget that is set meanwhile counts", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const loop: Model = async function* loop() {
    for (let requests = 1; ; requests++) {
      if (requests === 4) {
        await (await place.another().get("s")).update({ budget: { tokens: 1 } });
        // The chunks of the answer are written, and their writer meets the new record.
        yield { type: "text", text: "x".repeat(9000) };
      }
      yield { type: "requests", requests };
      yield { type: "text", text: "So. " };
      yield { type: "usage", usage: { inputTokens: 0, outputTokens: requests * 10, totalTokens: requests * 10 } };
      if (requests > 20) return;
    }
  };
  const answer = await session.consult("go", { model: loop });
  await assert.rejects(answer.done, { code: "budget_exceeded" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.requests, 3);
  assert.equal(turn.usage?.totalTokens, 30);
});

test("an answer whose last step reaches the budget is whole", async () => {
  await using place = inMemory({ budget: { tokens: 100 } });
  const session = await place.sessions.create({ id: "s" });
  const model: Model = async function* model() {
    yield { type: "text", text: "Yes." };
    yield { type: "usage", usage };
    yield { type: "step", usage };
  };
  assert.equal((await (await session.consult("go", { model })).done).status, "done");
});
