import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { importText, messagesOf, storedMessages } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import type { Message } from "../index.ts";
import { nativeOf } from "../domain/request/native-form.ts";
import { renderings } from "../files/renderings.ts";

const call = (id: string, name: string, given: object): object => ({
  id,
  type: "function",
  function: { name, arguments: JSON.stringify(given) },
});

const conversation = [
  { role: "user", content: "Weather in Ghent?" },
  { role: "assistant", content: "Let me look.", tool_calls: [call("c1", "weather", { city: "Ghent" })] },
  { role: "tool", tool_call_id: "c1", content: '{"celsius":7}' },
  { role: "assistant", content: "7 degrees." },
  { role: "user", content: "Thanks" },
];

const forms: readonly [string, string, readonly object[]][] = [
  ["OpenAI's chat format, a line each", `${JSON.stringify({ id: "x", messages: conversation })}\r\n\n`, conversation],
  ["OpenAI's messages alone, in an array", JSON.stringify(conversation), conversation],
  [
    "OpenAI's chat format, laid out for people",
    JSON.stringify({ id: "x", messages: conversation }, null, 2),
    conversation,
  ],
  [
    "ShareGPT",
    JSON.stringify(
      [
        {
          id: "x",
          conversations: [
            { from: "human", value: "a ] , [" },
            { from: "gpt", value: 'b "}' },
          ],
        },
      ],
      null,
      1,
    ),
    [
      { role: "user", content: "a ] , [" },
      { role: "assistant", content: 'b "}' },
    ],
  ],
  [
    "LangChain's messages_to_dict",
    JSON.stringify([
      { type: "human", data: { content: "Weather in Ghent?", additional_kwargs: {} } },
      {
        type: "ai",
        data: { content: "Let me look.", tool_calls: [{ name: "weather", args: { city: "Ghent" }, id: "c1" }] },
      },
      { type: "tool", data: { content: '{"celsius":7}', tool_call_id: "c1" } },
      { type: "ai", data: { content: "7 degrees." } },
      { type: "human", data: { content: "Thanks" } },
    ]),
    conversation,
  ],
  [
    "LangChain's messages with calls as OpenAI sent them",
    JSON.stringify([
      { type: "human", data: { content: "Weather in Ghent?" } },
      {
        type: "ai",
        data: {
          content: "Let me look.",
          additional_kwargs: { tool_calls: [call("c1", "weather", { city: "Ghent" })] },
        },
      },
    ]),
    conversation.slice(0, 2),
  ],
  [
    "LangChain's dumps",
    JSON.stringify({
      id: "x",
      messages: [
        {
          lc: 1,
          type: "constructor",
          id: ["langchain", "schema", "messages", "HumanMessage"],
          kwargs: { content: "hi" },
        },
        { lc: 1, type: "constructor", id: ["langchain_core", "messages", "AIMessageChunk"], kwargs: { content: "ho" } },
      ],
    }),
    [
      { role: "user", content: "hi" },
      { role: "assistant", content: "ho" },
    ],
  ],
  [
    "UIMessages of the AI SDK",
    JSON.stringify({
      id: "x",
      messages: [
        { id: "1", role: "user", parts: [{ type: "text", text: "Weather in Ghent?" }] },
        {
          id: "2",
          role: "assistant",
          parts: [
            { type: "step-start" },
            { type: "reasoning", text: "hm" },
            { type: "text", text: "Let me look." },
            {
              type: "tool-weather",
              toolCallId: "c1",
              state: "output-available",
              input: { city: "Ghent" },
              output: { celsius: 7 },
            },
            { type: "step-start" },
            { type: "text", text: "7 degrees." },
          ],
        },
        { id: "3", role: "user", parts: [{ type: "text", text: "Thanks" }] },
      ],
    }),
    conversation,
  ],
];

for (const [name, text, expected] of forms) {
  test(`${name} is imported, and a second import changes nothing`, async () => {
    for (const length of [1, 7, 100_000]) {
      await using place = inMemory();
      const report = await importText(place.sessions, text, { length });
      assert.deepEqual([report.restored, report.reasons], [1, []]);
      const [session] = (await place.sessions.list()).items;
      assert.deepEqual(await messagesOf(place.sessions, session?.id ?? ""), expected);
      await place.clock.advance(1000);
      assert.equal((await importText(place.sessions, text, { length })).present, 1);
    }
  });
}

test("a message of two hundred thousand parts is read in one pass", async () => {
  await using place = inMemory();
  const parts = Array.from({ length: 200_000 }, () => ({ type: "text", text: "a" }));
  const messages = [
    { role: "user", parts: [{ type: "text", text: "Go on" }] },
    { role: "assistant", parts },
  ];
  await importText(place.sessions, JSON.stringify({ id: "x", messages }), { length: 65_536, bytesMax: 1e8 });
  const [, answer] = await messagesOf(place.sessions, "x");
  assert.equal(answer?.content, "a".repeat(200_000));
});

test("a conversation with more tool calls in a turn than the limit is skipped, with the reason", async () => {
  await using place = inMemory({ limits: { toolCallsMax: 10 } });
  const conversationOf = (id: string, calls: number): string => {
    const parts = Array.from({ length: calls }, () => ({ type: "tool-f", toolCallId: "c", input: {}, output: "1" }));
    const messages = [
      { role: "user", parts: [{ type: "text", text: "q" }] },
      { role: "assistant", parts },
    ];
    return JSON.stringify({ id, messages });
  };
  const report = await importText(place.sessions, `${conversationOf("x", 11)}\n${conversationOf("y", 10)}`);
  assert.deepEqual([report.restored, report.skipped, report.reasons[0]?.code], [1, 1, "turn_parts_exceeded"]);
});

test("an answer with more runs of backticks than a call takes arguments is written as Markdown", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "x" });
  const content = "` ".repeat(300_000);
  await session.append({ input: "q", output: [{ role: "tool", tool_call_id: "a", content }] });
  const markdown = renderings.markdown(JSON.stringify(await place.sessions.snapshot("x"))).text;
  assert.ok(markdown.includes(`\n\`\`\`\n${content}\n\`\`\`\n`));
});

test("an image in a UIMessage becomes one of OpenAI's", async () => {
  await using place = inMemory();
  const parts = [
    { type: "text", text: "What is it?" },
    { type: "file", mediaType: "image/png", url: "data:image/png;base64,AA==" },
  ];
  await importText(place.sessions, JSON.stringify({ id: "x", messages: [{ role: "user", parts }] }));
  const [message] = await messagesOf(place.sessions, "x");
  assert.deepEqual(message?.content, [
    { type: "text", text: "What is it?" },
    { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
  ]);
});

test("an export to OpenAI's format closes tool calls without a result", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "x" });
  const call = { id: "c1", function: { name: "weather", arguments: "{}" } };
  await session.append({ input: "q", output: [{ role: "assistant", tool_calls: [call] }] });
  await session.append({ input: "and?", output: "a" });
  const line = renderings.openai(JSON.stringify(await place.sessions.snapshot("x"))).text;
  const { messages } = JSON.parse(line) as { messages: readonly Message[] };
  assert.deepEqual(
    messages.map(({ role, tool_call_id: id }) => id ?? role),
    ["user", "assistant", "c1", "user", "assistant"],
  );
});

test("text before the first exchange becomes the instructions, and survives an export to OpenAI's format", async () => {
  await using place = inMemory();
  const messages = [{ role: "system", content: "Be brief." }, ...conversation];
  const line = JSON.stringify({ id: "x", messages, metadata: { a: 1 } });
  await importText(place.sessions, line);
  const session = await place.sessions.get("x");
  assert.equal(await session.instructions(), "Be brief.");
  const exported = renderings.openai(JSON.stringify(await place.sessions.snapshot("x"))).text;
  assert.deepEqual(JSON.parse(exported), {
    id: "x",
    messages,
    metadata: {
      a: 1,
      agent: "assistant",
      created_at: session.info.createdAt.toISOString(),
      updated_at: session.info.lastActivityAt.toISOString(),
      usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
    },
  });
  const markdown = renderings.markdown(JSON.stringify(await place.sessions.snapshot("x"))).text;
  assert.match(markdown, /^# x\n\nagent assistant · active · .* 2 turns.*\n\n> Be brief\.\n\n## Turn 1 · /);
  assert.match(markdown, /<summary>calls weather \(c1\)<\/summary>\n\n```json\n\{"city":"Ghent"\}\n```/);
});

test("an invalid conversation does not block the others, and is reported with its place", async () => {
  await using place = inMemory();
  const good = (id: string): string => JSON.stringify({ id, messages: conversation });
  const lines = [
    good("a"),
    '{"id":"b","messages":[{"role":"user"',
    '{"id":"c"}',
    '{"id":"d","messages":[{"role":"boss","content":"x"}]}',
    '{"id":"e","conversations":[{"from":"martian","value":"x"}]}',
    `{"id":"f","messages":[{"role":"user","content":"${"x".repeat(3000)}"}]}`,
    good("a").replace("Thanks", "No thanks"),
    `{"id":"g","messages":[{"role":"user","content":${"[".repeat(10_000)}${"]".repeat(10_000)}}]}`.slice(0, 1500),
    '{"format":"perdure.session/9","session":{}}',
    '{"format":"perdure.session/1","session":{}}',
    good("\u0007"),
    "17",
    good("z"),
  ];
  const report = await importText(place.sessions, lines.join("\n"), { bytesMax: 2500 });
  assert.equal(report.restored, 2);
  assert.equal(report.skipped, lines.length - 2);
  assert.deepEqual(
    report.reasons.map(({ source, code }) => `${source.replace(" messages", "")} ${code}`),
    [
      "f:2 snapshot_invalid",
      "f:3 message_invalid",
      "f:4 message_invalid",
      "f:5 message_invalid",
      "f:6 snapshot_too_large",
      "f:7 session_exists",
      "f:8 snapshot_invalid",
      "f:9 snapshot_newer",
      "f:10 snapshot_invalid",
      "f:11 id_invalid",
      "f:12 message_invalid",
    ],
  );
  assert.match(report.reasons[0]?.message ?? "", /: column 37/);
  assert.deepEqual((await place.sessions.list()).items.map(({ id }) => id).toSorted(), ["a", "z"]);
});

test("a gzip file is read alike; a truncated one is imported as far as it goes, and reported", async () => {
  const lines = Array.from({ length: 2000 }, (_, index) =>
    JSON.stringify({ id: `s${index}`, messages: [{ role: "user", content: `${Math.random()}` }] }),
  );
  const packed = Buffer.concat([
    gzipSync(`${lines.slice(0, 1500).join("\n")}\n`),
    gzipSync(lines.slice(1500).join("\n")),
  ]);
  await using whole = inMemory();
  assert.equal((await importText(whole.sessions, packed, { length: 10_000 })).restored, 2000);
  await using place = inMemory();
  const half = packed.subarray(0, Math.floor(packed.length * 0.9));
  await assert.rejects(importText(place.sessions, half, { length: 1000 }), { code: "snapshot_invalid" });
  assert.equal((await importText(place.sessions, packed, { length: 10_000 })).skipped, 0);
  assert.equal(await place.sessions.count(), 2000);
});

test("titles and dates are kept, and parts of unknown kinds stand beside the content, counted", async () => {
  await using place = inMemory({ ttl: "never" });
  const conversation = {
    id: "c",
    title: "Football",
    createdAt: "2025-06-01T10:00:00Z",
    messages: [
      {
        role: "user",
        parts: [
          { type: "text", text: "Who won?" },
          { type: "data-place", data: { city: "Ghent" } },
        ],
      },
      {
        role: "assistant",
        createdAt: "2025-06-01T10:00:07Z",
        parts: [
          { type: "reasoning", text: "It was Belgium." },
          { type: "text", text: "Belgium." },
          { type: "source-url", sourceId: "1", url: "https://e.example" },
        ],
      },
    ],
  };
  const report = await importText(place.sessions, JSON.stringify(conversation));
  assert.deepEqual([report.restored, report.aside], [1, 3]);
  const { info } = await place.sessions.get("c");
  assert.deepEqual(
    [info.metadata, info.createdAt.toISOString(), info.lastActivityAt.toISOString()],
    [{ title: "Football" }, "2025-06-01T10:00:00.000Z", "2025-06-01T10:00:07.000Z"],
  );
  const [question, answer] = await storedMessages(place.sessions, "c");
  assert.deepEqual([question?.content, answer?.content], ["Who won?", "Belgium."]);
  assert.deepEqual(
    [question, answer].map((message) => nativeOf(message!)?.value),
    conversation.messages,
  );
});

const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } };
const png = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
const pdf = { type: "document", source: { type: "base64", media_type: "application/pdf", data: "AAAA" } };
const asked = { role: "user", content: "q" };
const called = { role: "assistant", content: null, tool_calls: [call("c1", "look", {})] };
const withMedia = {
  role: "tool",
  tool_call_id: "c1",
  content: [
    { type: "text", text: "a page" },
    png,
    { type: "file", file: { file_data: "data:application/pdf;base64,AAAA" } },
  ],
};

const kinds: readonly [string, readonly object[], readonly object[]][] = [
  [
    "Anthropic's calls and results, which stay in one turn",
    [
      { role: "user", content: [{ type: "text", text: "Weather?" }] },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "Look it up.", signature: "s" },
          { type: "text", text: "Let me look." },
          { type: "tool_use", id: "t1", name: "weather", input: { city: "Ghent" } },
        ],
      },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "7" }] }] },
      { role: "assistant", content: [{ type: "text", text: "7 degrees." }] },
    ],
    [
      { role: "user", content: [{ type: "text", text: "Weather?" }] },
      {
        role: "assistant",
        content: "Let me look.",
        tool_calls: [call("t1", "weather", { city: "Ghent" })],
      },
      { role: "tool", tool_call_id: "t1", content: "7" },
      { role: "assistant", content: [{ type: "text", text: "7 degrees." }] },
    ],
  ],
  [
    "the parts of OpenAI's Responses",
    [
      {
        role: "user",
        content: [
          { type: "input_text", text: "What is it?" },
          { type: "input_image", image_url: "https://e.example/p.png" },
        ],
      },
      { role: "assistant", content: [{ type: "output_text", text: "A cat.", annotations: [] }] },
    ],
    [
      {
        role: "user",
        content: [
          { type: "text", text: "What is it?" },
          { type: "image_url", image_url: { url: "https://e.example/p.png" } },
        ],
      },
      { role: "assistant", content: "A cat." },
    ],
  ],
  [
    "LangChain's thinking blocks",
    [
      { type: "human", content: "Hi" },
      {
        type: "ai",
        content: [
          { type: "thinking", thinking: "Greet." },
          { type: "text", text: "Hello." },
        ],
      },
    ],
    [
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Hello." },
    ],
  ],
];

const media: typeof kinds = [
  [
    "Anthropic's results with pictures and documents",
    [
      asked,
      { role: "assistant", content: [{ type: "tool_use", id: "c1", name: "look", input: {} }] },
      {
        role: "user",
        content: [{ type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "a page" }, image, pdf] }],
      },
    ],
    [asked, called, withMedia],
  ],
  [
    "the AI SDK's messages for models, with pictures and files in results",
    [
      asked,
      { role: "assistant", content: [{ type: "tool-call", toolCallId: "c1", toolName: "look", input: {} }] },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "c1",
            toolName: "look",
            output: {
              type: "content",
              value: [
                { type: "text", text: "a page" },
                { type: "media", mediaType: "image/png", data: "AAAA" },
                { type: "file-data", mediaType: "application/pdf", data: "AAAA" },
              ],
            },
          },
        ],
      },
    ],
    [asked, called, withMedia],
  ],
  [
    "LangChain's results with pictures and files",
    [
      { type: "human", content: "q" },
      { type: "ai", data: { content: "", tool_calls: [{ name: "look", args: {}, id: "c1" }] } },
      {
        type: "tool",
        data: {
          tool_call_id: "c1",
          content: [
            { type: "text", text: "a page" },
            { type: "image", base64: "AAAA", mime_type: "image/png" },
            { type: "file", base64: "AAAA", mime_type: "application/pdf" },
          ],
        },
      },
    ],
    [asked, called, withMedia],
  ],
  [
    "UIMessages with pictures of a tool of MCP",
    [
      { role: "user", parts: [{ type: "text", text: "q" }] },
      {
        role: "assistant",
        parts: [
          {
            type: "dynamic-tool",
            toolName: "look",
            toolCallId: "c1",
            state: "output-available",
            input: {},
            output: {
              content: [
                { type: "text", text: "a page" },
                { type: "image", mimeType: "image/png", data: "AAAA" },
              ],
            },
          },
        ],
      },
    ],
    [asked, called, { ...withMedia, content: withMedia.content.slice(0, 2) }],
  ],
  [
    "Gemini's contents",
    [
      { role: "user", parts: [{ text: "q" }] },
      { role: "model", parts: [{ functionCall: { name: "look", args: {} } }] },
      {
        role: "user",
        parts: [
          {
            functionResponse: {
              name: "look",
              response: { a: 1 },
              parts: [{ inlineData: { mimeType: "image/png", data: "AAAA" } }],
            },
          },
        ],
      },
      { role: "model", parts: [{ text: "hm", thought: true }, { text: "A cat." }] },
    ],
    [
      asked,
      { ...called, tool_calls: [call("look", "look", {})] },
      { role: "tool", tool_call_id: "look", content: [{ type: "text", text: '{"a":1}' }, png] },
      { role: "assistant", content: "A cat." },
    ],
  ],
  [
    "the items of OpenAI's Responses",
    [
      asked,
      { type: "reasoning", summary: [] },
      { type: "function_call", call_id: "c1", name: "look", arguments: "{}" },
      {
        type: "function_call_output",
        call_id: "c1",
        output: [
          { type: "input_text", text: "a page" },
          { type: "input_image", image_url: "data:image/png;base64,AAAA" },
          { type: "input_file", file_data: "data:application/pdf;base64,AAAA" },
        ],
      },
    ],
    [asked, { role: "assistant", content: "" }, called, withMedia],
  ],
];

for (const [what, messages, expected] of [...kinds, ...media]) {
  test(`an import knows ${what}`, async () => {
    await using place = inMemory();
    const { skipped, reasons } = await importText(place.sessions, JSON.stringify({ id: "x", messages }));
    assert.equal(skipped, 0, JSON.stringify(reasons));
    assert.deepEqual(await messagesOf(place.sessions, "x"), expected);
    assert.equal((await place.sessions.get("x")).info.turn, 1);
  });
}

test("the time to live of an imported conversation begins with the import", async () => {
  await using place = inMemory({ ttl: "24h" });
  const messages = [{ role: "user", content: "Hi", timestamp: 1_600_000_000 }];
  await importText(place.sessions, JSON.stringify({ id: "x", messages }));
  const { info } = await place.sessions.get("x");
  assert.deepEqual([info.state, info.createdAt.getTime()], ["active", 1_600_000_000_000]);
});

test("arguments of a call that are an object are written as JSON", async () => {
  await using place = inMemory();
  const called = { id: "c1", type: "function", function: { name: "weather", arguments: { city: "Ghent" } } };
  const messages = [
    { role: "user", content: "Weather?" },
    { role: "assistant", content: null, tool_calls: [called] },
    { role: "tool", tool_call_id: "c1", content: "7" },
  ];
  assert.equal((await importText(place.sessions, JSON.stringify({ id: "x", messages }))).skipped, 0);
  const [, answer] = await messagesOf(place.sessions, "x");
  assert.deepEqual(answer?.tool_calls, [call("c1", "weather", { city: "Ghent" })]);
});

test("an export in OpenAI's format has no field of Perdure", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "x" });
  const output = { role: "assistant", content: "fine", native: { parts: [] } } as const;
  await session.append({ input: "hi", output });
  const line = renderings.openai(JSON.stringify(await place.sessions.snapshot("x"))).text;
  assert.ok(!line.includes("native"), line);
});

test("an export in OpenAI's format shows the pictures of imported results", async () => {
  await using place = inMemory();
  await importText(place.sessions, JSON.stringify({ id: "x", messages: media[0]![1] }));
  const line = renderings.openai(JSON.stringify(await place.sessions.snapshot("x"))).text;
  const { messages } = JSON.parse(line) as { messages: readonly Message[] };
  assert.deepEqual(
    messages.map(({ role }) => role),
    ["user", "assistant", "tool", "assistant", "user"],
  );
  assert.deepEqual(messages.at(-1)?.content, [
    { type: "text", text: "[Result of the tool call c1]" },
    ...withMedia.content.slice(1),
  ]);
});

test("values that JSON lacks are texts in exports for other programs", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "x" });
  const image = new Uint8Array([0, 0, 0]);
  await session.append({
    input: { role: "user", content: [{ type: "image", image }] },
    output: { role: "tool", tool_call_id: "c1", content: { receipt: 4711n } },
  });
  const text = JSON.stringify(await place.sessions.snapshot("x"));
  assert.ok(renderings.openai(text).text.includes("data:image/png;base64,AAAA"), renderings.openai(text).text);
  assert.ok(renderings.openai(text).text.includes(String.raw`{\"receipt\":\"4711\"}`), renderings.openai(text).text);
  assert.ok(renderings.markdown(text).text.includes('"receipt": "4711"'));
});

test("instructions in parts, and beside the messages, are text", async () => {
  await using place = inMemory();
  const conversations = [
    { id: "a", messages: [{ role: "system", content: [{ type: "text", text: "Be brief." }] }, asked] },
    { id: "b", system: [{ type: "text", text: "Be brief." }], messages: [asked] },
    {
      id: "c",
      systemInstruction: { parts: [{ text: "Be brief." }] },
      contents: [{ role: "user", parts: [{ text: "q" }] }],
    },
  ];
  await importText(place.sessions, conversations.map((one) => JSON.stringify(one)).join("\n"));
  for (const { id } of conversations) assert.equal(await (await place.sessions.get(id)).instructions(), "Be brief.");
});

test("sessions of the Agents SDK are imported", async () => {
  await using place = inMemory();
  const items = [
    asked,
    { type: "web_search_call", id: "w", status: "completed" },
    { type: "function_call", callId: "c1", name: "look", arguments: "{}", status: "completed" },
    { type: "function_call_result", callId: "c1", name: "look", output: { type: "text", text: "a page" } },
    {
      type: "message",
      id: "m",
      status: "completed",
      role: "assistant",
      content: [{ type: "output_text", text: "ok" }],
    },
  ];
  const { skipped, reasons } = await importText(place.sessions, JSON.stringify({ id: "x", messages: items }));
  assert.equal(skipped, 0, JSON.stringify(reasons));
  assert.deepEqual(await messagesOf(place.sessions, "x"), [
    asked,
    { role: "assistant", content: "" },
    called,
    { role: "tool", tool_call_id: "c1", content: "a page" },
    { role: "assistant", content: "ok" },
  ]);
});

test("conversations one level deeper in an object come in, and the fields beside them are counted", async () => {
  await using place = inMemory();
  const chat = (id: string): object => ({ id, messages: [{ role: "user", content: "Hi" }] });
  const files = [
    { success: true, data: { conversations: [chat("a"), chat("b")], total: 2 } },
    { conversation: chat("c"), next: null },
    { user: { name: "ada", chats: [chat("d")] } },
  ];
  const reports = [];
  for (const file of files) reports.push(await importText(place.sessions, JSON.stringify(file)));
  assert.deepEqual(
    reports.map(({ restored, leftOut, reasons }) => [restored, leftOut, reasons.length]),
    [
      [2, { "field of the file": 2 }, 0],
      [1, {}, 0],
      [1, { "field of the file": 1 }, 0],
    ],
  );
  const [first, second] = ["Rye?", "My door code is 0000"].map((content) =>
    JSON.stringify({ chat: { history: [{ role: "user", content }] } }),
  );
  assert.equal((await importText(place.sessions, `${first}\n${second}`)).restored, 2);
});

test("the keys of a map of conversations are their ids, where they have none of their own", async () => {
  await using place = inMemory();
  const messages = [{ role: "user", content: "Hi" }];
  const map = { alpha: { messages }, beta: { messages }, gamma: { id: "own", messages } };
  const report = await importText(place.sessions, JSON.stringify(map));
  assert.deepEqual([report.restored, report.leftOut], [3, {}]);
  for (const id of ["alpha", "beta", "own"]) assert.deepEqual(await messagesOf(place.sessions, id), messages);
  const response = { input: { messages }, output: { messages: [{ role: "user", content: "Ho" }] } };
  await importText(place.sessions, JSON.stringify(response));
  const { items } = await place.sessions.list({});
  assert.deepEqual(
    items.flatMap(({ id }) => (id === "input" || id === "output" ? [id] : [])),
    [],
  );
});
