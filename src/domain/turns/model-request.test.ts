import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { messages, turn } from "../../../test/property/arbitraries.ts";
import { closeToolCalls, danglingToolCalls } from "./turn.ts";
import { estimateTokens, estimateUsage } from "./usage.ts";
import { continueRequest, requestMessages } from "./model-request.ts";
import type { Message, Turn } from "./turn.ts";
import { parseWindow, unbounded, windowTurnsMax, type Window } from "./window.ts";

const turns = fc.array(turn, { maxLength: 8 });
const windowMessages = (turns: readonly Turn[], tokens: number): readonly Message[] =>
  requestMessages({ turns, question: [] }, { window: { ...unbounded, tokens } });
const budget = fc.oneof(fc.nat(400), fc.constant(Number.MAX_SAFE_INTEGER));

test("a window holds the newest whole turns, as many as the budget allows and no more", () => {
  fc.assert(
    fc.property(turns, budget, (turns, tokensMax) => {
      const shown = windowMessages(turns, tokensMax);
      const whole = turns.map(({ input, output }) => closeToolCalls([...input, ...output]));
      assert.ok(estimateTokens(shown) <= tokensMax, "the budget is kept");
      // Turns without messages cost nothing, so several counts may show the same; the greatest that fits must.
      const fitting = Array.from({ length: turns.length + 1 }, (_, count) => whole.slice(turns.length - count).flat());
      const most = fitting.filter((some) => estimateTokens(some) <= tokensMax).at(-1);
      assert.deepEqual(shown, most);
    }),
  );
});

test("no tool call of a window lacks its result", () => {
  fc.assert(
    fc.property(turns, budget, (turns, tokensMax) => {
      assert.deepEqual(danglingToolCalls(windowMessages(turns, tokensMax)), []);
    }),
  );
});

test("tokens are counted message by message", () => {
  fc.assert(
    fc.property(messages, messages, (a, b) => {
      assert.equal(estimateTokens([...a, ...b]), estimateTokens(a) + estimateTokens(b));
      const usage = estimateUsage(a, b);
      assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
      assert.equal(usage.totalTokens, estimateTokens(a) + estimateTokens(b));
      assert.equal(usage.estimated, true);
    }),
  );
  assert.equal(estimateTokens([{ role: "user", content: "12345678" }]), 6);
  assert.equal(estimateTokens([]), 0);
});

test("a window is a number of turns, or turns and tokens", () => {
  const most = Number.MAX_SAFE_INTEGER;
  assert.deepEqual(parseWindow(20), { turns: 20, tokens: most });
  assert.deepEqual(parseWindow(0), { turns: 0, tokens: most });
  assert.deepEqual(parseWindow({}), { turns: windowTurnsMax, tokens: most });
  assert.deepEqual(parseWindow({ tokens: 500 }), { turns: windowTurnsMax, tokens: 500 });
  assert.deepEqual(parseWindow({ turns: 5_000, tokens: 0 }), { turns: windowTurnsMax, tokens: 0 });
  const invalid = [-1, 1.5, Number.NaN, "20", null, true, { turns: -1 }, { tokens: 0.5 }, { turns: "all" }];
  for (const window of invalid) assert.throws(() => parseWindow(window as Window), { code: "argument_invalid" });
});

test("a request is instructions, note, window and question, in this order", () => {
  const said = (content: string, role: Message["role"] = "user"): Message => ({ role, content });
  const pair = (name: string): Pick<Turn, "input" | "output"> => ({
    input: [said(name)],
    output: [said(`re: ${name}`, "assistant")],
  });
  const content = { turns: [pair("one"), pair("two")], question: [said("three")], instructions: "Be brief." };
  const handoff = { agent: "a", since: 0, expiresAt: 1, note: "urgent" };
  const texts = (messages: readonly Message[]): unknown => messages.map(({ content }) => content);
  const past = ["one", "re: one", "two", "re: two", "three"];
  assert.deepEqual(texts(requestMessages(content, { window: unbounded })), ["Be brief.", ...past]);
  assert.deepEqual(texts(requestMessages(content, { window: { ...unbounded, turns: 1 } })), [
    "Be brief.",
    ...past.slice(2),
  ]);
  assert.deepEqual(texts(requestMessages(content, { window: { ...unbounded, turns: 0 } })), ["Be brief.", "three"]);
  const noted = requestMessages(content, { window: unbounded, handoff: { ...handoff, noteFrom: "application" } });
  assert.deepEqual(texts(noted), ["Be brief.", "The conversation was handed to you: urgent", ...past]);
  const reported = requestMessages({ ...content, instructions: undefined }, { window: unbounded, handoff });
  assert.deepEqual(
    reported.map(({ role }) => role),
    ["user", "assistant", "user", "assistant", "user", "assistant", "user"],
  );
  const output = [said("calls", "assistant")];
  const results = [said("result", "tool")];
  assert.deepEqual(texts(continueRequest(content.question, { output, results })), ["three", "calls", "result"]);
});
