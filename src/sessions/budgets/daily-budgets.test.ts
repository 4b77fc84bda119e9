import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { hasCode } from "../../errors.ts";
import { createManager } from "../../manager/manager.ts";
import type { Model } from "../options/model.ts";

const usage = { inputTokens: 60, outputTokens: 40, totalTokens: 100 };
const budgets = { user: { tokens: 250, per: "day" }, tenant: { tokens: 1000, turns: 8, per: "day" } } as const;
const says: Model = async function* says() {
  yield { type: "text", text: "Yes." };
  yield { type: "usage", usage };
};

test("a user's budget of a day counts in all sessions and processes, and the error says when it starts again", async () => {
  await using place = inMemory({ budgets, model: says });
  // An instant within a day, and the day after.
  place.clock.set(Date.parse("2026-11-30T23:00:00Z"));
  const a = await place.sessions.create({ id: "a", user: "ada" });
  const b = await place.another({ budgets, model: says }).create({ id: "b", user: "ada" });
  await (
    await a.consult("1")
  ).done;
  await b.append({ input: "2", output: "x", usage }, { key: "k" });
  await (
    await a.consult("3")
  ).done;
  const isRefusal = (error: { message: string; details: object }): true => {
    assert.ok(hasCode(error, "daily_budget_exceeded"));
    assert.partialDeepStrictEqual(error.details, {
      sessionId: "b",
      scope: "user",
      unit: "tokens",
      used: 300,
      max: 250,
      startsAgainAt: Date.parse("2026-12-01T00:00:00Z"),
      retryAfterMs: 3_600_000,
    });
    assert.match(error.message, /^the user has used 300 tokens today.*starts again at 2026-12-01T00:00:00.000Z/);
    return true;
  };
  const { version } = await b.refresh();
  await assert.rejects(b.consult("4"), isRefusal);
  await assert.rejects(b.append({ input: "4" }), isRefusal);
  await assert.rejects(b.begin("4"), isRefusal);
  assert.equal((await b.refresh()).version, version, "a refusal writes nothing");
  assert.equal((await b.append({ input: "2", output: "x", usage }, { key: "k" })).seq, 1, "a retry finds its turn");
  const bob = await place.sessions.create({ id: "c", user: "bob" });
  await bob.append({ input: "hi", usage });
  place.clock.set(Date.parse("2026-12-01T00:00:00Z"));
  await (
    await b.consult("4")
  ).done;
});

test("a tenant's budget counts the turns of all its sessions, and of no other tenant", async () => {
  await using place = inMemory({ budgets, model: says });
  const guests = await Promise.all(["a", "b"].map((id) => place.sessions.create({ id })));
  for (let turn = 0; turn < 8; turn++) await guests[turn % 2]?.append({ input: "hi" });
  const refusal = { code: "daily_budget_exceeded" };
  await assert.rejects(guests[0]?.append({ input: "hi" }) ?? Promise.resolve(), refusal);
  const other = await place.sessions.for("acme").create({ id: "a" });
  await other.append({ input: "hi" });
});

test("turns that fail or are truncated stay counted", async () => {
  await using place = inMemory({ budgets, model: says });
  const session = await place.sessions.create({ id: "s", user: "ada" });
  const fails: Model = async function* fails() {
    yield { type: "usage", usage };
    throw new Error("away");
  };
  await assert.rejects((await session.consult("1", { model: fails })).done);
  await session.append({ input: "2", usage });
  await session.truncate(0);
  await session.append({ input: "3", usage });
  await assert.rejects(session.append({ input: "4" }), { code: "daily_budget_exceeded" });
});

test("a running answer stops at the step that reaches the budget of the day; a retry gets the failure", async () => {
  await using place = inMemory({ agents: { ceo: {} }, budgets });
  const look = { name: "look", description: "looks", parameters: { type: "object" }, run: () => "nothing" };
  const manager = createManager({ sessions: place.sessions, tools: { ceo: [look] }, stepsMax: 50 });
  const session = await place.sessions.create({ id: "s", user: "ada" });
  const other = await place.sessions.create({ id: "t", user: "ada" });
  const runaway: Model = async function* runaway() {
    const call = { id: "c", function: { name: "look", arguments: "{}" } };
    yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
    yield { type: "usage", usage };
  };
  await other.append({ input: "hi", usage });
  const answer = await manager.send(session, "go", { key: "k", model: runaway });
  await assert.rejects(answer.done, { code: "daily_budget_exceeded" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.error?.code, "daily_budget_exceeded");
  assert.equal(turn.usage?.totalTokens, 200);
  const again = manager.send(session, "go", { key: "k", model: runaway }).then((given) => given.done);
  await assert.rejects(again, (error) => {
    assert.ok(hasCode(error, "daily_budget_exceeded"));
    assert.partialDeepStrictEqual(error.details, { scope: "user", unit: "tokens", used: 300, max: 250 });
    return true;
  });
});

test("invalid budgets of a day are refused before any I/O", () => {
  const wrong = [5, null, { user: 5 }, { user: { tokens: 5 } }, { user: { tokens: -1, per: "day" } }, { team: {} }];
  for (const invalid of wrong)
    assert.throws(() => inMemory({ budgets: invalid as never }), { code: "argument_invalid" }, JSON.stringify(invalid));
});
