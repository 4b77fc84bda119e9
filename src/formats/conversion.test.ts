import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as fc from "../../test/support/fast-check.ts";
import { messages as anyMessages } from "../../test/property/arbitraries.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { importSessions } from "../admin.ts";
import { keptParts } from "../adapters/ai/kept-parts.ts";
import { requestMessages } from "../domain/request/model-request.ts";
import { unbounded } from "../domain/request/window.ts";
import { nativeOf } from "../domain/request/native-form.ts";
import type { Message } from "../domain/turns/turn.ts";
import { decode, encode, type Value } from "../domain/values/codec.ts";
import { importItems } from "../imports/import-items.ts";
import { renderings } from "../files/renderings.ts";
import { fromFormat, toFormat } from "./conversion.ts";
import type { MessageFormatName } from "./message-format.ts";
import { messageFormats } from "./registry.ts";

const text = fc.string({ minLength: 1, maxLength: 12 }).filter((one) => one.trim() !== "");
const id = fc.constantFrom("c1", "c2", "c3");
const picture = "data:image/png;base64,AAAA";
const input = fc.dictionary(fc.constantFrom("city", "at"), fc.oneof(text, fc.integer()), { noNullPrototype: true });
const record = <T extends object>(fields: { [Name in keyof T]: fc.Arbitrary<T[Name]> }): fc.Arbitrary<Value> =>
  fc.record(fields, { noNullPrototype: true }) as unknown as fc.Arbitrary<Value>;
const is = <T>(value: T): fc.Arbitrary<T> => fc.constant(value);
const some = (...parts: fc.Arbitrary<Value>[]): fc.Arbitrary<Value> =>
  fc.array(fc.oneof(...parts), { minLength: 1, maxLength: 4 });

/** Messages as the documentation of each format has them, with the fields that canonical messages lack. */
const shapes: Readonly<Record<MessageFormatName, fc.Arbitrary<Value>>> = {
  openai: fc.oneof(
    record({ role: is("user"), content: text, name: text }),
    record({
      role: is("user"),
      content: some(record({ type: is("text"), text }), is({ type: "image_url", image_url: { url: picture } })),
    }),
    record({ role: is("assistant"), content: text, annotations: is([{ type: "url_citation" }]), refusal: is(null) }),
    record({
      role: is("assistant"),
      content: is(null),
      tool_calls: id.map((one) => [{ id: one, type: "function", function: { name: "look", arguments: '{"a": 1}' } }]),
    }),
    record({
      role: is("assistant"),
      content: is(null),
      tool_calls: id.map((one) => [{ id: one, type: "function", function: { name: "look", arguments: { a: 1 } } }]),
    }),
    record({ role: is("tool"), tool_call_id: id, content: text }),
  ),
  gemini: record({
    role: fc.constantFrom("user", "model"),
    parts: some(
      record({ text }),
      record({ text, thought: is(true), thoughtSignature: text }),
      record({ functionCall: record({ name: is("look"), args: input }), thoughtSignature: text }),
      record({ functionResponse: record({ id, name: is("look"), response: input }) }),
      is({ inlineData: { mimeType: "image/png", data: "AAAA" } }),
      is({ fileData: { fileUri: "gs://a/b" } }),
    ),
  }),
  "ai-sdk-ui": record({
    id: text,
    role: fc.constantFrom("user", "assistant"),
    metadata: record({ createdAt: fc.integer() }),
    parts: some(
      record({ type: is("text"), text, state: is("done"), providerMetadata: is({ openai: { itemId: "m" } }) }),
      record({ type: is("reasoning"), text }),
      record({ type: is("source-url"), sourceId: text, url: is("https://a.example") }),
      record({ type: is("data-place"), id: text, data: input }),
      is({ type: "step-start" }),
      is({ type: "file", mediaType: "image/png", url: picture }),
      record({ type: is("tool-look"), toolCallId: id, state: is("output-available"), input, output: input }),
      record({ type: is("tool-look"), toolCallId: id, state: is("input-available"), input }),
      record({
        type: is("dynamic-tool"),
        toolName: is("look"),
        toolCallId: id,
        state: is("output-error"),
        input,
        errorText: text,
      }),
    ),
  }),
  "openai-responses": fc.oneof(
    record({ role: fc.constantFrom("user", "developer"), content: text }),
    record({
      type: is("message"),
      id: text,
      role: is("assistant"),
      status: is("completed"),
      content: some(record({ type: is("output_text"), text, annotations: is([]) })),
    }),
    record({
      role: is("user"),
      content: some(
        record({ type: is("input_text"), text }),
        is({ type: "input_image", detail: "auto", image_url: picture }),
      ),
    }),
    record({ type: is("reasoning"), id: text, summary: is([]), encrypted_content: text }),
    record({
      type: is("function_call"),
      id: text,
      call_id: id,
      name: is("look"),
      arguments: is('{"a": 1}'),
      status: is("completed"),
    }),
    record({ type: is("function_call_output"), call_id: id, output: text }),
    record({ type: is("web_search_call"), id: text, status: is("completed") }),
  ),
  "openai-agents": fc.oneof(
    record({ role: is("user"), content: text }),
    record({
      type: is("message"),
      id: text,
      role: is("assistant"),
      status: is("completed"),
      content: some(record({ type: is("output_text"), text })),
    }),
    record({
      type: is("reasoning"),
      id: text,
      content: some(record({ type: is("input_text"), text })),
      providerData: is({ a: 1 }),
    }),
    record({ type: is("function_call"), callId: id, name: is("look"), arguments: is("{}"), status: is("completed") }),
    record({
      type: is("function_call_result"),
      callId: id,
      name: is("look"),
      status: is("completed"),
      output: record({ type: is("text"), text }),
    }),
    record({ type: is("hosted_tool_call"), id: text, name: is("search"), status: is("completed") }),
  ),
  anthropic: fc.oneof(
    record({ role: fc.constantFrom("user", "assistant"), content: text }),
    record({
      role: is("assistant"),
      content: some(
        record({ type: is("text"), text }),
        record({ type: is("thinking"), thinking: text, signature: text }),
        record({ type: is("redacted_thinking"), data: text }),
        record({ type: is("tool_use"), id, name: is("look"), input }),
        record({ type: is("server_tool_use"), id: text, name: is("web_search"), input }),
      ),
    }),
    record({
      role: is("user"),
      content: some(
        record({ type: is("text"), text, cache_control: is({ type: "ephemeral" }) }),
        record({ type: is("tool_result"), tool_use_id: id, content: text, is_error: fc.boolean() }),
        is({ type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }),
      ),
    }),
  ),
  "ai-sdk": fc.oneof(
    record({ role: fc.constantFrom("user", "assistant"), content: text }),
    record({
      role: is("assistant"),
      content: some(
        record({ type: is("text"), text }),
        record({ type: is("reasoning"), text, providerOptions: is({ anthropic: { signature: "s" } }) }),
        record({ type: is("tool-call"), toolCallId: id, toolName: is("look"), input }),
      ),
    }),
    record({
      role: is("tool"),
      content: some(
        record({
          type: is("tool-result"),
          toolCallId: id,
          toolName: is("look"),
          output: record({ type: is("json"), value: input }),
        }),
      ),
    }),
  ),
  langchain: fc.oneof(
    record({ type: is("human"), data: record({ content: text, additional_kwargs: is({}) }) }),
    record({
      type: is("ai"),
      data: record({
        content: text,
        id: text,
        response_metadata: is({ model: "m" }),
        tool_calls: id.map((one) => [{ id: one, name: "look", args: {} }]),
      }),
    }),
    record({ type: is("tool"), data: record({ content: text, tool_call_id: id, status: is("error") }) }),
    record({
      lc: is(1),
      type: is("constructor"),
      id: is(["langchain_core", "messages", "HumanMessage"]),
      kwargs: record({ content: text }),
    }),
  ),
  sharegpt: record({
    from: fc.constantFrom("human", "gpt", "chatgpt", "function_call", "observation"),
    value: text,
    weight: fc.integer(),
  }),
  chatgpt: record({
    id: text,
    author: fc.constantFrom({ role: "user" }, { role: "assistant" }, { role: "tool", name: "python" }),
    content: some(
      text as fc.Arbitrary<Value>,
      is({ content_type: "image_asset_pointer", asset_pointer: "file-service://1" }),
    ).map((parts) => ({ content_type: "multimodal_text", parts })),
  }),
  genkit: fc.oneof(
    record({
      role: fc.constantFrom("user", "model"),
      content: some(
        record({ text }),
        record({ text, metadata: is({ cache: true }) }),
        record({ reasoning: text }),
        record({ data: input }),
        is({ media: { url: picture } }),
        is({ media: { url: "https://example.com/a.pdf", contentType: "application/pdf" } }),
        record({ toolRequest: record({ name: is("look"), input }) }),
        record({ toolRequest: record({ ref: id, name: is("look"), input }) }),
      ),
    }),
    record({
      role: is("tool"),
      content: some(
        record({ toolResponse: record({ ref: id, name: is("look"), output: input }) }),
        record({
          toolResponse: record({ name: is("look"), output: text, content: some(is({ media: { url: picture } })) }),
        }),
      ),
    }),
  ),
  claude: record({
    uuid: text,
    sender: fc.constantFrom("human", "assistant"),
    text,
    content: some(record({ type: is("text"), text }), record({ type: is("thinking"), thinking: text })),
    attachments: is([{ file_name: "a.txt", extracted_content: "a cat" }]),
  }),
};

const names = messageFormats.map(({ name }) => name);
/** The messages as a store gives them back. */
const stored = (messages: readonly Message[]): readonly Message[] => decode(encode(messages)) as unknown as Message[];

for (const name of names) {
  test(`${name}: messages come back as they were written`, () => {
    fc.assert(
      fc.property(fc.array(shapes[name], { maxLength: 6 }), (values) => {
        assert.deepEqual(toFormat(stored(fromFormat(values, name)), name), values);
      }),
    );
  });

  test(`${name}: a message that has changed is written from its canonical form`, () => {
    fc.assert(
      fc.property(fc.array(shapes[name], { minLength: 1, maxLength: 6 }), fc.nat(), (values, nth) => {
        const messages = stored(fromFormat(values, name));
        const at = nth % messages.length;
        // ChatGPT has no calls: a result of one is left out.
        if (name === "chatgpt" && messages[at]!.role === "tool") return;
        const changed = messages.map((message, index) => (index === at ? { ...message, content: "CHANGED" } : message));
        const written = toFormat(changed, name);
        const [first] = [messages[at]!].filter((message) => nativeOf(message) !== undefined);
        assert.ok(encode(written).includes("CHANGED"), encode(written));
        if (first !== undefined) assert.ok(!written.includes(nativeOf(first)!.value), "the native form is outdated");
        assert.ok(!encode(written).includes('"hash"'));
      }),
    );
  });

  test(`${name}: any messages are written in its shape, and read again`, () => {
    const format = messageFormats.find((one) => one.name === name)!;
    fc.assert(
      fc.property(anyMessages, (messages) => {
        const written = toFormat(messages, name);
        for (const value of written)
          assert.ok(format.fits(value as { readonly [field: string]: Value }), encode(value));
        assert.deepEqual(toFormat(fromFormat(written, name), name), written);
      }),
    );
  });

  test(`${name}: a native form reaches no model and no other format`, () => {
    fc.assert(
      fc.property(fc.array(shapes[name], { minLength: 1, maxLength: 6 }), (values) => {
        const output = stored(fromFormat(values, name));
        const turn = { seq: 1, status: "done", input: [], output, requests: 0 } as const;
        const shown = requestMessages({ turns: [turn], question: [] }, { window: unbounded });
        assert.ok(shown.every((message) => message["native"] === undefined));
        for (const other of names) assert.ok(!encode(toFormat(output, other)).includes('"hash"'));
      }),
      { numRuns: 30 },
    );
  });
}

test("a message of several canonical ones is one again, and its change concerns them all", () => {
  const answer = {
    id: "m2",
    role: "assistant",
    parts: [
      { type: "text", text: "Let me look." },
      { type: "tool-weather", toolCallId: "c1", state: "output-available", input: {}, output: { celsius: 7 } },
      { type: "text", text: "7 degrees." },
    ],
  };
  const messages = fromFormat([answer], "ai-sdk-ui");
  assert.deepEqual(
    messages.map(({ role }) => role),
    ["assistant", "tool", "assistant"],
  );
  assert.deepEqual(toFormat(messages, "ai-sdk-ui"), [answer]);
  const [first, result, last] = messages as readonly [Message, Message, Message];
  const [rebuilt] = toFormat([first, result, { ...last, content: "8 degrees." }], "ai-sdk-ui") as unknown as [
    typeof answer,
  ];
  assert.equal(rebuilt.parts.at(-1)?.text, "8 degrees.");
  assert.equal(toFormat([first, result], "ai-sdk-ui").length, 1);
});

test("a message keeps its id in another place, also one that an export gave it", () => {
  const values = toFormat([{ role: "user", content: "Hi" }], "ai-sdk-ui");
  assert.deepEqual(values, [{ id: "message-1", role: "user", parts: [{ type: "text", text: "Hi" }] }]);
  const later = [{ role: "user", content: "Before" } as const, ...fromFormat(values, "ai-sdk-ui")];
  assert.deepEqual(toFormat(later, "ai-sdk-ui").slice(1), values);
});

test("a message that its canonical form says in full has no native form", () => {
  const values = [
    { role: "user", content: "Weather?" },
    { role: "assistant", content: [{ type: "tool_use", id: "c1", name: "look", input: { city: "Ghent" } }] },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "c1", content: "7" }] },
    { role: "assistant", content: "7 degrees." },
  ];
  const messages = fromFormat(values, "anthropic");
  assert.ok(messages.every((message) => message["native"] === undefined));
  assert.deepEqual(toFormat(messages, "anthropic"), values);
});

test("a call without a result gets a marked one where the format demands it, in place of no result that stands", () => {
  const call = { id: "c1", type: "function", function: { name: "look", arguments: "{}" } } as const;
  const asked: Message = { role: "assistant", content: null, tool_calls: [call] };
  const cut = toFormat([{ role: "user", content: "q" }, asked, { role: "user", content: "and?" }], "anthropic");
  assert.match(encode(cut), /"tool_result","tool_use_id":"c1","content":"The call was interrupted/);
  const result = {
    role: "user",
    content: [{ type: "tool_result", tool_use_id: "c1", content: "7", cache_control: {} }],
  };
  const [kept] = fromFormat([result], "anthropic");
  assert.equal(encode(toFormat([asked, kept!], "anthropic")).split("tool_result").length, 2);
});

test("a value that is no message of the format is refused with its place", () => {
  assert.throws(() => fromFormat([{ role: "user", content: "q" }, { from: "human" }], "anthropic"), {
    code: "message_invalid",
    message: /messages\[1\]/,
  });
  assert.throws(() => toFormat([], "word" as MessageFormatName), { code: "argument_invalid" });
});

test("a native form counts as bytes of its turn", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 2000 } });
  const session = await place.sessions.create({ id: "x" });
  const thinking = { type: "thinking", thinking: "t".repeat(2000), signature: "s" };
  const output = fromFormat([{ role: "assistant", content: [thinking, { type: "text", text: "Yes." }] }], "anthropic");
  await assert.rejects(session.append({ input: "Sure?", output }), { code: "turn_too_large" });
  assert.equal(session.info.turn, 0);
});

async function* bytesOf(content: string | Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield typeof content === "string" ? Buffer.from(content) : content;
}

test("an imported file is exported in its format as it was", async () => {
  const conversations: readonly (readonly [MessageFormatName, object])[] = names.map((name) => {
    const { list, instructions } = messageFormats.find((one) => one.name === name)!;
    // An import refuses a result without its call.
    const isWhole = (value: unknown): boolean => fromFormat([value], name).every(({ role }) => role !== "tool");
    const values = fc.sample(shapes[name], { numRuns: 40, seed: 16 }).filter(isWhole);
    return [name, { id: name, ...instructions?.("Be brief."), [list]: values, metadata: { title: "T" } }];
  });
  await using place = inMemory();
  const file = conversations.map(([, conversation]) => JSON.stringify(conversation)).join("\n");
  const report = await importSessions(place.sessions, importItems(bytesOf(file), { file: "f", bytesMax: 1e7 }));
  assert.deepEqual([report.restored, report.reasons], [names.length, []]);
  for (const [name, conversation] of conversations) {
    // OpenAI's chat format is exported as a request has it.
    if (name === "openai") continue;
    const line = renderings[name](JSON.stringify(await place.sessions.snapshot(name))).text;
    const { metadata, ...exported } = JSON.parse(line) as { metadata: { title: string } };
    assert.deepEqual({ ...exported, metadata: { title: metadata.title } }, conversation);
  }
});

test("messages that were stored before native forms had hashes read as they did", async () => {
  const earlier = readFileSync(new URL("../../test/migrations/earlier-native.ndjson", import.meta.url));
  await using place = inMemory();
  const report = await importSessions(place.sessions, importItems(bytesOf(earlier), { file: "f", bytesMax: 1e6 }));
  assert.deepEqual([report.restored, report.reasons], [2, []]);
  const [answered] = await Array.fromAsync((await place.sessions.get("answered")).turns());
  const shown = requestMessages({ turns: [answered!], question: [] }, { window: unbounded });
  const answer = shown.find(({ role }) => role === "assistant")!;
  assert.deepEqual(
    keptParts(answer, "anthropic")?.map(({ type }) => type),
    ["reasoning", "text"],
  );
  assert.equal(keptParts(answer, "openai"), undefined);
  const [imported] = await Array.fromAsync((await place.sessions.get("imported")).turns());
  assert.deepEqual(imported!.output[0]?.["native"], { parts: [{ type: "reasoning", text: "hm" }] });
  const [, ui] = toFormat([...imported!.input, ...imported!.output], "ai-sdk-ui") as unknown as {
    parts: { type: string }[];
  }[];
  assert.deepEqual(
    ui?.parts.map(({ type }) => type),
    ["step-start", "text", "tool-weather", "step-start", "text"],
  );
});

test("a call of a custom tool is one in items of OpenAI too, while it is as it was read", () => {
  const custom = { id: "k", type: "custom", custom: { name: "note", input: "free text" } };
  const read = fromFormat(
    [
      { role: "user", content: "Note it." },
      { role: "assistant", content: null, tool_calls: [custom] },
      { role: "tool", tool_call_id: "k", content: "ok" },
    ],
    "openai",
  );
  assert.deepEqual(toFormat(read, "openai-responses").slice(1), [
    { type: "custom_tool_call", call_id: "k", name: "note", input: "free text" },
    { type: "custom_tool_call_output", call_id: "k", output: "ok" },
  ]);
  const [question, , result] = read;
  const called = { id: "k", type: "function", function: { name: "note", arguments: "{}" } } as const;
  const changed = [question!, { ...read[1]!, tool_calls: [called] }, result!];
  assert.deepEqual(toFormat(changed, "openai-responses")[1], {
    type: "function_call",
    call_id: "k",
    name: "note",
    arguments: "{}",
  });
});

test("parallel calls of one tool without ids, and calls with one id, have ids of their own and their results", () => {
  const call = (shelf: number): Value => ({ functionCall: { name: "peek", args: { shelf } } });
  const result = (output: string): Value => ({ functionResponse: { name: "peek", response: { output } } });
  const turn = [
    { role: "model", parts: [call(1), call(2)] },
    { role: "user", parts: [result("rye"), result("wheat")] },
  ];
  const messages = fromFormat([{ role: "user", parts: [{ text: "Peek." }] }, ...turn, ...turn], "gemini");
  const ids = messages.flatMap(({ tool_calls: calls = [] }) => calls.map(({ id }) => id));
  assert.equal(new Set(ids).size, 4);
  assert.deepEqual(
    messages.flatMap(({ tool_call_id: id, content }) => (id === undefined ? [] : [[id, content]])),
    ids.map((id, index) => [id, index % 2 === 0 ? "rye" : "wheat"]),
  );
  const named = { functionCall: { id: "c", name: "peek", args: {} } };
  const answered = fromFormat(
    [
      { role: "model", parts: [named] },
      { role: "user", parts: [result("rye")] },
    ],
    "gemini",
  );
  assert.equal(answered[1]!.tool_call_id, "c");
  const twice = { id: "c", type: "function", function: { name: "peek", arguments: "{}" } };
  const results = ["rye", "wheat"].map((content) => ({ role: "tool", tool_call_id: "c", content }));
  const openai = fromFormat([{ role: "assistant", content: null, tool_calls: [twice, twice] }, ...results], "openai");
  const [first, second] = openai[0]!.tool_calls!.map(({ id }) => id);
  assert.notEqual(first, second);
  assert.deepEqual(
    openai.slice(1).map(({ tool_call_id: id }) => id),
    [first, second],
  );
  const blocks = toFormat(openai, "anthropic").flatMap(
    (one) => (one as { content: readonly { id?: string }[] }).content,
  );
  assert.equal(new Set(blocks.flatMap(({ id }) => id ?? [])).size, 2);
});

test("a call keeps its id where an earlier call with that id has its result", () => {
  const called = { id: "c", type: "function", function: { name: "peek", arguments: "{}" } };
  const step = [
    { role: "assistant", content: null, tool_calls: [called] },
    { role: "tool", tool_call_id: "c", content: "rye" },
  ];
  const other = {
    role: "assistant",
    content: null,
    tool_calls: [{ ...called, function: { name: "sow", arguments: "{}" } }],
  };
  const messages = [{ role: "user", content: "Peek." }, ...step, ...step, other, step[1]];
  assert.deepEqual(fromFormat(messages, "openai"), messages);
});

test("a call without an id that a result answers keeps an id that no call of the file has", () => {
  const called = (id: string | undefined): object => ({
    role: "assistant",
    content: null,
    tool_calls: [
      { ...(id === undefined ? {} : { id }), type: "function", function: { name: "peek", arguments: "{}" } },
    ],
  });
  const result = (content: string, id?: string): object => ({
    role: "tool",
    content,
    ...(id === undefined ? { name: "peek" } : { tool_call_id: id }),
  });
  const read = fromFormat([called("call_1"), result("rye", "call_1"), called(undefined), result("wheat")], "openai");
  assert.deepEqual(
    read.map(({ tool_calls: calls, tool_call_id: id }) => calls?.[0]?.id ?? id),
    ["call_1", "call_1", "call_2", "call_2"],
  );
});

test("calls of LangChain without ids get them by their order", () => {
  const read = fromFormat(
    [
      { type: "ai", data: { content: "", tool_calls: [{ name: "peek", args: {}, id: null }] } },
      { type: "tool", data: { content: "rye", name: "peek", tool_call_id: null } },
    ],
    "langchain",
  );
  assert.deepEqual([read[0]!.tool_calls![0]!.id, read[1]!.tool_call_id], ["call_1", "call_1"]);
});
