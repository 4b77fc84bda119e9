/** Messages in the shapes that programs write beside the documented ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { modelOfSteps, textEvent } from "../../test/support/model-steps.ts";
import { refusal } from "../../test/support/strict-endpoint.ts";

import { renderings } from "../files/renderings.ts";
import { jsonOf } from "../domain/turns/known-parts.ts";
import { toFormat } from "../formats/conversion.ts";
import type { Message } from "../index.ts";

const roleAndContent = ({ role, content }: Message): unknown[] => [role, content];

test("rows of a table of UIMessages, newest first, are sessions in order, with user, attachments and times", async () => {
  await using place = inMemory();
  const row = (id: string, chatId: string, role: string, text: string, more: object) => ({
    id,
    chatId,
    role,
    parts: [{ type: "text", text }],
    attachments: [],
    ...more,
  });
  const rows = [
    row("4", "b", "user", "My door code is 0000", { createdAt: "2025-01-01T11:00:00Z", userId: "bob" }),
    row("2", "a", "assistant", "Rye.", { createdAt: "2025-01-01T10:00:01Z" }),
    row("1", "a", "user", "Rye or wheat?", {
      createdAt: "2025-01-01T10:00:00Z",
      userId: "ada",
      attachments: [{ name: "a.png", contentType: "image/png", url: "https://bread.example/a.png" }],
    }),
  ];
  const report = await importText(place.sessions, JSON.stringify(rows));
  assert.deepEqual([report.restored, report.skipped], [2, 0]);
  assert.deepEqual((await messagesOf(place.sessions, "a")).map(roleAndContent), [
    [
      "user",
      [
        { type: "text", text: "Rye or wheat?" },
        { type: "image_url", image_url: { url: "https://bread.example/a.png" } },
      ],
    ],
    ["assistant", "Rye."],
  ]);
  const infos = await Promise.all(["a", "b"].map(async (id) => (await place.sessions.get(id)).info));
  assert.deepEqual(
    infos.map(({ user, createdAt }) => [user, createdAt.toISOString()]),
    [
      ["ada", "2025-01-01T10:00:00.000Z"],
      ["bob", "2025-01-01T11:00:00.000Z"],
    ],
  );
});

test("words of the user in an answer of the AI SDK are a question, and a result of null is one", async () => {
  await using place = inMemory();
  const answer = {
    role: "assistant",
    parts: [
      {
        type: "tool-plan",
        toolCallId: "c1",
        state: "output-denied",
        input: {},
        approval: { id: "a", approved: false, reason: "too many" },
      },
      { type: "steering-message", id: "s", parts: [{ type: "text", text: "Only four, please." }] },
      { type: "tool-plan", toolCallId: "c2", state: "output-available", input: {}, output: null },
      { type: "text", text: "Four." },
      { type: "file", mimeType: "image/png", data: "AA==" },
      { type: "source-url", sourceId: "1", url: "https://bread.example" },
    ],
  };
  const question = {
    role: "user",
    parts: [{ type: "text", text: "What is it?" }],
    experimental_attachments: [{ name: "a.png", contentType: "image/png", url: "data:image/png;base64,AA==" }],
  };
  const report = await importText(place.sessions, JSON.stringify({ id: "u", messages: [question, answer] }));
  assert.deepEqual([report.restored, report.turns, report.aside], [1, 2, 1]);
  const picture = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };
  assert.deepEqual((await messagesOf(place.sessions, "u")).map(roleAndContent), [
    ["user", [{ type: "text", text: "What is it?" }, picture]],
    ["assistant", null],
    ["tool", "The call was denied: too many"],
    ["user", "Only four, please."],
    ["assistant", null],
    ["tool", "null"],
    ["assistant", [{ type: "text", text: "Four." }, picture]],
  ]);
  assert.deepEqual(toFormat(await storedMessages(place.sessions, "u"), "ai-sdk-ui"), [question, answer]);
});

test("lines of the log of an agent are no messages of LangChain", async () => {
  await using place = inMemory();
  const line = { type: "system", subtype: "compact_boundary", content: "Conversation compacted", uuid: "b" };
  const report = await importText(place.sessions, JSON.stringify({ ...line, sessionId: "s" }));
  assert.equal(report.restored, 0);
});

test("LangChain's chat messages have any author, a call stands once, and a removal is counted", async () => {
  await using place = inMemory();
  const messages = [
    { type: "chat", data: { role: "user", content: "Hi" } },
    {
      type: "ai",
      data: {
        content: [
          { type: "text", text: "Let me look." },
          { type: "tool_use", id: "c", name: "peek", input: {} },
        ],
        tool_calls: [{ id: "c", name: "peek", args: {} }],
        usage_metadata: { input_tokens: 3, output_tokens: 4, total_tokens: 7 },
        response_metadata: { model_name: "m" },
      },
    },
    { type: "tool", data: { content: "no oven", tool_call_id: "c", status: "error" } },
    { type: "remove", data: { id: "x", content: "" } },
    { type: "chat", data: { role: "assistant", content: "No." } },
  ];
  const report = await importText(place.sessions, JSON.stringify({ id: "l", messages }));
  assert.deepEqual([report.restored, report.leftOut], [1, { "message removal": 1 }]);
  assert.deepEqual(await messagesOf(place.sessions, "l"), [
    { role: "user", content: "Hi" },
    {
      role: "assistant",
      content: "Let me look.",
      tool_calls: [{ id: "c", type: "function", function: { name: "peek", arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: "c", content: "no oven", is_error: true },
    { role: "assistant", content: "No." },
  ]);
  const [turn] = await Array.fromAsync((await place.sessions.get("l")).turns());
  assert.deepEqual([turn?.model, turn?.usage?.totalTokens], ["m", 7]);
});

const call = '{"name":"peek","arguments":{"shelf":2}}';
const authors: readonly [string, readonly object[]][] = [
  [
    "in any case",
    [
      { from: "Human", value: "Done?" },
      { from: "Function_Call", value: call },
      { from: "ipython", value: "yes" },
      { from: "Bot", value: "It is." },
    ],
  ],
  [
    "as roles",
    [
      { role: "user", content: "Done?" },
      { role: "tool_call", content: call },
      { role: "tool_response", content: "yes" },
      { role: "assistant", content: "It is." },
    ],
  ],
];

for (const [name, messages] of authors) {
  test(`the authors of ShareGPT are known ${name}`, async () => {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify({ id: "s", messages }));
    assert.deepEqual(report.reasons, []);
    const stored = await messagesOf(place.sessions, "s");
    assert.deepEqual(stored.map(roleAndContent), [
      ["user", "Done?"],
      ["assistant", null],
      ["tool", "yes"],
      ["assistant", "It is."],
    ]);
    const called = { id: "call_1", type: "function", function: { name: "peek", arguments: '{"shelf":2}' } };
    assert.deepEqual([stored[1]?.tool_calls, stored[2]?.tool_call_id], [[called], "call_1"]);
  });
}

test("a call of ShareGPT that cannot be read is a text, and counted", async () => {
  await using place = inMemory();
  const conversations = [
    { from: "human", value: "Done?" },
    { from: "function_call", value: "peek at shelf 2" },
  ];
  const report = await importText(place.sessions, JSON.stringify({ id: "s", conversations }));
  assert.deepEqual([report.restored, report.aside, report.leftOut], [1, 1, { "unreadable call": 1 }]);
  assert.deepEqual((await messagesOf(place.sessions, "s")).map(roleAndContent), [
    ["user", "Done?"],
    ["assistant", "peek at shelf 2"],
  ]);
});

test("an observation answers the text before it, where the call of ShareGPT cannot be read", async () => {
  await using place = inMemory();
  const conversations = [
    { from: "human", value: "Done?" },
    { from: "function_call", value: "peek at shelf 2" },
    { from: "observation", value: "yes" },
    { from: "observation", value: "warm" },
    { from: "gpt", value: "It is." },
  ];
  const report = await importText(place.sessions, JSON.stringify({ id: "s", conversations }));
  assert.deepEqual([report.restored, report.aside, report.reasons], [1, 1, []]);
  const stored = await messagesOf(place.sessions, "s");
  assert.deepEqual(stored.map(roleAndContent), [
    ["user", "Done?"],
    ["assistant", "peek at shelf 2"],
    ["tool", "yes"],
    ["tool", "warm"],
    ["assistant", "It is."],
  ]);
  const ids = ["call_1", "call_2"];
  assert.deepEqual(
    [stored[1]!.tool_calls?.map(({ id }) => id), stored.slice(2, 4).map(({ tool_call_id: id }) => id)],
    [ids, ids],
  );
  assert.deepEqual(toFormat(await storedMessages(place.sessions, "s"), "sharegpt"), conversations);
  const first = JSON.stringify({ id: "t", conversations: conversations.slice(2) });
  assert.equal((await importText(place.sessions, first)).skipped, 1);
});

test("a call of a custom tool keeps its input: it is exported as it was, and sent as an object", async () => {
  await using place = inMemory();
  const chat = [
    { role: "user", content: "Note it" },
    {
      role: "assistant",
      content: null,
      tool_calls: [
        { id: "k", type: "custom", custom: { name: "note", input: "x" } },
        { id: "j", type: "custom", custom: { name: "note", input: '{"a":1}' } },
        { id: "f", type: "function", function: { name: "look", arguments: "{}" } },
      ],
    },
    ...["k", "j", "f"].map((id) => ({ role: "tool", tool_call_id: id, content: "ok" })),
    { role: "assistant", content: "Noted." },
  ];
  const items = [
    { type: "message", role: "user", content: "Note it" },
    { type: "custom_tool_call", call_id: "k", name: "note", input: "x" },
    { type: "custom_tool_call_output", call_id: "k", output: "ok" },
  ];
  await importText(place.sessions, jsonOf({ id: "c", messages: chat }));
  await importText(place.sessions, jsonOf({ id: "i", items }));
  const exported = async (id: string): Promise<{ readonly messages: readonly object[] }> => {
    const { text } = renderings.openai(JSON.stringify(await place.sessions.snapshot(id)));
    return JSON.parse(text) as { messages: object[] };
  };
  const written = await exported("c");
  assert.deepEqual(written.messages, chat);
  assert.deepEqual((await exported("i")).messages.slice(1, 2), [
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "k", type: "custom", custom: { name: "note", input: "x" } }],
    },
  ]);
  await importText(place.sessions, jsonOf({ id: "again", messages: written.messages }));
  assert.deepEqual((await exported("again")).messages, chat);
  const { model, requests } = modelOfSteps([textEvent("Yes.")]);
  const answer = await (await place.sessions.get("c")).consult("And?", { model });
  assert.equal(await answer.text(), "Yes.");
  const sent = requests[0]?.messages ?? [];
  assert.equal(refusal(sent), undefined);
  assert.equal(sent[1]?.tool_calls?.[0]?.function.arguments, '{"arguments":"x"}');
});

test("a content named value or text is read, in messages and in parts", async () => {
  await using place = inMemory();
  const lines = [
    {
      id: "v",
      conversations: [
        { role: "user", value: "Hello" },
        { role: "assistant", text: "Hi" },
      ],
    },
    {
      id: "w",
      images: ["a.png"],
      label: 1,
      messages: [
        { role: "system", content: [{ type: "text", value: "Be brief." }] },
        { role: "user", content: [{ type: "text", value: "Hello" }] },
        { role: "assistant", content: [{ type: "text", value: "Hi" }] },
      ],
    },
  ];
  for (const line of lines) await importText(place.sessions, JSON.stringify(line));
  for (const id of ["v", "w"])
    assert.deepEqual(
      (await messagesOf(place.sessions, id)).map(({ content }) => content),
      ["Hello", "Hi"],
    );
  const session = await place.sessions.get("w");
  assert.deepEqual(
    [await session.instructions(), session.info.metadata],
    ["Be brief.", { images: ["a.png"], label: 1 }],
  );
});

test("blocks of Bedrock are words, pictures, calls and results", async () => {
  await using place = inMemory();
  const messages = [
    { role: "user", content: [{ text: "Done?" }, { image: { format: "png", source: { bytes: "AAAA" } } }] },
    {
      role: "assistant",
      content: [{ text: "Let me look." }, { toolUse: { toolUseId: "t1", name: "peek", input: {} } }],
    },
    {
      role: "user",
      content: [{ toolResult: { toolUseId: "t1", status: "error", content: [{ json: { a: 1 } }, { text: "no" }] } }],
    },
    { role: "assistant", content: [{ reasoningContent: { reasoningText: { text: "Hm" } } }, { text: "Yes." }] },
  ];
  const text = JSON.stringify({ id: "b", system: [{ text: "You bake." }], messages });
  const report = await importText(place.sessions, text);
  assert.deepEqual([report.restored, report.turns, report.aside], [1, 1, 1]);
  assert.equal(await (await place.sessions.get("b")).instructions(), "You bake.");
  assert.deepEqual(await messagesOf(place.sessions, "b"), [
    {
      role: "user",
      content: [
        { type: "text", text: "Done?" },
        { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
      ],
    },
    {
      role: "assistant",
      content: "Let me look.",
      tool_calls: [{ id: "t1", type: "function", function: { name: "peek", arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: "t1", content: '{"a":1}\n\nno', is_error: true },
    { role: "assistant", content: "Yes." },
  ]);
});

test("calls with their name beside the id, without arguments or with a list of them are calls", async () => {
  await using place = inMemory();
  const calls =
    '[{"id":"a","name":"peek","arguments":{"shelf":2}},{"id":"b","function":{"name":"peek","arguments":null}},' +
    '{"id":"c","function":{"name":"peek","arguments":[1]}}]';
  const results = ["a", "b", "c"].map((id) => `{"role":"tool","tool_call_id":"${id}","content":"no"}`).join();
  const text = `{"id":"f","messages":[{"role":"user","content":"Done?"},{"role":"assistant","content":null,"tool_calls":${calls}},${results}]}`;
  const report = await importText(place.sessions, text);
  assert.deepEqual([report.restored, report.reasons], [1, []]);
  const [, answer] = await messagesOf(place.sessions, "f");
  assert.deepEqual(answer!.tool_calls, [
    { id: "a", type: "function", function: { name: "peek", arguments: '{"shelf":2}' } },
    { id: "b", type: "function", function: { name: "peek", arguments: "{}" } },
    { id: "c", type: "function", function: { name: "peek", arguments: "[1]" } },
  ]);
});

test("pictures of Ollama are in its message, and names of pictures are left beside it", async () => {
  await using place = inMemory();
  const text = [
    { id: "o", messages: [{ role: "user", content: "What is it?", images: ["/9j/AAAA"] }] },
    { id: "n", messages: [{ role: "user", content: "What is it?", images: ["a.png"] }] },
  ]
    .map((one) => JSON.stringify(one))
    .join("\n");
  assert.equal((await importText(place.sessions, text)).restored, 2);
  assert.deepEqual(
    (await messagesOf(place.sessions, "o")).map(({ content }) => content),
    [
      [
        { type: "text", text: "What is it?" },
        { type: "image_url", image_url: { url: "data:image/jpeg;base64,/9j/AAAA" } },
      ],
    ],
  );
  assert.deepEqual((await messagesOf(place.sessions, "n")).map(roleAndContent), [["user", "What is it?"]]);
});

test("contents of Gemini may have no role, and an answer that was stopped no parts", async () => {
  await using place = inMemory();
  const contents = [{ parts: [{ text: "Done?" }] }, { role: "model", parts: [{ text: "No." }] }, { role: "model" }];
  const report = await importText(place.sessions, JSON.stringify({ id: "g", contents }));
  assert.deepEqual([report.restored, report.leftOut, report.reasons], [1, { "empty message": 1 }, []]);
  assert.deepEqual((await messagesOf(place.sessions, "g")).map(roleAndContent), [
    ["user", "Done?"],
    ["assistant", "No."],
  ]);
});

test("messages of several users are no session of one of them", async () => {
  const row = (user: string, content: string, role = "user"): object => ({ chatId: "a", userId: user, role, content });
  const bothIn = [row("ada", "My door code is 0000"), row("bob", "Hello")];
  for (const rows of [bothIn, bothIn.map((one) => ({ ...one, chatId: undefined }))]) {
    await using place = inMemory();
    const report = await importText(place.sessions, rows.map((one) => JSON.stringify(one)).join("\n"));
    assert.equal(report.restored, 0);
    assert.match(report.reasons[0]!.message, /^f:2 user is "bob", while messages beside it name "ada"; a session bel/);
  }
  await using place = inMemory();
  const answered = [row("ada", "Done?"), row("baker", "Yes.", "assistant")];
  await importText(place.sessions, JSON.stringify(answered));
  assert.equal((await place.sessions.get("a")).info.user, "ada");
});

test("messages are grouped by ids of MongoDB, and those of one moment are in their order, newest first too", async () => {
  await using place = inMemory();
  const at = "2025-01-01T10:00:00Z";
  const rows = [
    { conversation: { $oid: "65b" }, role: "user", content: "My door code is 0000", time: "2025-01-01T11:00:00Z" },
    { conversation: { $oid: "65a" }, role: "user", content: "And wheat?", time: "2025-01-01T10:00:01Z" },
    { conversation: { $oid: "65a" }, role: "assistant", content: "Rye.", time: at },
    { conversation: { $oid: "65a" }, role: "user", content: "Rye?", time: at },
    { conversation: { $oid: "65b" }, role: "user", content: "Hello", time: at },
  ];
  const report = await importText(place.sessions, JSON.stringify(rows));
  assert.equal(report.restored, 2);
  const words = (await messagesOf(place.sessions, "65a")).map(({ content }) => content);
  assert.deepEqual(words, ["Rye?", "Rye.", "And wheat?"]);
  await importText(
    place.sessions,
    JSON.stringify({ _id: { $oid: "65c" }, messages: [{ role: "user", content: "Hi" }] }),
  );
  assert.equal((await place.sessions.get("65c")).info.counters.turns, 1);
});

test("conversations in several lists of one object all come in", async () => {
  await using place = inMemory();
  const chat = (id: string): object => ({ id, messages: [{ role: "user", content: "Hi" }] });
  const text = JSON.stringify({ user: "ada", chats: [chat("a")], sessions: [chat("b")], threads: [] });
  assert.equal((await importText(place.sessions, text)).restored, 2);
});

test("calls and files beside the content of messages of the AI SDK's version 4 are read without parts", async () => {
  await using place = inMemory();
  const messages = [
    {
      id: "1",
      role: "user",
      content: "What is it?",
      experimental_attachments: [{ contentType: "image/png", url: "data:image/png;base64,AA==" }],
    },
    {
      id: "2",
      role: "assistant",
      content: "",
      toolInvocations: [{ state: "result", toolCallId: "c", toolName: "peek", args: {}, result: "rye" }],
    },
    { id: "3", role: "assistant", content: "Rye." },
    { id: "4", role: "user", content: "Thanks", experimental_attachments: [] },
  ];
  await importText(place.sessions, JSON.stringify({ id: "v", messages }));
  const stored = await messagesOf(place.sessions, "v");
  assert.deepEqual(
    stored.map(({ role, tool_calls: calls, tool_call_id: id }) => [role, calls?.[0]?.id ?? id]),
    [
      ["user", undefined],
      ["assistant", "c"],
      ["tool", "c"],
      ["assistant", undefined],
      ["user", undefined],
    ],
  );
  assert.deepEqual(stored[0]!.content, [
    { type: "text", text: "What is it?" },
    { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
  ]);
});

test("a message of no known format is named by its place", async () => {
  await using place = inMemory();
  const messages = [{ role: "user", content: "Hi" }, { speaker: "ada", words: "Ho" }, null];
  const text = [{ messages }, { messages: messages.slice(0, 1) }].map((one) => JSON.stringify(one)).join("\n");
  const report = await importText(place.sessions, text);
  assert.deepEqual([report.restored, report.skipped], [1, 1]);
  assert.match(report.reasons[0]!.message, /^f:1 messages\[1\] is an object; expected a message in a format that/);
});

test("rows of several conversations in one object are sessions of their own; in an object with an id they are refused", async () => {
  await using place = inMemory();
  const row = (chatId: string, role: string, content: string): object => ({ chatId, role, content });
  const messages = [row("a", "user", "Hi"), row("a", "assistant", "Ho"), row("b", "user", "My door code is 0000")];
  const text = [{ data: messages }, { id: "c", messages }, { messages: [...messages, { role: "user", content: "x" }] }];
  const report = await importText(place.sessions, text.map((one) => JSON.stringify(one)).join("\n"));
  assert.deepEqual([report.restored, report.turns, report.skipped], [2, 2, 2]);
  assert.match(report.reasons[0]!.message, /^f:2 messages\[2\] chatId is "b", while messages beside it have "a"/);
  assert.match(report.reasons[1]!.message, /^f:3 messages\[3\] names no conversation, while others/);
  assert.equal((await messagesOf(place.sessions, "a")).length, 2);
});

test("the words of a spoken answer are its content, and an answer that is named alone stands as its id", async () => {
  await using place = inMemory();
  const spoken = {
    role: "assistant",
    content: null,
    refusal: null,
    audio: { id: "audio_1", expires_at: 1, data: "AA==", transcript: "Rye." },
  };
  const messages = [
    { role: "user", content: "Rye or wheat?" },
    spoken,
    { role: "user", content: "Sure?" },
    { role: "assistant", audio: { id: "audio_2" } },
  ];
  const report = await importText(place.sessions, JSON.stringify({ id: "a", messages }));
  assert.deepEqual([report.restored, report.aside, report.reasons], [1, 2, []]);
  assert.deepEqual(
    (await messagesOf(place.sessions, "a")).map(({ content }) => content),
    ["Rye or wheat?", "Rye.", "Sure?", "[audio audio_2]"],
  );
  assert.deepEqual(toFormat(await storedMessages(place.sessions, "a"), "openai")[1], spoken);
});

test("data messages of the AI SDK's version 4 and references of the Responses are left out and counted", async () => {
  await using place = inMemory();
  const files = [
    {
      id: "d",
      messages: [
        { id: "1", role: "user", content: "Rye?" },
        { id: "2", role: "data", content: "", data: { step: 1 } },
        { id: "3", role: "assistant", content: "Yes.", parts: [{ type: "text", text: "Yes." }] },
      ],
    },
    {
      id: "r",
      items: [
        { type: "message", role: "user", content: [{ type: "input_text", text: "Rye?" }] },
        { type: "item_reference", id: "msg_1" },
        { type: "message", role: "assistant", content: [{ type: "output_text", text: "Yes." }] },
      ],
    },
  ];
  const reports = [];
  for (const file of files) reports.push((await importText(place.sessions, JSON.stringify(file))).leftOut);
  assert.deepEqual(reports, [{ "data message": 1 }, { "item reference": 1 }]);
  for (const id of ["d", "r"])
    assert.deepEqual((await messagesOf(place.sessions, id)).map(roleAndContent), [
      ["user", "Rye?"],
      ["assistant", "Yes."],
    ]);
});

for (const [format, messages] of Object.entries({
  openai: [
    { role: "System", content: "You bake." },
    { role: "User", content: "Done?" },
    {
      role: "ASSISTANT",
      content: null,
      tool_calls: [{ id: "c", type: "function", function: { name: "peek", arguments: "{}" } }],
    },
    { role: "Tool", tool_call_id: "c", content: "done" },
  ],
  anthropic: [
    { role: "SYSTEM", content: "You bake." },
    { role: "USER", content: "Done?" },
    { role: "ASSISTANT", content: [{ type: "tool_use", id: "c", name: "peek", input: {} }] },
    { role: "USER", content: [{ type: "tool_result", tool_use_id: "c", content: "done" }] },
  ],
  gemini: [
    { role: "USER", parts: [{ text: "Done?" }] },
    { role: "MODEL", parts: [{ functionCall: { id: "c", name: "peek", args: {} } }] },
    { role: "User", parts: [{ functionResponse: { id: "c", name: "peek", response: { output: "done" } } }] },
  ],
}))
  test(`roles of ${format} are known in any case`, async () => {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify({ id: "c", messages }));
    assert.deepEqual([report.restored, report.turns, report.reasons], [1, 1, []]);
    assert.deepEqual((await storedMessages(place.sessions, "c")).map(roleAndContent).at(0), ["user", "Done?"]);
    const instructions = await (await place.sessions.get("c")).instructions();
    assert.equal(instructions, format === "gemini" ? undefined : "You bake.");
  });

test("an item of an unknown type refuses its conversation, with its place", async () => {
  await using place = inMemory();
  const answered = { type: "message", role: "assistant", content: [{ type: "output_text", text: "Yes." }] };
  for (const item of [
    { type: "zork_call", id: "q" },
    { type: "zork_call_output", call_id: "q", output: "done" },
  ]) {
    const report = await importText(
      place.sessions,
      JSON.stringify([{ role: "user", content: "Done?" }, item, answered]),
    );
    assert.deepEqual([report.restored, report.skipped], [0, 1]);
    assert.match(report.reasons[0]?.message ?? "", /messages\[1\].type is "zork_call/);
  }
});

test("thoughts and sources in fields of a message count as kept beside its words", async () => {
  const invoked = { state: "result", toolCallId: "c", toolName: "p", args: {}, result: 1 };
  const answers: readonly [aside: number, answer: object][] = [
    [1, { content: "A", thinking: "hm" }],
    [1, { content: "A", reasoning_content: "hm", annotations: [] }],
    [2, { content: "A", reasoning: "hm", annotations: [1] }],
    [2, { content: "A", reasoning: "hm", annotations: [1], toolInvocations: [invoked] }],
    [2, { content: "A", reasoning: "hm", annotations: [1], parts: [{ type: "reasoning", reasoning: "hm" }] }],
  ];
  for (const [aside, answer] of answers) {
    await using place = inMemory();
    const messages = [
      { role: "user", content: "What is this?", images: ["iVBORw0KGgo="] },
      { role: "assistant", ...answer },
    ];
    const report = await importText(place.sessions, JSON.stringify({ id: "k", messages }));
    assert.deepEqual([report.restored, report.aside], [1, aside]);
    const [asked] = await messagesOf(place.sessions, "k");
    assert.deepEqual((asked!.content as readonly object[])[1], {
      type: "image_url",
      image_url: { url: "data:image/png;base64,iVBORw0KGgo=" },
    });
  }
});

test("a list of an API that has more pages says that its rest is missing", async () => {
  const item = { type: "message", role: "user", content: [{ type: "input_text", text: "Q" }] };
  const entry = {
    object: "thread.message",
    thread_id: "t",
    role: "user",
    content: [{ type: "text", text: { value: "Q" } }],
  };
  for (const list of [
    { object: "list", data: [item], has_more: true },
    { id: "c", object: "conversation", items: { object: "list", data: [item], has_more: true } },
    { object: "list", data: [entry], has_more: true },
    { object: "thread", id: "t", messages: { object: "list", data: [entry], has_more: true } },
    { data: [{ role: "user", content: "Q" }], has_more: true },
  ]) {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify(list));
    assert.deepEqual([report.restored, report.leftOut], [1, { "further page": 1 }], JSON.stringify(list));
  }
});
