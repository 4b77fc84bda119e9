import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import {
  createManager,
  openSessions,
  SessionError,
  withTools,
  type ErrorCode,
  type Message,
  type ModelEvent,
} from "../index.ts";
import { startModelServer, type Reply } from "../../test/support/model-server.ts";
import { OpenAI } from "openai";
import { openaiModel, type OpenaiClient } from "./openai.ts";

async function ask(
  reply: Reply,
  options: { timeoutMs?: number; messages?: readonly Message[] } = {},
): Promise<ModelEvent[]> {
  await using server = await startModelServer(() => reply);
  const model = openaiModel({ baseURL: server.baseURL, apiKey: "secret-key", model: "m1", maxRetries: 0, ...options });
  const messages = options.messages ?? [{ role: "user", content: "hello" } as const];
  return await Array.fromAsync(model({ messages, agent: "a", signal: AbortSignal.timeout(60_000) }));
}

test("text, the answering model and usage arrive as the endpoint sends them", async () => {
  const events = await ask({ kind: "answer", texts: ["Hel", "lo"], usage: [3, 2] });
  assert.deepEqual(events, [
    { type: "model", model: "m1" },
    { type: "text", text: "Hel" },
    { type: "text", text: "lo" },
    { type: "usage", usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 } },
    { type: "finish", reason: "stop" },
  ]);
});

test("tool calls that arrive in chunks become one message, their arguments byte for byte", async () => {
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
  assert.deepEqual(events.at(-2), {
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

test("only fields known to providers are sent", async () => {
  await using server = await startModelServer(() => ({ kind: "answer", texts: ["ok"] }));
  const model = openaiModel({ baseURL: server.baseURL, model: "m1" });
  const messages: Message[] = [
    { role: "user", content: "go", mood: "calm", ...({ name: null } as object) },
    { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "{}" } }] },
    { role: "tool", tool_call_id: "c", content: "?", synthetic: true },
    { role: "user", name: "Ada <Lovelace>", content: "Hi" },
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
    // The API refuses spaces and angle brackets in names.
    { role: "user", name: "Ada_Lovelace_", content: "Hi" },
  ]);
});

test("fields of the AI SDK are not sent, and values that JSON lacks are sent as texts", async () => {
  await using server = await startModelServer(() => ({ kind: "answer", texts: ["ok"] }));
  const model = openaiModel({ baseURL: server.baseURL, model: "m1" });
  const extra = { providerOptions: { openai: {} }, count: 4711n, at: new Date(0), bytes: new Uint8Array([0, 0, 0]) };
  const messages: Message[] = [
    { role: "user", content: "go" },
    { role: "assistant", content: "ok", ...extra },
  ];
  await Array.fromAsync(model({ messages, agent: "a", signal: AbortSignal.timeout(5000) }));
  assert.deepEqual(server.requests[0]?.messages, [
    { role: "user", content: "go" },
    { role: "assistant", content: "ok", count: "4711", at: "1970-01-01T00:00:00.000Z", bytes: "AAAA" },
  ]);
});

test("tools are offered to the endpoint, their results go back to it, and the turn holds it all", async () => {
  await using server = await startModelServer((_request, index) =>
    index === 0
      ? {
          kind: "answer",
          texts: [],
          usage: [5, 1],
          toolCalls: [[{ index: 0, id: "c1", function: { name: "hour", arguments: '{"in":"Ghent"}' } }]],
        }
      : { kind: "answer", texts: ["Nine."], usage: [9, 2] },
  );
  await using sessions = await openSessions({
    store: "memory:",
    model: openaiModel({ baseURL: server.baseURL, model: "m1" }),
    agents: { clock: {} },
  });
  const parameters = { type: "object", properties: { in: { type: "string" } }, required: ["in"] };
  const hour = { name: "hour", description: "The hour in a place", parameters, run: () => 9 };
  const manager = createManager({ sessions, tools: { clock: [hour] }, offersHandoffs: false, router: () => "clock" });
  const session = await sessions.create({ agent: "clock" });
  const turn = await (await manager.send(session, "How late is it in Ghent?")).done;
  const bodies = server.requests as unknown as { tools: unknown; messages: unknown[] }[];
  for (const { tools } of bodies) {
    assert.deepEqual(tools, [
      { type: "function", function: { name: "hour", description: hour.description, parameters } },
    ]);
  }
  assert.deepEqual(bodies[1]?.messages.at(-1), { role: "tool", content: "9", tool_call_id: "c1" });
  assert.equal(turn.output.at(-1)?.content, "Nine.");
  assert.deepEqual([turn.requests, turn.usage?.totalTokens], [2, 17]);
});

const failures: readonly (readonly [title: string, reply: Reply, code: ErrorCode])[] = [
  ["400", { kind: "status", status: 400 }, "model_refused"],
  ["401 that repeats the key", { kind: "status", status: 401, message: "wrong key secret-key" }, "model_refused"],
  ["403", { kind: "status", status: 403 }, "model_refused"],
  ["404", { kind: "status", status: 404 }, "model_refused"],
  ["429", { kind: "status", status: 429, headers: { "retry-after": "1" } }, "model_failed"],
  ["500", { kind: "status", status: 500 }, "model_failed"],
  ["a stream cut in the middle of a chunk", { kind: "cut", texts: ["half an ans"] }, "model_failed"],
  ["a malformed chunk", { kind: "raw", body: 'data: {"choices":[{"del\n\n' }, "model_failed"],
  [
    "a stream that stops without an end",
    { kind: "raw", body: 'data: {"choices":[{"delta":{"content":"x"}}]}\n\n' },
    "model_failed",
  ],
  ["a chunk that is no object", { kind: "raw", body: "data: null\n\n" }, "model_failed"],
  ["an error within the stream", { kind: "raw", body: 'data: {"error":{"message":"overloaded"}}\n\n' }, "model_failed"],
  [
    "an error within the stream that says 400",
    { kind: "raw", body: 'data: {"error":{"message":"too long","code":400}}\n\n' },
    "model_refused",
  ],
  ["a web page", { kind: "raw", body: "<html>hello</html>", contentType: "text/html" }, "model_failed"],
  ["a silence longer than the limit", { kind: "hang", texts: ["and"] }, "model_failed"],
  ["a silence before the answer", { kind: "hang", texts: [] }, "model_failed"],
];

for (const [title, reply, code] of failures) {
  test(`${title} is ${code}, without the key in the message`, async () => {
    await assert.rejects(ask(reply, { timeoutMs: reply.kind === "hang" ? 150 : 60_000 }), (error) => {
      assert(error instanceof SessionError);
      assert.equal(error.code, code);
      assert(!inspect(error, { depth: 9 }).includes("secret-key"));
      return true;
    });
  });
}

test("the HTTP status of a refusal is in the details, its reason on one line", async () => {
  const page = "<html>\n  <h1>\u001b[31mBad gateway</h1>\n</html>";
  await assert.rejects(ask({ kind: "status", status: 502, message: page }), {
    details: { httpStatus: 502, reported: "502 <html> <h1> [31mBad gateway</h1> </html>" },
  });
});

test("an answer that arrives a few bytes at a time is the same answer, its emoji whole", async () => {
  const chunk = {
    choices: [{ index: 0, delta: { content: "h\u00e9 \u{1f469}\u200d\u{1f680} ok" }, finish_reason: "stop" }],
  };
  for (const bytesAtOnce of [1, 2, 3, 7]) {
    const body = `: a comment\r\n\r\ndata: ${JSON.stringify(chunk)}\r\n\r\ndata: [DONE]\r\n\r\n`;
    const events = await ask({ kind: "raw", body, bytesAtOnce });
    assert.deepEqual(events, [
      { type: "text", text: chunk.choices[0]?.delta.content },
      { type: "finish", reason: "stop" },
    ]);
  }
});

/** The tool calls assembled from these chunks, as id, name and arguments. */
async function callsOf(...pieces: object[]): Promise<unknown> {
  const events = await ask({ kind: "answer", texts: [], toolCalls: pieces.map((piece) => [piece]) });
  const [message] = events.flatMap((event) => (event.type === "message" ? [event.message] : []));
  return message?.tool_calls?.map((call) => [call.id, call.function.name, call.function.arguments]);
}

test("tool calls are distinguished by index or by id, whichever the server sends", async () => {
  const [first, second] = [
    { id: "c1", function: { name: "look", arguments: '{"q":' } },
    { id: "c2", function: { name: "go", arguments: "{}" } },
  ];
  const [more, rest] = [{ function: { arguments: "1" } }, { id: null, function: { name: null, arguments: "}" } }];
  const expected = [
    ["c1", "look", '{"q":1}'],
    ["c2", "go", "{}"],
  ];
  const at = (index: number, piece: object): object => ({ index, ...piece });
  assert.deepEqual(await callsOf(at(0, first), at(1, second), at(0, more), at(0, rest)), expected, "interleaved");
  assert.deepEqual(await callsOf(at(1, first), at(1, more), at(1, rest), at(2, second)), expected, "from one on");
  assert.deepEqual(await callsOf(first, more, rest, second), expected, "without an index");
  assert.deepEqual(await callsOf(at(0, first), at(0, more), at(0, rest), at(0, second)), expected, "all at index 0");
  const again = { ...rest, id: "c1" };
  assert.deepEqual(await callsOf(at(0, first), at(0, { ...more, id: "" }), at(0, again), at(1, second)), expected);
});

test("empty usage is no usage; an unknown part is left out", async () => {
  const usageIn = async (usage: unknown): Promise<unknown> => {
    const chunk = JSON.stringify({ choices: [{ delta: { content: "x" }, finish_reason: "stop" }], usage });
    const events = await ask({ kind: "raw", body: `data: ${chunk}\n\ndata: [DONE]\n\n` });
    return events.find(({ type }) => type === "usage");
  };
  for (const nothing of [undefined, null, {}, { prompt_tokens: -1, completion_tokens: 1.5 }])
    assert.equal(await usageIn(nothing), undefined);
  assert.deepEqual(await usageIn({ prompt_tokens: 3 }), { type: "usage", usage: { inputTokens: 3 } });
  assert.deepEqual(await usageIn({ prompt_tokens: 3, completion_tokens: 2 }), {
    type: "usage",
    usage: { inputTokens: 3, outputTokens: 2 },
  });
});

test("a caller that is slow to read a chunk does not count as silence of the endpoint", async () => {
  await using server = await startModelServer(() => ({ kind: "answer", texts: ["a", "b"] }));
  const model = openaiModel({ baseURL: server.baseURL, model: "m", timeoutMs: 1000, maxRetries: 0 });
  const texts: string[] = [];
  for await (const event of model({ messages: [], agent: "a", signal: AbortSignal.timeout(60_000) })) {
    if (texts.length === 0) await sleep(1500);
    if (event.type === "text") texts.push(event.text);
  }
  assert.deepEqual(texts, ["a", "b"]);
});

test("a request is retried before its answer begins, and never after", async () => {
  const replies: Reply[] = [
    { kind: "status", status: 429, headers: { "retry-after-ms": "1" } },
    { kind: "answer", texts: ["ok"] },
    { kind: "cut", texts: ["half"] },
  ];
  await using server = await startModelServer((_, index) => replies[index] ?? { kind: "status", status: 400 });
  const model = openaiModel({ baseURL: server.baseURL, model: "m", maxRetries: 1 });
  const answer = (): Promise<ModelEvent[]> =>
    Array.fromAsync(model({ messages: [], agent: "a", signal: AbortSignal.timeout(5000) }));
  assert.deepEqual((await answer()).at(-2), { type: "text", text: "ok" });
  await assert.rejects(answer(), { code: "model_failed" });
  assert.equal(server.requests.length, 3);
});

/** A client whose endpoint streams these chunks of tool calls. */
function callingClient(pieces: Iterable<object>): OpenaiClient {
  const create = async function* () {
    for (const piece of pieces) yield { choices: [{ delta: { tool_calls: [piece] } }] };
    yield { choices: [{ finish_reason: "tool_calls" }] };
  };
  return { chat: { completions: { create: (): unknown => Promise.resolve(create()) } } };
}

test("chunks of a hundred thousand calls find their call without a search", async () => {
  const count = 100_000;
  const pieces = function* () {
    for (let index = 0; index < count; index++) yield { index, id: `c${index}`, function: { name: "f" } };
    // A search from the newest call would take a hundred thousand steps for each of these.
    for (let index = 0; index < count; index++) yield { index: 0, function: { arguments: "1" } };
  };
  const model = openaiModel({ client: callingClient(pieces()), model: "m" });
  const events = await Array.fromAsync(model({ messages: [], agent: "a", signal: AbortSignal.timeout(600_000) }));
  const last = events.at(-2);
  assert.ok(last?.type === "message");
  assert.equal(last.message.tool_calls?.length, count);
  assert.equal(last.message.tool_calls[0]?.function.arguments.length, count);
});

test("an endpoint that never stops calling tools is stopped", async () => {
  const endless = function* () {
    for (let index = 0; ; index++) yield { index, id: `c${index}`, function: { name: "f", arguments: "{}" } };
  };
  const model = openaiModel({ client: callingClient(endless()), model: "m" });
  const answer = Array.fromAsync(model({ messages: [], agent: "a", signal: AbortSignal.timeout(600_000) }));
  await assert.rejects(answer, {
    code: "model_failed",
    message: /tool calls of one answer are over 8388608 characters/,
  });
});

test("a client passed in keeps its own retries", async () => {
  await using server = await startModelServer(() => ({ kind: "status", status: 500 }));
  const client = new OpenAI({ baseURL: server.baseURL, apiKey: "k", maxRetries: 0, logLevel: "off" });
  const model = openaiModel({ client, model: "m" });
  const answer = Array.fromAsync(model({ messages: [], agent: "a", signal: AbortSignal.timeout(5000) }));
  await assert.rejects(answer, { code: "model_failed" });
  assert.equal(server.requests.length, 1);
});

test("invalid options fail at once, and a missing key for OpenAI's own endpoint is refused", async (t) => {
  for (const options of [{ baseURL: "not an address" }, { baseURL: "" }, { timeoutMs: 0 }, { maxRetries: -1 }])
    assert.throws(() => openaiModel(options), { code: "argument_invalid" });

  const { OPENAI_API_KEY: key, OPENAI_BASE_URL: address } = process.env;
  t.after(() => Object.assign(process.env, key === undefined ? {} : { OPENAI_API_KEY: key }));
  t.after(() => Object.assign(process.env, address === undefined ? {} : { OPENAI_BASE_URL: address }));
  delete process.env["OPENAI_API_KEY"];
  process.env["OPENAI_BASE_URL"] = "";
  assert.throws(() => openaiModel({ model: "m" }), {
    code: "argument_invalid",
    details: { name: "apiKey", expected: "credentials" },
  });
  delete process.env["OPENAI_BASE_URL"];
});

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
  const reason = new Error("enough");
  await assert.rejects(async () => {
    for await (const event of model({ messages: [], agent: "a", signal: stop.signal })) {
      if (event.type === "text") texts.push(event.text);
      if (texts.length === 2) stop.abort(reason);
    }
  }, reason);
  while (server.abandoned() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(texts, ["a", "b"]);
});

test("consult against the real protocol seals all received output, whatever happens", async () => {
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

/** A stream of these choices, as an endpoint sends it. */
function choices(...list: readonly object[]): Reply {
  const chunks = list.map((choice) => `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`);
  return { kind: "raw", body: `${chunks.join("")}data: [DONE]\n\n` };
}

const delta = (fields: object, finish_reason: string | null = null): object => ({ delta: fields, finish_reason });
const toolCalls = (...calls: readonly object[]): Reply =>
  choices(...calls.map((call) => delta({ tool_calls: [call] })), delta({}, "tool_calls"));

async function streamedCalls(reply: Reply): Promise<readonly (readonly [id: string, name: string, args: string])[]> {
  const events = await ask(reply);
  const { message } = events.find((event) => event.type === "message") ?? assert.fail("no message");
  return (message.tool_calls ?? []).map(({ id, function: { name, arguments: args } }) => [id, name, args] as const);
}

const parallel: readonly (readonly [title: string, pieces: readonly object[], names: readonly string[]])[] = [
  [
    "with one index and no ids",
    [
      { index: 0, function: { name: "weather", arguments: '{"city":"Ghent"}' } },
      { index: 0, function: { name: "time", arguments: '{"zone":"UTC"}' } },
    ],
    ["weather", "time"],
  ],
  [
    "without index and ids",
    [
      { function: { name: "weather", arguments: '{"city":' } },
      { function: { arguments: '"Ghent"}' } },
      { function: { name: "weather", arguments: '{"city":"Lier"}' } },
    ],
    ["weather", "weather"],
  ],
  [
    "told apart by index, without ids",
    [
      { index: 0, function: { name: "a", arguments: "{}" } },
      { index: 1, function: { name: "b", arguments: "{}" } },
    ],
    ["a", "b"],
  ],
  [
    "with the same id",
    [
      { index: 0, id: "call", function: { name: "a", arguments: "{}" } },
      { index: 1, id: "call", function: { name: "b", arguments: "{}" } },
    ],
    ["a", "b"],
  ],
  [
    "whose name comes with every piece",
    [
      { index: 0, id: "c", function: { name: "a", arguments: '{"x":' } },
      { index: 0, id: "c", function: { name: "a", arguments: "1}" } },
    ],
    ["a"],
  ],
];

for (const [title, pieces, names] of parallel) {
  test(`tool calls ${title} stay apart, each with JSON as arguments and an id of its own`, async () => {
    const calls = await streamedCalls(toolCalls(...pieces));
    assert.deepEqual(
      calls.map(([, name]) => name),
      names,
    );
    for (const [, , args] of calls) assert.doesNotThrow(() => JSON.parse(args), args);
    const ids = new Set(calls.map(([id]) => id));
    assert.equal(ids.size, names.length);
    for (const id of ids) assert.notEqual(id, "");
  });
}

test("arguments that come as an object are kept as JSON", async () => {
  const [call] = await streamedCalls(toolCalls({ index: 0, id: "c", function: { name: "f", arguments: { a: [1] } } }));
  assert.equal(call?.[2], '{"a":[1]}');
});

test("fields of the provider are stored in the turn and sent back with its message and its calls", async () => {
  const reasoning = [
    delta({ role: "assistant", reasoning_content: "I need " }),
    delta({ reasoning_content: "the weather.", reasoning_details: [{ type: "reasoning.text", index: 0, text: "I " }] }),
    delta({ reasoning_details: [{ type: "reasoning.text", index: 0, text: "need", signature: "S" }] }),
    delta({
      tool_calls: [
        {
          index: 0,
          id: "c1",
          function: { name: "weather", arguments: "{}" },
          extra_content: { google: { thought_signature: "SIG" } },
        },
      ],
    }),
    delta({}, "tool_calls"),
  ];
  await using server = await startModelServer((_request, index) =>
    index === 0 ? choices(...reasoning) : { kind: "answer", texts: ["sunny"] },
  );
  await using sessions = await openSessions({
    store: "memory:",
    model: openaiModel({ baseURL: server.baseURL, model: "m1" }),
  });
  const session = await sessions.create({ agent: "a" });
  const weather = { name: "weather", description: "…", parameters: { type: "object" }, run: () => "sunny" };
  const model = withTools(openaiModel({ baseURL: server.baseURL, model: "m1" }), [weather], { session });
  const turn = await (await session.consult("weather?", { model })).done;
  const expected = {
    reasoning_content: "I need the weather.",
    reasoning_details: [{ type: "reasoning.text", index: 0, text: "I need", signature: "S" }],
    role: "assistant",
    content: null,
    tool_calls: [
      {
        extra_content: { google: { thought_signature: "SIG" } },
        id: "c1",
        type: "function",
        function: { name: "weather", arguments: "{}" },
      },
    ],
  };
  assert.deepEqual(turn.output[0], expected);
  assert.deepEqual(server.requests[1]?.messages[1], expected);
  await (
    await session.consult("and now?")
  ).done;
  assert.deepEqual(server.requests[2]?.messages[1], expected);
});

test("an endpoint that refuses another provider's fields is asked again without them, once for all requests", async () => {
  await using server = await startModelServer((request) =>
    request.messages.some((message) => "reasoning_content" in message)
      ? { kind: "status", status: 400, message: "messages.1.reasoning_content: extra inputs are not permitted" }
      : { kind: "answer", texts: ["ok"] },
  );
  const model = openaiModel({ baseURL: server.baseURL, model: "m1" });
  const messages: readonly Message[] = [
    { role: "user", content: "a" },
    { role: "assistant", content: "b", reasoning_content: "thought" },
    { role: "user", content: "c" },
  ];
  const signal = AbortSignal.timeout(5000);
  await Array.fromAsync(model({ messages, agent: "a", signal }));
  await Array.fromAsync(model({ messages, agent: "a", signal }));
  assert.equal(server.requests.length, 3);
});

test("an endpoint that refuses long ids of calls is asked again with short ones, the same for a call and its result", async () => {
  const idsIn = (messages: readonly object[]): readonly string[] =>
    (messages as readonly Message[]).flatMap(({ tool_calls: calls = [], tool_call_id: id = "" }) => [
      ...calls.map((call) => call.id),
      ...(id === "" ? [] : [id]),
    ]);
  await using server = await startModelServer(({ messages }) =>
    idsIn(messages).some((id) => id.length > 40)
      ? { kind: "status", status: 400, message: "Invalid 'messages[1].tool_calls[0].id': string too long." }
      : { kind: "answer", texts: ["ok"] },
  );
  const model = openaiModel({ baseURL: server.baseURL, model: "m1" });
  const ids = ["1", "2"].map((end) => `${"x".repeat(50)}${end}`);
  const messages: readonly Message[] = [
    { role: "user", content: "a" },
    {
      role: "assistant",
      content: null,
      tool_calls: ids.map((id) => ({ id, type: "function", function: { name: "peek", arguments: "{}" } })),
    },
    ...ids.map((id): Message => ({ role: "tool", tool_call_id: id, content: "b" })),
  ];
  const request = { messages, agent: "a", signal: AbortSignal.timeout(5000) };
  await Array.fromAsync(model(request));
  await Array.fromAsync(model(request));
  const [given, ...sent] = server.requests.map((one) => idsIn(one.messages));
  assert.deepEqual(given, [...ids, ...ids]);
  assert.equal(sent.length, 2);
  for (const [first, second, ...results] of sent) {
    assert.notEqual(first, second);
    assert.deepEqual(results, [first, second]);
  }
});

test("reasoning is reported apart from the answer's text, and completes the text's message", async () => {
  const events = await ask(
    choices(delta({ reasoning_content: "think" }), delta({ content: "said" }), delta({}, "stop")),
  );
  assert.deepEqual(
    events.filter(({ type }) => type !== "model"),
    [
      { type: "reasoning", text: "think" },
      { type: "text", text: "said" },
      { type: "message", message: { reasoning_content: "think", role: "assistant", content: null } },
      { type: "finish", reason: "stop" },
    ],
  );
});

const ends: readonly (readonly [title: string, chunks: readonly object[], text: string, finish: string | undefined])[] =
  [
    ["max_tokens", [delta({ content: "1. turn off" }), delta({}, "length")], "1. turn off", "length"],
    ["a filter", [delta({ content: "No" }), delta({}, "content_filter")], "No", "content_filter"],
    ["a refusal", [delta({ refusal: "I can't help." }), delta({}, "stop")], "I can't help.", "refusal"],
    [
      "an answer in parts",
      [delta({ content: [{ type: "text", text: "Hello." }] }), delta({}, "stop")],
      "Hello.",
      "stop",
    ],
    ["a whole message", [{ message: { content: "Hello." }, finish_reason: "stop" }], "Hello.", "stop"],
    ["a provider's own word", [delta({ content: "x" }), delta({}, "eos")], "x", "eos"],
  ];

for (const [title, chunks, text, finish] of ends) {
  test(`the turn keeps that ${title} ended the answer, and its text`, async () => {
    await using server = await startModelServer(() => choices(...chunks));
    await using sessions = await openSessions({
      store: "memory:",
      model: openaiModel({ baseURL: server.baseURL, model: "m1" }),
    });
    const session = await sessions.create({ agent: "a" });
    const turn = await (await session.consult("x")).done;
    assert.deepEqual(
      [turn.status, turn.output.map(({ content }) => content).join(""), turn.finish],
      ["done", text, finish],
    );
    assert.equal((await Array.fromAsync(session.turns({ last: 1 })))[0]?.finish, finish);
  });
}

for (const finish of ["", null]) {
  test(`a stream with the finish reason ${JSON.stringify(finish)} has not ended`, async () => {
    await assert.rejects(ask(choices(delta({ content: "Only the beg" }, finish))), { code: "model_failed" });
  });
}

test("how an answer ended is told in OpenAI's words where one fits", async () => {
  const words = {
    MAX_TOKENS: "length",
    end_turn: "stop",
    tool_use: "tool_calls",
    SAFETY: "content_filter",
    odd: "odd",
  };
  for (const [word, finish] of Object.entries(words)) {
    const create = async function* () {
      yield { choices: [{ delta: { content: "x" }, finish_reason: word }] };
    };
    const client: OpenaiClient = { chat: { completions: { create: (): unknown => Promise.resolve(create()) } } };
    const model = openaiModel({ client, model: "m" });
    const events = await Array.fromAsync(model({ messages: [], agent: "a", signal: AbortSignal.timeout(5000) }));
    assert.deepEqual(
      events.filter(({ type }) => type === "finish"),
      [{ type: "finish", reason: finish }],
    );
  }
});

test("an endpoint that refuses stream_options is asked again without it, once for all requests", async () => {
  await using server = await startModelServer((request) =>
    "stream_options" in request
      ? { kind: "status", status: 422, message: "stream_options: extra inputs are not permitted" }
      : { kind: "answer", texts: ["fine"] },
  );
  const model = openaiModel({ baseURL: server.baseURL, model: "m1" });
  const request = {
    messages: [{ role: "user", content: "x" }],
    agent: "a",
    signal: AbortSignal.timeout(5000),
  } as const;
  await Array.fromAsync(model(request));
  await Array.fromAsync(model(request));
  assert.equal(server.requests.length, 3);
});

const usages: readonly (readonly [title: string, chunk: object, expected: object])[] = [
  [
    "with cached and reasoning tokens",
    {
      usage: {
        prompt_tokens: 9,
        completion_tokens: 5,
        total_tokens: 14,
        prompt_tokens_details: { cached_tokens: 8 },
        completion_tokens_details: { reasoning_tokens: 4 },
      },
    },
    { inputTokens: 9, outputTokens: 5, totalTokens: 14, cachedTokens: 8, reasoningTokens: 4 },
  ],
  [
    "in the choice, as Moonshot sends it",
    { choices: [{ delta: {}, usage: { prompt_tokens: 3, completion_tokens: 2 } }] },
    { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
  ],
  [
    "in x_groq",
    { x_groq: { usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } } },
    { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
  ],
  [
    "with DeepSeek's cache hits",
    { usage: { prompt_tokens: 3, completion_tokens: 2, prompt_cache_hit_tokens: 1 } },
    { inputTokens: 3, outputTokens: 2, totalTokens: 5, cachedTokens: 1 },
  ],
];

for (const [title, chunk, expected] of usages) {
  test(`usage ${title} is kept, and a last usage of zeros does not replace it`, async () => {
    const body = [
      { choices: [delta({ content: "x" }, "stop")] },
      chunk,
      { usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } },
    ].map((one) => `data: ${JSON.stringify(one)}\n\n`);
    await using server = await startModelServer(() => ({ kind: "raw", body: `${body.join("")}data: [DONE]\n\n` }));
    await using sessions = await openSessions({
      store: "memory:",
      model: openaiModel({ baseURL: server.baseURL, model: "m1" }),
    });
    const session = await sessions.create({ agent: "a" });
    assert.deepEqual((await (await session.consult("x")).done).usage, expected);
  });
}

test("settings of the call go ahead of the agent's, and these ahead of the model's", async () => {
  await using server = await startModelServer(() => ({ kind: "answer", texts: ["ok"] }));
  await using sessions = await openSessions({
    store: "memory:",
    model: openaiModel({ baseURL: server.baseURL, model: "m1", temperature: 0.1, maxTokens: 10, body: { seed: 1 } }),
    agents: { a: { settings: { temperature: 0.2, effort: "low" } } },
  });
  const session = await sessions.create({ agent: "a" });
  await (
    await session.consult("x", { settings: { temperature: 0.3 } })
  ).done;
  const { temperature, max_tokens, reasoning_effort, seed } = server.requests[0] as unknown as Record<string, unknown>;
  assert.deepEqual(
    { temperature, max_tokens, reasoning_effort, seed },
    { temperature: 0.3, max_tokens: 10, reasoning_effort: "low", seed: 1 },
  );
  for (const settings of [
    { temperature: -1 },
    { maxTokens: 0 },
    { effort: "" },
    { timeoutMs: 0.5 },
    { body: [] },
    { temprature: 1 },
  ] as object[])
    await assert.rejects(session.consult("x", { settings }), { code: "argument_invalid" });
});

test("half a surrogate pair goes to the endpoint as U+FFFD, and stays in the store as it is", async () => {
  await using server = await startModelServer(() => ({ kind: "answer", texts: ["ok"] }));
  await using sessions = await openSessions({
    store: "memory:",
    model: openaiModel({ baseURL: server.baseURL, model: "m1" }),
  });
  const session = await sessions.create({ agent: "a" });
  await (
    await session.consult("cut \ud83d")
  ).done;
  assert.equal(server.requests[0]?.messages[0]?.content, "cut \ufffd");
  assert.equal((await Array.fromAsync(session.turns({ last: 1 })))[0]?.input[0]?.content, "cut \ud83d");
});

for (const [status, message] of [
  [400, "This model's maximum context length is 8192 tokens."],
  [400, "prompt is too long: 210000 tokens > 200000 maximum"],
  [413, "Request too large"],
  [400, "the request exceeds the available context size"],
] as const) {
  test(`a refusal for length is marked so: ${message}`, async () => {
    await assert.rejects(ask({ kind: "status", status, message }), {
      code: "model_refused",
      details: { reported: `${status} ${message}`, httpStatus: status, contextExceeded: true },
    });
  });
}
