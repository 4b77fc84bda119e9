import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

const lines = (...all: readonly object[]): string => all.map((line) => `${JSON.stringify(line)}\n`).join("");
const at = (second: number): string => new Date(Date.UTC(2025, 0, 2, 3, 4, second)).toISOString();
const response = (id: string, output: string): object => ({
  functionResponse: { id, name: "ls", response: { output } },
});
const contents = async (place: ReturnType<typeof inMemory>, id: string): Promise<readonly unknown[]> =>
  (await messagesOf(place.sessions, id)).map(({ content }) => content);

const asked = { id: "1", type: "user", content: "List", timestamp: at(1) };
const looked = {
  id: "2",
  type: "gemini",
  content: "Let me look.",
  timestamp: at(2),
  thoughts: [{ subject: "Looking", description: "into it", timestamp: at(2) }],
  toolCalls: [{ id: "l", name: "ls", args: {}, status: "success", result: [response("l", "a")] }],
  tokens: { input: 9, output: 1, total: 10 },
  model: "m",
};
const answered = { id: "3", type: "gemini", content: [{ text: "One file." }], timestamp: at(4), model: "m" };
const listing = [
  { role: "user", content: "List" },
  {
    role: "assistant",
    content: "Let me look.",
    tool_calls: [{ id: "l", type: "function", function: { name: "ls", arguments: "{}" } }],
  },
  { role: "tool", tool_call_id: "l", content: "a" },
  { role: "assistant", content: "One file." },
];

test("a session of Gemini CLI has its calls with results, tokens, model and times; notices are no messages", async () => {
  await using place = inMemory();
  const notice = { id: "i", type: "info", content: "Update available", timestamp: at(3) };
  const file = {
    sessionId: "g",
    projectHash: "h",
    startTime: at(0),
    lastUpdated: at(5),
    summary: "Files",
    messages: [asked, looked, notice, answered],
  };
  const forms: string[] = [];
  const report = await importText(place.sessions, JSON.stringify(file, null, 1), {
    onForm: ({ format }) => forms.push(format),
  });
  assert.deepEqual(
    [report.restored, report.skipped, report.aside, report.leftOut, forms],
    [1, 0, 4, { notice: 1 }, ["gemini-cli"]],
  );
  assert.deepEqual(await messagesOf(place.sessions, "g"), listing);
  const session = await place.sessions.get("g");
  const { info } = session;
  assert.deepEqual(
    [info.title, info.metadata, info.createdAt.toISOString(), info.lastActivityAt.toISOString()],
    ["Files", { projectHash: "h", source: "gemini-cli" }, at(0), at(5)],
  );
  const [turn, ...others] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [turn?.model, turn?.at.toISOString(), turn?.usage, others.length],
    ["m", at(1), { inputTokens: 9, outputTokens: 1, totalTokens: 10 }, 0],
  );
  assert.match(JSON.stringify(nativeOf((await storedMessages(place.sessions, "g"))[1]!)?.value), /Looking\\ninto it/);
});

test("the lines of a session change its messages and fields, and take messages back", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(
      { sessionId: "g", projectHash: "h", startTime: at(0) },
      asked,
      { ...looked, toolCalls: undefined },
      looked,
      { $set: { lastUpdated: at(3) } },
      answered,
      { id: "4", type: "user", content: "Delete it", timestamp: at(6) },
      { id: "5", type: "gemini", content: "Deleted.", timestamp: at(7) },
      { $rewindTo: "4" },
      { $set: { summary: "Files" } },
    ),
  );
  assert.deepEqual([report.restored, report.skipped, report.leftOut], [1, 0, { "withdrawn message": 2 }]);
  assert.deepEqual(await messagesOf(place.sessions, "g"), listing);
  assert.equal((await place.sessions.get("g")).info.title, "Files");
});

test("a history that was written anew has each call and each result once", async () => {
  await using place = inMemory();
  const call = { functionCall: { id: "l", name: "ls", args: {} } };
  const messages = [
    { ...asked, content: [{ text: "List" }] },
    { ...looked, content: [{ text: "Let me look." }, call] },
    { id: "r", type: "user", content: [response("l", "a")], timestamp: at(3) },
  ];
  await importText(
    place.sessions,
    lines({ sessionId: "g", projectHash: "h" }, { ...asked, id: "0" }, { $set: { messages } }, answered),
  );
  assert.deepEqual(await messagesOf(place.sessions, "g"), listing);
});

test("a picture beside a result is a part of it; a call that was cancelled stays without a result", async () => {
  await using place = inMemory();
  const picture = { inlineData: { mimeType: "image/png", data: "AA==" } };
  const seen = {
    ...looked,
    thoughts: [],
    toolCalls: [
      { id: "p", name: "see", args: {}, result: [response("p", "seen"), picture] },
      { id: "q", name: "rm", args: {}, status: "cancelled", result: null },
    ],
  };
  const report = await importText(
    place.sessions,
    JSON.stringify({ sessionId: "p", startTime: at(0), messages: [asked, seen, { ...asked, id: "9" }] }),
  );
  assert.deepEqual([report.restored, report.skipped], [1, 0]);
  assert.deepEqual((await messagesOf(place.sessions, "p"))[2]?.content, [
    { type: "text", text: "seen" },
    { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
  ]);
  assert.equal((await Array.fromAsync((await place.sessions.get("p")).turns())).length, 2);
});

test("checkpoints have the contents that the model was shown, calls without ids paired by name", async () => {
  const history = [
    { role: "user", parts: [{ text: "List" }] },
    { role: "model", parts: [{ functionCall: { name: "ls", args: {} } }] },
    { role: "user", parts: [{ functionResponse: { name: "ls", response: { output: "a" } } }] },
    { role: "model", parts: [{ text: "One." }] },
  ];
  for (const checkpoint of [
    history,
    { history, authType: "oauth" },
    { history: [{ type: "user", text: "List" }], clientHistory: history, toolCall: { name: "rm", args: {} } },
  ]) {
    await using place = inMemory();
    const report = await importText(place.sessions, JSON.stringify(checkpoint));
    assert.deepEqual([report.restored, report.skipped], [1, 0]);
    const [session] = (await place.sessions.list()).items;
    assert.deepEqual(await contents(place, session!.id), ["List", null, "a", "One."]);
  }
});

test("the prompts of logs.json are questions of their sessions in their order, without commands", async () => {
  await using place = inMemory();
  const prompt = (messageId: number, message: string, sessionId = "g"): object => ({
    sessionId,
    messageId,
    type: "user",
    message,
    timestamp: new Date(Date.UTC(2025, 0, 1, 0, 0, messageId)).toISOString(),
  });
  const log = [prompt(1, "/help"), prompt(2, "And wheat?"), prompt(0, "Rye?"), prompt(0, "/quit", "h")];
  const report = await importText(place.sessions, JSON.stringify(log));
  assert.deepEqual([report.restored, report.leftOut, report.empty], [1, { command: 1 }, 1]);
  const turns = await Array.fromAsync((await place.sessions.get("g")).turns());
  assert.deepEqual(
    turns.map(({ input, at }) => [input.map(({ content }) => content), at.toISOString()]),
    [
      [["Rye?"], "2025-01-01T00:00:00.000Z"],
      [["And wheat?"], "2025-01-01T00:00:02.000Z"],
    ],
  );
});

test("messages that a new list lacks, and items of it that are no messages, are counted", async () => {
  await using place = inMemory();
  const header = { sessionId: "g", projectHash: "h", startTime: at(0) };
  const messages = [asked, { id: "9", type: "chart", points: 3 }, "cut"];
  const report = await importText(place.sessions, lines(header, asked, looked, { $set: { messages } }, answered));
  assert.deepEqual(
    [report.restored, report.leftOut],
    [1, { "message of type chart": 1, "unreadable message": 1, "withdrawn message": 1 }],
  );
  assert.deepEqual(await contents(place, "g"), ["List", "One file."]);
});
