import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";

const asked = { id: "m1", type: "message", role: "user", content: [{ type: "input_text", text: "Is it done?" }] };
const reasoning = { id: "rs_1", type: "reasoning", summary: [] };
const call = { id: "f1", type: "function_call", call_id: "c1", name: "peek", arguments: '{"shelf":2}' };
const result = { id: "f2", type: "function_call_output", call_id: "c1", output: "done" };
const answered = { id: "m2", type: "message", role: "assistant", content: [{ type: "output_text", text: "Yes." }] };
const items = [asked, reasoning, call, result, answered];
const expected = [
  { role: "user", content: "Is it done?" },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "c1", type: "function", function: { name: "peek", arguments: '{"shelf":2}' } }],
  },
  { role: "tool", tool_call_id: "c1", content: "done" },
  { role: "assistant", content: "Yes." },
];

const lists: readonly [string, object, readonly object[]][] = [
  [
    "that begins with the oldest",
    { object: "list", data: items, first_id: "m1", last_id: "m2", has_more: false },
    expected,
  ],
  ["that begins with the newest", { object: "list", data: items.toReversed(), has_more: false }, expected],
  [
    "of messages alone that begins with the newest",
    { object: "list", data: [answered, asked] },
    [expected[0]!, expected[3]!],
  ],
  [
    "in its conversation",
    { id: "conv", object: "conversation", created_at: 1_700_000_000, items: { object: "list", data: items } },
    expected,
  ],
];

for (const [name, list, messages] of lists)
  test(`a list of items ${name} is one conversation with its calls`, async () => {
    await using place = inMemory();
    const forms: string[] = [];
    const report = await importText(place.sessions, JSON.stringify(list), {
      onForm: ({ format }) => forms.push(format),
    });
    assert.deepEqual([report.restored, report.skipped, forms], [1, 0, ["openai-conversation"]]);
    const [listed] = (await place.sessions.list()).items;
    const read = await messagesOf(place.sessions, listed!.id);
    assert.deepEqual(
      read.filter(({ content }) => content !== ""),
      messages,
    );
    const session = await place.sessions.get(listed!.id);
    assert.deepEqual(session.info.metadata, {});
    if ("id" in list) assert.deepEqual([session.id, session.info.createdAt.getTime()], ["conv", 1_700_000_000_000]);
  });
