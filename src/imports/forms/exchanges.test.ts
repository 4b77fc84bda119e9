import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../../test/support/import-text.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import { nativeOf } from "../../domain/request/native-form.ts";

const bakery = {
  session_id: "ceo-1",
  agent_role: "ceo",
  startup_context: "You run a bakery.",
  conversation_history: [{ question: "An oven?", response: "Yes.", timestamp: "2025-01-01T10:00:00.5" }],
  turn_count: 1,
  total_tokens: 12,
  created_at: "2025-01-01T09:59:00",
  last_query_at: "2025-01-01T10:00:00.5",
};

test("a session of questions and answers keeps its agent, instructions, times and counts", async () => {
  await using place = inMemory({ ttl: "never" });
  assert.equal((await importText(place.sessions, JSON.stringify(bakery))).restored, 1);
  assert.deepEqual(await messagesOf(place.sessions, "ceo-1"), [
    { role: "user", content: "An oven?" },
    { role: "assistant", content: "Yes." },
  ]);
  const session = await place.sessions.get("ceo-1");
  const { agent, metadata, createdAt, lastActivityAt } = session.info;
  assert.deepEqual(
    [agent, metadata, createdAt.toISOString(), lastActivityAt.toISOString(), await session.instructions()],
    [
      "ceo",
      { turn_count: 1, total_tokens: 12 },
      "2025-01-01T09:59:00.000Z",
      "2025-01-01T10:00:00.500Z",
      "You run a bakery.",
    ],
  );
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.at.toISOString(), "2025-01-01T10:00:00.500Z");
});

test("a session of questions and answers that has grown gets its new turns", async () => {
  await using place = inMemory();
  await importText(place.sessions, JSON.stringify(bakery));
  const later = { question: "A mixer?", response: "Later.", timestamp: "2025-01-02T10:00:00" };
  const grown = {
    ...bakery,
    conversation_history: [...bakery.conversation_history, later],
    turn_count: 2,
    total_tokens: 20,
    last_query_at: "2025-01-02T10:00:00",
  };
  const report = await importText(place.sessions, JSON.stringify(grown));
  assert.deepEqual([report.grown, report.turns], [1, 1]);
});

test("what else an exchange has stays beside its answer; a question without an answer is a turn", async () => {
  await using place = inMemory();
  const history = [
    { question: "An oven?", response: "Yes.", model: "m", usage: { input_tokens: 3, output_tokens: 1 }, mood: "calm" },
    { question: "A mixer?", response: null },
  ];
  const report = await importText(place.sessions, JSON.stringify({ session_id: "x", conversation_history: history }));
  assert.deepEqual([report.restored, report.aside], [1, 1]);
  const [, answer, open] = await storedMessages(place.sessions, "x");
  assert.deepEqual([nativeOf(answer!)?.value, open?.content], [[{ mood: "calm" }], "A mixer?"]);
  const session = await place.sessions.get("x");
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([turn?.model, turn?.usage?.totalTokens, session.info.counters.turns], ["m", 4, 2]);
});

for (const item of [
  { human: "Hello", assistant: "Hi" },
  { input: "Hello", output: "Hi" },
  { user: "Hello", bot: "Hi" },
]) {
  test(`a conversation of ${Object.keys(item).join(" and ")} is one of questions and answers`, async () => {
    await using place = inMemory();
    for (const name of ["conversations", "conversation"])
      await importText(place.sessions, JSON.stringify({ id: name, [name]: [item] }));
    for (const name of ["conversations", "conversation"])
      assert.deepEqual(
        (await messagesOf(place.sessions, name)).map(({ content }) => content),
        ["Hello", "Hi"],
      );
  });
}

test("a session without a question is skipped, with the reason", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, JSON.stringify({ ...bakery, conversation_history: [] }));
  assert.deepEqual([report.restored, report.reasons[0]?.message], [0, "f:1 has no messages"]);
});

test("a file may have conversations of several shapes", async () => {
  await using place = inMemory();
  const file = [
    { id: "a", conversations: [{ human: "Hello", assistant: "Hi" }] },
    { id: "b", items: [{ from: "human", value: "Hello" }] },
    { id: "c", messages: [{ role: "user", content: "Hello" }] },
  ];
  const report = await importText(place.sessions, file.map((line) => JSON.stringify(line)).join("\n"));
  assert.deepEqual([report.restored, report.reasons], [3, []]);
});

test("exchanges of several sessions in one object are sessions of their own", async () => {
  await using place = inMemory();
  const items = ["ada", "bob", "ada"].map((user, index) => ({
    session_id: `of-${user}`,
    user_id: user,
    question: `question ${index}`,
    response: "Yes.",
  }));
  const report = await importText(place.sessions, JSON.stringify({ items }));
  assert.deepEqual([report.restored, report.turns], [2, 3]);
  const { info } = await place.sessions.get("of-ada");
  assert.deepEqual([info.user, info.counters.turns], ["ada", 2]);
});

test("rows of questions and answers are the sessions that they name, in the order of their times", async () => {
  await using place = inMemory();
  const rows = [
    { session_id: "a", question: "And wheat?", response: "No.", timestamp: "2025-01-01T10:01:00Z", tokens: 4 },
    {
      session_id: "a",
      user_id: "ada",
      agent_name: "ceo",
      question: "Rye?",
      response: "Yes.",
      timestamp: "2025-01-01T10:00:00Z",
    },
    { session_id: "b", prompt: "My door code is 0000", completion: null },
  ];
  const report = await importText(place.sessions, rows.map((row) => JSON.stringify(row)).join("\n"));
  assert.deepEqual([report.restored, report.turns, report.aside, report.reasons], [2, 3, 0, []]);
  const words = (await messagesOf(place.sessions, "a")).map(({ content }) => content);
  assert.deepEqual(words, ["Rye?", "Yes.", "And wheat?", "No."]);
  const { user, agent, createdAt } = (await place.sessions.get("a")).info;
  assert.deepEqual([user, agent, createdAt.toISOString()], ["ada", "ceo", "2025-01-01T10:00:00.000Z"]);
  assert.deepEqual(
    (await messagesOf(place.sessions, "b")).map(({ content }) => content),
    ["My door code is 0000"],
  );
});

test("a question without an answer is a turn of its own, also where the conversation grows behind it", async () => {
  await using place = inMemory();
  const history = [
    { question: "Rye?", response: null, timestamp: "2025-01-01T10:00:00Z" },
    { question: "Oats?", response: null, timestamp: "2025-01-02T10:00:00Z" },
    { question: "Wheat?", response: "Yes.", timestamp: "2025-01-03T10:00:00Z" },
  ];
  for (let length = 1; length <= history.length; length++) {
    const conversation_history = history.slice(0, length);
    const report = await importText(place.sessions, JSON.stringify({ session_id: "s", conversation_history }));
    assert.deepEqual([report.restored, report.grown, report.turns], length === 1 ? [1, 0, 1] : [0, 1, 1]);
  }
  await importText(place.sessions, history.map((row) => JSON.stringify({ session_id: "rows", ...row })).join("\n"));
  for (const id of ["s", "rows"]) {
    const turns = await Array.fromAsync((await place.sessions.get(id)).turns());
    assert.deepEqual(
      turns.map(({ input, output, at }) => [input.length, output.length, at.toISOString().slice(0, 10)]),
      [
        [1, 0, "2025-01-01"],
        [1, 0, "2025-01-02"],
        [1, 1, "2025-01-03"],
      ],
    );
  }
});

test("a row without a readable time follows the one that it follows in the file", async () => {
  await using place = inMemory();
  const rows = [
    ["Q2", "2024-12-30T10:00:00Z"],
    ["Q3", "31/12/2024 10:00"],
    ["Q1", "2024-12-29T10:00:00Z"],
  ].map(([question, timestamp]) => JSON.stringify({ session_id: "s", question, response: "A", timestamp }));
  await importText(place.sessions, rows.join("\n"));
  const asked = (await messagesOf(place.sessions, "s")).filter(({ role }) => role === "user");
  assert.deepEqual(
    asked.map(({ content }) => content),
    ["Q1", "Q2", "Q3"],
  );
});

test("rows whose questions are named user belong to no user, and rows of two users are no session", async () => {
  await using place = inMemory();
  const rows = [
    { chat_id: "a", user: "Hello", bot: "Hi" },
    { chat_id: "a", user: "Rye?", bot: "Yes." },
    { chat_id: "b", question: "Hello", answer: "Hi", user_id: "ada" },
    { chat_id: "b", question: "My door code is 0000", answer: "Hm.", user_id: "bob" },
  ];
  const report = await importText(place.sessions, rows.map((row) => JSON.stringify(row)).join("\n"));
  assert.deepEqual([report.restored, report.skipped], [1, 1]);
  assert.match(report.reasons[0]!.message, /^f:4 user is "bob", while messages beside it name "ada"/);
  const { info } = await place.sessions.get("a");
  assert.deepEqual([info.user, info.counters.turns], [null, 2]);
});

for (const item of [
  { chatId: "a", role: "user", content: "Hi" },
  { session_id: "a", question: "Hi", response: "Ho" },
])
  test(`a list around ${Object.keys(item).join()} of one conversation has the id of that`, async () => {
    await using place = inMemory();
    await importText(place.sessions, JSON.stringify({ items: [item] }));
    assert.equal((await messagesOf(place.sessions, "a"))[0]?.content, "Hi");
  });

test("the tokens of an exchange beside its words are those of its turn", async () => {
  await using place = inMemory();
  const rows = [{ tokens_used: 12 }, { total_tokens: 9, prompt_tokens: 7, completion_tokens: 2 }, { tokens: "few" }];
  const lines = rows.map((more) =>
    JSON.stringify({ session_id: "s", question: "Q", response: "A", model: "m", ...more }),
  );
  const report = await importText(place.sessions, lines.join("\n"));
  assert.deepEqual([report.restored, report.aside], [1, 1]);
  const turns = await Array.fromAsync((await place.sessions.get("s")).turns());
  assert.deepEqual(
    turns.map(({ model, usage }) => [model, usage?.inputTokens, usage?.outputTokens, usage?.totalTokens]),
    [
      ["m", 0, 0, 12],
      ["m", 7, 2, 9],
      ["m", undefined, undefined, undefined],
    ],
  );
});

for (const [item, question] of [
  [{ question: "Rye?", answer: "Yes." }, "Rye?"],
  [{ prompt: "Rye?", response: "Yes." }, "Rye?"],
  [{ human: "Rye?", assistant: "Yes." }, "Rye?"],
  [{ input: "Rye?", output: "Yes." }, "Rye?"],
  [{ instruction: "Answer.", input: "Rye?", output: "Yes." }, "Answer.\n\nRye?"],
  [{ instruction: "Answer.", input: "", output: "Yes." }, "Answer."],
] as const)
  test(`a row of ${Object.keys(item).join(", ")} without a session is a conversation, ${JSON.stringify(question)}`, async () => {
    await using place = inMemory({ ttl: "never" });
    const rows = ["a", "b"].map((id) => ({
      id,
      ...item,
      model: "m",
      mood: "calm",
      created_at: "2025-01-01T10:00:00Z",
    }));
    for (const text of [JSON.stringify(rows), rows.map((row) => JSON.stringify(row)).join("\n")]) {
      const report = await importText(place.sessions, text);
      assert.deepEqual([report.restored + report.present, report.reasons, report.leftOut], [2, [], {}]);
    }
    assert.deepEqual(await messagesOf(place.sessions, "b"), [
      { role: "user", content: question },
      { role: "assistant", content: "Yes." },
    ]);
    const session = await place.sessions.get("b");
    const [turn] = await Array.fromAsync(session.turns());
    assert.deepEqual(
      [turn?.model, turn?.at.toISOString(), session.info.metadata["mood"]],
      ["m", "2025-01-01T10:00:00.000Z", "calm"],
    );
  });

test("a row that names no conversation among rows that do is refused, and messages beside a question are read", async () => {
  await using place = inMemory();
  const named = { session_id: "s", question: "Rye?", answer: "Yes." };
  const mixed = await importText(place.sessions, JSON.stringify([named, { question: "Oats?", answer: "No." }]));
  assert.deepEqual([mixed.restored, mixed.skipped], [0, 1]);
  const chat = { id: "c", messages: [{ role: "user", content: "Hi" }], question: "Rye?", answer: "Yes." };
  await importText(place.sessions, JSON.stringify(chat));
  assert.deepEqual(await messagesOf(place.sessions, "c"), [{ role: "user", content: "Hi" }]);
});
