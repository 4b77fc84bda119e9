import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../test/support/import-text.ts";
import { inMemory } from "../../../test/support/in-memory.ts";

const asked = { role: "user", content: "Rye or wheat?" };
const preferred = { role: "assistant", content: "Rye." };
const other = { role: "assistant", content: "Neither." };

const shapes: Readonly<Record<string, object>> = {
  "OpenAI's preferences": {
    input: { messages: [asked], tools: [{ type: "function" }], parallel_tool_calls: true },
    preferred_output: [preferred],
    non_preferred_output: [other],
  },
  "texts with their prompt": { prompt: asked.content, chosen: preferred.content, rejected: other.content },
  "lists with their prompt": { prompt: [asked], chosen: [preferred], rejected: [other] },
  "whole conversations": { chosen: [asked, preferred], rejected: [asked, other] },
  "whole conversations beside their prompt": {
    prompt: asked.content,
    messages: [asked, preferred],
    chosen: [asked, preferred],
    rejected: [asked, other],
  },
  "messages of ShareGPT": {
    conversations: [{ from: "human", value: asked.content }],
    chosen: { from: "gpt", value: preferred.content },
    rejected: { from: "gpt", value: other.content },
  },
};

for (const [name, sample] of Object.entries(shapes))
  test(`the preferred answer of ${name} is kept, and the other one is counted`, async () => {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify({ id: "p", ...sample }));
    const { "tool definition": _, ...leftOut } = report.leftOut;
    assert.deepEqual([report.restored, report.reasons, leftOut], [1, [], { "rejected answer": 1 }]);
    assert.deepEqual(await messagesOf(place.sessions, "p"), [asked, preferred]);
    assert.deepEqual(
      (await place.sessions.get("p")).info.metadata,
      "input" in sample ? { parallel_tool_calls: true } : {},
    );
  });

test("a prompt with its completion is a conversation of its own, with its label and its instructions", async () => {
  await using place = inMemory();
  const rows = [
    { prompt: "Rye or wheat?", completion: "Rye.", label: true, system: "You bake." },
    { prompt: [asked], completion: [preferred], label: false },
  ];
  const report = await importText(place.sessions, rows.map((row) => JSON.stringify(row)).join("\n"));
  assert.deepEqual([report.restored, report.turns, report.leftOut], [2, 2, {}]);
  const ids = (await place.sessions.list()).items.map(({ id }) => id);
  const found = await Promise.all(
    ids.map(async (id) => {
      const session = await place.sessions.get(id);
      return [session.info.metadata["label"], await session.instructions(), await messagesOf(place.sessions, id)];
    }),
  );
  assert.deepEqual(
    new Map(found.map(([label, ...rest]) => [label, rest])),
    new Map<unknown, unknown>([
      [true, ["You bake.", [asked, preferred]]],
      [false, [undefined, [asked, preferred]]],
    ]),
  );
});

test("transcripts in one text, as HH-RLHF has them, are conversations; other answers without a prompt are none", async () => {
  await using place = inMemory();
  const transcript = (answer: string): string =>
    `\n\nHuman: Rye?\nOr oats?\n\nAssistant: ${answer}\n\nHuman: Sure?\n\nAssistant: Yes.`;
  const rows = [
    { id: "p", chosen: transcript("Rye."), rejected: transcript("Neither.") },
    { id: "q", chosen: "Human: Rye? Assistant: Yes.", rejected: "Human: Rye? Assistant: No." },
  ];
  const report = await importText(place.sessions, rows.map((row) => JSON.stringify(row)).join("\n"));
  assert.deepEqual([report.restored, report.leftOut, report.reasons.length], [1, { "rejected answer": 1 }, 1]);
  assert.deepEqual(
    (await messagesOf(place.sessions, "p")).map(({ role, content }) => [role, content]),
    [
      ["user", "Rye?\nOr oats?"],
      ["assistant", "Rye."],
      ["user", "Sure?"],
      ["assistant", "Yes."],
    ],
  );
});
