import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

const response = (id: string, sender: string, message: string, at: number, more: object = {}): object => ({
  response: {
    _id: id,
    conversation_id: "k",
    sender,
    message,
    create_time: { $date: { $numberLong: `${1_700_000_000_000 + at}` } },
    ...more,
  },
  share_link: null,
});

test("a conversation of Grok has the branch that was shown last, its title, times and model", async () => {
  await using place = inMemory();
  const conversation = {
    id: "k",
    user_id: "ada",
    title: "Oven",
    create_time: "2023-11-14T22:13:20Z",
    modify_time: "2023-11-14T22:14:00Z",
  };
  const responses = [
    response("a", "human", "Is it done?", 1, { file_attachments: ["f1"] }),
    response("x", "ASSISTANT", "No.", 2, { parent_response_id: "a", model: "g1" }),
    response("y", "ASSISTANT", "Yes.", 3, { parent_response_id: "a", model: "g2", thinking_trace: "warm" }),
  ];
  const report = await importText(place.sessions, JSON.stringify({ conversations: [{ conversation, responses }] }));
  assert.deepEqual([report.restored, report.leftOut, report.aside], [1, { attachment: 1, branch: 1 }, 2]);
  const stored = await storedMessages(place.sessions, "k");
  assert.deepEqual(
    stored.map(({ role, content }) => [role, content]),
    [
      ["user", "[attachment f1]\n\nIs it done?"],
      ["assistant", "Yes."],
    ],
  );
  assert.partialDeepStrictEqual(nativeOf(stored[1]!)?.value, [{ thinking_trace: "warm" }]);
  const session = await place.sessions.get("k");
  const { title, user, metadata, createdAt } = session.info;
  assert.deepEqual(
    [title, user, metadata, createdAt.getTime()],
    ["Oven", "ada", { title: "Oven", source: "grok" }, 1_700_000_000_000],
  );
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([turn?.model, turn?.at.getTime()], ["g2", 1_700_000_000_001]);
});

test("responses of Grok without parents are in their order", async () => {
  await using place = inMemory();
  const responses = [response("a", "human", "Hi", 5), response("b", "assistant", "Ho", 2)];
  await importText(place.sessions, JSON.stringify({ conversation: { id: "k" }, responses }));
  assert.deepEqual(
    (await messagesOf(place.sessions, "k")).map(({ content }) => content),
    ["Hi", "Ho"],
  );
});
