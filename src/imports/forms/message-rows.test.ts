import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../test/support/import-text.ts";
import { inMemory } from "../../../test/support/in-memory.ts";

const lines = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join("\n");

test("rows with a message of LangChain are sessions, in the order of their numbers", async () => {
  await using place = inMemory();
  const call = { name: "peek", args: { shelf: 2 }, id: "c", type: "tool_call" };
  const rows = [
    { id: 4, session_id: "s", message: { type: "ai", data: { content: "Yes." } } },
    { id: 2, session_id: "s", message: { type: "ai", data: { content: "", tool_calls: [call] } } },
    { id: 3, session_id: "s", message: { type: "tool", data: { content: "done", tool_call_id: "c" } } },
    { id: 1, session_id: "s", message: { type: "human", data: { content: "Done?", additional_kwargs: {} } } },
    { id: 5, session_id: "t", message: { type: "human", data: { content: "My door code is 0000" } } },
  ];
  const report = await importText(place.sessions, lines(rows));
  assert.deepEqual([report.restored, report.turns, report.reasons], [2, 2, []]);
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).map(({ role, content }) => [role, content]),
    [
      ["user", "Done?"],
      ["assistant", null],
      ["tool", "done"],
      ["assistant", "Yes."],
    ],
  );
});

test("rows with a flat message of n8n, or its JSON, have the times, the user and the tokens of their fields", async () => {
  await using place = inMemory();
  const more = { additional_kwargs: {}, response_metadata: {} };
  const answer = { type: "ai", content: "Rye.", tool_calls: [], invalid_tool_calls: [], ...more };
  const usage = { input_tokens: 3, output_tokens: 4, total_tokens: 7 };
  const rows = [
    {
      session_id: "s",
      message: JSON.stringify({ ...answer, usage_metadata: usage }),
      created_at: "2025-01-01T10:00:01Z",
    },
    {
      session_id: "s",
      user_id: "ada",
      message: { type: "human", content: "Rye or wheat?", ...more },
      created_at: "2025-01-01T10:00:00Z",
    },
  ];
  await importText(place.sessions, JSON.stringify(rows));
  const session = await place.sessions.get("s");
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [turn?.input[0]?.content, turn?.output[0]?.content, turn?.at.toISOString(), turn?.usage?.totalTokens],
    ["Rye or wheat?", "Rye.", "2025-01-01T10:00:00.000Z", 7],
  );
  assert.equal(session.info.user, "ada");
});

test("a row whose message has no known format refuses its session, with the place", async () => {
  await using place = inMemory();
  const rows = [
    { session_id: "s", message: { type: "human", content: "Hi" } },
    { session_id: "s", message: { words: "Ho" } },
    { session_id: "t", message: { type: "human", content: "Hi" } },
  ];
  const report = await importText(place.sessions, lines(rows));
  assert.deepEqual([report.restored, report.skipped], [1, 1]);
  assert.match(report.reasons[0]!.message, /^f:2 /);
});
