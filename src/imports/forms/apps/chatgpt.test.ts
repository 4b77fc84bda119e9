import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

const said = (role: string, at: number, content: object, more: object = {}): object => ({
  author: { role },
  create_time: at,
  content,
  ...more,
});
const text = (words: string): object => ({ content_type: "text", parts: [words] });

const oven = {
  conversation_id: "k",
  title: "Oven",
  create_time: 1_700_000_000.5,
  default_model_slug: "m1",
  current_node: "d",
  mapping: {
    r: { id: "r", message: null, parent: null },
    p: {
      id: "p",
      parent: "r",
      message: {
        author: { role: "user" },
        content: { content_type: "user_editable_context", user_instructions: "Be brief." },
        metadata: { is_visually_hidden_from_conversation: true },
      },
    },
    a: {
      id: "a",
      parent: "p",
      message: said("user", 1_700_000_001, {
        content_type: "multimodal_text",
        parts: [{ content_type: "image_asset_pointer", asset_pointer: "file-service://f1" }, "Is it done?"],
      }),
    },
    x: { id: "x", parent: "a", message: said("assistant", 1_700_000_002, text("No.")) },
    t: {
      id: "t",
      parent: "a",
      message: said("assistant", 1_700_000_003, { content_type: "code", text: "peek(2)" }, { recipient: "python" }),
    },
    o: {
      id: "o",
      parent: "t",
      message: {
        author: { role: "tool", name: "python" },
        create_time: 1_700_000_004,
        content: { content_type: "execution_output", text: "done" },
      },
    },
    h: {
      id: "h",
      parent: "o",
      message: said("assistant", 1_700_000_005, {
        content_type: "thoughts",
        thoughts: [{ summary: "Looking", content: "warm" }],
      }),
    },
    d: {
      id: "d",
      parent: "h",
      message: said("assistant", 1_700_000_006, text("Yes."), { metadata: { model_slug: "m2" } }),
    },
  },
};

const question = {
  role: "user",
  content: [
    { type: "text", text: "[image file-service://f1]" },
    { type: "text", text: "Is it done?" },
  ],
};
const call = {
  role: "assistant",
  content: null,
  tool_calls: [{ id: "t", type: "function", function: { name: "python", arguments: "peek(2)" } }],
};
const result = { role: "tool", tool_call_id: "t", content: "done" };

test("a conversation of ChatGPT has the branch that was shown last, its title, times, model and instructions", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, JSON.stringify([oven, { conversation_id: "e", title: "Empty" }]));
  assert.deepEqual([report.restored, report.skipped], [1, 1]);
  assert.match(report.reasons[0]?.message ?? "", /f:item 2 has no messages/);
  assert.deepEqual(report.incomplete, [{ source: "f:item 1", id: "k", leftOut: { picture: 1, branch: 1 } }]);
  assert.deepEqual(await messagesOf(place.sessions, "k"), [
    question,
    call,
    result,
    { role: "assistant", content: "Yes." },
  ]);
  const session = await place.sessions.get("k");
  assert.deepEqual(
    [session.info.title, session.info.metadata, session.info.createdAt.getTime(), await session.instructions()],
    ["Oven", { title: "Oven", default_model_slug: "m1", source: "chatgpt" }, 1_700_000_000_500, "Be brief."],
  );
  const [turn, ...others] = await Array.fromAsync(session.turns());
  assert.deepEqual([turn?.at.getTime(), turn?.model, others.length], [1_700_000_001_000, "m2", 0]);
  const answer = (await storedMessages(place.sessions, "k")).at(-1)!;
  assert.match(JSON.stringify(nativeOf(answer)?.value), /"summary":"Looking"/);
});

test("the other branches of a conversation become sessions of their own if they are asked for", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, JSON.stringify([oven]), { branches: "fork" });
  assert.equal(report.restored, 2);
  assert.deepEqual(await messagesOf(place.sessions, "k-branch-2"), [question, { role: "assistant", content: "No." }]);
});

test("without a current message the newest leaf ends the branch; a system message in the middle does not cut it", async () => {
  await using place = inMemory();
  const mapping = {
    a: { parent: null, message: said("user", 1, text("One?")) },
    b: { parent: "a", message: said("assistant", 3, text("Newer.")) },
    c: { parent: "a", message: said("assistant", 2, text("Older.")) },
    s: { parent: "b", message: { author: { role: "system" }, content: text("Now in German.") } },
    d: { parent: "s", message: said("user", 4, text("Two?"), { metadata: undefined }) },
  };
  await importText(place.sessions, JSON.stringify([{ conversation_id: "n", mapping }]));
  assert.deepEqual(
    (await messagesOf(place.sessions, "n")).map(({ content }) => content),
    ["One?", "Newer.", "Now in German.", "Two?"],
  );
});

test("spoken words are words, and files beside a message are told once", async () => {
  await using place = inMemory();
  const picture = { content_type: "image_asset_pointer", asset_pointer: "file-service://file-1" };
  const spoken = [
    { content_type: "audio_transcription", text: "Is it done?" },
    { content_type: "audio_asset_pointer", asset_pointer: "sediment://file-3" },
    picture,
  ];
  const attachments = [
    { id: "file-1", name: "oven.png" },
    { id: "file-2", name: "rye.pdf" },
  ];
  const mapping = {
    a: {
      parent: null,
      message: {
        author: { role: "user" },
        content: { content_type: "multimodal_text", parts: spoken },
        metadata: { attachments },
      },
    },
  };
  const report = await importText(place.sessions, JSON.stringify([{ conversation_id: "k", mapping }]));
  assert.deepEqual(report.leftOut, { attachment: 2, picture: 1 });
  const [question] = await storedMessages(place.sessions, "k");
  const [words] = question!.content as { text: string }[];
  assert.equal(words!.text, "Is it done?");
  assert.match(JSON.stringify(question!["native"]), /rye\.pdf/);
});

test("a content of an unknown type is counted by its type", async () => {
  await using place = inMemory();
  const zork = { content_type: "zork", zork: "W" };
  const mapping = {
    a: {
      parent: null,
      message: said("user", 1, text("One?"), { metadata: { attachments: [{ id: "file-2", name: "a.pdf" }] } }),
    },
    b: { parent: "a", message: said("assistant", 2, zork) },
  };
  const report = await importText(place.sessions, JSON.stringify([{ conversation_id: "z", title: "Z", mapping }]));
  assert.deepEqual([report.restored, report.leftOut], [1, { attachment: 1, "content of type zork": 1 }]);
});
