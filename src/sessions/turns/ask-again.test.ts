import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { countAll } from "../../domain/turns/counters.ts";
import { SessionError } from "../../errors.ts";
import { withTools } from "../../manager/tool-loop.ts";
import type { Model } from "../options/model.ts";

/** A model that fails until it is up; it counts its calls. */
function unsteady(): { model: Model; isUp: boolean; calls: number } {
  const state = {
    isUp: false,
    calls: 0,
    model: async function* () {
      state.calls++;
      yield { type: "usage", usage: { inputTokens: 3, outputTokens: 1 } };
      if (!state.isUp) throw new SessionError("model_failed", { reported: "overloaded" });
      yield { type: "text", text: "fine" };
    } as Model,
  };
  return state;
}

test("a retry under the key of a failed turn asks again in its place", async () => {
  const model = unsteady();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "before", output: "yes" });
  await assert.rejects((await session.consult("hello", { key: "bubble-1" })).done, { code: "model_failed" });
  await assert.rejects((await session.consult("hello", { key: "bubble-1" })).done, { code: "model_failed" });
  model.isUp = true;
  // Another process, as the worker of a job queue.
  const elsewhere = await place.another({ model: model.model }).get("s");
  const answer = await elsewhere.consult("hello", { key: "bubble-1" });
  assert.equal(await answer.text(), "fine");
  assert.equal(answer.seq, 2);
  assert.equal(model.calls, 3);
  assert.equal(await (await session.consult("hello", { key: "bubble-1" })).text(), "fine", "a done turn is told again");
  assert.equal(model.calls, 3);
  const turns = await Array.fromAsync((await place.sessions.get("s")).turns());
  assert.deepEqual(
    turns.map(({ seq, key, status }) => [seq, key, status]),
    [
      [1, null, "done"],
      [2, "bubble-1", "done"],
    ],
  );
  const { counters } = await session.refresh();
  assert.deepEqual([counters.turns, counters.messages], [countAll(turns).turns, countAll(turns).messages]);
  assert.equal(counters.inputTokens, 9, "the usage of the failed tries stays counted");
});

test("a retry asks again where the writer of the first try died, and where it was stopped", async () => {
  const model = unsteady();
  model.isUp = true;
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("hello", { key: "job-1" });
  await turn.write({ text: "Hel" });
  await turn.seal({ status: "interrupted", error: { code: "interrupted", message: "its writer is no longer alive" } });
  const answer = await session.consult("hello", { key: "job-1" });
  assert.equal(await answer.text(), "fine");
  assert.equal((await Array.fromAsync(session.turns())).length, 1);
});

test("two retries at once ask once", async () => {
  const model = unsteady();
  await using place = inMemory({ model: model.model, busy: "queue" });
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects((await session.consult("hello", { key: "k" })).done, { code: "model_failed" });
  model.isUp = true;
  const others = await Promise.all([
    place.sessions.get("s"),
    place.another({ model: model.model, busy: "queue" }).get("s"),
  ]);
  const answers = await Promise.all(others.map(async (one) => await (await one.consult("hello", { key: "k" })).text()));
  assert.deepEqual(answers, ["fine", "fine"]);
  assert.equal(model.calls, 2);
});

test("a retry gets the failure where tools ran, where other turns follow, and under a legal hold", async () => {
  const model = unsteady();
  await using place = inMemory({ model: model.model });
  const failing: Model = async function* ({ messages }) {
    if (messages.length > 1) throw new SessionError("model_failed", { reported: "overloaded" });
    const call = { id: "c", function: { name: "pay", arguments: "{}" } };
    yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
  };
  let paid = 0;
  const pay = { name: "pay", description: "pays", parameters: { type: "object" }, run: () => ++paid };
  const withPay = await place.sessions.create({ id: "tools" });
  for (let index = 0; index < 2; index++) {
    const tools = withTools(failing, [pay], { session: withPay });
    await assert.rejects((await withPay.consult("pay", { key: "k", model: tools })).done, { code: "model_failed" });
  }
  assert.equal(paid, 1);

  const followed = await place.sessions.create({ id: "followed" });
  await assert.rejects((await followed.consult("hello", { key: "k" })).done, { code: "model_failed" });
  await followed.append({ input: "more", output: "yes" });
  model.isUp = true;
  await assert.rejects((await followed.consult("hello", { key: "k" })).done, { code: "model_failed" });
  assert.equal((await followed.refresh()).turn, 2);

  model.isUp = false;
  const held = await place.sessions.create({ id: "held" });
  await assert.rejects((await held.consult("hello", { key: "k" })).done, { code: "model_failed" });
  await held.setLegalHold("case 4711");
  model.isUp = true;
  await assert.rejects((await held.consult("hello", { key: "k" })).done, { code: "model_failed" });
});

test("a retry with another question is refused, and a fork keeps the failed turn that it shares", async () => {
  const model = unsteady();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects((await session.consult("hello", { key: "k" })).done, { code: "model_failed" });
  await assert.rejects(session.consult("something else", { key: "k" }), { code: "key_reused" });
  const fork = await session.fork({ at: 1 });
  model.isUp = true;
  assert.equal(await (await session.consult("hello", { key: "k" })).text(), "fine");
  assert.deepEqual(
    (await Array.fromAsync(fork.turns())).map(({ status }) => status),
    ["failed"],
  );
  assert.equal(await (await fork.consult("hello", { key: "k" })).text(), "fine", "and asks again in its own place");
});
