import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  createManager,
  openSessions,
  SessionError,
  type ErrorCode,
  type Message,
  type ModelEvent,
  type ModelRequest,
  type ModelSettings,
} from "../index.ts";
import { aiModel, type AiLanguageModel } from "./ai.ts";
import type { CallOptions, PromptMessage } from "./ai/language-model.ts";

type Part = { readonly type: string; readonly [field: string]: unknown };
type Reply = readonly Part[] | (() => never);

interface Scripted extends AiLanguageModel {
  /** The options of each call. */
  readonly calls: CallOptions[];
}

/** A language model that answers with these parts, call after call. */
function scripted(
  replies: readonly Reply[],
  { version = "v4", provider = "scripted.chat" }: { version?: "v3" | "v4"; provider?: string } = {},
): Scripted {
  const calls: Scripted["calls"] = [];
  return {
    specificationVersion: version,
    provider,
    modelId: "m1",
    supportedUrls: { "image/*": [/^https:\/\/pictures\.example\//] },
    calls,
    doStream: async (...[options]: unknown[]) => {
      const reply = replies[calls.push(options as CallOptions) - 1] ?? assert.fail("one call too many");
      return { stream: ReadableStream.from(typeof reply === "function" ? reply() : reply) };
    },
  };
}

const usage = {
  inputTokens: { total: 9, noCache: 4, cacheRead: 5, cacheWrite: 0 },
  outputTokens: { total: 3, text: 1, reasoning: 2 },
};

function finish(unified = "stop", raw: string | undefined = unified): Part {
  return { type: "finish", finishReason: { unified, raw }, usage };
}

function textParts(text: string, providerMetadata?: object): Part[] {
  return [
    { type: "text-start", id: "t" },
    { type: "text-delta", id: "t", delta: text },
    { type: "text-end", id: "t", ...(providerMetadata === undefined ? {} : { providerMetadata }) },
  ];
}

function request(messages: readonly Message[], more: Partial<ModelRequest> = {}): ModelRequest {
  return { messages, agent: "a", signal: AbortSignal.timeout(60_000), ...more };
}

const hello: readonly Message[] = [{ role: "user", content: "hello" }];

async function ask(reply: Reply, more: Partial<ModelRequest> = {}): Promise<ModelEvent[]> {
  return await Array.fromAsync(aiModel(scripted([reply]))(request(hello, more)));
}

/** The prompt that these messages become. */
async function promptFor(
  messages: readonly Message[],
  options: { version?: "v3" | "v4"; provider?: string } = {},
): Promise<unknown> {
  const model = scripted([[finish()]], options);
  await Array.fromAsync(aiModel(model)(request(messages)));
  return model.calls[0]?.prompt;
}

for (const version of ["v3", "v4"] as const) {
  test(`${version}: text, reasoning, the answering model and usage arrive as the model streams them`, async () => {
    const parts = [
      { type: "stream-start", warnings: [{ type: "unsupported", feature: "seed" }] },
      { type: "response-metadata", id: "r1", modelId: "m1-2026" },
      { type: "reasoning-start", id: "r" },
      { type: "reasoning-delta", id: "r", delta: "Hm." },
      { type: "reasoning-end", id: "r" },
      { type: "text-start", id: "t" },
      { type: "text-delta", id: "t", delta: "Hel" },
      { type: "ping" },
      { type: "text-delta", id: "t", delta: "lo" },
      { type: "text-end", id: "t" },
      finish(),
    ];
    const model = aiModel(scripted([parts], { version }));
    assert.deepEqual(await Array.fromAsync(model(request(hello))), [
      { type: "model", model: "m1-2026" },
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "Hel" },
      { type: "text", text: "lo" },
      { type: "usage", usage: { inputTokens: 9, outputTokens: 3, cachedTokens: 5, reasoningTokens: 2 } },
      {
        type: "message",
        message: {
          role: "assistant",
          content: null,
          native: {
            format: "ai-sdk",
            version: 1,
            value: {
              provider: "scripted.chat",
              parts: [
                { type: "reasoning", text: "Hm." },
                { type: "text", length: 5 },
              ],
            },
          },
        },
      },
      { type: "finish", reason: "stop" },
    ]);
  });

  test(`${version}: reasoning, signatures and files of an answer go back with its tool results, and in the next turn`, async () => {
    const signed = { anthropic: { signature: "sig-1" } };
    const thought = { google: { thoughtSignature: "sig-2" } };
    const model = scripted(
      [
        [
          { type: "reasoning-start", id: "0" },
          { type: "reasoning-delta", id: "0", delta: "Look it " },
          { type: "reasoning-delta", id: "0", delta: "up." },
          { type: "reasoning-delta", id: "0", delta: "", providerMetadata: signed },
          { type: "reasoning-end", id: "0" },
          ...textParts("\n\n"),
          { type: "tool-call", toolCallId: "s1", toolName: "search", input: '{"q":1}', providerExecuted: true },
          { type: "tool-result", toolCallId: "s1", toolName: "search", result: { hits: 2 } },
          { type: "tool-call", toolCallId: "c1", toolName: "hour", input: '{"in":"Ghent"}', providerMetadata: thought },
          { type: "tool-call", toolCallId: "c2", toolName: "hour", input: "" },
          finish("tool-calls"),
        ],
        [
          ...textParts("Nine.", thought),
          { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2]) },
          { type: "source", sourceType: "url", id: "1", url: "https://a.example" },
          finish(),
        ],
        [...textParts("Yes."), finish()],
      ],
      { version },
    );
    await using sessions = await openSessions({ store: "memory:", model: aiModel(model), agents: { clock: {} } });
    const hour = { name: "hour", description: "The hour", parameters: { type: "object" }, run: () => 9 };
    const manager = createManager({ sessions, tools: { clock: [hour] }, offersHandoffs: false, router: () => "clock" });
    const session = await sessions.create({ agent: "clock" });
    const turn = await (await manager.send(session, "How late is it?")).done;
    assert.equal(turn.finish, "stop");
    assert.deepEqual([turn.requests, turn.usage?.cachedTokens, turn.usage?.reasoningTokens], [2, 10, 4]);
    await (
      await manager.send(session, "Sure?")
    ).done;
    const [first, second, third] = model.calls;
    assert.deepEqual(first?.tools, [
      { type: "function", name: "hour", description: "The hour", inputSchema: { type: "object" } },
    ]);
    const step: unknown[] = [
      { type: "reasoning", text: "Look it up.", providerOptions: signed },
      { type: "tool-call", toolCallId: "s1", toolName: "search", input: { q: 1 }, providerExecuted: true },
      { type: "tool-result", toolCallId: "s1", toolName: "search", output: { type: "json", value: { hits: 2 } } },
      { type: "tool-call", toolCallId: "c1", toolName: "hour", input: { in: "Ghent" }, providerOptions: thought },
      { type: "tool-call", toolCallId: "c2", toolName: "hour", input: {} },
    ];
    const output = { type: "text", value: "9" };
    const results = [
      { type: "tool-result", toolCallId: "c1", toolName: "hour", output, providerOptions: thought },
      { type: "tool-result", toolCallId: "c2", toolName: "hour", output },
    ];
    const conversation = [
      { role: "user", content: [{ type: "text", text: "How late is it?" }] },
      { role: "assistant", content: step },
      { role: "tool", content: results },
    ];
    assert.deepEqual(second?.prompt, conversation);
    assert.deepEqual(third?.prompt, [
      ...conversation,
      {
        role: "assistant",
        content: [
          { type: "text", text: "Nine.", providerOptions: thought },
          { type: "file", mediaType: "image/png", data: version === "v3" ? "AQI=" : { type: "data", data: "AQI=" } },
        ],
      },
      { role: "user", content: [{ type: "text", text: "Sure?" }] },
    ]);
  });

  test(`${version}: pictures, recordings and files stand in the prompt as the specification has them`, async () => {
    const content = [
      { type: "text", text: "See:" },
      { type: "image_url", image_url: { url: "data:image/png;base64,AQI=", detail: "low" } },
      { type: "image_url", image_url: { url: "https://pictures.example/a.png" } },
      { type: "input_audio", input_audio: { data: "AQI=", format: "mp3" } },
      { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AQI=" } },
      { type: "file", file: { file_id: "file-1" } },
    ];
    const data = (text: string): unknown => (version === "v3" ? text : { type: "data", data: text });
    const url = new URL("https://pictures.example/a.png");
    const parts = [
      { type: "text", text: "See:" },
      { type: "file", mediaType: "image/png", data: data("AQI="), providerOptions: { openai: { imageDetail: "low" } } },
      { type: "file", mediaType: "image/*", data: version === "v3" ? url : { type: "url", url } },
      { type: "file", mediaType: "audio/mpeg", data: data("AQI=") },
      { type: "file", mediaType: "application/pdf", data: data("AQI="), filename: "a.pdf" },
      {
        type: "file",
        mediaType: "application/pdf",
        data: version === "v3" ? "file-1" : { type: "reference", reference: { openai: "file-1" } },
      },
    ];
    assert.deepEqual(await promptFor([{ role: "user", content }], { version, provider: "openai.responses" }), [
      { role: "user", content: parts },
    ]);
  });

  test(`${version}: settings are the options of the call`, async () => {
    const optionsOf = async (settings: ModelSettings, provider = "openai.chat"): Promise<unknown> => {
      const model = scripted([[finish()]], { version, provider });
      await Array.fromAsync(aiModel(model, { temperature: 0, maxTokens: 9 })(request(hello, { settings })));
      const [{ prompt: _, abortSignal, ...options } = assert.fail()] = model.calls;
      assert(abortSignal instanceof AbortSignal);
      return options;
    };
    assert.deepEqual(await optionsOf({ maxTokens: 5 }), { temperature: 0, maxOutputTokens: 5 });
    const own = { temperature: 0, maxOutputTokens: 9 };
    const body = { openai: { user: "ada" } };
    assert.deepEqual(await optionsOf({ body }), { ...own, providerOptions: body });
    const inOptions = (providerOptions: object): object => ({ ...own, providerOptions });
    assert.deepEqual(
      await optionsOf({ effort: "high", body }),
      version === "v4"
        ? { ...own, reasoning: "high", providerOptions: body }
        : inOptions({ openai: { reasoningEffort: "high", user: "ada" } }),
    );
    assert.deepEqual(await optionsOf({ effort: "ultra" }), inOptions({ openai: { reasoningEffort: "ultra" } }));
    assert.deepEqual(
      await optionsOf({ effort: "ultra" }, "vertex.anthropic.messages"),
      inOptions({ anthropic: { effort: "ultra" } }),
    );
    assert.deepEqual(
      await optionsOf({ effort: "ultra" }, "google.generative-ai"),
      inOptions({ google: { thinkingConfig: { thinkingLevel: "ultra" } } }),
    );
  });
}

test("a system message, a name, a failed tool and half a surrogate pair have their place in the prompt", async () => {
  assert.deepEqual(
    await promptFor([
      { role: "system", content: "Be brief." },
      { role: "user", content: "go \ud800", name: "ada" },
      {
        role: "assistant",
        content: "I look.",
        tool_calls: [{ id: "functions.look:0", type: "function", function: { name: "look", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "functions.look:0", content: "Error: no", is_error: true },
    ]),
    [
      { role: "system", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "ada: go \ufffd" }] },
      {
        role: "assistant",
        content: [
          { type: "text", text: "I look." },
          { type: "tool-call", toolCallId: "functions_look_0_9a3a9af1", toolName: "look", input: {} },
        ],
      },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "functions_look_0_9a3a9af1",
            toolName: "look",
            output: { type: "error-text", value: "Error: no" },
          },
        ],
      },
    ],
    "an id that some providers refuse is another one, for the call and its result alike",
  );
});

test("messages of a caller that asks the model itself may have their text in parts", async () => {
  const content = [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ];
  const text = "a\n\nb";
  assert.deepEqual(
    await promptFor([
      { role: "system", content },
      { role: "assistant", content },
      { role: "tool", tool_call_id: "c", content },
    ]),
    [
      { role: "system", content: text },
      { role: "assistant", content: [{ type: "text", text }] },
      {
        role: "tool",
        content: [{ type: "tool-result", toolCallId: "c", toolName: "unknown", output: { type: "text", value: text } }],
      },
    ],
  );
});

test("addresses that the provider does not open, and files that cannot be read, are sent as text", async () => {
  const urls = ["https://elsewhere.example/a.png", "a.png", "data:image/png", "data:text/plain,%", "data:;base64,"];
  const content = [
    ...urls.map((url) => ({ type: "image_url", image_url: { url } })),
    { type: "file", file: { file_id: "file-1" } },
    { type: "file", file: {} },
  ];
  const [{ content: parts }] = (await promptFor([{ role: "user", content }])) as [{ content: { text: string }[] }];
  const lost = "a data URL that cannot be read";
  assert.deepEqual(
    parts.map(({ text }) => text),
    [urls[0], urls[1], lost, lost, lost, 'file "file-1"', 'file ""'].map((it) => `(this model cannot open ${it})`),
  );
});

const ofProvider = {
  provider: "scripted.chat",
  parts: [
    { type: "reasoning", text: "Greet.", providerMetadata: { scripted: { signature: "s" } } },
    { type: "text", length: 2 },
    { type: "custom", kind: "scripted.mark" },
    { type: "text", length: 4 },
  ],
};
const kept: Message = {
  role: "assistant",
  content: "Hi Bob",
  native: { format: "ai-sdk", version: 1, value: ofProvider },
};

async function answerPartsOf(message: Message, options: { version?: "v3"; provider?: string } = {}): Promise<unknown> {
  const prompt = (await promptFor([...hello, message], options)) as PromptMessage[];
  return prompt[1]?.content;
}

test("the order of texts and other parts is that of the answer", async () => {
  assert.deepEqual(await answerPartsOf(kept), [
    { type: "reasoning", text: "Greet.", providerOptions: { scripted: { signature: "s" } } },
    { type: "text", text: "Hi" },
    { type: "custom", kind: "scripted.mark" },
    { type: "text", text: " Bob" },
  ]);
  assert.deepEqual(
    ((await answerPartsOf(kept, { version: "v3" })) as Part[]).map(({ type }) => type),
    ["reasoning", "text", "text"],
    "v3 has no such part",
  );
});

test("the parts of an answer that was stored before the native form had a version are read as they were", async () => {
  const earlier = { ...kept, native: { format: "ai-sdk", ...ofProvider } };
  assert.deepEqual(await answerPartsOf(earlier), await answerPartsOf(kept));
});

test("another provider, and a message that was changed, get the text and the calls alone", async () => {
  const plain = [{ type: "text", text: "Hi Bob" }];
  assert.deepEqual(await answerPartsOf(kept, { provider: "other.chat" }), plain);
  assert.deepEqual(await answerPartsOf({ ...kept, content: "Hi" }), [{ type: "text", text: "Hi" }]);
  const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } } as const;
  assert.deepEqual(await answerPartsOf({ ...kept, tool_calls: [call] }), [
    ...plain,
    { type: "tool-call", toolCallId: "c", toolName: "f", input: {} },
  ]);
  const damaged = [
    { provider: "scripted.chat" },
    { version: 1 },
    { version: 1, value: null },
    { version: 2, value: ofProvider },
  ];
  for (const native of [null, 7, {}, ...damaged.map((fields) => ({ format: "ai-sdk", ...fields }))])
    assert.deepEqual(await answerPartsOf({ ...kept, native }), plain);
});

test("blocks of text that arrive by turns keep the order of the text", async () => {
  const events = await ask([
    { type: "text-start", id: "1", providerMetadata: { p: { id: 1 } } },
    { type: "text-delta", id: "1", delta: "a" },
    { type: "text-delta", id: "2", delta: "bb" },
    { type: "text-delta", id: "1", delta: "ccc" },
    { type: "text-end", id: "1" },
    finish(),
  ]);
  const message = events.flatMap((event) => (event.type === "message" ? [event.message] : []))[0];
  assert.deepEqual(await answerPartsOf({ ...message!, content: "abbccc" }), [
    { type: "text", text: "a", providerOptions: { p: { id: 1 } } },
    { type: "text", text: "bb" },
    { type: "text", text: "ccc", providerOptions: { p: { id: 1 } } },
  ]);
});

test("an answer of plain text and calls keeps no parts beside them", async () => {
  const call = { type: "tool-call", toolCallId: "c", toolName: "f", input: "{}" };
  const events = await ask([...textParts("x"), call, { ...call, toolName: "g" }, finish("tool-calls")]);
  const [message] = events.flatMap((event) => (event.type === "message" ? [event.message] : []));
  assert.deepEqual(Object.keys(message ?? {}), ["role", "content", "tool_calls"]);
  assert.equal(new Set(message?.tool_calls?.map(({ id }) => id)).size, 2, "two calls never have one id");
  const plain = await ask([...textParts("x"), finish()]);
  assert.deepEqual(
    plain.map(({ type }) => type),
    ["text", "usage", "finish"],
  );
});

test("a tool call with arguments that are no JSON is kept byte for byte, and the model reads why it failed", async () => {
  const model = scripted([
    [{ type: "tool-call", toolCallId: "c", toolName: "hour", input: '{"in":' }, finish("tool-calls")],
    [...textParts("Sorry."), finish()],
  ]);
  await using sessions = await openSessions({ store: "memory:", model: aiModel(model), agents: { clock: {} } });
  const hour = { name: "hour", description: "The hour", parameters: { type: "object" }, run: () => assert.fail("ran") };
  const manager = createManager({ sessions, tools: { clock: [hour] }, offersHandoffs: false, router: () => "clock" });
  const turn = await (await manager.send(await sessions.create({ agent: "clock" }), "When?")).done;
  assert.equal(turn.output[0]?.tool_calls?.[0]?.function.arguments, '{"in":');
  const output = { type: "error-text", value: "Error: the arguments are not JSON" };
  assert.deepEqual(model.calls[1]?.prompt.slice(1), [
    {
      role: "assistant",
      content: [{ type: "tool-call", toolCallId: "c", toolName: "hour", input: { arguments: '{"in":' } }],
    },
    { role: "tool", content: [{ type: "tool-result", toolCallId: "c", toolName: "hour", output }] },
  ]);
});

for (const [unified, raw, expected] of [
  ["stop", "end_turn", "stop"],
  ["length", "max_tokens", "length"],
  ["content-filter", "SAFETY", "content_filter"],
  ["content-filter", "refusal", "refusal"],
  ["tool-calls", "tool_use", "tool_calls"],
  ["other", "compaction", "compaction"],
  ["error", "MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"],
] as const) {
  test(`an answer that ended with ${unified} (${raw}) finishes with ${expected}`, async () => {
    const events = await ask([...textParts("x"), finish(unified, raw)]);
    assert.deepEqual(events.at(-1), { type: "finish", reason: expected });
  });
}

test("usage that stands flat is read too, and what is no count is left out", async () => {
  const usageIn = async (reported: unknown): Promise<unknown> => {
    const events = await ask([{ ...finish(), usage: reported }]);
    return events.flatMap((event) => (event.type === "usage" ? [event.usage] : []))[0];
  };
  assert.deepEqual(
    await usageIn({ inputTokens: 9, outputTokens: 3, totalTokens: 12, cachedInputTokens: 5, reasoningTokens: 2 }),
    { inputTokens: 9, outputTokens: 3, totalTokens: 12, cachedTokens: 5, reasoningTokens: 2 },
  );
  assert.deepEqual(await usageIn({ inputTokens: { total: 9 }, outputTokens: { total: NaN } }), { inputTokens: 9 });
  for (const nothing of [undefined, null, {}, { inputTokens: {}, outputTokens: {} }])
    assert.equal(await usageIn(nothing), undefined);
});

/** An error as the AI SDK throws it. */
function sdkError(message: string, fields: object = {}, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { name: "AI_APICallError", ...fields });
}

function throwing(error: unknown): Reply {
  return () => {
    throw error;
  };
}

const url = "https://api.example:8443/v1/messages?key=secret";
const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
const failures: readonly (readonly [title: string, reply: Reply, code: ErrorCode, details: object])[] = [
  [
    "400",
    throwing(sdkError("bad\n schema", { statusCode: 400, url })),
    "model_refused",
    { httpStatus: 400, reported: "bad schema" },
  ],
  ["401", throwing(sdkError("no", { statusCode: 401 })), "model_refused", { httpStatus: 401 }],
  ["429", throwing(sdkError("slow down", { statusCode: 429 })), "model_failed", { httpStatus: 429 }],
  ["529", throwing(sdkError("overloaded", { statusCode: 529 })), "model_failed", { httpStatus: 529 }],
  [
    "a prompt that is too long",
    throwing(sdkError("prompt is too long: 9 tokens > 5 maximum", { statusCode: 400 })),
    "model_refused",
    { contextExceeded: true },
  ],
  [
    "a code of OpenAI for the length",
    throwing(sdkError("no", { statusCode: 400, data: { error: { code: "context_length_exceeded" } } })),
    "model_refused",
    { contextExceeded: true },
  ],
  [
    "no connection",
    throwing(sdkError("Cannot connect to API", { url }, refused)),
    "model_failed",
    { problem: "unreachable", systemCode: "ECONNREFUSED", host: "api.example:8443" },
  ],
  [
    "a key that is missing",
    throwing(sdkError("no key", { name: "AI_LoadAPIKeyError" })),
    "model_refused",
    { reported: "no key" },
  ],
  [
    "an error part",
    [...textParts("a"), { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }, finish("error")],
    "model_failed",
    { problem: "stream_broken", reported: "Overloaded" },
  ],
  [
    "an error part with a status",
    [{ type: "error", error: { message: "no", statusCode: 400 } }],
    "model_refused",
    { httpStatus: 400 },
  ],
  ["an error part of text", [{ type: "error", error: "broken" }], "model_failed", { reported: "broken" }],
  ["an error part of nothing", [{ type: "error", error: undefined }], "model_failed", { reported: "unknown" }],
  ["a stream without finish", textParts("half an ans"), "model_failed", { problem: "answer_incomplete" }],
  [
    "an interrupted answer",
    [...textParts("half"), finish("interrupted", undefined)],
    "model_failed",
    { problem: "answer_incomplete" },
  ],
  [
    "a finish of which the provider said nothing",
    [...textParts("half"), { type: "finish", finishReason: { unified: "other", raw: undefined }, usage }],
    "model_failed",
    { problem: "answer_incomplete" },
  ],
  ["a part that is none", [null as unknown as Part], "model_failed", { problem: "stream_broken" }],
];

for (const [title, reply, code, details] of failures) {
  test(`${title} is ${code}`, async () => {
    await assert.rejects(ask(reply), (error) => {
      assert(error instanceof SessionError);
      assert.equal(error.code, code);
      for (const [name, value] of Object.entries(details))
        assert.equal((error.details as unknown as Record<string, unknown>)[name], value, name);
      assert(!JSON.stringify(error).includes("secret"));
      return true;
    });
  });
}

test("a key that an endpoint echoes, and the conversation that an error is about, are not printed with it", async () => {
  const asked = { requestBodyValues: { messages: [{ content: "my secret" }] }, statusCode: 400 };
  for (const key of ["sk-ant-api03-secret", "AIzaSysecret", "gsk_secret12"]) {
    const message = `wrong key ${key}: check it`;
    await assert.rejects(ask(throwing(sdkError(message, { ...asked, responseBody: message }))), (error) => {
      assert.equal((error as { details?: { reported?: string } }).details?.reported, "wrong key [key]: check it");
      assert(!inspect(error, { depth: 9 }).includes("secret"));
      return true;
    });
  }
  await assert.rejects(ask(throwing(sdkError("no", asked))), (error) => {
    const { cause } = error as { readonly cause?: object };
    assert(!inspect(error, { depth: 9 }).includes("my secret"));
    assert.deepEqual((cause as typeof asked).requestBodyValues, asked.requestBodyValues, "a program can read it");
    return true;
  });
});

test("a model that is silent, and ignores its signal, is left after the timeout", async () => {
  const silent = { ...scripted([]), doStream: () => new Promise<never>(() => undefined) };
  const hanging = { ...scripted([]), doStream: async () => ({ stream: new ReadableStream() }) };
  for (const model of [silent, hanging]) {
    const answer = Array.fromAsync(aiModel(model, { timeoutMs: 20 })(request(hello)));
    await assert.rejects(answer, { code: "model_failed", details: { problem: "silent", timeoutMs: 20 } });
  }
});

test("an abort ends the request with its own reason, and a caller that stops reading ends the stream", async () => {
  const stop = new AbortController();
  let cancelled = 0;
  const doStream = async (): Promise<unknown> => ({
    stream: new ReadableStream({
      start: (controller) => {
        for (const part of textParts("x")) controller.enqueue(part);
      },
      cancel: () => {
        cancelled++;
      },
    }),
  });
  const model = aiModel({ ...scripted([]), doStream });
  const reason = new Error("enough");
  await assert.rejects(async () => {
    for await (const event of model(request(hello, { signal: stop.signal }))) {
      if (event.type === "text") stop.abort(reason);
    }
  }, reason);
  for await (const event of model(request(hello))) {
    assert.equal(event.type, "text");
    break;
  }
  // The stream is cancelled without being waited for: a model that hangs would hold its caller.
  await new Promise(setImmediate);
  assert.equal(cancelled, 2);
});

test("a model of another specification is refused, and the error names those that work", async () => {
  const model = scripted([]);
  const old = { ...model, specificationVersion: "v2" as "v3" };
  assert.throws(() => aiModel(old), {
    code: "argument_invalid",
    message: /specificationVersion is "v2"; expected one of v3, v4/,
  });
  const unversioned = { ...model, specificationVersion: undefined as unknown as "v3" };
  assert.throws(() => aiModel(unversioned), { code: "argument_invalid", message: /one of v3, v4/ });
  for (const value of ["anthropic/claude", undefined, null, { specificationVersion: "v4" }])
    assert.throws(() => aiModel(value as never), {
      code: "argument_invalid",
      message: /a language model of the AI SDK/,
    });
  await assert.rejects(Array.fromAsync(aiModel(() => old)(request(hello, { model: "m" }))), {
    code: "model_refused",
    message: /no model for the name "m": .*"v2"; expected one of v3, v4/,
  });
});

test("the names of agents and calls choose among models, and a name that one model does not have is refused", async () => {
  const asked: string[] = [];
  const model = aiModel(
    (name) => {
      asked.push(name);
      if (name === "none") throw new Error("No such model: none");
      return scripted([[...textParts(name), finish()]]);
    },
    { model: "small" },
  );
  await using sessions = await openSessions({ store: "memory:", model, agents: { a: {}, b: { model: "large" } } });
  for (const agent of ["a", "b"]) await (await (await sessions.create({ agent })).consult("?")).done;
  assert.deepEqual(asked, ["small", "large"]);
  const ofName = (name: string): Partial<ModelRequest> => ({ model: name });
  await assert.rejects(Array.fromAsync(model(request(hello, ofName("none")))), {
    code: "model_refused",
    details: { problem: "model_unusable", model: "none", reported: "No such model: none" },
  });
  await assert.rejects(Array.fromAsync(aiModel(() => scripted([]))(request(hello))), {
    details: { problem: "model_unnamed" },
  });
  await assert.rejects(ask([finish()], ofName("m2")), {
    code: "model_refused",
    details: { problem: "model_fixed", model: "m2" },
  });
  assert.equal((await ask([finish()], ofName("m1"))).at(-1)?.type, "finish");
});

test("wrong settings and fields outside of a provider's own are refused", async () => {
  assert.throws(() => aiModel(scripted([]), { temperature: -1 }), { code: "argument_invalid" });
  assert.throws(() => aiModel(scripted([]), { body: { seed: 1 } }), {
    code: "argument_invalid",
    message: /aiModel\.body\.seed is 1; expected an object of a provider's own fields/,
  });
  await assert.rejects(ask([finish()], { settings: { body: { seed: null } } }), {
    code: "model_refused",
    message: /settings\.body\.seed is null; expected an object of a provider's own fields/,
  });
});

test("an answer that never stops calling tools or reasoning is stopped", async () => {
  const endless = function* (part: Part): Generator<Part> {
    for (;;) yield part;
  };
  const long = "x".repeat(1024 * 1024);
  for (const [part, problem] of [
    [{ type: "tool-call", toolCallId: "", toolName: "f", input: long }, "tool_calls_too_large"],
    [{ type: "reasoning-delta", id: "1", delta: long }, "fields_too_large"],
    [{ type: "custom", kind: "a.b", providerMetadata: { a: { long } } }, "fields_too_large"],
  ] as const) {
    const model = { ...scripted([]), doStream: async () => ({ stream: ReadableStream.from(endless(part)) }) };
    await assert.rejects(Array.fromAsync(aiModel(model)(request(hello))), { details: { problem, lengthMax: 8388608 } });
  }
});
