/** Conversations of files in every shape: whole or not at all, each once, with what their files say of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf, storedMessages } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { nativeOf } from "../domain/request/native-form.ts";
import type { Value } from "../domain/values/codec.ts";

const lines = (...documents: readonly object[]): string => documents.map((one) => JSON.stringify(one)).join("\n");
const question = (content: string): object => ({ role: "user", content });
const answer = (content: string): object => ({ role: "assistant", content });

test("messages of several conversations are several sessions, each in the order of its times", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(
      { chatId: "a", role: "assistant", content: "Rye.", createdAt: "2025-01-01T10:00:01Z" },
      { chatId: "a", role: "user", content: "Rye or wheat?", createdAt: "2025-01-01T10:00:00Z" },
      { chatId: "b", role: "user", content: "My door code is 0000" },
    ),
  );
  assert.equal(report.restored, 2);
  assert.deepEqual(
    (await messagesOf(place.sessions, "a")).map(({ content }) => content),
    ["Rye or wheat?", "Rye."],
  );
  assert.deepEqual(
    (await messagesOf(place.sessions, "b")).map(({ content }) => content),
    ["My door code is 0000"],
  );
});

test("messages that name no conversation beside some that do are not imported", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines({ thread_id: "a", ...question("One") }, { thread_id: "b", ...question("Two") }, question("Whose?")),
  );
  assert.deepEqual([report.restored, report.skipped], [0, 1]);
  assert.match(report.reasons[0]?.message ?? "", /f:3 names no conversation, while others in its file do/);
});

test("items of OpenAI's Responses are one turn, with the call and its result", async () => {
  await using place = inMemory();
  const items = [
    question("Is it done?"),
    { type: "reasoning", id: "rs_1", summary: [] },
    { type: "function_call", call_id: "c1", name: "peek", arguments: '{"shelf":2}' },
    { type: "function_call_output", call_id: "c1", output: "done" },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "Yes." }] },
  ];
  const expected = [
    ["user", "Is it done?"],
    ["assistant", null],
    ["tool", "done"],
    ["assistant", "Yes."],
  ];
  for (const [id, text] of [
    ["a", JSON.stringify({ id: "a", items })],
    ["b", lines(...items.map((item) => ({ ...item, conversation_id: "b" })))],
  ] as const) {
    assert.deepEqual((await importText(place.sessions, text)).reasons, []);
    const messages = (await messagesOf(place.sessions, id)).filter(
      ({ content, tool_calls: calls }) => content !== "" || calls,
    );
    assert.deepEqual(
      messages.map(({ role, content }) => [role, content]),
      expected,
    );
    assert.equal((await place.sessions.get(id)).info.counters.turns, 1);
  }
});

test("loose messages of which one is not understood are not imported at all, and the reason names it", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, lines(question("One"), { kind: "mystery" }, answer("Two")));
  assert.deepEqual([report.restored, report.skipped], [0, 1]);
  assert.match(report.reasons[0]?.message ?? "", /^f:2 is /);
});

test("a message without content is refused with its place", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines(
      { id: "v", messages: [{ role: "user" }, answer("Hi")] },
      { id: "w", messages: [question("Hi"), { role: "assistant" }] },
    ),
  );
  assert.deepEqual(
    report.reasons.map(({ message }) => message),
    ["f:1 messages[0] has no content", "f:2 messages[1] has no content"],
  );
});

test("a refusal of a chat completion is the content of its message", async () => {
  await using place = inMemory();
  const refused = { role: "assistant", content: null, refusal: "No." };
  const report = await importText(place.sessions, lines({ id: "n", messages: [question("Hi"), refused] }));
  assert.deepEqual(report.reasons, []);
  const [, stored] = await messagesOf(place.sessions, "n");
  assert.deepEqual(stored?.content, [{ type: "refusal", refusal: "No." }]);
  const [, whole] = await storedMessages(place.sessions, "n");
  assert.deepEqual((whole!.native as { readonly value: Value }).value, refused);
});

test("a result without a call before it is refused with its place", async () => {
  await using place = inMemory();
  const report = await importText(
    place.sessions,
    lines({ id: "r", messages: [question("Hi"), { role: "tool", tool_call_id: "x", content: "7" }] }),
  );
  assert.match(
    report.reasons[0]?.message ?? "",
    /messages\[1\]\.tool_call_id is "x"; expected the id of a call before it/,
  );
});

test("the same words with other instructions or metadata are other conversations; a second import makes none", async () => {
  await using place = inMemory();
  const said = [
    { from: "human", value: "Hello" },
    { from: "gpt", value: "Hi" },
  ];
  const file = lines(
    { system: "Answer in French.", conversations: said },
    { system: "Answer in Dutch.", conversations: said },
    { tools: "[]", conversations: said },
    { tools: "[]", conversations: said },
  );
  assert.equal((await importText(place.sessions, file)).restored, 4);
  await place.clock.advance(1000);
  const again = await importText(place.sessions, file);
  assert.deepEqual([again.restored, again.present, again.skipped], [0, 4, 0]);
  const other = await importText(place.sessions, lines({ tools: "none", conversations: said }));
  assert.deepEqual([other.restored, other.skipped], [1, 0]);
});

test("a conversation with another system text under its own id is skipped, and replaced if that is asked for", async () => {
  await using place = inMemory();
  const of = (system: string): string => lines({ id: "x", system, messages: [question("Hello")] });
  await importText(place.sessions, of("Answer in French."));
  assert.deepEqual((await importText(place.sessions, of("Answer in Dutch."))).reasons[0]?.code, "session_exists");
  assert.equal((await importText(place.sessions, of("Answer in Dutch."), { onExists: "replace" })).replaced, 1);
  assert.equal(await (await place.sessions.get("x")).instructions(), "Answer in Dutch.");
});

for (const id of ["g", undefined]) {
  test(`a conversation ${id === undefined ? "without" : "with"} an id that has grown gets its new turns`, async () => {
    await using place = inMemory();
    const of = (...messages: readonly object[]): string => lines({ id, message_count: messages.length, messages });
    await importText(place.sessions, of(question("One"), answer("1")));
    const [session] = (await place.sessions.list()).items;
    await (await place.sessions.get(session!.id)).update({ title: "Mine", labels: { kept: "yes" } });
    const whole = of(question("One"), answer("1"), question("Two"), answer("2"), question("Three"));
    const dry = await importText(place.sessions, whole, { dryRun: true });
    assert.deepEqual([dry.grown, dry.turns], [1, 2]);
    const report = await importText(place.sessions, whole);
    assert.deepEqual([report.grown, report.turns, report.restored], [1, 2, 0]);
    const found = (await place.sessions.list()).items;
    assert.deepEqual(
      found.map((one) => [one.id, one.title, one.labels, one.counters.turns, one.metadata]),
      [[session!.id, "Mine", { kept: "yes" }, 3, { message_count: 5 }]],
    );
    assert.equal((await messagesOf(place.sessions, session!.id)).length, 5);
    assert.equal((await importText(place.sessions, whole)).present, 1);
    const other = await importText(place.sessions, of(question("One"), answer("another"), question("Two")));
    assert.deepEqual([other.grown, other.restored, other.skipped], id === undefined ? [0, 1, 0] : [0, 0, 1]);
  });
}

test("a conversation with a title of spaces only has none, and the metadata keeps the text", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, JSON.stringify({ id: "a", title: "  ", messages: [question("Hi")] }));
  assert.equal(report.restored, 1);
  const { title, metadata } = (await place.sessions.get("a")).info;
  assert.deepEqual([title, metadata], [null, { title: "  " }]);
});

test("a session says what its file says of itself: title, user, times, tokens and model", async () => {
  await using place = inMemory();
  const conversation = {
    uuid: "r",
    title: "Second oven",
    created_at: "2025-01-02T03:04:05Z",
    model: "m",
    user_id: "ada",
    tags: ["bread"],
    messages: [
      { ...question("Hi"), created_at: "2025-01-02T03:04:05Z" },
      { ...answer("Ho"), usage: { prompt_tokens: 10, completion_tokens: 5 } },
    ],
  };
  await importText(place.sessions, lines(conversation));
  const session = await place.sessions.get("r");
  const { title, user, metadata, createdAt, counters, expiresAt } = session.info;
  assert.deepEqual(
    [title, user, metadata, createdAt.toISOString(), counters.inputTokens, counters.outputTokens, expiresAt],
    [
      "Second oven",
      "ada",
      { title: "Second oven", model: "m", tags: ["bread"] },
      "2025-01-02T03:04:05.000Z",
      10,
      5,
      null,
    ],
  );
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [turn?.at.toISOString(), turn?.model, turn?.usage],
    ["2025-01-02T03:04:05.000Z", "m", { inputTokens: 10, outputTokens: 5, totalTokens: 15 }],
  );
});

test("a turn without a time has that of the one before it, and the first one that of the last change", async () => {
  await using place = inMemory({ ttl: "never" });
  const messages = [question("One"), { ...question("Two"), timestamp: "2025-01-03T00:00:00Z" }, question("Three")];
  const said = messages.flatMap((one) => [one, answer("ok")]);
  await importText(place.sessions, lines({ id: "t", updated_at: "2025-01-02T00:00:00Z", messages: said }));
  const session = await place.sessions.get("t");
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [...turns.map(({ at }) => at), session.info.createdAt].map((at) => at.toISOString().slice(0, 10)),
    ["2025-01-02", "2025-01-03", "2025-01-03", "2025-01-02"],
  );
});

test("turns without a time have that of the conversation, and none is later than the next one that has a time", async () => {
  await using place = inMemory({ ttl: "never" });
  const said = (...questions: readonly object[]): readonly object[] => questions.flatMap((one) => [one, answer("ok")]);
  const dated = (content: string, timestamp: string): object => ({ ...question(content), timestamp });
  const unreadable = dated("One", "31/12/2025 10:00");
  const two = dated("Two", "2025-03-30T10:00:00Z");
  const all: readonly [fields: object, turns: readonly string[], created: string, last: string][] = [
    [{ created_at: "2025-01-01", messages: said(question("One")) }, ["2025-01-01"], "2025-01-01", "2025-01-01"],
    [{ messages: said(unreadable, two) }, ["2025-03-30", "2025-03-30"], "2025-03-30", "2025-03-30"],
    [
      { created_at: "2025-01-01", messages: said(unreadable, two, question("Three")) },
      ["2025-01-01", "2025-03-30", "2025-03-30"],
      "2025-01-01",
      "2025-03-30",
    ],
    [
      { updated_at: "2025-05-01", messages: said(unreadable, two) },
      ["2025-03-30", "2025-03-30"],
      "2025-03-30",
      "2025-05-01",
    ],
  ];
  await importText(place.sessions, lines(...all.map(([fields], index) => ({ id: `c${index}`, ...fields }))));
  for (const [index, [, turns, created, last]] of all.entries()) {
    const session = await place.sessions.get(`c${index}`);
    const stored = (await Array.fromAsync(session.turns())).map(({ at }) => at);
    assert.deepEqual(
      [...stored, session.info.createdAt, session.info.lastActivityAt].map((at) => at.toISOString().slice(0, 10)),
      [...turns, created, last],
      `c${index}`,
    );
  }
});

test("a user may be an object with an id; what else it says is kept", async () => {
  await using place = inMemory();
  const user = { id: "ada", name: "Ada" };
  const report = await importText(
    place.sessions,
    lines(
      { id: "c", user, messages: [question("Hi")] },
      { id: "d", user: { _id: { $oid: "a1" } }, messages: [question("Hi")] },
    ),
  );
  await importText(place.sessions, lines({ session_id: "rows", user, question: "Hi", response: "Ho" }));
  await importText(place.sessions, lines({ chat_id: "loose", user, ...question("Hi") }));
  assert.deepEqual(report.reasons, []);
  const infos = await Promise.all(["c", "d", "rows", "loose"].map(async (id) => (await place.sessions.get(id)).info));
  assert.deepEqual(
    infos.map((info) => [info.user, info.metadata]),
    [
      ["ada", { user: { name: "Ada" } }],
      ["a1", {}],
      ["ada", {}],
      ["ada", {}],
    ],
  );
  const [, said] = await storedMessages(place.sessions, "rows");
  assert.deepEqual(nativeOf(said!)?.value, [{ user: { name: "Ada" } }]);
});

test("a document that is nested too deep is refused alone, also one with long numbers", async () => {
  await using place = inMemory();
  const deep = `${"[".repeat(5000)}${"]".repeat(5000)}`;
  const file = [
    `{"id":"a","metadata":{"deep":${deep}},"messages":[{"role":"user","content":"Hi"}]}`,
    `{"id":12345678901234567890,"metadata":{"deep":${deep}},"messages":[{"role":"user","content":"Hi"}]}`,
    lines({ id: "c", messages: [question("Hi")] }),
  ];
  const report = await importText(place.sessions, file.join("\n"));
  assert.equal(report.restored, 1);
  for (const { message } of report.reasons) assert.match(message, /nested too deep/);
});

test("functions of the first kind, calls without ids and custom calls are calls with their results", async () => {
  await using place = inMemory();
  await importText(
    place.sessions,
    lines(
      {
        id: "o",
        messages: [
          { role: "system", content: [{ type: "text", text: "Be brief." }] },
          question("Weather?"),
          { role: "assistant", content: null, function_call: { name: "get", arguments: "{}" } },
          { role: "function", name: "get", content: "7" },
          {
            role: "assistant",
            content: null,
            tool_calls: [{ id: "k", type: "custom", custom: { name: "note", input: "x" } }],
          },
          { role: "tool", tool_call_id: "k", content: "ok" },
        ],
      },
      {
        id: "s",
        conversations: [
          { from: "human", value: "Done?" },
          { from: "function_call", value: '{"name":"peek","arguments":{"shelf":2}}' },
          { from: "observation", value: "yes" },
          { from: "gpt", value: "It is." },
        ],
      },
      {
        id: "l",
        messages: [
          question("List"),
          { role: "assistant", content: "", tool_calls: [{ function: { name: "ls", arguments: { path: "/" } } }] },
          { role: "tool", tool_name: "ls", content: "a" },
        ],
      },
    ),
  );
  const calls = async (id: string): Promise<unknown> =>
    (await messagesOf(place.sessions, id)).flatMap(({ tool_calls: called, tool_call_id: of }) => [
      ...(called ?? []).map(({ id, function: { name, arguments: given } }) => `${id} ${name} ${given}`),
      ...(of === undefined ? [] : [`${of} answered`]),
    ]);
  assert.deepEqual(await calls("o"), ["call_1 get {}", "call_1 answered", "k note x", "k answered"]);
  assert.equal(await (await place.sessions.get("o")).instructions(), "Be brief.");
  assert.deepEqual(await calls("s"), ['call_1 peek {"shelf":2}', "call_1 answered"]);
  assert.deepEqual(await calls("l"), ['call_1 ls {"path":"/"}', "call_1 answered"]);
});

test("the form of a file is said once, may be named, and an unknown file is one line", async () => {
  await using place = inMemory();
  const read: unknown[] = [];
  const onForm = (file: object): void => void read.push(file);
  const file = lines(
    { messages: [question("Hi")] },
    { messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "x" }] }] },
  );
  await importText(place.sessions, file, { onForm });
  assert.deepEqual(read, [
    { file: "f", format: "anthropic", title: "messages of Anthropic's format", conversations: 2 },
  ]);
  const named = await importText(place.sessions, lines({ messages: [question("Hi")] }), { format: "sharegpt" });
  assert.match(
    named.reasons[0]?.message ?? "",
    /^f:1 is \{ messages \}: no conversation in one of the forms sharegpt$/,
  );
  await assert.rejects(importText(place.sessions, "{}", { format: "word" }), { code: "argument_invalid" });
  const unknown = await importText(
    place.sessions,
    lines(...Array.from({ length: 3000 }, (_, n) => ({ n, text: "x" }))),
    { length: 1000 },
  );
  assert.deepEqual([unknown.skipped, unknown.reasons.length], [3000, 1]);
  assert.match(unknown.reasons[0]?.message ?? "", /is \{ n, text \}/);
});

test("large whole numbers keep their digits, and an object with a name twice is refused", async () => {
  await using place = inMemory();
  const said = '"messages":[{"role":"user","content":"Hi"}]';
  const report = await importText(
    place.sessions,
    [
      `{"id":1234567890123456789,${said}}`,
      `{"id":1234567890123456788,${said},"n":12345678901234567890}`,
      `{"id":"d",${said},${said}}`,
      `{"id":"q","text":"\\":\\\\",${said}}`,
      '{"format":"openai","id":"f","messages":[{"role":"user","content":"Hi"}]}',
    ].join("\n"),
  );
  assert.deepEqual([report.restored, report.skipped, report.reasons[0]?.source], [4, 1, "f:3"]);
  const { info } = await place.sessions.get("1234567890123456788");
  assert.deepEqual(info.metadata, { n: "12345678901234567890" });
});

test("documents stand on lines, in arrays, laid out one after the other, and in lists inside an object", async () => {
  const one = (id: string): object => ({ id, messages: [question(`${id} [{"`)] });
  const laidOut = (value: object): string => JSON.stringify(value, null, 2);
  const files: readonly [string, string][] = [
    ["laid out", `${laidOut(one("a"))}\n${laidOut(one("b"))}\n`],
    [
      "the first name beside the brace",
      `{"id":"a",\n "messages":[{"role":"user","content":"x"}]}\n{"id":"b",\n "messages":[{"role":"user","content":"y"}]}`,
    ],
    ["two arrays", `${JSON.stringify([one("a")])}\n\n${laidOut([one("b")])}`],
    ["arrays of messages on lines", `${JSON.stringify([question("a")])}\n${JSON.stringify([question("b")])}\n`],
    ["a list inside an object", laidOut({ exported: "today", conversations: [one("a"), one("b")] })],
    ["a list of lists", JSON.stringify([[question("a")], [question("b")]])],
  ];
  for (const [name, text] of files)
    for (const length of [1, 1000]) {
      await using place = inMemory();
      const report = await importText(place.sessions, text, { length });
      assert.deepEqual([report.restored, report.reasons], [2, []], name);
    }
});

test("a damaged first line of a file of lines does not take the others along; an array that does not end is told", async () => {
  await using place = inMemory();
  const good = JSON.stringify({ id: "a", messages: [question("Hi")] });
  const lost = await importText(place.sessions, `{"id":"x","messages":[{"role"\n${good}\n`);
  assert.deepEqual([lost.restored, lost.skipped], [1, 1]);
  for (const end of ["", ",", ",\n"]) {
    await using other = inMemory();
    const cut = await importText(other.sessions, `[${good},${good.replace('"a"', '"b"')}${end}`);
    assert.deepEqual([cut.restored, cut.skipped], [2, 1], end);
    assert.match(cut.reasons[0]?.message ?? "", /has an array that does not end/);
  }
  for (const text of ["[]\n", '{"conversations":[]}', '{"data":[],"total":0}', "\ufeff[ ]"]) {
    const { skipped, empty, reasons } = await importText(place.sessions, text);
    assert.deepEqual([skipped, empty], [1, 1], text);
    assert.match(reasons[0]?.message ?? "", /^f(:1)? has no conversations$/, text);
  }
  for (const text of ["", " \n", "\ufeff"]) {
    const { skipped, empty, reasons } = await importText(place.sessions, text);
    assert.deepEqual([skipped, empty, reasons[0]?.message], [1, 0, "f has no documents: it is empty"], text);
  }
});

test("a dry run counts as the import does, and writes nothing", async () => {
  await using place = inMemory();
  const grown = [question("One"), answer("1")];
  const file = lines(
    { id: "a", messages: grown },
    { id: "a", messages: grown },
    { id: "a", messages: [...grown, question("Two")] },
    { id: "a", messages: [question("Another")] },
    { messages: grown },
    { messages: grown },
    { id: "b", messages: [{ role: "user" }] },
  );
  const dry = await importText(place.sessions, file, { dryRun: true });
  assert.equal(await place.sessions.count(), 0);
  const real = await importText(place.sessions, file);
  assert.deepEqual(dry, real);
  assert.deepEqual([real.restored, real.present, real.grown, real.skipped], [3, 1, 1, 2]);
});
