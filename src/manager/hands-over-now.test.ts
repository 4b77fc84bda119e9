import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { modelOfSteps as scripted, textEvent as text, usageEvent as counted } from "../../test/support/model-steps.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Model, ModelEvent, ModelRequest } from "../sessions/options/model.ts";
import { createManager, type ManagerOptions } from "./manager.ts";
import type { Tool } from "./tool.ts";

const agents = {
  front: { default: true, instructions: "Greet.", model: "small", settings: { temperature: 1 } },
  billing: { description: "bills", instructions: "Refund.", model: "large", settings: { temperature: 0 }, window: 1 },
};

function handOff(id: string, agent: string, note?: string): ModelEvent {
  const call = { id, function: { name: "hand_off", arguments: JSON.stringify({ agent, note }) } };
  return { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
}
const refund: Tool = { name: "refund", description: "refunds", parameters: { type: "object" }, run: () => "refunded" };
const names = ({ tools = [] }: ModelRequest): readonly string[] => tools.map(({ name }) => name);
const roles = (messages: readonly Message[]): readonly string[] => messages.map(({ role }) => role);

test("under handsOver now the new agent answers in the same turn, with its instructions, model, settings, window and tools", async () => {
  const call = { id: "2", function: { name: "refund", arguments: "{}" } };
  const { model, requests } = scripted(
    [text("Hi.")],
    [text("Hello.")],
    [text("One moment. "), handOff("1", "billing", "wants it back"), counted(10, 1)],
    [{ type: "message", message: { role: "assistant", content: null, tool_calls: [call] } }, counted(20, 2)],
    [text("Refunded."), counted(30, 3)],
    [text("Bye.")],
  );
  await using place = inMemory({ agents, model });
  const manager = createManager({ sessions: place.sessions, tools: { billing: [refund] }, handsOver: "now" });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  for (const greeting of ["one", "two"]) await (await manager.send(session, greeting)).done;
  const turn = await (await manager.send(session, "my money", { key: "k" })).done;
  const [before, taken, last] = requests.slice(2) as [ModelRequest, ModelRequest, ModelRequest];
  assert.deepEqual(
    [before, taken, last].map(({ agent, model, settings }) => [agent, model, settings]),
    [
      ["front", "small", { temperature: 1 }],
      ["billing", "large", { temperature: 0 }],
      ["billing", "large", { temperature: 0 }],
    ],
  );
  assert.deepEqual(names(before), ["hand_off", "release"]);
  assert.deepEqual(names(taken), ["hand_off", "release", "refund"]);
  const shown = "system user assistant user assistant user assistant tool";
  assert.equal(roles(taken.messages).join(" "), shown);
  assert.equal(taken.messages[0]?.content, "Refund.");
  assert.match(String(taken.messages[1]?.content), /The previous agent reported: "wants it back"$/);
  assert.deepEqual(taken.messages[3], { role: "user", content: "two" }, "the window of the new agent is one turn");
  assert.equal(taken.messages.at(-1)?.content, '"billing" answers now');
  assert.deepEqual(last.messages.slice(0, taken.messages.length), taken.messages);
  assert.equal(turn.agent, "billing");
  assert.equal(turn.model, "large");
  assert.deepEqual(
    turn.steps?.map(({ agent, model, usage }) => [agent, model, usage.totalTokens]),
    [
      ["front", "small", 11],
      ["billing", "large", 22],
      ["billing", "large", 33],
    ],
  );
  assert.deepEqual([turn.usage?.totalTokens, turn.requests], [66, 3]);
  assert.deepEqual(roles(turn.output), ["assistant", "tool", "assistant", "tool", "assistant"]);
  const kept = await Array.fromAsync((await place.another().get("s")).turns());
  assert.deepEqual(kept.at(-1), turn);
  const retried = await (await manager.send(session, "my money", { key: "k" })).done;
  assert.deepEqual([retried, requests.length], [turn, 5], "a retry is the same turn");
  assert.equal((await (await manager.send(session, "thanks")).done).agent, "billing");
});

test("under handsOver now a turn has at most three handoffs; the last agent has no tool to hand off", async () => {
  const { model, requests } = scripted(
    [handOff("1", "billing")],
    [handOff("2", "front")],
    [handOff("3", "billing")],
    [handOff("4", "front")],
    [text("I answer.")],
  );
  await using place = inMemory({ agents, model });
  const manager = createManager({ sessions: place.sessions, handsOver: "now" });
  const turn = await (await manager.send(await place.sessions.create({ agent: "front" }), "hm")).done;
  assert.deepEqual(
    requests.map((request) => [request.agent, names(request).includes("hand_off")]),
    [
      ["front", true],
      ["billing", true],
      ["front", true],
      ["billing", false],
      ["billing", false],
    ],
  );
  assert.deepEqual([turn.agent, turn.status], ["billing", "done"]);
  assert.match(String(turn.output.at(-2)?.content), /^Error: there is no tool "hand_off"/);
});

test("under handsOver now an agent continues after a handoff that failed, or to itself, and steps name no agent", async () => {
  for (const agent of ["nobody", "front"]) {
    const { model, requests } = scripted([handOff("1", agent)], [text("I answer.")]);
    await using place = inMemory({ agents, model });
    const manager = createManager({ sessions: place.sessions, handsOver: "now" });
    const turn = await (await manager.send(await place.sessions.create({ agent: "front" }), "hm")).done;
    assert.deepEqual([turn.agent, requests[1]?.agent], ["front", "front"]);
    assert.ok(turn.steps?.every((step) => !("agent" in step)));
  }
});

test("an answer that breaks off after its handoff is a turn of the new agent, with the cost of both", async () => {
  const first = [handOff("1", "billing"), counted(10, 1)];
  const model: Model = async function* (request) {
    if (request.agent === "front") yield* first;
    else {
      yield text("I");
      throw new Error("gone");
    }
  };
  await using place = inMemory({ agents, model });
  const manager = createManager({ sessions: place.sessions, handsOver: "now" });
  const session = await place.sessions.create({ agent: "front" });
  await assert.rejects((await manager.send(session, "hm")).done, { code: "model_failed" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([turn?.agent, turn?.status, turn?.requests], ["billing", "failed", 2]);
  assert.deepEqual(
    turn?.steps?.map(({ agent }) => agent),
    ["front", "billing"],
  );
  assert.ok((turn?.usage?.totalTokens ?? 0) > 11);
});

test("a manager refuses another word for handsOver", async () => {
  await using place = inMemory({ agents });
  const options = { sessions: place.sessions, handsOver: "later" } as unknown as ManagerOptions;
  assert.throws(() => createManager(options), { code: "argument_invalid" });
});
