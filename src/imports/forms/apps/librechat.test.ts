import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

const said = (messageId: string, parentMessageId: string | null, at: number, more: object): object => ({
  messageId,
  parentMessageId,
  conversationId: "k",
  isCreatedByUser: false,
  sender: "Baker",
  text: "",
  createdAt: `2025-03-01T08:00:0${at}.000Z`,
  error: false,
  unfinished: false,
  ...more,
});
const root = "00000000-0000-0000-0000-000000000000";
const asked = (id: string, parent: string | null, at: number, text: string, more: object = {}): object =>
  said(id, parent, at, { isCreatedByUser: true, sender: "User", user: "ada", text, ...more });

const about = {
  conversationId: "k",
  endpoint: "openAI",
  title: "Oven",
  exportAt: "10:00:00 GMT+0100",
  branches: true,
  recursive: false,
  options: { model: "m1", promptPrefix: "Be brief.", temperature: 1, title: "Oven" },
};
const called = {
  content: [
    { type: "think", think: "Look first." },
    { type: "tool_call", tool_call: { id: "t", name: "peek", args: '{"shelf":2}', output: "done", progress: 1 } },
    { type: "text", text: { value: "Yes." } },
  ],
  model: "m2",
  promptTokens: 20,
  tokenCount: 3,
};
const list = [asked("a", root, 1, "Is it done?"), said("x", "a", 2, { text: "No." }), said("y", "a", 3, called)];

test("a conversation of LibreChat has the branch with the newest message, its calls, model, tokens and instructions", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, JSON.stringify({ ...about, messages: list }));
  assert.deepEqual([report.restored, report.leftOut, report.aside], [1, { branch: 1, "field of the file": 3 }, 3]);
  const call = { id: "t", type: "function", function: { name: "peek", arguments: '{"shelf":2}' } };
  assert.deepEqual(await messagesOf(place.sessions, "k"), [
    { role: "user", content: "Is it done?" },
    { role: "assistant", content: null, tool_calls: [call] },
    { role: "tool", tool_call_id: "t", content: "done" },
    { role: "assistant", content: "Yes." },
  ]);
  const session = await place.sessions.get("k");
  const { title, user, metadata, createdAt } = session.info;
  assert.deepEqual(
    [title, user, metadata, createdAt.toISOString(), await session.instructions()],
    [
      "Oven",
      "ada",
      { title: "Oven", endpoint: "openAI", options: { model: "m1", temperature: 1 }, source: "librechat" },
      "2025-03-01T08:00:01.000Z",
      "Be brief.",
    ],
  );
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [turn?.model, turn?.usage, turn?.at.toISOString()],
    ["m2", { inputTokens: 20, outputTokens: 3, totalTokens: 23 }, "2025-03-01T08:00:01.000Z"],
  );
  const [, answer] = await storedMessages(place.sessions, "k");
  assert.partialDeepStrictEqual(nativeOf(answer!)?.value, [
    { type: "think", think: "Look first." },
    { sender: "Baker" },
  ]);
});

test("a tree of LibreChat has the same messages, also without metadata, parents and children", async () => {
  const bare = (messageId: string, isCreatedByUser: boolean, text: string, ...children: object[]): object => ({
    ...(messageId === "" ? {} : { messageId }),
    isCreatedByUser,
    text,
    ...(children.length === 0 ? {} : { children }),
  });
  const tree = [bare("a", true, "One?", bare("b", false, "1"), bare("c", false, "I", bare("d", true, "Two?")))];
  const flat = [bare("a", true, "One?"), bare("c", false, "I"), bare("d", true, "Two?")];
  const unnamed = [bare("", true, "One?"), bare("", false, "I"), bare("", true, "Two?")];
  for (const messages of [{ messagesTree: tree }, { messages: tree }, { messages: flat }, { messages: unnamed }]) {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify({ conversationId: "k", ...messages }));
    assert.deepEqual([report.restored, report.reasons], [1, []]);
    assert.deepEqual(
      (await messagesOf(place.sessions, "k")).map(({ role, content }) => [role, content]),
      [
        ["user", "One?"],
        ["assistant", "I"],
        ["user", "Two?"],
      ],
    );
  }
});

test("the other branches of a conversation of LibreChat become sessions of their own if they are asked for", async () => {
  await using place = inMemory();
  await importText(place.sessions, JSON.stringify({ ...about, messages: list }), { branches: "fork" });
  const [, answer] = await messagesOf(place.sessions, "k-branch-2");
  assert.equal(answer?.content, "No.");
});

test("messages of LibreChat's database are conversations, in the order of their parents", async () => {
  await using place = inMemory();
  const rows = [...list.toReversed(), asked("q", null, 5, "Rye?", { conversationId: "l" })];
  const mongo = rows.map((row) => ({
    ...row,
    _id: { $oid: "1" },
    createdAt: { $date: (row as { createdAt: string }).createdAt },
  }));
  await importText(place.sessions, mongo.map((row) => JSON.stringify(row)).join("\n"));
  assert.deepEqual(
    (await messagesOf(place.sessions, "k")).map(({ role }) => role),
    ["user", "assistant", "tool", "assistant"],
  );
  const { createdAt } = (await place.sessions.get("l")).info;
  assert.equal(createdAt.toISOString(), "2025-03-01T08:00:05.000Z");
});

test("errors in place of an answer stay beside it, files are named and counted, and a later export changes nothing", async () => {
  await using place = inMemory();
  const messages = [
    asked("a", root, 1, "What is it?", { files: [{ filename: "a.png", type: "image/png", file_id: "f" }] }),
    said("b", "a", 2, { text: "Something went wrong.", error: true }),
  ];
  const report = await importText(place.sessions, JSON.stringify({ ...about, messages }));
  assert.deepEqual([report.restored, report.leftOut], [1, { picture: 1, "field of the file": 3 }]);
  const [question, answer] = await storedMessages(place.sessions, "k");
  assert.deepEqual([question?.content, answer?.content], ["[image a.png]\n\nWhat is it?", ""]);
  assert.match(JSON.stringify(nativeOf(answer!)?.value), /Something went wrong/);
  const later = await importText(place.sessions, JSON.stringify({ ...about, exportAt: "11:00", messages }));
  assert.equal(later.present, 1);
});

test("a tree of LibreChat may have a thousand messages, each inside the one before it", async () => {
  await using place = inMemory();
  let tree: object[] = [];
  for (let at = 1000; at > 0; at--)
    tree = [{ messageId: `m${at}`, isCreatedByUser: at % 2 === 1, text: `${at}`, children: tree }];
  const report = await importText(place.sessions, JSON.stringify({ conversationId: "k", messagesTree: tree }), {
    length: 65_536,
  });
  assert.deepEqual([report.restored, report.turns], [1, 500]);
});

test("messages of several users in one conversation of the database are refused", async () => {
  await using place = inMemory();
  const row = (user: string, messageId: string): string =>
    JSON.stringify({ messageId, conversationId: "l", user, isCreatedByUser: true, text: "Hi" });
  const report = await importText(place.sessions, `${row("ada", "1")}\n${row("bob", "2")}`);
  assert.equal(report.restored, 0);
  assert.match(report.reasons[0]!.message, /user is "bob", while messages beside it name "ada"/);
});
