import assert from "node:assert/strict";
import { test } from "node:test";
import { branchWords, importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

const row = (id: string, at: number, role: string, content: string, more: object = {}): object => ({
  id,
  role,
  content,
  sessionId: "s",
  topicId: "k",
  createdAt: 1_700_000_000_000 + at,
  updatedAt: 1_700_000_000_000 + at,
  ...more,
});
const plugin = { identifier: "oven", apiName: "peek", arguments: '{"shelf":2}', type: "default" };
const tool = { id: "t", ...plugin };
const sessions = [
  { id: "s", meta: { title: "Baker" }, config: { systemRole: "Be brief.", model: "m1" }, createdAt: 1_600_000_000_000 },
];
const topics = [{ id: "k", title: "Oven", sessionId: "s", createdAt: 1_700_000_000_000, favorite: true }];
const call = (id: string): object => ({ id, type: "function", function: { name: "peek", arguments: '{"shelf":2}' } });

/** The same exchange in each version: a result with its call, and a call in a message of its own. */
const versions: readonly [name: string, id: string, document: object][] = [
  [
    "the browser, whose results have their calls",
    "call_r",
    {
      exportType: "sessions",
      version: 4,
      state: {
        messages: [
          row("b", 3, "assistant", "Yes.", { parentId: "r", fromModel: "m2" }),
          row("r", 2, "function", "done", { parentId: "a", plugin }),
          row("a", 1, "user", "Is it done?"),
          row("o", 9, "user", "Rye?", { topicId: undefined }),
        ],
        sessions,
        topics,
      },
    },
  ],
  [
    "the browser, with tools",
    "t",
    {
      exportType: "all",
      version: 7,
      state: {
        messages: [
          row("b", 4, "assistant", "Yes.", { extra: { fromModel: "m2" } }),
          row("r", 3, "tool", "done", { tool_call_id: "t", plugin }),
          row("c", 2, "assistant", "", { tools: [tool] }),
          row("a", 1, "user", "Is it done?"),
          row("o", 9, "user", "Rye?", { topicId: null }),
        ],
        sessions,
        topics,
      },
    },
  ],
  [
    "the database",
    "t",
    {
      mode: "pglite",
      schemaHash: "h",
      data: {
        messages: [
          row("a", 1, "user", "Is it done?", { reasoning: null, metadata: null }),
          row("c", 2, "assistant", "", { tools: [tool], model: "m2" }),
          row("r", 3, "tool", "done"),
          row("b", 4, "assistant", "Yes.", {
            metadata: { totalInputTokens: 20, totalOutputTokens: 3, totalTokens: 23 },
          }),
          row("o", 9, "user", "Rye?", { topicId: null }),
        ],
        messagePlugins: [{ ...plugin, id: "r", toolCallId: "t" }],
        sessions: [{ id: "s", title: "Baker" }],
        agents: [{ id: "g", systemRole: "Be brief." }],
        agentsToSessions: [{ agentId: "g", sessionId: "s" }],
        topics,
      },
    },
  ],
];

for (const [name, id, document] of versions) {
  test(`an export of LobeChat is read by topics: ${name}`, async () => {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify(document));
    assert.deepEqual([report.restored, report.reasons], [2, []]);
    assert.deepEqual(await messagesOf(place.sessions, "k"), [
      { role: "user", content: "Is it done?" },
      { role: "assistant", content: null, tool_calls: [call(id)] },
      { role: "tool", tool_call_id: id, content: "done" },
      { role: "assistant", content: "Yes." },
    ]);
    const session = await place.sessions.get("k");
    const { title, metadata, createdAt } = session.info;
    const { config, session: row, agentSettings, ...named } = metadata;
    const settings = JSON.stringify([config, row, agentSettings]);
    assert.equal(
      settings,
      JSON.stringify(
        "data" in document
          ? [null, { id: "s" }, { id: "g" }]
          : [{ model: "m1" }, { id: "s", createdAt: 1_600_000_000_000 }, null],
      ),
    );
    assert.deepEqual(
      [title, named, createdAt.getTime(), await session.instructions()],
      [
        "Oven",
        { title: "Oven", sessionId: "s", favorite: true, assistant: "Baker", source: "lobechat" },
        1_700_000_000_000,
        "Be brief.",
      ],
    );
    const [turn] = await Array.fromAsync(session.turns());
    assert.deepEqual([turn?.model, turn?.at.getTime()], ["m2", 1_700_000_000_001]);
    if ("data" in document) assert.equal(turn?.usage?.totalTokens, 23);
    assert.equal((await messagesOf(place.sessions, "s"))[0]?.content, "Rye?");
  });
}

test("errors, reasoning and results without a call stay beside; files are named and counted", async () => {
  await using place = inMemory();
  const messages = [
    row("a", 1, "user", "What is it?", { files: ["f1"] }),
    row("b", 2, "assistant", "...", { error: { type: "OllamaBizError" } }),
    row("c", 3, "tool", "lost"),
    row("d", 4, "assistant", "Bread.", { reasoning: { content: "brown" } }),
  ];
  const document = { exportType: "singleSession", version: 7, state: { messages } };
  const report = await importText(place.sessions, JSON.stringify(document));
  assert.deepEqual([report.restored, report.leftOut, report.aside], [1, { attachment: 1, "field of the file": 2 }, 4]);
  const stored = await storedMessages(place.sessions, "k");
  assert.deepEqual(
    stored.map(({ role, content }) => [role, content]),
    [
      ["user", "[attachment f1]\n\nWhat is it?"],
      ["assistant", ""],
      ["assistant", ""],
      ["assistant", "Bread."],
    ],
  );
  const beside = JSON.stringify(stored.map((message) => nativeOf(message)?.value));
  for (const word of ["OllamaBizError", "lost", "brown"]) assert.ok(beside.includes(word), beside);
});

test("an export of LobeChat is known by its tables alone", async () => {
  await using place = inMemory();
  const messages = [row("b", 2, "assistant", "Yes."), row("a", 1, "user", "Is it done?")];
  const report = await importText(place.sessions, JSON.stringify({ state: { messages, topics }, version: 7 }));
  assert.deepEqual([report.restored, (await place.sessions.get("k")).info.title], [1, "Oven"]);
});

test("a thread beside a topic is a branch of it, and a session of its own if that is asked for", async () => {
  const messages = [row("a", 1, "user", "One?"), row("b", 2, "user", "Aside?", { threadId: "h" })];
  const text = JSON.stringify({ exportType: "sessions", version: 7, state: { messages, topics } });
  await using place = inMemory();
  const report = await importText(place.sessions, text);
  assert.deepEqual([report.restored, report.leftOut], [1, { branch: 1, "field of the file": 2 }]);
  await using forked = inMemory();
  assert.equal((await importText(forked.sessions, text, { branches: "fork" })).restored, 2);
  const { metadata } = (await forked.sessions.get("h")).info;
  assert.deepEqual(metadata, { title: "Oven", sessionId: "s", favorite: true, branchOf: "k", source: "lobechat" });
});

test("a thread that begins after a message of its topic is a branch of the session, if branches are kept", async () => {
  const messages = [
    row("a", 1, "user", "One?"),
    row("b", 2, "assistant", "1", { reasoning: { content: "b" } }),
    row("c", 3, "user", "Two?"),
    row("d", 4, "user", "Aside?", { threadId: "h", parentId: "b" }),
    row("e", 5, "user", "Another aside?", { threadId: "i" }),
    row("f", 6, "user", "Of nothing?", { threadId: "j" }),
  ];
  const threads = [{ id: "i", topicId: "k", sourceMessageId: "a" }];
  const text = JSON.stringify({ exportType: "sessions", version: 7, state: { messages, topics, threads } });
  await using place = inMemory();
  const report = await importText(place.sessions, text, { branches: "keep" });
  const counts = { branch: 1, "row of threads": 1, "field of the file": 2 };
  assert.deepEqual([report.restored, report.turns, report.leftOut], [1, 4, counts]);
  const session = await place.sessions.get("k");
  assert.deepEqual(await branchWords(session), [
    ["1", 2, "One? 1 Two? (current)"],
    ["2", 2, "One? 1 Aside?"],
    ["3", 1, "One? Another aside?"],
  ]);
});
