/** Files with damaged items, times that no session can have, and metadata of their own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importText } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";

/** Files of a list, some of whose items are no objects. */
const damaged: readonly [name: string, file: object, kind: string][] = [
  [
    "claude",
    { uuid: "s", chat_messages: [{ uuid: "1", sender: "human", text: "Hi" }, "lost", 7, null] },
    "unreadable message",
  ],
  [
    "open-webui",
    {
      id: "s",
      chat: {
        history: {
          currentId: "1",
          messages: { 1: { id: "1", role: "user", content: "Hi" }, 2: "lost", 3: 7, 4: null },
        },
      },
    },
    "unreadable message",
  ],
  [
    "open-webui",
    { id: "s", chat: { models: ["m"], messages: [{ role: "user", content: "Hi" }, "lost", 7, null] } },
    "unreadable message",
  ],
  [
    "lobechat",
    {
      exportType: "all",
      state: {
        messages: [{ id: "1", role: "user", content: "Hi", sessionId: "s" }, "lost", 7, null],
        sessions: [{ id: "s" }],
        topics: [],
      },
    },
    "row of messages",
  ],
  [
    "assistants",
    {
      object: "thread",
      id: "s",
      messages: [
        {
          object: "thread.message",
          role: "user",
          content: [{ type: "text", text: { value: "Hi" } }, "lost", 7, null],
        },
      ],
    },
    "unreadable part",
  ],
];

for (const [format, file, kind] of damaged)
  test(`items of a damaged list of ${format} that are no objects are counted: ${kind}`, async () => {
    await using place = inMemory();
    const { restored, leftOut, reasons } = await importText(place.sessions, JSON.stringify(file), { format });
    assert.deepEqual([restored, reasons], [1, []]);
    assert.equal(leftOut[kind], 2, JSON.stringify(leftOut));
  });

test("times that a session cannot have are kept or counted", async () => {
  await using place = inMemory();
  const [early, late, future] = ["2024-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z", "2199-01-01T00:00:00.000Z"];
  const importOf = async (id: string, about: object, at: string): Promise<unknown> => {
    const messages = [{ role: "user", content: "Hi", created_at: at }];
    const { leftOut } = await importText(place.sessions, JSON.stringify({ id, ...about, messages }));
    const { metadata, createdAt } = (await place.sessions.get(id)).info;
    return { ...metadata, ...leftOut, began: createdAt.toISOString() };
  };
  assert.deepEqual(await importOf("a", { created_at: late }, early), { createdAt: late, began: early });
  assert.deepEqual(await importOf("b", { updated_at: early }, late), { began: early });
  assert.deepEqual(await importOf("c", { created_at: early, updated_at: late }, late), { began: early });
  const { began: _, ...kept } = (await importOf("d", { created_at: future }, future)) as { readonly began: string };
  assert.deepEqual(kept, { createdAt: future, "time in the future": 1 });
});

test("metadata of a file with fields of their own, and metadata alike those of an export, are kept whole", async () => {
  await using place = inMemory();
  const messages = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Ho" },
  ];
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, cost: "C" };
  const times = { created_at: "2025-01-01T00:00:00Z", updated_at: "2025-01-02T00:00:00Z" };
  const plain = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  const files = [
    { id: "a", title: "T1", metadata: { title: "T2", fields: { x: "fx" } }, messages },
    { id: "b", metadata: { agent: "a", ...times, title: { deep: "X" }, usage }, messages },
    {
      id: "c",
      agent: "baker",
      created_at: "2024-05-01T00:00:00Z",
      metadata: { agent: "a", ...times, usage: plain },
      messages,
    },
  ];
  await importText(place.sessions, files.map((file) => JSON.stringify(file)).join("\n"));
  const infoOf = async (id: string) => (await place.sessions.get(id)).info;
  assert.deepEqual((await infoOf("a")).metadata, { title: "T2", fields: { x: "fx" }, fields_2: { title: "T1" } });
  assert.deepEqual((await infoOf("b")).metadata, files[1]!.metadata);
  const { metadata, agent, createdAt } = await infoOf("c");
  assert.deepEqual([metadata, agent], [files[2]!.metadata, "baker"]);
  assert.equal(createdAt.toISOString(), "2024-05-01T00:00:00.000Z");
});
