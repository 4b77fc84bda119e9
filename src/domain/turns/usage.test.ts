import assert from "node:assert/strict";
import { test } from "node:test";
import { counterMax, countMax, durationMaxMs } from "../values/limits.ts";
import { noCounters } from "../record/record.ts";
import { countSealed } from "./counters.ts";
import type { Turn, Usage } from "./turn.ts";
import { addUsage, estimateTokens, parseSteps, parseUsage } from "./usage.ts";

const estimate = (): Usage => ({ inputTokens: 7, outputTokens: 5, totalTokens: 12, estimated: true });
const unusable: readonly unknown[] = [
  undefined,
  null,
  Number.NaN,
  "3",
  -1,
  1.5,
  2 ** 53,
  1e308,
  Infinity,
  {},
  [],
  true,
];

test("a usage that is complete is taken as it is", () => {
  const usage = { inputTokens: 1, outputTokens: 2, totalTokens: 9 };
  assert.deepEqual(parseUsage(usage, estimate), usage);
  assert.deepEqual(parseUsage({ ...usage, estimated: true }, estimate), { ...usage, estimated: true });
});

test("a missing total is the sum of the parts", () => {
  for (const totalTokens of unusable) {
    const parsed = parseUsage({ inputTokens: 1, outputTokens: 2, totalTokens }, estimate);
    assert.deepEqual(parsed, { inputTokens: 1, outputTokens: 2, totalTokens: 3 });
  }
});

test("a total is at least the sum of the reported parts, and 0 beside other parts is unknown", () => {
  for (const totalTokens of [0, 1])
    assert.equal(parseUsage({ inputTokens: 1000, outputTokens: 20, totalTokens }, estimate).totalTokens, 1020);
  assert.equal(parseUsage({ totalTokens: 0 }, estimate).totalTokens, estimate().totalTokens);
  assert.equal(parseUsage({ inputTokens: 0, outputTokens: 0, totalTokens: 0 }, estimate).totalTokens, 0);
});

test("an unknown part is estimated and never counts as 0", () => {
  for (const odd of unusable) {
    assert.deepEqual(parseUsage({ inputTokens: odd, outputTokens: 2, totalTokens: odd }, estimate), {
      inputTokens: 7,
      outputTokens: 2,
      totalTokens: 9,
      estimated: true,
    });
    assert.deepEqual(parseUsage({ inputTokens: 1, outputTokens: odd, totalTokens: 30 }, estimate), {
      inputTokens: 1,
      outputTokens: 5,
      totalTokens: 30,
      estimated: true,
    });
    assert.deepEqual(parseUsage(odd, estimate), estimate());
  }
});

test("steps keep what can be summed", () => {
  const step = { model: "m", usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 }, durationMs: 4 };
  assert.deepEqual(parseSteps([step], estimate), [step]);
  for (const odd of unusable) {
    const [parsed] = parseSteps([{ model: odd, usage: odd, durationMs: Number.NaN }] as never, estimate);
    assert.equal(parsed?.usage.totalTokens, 12);
    assert.equal(parsed.durationMs, 0);
  }
});

test("no sum of counters becomes inexact", () => {
  const most = { inputTokens: countMax, outputTokens: countMax, totalTokens: countMax };
  const turn: Turn = {
    seq: 1,
    key: null,
    at: new Date(0),
    status: "done",
    agent: "a",
    input: [],
    output: [],
    usage: most,
    requests: countMax,
    durationMs: durationMaxMs,
  };
  let counters = noCounters;
  for (let count = 0; count < 20_000; count++) counters = countSealed(counters, turn);
  for (const sum of [counters.totalTokens, counters.requests, counters.durationMs]) assert.equal(sum, counterMax);
  const full = { inputTokens: counterMax, outputTokens: counterMax, totalTokens: counterMax };
  assert.equal(addUsage(full, most).totalTokens, counterMax);
  const odd = { ...turn, usage: { inputTokens: "3", outputTokens: Number.NaN, totalTokens: -5 } } as unknown as Turn;
  assert.equal(countSealed(noCounters, odd).totalTokens, 0);
});

test("a call that a part of its message repeats counts once in an estimate", () => {
  const call = {
    id: "c1",
    type: "function",
    function: { name: "find", arguments: `{"text":"${"x".repeat(400)}"}` },
  } as const;
  const input = { text: "x".repeat(400) };
  const part = { type: "tool-find", toolCallId: "c1", state: "input-available", input };
  const once = estimateTokens([{ role: "assistant", parts: [part] }]);
  assert.equal(estimateTokens([{ role: "assistant", parts: [part], tool_calls: [call] }]), once);
  const other = { ...call, id: "c2" };
  assert.ok(estimateTokens([{ role: "assistant", parts: [part], tool_calls: [call, other] }]) >= once + 100);
});
