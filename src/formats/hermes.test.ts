import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { fromFormat, toFormat } from "./conversion.ts";

const call = (id: string, name: string, given: string): object => ({
  id,
  type: "function",
  function: { name, arguments: given },
});
const conversation = [
  { from: "system", value: 'You call functions. <tools>[{"name":"peek"}]</tools>' },
  { from: "human", value: "Both?" },
  {
    from: "gpt",
    value:
      "Let me look.\n<tool_call>\n{'arguments': {'shelf': 2, 'is_hot': True, 'note': 'it\\'s \"rye\"'}, 'name': 'peek'}\n" +
      '</tool_call>\n<tool_call>{"name": "peek", "arguments": {"shelf": 3}}</tool_call>',
  },
  {
    from: "tool",
    value:
      '<tool_response>\n{"name": "peek", "content": {"done": true}}\n</tool_response>\n<tool_response>burnt</tool_response>',
  },
  { from: "gpt", value: "One is done." },
];

test("calls and results inside the texts of Hermes are calls and results, in JSON and in Python's notation", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, JSON.stringify({ id: "h", conversations: conversation }));
  assert.deepEqual([report.restored, report.skipped], [1, 0]);
  assert.deepEqual(await messagesOf(place.sessions, "h"), [
    { role: "user", content: "Both?" },
    {
      role: "assistant",
      content: "Let me look.",
      tool_calls: [
        call("call_1", "peek", '{"shelf":2,"is_hot":true,"note":"it\'s \\"rye\\""}'),
        call("call_2", "peek", '{"shelf":3}'),
      ],
    },
    { role: "tool", tool_call_id: "call_1", content: '{"done":true}' },
    { role: "tool", tool_call_id: "call_2", content: "burnt" },
    { role: "assistant", content: "One is done." },
  ]);
  assert.deepEqual(toFormat(fromFormat(conversation, "sharegpt"), "sharegpt"), conversation);
});

test("a text that only speaks of a tag stays a text, and a call that was cut off is one if its object is whole", () => {
  const [spoken] = fromFormat([{ from: "gpt", value: "Write <tool_call> and a name." }], "sharegpt");
  assert.equal(spoken?.content, "Write <tool_call> and a name.");
  const [cut] = fromFormat([{ from: "gpt", value: '<tool_call>{"name":"peek","arguments":"{}"}' }], "sharegpt");
  assert.deepEqual([cut?.content, cut?.tool_calls], [null, [call("call_1", "peek", "{}")]]);
});
