import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

const message = (id: string, role: string, created_at: number, value: string, more: object = {}): object => ({
  id,
  object: "thread.message",
  created_at,
  thread_id: "th",
  role,
  content: [{ type: "text", text: { value, annotations: [] } }],
  attachments: [],
  metadata: {},
  ...more,
});
const newestFirst = [
  message("4", "assistant", 1_700_000_009, "Out.", { run_id: "r2" }),
  message("3", "user", 1_700_000_008, "Take it out."),
  message("2", "assistant", 1_700_000_002, "Yes.", { run_id: "r1", assistant_id: "as" }),
  message("1", "user", 1_700_000_000, "Is it done?"),
];
const contents = ["Is it done?", "Yes.", "Take it out.", "Out."];

test("messages of a thread are in the order in which they were said, whatever the order of the file", async () => {
  for (const text of [
    JSON.stringify({ object: "list", data: newestFirst, first_id: "4", last_id: "1", has_more: false }),
    JSON.stringify(newestFirst.toReversed()),
    newestFirst.map((one) => JSON.stringify(one)).join("\n"),
    JSON.stringify({ id: "th", object: "thread", created_at: 1_700_000_000, messages: newestFirst }),
    JSON.stringify({ thread: { id: "th", created_at: 1_700_000_000 }, messages: { data: newestFirst } }),
  ]) {
    await using place = inMemory();
    const forms: string[] = [];
    const report = await importText(place.sessions, text, { onForm: ({ format }) => forms.push(format) });
    assert.deepEqual([report.restored, report.skipped, report.leftOut, forms], [1, 0, {}, ["assistants"]]);
    assert.deepEqual(
      (await messagesOf(place.sessions, "th")).map(({ content }) => content),
      contents,
    );
    const session = await place.sessions.get("th");
    const turns = await Array.fromAsync(session.turns());
    assert.deepEqual(
      [session.info.createdAt.getTime(), ...turns.map(({ at }) => at.getTime())],
      [1_700_000_000_000, 1_700_000_000_000, 1_700_000_008_000],
    );
    assert.deepEqual(session.info.metadata, { assistant_id: "as", source: "assistants" });
  }
});

test("messages of one second keep the order of a list that begins with the newest", async () => {
  await using place = inMemory();
  const list = [
    message("3", "user", 1_700_000_001, "And now?"),
    message("2", "assistant", 1_700_000_000, "Yes."),
    message("1", "user", 1_700_000_000, "Done?"),
  ];
  await importText(place.sessions, JSON.stringify({ object: "list", data: list }));
  assert.deepEqual(
    (await messagesOf(place.sessions, "th")).map(({ content }) => content),
    ["Done?", "Yes.", "And now?"],
  );
});

test("runs give their instructions, model and tokens, and the steps of runs their calls with results", async () => {
  await using place = inMemory();
  const run = {
    id: "r1",
    object: "thread.run",
    thread_id: "th",
    created_at: 1_700_000_001,
    instructions: "Be brief.",
    model: "m",
    usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
  };
  const step = (created_at: number, step_details: object): object => ({
    id: `s${created_at}`,
    object: "thread.run.step",
    thread_id: "th",
    run_id: "r1",
    created_at,
    step_details,
  });
  const steps = [
    step(1_700_000_001, {
      type: "tool_calls",
      tool_calls: [
        { id: "c", type: "function", function: { name: "peek", arguments: '{"shelf":2}', output: "done" } },
        {
          id: "d",
          type: "code_interpreter",
          code_interpreter: { input: "1+1", outputs: [{ type: "logs", logs: "2" }] },
        },
      ],
    }),
    step(1_700_000_002, { type: "message_creation", message_creation: { message_id: "2" } }),
  ];
  const report = await importText(
    place.sessions,
    [...newestFirst.slice(2), run, ...steps].map((one) => JSON.stringify(one)).join("\n"),
  );
  assert.deepEqual([report.restored, report.leftOut], [1, {}]);
  const called = (id: string, name: string, given: string): object => ({
    id,
    type: "function",
    function: { name, arguments: given },
  });
  assert.deepEqual(await messagesOf(place.sessions, "th"), [
    { role: "user", content: "Is it done?" },
    {
      role: "assistant",
      content: null,
      tool_calls: [called("c", "peek", '{"shelf":2}'), called("d", "code_interpreter", "1+1")],
    },
    { role: "tool", tool_call_id: "c", content: "done" },
    { role: "tool", tool_call_id: "d", content: '[{"type":"logs","logs":"2"}]' },
    { role: "assistant", content: "Yes." },
  ]);
  const session = await place.sessions.get("th");
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([await session.instructions(), turn?.model, turn?.usage?.totalTokens], ["Be brief.", "m", 12]);
});

test("citations and attachments stay beside the message; pictures of which only the id is known are counted", async () => {
  await using place = inMemory();
  const cited = { type: "text", text: { value: "See【1】", annotations: [{ type: "file_citation", text: "【1】" }] } };
  const report = await importText(
    place.sessions,
    JSON.stringify([
      message("1", "user", 1_700_000_000, "", {
        content: [
          { type: "text", text: { value: "What is it?", annotations: [] } },
          { type: "image_file", image_file: { file_id: "file-1" } },
          { type: "image_url", image_url: { url: "https://bread.example/a.png" } },
        ],
        attachments: [{ file_id: "file-2", tools: [] }],
      }),
      message("2", "assistant", 1_700_000_001, "", { content: [cited] }),
    ]),
  );
  assert.deepEqual([report.restored, report.aside, report.leftOut], [1, 2, { attachment: 1, picture: 1 }]);
  assert.deepEqual((await messagesOf(place.sessions, "th"))[0]?.content, [
    { type: "text", text: "What is it?" },
    { type: "text", text: "[image file-1]" },
    { type: "image_url", image_url: { url: "https://bread.example/a.png" } },
  ]);
  const stored = await storedMessages(place.sessions, "th");
  assert.match(JSON.stringify(stored.map(nativeOf)), /file-2.*file_citation/);
});

test("messages of several threads in one list are sessions of their own", async () => {
  await using place = inMemory();
  const data = ["a", "b"].map((id) => ({
    object: "thread.message",
    thread_id: id,
    role: "user",
    content: [{ type: "text", text: { value: `of ${id}` } }],
  }));
  assert.equal((await importText(place.sessions, JSON.stringify({ object: "list", data }))).restored, 2);
  assert.equal((await messagesOf(place.sessions, "b"))[0]?.content, "of b");
});

test("fields around a thread stay, also those of which the thread has another", async () => {
  await using place = inMemory();
  const thread = { id: "th", object: "thread", title: "Bread", metadata: { shelf: 2 } };
  const file = {
    title: "Export",
    id: "file",
    by: "ada",
    thread,
    messages: [message("1", "user", 1_700_000_000, "Hi")],
  };
  await importText(place.sessions, JSON.stringify(file));
  const { metadata, title } = (await place.sessions.get("th")).info;
  assert.equal(title, "Bread");
  assert.deepEqual(metadata, {
    title: "Bread",
    by: "ada",
    shelf: 2,
    fields: { title: "Export", id: "file" },
    source: "assistants",
  });
});
