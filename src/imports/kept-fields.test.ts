import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, storedMessages } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";

const part = (text: string): object => ({ content_type: "text", parts: [text] });

/** Each text that begins with a plus sign is in a field beside the words. */
const documents: readonly [
  format: string,
  document: object,
  counts: { readonly aside: number; readonly leftOut?: object },
][] = [
  [
    "chatgpt",
    {
      conversation_id: "k",
      conversation_template_id: "+template",
      default_model_slug: "+slug",
      mapping: {
        a: { parent: null, message: { author: { role: "user", name: "+name" }, content: part("Q") } },
        b: {
          parent: "a",
          message: {
            author: { role: "assistant" },
            content: part("A"),
            metadata: { content_references: [{ url: "+ref" }], citations: ["+citation"] },
          },
        },
        c: {
          parent: "b",
          message: {
            author: { role: "assistant" },
            content: { content_type: "thoughts", thoughts: [{ summary: "+thought" }] },
          },
        },
      },
    },
    { aside: 3 },
  ],
  [
    "adk",
    {
      id: "k",
      events: [
        { invocationId: "i", author: "user", content: { role: "user", parts: [{ text: "Q" }] } },
        {
          invocationId: "i",
          author: "baker",
          actions: { stateDelta: { x: "+delta" }, artifactDelta: { "+artifact": 1 }, requestedAuthConfigs: {} },
          content: { role: "model", parts: [{ text: "+thought", thought: true }, { text: "A" }] },
          groundingMetadata: { x: "+grounding" },
          errorMessage: "+error",
        },
      ],
    },
    { aside: 2 },
  ],
  [
    "lobechat",
    {
      exportType: "all",
      state: {
        sessions: [
          { id: "s", meta: { title: "B", description: "+description" }, config: { params: { seed: "+config" } } },
        ],
        topics: [{ id: "k", sessionId: "s" }],
        messages: [
          { id: "1", role: "user", content: "Q", topicId: "k", sessionId: "s" },
          { id: "2", role: "assistant", content: "A", topicId: "k", sessionId: "s" },
        ],
        sessionGroups: [{ name: "a" }, { name: "b" }],
        plugins: [],
      },
    },
    { aside: 0, leftOut: { "row of sessionGroups": 2 } },
  ],
  [
    "claude",
    { uuid: "k", account: { uuid: "+account" }, chat_messages: [{ uuid: "1", sender: "human", text: "Q" }] },
    { aside: 0 },
  ],
  [
    "assistants",
    {
      object: "list",
      data: [
        {
          object: "thread.message",
          thread_id: "k",
          role: "assistant",
          content: [{ type: "text", text: { value: "A" } }],
          run_id: "+run",
        },
        { id: "+run", object: "thread.run", thread_id: "k", temperature: 1, tools: [{ type: "+tool" }] },
      ],
    },
    { aside: 2 },
  ],
  [
    "gemini-cli",
    {
      sessionId: "k",
      messages: [
        { id: "1", type: "user", content: "Q", displayContent: "+display" },
        {
          id: "2",
          type: "gemini",
          content: "A",
          thoughts: [{ subject: "+thought" }],
          toolCalls: [{ id: "l", name: "ls", args: {}, resultDisplay: "+result" }],
        },
      ],
    },
    { aside: 3 },
  ],
  [
    "open-webui",
    {
      id: "k",
      chat: {
        system: "Be brief.",
        params: { system: "+system" },
        history: { messages: { 1: { id: "1", role: "user", content: "Q" } } },
      },
    },
    { aside: 0 },
  ],
];

for (const [format, document, { aside, leftOut = {} }] of documents)
  test(`a conversation of ${format} keeps the fields beside its words, and counts what it leaves out`, async () => {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify(document), { format });
    assert.deepEqual([report.restored, report.aside, report.leftOut], [1, aside, leftOut]);
    const { metadata } = (await place.sessions.get("k")).info;
    const kept = JSON.stringify([metadata, await storedMessages(place.sessions, "k")]);
    const marks = JSON.stringify(document).match(/"\+\w+"/g) ?? [];
    assert.deepEqual(
      marks.filter((mark) => !kept.includes(mark)),
      [],
    );
  });
