import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { messages, turn } from "../../../test/property/arbitraries.ts";
import { refusal } from "../../../test/support/strict-endpoint.ts";
import { estimateTokens, estimateUsage } from "../turns/usage.ts";
import { remembered, type ShownMemory } from "./memory.ts";
import { continueRequest, halfWindow, requestMessages } from "./model-request.ts";
import { shownTurn, type PastTurn } from "./shown-turn.ts";
import type { Message, Turn } from "../turns/turn.ts";
import { parseWindow, selectTurns, unbounded, windowTurnsMax, type Window, type WindowBounds } from "./window.ts";

/** Turns numbered from 1, as a log holds them. */
const turns = fc
  .array(turn, { maxLength: 8 })
  .map((list) => list.map((one, index): Turn => ({ ...one, seq: index + 1 })));
const failedTurns = turns.map((list) =>
  list.map((one): Turn => {
    const code = one.seq % 2 === 0 ? "model_refused" : "model_failed";
    return one.status === "failed" ? { ...one, error: { code, message: "x" } } : one;
  }),
);
const png = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
/** The messages, with a picture in each result of an even length. */
const pictured = (list: readonly Message[]): readonly Message[] =>
  list.map((one) => {
    const { role, content } = one;
    const hasPicture = role === "tool" && typeof content === "string" && content.length % 2 === 0;
    return hasPicture ? { ...one, content: [{ type: "text", text: content }, png] } : one;
  });
/** The messages, some of their calls and results in the form of the AI SDK. */
const inTwoForms = (list: readonly Message[]): readonly Message[] =>
  list.map((one, index) => {
    const { role, content = null, tool_calls: calls, tool_call_id: id = "" } = one;
    if (index % 2 === 0) return one;
    if (role === "tool")
      return { role, content: [{ type: "tool-result", toolCallId: id, toolName: "look", result: content }] };
    if (role !== "assistant" || calls === undefined) return one;
    const parts = calls.map((call) => ({ type: "tool-call", toolCallId: call.id, toolName: "look", input: {} }));
    return { role, content: [{ type: "text", text: typeof content === "string" ? content : "" }, ...parts] };
  });
const window = fc.oneof(
  fc.constant(unbounded),
  fc.record({ turns: fc.nat(8), tokens: fc.oneof(fc.nat(400), fc.constant(Number.MAX_SAFE_INTEGER)) }),
);

test("the strictest endpoints accept every request, with any history", () => {
  fc.assert(
    fc.property(failedTurns, messages, window, fc.option(fc.string()), (list, asked, window, instructions) => {
      const turns = list.map((one) => ({
        ...one,
        input: inTwoForms(pictured(one.input)),
        output: inTwoForms(pictured(one.output)),
      }));
      const question: readonly Message[] = [...inTwoForms(pictured(asked)), { role: "user", content: "and now?" }];
      const shown = requestMessages({ turns, question, instructions: instructions ?? undefined }, { window });
      assert.equal(refusal(shown), undefined, JSON.stringify(shown, null, 1));
      assert.equal(shown.at(-1)?.role, "user");
      const output: readonly Message[] = [
        { role: "assistant", content: "let me see" },
        { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "" } }] },
      ];
      const results: readonly Message[] = pictured([{ role: "tool", tool_call_id: "c", content: "" }]);
      const next = continueRequest(shown, { output, results });
      assert.equal(refusal(next), undefined, JSON.stringify(next, null, 1));
      assert.deepEqual(next.slice(0, shown.length), shown, "a later call of the turn keeps the messages of the first");
    }),
    { numRuns: 500 },
  );
});

test("the strictest endpoints accept every request with a summary, pinned turns and turns that are left out", () => {
  const marks = fc.record({
    to: fc.nat(9),
    text: fc.string(),
    pinned: fc.array(fc.nat(8)),
    leftOut: fc.array(fc.nat(8)),
  });
  fc.assert(
    fc.property(failedTurns, messages, window, marks, (list, asked, bounds, { to, text, pinned, leftOut }) => {
      const memory: ShownMemory = {
        ...(to === 0 ? {} : { summary: { to, text } }),
        pinned: list.filter(({ seq }) => pinned.includes(seq)),
        leftOut: new Set(leftOut),
      };
      const past = remembered(list, { memory, window: bounds });
      const question: readonly Message[] = [...inTwoForms(asked), { role: "user", content: "and now?" }];
      const shown = requestMessages({ ...past, question }, past);
      assert.equal(refusal(shown), undefined, JSON.stringify(shown, null, 1));
      assert.equal(shown.at(-1)?.role, "user");
      assert.ok(!past.turns.some(({ seq }) => leftOut.includes(seq) || (past.memory !== undefined && seq <= to)));
      const isSummarized = JSON.stringify(shown).includes("[Summary of the earlier conversation.");
      assert.equal(isSummarized, to > 0 && bounds.turns > 0 && bounds.tokens > 0);
      const memoryTokens = estimateTokens((past.memory?.pinned ?? []).flatMap((one) => shownTurn(one).messages));
      assert.ok(memoryTokens <= bounds.tokens / 2 && past.window.tokens <= bounds.tokens);
    }),
    { numRuns: 300 },
  );
});

test("a window holds whole turns, the newest, within its tokens and one and a half times its turns", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 60 }), fc.nat(20), fc.nat(800), (sizes, turns, tokens) => {
      const all = sizes.map((size, index) => ({ seq: index + 1, tokens: size }));
      const chosen = selectTurns(all, { turns, tokens });
      assert.deepEqual(chosen, all.slice(all.length - chosen.length), "the newest, without a gap");
      assert.ok(chosen.reduce((sum, turn) => sum + turn.tokens, 0) <= tokens);
      assert.ok(chosen.length <= turns + Math.floor(turns / 2));
      const unlimited = selectTurns(all, { turns, tokens: Number.POSITIVE_INFINITY });
      assert.ok(unlimited.length >= Math.min(turns, all.length));
      // At most half of the turns that would fit are left out, so that the beginning stays for several turns.
      let sum = 0;
      const fitting = all.toReversed().filter((turn) => (sum += turn.tokens) <= tokens).length;
      assert.ok(chosen.length >= Math.min(unlimited.length, Math.ceil(fitting / 2)));
    }),
  );
});

const texts = (messages: readonly Message[]): readonly unknown[] => messages.map(({ content }) => content);
const message = (content: string, role: Message["role"] = "user"): Message => ({ role, content });
const past = (seq: number, fields: Partial<PastTurn>): PastTurn => ({
  seq,
  status: "done",
  input: [message(`question ${seq}`)],
  output: [message(`answer ${seq}`, "assistant")],
  requests: 1,
  ...fields,
});
const shown = (turns: readonly PastTurn[], question: readonly Message[] = [message("now")]): readonly Message[] =>
  requestMessages({ turns, question }, { window: unbounded });
const call = (id: string, name = "f"): Message => ({
  role: "assistant",
  content: null,
  tool_calls: [{ id, function: { name, arguments: "{}" } }],
});
const result = (id: string, content: string): Message => ({ role: "tool", tool_call_id: id, content });

for (const window of [
  { turns: 20, tokens: Number.POSITIVE_INFINITY },
  { turns: 1000, tokens: 2000 },
]) {
  test(`nine tenths of the prompts are the beginning of the next one, over 100 turns in ${JSON.stringify(window)}`, () => {
    const turns: PastTurn[] = [];
    let before = "";
    let sharedLength = 0;
    let length = 0;
    for (let seq = 1; seq <= 100; seq++) {
      const question = [message(`question ${seq} `.repeat(8))];
      const text = JSON.stringify(requestMessages({ turns, question, instructions: "Be brief." }, { window }));
      let shared = 0;
      while (shared < before.length && text[shared] === before[shared]) shared++;
      sharedLength += shared;
      length += before.length;
      before = text;
      turns.push(past(seq, { input: question, output: [message("answer ".repeat(12), "assistant")] }));
    }
    assert.ok(sharedLength / length >= 0.9, `${Math.round((100 * sharedLength) / length)} %`);
  });
}

test("a turn that failed or was refused with no answer is not shown", () => {
  for (const code of ["model_refused", "model_failed"]) {
    const failed = past(2, { status: "failed", output: [], error: { code, message: "x" } });
    assert.deepEqual(texts(shown([past(1, {}), failed])), ["question 1", "answer 1", "now"]);
  }
});

test("of a turn that was refused after its tools ran, the words and the names of the tools are shown", () => {
  const output = [message("Let me look.", "assistant"), call("c1", "pay"), result("c1", "poison")];
  const refused = past(1, { status: "failed", output, error: { code: "model_refused", message: "x" } });
  assert.deepEqual(texts(shown([refused])), [
    "question 1",
    "Let me look.\n\n(no answer: interrupted after calls of pay)",
    "now",
  ]);
});

test("a question that was interrupted before its answer is closed by a marked line", () => {
  assert.deepEqual(texts(shown([past(1, { status: "interrupted", output: [] })])), [
    "question 1",
    "(no answer: interrupted)",
    "now",
  ]);
});

test("an empty answer is closed by a marked line, and messages that no model was asked are joined", () => {
  const output = [message(" ", "assistant"), { role: "assistant" as const }];
  assert.deepEqual(texts(shown([past(1, { output })])), ["question 1", "(no answer)", "now"]);
  assert.deepEqual(texts(shown([past(1, { output: [], requests: 0 })])), ["question 1\n\nnow"]);
});

test("a result at the beginning of the next turn answers the call of the turn before", () => {
  const called = past(1, { output: [call("c1")] });
  const answered = shown([called], [result("c1", "approved")]);
  assert.deepEqual(answered.slice(1), [call("c1"), result("c1", "approved")]);
  const appended = past(2, { input: [result("c1", "approved")], output: [message("done", "assistant")] });
  assert.deepEqual(shown([called, appended]).slice(1, 4), [
    call("c1"),
    result("c1", "approved"),
    message("done", "assistant"),
  ]);
  const closed = past(1, { output: [call("c1"), { ...result("c1", "unknown"), synthetic: true }] });
  assert.deepEqual(shown([closed], [result("c1", "approved")]).slice(1), [call("c1"), result("c1", "approved")]);
});

test("names of tools that endpoints refuse are shown with other characters", () => {
  const names = ["dalle.text2im", "", "x".repeat(70)];
  const calls = names.map((name, index) => ({
    id: `c${index}`,
    type: "function" as const,
    function: { name, arguments: "{}" },
  }));
  const past: PastTurn = {
    seq: 1,
    status: "done",
    requests: 1,
    input: [{ role: "user", content: "go" }],
    output: [{ role: "assistant", content: null, tool_calls: calls }],
  };
  const [, shown] = requestMessages({ turns: [past], question: [] }, { window: unbounded });
  assert.deepEqual(
    shown?.tool_calls?.map((call) => call.function.name),
    ["dalle_text2im", "unknown", "x".repeat(64)],
  );
});

test("a result that comes too late, or for no call, is shown as text", () => {
  const called = past(1, { output: [call("c1")] });
  const late = shown([called, past(2, {})], [result("c1", "approved")]);
  assert.deepEqual(late.at(-1)?.content, "[Result of the tool call c1] approved");
  assert.deepEqual(texts(shown([], [result("x", "9")])), ["[Result of the tool call x] 9"]);
});

test("pictures and files of results stand in a message of the user, after the results of all calls", () => {
  const pdf = { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AAAA" } };
  const calls: Message = {
    role: "assistant",
    content: null,
    tool_calls: ["c1", "c2", "c3"].map((id) => ({ id, function: { name: "f", arguments: "{}" } })),
  };
  const results: readonly Message[] = [
    { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "done" }, png] },
    { role: "tool", tool_call_id: "c2", content: "plain" },
    { role: "tool", tool_call_id: "c3", content: [pdf] },
  ];
  const follows = (kind: string): string => `(a ${kind} follows in the next message of the user)`;
  const after: readonly Message[] = [
    calls,
    result("c1", `done\n${follows("picture")}`),
    result("c2", "plain"),
    result("c3", follows("file")),
    { role: "assistant", content: "(the content of the results follows)", synthetic: true },
    {
      role: "user",
      content: [
        { type: "text", text: "[Result of the tool call c1]" },
        png,
        { type: "text", text: "[Result of the tool call c3]" },
        pdf,
      ],
      synthetic: true,
    },
  ];
  const first = [message("question 1")];
  assert.deepEqual(continueRequest(first, { output: [calls], results }), [...first, ...after]);
  const answer = message("answer 1", "assistant");
  const stored = past(1, { output: [calls, ...results, answer] });
  assert.deepEqual(shown([stored]), [...first, ...after, answer, message("now")], "as a past turn the same");
  const [asText] = shown([], [results[0]!]);
  assert.deepEqual(asText?.content, [{ type: "text", text: "[Result of the tool call c1] done" }, png]);
  const anthropic = {
    type: "tool_result",
    tool_use_id: "c1",
    content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }],
  };
  const asked = shown([past(1, { output: [call("c1")] })], [{ role: "user", content: [anthropic] }]);
  assert.deepEqual(asked.at(-1)?.content, [{ type: "text", text: "[Result of the tool call c1]" }, png]);
});

test("system messages anywhere are one at the beginning", () => {
  const turns = [past(1, { input: [message("rule", "developer"), message("question 1")] })];
  const messages = requestMessages(
    { turns, question: [message("now")], instructions: "Be brief." },
    { window: unbounded },
  );
  assert.deepEqual(texts(messages), ["Be brief.\n\nrule", "question 1", "answer 1", "now"]);
});

test("a question of system messages alone is followed by a marked line of the user", () => {
  assert.deepEqual(texts(shown([past(1, {})], [message("Be brief.", "system")])), [
    "Be brief.",
    "question 1",
    "answer 1",
    "(the conversation continues)",
  ]);
  assert.equal(shown([past(1, {})], [message("The answer is", "assistant")]).at(-1)?.role, "assistant");
  assert.equal(shown([past(1, {})], []).at(-1)?.role, "assistant", "an export ends with the answer");
});

test("parts of other providers are shown in the known form, and unknown kinds are left out", () => {
  const parts = [
    { type: "text", text: "a" },
    { type: "source-url", url: "https://e.example" },
    { type: "input_text", text: "b" },
    { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
    { type: "file", mediaType: "image/png", url: "https://e.example/p.png" },
    { type: "data-weather", data: {} },
  ];
  assert.deepEqual(shown([], [{ role: "user", content: parts }])[0]?.content, [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
    { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
    { type: "image_url", image_url: { url: "https://e.example/p.png" } },
  ]);
  const [a, pdf] = [new Uint8Array([0, 0, 0]), "data:application/pdf;base64,AAAA"];
  const files = [
    { type: "file", mediaType: "application/pdf", data: "AAAA", filename: "a.pdf" },
    { type: "file", mediaType: "application/pdf", data: a },
    { type: "file", mediaType: "application/pdf", url: pdf },
    { type: "file", mediaType: "image/png", data: a },
    { type: "image", image: a },
    { type: "document", source: { type: "base64", media_type: "application/pdf", data: "AAAA" }, title: "a" },
    { type: "document", source: { type: "text", media_type: "text/plain", data: "plain" } },
    { type: "input_file", filename: "a.pdf", file_data: pdf },
    { type: "input_file", file_id: "file-1" },
    // Without content, and at an address.
    { type: "file", mediaType: "application/pdf" },
    { type: "file", mediaType: "application/pdf", url: "https://e.example/a.pdf" },
    { type: "file", mediaType: "application/pdf", data: "https://e.example/a.pdf" },
    { type: "document", source: { type: "url", url: "https://e.example/a.pdf" } },
  ];
  assert.deepEqual(shown([], [{ role: "user", content: files }])[0]?.content, [
    { type: "file", file: { filename: "a.pdf", file_data: pdf } },
    { type: "file", file: { file_data: pdf } },
    { type: "file", file: { file_data: pdf } },
    png,
    png,
    { type: "file", file: { filename: "a", file_data: pdf } },
    { type: "text", text: "plain" },
    { type: "file", file: { filename: "a.pdf", file_data: pdf } },
    { type: "file", file: { file_id: "file-1" } },
  ]);
  const thinking = [
    { type: "thinking", thinking: "hm" },
    { type: "text", text: "Belgium." },
  ];
  assert.deepEqual(texts(shown([past(1, { output: [{ role: "assistant", content: thinking }] })])).at(1), "Belgium.");
  const unknown = [{ type: "data-x", data: 1 }];
  assert.equal(shown([], [{ role: "user", content: unknown }])[0]?.content, "(content that a model cannot read)");
  const anthropic = past(1, {
    output: [{ role: "assistant", content: [{ type: "tool_use", id: "t1", name: "f", input: { a: 1 } }] }],
  });
  const next = shown(
    [anthropic],
    [{ role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: "ok" }] }],
  );
  assert.deepEqual(next.slice(1), [
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "t1", type: "function", function: { name: "f", arguments: '{"a":1}' } }],
    },
    result("t1", "ok"),
  ]);
});

test("pictures have a fixed price, and Chinese costs about a token for each character", () => {
  const url = `data:image/png;base64,${"A".repeat(1024 * 1024)}`;
  const picture = estimateTokens([{ role: "user", content: [{ type: "image_url", image_url: { url } }] }]);
  assert.ok(picture > 100 && picture < 1000, String(picture));
  const chinese = estimateTokens([message("明天几点开门我想订蛋糕".repeat(91))]);
  assert.ok(chinese > 650 && chinese < 1100, String(chinese));
});

test("half of a window shows half of it, and none where nothing is left", () => {
  const turns = Array.from({ length: 8 }, (_, index) => past(index + 1, {}));
  let window: WindowBounds | undefined = unbounded;
  const counts: number[] = [];
  while (window !== undefined) {
    counts.push(requestMessages({ turns, question: [message("now")] }, { window }).length);
    window = halfWindow(turns, window);
  }
  assert.deepEqual(
    counts,
    counts.toSorted((a, b) => b - a),
  );
  assert.equal(counts.at(-1), 1);
  assert.ok(counts.length <= 6, counts.join());
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

test("a request is instructions and note, window and question, in this order", () => {
  const content = { turns: [past(1, {}), past(2, {})], question: [message("three")], instructions: "Be brief." };
  const handoff = { agent: "a", since: 0, expiresAt: 1, note: "urgent" };
  const spoken = ["question 1", "answer 1", "question 2", "answer 2", "three"];
  assert.deepEqual(texts(requestMessages(content, { window: unbounded })), ["Be brief.", ...spoken]);
  assert.deepEqual(texts(requestMessages(content, { window: { ...unbounded, turns: 1 } })), [
    "Be brief.",
    ...spoken.slice(2),
  ]);
  assert.deepEqual(texts(requestMessages(content, { window: { ...unbounded, turns: 0 } })), ["Be brief.", "three"]);
  const noted = requestMessages(content, { window: unbounded, handoff: { ...handoff, noteFrom: "application" } });
  assert.deepEqual(texts(noted), ["Be brief.\n\nThe conversation was handed to you: urgent", ...spoken]);
  const reported = requestMessages({ ...content, instructions: undefined }, { window: unbounded, handoff });
  assert.deepEqual(
    reported.map(({ role }) => role),
    ["user", "assistant", "user", "assistant", "user", "assistant", "user"],
  );
});
