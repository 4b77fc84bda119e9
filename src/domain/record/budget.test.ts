import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { parseBudget } from "./budget.ts";

const usage = { inputTokens: 60, outputTokens: 40, totalTokens: 100 };

test("the turn that reaches the budget is kept, the next one is refused with nothing written", async () => {
  await using place = inMemory({ budget: { tokens: 150 } });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "a", output: "b", usage });
  await session.append({ input: "a", output: "b", usage });
  const { version } = session.info;
  const refusal = { code: "budget_exceeded", details: { unit: "tokens", used: 200, max: 150 } };
  await assert.rejects(session.append({ input: "a" }), (error: { code: string; details: object }) => {
    assert.equal(error.code, refusal.code);
    assert.deepEqual(error.details, {
      sessionId: "s",
      tenant: "default",
      agent: "assistant",
      command: "append",
      ...refusal.details,
    });
    return true;
  });
  await assert.rejects(session.begin("a"), { code: "budget_exceeded" });
  assert.equal((await session.refresh()).version, version);
});

test("cutting turns off does not give tokens back, but room for turns", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", budget: { tokens: 100, turns: 1 } });
  await session.append({ input: "a", output: "b", usage });
  await session.truncate(0);
  await assert.rejects(session.append({ input: "a" }), { code: "budget_exceeded" });
  await session.update({ budget: { turns: 1 } });
  await session.append({ input: "a" });
  await assert.rejects(session.append({ input: "b" }), { code: "budget_exceeded" });
  await session.update({ budget: null });
  await session.append({ input: "b" });
});

test("a retry of the turn that reached the budget is that turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", budget: { turns: 1 } });
  const first = await session.append({ input: "a" }, { key: "k" });
  assert.equal((await session.append({ input: "a" }, { key: "k" })).seq, first.seq);
});

test("the session's own budget goes before its agent's, that before the one for all, and it holds in every process", async () => {
  const agents = { thrifty: { budget: { turns: 3 } }, other: {} };
  await using place = inMemory({ agents, budget: { turns: 9 } });
  const { sessions } = place;
  const budgetOf = async (options: Parameters<typeof sessions.create>[0]): Promise<unknown> =>
    (await sessions.create(options)).info.budget;
  assert.deepEqual(await budgetOf({ agent: "thrifty", budget: { tokens: 5 } }), { tokens: 5 });
  assert.deepEqual(await budgetOf({ agent: "thrifty" }), { turns: 3 });
  assert.deepEqual(await budgetOf({ agent: "other", id: "s" }), { turns: 9 });
  assert.deepEqual((await place.another().get("s")).info.budget, { turns: 9 });
});

test("an invalid budget is refused before anything is written", () => {
  for (const budget of [null, 5, { tokens: -1 }, { tokens: 1.5 }, { turns: "3" }, { euros: 3 }, { tokens: Number.NaN }])
    assert.throws(() => parseBudget(budget as never), { code: "argument_invalid" }, JSON.stringify(budget));
  assert.deepEqual(parseBudget({ tokens: 0, turns: 7 }), { tokens: 0, turns: 7 });
});

test("a fork has what its parent has left of the tokens, wherever it forks and however often", async () => {
  await using place = inMemory({ budget: { tokens: 350, turns: 5 } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 3; turn++) await session.append({ input: "a", output: "b", usage });
  const first = await session.fork({ at: 1, as: "f" });
  assert.deepEqual(first.info.budget, { tokens: 50, turns: 5 });
  await first.append({ input: "a", output: "b", usage });
  await assert.rejects(first.append({ input: "a" }), { code: "budget_exceeded" });

  const second = await first.fork({ at: 1 });
  assert.deepEqual(second.info.budget, { tokens: 0, turns: 5 }, "a budget that is exceeded has nothing left");
  await assert.rejects(second.append({ input: "a" }), { code: "budget_exceeded" });
  await second.update({ budget: null });
  await second.append({ input: "a" });

  await session.truncate(1);
  const third = await session.fork({ at: 1 });
  assert.deepEqual(third.info.budget, { tokens: 50, turns: 5 }, "truncated turns stay counted");
});

test("turns that a fork shares count against its budget of turns", async () => {
  await using place = inMemory({ budget: { turns: 2 } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 2; turn++) await session.append({ input: "a", output: "b", usage });
  const fork = await session.fork();
  await assert.rejects(fork.append({ input: "a" }), { code: "budget_exceeded" });
});
