import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions, SessionError, type ErrorCode, type Message, type ModelEvent } from "../index.ts";
import { startModelServer, type Reply } from "../../test/model-server.ts";
import { openaiModel } from "./openai.ts";

async function ask(
  reply: Reply,
  options: { timeoutMs?: number; messages?: readonly Message[] } = {},
): Promise<ModelEvent[]> {
  await using server = await startModelServer(() => reply);
  const model = openaiModel({ baseURL: server.baseURL, apiKey: "secret-key", model: "m1", maxRetries: 0, ...options });
  const messages = options.messages ?? [{ role: "user", content: "hello" } as const];
  return await Array.fromAsync(model({ messages, agent: "a", signal: AbortSignal.timeout(5000) }));
}

test("text, the answering model and usage arrive as the endpoint sends them", async () => {
  const events = await ask({ kind: "answer", texts: ["Hel", "lo"], usage: [3, 2] });
  assert.deepEqual(events, [
    { type: "model", model: "m1" },
    { type: "text", text: "Hel" },
    { type: "text", text: "lo" },
    { type: "usage", usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 } },
  ]);
});

test("tool calls that arrive in pieces become one message, their arguments byte for byte", async () => {
  const events = await ask({
    kind: "answer",
    texts: [],
    toolCalls: [
      [{ index: 0, id: "call_1", function: { name: "look", arguments: "" } }],
      [{ index: 0, function: { arguments: '{ "q":' } }],
      [{ index: 1, id: "call_2", function: { name: "go", arguments: "{}" } }],
      [{ index: 0, function: { arguments: ' "x" }' } }],
    ],
  });
  assert.deepEqual(events.at(-1), {
    type: "message",
    message: {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "look", arguments: '{ "q": "x" }' } },
        { id: "call_2", type: "function", function: { name: "go", arguments: "{}" } },
      ],
    },
  });
});

test("only fields that providers know are sent", async () => {
  await using server = await startModelServer(() => ({ kind: "answer", texts: ["ok"] }));
  const model = openaiModel({ baseURL: server.baseURL, model: "m1" });
  const messages: Message[] = [
    { role: "user", content: "go", mood: "calm" },
    { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "{}" } }] },
    { role: "tool", tool_call_id: "c", content: "?", synthetic: true },
  ];
  await Array.fromAsync(model({ messages, agent: "a", signal: AbortSignal.timeout(5000) }));
  assert.deepEqual(server.requests[0]?.messages, [
    { role: "user", content: "go" },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
    },
    { role: "tool", content: "?", tool_call_id: "c" },
  ]);
});

const failures: readonly (readonly [title: string, reply: Reply, code: ErrorCode])[] = [
  ["401", { kind: "status", status: 401 }, "model_refused"],
  ["404", { kind: "status", status: 404 }, "model_refused"],
  ["429", { kind: "status", status: 429, headers: { "retry-after": "1" } }, "model_failed"],
  ["500", { kind: "status", status: 500 }, "model_failed"],
  ["a stream cut in the middle", { kind: "cut", texts: ["half an ans"] }, "model_failed"],
  ["a malformed chunk", { kind: "raw", body: 'data: {"choices":[{"del\n\n' }, "model_failed"],
  [
    "a stream that stops without an end",
    { kind: "raw", body: 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n' },
    "model_failed",
  ],
  ["a web page", { kind: "raw", body: "<html>hello</html>", contentType: "text/html" }, "model_failed"],
  ["a silence longer than the limit", { kind: "hang", texts: ["and"] }, "model_failed"],
];

for (const [title, reply, code] of failures) {
  test(`${title} is ${code}, without the key in the message`, async () => {
    await assert.rejects(ask(reply, { timeoutMs: 150 }), (error) => {
      assert(error instanceof SessionError);
      assert.equal(error.code, code);
      assert(!error.message.includes("secret-key"));
      return true;
    });
  });
}

test("an endpoint that is down is model_failed", async () => {
  const model = openaiModel({ baseURL: "http://127.0.0.1:9/v1", model: "m", maxRetries: 0 });
  const answer = Array.fromAsync(model({ messages: [], agent: "a", signal: AbortSignal.timeout(5000) }));
  await assert.rejects(answer, { code: "model_failed" });
});

test("an abort ends the request at the endpoint too", async () => {
  await using server = await startModelServer(() => ({ kind: "hang", texts: ["a", "b"] }));
  const stop = new AbortController();
  const model = openaiModel({ baseURL: server.baseURL, model: "m" });
  const texts: string[] = [];
  await assert.rejects(async () => {
    for await (const event of model({ messages: [], agent: "a", signal: stop.signal })) {
      if (event.type === "text") texts.push(event.text);
      if (texts.length === 2) stop.abort();
    }
  });
  while (server.abandoned() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(texts, ["a", "b"]);
});

test("consult against the real protocol seals what came, whatever happens", async () => {
  const replies: Reply[] = [
    { kind: "answer", texts: ["one ", "two"], usage: [5, 2] },
    { kind: "cut", texts: ["half"] },
    { kind: "status", status: 429 },
    { kind: "answer", texts: ["back"], usage: [9, 1] },
  ];
  await using server = await startModelServer((_, index) => replies[index] ?? { kind: "status", status: 500 });
  const model = openaiModel({ baseURL: server.baseURL, model: "m", maxRetries: 0 });
  await using sessions = await openSessions({ store: "memory:", model });
  const session = await sessions.create({ agent: "ceo", instructions: "Be brief." });

  assert.equal(await (await session.consult("first?")).text(), "one two");
  await assert.rejects((await session.consult("second?")).done, { code: "model_failed" });
  await assert.rejects((await session.consult("third?")).done, { code: "model_failed" });
  assert.equal(await (await session.consult("fourth?")).text(), "back");

  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status, output, usage }) => [status, output[0]?.content, usage?.estimated ?? false]),
    [
      ["done", "one two", false],
      ["failed", "half", true],
      ["failed", undefined, true],
      ["done", "back", false],
    ],
  );
  assert.deepEqual(
    server.requests[1]?.messages.map(({ content }) => content),
    ["Be brief.", "first?", "one two", "second?"],
  );
});
