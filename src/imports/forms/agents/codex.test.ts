import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

const lineOf =
  (type: string) =>
  (second: number, payload: object): object => ({
    timestamp: new Date(Date.UTC(2025, 0, 2, 3, 4, second)).toISOString(),
    type,
    payload,
  });
const meta = lineOf("session_meta");
const context = lineOf("turn_context");
const event = lineOf("event_msg");
const item = lineOf("response_item");
const asked = (text: string): object => ({ type: "message", role: "user", content: [{ type: "input_text", text }] });
const answered = (text: string): object => ({
  type: "message",
  role: "assistant",
  content: [{ type: "output_text", text }],
});
const counted = (total: number, last: object): object => ({
  type: "token_count",
  info: { total_token_usage: { total_tokens: total }, last_token_usage: last },
});
const lines = (...all: readonly object[]): string => all.map((line) => `${JSON.stringify(line)}\n`).join("");
const callOf = (id: string, name: string, given: string): object => ({
  role: "assistant",
  content: null,
  tool_calls: [{ id, type: "function", function: { name, arguments: given } }],
});

const listing = [
  meta(5, { id: "x", cwd: "/w" }),
  context(6, { model: "m" }),
  event(7, { type: "user_message", message: "List." }),
  item(7, asked("List.")),
  item(8, { type: "function_call", call_id: "c", name: "exec", arguments: "{}" }),
  item(9, { type: "function_call_output", call_id: "c", output: "a.txt" }),
  event(9, counted(12, { input_tokens: 10, cached_input_tokens: 4, output_tokens: 2, total_tokens: 12 })),
  event(9, counted(12, { input_tokens: 10, cached_input_tokens: 4, output_tokens: 2, total_tokens: 12 })),
  item(10, answered("One: a.txt")),
  event(10, { type: "agent_message", message: "One: a.txt" }),
  event(10, counted(33, { input_tokens: 20, output_tokens: 1, total_tokens: 21 })),
  event(10, { type: "token_count", info: null }),
];

test("a rollout of Codex is one turn with its call, its model and its tokens; events are copies", async () => {
  await using place = inMemory();
  const forms: string[] = [];
  const report = await importText(place.sessions, lines(...listing), { onForm: ({ format }) => forms.push(format) });
  assert.deepEqual([report.restored, report.skipped, report.leftOut, forms], [1, 0, {}, ["codex"]]);
  assert.deepEqual(await messagesOf(place.sessions, "x"), [
    { role: "user", content: "List." },
    callOf("c", "exec", "{}"),
    { role: "tool", tool_call_id: "c", content: "a.txt" },
    { role: "assistant", content: "One: a.txt" },
  ]);
  const session = await place.sessions.get("x");
  assert.deepEqual(
    [session.info.metadata, session.info.createdAt.toISOString(), session.info.lastActivityAt.toISOString()],
    [{ cwd: "/w", source: "codex" }, "2025-01-02T03:04:05.000Z", "2025-01-02T03:04:10.000Z"],
  );
  const [turn, ...others] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [turn?.model, turn?.at.toISOString(), turn?.usage, others.length],
    ["m", "2025-01-02T03:04:07.000Z", { inputTokens: 30, outputTokens: 3, totalTokens: 33, cachedTokens: 4 }, 0],
  );
  assert.equal((await importText(place.sessions, lines(...listing))).present, 1);
});

test("calls of shells and of custom tools have their results; reasoning stays beside its message", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(
      meta(1, { id: "y", base_instructions: { text: "You code." }, source: "cli", dynamic_tools: [{}, {}] }),
      item(1, asked("<environment_context>\n  <cwd>/w</cwd>\n</environment_context>")),
      item(2, asked("Patch.")),
      item(3, { type: "reasoning", summary: [{ type: "summary_text", text: "Hm" }], encrypted_content: "e" }),
      item(3, { type: "custom_tool_call", call_id: "p", name: "apply_patch", input: "*** Begin", status: "completed" }),
      item(4, { type: "custom_tool_call_output", call_id: "p", output: "Done" }),
      item(5, {
        type: "local_shell_call",
        call_id: "l",
        status: "completed",
        action: { type: "exec", command: ["ls"] },
      }),
      item(6, { type: "function_call_output", call_id: "l", output: "a" }),
      item(6, { type: "function_call_output", call_id: "gone", output: "b" }),
      item(6, { type: "ghost_snapshot", ghost_commit: {} }),
      lineOf("compacted")(7, { message: "So far" }),
      item(8, answered("Patched.")),
    ),
  );
  assert.deepEqual(report.leftOut, {
    "tool definition": 2,
    "stray result": 1,
    "line of type ghost_snapshot": 1,
    "compaction summary": 1,
  });
  const stored = await storedMessages(place.sessions, "y");
  assert.match(JSON.stringify(stored.map(nativeOf)), /"encrypted_content":"e"/);
  assert.deepEqual(
    (await messagesOf(place.sessions, "y")).filter(({ content }) => content !== ""),
    [
      { role: "user", content: "Patch." },
      callOf("p", "apply_patch", "*** Begin"),
      { role: "tool", tool_call_id: "p", content: "Done" },
      callOf("l", "local_shell", '{"type":"exec","command":["ls"]}'),
      { role: "tool", tool_call_id: "l", content: "a" },
      { role: "assistant", content: "Patched." },
    ],
  );
  const session = await place.sessions.get("y");
  assert.match((await session.instructions()) ?? "", /^You code\.\n\n<environment_context>/);
  assert.deepEqual(session.info.metadata, { sessionSource: "cli", source: "codex" });
});

test("a question that only an event has is a message too", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(meta(1, { id: "e" }), event(2, { type: "user_message", message: "List." }), item(3, answered("One."))),
  );
  assert.equal(report.restored, 1);
  assert.deepEqual(await messagesOf(place.sessions, "e"), [
    { role: "user", content: "List." },
    { role: "assistant", content: "One." },
  ]);
});

test("an older rollout has its items behind a header, which has its id, its time and its instructions", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(
      { id: "old", timestamp: "2025-05-01T10:00:00.000Z", instructions: "Be brief.", git: { branch: "main" } },
      { record_type: "state" },
      { id: null, ...asked("List.") },
      { type: "local_shell_call", id: "i", call_id: "c", action: { type: "exec", command: ["ls"] } },
      { type: "function_call_output", call_id: "c", output: "a.txt" },
      answered("One."),
    ),
  );
  assert.deepEqual([report.restored, report.skipped, report.leftOut], [1, 0, {}]);
  const session = await place.sessions.get("old");
  const [turn, ...others] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [await session.instructions(), session.info.createdAt.toISOString(), turn?.at.toISOString(), others.length],
    ["Be brief.", "2025-05-01T10:00:00.000Z", "2025-05-01T10:00:00.000Z", 0],
  );
  assert.deepEqual((await messagesOf(place.sessions, "old")).length, 4);
});

test("turns that were taken back are left out; a fork is one session, rollouts behind each other are several", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(
      meta(1, { id: "fork", forked_from_id: "x" }),
      ...listing,
      item(11, asked("Delete.")),
      item(12, answered("Deleted.")),
      event(13, { type: "thread_rolled_back", num_turns: 1 }),
      item(14, asked("Keep.")),
      meta(1, { id: "next" }),
      item(2, asked("Hi")),
    ),
  );
  assert.deepEqual([report.restored, report.leftOut], [2, { "other header": 1, "withdrawn turn": 1 }]);
  assert.deepEqual(
    (await messagesOf(place.sessions, "fork")).map(({ content }) => content),
    ["List.", null, "a.txt", "One: a.txt", "Keep."],
  );
  assert.deepEqual(await messagesOf(place.sessions, "next"), [{ role: "user", content: "Hi" }]);
});

test("items of Responses without a header are no rollout", async () => {
  await using place = inMemory();
  const forms: string[] = [];
  await importText(place.sessions, lines(asked("Hi"), answered("Ho")), { onForm: ({ format }) => forms.push(format) });
  assert.deepEqual(forms, ["openai-responses"]);
});

test("words that only events have are messages, and reasoning of events alone is counted", async () => {
  await using place = inMemory();
  const said = (type: string, message: string): object => event(8, { type, message });
  const reasoned = event(8, { type: "agent_reasoning", text: "Look first." });
  const alone = [
    meta(5, { id: "x" }),
    said("user_message", "Hi"),
    said("user_message", "Are you there?"),
    reasoned,
    said("agent_message", "Yes."),
  ];
  const both = [
    meta(5, { id: "y" }),
    item(6, asked("Hi")),
    said("user_message", "Hi"),
    said("user_message", "Are you there?"),
    reasoned,
    item(8, { type: "reasoning", summary: [{ type: "summary_text", text: "Look first." }], encrypted_content: "e" }),
    said("agent_message", "One moment."),
    said("agent_message", "Yes."),
    item(9, answered("Yes.")),
    event(9, counted(9, { input_tokens: 7, output_tokens: 2 })),
    said("agent_message", "Done."),
  ];
  const report = await importText(place.sessions, lines(...alone, ...both));
  assert.deepEqual([report.restored, report.skipped, report.leftOut], [2, 0, { "event of type agent_reasoning": 1 }]);
  const wordsOf = async (id: string): Promise<readonly unknown[]> =>
    (await messagesOf(place.sessions, id)).map(({ role, content }) => [role, content]);
  assert.deepEqual(await wordsOf("x"), [
    ["user", "Hi"],
    ["user", "Are you there?"],
    ["assistant", "Yes."],
  ]);
  assert.deepEqual(await wordsOf("y"), [
    ["user", "Hi"],
    ["user", "Are you there?"],
    // The reasoning, which stays in the native form.
    ["assistant", ""],
    ["assistant", "One moment."],
    ["assistant", "Yes."],
    ["assistant", "Done."],
  ]);
});

test("lines of a rollout without times are read", async () => {
  await using place = inMemory();
  const without = listing.map((line) => ({ ...line, timestamp: undefined }));
  const report = await importText(place.sessions, lines(...without));
  assert.deepEqual([report.restored, report.empty, report.leftOut], [1, 0, {}]);
  assert.equal((await messagesOf(place.sessions, "x")).length, 4);
});
