/** Calls and results in every known shape, in one turn and over two: a model is shown one pair. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Value } from "../values/codec.ts";
import { estimateTokens } from "../turns/usage.ts";
import { countToolCalls } from "../turns/message-steps.ts";
import type { Message } from "../turns/turn.ts";
import { requestMessages } from "./model-request.ts";
import type { PastTurn } from "./shown-turn.ts";
import { unbounded } from "./window.ts";

const call = { id: "c1", type: "function" as const, function: { name: "f", arguments: '{"a":1}' } };
const png = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
const part = (role: Message["role"], content: Value): Message => ({ role, content: [content] });

const calls: Readonly<Record<string, Message>> = {
  "OpenAI's": { role: "assistant", content: null, tool_calls: [call] },
  "Anthropic's": part("assistant", { type: "tool_use", id: "c1", name: "f", input: { a: 1 } }),
  "Gemini's": part("assistant", { functionCall: { id: "c1", name: "f", args: { a: 1 } } }),
  "Gemini's, in parts": {
    role: "assistant",
    parts: [{ function_call: { id: "c1", name: "f", args: { a: 1 } }, thought_signature: "s" }],
  },
  "the AI SDK's": part("assistant", { type: "tool-call", toolCallId: "c1", toolName: "f", input: { a: 1 } }),
  "the AI SDK's of version 4": part("assistant", {
    type: "tool-call",
    toolCallId: "c1",
    toolName: "f",
    args: { a: 1 },
  }),
  "a UIMessage's": {
    role: "assistant",
    id: "m1",
    parts: [{ type: "step-start" }, { type: "tool-f", toolCallId: "c1", state: "input-available", input: { a: 1 } }],
  },
  "a UIMessage's, of a dynamic tool": {
    role: "assistant",
    parts: [{ type: "dynamic-tool", toolName: "f", toolCallId: "c1", state: "input-available", input: { a: 1 } }],
  },
  "a UIMessage's of version 4": {
    role: "assistant",
    content: "",
    toolInvocations: [{ state: "call", toolCallId: "c1", toolName: "f", args: { a: 1 } }],
  },
  "the Responses'": part("assistant", { type: "function_call", call_id: "c1", name: "f", arguments: '{"a":1}' }),
  "LangChain's, beside the same of OpenAI": {
    role: "assistant",
    content: [{ type: "tool_use", id: "c1", name: "f", input: { a: 1 } }],
    tool_calls: [call],
  },
};

const results: Readonly<Record<string, Message>> = {
  "OpenAI's": { role: "tool", tool_call_id: "c1", content: "7" },
  "Anthropic's": part("user", { type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "7" }] }),
  "Gemini's": part("user", { functionResponse: { id: "c1", name: "f", response: 7 } }),
  "the AI SDK's": part("tool", {
    type: "tool-result",
    toolCallId: "c1",
    toolName: "f",
    output: { type: "text", value: "7" },
  }),
  "the AI SDK's, as JSON": part("tool", {
    type: "tool-result",
    toolCallId: "c1",
    toolName: "f",
    output: { type: "json", value: 7 },
  }),
  "the AI SDK's, as content": part("tool", {
    type: "tool-result",
    toolCallId: "c1",
    output: { type: "content", value: [{ type: "text", text: "7" }] },
  }),
  "the AI SDK's of version 4": part("tool", { type: "tool-result", toolCallId: "c1", toolName: "f", result: 7 }),
  "the Responses'": part("tool", { type: "function_call_output", call_id: "c1", output: "7" }),
};

const past = (seq: number, fields: Partial<PastTurn>): PastTurn => ({
  seq,
  status: "done",
  input: [{ role: "user", content: `question ${seq}` }],
  output: [{ role: "assistant", content: `answer ${seq}` }],
  requests: 1,
  ...fields,
});
const shown = (turns: readonly PastTurn[], question: readonly Message[]): readonly Message[] =>
  requestMessages({ turns, question }, { window: unbounded });
const answer: Message = { role: "assistant", content: "done" };

for (const [made, asked] of Object.entries(calls)) {
  for (const [given, result] of Object.entries(results)) {
    test(`a model is shown a call in ${made} form and its result in ${given} as one pair, in a turn and over two`, () => {
      const pair = [
        { role: "assistant", content: null, tool_calls: [call] },
        { role: "tool", tool_call_id: "c1", content: "7" },
      ];
      const within = past(1, { output: [asked, result, answer] });
      const now: readonly Message[] = [{ role: "user", content: "now" }];
      assert.deepEqual(shown([within], now).slice(1), [...pair, answer, ...now]);
      const over = [past(1, { output: [asked] }), past(2, { input: [result], output: [answer] })];
      assert.deepEqual(shown(over, now).slice(1), [...pair, answer, ...now]);
      assert.deepEqual(shown([past(1, { output: [asked] })], [result]).slice(1), pair);
      assert.equal(countToolCalls([asked]), 1);
    });
  }
}

test("a UIMessage whose calls have their results is shown in its steps", () => {
  const ui: Message = {
    role: "assistant",
    id: "m1",
    metadata: { a: 1 },
    parts: [
      { type: "step-start" },
      { type: "reasoning", text: "hm" },
      { type: "text", text: "Let me look." },
      { type: "tool-f", toolCallId: "c1", state: "output-available", input: { a: 1 }, output: { celsius: 7 } },
      { type: "step-start" },
      { type: "tool-g", toolCallId: "c2", state: "output-error", input: {}, errorText: "no such place" },
      {
        type: "tool-h",
        toolCallId: "c3",
        state: "output-denied",
        input: {},
        approval: { approved: false, reason: "no" },
      },
      { type: "tool-i", toolCallId: "c4", state: "input-streaming", input: { half: 1 } },
      { type: "text", text: "7 degrees." },
    ],
  };
  const question: Message = { role: "user", id: "m0", parts: [{ type: "text", text: "Weather?" }] };
  const other = (id: string, name: string): object => ({ id, type: "function", function: { name, arguments: "{}" } });
  assert.deepEqual(shown([past(1, { input: [question], output: [ui] })], [{ role: "user", content: "now" }]), [
    { role: "user", content: "Weather?" },
    { role: "assistant", content: "Let me look.", tool_calls: [call] },
    { role: "tool", tool_call_id: "c1", content: '{"celsius":7}' },
    { role: "assistant", content: null, tool_calls: [other("c2", "g"), other("c3", "h")] },
    { role: "tool", tool_call_id: "c2", content: "no such place", is_error: true },
    { role: "tool", tool_call_id: "c3", content: "The call was denied: no", is_error: true },
    { role: "assistant", content: "7 degrees." },
    { role: "user", content: "now" },
  ]);
});

test("parallel calls of Gemini without ids get their results in order", () => {
  const called = (city: string): Value => ({ functionCall: { name: "f", args: { city } } });
  const responded = (n: number): Value => ({ functionResponse: { name: "f", response: { n } } });
  const output: readonly Message[] = [{ role: "assistant", content: [called("Ghent"), called("Bruges")] }];
  const result: Message = { role: "user", content: [responded(1), responded(2)] };
  for (const messages of [
    shown([past(1, { output: [...output, result] })], [{ role: "user", content: "now" }]),
    shown([past(1, { output })], [result]),
  ]) {
    const [, { tool_calls: calls = [] } = answer, first, second] = messages;
    assert.deepEqual(
      calls.map(({ function: { arguments: text } }) => text),
      ['{"city":"Ghent"}', '{"city":"Bruges"}'],
    );
    assert.deepEqual([first?.content, second?.content], ['{"n":1}', '{"n":2}']);
    assert.deepEqual([first?.tool_call_id, second?.tool_call_id], [calls[0]?.id, calls[1]?.id]);
    assert.notEqual(calls[0]?.id, calls[1]?.id);
  }
});

const pictures: Readonly<Record<string, Message>> = {
  "Anthropic's": part("user", {
    type: "tool_result",
    tool_use_id: "c1",
    content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }],
  }),
  "the AI SDK's": part("tool", {
    type: "tool-result",
    toolCallId: "c1",
    toolName: "f",
    output: { type: "content", value: [{ type: "media", data: "AAAA", mediaType: "image/png" }] },
  }),
  "the AI SDK's, as image data": part("tool", {
    type: "tool-result",
    toolCallId: "c1",
    toolName: "f",
    output: { type: "content", value: [{ type: "image-data", data: "AAAA", mediaType: "image/png" }] },
  }),
  "Gemini's": part("user", {
    functionResponse: {
      id: "c1",
      name: "f",
      response: {},
      parts: [{ inlineData: { mimeType: "image/png", data: "AAAA" } }],
    },
  }),
  "MCP's": part("tool", {
    type: "tool-result",
    toolCallId: "c1",
    toolName: "f",
    output: { type: "json", value: { content: [{ type: "image", data: "AAAA", mimeType: "image/png" }] } },
  }),
  "LangChain's": {
    role: "tool",
    tool_call_id: "c1",
    content: [{ type: "image", base64: "AAAA", mime_type: "image/png" }],
  },
  "the Responses'": part("tool", {
    type: "function_call_output",
    call_id: "c1",
    output: [{ type: "input_image", image_url: "data:image/png;base64,AAAA" }],
  }),
};
for (const [given, result] of Object.entries(pictures)) {
  test(`a model sees the picture of a result in ${given} form, and it has a fixed price`, () => {
    const messages = shown([past(1, { output: [calls["OpenAI's"]!] })], [result]);
    const { content } = messages.at(-1) ?? answer;
    assert.deepEqual(content, [{ type: "text", text: "[Result of the tool call c1]" }, png]);
    const large = JSON.parse(JSON.stringify(result).replace("AAAA", "A".repeat(100_000))) as Message;
    assert.ok(estimateTokens([large]) < 1000, String(estimateTokens([large])));
  });
}

test("a list that is data stays JSON, and values that JSON lacks are texts", () => {
  const output = (value: Value): Message =>
    part("tool", { type: "tool-result", toolCallId: "c1", toolName: "f", output: { type: "json", value } });
  const asked = [past(1, { output: [calls["OpenAI's"]!] })];
  for (const value of [["a", "b"], [{ type: "text", text: "a" }, { type: "place" }], []])
    assert.equal(shown(asked, [output(value)]).at(-1)?.content, JSON.stringify(value));
  const receipt = { receipt: 4711n, bytes: new Uint8Array([0, 0, 0]), at: new Date(0) };
  const text = '{"receipt":"4711","bytes":"AAAA","at":"1970-01-01T00:00:00.000Z"}';
  assert.equal(shown(asked, [{ role: "tool", tool_call_id: "c1", content: receipt }]).at(-1)?.content, text);
  assert.equal(shown([], [{ role: "user", content: receipt }]).at(-1)?.content, text);
});

test("addresses that no endpoint can open are left out", () => {
  const parts = [
    { type: "text", text: "a" },
    { type: "image_url", image_url: { url: "/uploads/a.png" } },
    { type: "image_url", image_url: { url: "blob:http://localhost/1" } },
    { type: "file", mediaType: "image/png", url: "uploads/a.png" },
    { type: "file", file: { filename: "a.pdf", file_data: "https://e.example/a.pdf" } },
    { type: "file", file: { filename: "a.pdf" } },
    { fileData: { mimeType: "image/png", fileUri: "https://generativelanguage.googleapis.com/v1beta/files/1" } },
  ];
  assert.equal(shown([], [{ role: "user", content: parts }])[0]?.content, "a");
});
