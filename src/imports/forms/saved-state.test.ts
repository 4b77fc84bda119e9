import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../test/support/import-text.ts";
import { inMemory } from "../../../test/support/in-memory.ts";

const said = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Ho" },
];
const saved = { session_id: "c2", state: { messages: said, floor: "ceo" }, saved_at: "2025-01-01T10:05:00Z" };

test("a saved state has its messages, and the rest of it becomes metadata", async () => {
  await using place = inMemory({ ttl: "never" });
  assert.equal((await importText(place.sessions, JSON.stringify(saved))).restored, 1);
  assert.deepEqual(await messagesOf(place.sessions, "c2"), said);
  const { metadata, lastActivityAt } = (await place.sessions.get("c2")).info;
  assert.deepEqual([metadata, lastActivityAt.toISOString()], [{ state: { floor: "ceo" } }, "2025-01-01T10:05:00.000Z"]);
});

test("a state without messages is skipped, with the reason; the other sessions of its file come in", async () => {
  await using place = inMemory();
  const history = [{ question: "An oven?", response: "Yes." }];
  const lines = [
    { session_id: "c1", conversation_history: history },
    saved,
    { session_id: "c3", state: { floor: "ceo" } },
    { session_id: "c4", state: { conversation_history: history, startup_context: "Be brief." } },
    { session_id: "c5", messages: said },
  ];
  const report = await importText(place.sessions, lines.map((line) => JSON.stringify(line)).join("\n"));
  assert.deepEqual([report.restored, report.reasons.map(({ message }) => message)], [4, ["f:3 has no messages"]]);
  assert.equal(await (await place.sessions.get("c4")).instructions(), "Be brief.");
});
