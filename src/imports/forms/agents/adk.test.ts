import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";

const event = (author: string, role: string | undefined, part: object | undefined, more: object = {}): object => ({
  invocationId: "i",
  author,
  ...(part === undefined ? {} : { content: { role, parts: [part] } }),
  ...more,
});
const call = { functionCall: { id: "f", name: "peek", args: {} } };
const response = { functionResponse: { id: "f", name: "peek", response: { done: true } } };
const events = [
  event("user", "user", { text: "Done?" }, { timestamp: 1_735_689_600.5 }),
  event("baker", "model", call),
  event("baker", "user", response),
  event("baker", "model", { text: "Yes." }, { usageMetadata: { promptTokenCount: 20, candidatesTokenCount: 2 } }),
];
const messages = [
  { role: "user", content: "Done?" },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "f", type: "function", function: { name: "peek", arguments: "{}" } }],
  },
  { role: "tool", tool_call_id: "f", content: '{"done":true}' },
  { role: "assistant", content: "Yes." },
];

test("a session of ADK has its agent, its user, a turn for each invocation, and the result that is said to be a user's", async () => {
  await using place = inMemory();
  const forms: string[] = [];
  const next = [
    event("user", "user", { text: "Out?" }, { invocationId: "j", timestamp: 1_735_689_700 }),
    event("baker", "model", { text: "Out." }, { invocationId: "j", modelVersion: "m" }),
  ];
  const session = {
    id: "s",
    appName: "bakery",
    userId: "ada",
    state: { shelf: 2 },
    events: [...events, ...next],
    lastUpdateTime: 1_735_689_800,
  };
  const report = await importText(place.sessions, JSON.stringify(session), {
    onForm: ({ format }) => forms.push(format),
  });
  assert.deepEqual([report.restored, report.skipped, report.leftOut, forms], [1, 0, {}, ["adk"]]);
  assert.deepEqual((await messagesOf(place.sessions, "s")).slice(0, 4), messages);
  const stored = await place.sessions.get("s");
  const { agent, user, metadata, createdAt, lastActivityAt } = stored.info;
  assert.deepEqual(
    [agent, user, metadata, createdAt.getTime(), lastActivityAt.getTime()],
    ["baker", "ada", { appName: "bakery", state: { shelf: 2 }, source: "adk" }, 1_735_689_600_500, 1_735_689_800_000],
  );
  const turns = await Array.fromAsync(stored.turns());
  assert.deepEqual(
    turns.map(({ usage, model, at }) => [usage?.inputTokens, usage?.outputTokens, model, at.getTime()]),
    [
      [20, 2, undefined, 1_735_689_600_500],
      [undefined, undefined, "m", 1_735_689_700_000],
    ],
  );
});

test("events without a session around them are read, in the names of Python too", async () => {
  const inPython = [
    { invocation_id: "i", author: "user", content: { role: null, parts: [{ text: "Done?", function_call: null }] } },
    {
      invocation_id: "i",
      author: "baker",
      content: { role: "model", parts: [{ text: null, function_call: { id: "f", name: "peek", args: {} } }] },
    },
    {
      invocation_id: "i",
      author: "baker",
      content: { role: "user", parts: [{ function_response: { id: "f", name: "peek", response: { done: true } } }] },
    },
    { invocation_id: "i", author: "baker", content: { role: "model", parts: [{ text: "Y" }] }, partial: true },
    { invocation_id: "i", author: "baker", content: { role: "model", parts: [{ text: "Yes.", thought: null }] } },
  ];
  for (const text of [
    JSON.stringify({ events }),
    JSON.stringify({ events: inPython }),
    inPython.map((one) => JSON.stringify(one)).join("\n"),
  ]) {
    await using place = inMemory();
    const report = await importText(place.sessions, text);
    const pieces = text.includes("partial") ? { "piece of an answer": 1 } : {};
    assert.deepEqual([report.restored, report.skipped, report.leftOut], [1, 0, pieces]);
    const [session] = (await place.sessions.list()).items;
    assert.deepEqual(await messagesOf(place.sessions, session!.id), messages);
  }
});

test("rows of events are a session each, in the order of their times; what says nothing is counted", async () => {
  await using place = inMemory();
  const row = (session: string, timestamp: number, text: string): object =>
    event("user", "user", { text }, { session_id: session, timestamp });
  const rows = [
    row("a", 1_735_689_602, "Second"),
    row("b", 1_735_689_601, "Other"),
    row("a", 1_735_689_600, "First"),
    event("baker", undefined, undefined, { session_id: "a", timestamp: 1_735_689_603, errorCode: "RESOURCE" }),
    event("baker", undefined, undefined, {
      session_id: "a",
      timestamp: 1_735_689_604,
      actions: { stateDelta: { shelf: 3 } },
    }),
    event("chef", undefined, undefined, {
      session_id: "a",
      timestamp: 1_735_689_605,
      outputTranscription: { text: "Spoken.", finished: true },
    }),
  ];
  const report = await importText(place.sessions, rows.map((one) => JSON.stringify(one)).join("\n"));
  assert.deepEqual([report.restored, report.leftOut], [2, { error: 1, "event without content": 1 }]);
  assert.deepEqual(
    (await messagesOf(place.sessions, "a")).map(({ content }) => content),
    ["First", "Second", "Spoken."],
  );
  const { info } = await place.sessions.get("a");
  assert.deepEqual([info.agent, info.metadata], ["baker", { agents: ["baker", "chef"], source: "adk" }]);
});

test("a large state is counted, not kept", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    JSON.stringify({ id: "l", appName: "bakery", state: { log: "x".repeat(70_000), shelf: 1 }, events }),
  );
  assert.deepEqual([report.restored, report.skipped, report.leftOut], [1, 0, { "state value": 2 }]);
});

test("tokens in the names of Python are those of their answer", async () => {
  await using place = inMemory();
  const counts = { prompt_token_count: 20, candidates_token_count: 2, total_token_count: 25, thoughts_token_count: 3 };
  const answered = event(
    "baker",
    "model",
    { text: "Yes." },
    { usage_metadata: { ...counts, cached_content_token_count: 4 } },
  );
  const said = [event("user", "user", { text: "Done?" }), answered];
  await importText(place.sessions, JSON.stringify({ id: "s", app_name: "a", user_id: "u", events: said }));
  const turns = await Array.fromAsync((await place.sessions.get("s")).turns());
  const usage = turns[0]!.usage!;
  assert.deepEqual([usage.inputTokens, usage.totalTokens, usage.cachedTokens, usage.reasoningTokens], [20, 25, 4, 3]);
});
