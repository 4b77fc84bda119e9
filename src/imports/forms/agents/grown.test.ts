import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";

const at = (second: number): string => new Date(Date.UTC(2025, 0, 2, 3, 4, second)).toISOString();
const claudeLine = (type: "user" | "assistant", uuid: string, parentUuid: string | null, content: string): object => ({
  type,
  uuid,
  parentUuid,
  sessionId: "s",
  timestamp: at(Number(uuid)),
  message: { role: type, content },
});
const codexLine = (second: number, role: "user" | "assistant", text: string): object => ({
  timestamp: at(second),
  type: "response_item",
  payload: { type: "message", role, content: [{ type: role === "user" ? "input_text" : "output_text", text }] },
});
const adkEvent = (second: number, author: string, text: string): object => ({
  invocationId: `i${Math.ceil(second / 2)}`,
  author,
  timestamp: 1_735_787_040 + second,
  content: { role: author === "user" ? "user" : "model", parts: [{ text }] },
});
const lines = (all: readonly object[]): string => all.map((one) => JSON.stringify(one)).join("\n");

/** Each log as it is after so many of its four messages. */
const logs: readonly [string, (count: number) => string][] = [
  [
    "Claude Code",
    (count) =>
      lines([
        ...[
          claudeLine("user", "1", null, "One?"),
          claudeLine("assistant", "2", "1", "One."),
          claudeLine("user", "3", "2", "Two?"),
          claudeLine("assistant", "4", "3", "Two."),
        ].slice(0, count),
        { type: "summary", summary: `Title ${count}`, leafUuid: `${count}` },
      ]),
  ],
  [
    "Codex",
    (count) =>
      lines([
        { timestamp: at(0), type: "session_meta", payload: { id: "s", cwd: "/w" } },
        ...[
          codexLine(1, "user", "One?"),
          codexLine(2, "assistant", "One."),
          codexLine(3, "user", "Two?"),
          codexLine(4, "assistant", "Two."),
        ].slice(0, count),
      ]),
  ],
  [
    "Gemini CLI",
    (count) =>
      JSON.stringify({
        sessionId: "s",
        projectHash: "h",
        startTime: at(0),
        lastUpdated: at(count),
        messages: ["One?", "One.", "Two?", "Two."]
          .slice(0, count)
          .map((content, index) => ({ id: `${index}`, type: index % 2 === 0 ? "user" : "gemini", content })),
      }),
  ],
  [
    "ADK",
    (count) =>
      JSON.stringify({
        id: "s",
        appName: "a",
        lastUpdateTime: 1_735_787_040 + count,
        events: [
          adkEvent(1, "user", "One?"),
          adkEvent(2, "baker", "One."),
          adkEvent(3, "user", "Two?"),
          adkEvent(4, "baker", "Two."),
        ].slice(0, count),
      }),
  ],
  [
    "LangGraph",
    (count) =>
      JSON.stringify({
        values: {
          messages: ["One?", "One.", "Two?", "Two."]
            .slice(0, count)
            .map((content, index) => ({ type: index % 2 === 0 ? "human" : "ai", content, id: `${index}` })),
        },
        checkpoint: { thread_id: "s" },
        metadata: { step: count, run_id: `r${count}` },
        created_at: at(count),
      }),
  ],
];

for (const [name, logOf] of logs)
  test(`a session of ${name} that has grown since the last import gets its new turn`, async () => {
    await using place = inMemory();
    assert.equal((await importText(place.sessions, logOf(2))).restored, 1);
    const report = await importText(place.sessions, logOf(4));
    assert.deepEqual([report.grown, report.turns, report.reasons], [1, 1, []]);
    assert.deepEqual(
      (await messagesOf(place.sessions, "s")).map(({ content }) => content),
      ["One?", "One.", "Two?", "Two."],
    );
    assert.equal((await importText(place.sessions, logOf(4))).present, 1);
  });
