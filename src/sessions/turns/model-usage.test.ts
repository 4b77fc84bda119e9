import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { truncatedUsageOf } from "../../domain/turns/truncated-usage.ts";
import { countAll, countTruncatedUsage } from "../../domain/turns/counters.ts";
import { estimateUsage } from "../../domain/turns/usage.ts";
import { withTools } from "../../manager/tool-loop.ts";
import type { Model } from "../options/model.ts";
import type { Session } from "../session/session.ts";
import { truncatedUsageLog } from "../../domain/record/entry.ts";

const usage = (inputTokens: number, outputTokens: number): Turn["usage"] & object => ({
  inputTokens,
  outputTokens,
  totalTokens: inputTokens + outputTokens,
});
const call = {
  type: "message",
  message: { role: "assistant", content: null, tool_calls: [{ id: "c", function: { name: "look", arguments: "{}" } }] },
} as const;
const look = {
  name: "look",
  description: "looks",
  parameters: { type: "object", properties: {} },
  run: async (): Promise<string> => "seen",
};

async function lastTurn(session: Session): Promise<Turn> {
  const [turn] = await Array.fromAsync(session.turns({ last: 1 }));
  assert.ok(turn);
  return turn;
}

test("a turn of several calls has the usage of each, and they add up to the usage of the turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  let calls = 0;
  const model: Model = async function* model() {
    calls++;
    yield { type: "model", model: `m${calls}` };
    await place.clock.advance(calls * 100);
    if (calls === 1) yield call;
    else yield { type: "text", text: "done" };
    yield { type: "usage", usage: usage(10 * calls, calls) };
  };
  const answer = await session.consult("go", { model: withTools(model, [look], { session }) });
  const turn = await answer.done;
  assert.deepEqual(turn.steps, [
    { model: "m1", usage: usage(10, 1), durationMs: 100 },
    { model: "m2", usage: usage(20, 2), durationMs: 200 },
  ]);
  assert.deepEqual(turn.usage, usage(30, 3));
  assert.deepEqual((await lastTurn(session)).steps, turn.steps);
});

test("a turn of one call stores no steps", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const model: Model = async function* model() {
    yield { type: "text", text: "done" };
    yield { type: "usage", usage: usage(10, 1) };
  };
  const turn = await (await session.consult("go", { model: withTools(model, [look], { session }) })).done;
  assert.equal(turn.steps, undefined);
  assert.deepEqual(turn.usage, usage(10, 1));
});

test("an answer that breaks off in its second call is charged for both, the second estimated", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  let calls = 0;
  const model: Model = async function* model() {
    calls++;
    if (calls === 1) {
      yield call;
      yield { type: "usage", usage: usage(10, 1) };
      return;
    }
    yield { type: "text", text: "half an ans" };
    throw new Error("the line is dead");
  };
  const answer = await session.consult("go", { model: withTools(model, [look], { session }) });
  await assert.rejects(answer.done, { code: "model_failed" });
  const turn = await lastTurn(session);
  const [first, second] = turn.steps ?? [];
  assert.deepEqual(first?.usage, usage(10, 1));
  assert.equal(second?.usage.estimated, true);
  const asked = [...turn.input, ...turn.output.slice(0, 2)];
  assert.deepEqual(second?.usage, estimateUsage(asked, turn.output.slice(2)));
  assert.equal(turn.usage?.totalTokens, 11 + (second?.usage.totalTokens ?? 0));
  assert.equal(turn.usage?.estimated, true);
  assert.equal(turn.requests, 2);
  assert.equal(session.info.counters.totalTokens, turn.usage?.totalTokens);
});

test("the usage that the model reported before a call broke off counts as reported", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  let calls = 0;
  const model: Model = async function* model() {
    calls++;
    yield { type: "usage", usage: usage(10 * calls, calls) };
    if (calls === 2) throw new Error("the line is dead");
    yield call;
  };
  const answer = await session.consult("go", { model: withTools(model, [look], { session }) });
  await assert.rejects(answer.done, { code: "model_failed" });
  const turn = await lastTurn(session);
  assert.deepEqual(turn.usage, usage(30, 3));
  assert.deepEqual(
    turn.steps?.map((step) => step.usage),
    [usage(10, 1), usage(20, 2)],
  );
});

test("a last report of zeros does not replace the one before it", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const model: Model = async function* model() {
    yield { type: "text", text: "done" };
    yield { type: "usage", usage: usage(10, 2) };
    yield { type: "usage", usage: usage(0, 0) };
  };
  assert.deepEqual((await (await session.consult("go", { model })).done).usage, usage(10, 2));
});

test("a turn that is closed or dropped unsealed is charged for its output", async () => {
  await using place = inMemory();
  const other = place.another();
  const session = await other.create({ id: "s" });
  const spoken = Promise.withResolvers<void>();
  const model: Model = async function* model() {
    yield { type: "text", text: "half an ans" };
    spoken.resolve();
    await new Promise(() => undefined);
  };
  const answer = await session.consult("go", { model });
  answer.done.catch(() => undefined);
  await spoken.promise;
  await other.close();
  const seen = await place.sessions.get("s");
  const closed = await lastTurn(seen);
  assert.equal(closed.status, "interrupted");
  assert.deepEqual(closed.usage, estimateUsage(closed.input, closed.output));
  {
    await using turn = await seen.begin("question");
    await turn.write({ text: "half" });
  }
  const dropped = await lastTurn(seen);
  assert.deepEqual(dropped.usage, estimateUsage(dropped.input, dropped.output));
});

test("the usage of truncated turns stays in the stats, by agent, model and hour", async () => {
  await using place = inMemory();
  const { sessions, clock, store } = place;
  const session = await sessions.create({ id: "s" });
  const hour = Math.floor(clock.now() / 3_600_000) * 3_600_000;
  const one = { input: "q", output: "a", durationMs: 50, usage: usage(10, 5) };
  await session.append({ ...one, agent: "a", model: "m" });
  await session.append({ ...one, agent: "a", model: "m", durationMs: 70 });
  await session.append({ ...one, agent: "b", status: "failed" });
  await session.append({ input: "q" });
  await clock.advance(3_600_000);
  await session.append({ ...one, agent: "a", model: "m" });
  await session.truncate(1);
  await session.truncate(0);
  const range = { log: truncatedUsageLog, from: 1, to: 100, order: "ascending", limit: 100 } as const;
  const truncated = (await store.read({ tenant: "default", id: "s" }, range)).map(truncatedUsageOf);
  const at = { agent: "a", model: "m", hour };
  const none = { failed: 0, interrupted: 0, estimated: 0 };
  const nothing = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };
  assert.deepEqual(truncated, [
    { ...at, usage: usage(10, 5), requests: 1, durationMs: 70, longestMs: 70, turns: 1, ...none },
    { agent: "b", hour, usage: usage(10, 5), requests: 1, durationMs: 50, longestMs: 50, turns: 1, ...none, failed: 1 },
    { agent: "assistant", hour, usage: nothing, requests: 0, durationMs: 0, longestMs: 0, turns: 1, ...none },
    {
      ...at,
      hour: hour + 3_600_000,
      usage: usage(10, 5),
      requests: 1,
      durationMs: 50,
      longestMs: 50,
      turns: 1,
      ...none,
    },
    { ...at, usage: usage(10, 5), requests: 1, durationMs: 50, longestMs: 50, turns: 1, ...none },
  ]);
  assert.deepEqual(countTruncatedUsage(countAll([]), truncated), session.info.counters);
});

test("an answer is stored and charged for any usage that its model reports", async () => {
  const odd: unknown[] = [Number.NaN, "3", -1_000_000, 1.5, 2 ** 53, 1e308, null, undefined, {}, []];
  for (const inputTokens of odd) {
    for (const withTool of [false, true]) {
      await using place = inMemory();
      const session = await place.sessions.create({ id: "s" });
      let calls = 0;
      const model: Model = async function* model() {
        calls++;
        yield { type: "model", model: inputTokens as never };
        if (withTool && calls === 1) yield call;
        else yield { type: "text", text: "done" };
        yield { type: "usage", usage: { inputTokens, outputTokens: 5, totalTokens: inputTokens } as never };
        yield { type: "requests", requests: inputTokens as never };
      };
      const asked = withTool ? withTools(model, [look], { session }) : model;
      const turn = await (await session.consult("go", { model: asked })).done;
      assert.equal(turn.status, "done", String(inputTokens));
      assert.equal(turn.usage?.estimated, true);
      assert.equal(turn.usage.totalTokens, turn.usage.inputTokens + turn.usage.outputTokens);
      assert(turn.usage.inputTokens > 0 && turn.usage.outputTokens === (withTool ? 10 : 5));
      assert.equal(session.info.counters.totalTokens, turn.usage.totalTokens);
      assert(Number.isSafeInteger(turn.requests) && turn.requests >= 1);
    }
  }
});

test("a turn that is sealed with an odd usage is sealed", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const odd of [Number.NaN, "3", -5, 1e308]) {
    const turn = await session.begin("q");
    const usage = { inputTokens: odd, outputTokens: 1 } as never;
    const sealed = await turn.seal({
      output: [],
      usage,
      requests: odd as never,
      model: odd as never,
      steps: [{ usage, durationMs: odd as never }],
    });
    assert.equal(sealed.usage?.estimated, true);
    assert.equal(sealed.requests, 1);
  }
  assert.equal(typeof session.info.counters.totalTokens, "number");
});
