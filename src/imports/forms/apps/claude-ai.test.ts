import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";

const bread = {
  uuid: "c",
  name: "Bread",
  created_at: "2025-03-01T08:00:00Z",
  chat_messages: [
    {
      uuid: "1",
      sender: "human",
      text: "",
      content: [{ type: "text", text: "How long?" }],
      created_at: "2025-03-01T08:00:00Z",
      parent_message_uuid: "00000000-0000-4000-8000-000000000000",
      attachments: [{ file_name: "n.txt", extracted_content: "rye" }],
    },
    {
      uuid: "2",
      sender: "assistant",
      text: "Two hours.",
      created_at: "2025-03-01T08:00:09Z",
      parent_message_uuid: "1",
    },
    {
      uuid: "3",
      sender: "assistant",
      content: [
        { type: "tool_use", id: "t", name: "search", input: { q: "rye" } },
        { type: "tool_result", tool_use_id: "t", content: [{ type: "text", text: "3 h" }] },
        { type: "text", text: "Three." },
      ],
      created_at: "2025-03-01T08:01:00Z",
      parent_message_uuid: "1",
    },
  ],
};

test("a conversation of Claude has the branch with the newest message, its attachments, calls and times", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, JSON.stringify([bread]));
  assert.deepEqual([report.restored, report.leftOut], [1, { branch: 1 }]);
  assert.deepEqual(await messagesOf(place.sessions, "c"), [
    { role: "user", content: "n.txt:\nrye\n\nHow long?" },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "t", type: "function", function: { name: "search", arguments: '{"q":"rye"}' } }],
    },
    { role: "tool", tool_call_id: "t", content: "3 h" },
    { role: "assistant", content: "Three." },
  ]);
  const session = await place.sessions.get("c");
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [session.info.title, session.info.createdAt.toISOString(), turn?.at.toISOString()],
    ["Bread", "2025-03-01T08:00:00.000Z", "2025-03-01T08:00:00.000Z"],
  );
});

test("the messages of an older export of Claude, which name no parents, are in their order", async () => {
  await using place = inMemory();
  const list = bread.chat_messages.slice(0, 2).map(({ parent_message_uuid: _, ...message }) => message);
  await importText(place.sessions, JSON.stringify([{ ...bread, chat_messages: list }]));
  assert.deepEqual(
    (await messagesOf(place.sessions, "c")).map(({ role }) => role),
    ["user", "assistant"],
  );
});

test("calls of Claude without ids get some, and each result the id of its call", async () => {
  await using place = inMemory();
  const used = (q: string) => ({ type: "tool_use", id: null, name: "search", input: { q } });
  const found = (text: string) => ({ type: "tool_result", name: "search", content: [{ type: "text", text }] });
  const answer = (uuid: string, ...content: object[]) => ({ uuid, sender: "assistant", content });
  const asked = { uuid: "1", sender: "human", text: "How long?" };
  const answers = [answer("2", used("a"), found("1 h")), answer("3", used("b"), found("2 h"))];
  const report = await importText(place.sessions, JSON.stringify([{ uuid: "i", chat_messages: [asked, ...answers] }]));
  assert.equal(report.restored, 1);
  const messages = await messagesOf(place.sessions, "i");
  assert.deepEqual(
    messages.flatMap(({ tool_calls: calls = [], tool_call_id: id }) => [
      ...calls.map((call) => call.id),
      ...(id === undefined ? [] : [id]),
    ]),
    ["call_1", "call_1", "call_2", "call_2"],
  );
});
