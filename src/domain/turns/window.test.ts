import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { messages, turn } from "../../../test/property/arbitraries.ts";
import { closeToolCalls, danglingToolCalls } from "./turn.ts";
import { estimateTokens, estimateUsage } from "./usage.ts";
import { parseWindow, windowMessages, windowTurnsMax, type Window } from "./window.ts";

const turns = fc.array(turn, { maxLength: 8 });
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
