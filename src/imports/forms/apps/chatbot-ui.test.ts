import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";

const conversation = (id: string, messages: readonly object[]): object => ({
  id,
  name: "Oven",
  messages,
  model: { id: "m1", name: "Model One", maxLength: 1000 },
  prompt: "Be brief.",
  temperature: 1,
  folderId: null,
});

test("conversations of Chatbot UI keep their title, model and prompt; an empty one is told", async () => {
  await using place = inMemory();
  const words = [
    { role: "user", content: "Is it done?" },
    { role: "assistant", content: "Yes." },
  ];
  const history = [
    conversation("a", words),
    conversation(
      "b",
      words.map((message) => ({ ...message, type: "text" })),
    ),
    conversation("c", []),
  ];
  const report = await importText(place.sessions, JSON.stringify({ version: 4, history, folders: [], prompts: [] }));
  assert.deepEqual(
    [report.restored, report.reasons.map(({ message }) => message)],
    [2, ["f:1 item 3 has no messages"]],
  );
  for (const id of ["a", "b"]) {
    assert.deepEqual(await messagesOf(place.sessions, id), words);
    const session = await place.sessions.get(id);
    assert.deepEqual(
      [session.info.title, session.info.metadata, await session.instructions()],
      [
        "Oven",
        {
          title: "Oven",
          temperature: 1,
          model: "m1",
          modelSettings: { name: "Model One", maxLength: 1000 },
          source: "chatbot-ui",
        },
        "Be brief.",
      ],
    );
    const [turn] = await Array.fromAsync(session.turns());
    assert.equal(turn?.model, "m1");
  }
});

test("an export of folders and prompts alone has no messages, and does not refuse the other files", async () => {
  await using place = inMemory();
  const folders = [{ id: "f", name: "Ovens", type: "chat" }];
  const prompts = [{ id: "p", name: "Brief", description: "", content: "Be brief.", folderId: null }];
  const files = [
    { version: 5, folders, prompts },
    { version: 4, history: [], folders, prompts },
    { history: null, folders },
  ];
  for (const file of files) {
    const report = await importText(place.sessions, JSON.stringify(file));
    assert.deepEqual([report.restored, report.empty, report.reasons[0]?.message], [0, 1, "f:1 has no messages"]);
  }
});
