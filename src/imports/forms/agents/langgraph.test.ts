import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";

const asked = { type: "human", content: "Done?", id: "1" };
const called = { type: "ai", content: "", id: "2", tool_calls: [{ id: "c", name: "peek", args: {} }] };
const seen = { type: "tool", content: "done", tool_call_id: "c", id: "3" };
const answered = {
  type: "ai",
  content: "Yes.",
  id: "4",
  usage_metadata: { input_tokens: 20, output_tokens: 2, total_tokens: 22 },
  response_metadata: { model_name: "m" },
};
const all = [asked, called, seen, answered];
const messages = [
  { role: "user", content: "Done?" },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "c", type: "function", function: { name: "peek", arguments: "{}" } }],
  },
  { role: "tool", tool_call_id: "c", content: "done" },
  { role: "assistant", content: "Yes." },
];
const at = (second: number): string => new Date(Date.UTC(2025, 0, 2, 3, 4, second)).toISOString();

const forms: readonly [string, object, string | undefined][] = [
  ["a state", { values: { messages: all }, checkpoint: { thread_id: "th" }, created_at: at(0) }, "th"],
  [
    "a state of the library",
    { values: { messages: all }, config: { configurable: { thread_id: "th" } }, created_at: at(0) },
    "th",
  ],
  ["a thread", { thread_id: "th", values: { messages: all }, metadata: { owner: "ada" }, created_at: at(0) }, "th"],
  ["a checkpoint", { channel_values: { messages: all }, ts: at(0), id: "k", v: 4 }, undefined],
  [
    "a checkpoint with its config",
    { config: { configurable: { thread_id: "th" } }, checkpoint: { channel_values: { messages: all }, ts: at(0) } },
    "th",
  ],
];

for (const [name, document, id] of forms)
  test(`${name} of LangGraph has the messages, tokens, model and time`, async () => {
    await using place = inMemory();
    const named: string[] = [];
    const report = await importText(place.sessions, JSON.stringify(document), {
      onForm: ({ format }) => named.push(format),
    });
    const leftOut = "v" in document ? { "field of the state": 2 } : {};
    assert.deepEqual([report.restored, report.skipped, report.leftOut, named], [1, 0, leftOut, ["langgraph"]]);
    const [listed] = (await place.sessions.list()).items;
    const session = await place.sessions.get(id ?? listed!.id);
    assert.deepEqual(await messagesOf(place.sessions, session.id), messages);
    const [turn] = await Array.fromAsync(session.turns());
    assert.deepEqual(
      [session.info.createdAt.toISOString(), turn?.at.toISOString(), turn?.model, turn?.usage?.totalTokens],
      [at(0), at(0), "m", 22],
    );
  });

test("of the states of a thread the newest is read, with the time at which each message was new", async () => {
  await using place = inMemory();
  const state = (second: number, count: number, more: object = {}): object => ({
    values: { messages: all.slice(0, count) },
    next: [],
    metadata: { step: second, writes: { a: 1 }, graph_id: "g" },
    created_at: at(second),
    checkpoint: { thread_id: "th", checkpoint_ns: "" },
    ...more,
  });
  const later = { type: "human", content: "And now?", id: "5" };
  const report = await importText(
    place.sessions,
    JSON.stringify([
      state(9, 4, { values: { messages: [...all, later], shelf: 2, note: null }, next: ["agent"] }),
      state(5, 4),
      state(1, 1),
      state(10, 1, { checkpoint: { thread_id: "th", checkpoint_ns: "sub:1" } }),
      { ...state(3, 2), checkpoint: { thread_id: "other" } },
    ]),
  );
  assert.deepEqual(
    [report.restored, report.skipped, report.leftOut],
    [2, 0, { "field of the state": 4, "state value": 1, "other checkpoint": 3, "pending step": 1 }],
  );
  const session = await place.sessions.get("th");
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map((turn) => turn.at.toISOString()),
    [at(1), at(9)],
  );
  assert.deepEqual(session.info.metadata, { graph_id: "g", source: "langgraph" });
});

test("a thread without messages is empty; values of another program are no thread", async () => {
  await using place = inMemory();
  const empty = await importText(place.sessions, JSON.stringify({ thread_id: "th", values: {} }));
  assert.deepEqual([empty.restored, empty.skipped, empty.empty], [0, 1, 1]);
  const other = await importText(place.sessions, JSON.stringify({ values: { shelf: 1 } }));
  assert.match(other.reasons[0]?.message ?? "", /no conversation in one of the forms/);
});
