/**
 * The adapter with the providers of the AI SDK themselves. Endpoints that are as strict as the real ones stand behind
 * their `fetch`: they refuse a conversation with a lost signature, an unpaired call or roles out of order.
 */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createAnthropic as createAnthropicV3 } from "@ai-sdk/anthropic-v3";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createGoogleGenerativeAI as createGoogleV3 } from "@ai-sdk/google-v3";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAI as createOpenAIV3 } from "@ai-sdk/openai-v3";
import {
  createProviderRegistry,
  customProvider,
  extractReasoningMiddleware,
  simulateReadableStream,
  wrapLanguageModel,
} from "ai";
import { MockLanguageModelV3, MockLanguageModelV4 } from "ai/test";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { aiModel } from "../../../src/adapters/ai.ts";
import { createManager, openSessions, type Model, type Turn } from "../../../src/index.ts";

interface Endpoint {
  readonly fetch: typeof fetch;
  /** The bodies of the requests. */
  readonly requests: Body[];
}

// oxlint-disable-next-line typescript/no-explicit-any -- bodies of three providers, read by assertions
type Body = any;

/** An endpoint that streams these events, answer by answer. `check` throws for a body that the provider would refuse. */
function endpoint(answers: readonly (readonly object[])[], check: (body: Body) => void): Endpoint {
  const requests: Body[] = [];
  const play: typeof fetch = async (_url, init) => {
    const body: Body = JSON.parse(init?.body as string);
    try {
      check(body);
    } catch (error) {
      return refusal(400, (error as Error).message);
    }
    const events = answers[requests.push(body) - 1] ?? assert.fail("one request too many");
    const lines = events.map((event) => {
      const { type } = event as { readonly type?: string };
      return `${type === undefined ? "" : `event: ${type}\n`}data: ${JSON.stringify(event)}\n\n`;
    });
    return new Response(lines.join(""), { headers: { "content-type": "text/event-stream" } });
  };
  return { fetch: play, requests };
}

function refusal(status: number, message: string): Response {
  const error = { type: "invalid_request_error", message, code: null, status: "INVALID_ARGUMENT", param: null };
  return Response.json({ type: "error", error }, { status });
}

const hour = {
  name: "hour",
  description: "The hour in a place",
  parameters: { type: "object", properties: { in: { type: "string" } } },
  run: () => "nine",
} as const;

/** Asks twice; the first answer takes a tool. The store is opened anew for the second question. */
async function converse(model: Model): Promise<readonly Turn[]> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-ai-"));
  const ask = async (question: string): Promise<Turn> => {
    const store = `sqlite:${join(folder, "chat.db")}`;
    await using sessions = await openSessions({ store, model, agents: { clock: {} } });
    const manager = createManager({ sessions, tools: { clock: [hour] }, offersHandoffs: false, router: () => "clock" });
    const session = await sessions.ensure("s", { agent: "clock" });
    return await (
      await manager.send(session, question)
    ).done;
  };
  try {
    return [await ask("How late is it in Ghent?"), await ask("Sure?")];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function assertAnswered([first, second]: readonly Turn[]): void {
  assert.deepEqual(
    [first?.status, first?.finish, first?.requests, first?.output.at(-1)?.content],
    ["done", "stop", 2, "Nine."],
  );
  assert.deepEqual([second?.status, second?.output.at(-1)?.content], ["done", "Yes."]);
}

/** What Anthropic answers, from its blocks. */
function anthropicAnswer(blocks: readonly (readonly [start: object, ...deltas: object[]])[], stopReason: string) {
  return [
    {
      type: "message_start",
      message: {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "claude-4",
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 10, cache_read_input_tokens: 4, cache_creation_input_tokens: 0, output_tokens: 1 },
      },
    },
    ...blocks.flatMap(([start, ...deltas], index) => [
      { type: "content_block_start", index, content_block: start },
      ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index },
    ]),
    {
      type: "message_delta",
      delta: { stop_reason: stopReason, stop_sequence: null },
      usage: { output_tokens: 7 },
    },
    { type: "message_stop" },
  ];
}

const signature = "c2lnbmF0dXJl";
const thinking = [
  { type: "thinking", thinking: "", signature: "" },
  { type: "thinking_delta", thinking: "A clock " },
  { type: "thinking_delta", thinking: "knows." },
  { type: "signature_delta", signature },
] as const;
const textBlock = { type: "text", text: "" };
const textDelta = (text: string): object => ({ type: "text_delta", text });

/** Anthropic's rules: roles by turns, each use with a result, and thinking that is signed before a use of a tool. */
function checkAnthropic({ messages, max_tokens: maxTokens }: Body): void {
  assert(maxTokens > 0, "max_tokens: Field required");
  let open: string[] = [];
  for (const [index, { role, content }] of messages.entries()) {
    assert.equal(role, index % 2 === 0 ? "user" : "assistant", "roles must alternate");
    assert(content.length > 0, "all messages must have non-empty content");
    const results = content.filter(({ type }: Body) => type === "tool_result");
    assert.deepEqual(
      results.map((result: Body) => result.tool_use_id),
      open,
      "`tool_use` ids were found without `tool_result` blocks immediately after",
    );
    open = content.flatMap((block: Body) => (block.type === "tool_use" ? [block.id] : []));
    for (const id of open) assert.match(id, /^[\w-]+$/, "tool_use.id: String should match pattern");
    if (open.length > 0)
      assert.deepEqual(content[0], { type: "thinking", thinking: "A clock knows.", signature }, "Invalid signature");
  }
}

for (const [version, create] of [
  ["v3", createAnthropicV3],
  ["v4", createAnthropic],
] as const) {
  test(`${version}: Anthropic: a signed thought goes back with the results of its tools, and in the next turn`, async () => {
    const { fetch, requests } = endpoint(
      [
        anthropicAnswer(
          [
            thinking,
            [textBlock, textDelta("\n\n")],
            [
              { type: "tool_use", id: "toolu_1", name: "hour", input: {} },
              { type: "input_json_delta", partial_json: '{"in":' },
              { type: "input_json_delta", partial_json: '"Ghent"}' },
            ],
          ],
          "tool_use",
        ),
        anthropicAnswer([thinking, [textBlock, textDelta("Ni"), textDelta("ne.")]], "end_turn"),
        anthropicAnswer([[textBlock, textDelta("Yes.")]], "end_turn"),
      ],
      checkAnthropic,
    );
    const anthropic = create({ apiKey: "k", fetch });
    const body = { anthropic: { thinking: { type: "enabled", budgetTokens: 2000 } } };
    const turns = await converse(aiModel(anthropic("claude-4"), { body }));
    assertAnswered(turns);
    assert.equal(turns[0]?.model, "claude-4");
    assert.equal(turns[0]?.usage?.cachedTokens, 8);
    assert.deepEqual(requests[0].thinking, { type: "enabled", budget_tokens: 2000 });
    assert.deepEqual(requests[0].tools[0].input_schema, hour.parameters);
    assert.deepEqual(requests[2].messages[3].content[0].signature, signature, "also of the answer itself");
  });
}

test("Anthropic: a conversation that another provider began goes on", async () => {
  const { fetch } = endpoint([anthropicAnswer([[textBlock, textDelta("Yes.")]], "end_turn")], (body: Body) => {
    const { content } = body.messages[1];
    assert.deepEqual(
      content.map(({ type }: Body) => type),
      ["tool_use"],
    );
    assert.match(content[0].id, /^[\w-]+$/, "tool_use.id: String should match pattern");
    assert.equal(body.messages[2].content[0].tool_use_id, content[0].id);
  });
  const model = aiModel(createAnthropic({ apiKey: "k", fetch })("claude-4"));
  await using sessions = await openSessions({ store: "memory:", model });
  const session = await sessions.create({ agent: "a" });
  const call = { id: "functions.hour:0", type: "function", function: { name: "hour", arguments: "{}" } } as const;
  const native = { format: "ai-sdk", provider: "moonshot.chat", parts: [{ type: "reasoning", text: "x" }] };
  await session.append({
    input: "When?",
    output: [
      { role: "assistant", content: null, tool_calls: [call], native },
      { role: "tool", tool_call_id: call.id, content: "nine" },
      { role: "assistant", content: "Nine." },
    ],
  });
  assert.equal((await (await session.consult("Sure?")).done).output[0]?.content, "Yes.");
});

for (const [version, create] of [
  ["v3", createAnthropicV3],
  ["v4", createAnthropic],
] as const) {
  test(`${version}: Anthropic: pictures and files reach the endpoint, whatever form they have`, async () => {
    const answer = anthropicAnswer([[textBlock, textDelta("I see.")]], "end_turn");
    const { fetch, requests } = endpoint([answer], checkAnthropic);
    const model = aiModel(create({ apiKey: "k", fetch })("claude-4"));
    await using sessions = await openSessions({ store: "memory:", model });
    const content = [
      { type: "text", text: "See:" },
      { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
      { type: "image_url", image_url: { url: "https://a.example/b.png" } },
      { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" } },
      { type: "file", mediaType: "application/pdf", data: new Uint8Array([37, 80, 68, 70, 45]) },
    ];
    const question = [{ role: "user", content } as const];
    assert.equal((await (await (await sessions.create({ agent: "a" })).consult(question)).done).status, "done");
    const pdf = { type: "base64", media_type: "application/pdf", data: "JVBERi0=" };
    assert.deepEqual(
      requests[0].messages[0].content.map(({ type, source, text }: Body) => [type, source ?? text]),
      [
        ["text", "See:"],
        ["image", { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" }],
        ["image", { type: "url", url: "https://a.example/b.png" }],
        ["document", pdf],
        ["document", pdf],
      ],
    );
  });
}

/** What Gemini answers with these parts. */
function geminiAnswer(parts: readonly object[]): object[] {
  const chunk = (more: object): object => ({
    candidates: [{ index: 0, ...more }],
    usageMetadata: {
      promptTokenCount: 10,
      cachedContentTokenCount: 4,
      candidatesTokenCount: 2,
      thoughtsTokenCount: 5,
      totalTokenCount: 17,
    },
    modelVersion: "gemini-3",
  });
  return [
    ...parts.map((part) => chunk({ content: { role: "model", parts: [part] } })),
    chunk({ content: { role: "model", parts: [{ text: "" }] }, finishReason: "STOP" }),
  ];
}

for (const [version, create] of [
  ["v3", createGoogleV3],
  ["v4", createGoogleGenerativeAI],
] as const) {
  test(`${version}: Gemini: the signatures of thoughts and calls go back with the results of its tools`, async () => {
    const { fetch, requests } = endpoint(
      [
        geminiAnswer([
          { text: "A clock knows.", thought: true },
          { functionCall: { name: "hour", args: { in: "Ghent" } }, thoughtSignature: "c2lnLTE=" },
        ]),
        geminiAnswer([{ text: "Nine." }, { text: "", thoughtSignature: "c2lnLTI=" }]),
        geminiAnswer([{ text: "Yes." }]),
      ],
      ({ contents }: Body) => {
        for (const part of contents.flatMap(({ parts }: Body) => parts))
          if (part.functionCall !== undefined)
            assert.equal(part.thoughtSignature, "c2lnLTE=", "missing thought_signature");
      },
    );
    const google = create({ apiKey: "k", fetch });
    const turns = await converse(aiModel((name) => google(name), { model: "gemini-3-pro-preview", effort: "low" }));
    assertAnswered(turns);
    assert.deepEqual([turns[0]?.usage?.cachedTokens, turns[0]?.usage?.reasoningTokens], [8, 10]);
    assert.equal(requests[0].generationConfig.thinkingConfig.thinkingLevel, "low");
    const [, called, result] = requests[1].contents;
    assert.equal(called.role, "model");
    assert.equal(result.parts[0].functionResponse.response.content, "nine");
    const parts = requests[2].contents[3].parts;
    assert.equal(parts.at(-1).thoughtSignature, "c2lnLTI=", "also of the answer itself");
  });
}

/** What OpenAI's Responses answer with these items. */
function openaiAnswer(items: readonly Body[]): object[] {
  const response = { id: "resp_1", created_at: 1, model: "gpt-6", service_tier: "default" };
  return [
    { type: "response.created", response },
    ...items.flatMap((item, index) => [
      { type: "response.output_item.added", output_index: index, item: { ...item, content: [], arguments: "" } },
      ...(item.type === "message"
        ? [{ type: "response.output_text.delta", item_id: item.id, delta: item.content[0].text }]
        : []),
      { type: "response.output_item.done", output_index: index, item },
    ]),
    {
      type: "response.completed",
      response: {
        ...response,
        usage: {
          input_tokens: 10,
          input_tokens_details: { cached_tokens: 4 },
          output_tokens: 7,
          output_tokens_details: { reasoning_tokens: 5 },
        },
      },
    },
  ];
}

function openaiText(id: string, text: string): Body {
  return { type: "message", id, role: "assistant", content: [{ type: "output_text", text, annotations: [] }] };
}

for (const [version, create] of [
  ["v3", createOpenAIV3],
  ["v4", createOpenAI],
] as const) {
  test(`${version}: OpenAI: encrypted reasoning goes back with the results of its tools`, async () => {
    const reasoning = { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "ZW5jcnlwdGVk" };
    const { fetch, requests } = endpoint(
      [
        openaiAnswer([
          reasoning,
          {
            type: "function_call",
            id: "fc_1",
            call_id: "call_1",
            name: "hour",
            arguments: '{"in":"Ghent"}',
            status: "completed",
          },
        ]),
        openaiAnswer([openaiText("msg_1", "Nine.")]),
        openaiAnswer([openaiText("msg_2", "Yes.")]),
      ],
      ({ input }: Body) => {
        const types = input.map((item: Body) => item.type ?? item.role);
        const call = types.indexOf("function_call");
        if (call < 0) return;
        assert.equal(
          input[call - 1].encrypted_content,
          "ZW5jcnlwdGVk",
          "function_call without its required reasoning item",
        );
        assert.equal(input[call + 1].call_id, input[call].call_id, "No tool output found for function call");
      },
    );
    const openai = create({ apiKey: "k", fetch });
    const body = { openai: { store: false, include: ["reasoning.encrypted_content"] } };
    const turns = await converse(aiModel(openai, { model: "gpt-5.2", body, effort: "high" }));
    assertAnswered(turns);
    assert.deepEqual([turns[0]?.usage?.cachedTokens, turns[0]?.usage?.reasoningTokens], [8, 10]);
    assert.equal(requests[0].reasoning.effort, "high");
    assert.equal(requests[2].input.length, 6);
  });
}

for (const [title, refused] of [
  [
    "Anthropic",
    createAnthropic({ apiKey: "k", fetch: tooLong("prompt is too long: 210000 tokens > 200000 maximum") })("m"),
  ],
  [
    "Gemini",
    createGoogleGenerativeAI({
      apiKey: "k",
      fetch: tooLong("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    })("m"),
  ],
  [
    "OpenAI",
    createOpenAI({ apiKey: "k", fetch: tooLong("Your input exceeds the context window of this model.") })("m"),
  ],
] as const) {
  test(`${title}: a refusal for length is marked so, and asked again with half of the window`, async () => {
    await using sessions = await openSessions({ store: "memory:", model: aiModel(refused) });
    const session = await sessions.create({ agent: "a" });
    for (let turn = 0; turn < 4; turn++) await session.append({ input: "q", output: "a" });
    lengths.length = 0;
    await assert.rejects((await session.consult("?")).done, {
      code: "model_refused",
      message: /longer than the model's context/,
    });
    assert(lengths.length > 1 && lengths[0]! > lengths.at(-1)!, `bodies of ${lengths.join(", ")} characters`);
  });
}

/** The lengths of the bodies that were refused. */
const lengths: number[] = [];
function tooLong(message: string): typeof fetch {
  return async (_url, init) => {
    lengths.push(String(init?.body).length);
    return refusal(400, message);
  };
}

test("errors of the providers are typed: a wrong key, an endpoint that is down, a stream that breaks off", async () => {
  const ask = async (play: typeof fetch): Promise<Turn> => {
    await using sessions = await openSessions({
      store: "memory:",
      model: aiModel(createAnthropic({ apiKey: "k", fetch: play })("claude-4")),
    });
    return await (
      await (await sessions.create({ agent: "a" })).consult("?")
    ).done;
  };
  await assert.rejects(
    ask(async () => refusal(401, "invalid x-api-key")),
    { code: "model_refused", message: /invalid x-api-key.*check the key and its rights/ },
  );
  const down = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  await assert.rejects(
    ask(async () => {
      throw new TypeError("fetch failed", { cause: down });
    }),
    { code: "model_failed", message: /ECONNREFUSED at api\.anthropic\.com/ },
  );
  const whole = anthropicAnswer([[textBlock, textDelta("half an ans")]], "end_turn");
  const { fetch: cut } = endpoint([whole.slice(0, 3)], () => undefined);
  await assert.rejects(ask(cut), { code: "model_failed", message: /the stream ended before the answer did/ });
  const overloaded = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
  const { fetch: broken } = endpoint([[...whole.slice(0, 3), overloaded]], () => undefined);
  await assert.rejects(ask(broken), { code: "model_failed", message: /Overloaded/ });
});

/** The beginning of an answer, without its end. */
const cutAnswers = {
  anthropic: anthropicAnswer([[textBlock, textDelta("half")]], "end_turn").slice(0, 3),
  google: geminiAnswer([{ text: "half" }]).slice(0, 1),
  openai: openaiAnswer([openaiText("m", "half")]).slice(0, 3),
};

for (const [title, begin, cut] of [
  ["v3: Anthropic", createAnthropicV3, cutAnswers.anthropic],
  ["v4: Anthropic", createAnthropic, cutAnswers.anthropic],
  ["v3: Gemini", createGoogleV3, cutAnswers.google],
  ["v4: Gemini", createGoogleGenerativeAI, cutAnswers.google],
  ["v3: OpenAI", createOpenAIV3, cutAnswers.openai],
  ["v4: OpenAI", createOpenAI, cutAnswers.openai],
] as const) {
  test(`${title}: an answer that is cut is a failed turn with its text, and never a whole answer`, async () => {
    const { fetch } = endpoint([cut], () => undefined);
    const model = aiModel(begin({ apiKey: "k", fetch })("m"));
    await using sessions = await openSessions({ store: "memory:", model });
    const session = await sessions.create({ agent: "a" });
    await assert.rejects((await session.consult("?")).done, {
      code: "model_failed",
      message: /the stream ended before the answer did/,
    });
    const [turn] = await Array.fromAsync(session.turns({ last: 1 }));
    assert.deepEqual([turn?.status, turn?.output[0]?.content], ["failed", "half"]);
  });
}

/** What a mock of the AI SDK streams. */
const helloParts = [
  { type: "text-start", id: "1" },
  { type: "text-delta", id: "1", delta: "<think>Greet.</think>Hello." },
  { type: "text-end", id: "1" },
  {
    type: "finish",
    finishReason: { unified: "stop", raw: "stop" },
    usage: {
      inputTokens: { total: 3, noCache: 3, cacheRead: undefined, cacheWrite: undefined },
      outputTokens: { total: 2, text: 2, reasoning: undefined },
    },
  },
] as const;
const doStream = async () => ({ stream: simulateReadableStream({ chunks: [...helloParts] }) });

async function askHello(model: Model): Promise<Turn> {
  await using sessions = await openSessions({ store: "memory:", model });
  return await (
    await (await sessions.create({ agent: "a" })).consult("Hi")
  ).done;
}

test("the AI SDK's own mocks of both versions answer", async () => {
  for (const mock of [new MockLanguageModelV3({ doStream }), new MockLanguageModelV4({ doStream })]) {
    const turn = await askHello(aiModel(mock));
    assert.deepEqual(turn.output, [{ role: "assistant", content: "<think>Greet.</think>Hello." }]);
    assert.deepEqual(turn.usage, { inputTokens: 3, outputTokens: 2, totalTokens: 5 });
  }
});

test("a model with middleware, and models of a registry by name, answer", async () => {
  const model = wrapLanguageModel({
    model: new MockLanguageModelV4({ doStream }),
    middleware: extractReasoningMiddleware({ tagName: "think" }),
  });
  const registry = createProviderRegistry({ mine: customProvider({ languageModels: { greeter: model } }) });
  const byName = (name: string): Model =>
    aiModel((asked) => registry.languageModel(asked as `mine:${string}`), { model: name });
  for (const one of [aiModel(model), byName("mine:greeter")]) {
    const { output, finish } = await askHello(one);
    assert.deepEqual([output[0]?.content, finish], ["Hello.", "stop"]);
    assert.deepEqual((output[0]?.["native"] as Body)?.value.parts, [
      { type: "reasoning", text: "Greet." },
      { type: "text", length: 6 },
    ]);
  }
  await assert.rejects(askHello(byName("mine:other")), {
    code: "model_refused",
    message: /there is no model for the name "mine:other": No such languageModel/,
  });
});
