import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

const answer = (output: readonly object[] | undefined, content: string): object => ({
  id: "y",
  parentId: "a",
  childrenIds: [],
  role: "assistant",
  content,
  output,
  model: "m2",
  timestamp: 1_700_000_003,
  usage: { prompt_tokens: 20, completion_tokens: 3 },
  done: true,
});
const items = [
  { type: "reasoning", id: "r", content: [{ type: "output_text", text: "Look first." }] },
  { type: "function_call", id: "t", call_id: "t", name: "peek", arguments: '{"shelf":2}', status: "completed" },
  { type: "function_call_output", call_id: "t", output: [{ type: "input_text", text: "done" }] },
  { type: "message", role: "assistant", content: [{ type: "output_text", text: "Yes." }] },
];
const html = [
  '<details type="reasoning" done="true" duration="3">\n<summary>Thought</summary>\n&gt; Look first.\n</details>',
  '<details type="tool_calls" done="true" id="t" name="peek" arguments="&quot;{\\&quot;shelf\\&quot;:2}&quot;" result="&quot;done&quot;" files="">\n<summary>Tool Executed</summary>\n</details>',
  "Yes.",
].join("\n");
const later = html
  .replace(' result="&quot;done&quot;"', "")
  .replace("Executed</summary>\n", "Executed</summary>\n&quot;done&quot;\n");

const chatOf = (last: object): object => ({
  id: "k",
  user_id: "ada",
  title: "Oven",
  created_at: 1_700_000_000,
  updated_at: 1_700_000_003,
  archived: true,
  meta: { tags: ["bread"] },
  chat: {
    title: "Oven",
    models: ["m1"],
    params: { system: "Be brief.", temperature: 1 },
    history: {
      currentId: "y",
      messages: {
        a: {
          id: "a",
          parentId: null,
          childrenIds: ["x", "y"],
          role: "user",
          content: "Is it done?",
          timestamp: 1_700_000_001,
        },
        y: last,
        x: { id: "x", parentId: "a", role: "assistant", content: "No.", model: "m1", timestamp: 1_700_000_009 },
      },
    },
    messages: [{ id: "a", role: "user", content: "Is it done?" }],
  },
});

for (const [name, last] of [
  ["items", answer(items, "ignored")],
  ["HTML, with the result in an attribute", answer(undefined, html)],
  ["HTML, with the result inside", answer(undefined, later)],
] as const) {
  test(`a chat of Open WebUI has the branch that was shown last; calls come from ${name}`, async () => {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify([chatOf(last)]));
    assert.deepEqual([report.restored, report.leftOut, report.aside], [1, { branch: 1 }, 3]);
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
      [title, user, metadata, createdAt.getTime(), await session.instructions()],
      [
        "Oven",
        "ada",
        {
          title: "Oven",
          models: ["m1"],
          params: { temperature: 1 },
          archived: true,
          meta: { tags: ["bread"] },
          source: "open-webui",
        },
        1_700_000_000_000,
        "Be brief.",
      ],
    );
    const [turn] = await Array.fromAsync(session.turns());
    assert.deepEqual([turn?.model, turn?.usage?.totalTokens, turn?.at.getTime()], ["m2", 23, 1_700_000_001_000]);
    const [, stored] = await storedMessages(place.sessions, "k");
    assert.match(JSON.stringify(nativeOf(stored!)?.value), /Look first\./);
  });
}

test("code that Open WebUI ran is a call with its result; other HTML is words of the model", async () => {
  await using place = inMemory();
  const ran =
    '<details type="code_interpreter" done="true" output="{&quot;stdout&quot;:&quot;2&quot;}">\n<summary>Analyzed</summary>\n```python\nprint(2)\n```\n</details>\n';
  const words = "It is 2.<details><summary>More</summary>x</details>";
  const messages = {
    a: { role: "user", content: "1+1?" },
    b: { role: "assistant", parentId: "a", content: `${ran}${words}` },
  };
  await importText(place.sessions, JSON.stringify({ id: "k", chat: { history: { messages } } }));
  const [, call, result, last] = await messagesOf(place.sessions, "k");
  assert.deepEqual(
    [call?.tool_calls?.[0]?.function, result?.content, last?.content],
    [{ name: "code_interpreter", arguments: '{"code":"print(2)","language":"python"}' }, '{"stdout":"2"}', words],
  );
});

test("files of Open WebUI are pictures, texts with their names, or names that are counted; sources stay beside", async () => {
  await using place = inMemory();
  const files = [
    { type: "image", url: "data:image/png;base64,AA==" },
    { type: "image", url: "3f0c", name: "b.png" },
    { type: "file", name: "n.txt", file: { filename: "n.txt", data: { content: "rye" } } },
    { type: "collection", name: "Recipes" },
  ];
  const messages = {
    a: { parentId: null, role: "user", content: "What is it?", files },
    b: { parentId: "a", role: "assistant", content: "Bread.", sources: [{ source: { name: "n.txt" } }] },
    c: { parentId: "b", role: "user", content: "Sure?" },
    d: { parentId: "c", role: "assistant", content: "", error: { content: "no model" } },
  };
  const chat = { files: [...files, { type: "file", name: "later.txt" }], history: { messages } };
  const report = await importText(place.sessions, JSON.stringify({ id: "k", chat }));
  const leftOut = { "chat document": 1, picture: 1, attachment: 1 };
  assert.deepEqual([report.restored, report.leftOut, report.aside], [1, leftOut, 4]);
  const [question, answered, , failed] = await storedMessages(place.sessions, "k");
  assert.deepEqual(question?.content, [
    { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
    { type: "text", text: "[image b.png]\n\n" },
    { type: "text", text: "n.txt:\nrye\n\n" },
    { type: "text", text: "[attachment Recipes]\n\n" },
    { type: "text", text: "What is it?" },
  ]);
  assert.partialDeepStrictEqual(nativeOf(answered!)?.value, [{ sources: [{ source: { name: "n.txt" } }] }]);
  assert.partialDeepStrictEqual(nativeOf(failed!)?.value, [{ error: { content: "no model" } }]);
});

test("an older chat of Open WebUI is a list, and one without parents is in its order", async () => {
  const list = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Ho" },
  ];
  for (const chat of [
    { models: ["m"], messages: list },
    { history: { messages: Object.fromEntries(list.entries()), currentId: null } },
  ]) {
    await using place = inMemory();
    await importText(place.sessions, JSON.stringify([{ id: "k", title: "Oven", chat }]));
    assert.deepEqual(
      (await messagesOf(place.sessions, "k")).map(({ content }) => content),
      ["Hi", "Ho"],
    );
  }
});
