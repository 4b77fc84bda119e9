/** Conversations whose last turn has grown since the last import: an answer, the result of a call, more of an answer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../test/support/import-text.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { exportSessions, type ImportReport } from "../admin.ts";
import { renderings } from "../files/renderings.ts";
import type { Message, Sessions } from "../index.ts";
import { wordsIn } from "../sessions/transfer/turn-words.ts";

const openai = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "One?" },
  { role: "user", content: "Or two?" },
  {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
  },
  { role: "tool", tool_call_id: "c", content: "2" },
  { role: "assistant", content: "Two.", usage: { prompt_tokens: 7, completion_tokens: 3 }, model: "m" },
  { role: "user", content: "Sure?" },
  { role: "assistant", content: "Yes." },
];
const anthropic = [
  { role: "user", content: [{ type: "text", text: "One?" }] },
  { role: "assistant", content: [{ type: "tool_use", id: "c", name: "f", input: {} }] },
  { role: "user", content: [{ type: "tool_result", tool_use_id: "c", content: "2" }] },
  { role: "assistant", content: [{ type: "text", text: "Two." }] },
];

const counts = ({ restored, present, grown, replaced, turns, skipped }: ImportReport): readonly number[] => [
  restored,
  present,
  grown,
  replaced,
  turns,
  skipped,
];

async function storedIn(sessions: Sessions): Promise<unknown> {
  const { items } = await sessions.list();
  assert.equal(items.length, 1);
  const { session, logs } = await sessions.snapshot(items[0]!.id);
  const { id: _, createdAt: _created, lastActivityAt: _last, ...record } = session;
  return { record, turns: logs["turns"]?.map(({ data }) => data), instructions: logs["instructions"]?.at(-1)?.data };
}

for (const [name, all, id] of [
  ["with an id", openai, "s"],
  ["without an id", openai, undefined],
  ["of another format", anthropic, "s"],
] as const)
  test(`a conversation ${name} that was cut anywhere continues in its session`, async () => {
    const textOf = (messages: readonly object[]): string => JSON.stringify({ id, messages });
    await using whole = inMemory();
    await importText(whole.sessions, textOf(all));
    const expected = await storedIn(whole.sessions);
    // The instructions alone are no conversation.
    for (let length = name === "of another format" ? 1 : 2; length < all.length; length++) {
      await using place = inMemory();
      await importText(place.sessions, textOf(all.slice(0, length)));
      const dry = await importText(place.sessions, textOf(all), { dryRun: true });
      const real = await importText(place.sessions, textOf(all));
      assert.deepEqual([real.grown, real.restored, real.reasons], [1, 0, []], `${length}`);
      assert.deepEqual(counts(dry), counts(real));
      assert.deepEqual(await storedIn(place.sessions), expected, `${length}`);
      assert.deepEqual(counts(await importText(place.sessions, textOf(all))), [0, 1, 0, 0, 0, 0]);
    }
  });

test("the two states of a conversation in one file are one session, in a dry run too", async () => {
  await using place = inMemory();
  const states = [2, 3, 5, 8].map((length) => ({ id: "s", title: `${length}`, messages: openai.slice(0, length) }));
  const text = states.map((state) => JSON.stringify(state)).join("\n");
  const dry = await importText(place.sessions, text, { dryRun: true });
  const real = await importText(place.sessions, text);
  assert.deepEqual(counts(dry), counts(real));
  assert.deepEqual(counts(real), [1, 0, 3, 0, 2, 0]);
});

/** The first turns of a conversation, as two exports write them. */
const exported = (length: number, state: "before" | "after", about: object = {}): string => {
  const isAfter = state === "after";
  const beside = isAfter ? { feedback: "good", tokens: 9, cached: { prompt: 1 } } : { tokens: 4, draft: true };
  const messages = openai.slice(0, length).map((message) => ({ ...message, ...beside }));
  const archived = isAfter ? { is_archived: true, folder: "bread" } : { is_archived: false, is_open: true };
  return JSON.stringify({ id: "s", title: state, ...archived, messages, ...about });
};

test("a later export that writes other fields around the same words continues the session, which gets the fields", async () => {
  const [before, after] = [exported(5, "before"), exported(8, "after")];
  await using place = inMemory();
  const pair = await importText(place.sessions, `${before}\n${after}`, { dryRun: true });
  assert.deepEqual(counts(pair), [1, 0, 1, 0, 2, 0]);
  await importText(place.sessions, before);
  const dry = await importText(place.sessions, after, { dryRun: true });
  const real = await importText(place.sessions, after);
  assert.deepEqual(counts(dry), counts(real));
  assert.deepEqual([counts(real), real.reasons], [[0, 0, 1, 0, 1, 0], []]);
  const { title, metadata } = (await place.sessions.get("s")).info;
  assert.equal(title, "before");
  assert.deepEqual(metadata, { title: "after", is_archived: true, is_open: true, folder: "bread" });
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).map(({ content }) => content),
    openai.slice(1).map(({ content }) => content),
  );
  for (const state of [after, before, exported(2, "before"), exported(7, "before")])
    for (const onExists of ["skip", "replace"] as const) {
      // The first export is an earlier state now.
      const again = await importText(place.sessions, state, { onExists });
      assert.deepEqual([counts(again), again.reasons], [[0, 1, 0, 0, 0, 0], []], state);
    }
});

test("the same words with other fields around them, instructions or a user differ, and replace the session on request", async () => {
  const others = [
    exported(8, "after"),
    exported(8, "before", { user: "eve" }),
    exported(8, "before", { system: "Be long." }),
    JSON.stringify({ id: "s", user: "eve", messages: [...openai, { role: "user", content: "And?" }] }),
    JSON.stringify({ id: "s", messages: [{ role: "system", content: "Be long." }, ...openai.slice(1), openai[1]] }),
  ];
  for (const other of others) {
    await using place = inMemory();
    await importText(place.sessions, exported(8, "before"));
    assert.deepEqual(counts(await importText(place.sessions, other)), [0, 0, 0, 0, 0, 1], other);
    const { replaced } = await importText(place.sessions, other, { onExists: "replace" });
    assert.equal(replaced, 1, other);
  }
});

test("a grown conversation whose metadata is too large with that of the session is refused, in a dry run too", async () => {
  await using place = inMemory({ limits: { metadataBytesMax: 1000 } });
  const text = (length: number, name: string): string =>
    JSON.stringify({ id: "s", [name]: "x".repeat(600), messages: openai.slice(0, length) });
  await importText(place.sessions, text(3, "one"));
  const stored = await storedIn(place.sessions);
  for (const dryRun of [true, false]) {
    const { skipped, reasons } = await importText(place.sessions, text(8, "two"), { dryRun });
    assert.deepEqual([skipped, reasons[0]?.code], [1, "metadata_too_large"]);
  }
  assert.deepEqual(await storedIn(place.sessions), stored);
});

test("an earlier state of a stored conversation is present, and replaces nothing", async () => {
  for (let length = 2; length < openai.length; length++) {
    await using place = inMemory();
    await importText(place.sessions, JSON.stringify({ id: "s", messages: openai }));
    const stored = await storedIn(place.sessions);
    const text = JSON.stringify({ id: "s", messages: openai.slice(0, length) });
    const both = `${JSON.stringify({ id: "s", messages: openai })}\n${text}`;
    await using empty = inMemory();
    const dry = await importText(empty.sessions, both, { dryRun: true });
    assert.deepEqual(counts(dry), [1, 1, 0, 0, 2, 0]);
    assert.deepEqual(counts(await importText(place.sessions, text)), [0, 1, 0, 0, 0, 0]);
    assert.deepEqual(await storedIn(place.sessions), stored);
    for (const dryRun of [true, false])
      assert.deepEqual(
        counts(await importText(place.sessions, `${text}\n${both}\n${text}`, { onExists: "replace", dryRun })),
        [0, 4, 0, 0, 0, 0],
      );
    assert.deepEqual(await storedIn(place.sessions), stored);
  }
});

test("a conversation whose answer has changed differs", async () => {
  const texts = (at: number, content: string): readonly object[] =>
    openai.map((message, index) => (index === at ? { ...message, content } : message));
  const changed: readonly [before: readonly object[], after: readonly object[]][] = [
    [openai, texts(7, "No.")],
    [openai.slice(0, 6), texts(5, "Three.")],
    [openai.slice(0, 5), [...texts(4, "3"), { role: "user", content: "And?" }]],
    [openai.slice(0, 2), texts(1, "Which?")],
    [openai.slice(0, 4), [...openai.slice(0, 2), { role: "assistant", content: "Two." }]],
  ];
  for (const [before, after] of changed) {
    await using place = inMemory();
    await importText(place.sessions, JSON.stringify({ id: "s", messages: before }));
    const stored = await storedIn(place.sessions);
    const text = JSON.stringify({ id: "s", messages: after });
    const dry = await importText(place.sessions, text, { dryRun: true });
    const { skipped, reasons, ...report } = await importText(place.sessions, text);
    assert.deepEqual([skipped, reasons[0]?.code, dry.skipped], [1, "session_exists", 1], JSON.stringify(report));
    assert.deepEqual(await storedIn(place.sessions), stored);
  }
});

test("a session that was continued here has all of its file; an answer that was given here is not replaced by another", async () => {
  await using place = inMemory();
  await importText(place.sessions, JSON.stringify({ id: "s", messages: openai.slice(0, 2) }));
  const session = await place.sessions.get("s");
  await session.append({ input: [], output: [{ role: "assistant", content: "Here." }] });
  const file = JSON.stringify({ id: "s", messages: openai.slice(0, 2) });
  assert.equal((await importText(place.sessions, file)).present, 1);
  const { skipped } = await importText(place.sessions, JSON.stringify({ id: "s", messages: openai }));
  assert.equal(skipped, 1);
});

/** The counts of imports one after the other, which a dry run of each gives too. */
async function countsOf(sessions: Sessions, ...files: readonly (object | string)[]): Promise<(readonly number[])[]> {
  const all: (readonly number[])[] = [];
  for (const file of files) {
    const text = typeof file === "string" ? file : JSON.stringify(file);
    const dry = counts(await importText(sessions, text, { dryRun: true }));
    all.push(counts(await importText(sessions, text)));
    assert.deepEqual(dry, all.at(-1));
  }
  return all;
}

const [restored, present, grown] = [
  [1, 0, 0, 0, 1, 0],
  [0, 1, 0, 0, 0, 0],
  [0, 0, 1, 0, 1, 0],
];

test("a conversation whose messages have other fields when it has grown is present the next time, and in a dry run of all states", async () => {
  const state = (flag: number, ...more: readonly object[]): object => ({
    id: "g",
    messages: [{ role: "user", content: "a", flag }, { role: "assistant", content: "b" }, ...more],
  });
  const [one, two] = [state(1), state(2, { role: "user", content: "c" }, { role: "assistant", content: "d" })];
  await using place = inMemory();
  assert.deepEqual(await countsOf(place.sessions, one, two, two, one), [restored, grown, present, present]);
  assert.equal((await messagesOf(place.sessions, "g"))[0]?.["flag"], 2);
  await using other = inMemory();
  const text = [one, two, one, two].map((file) => JSON.stringify(file)).join("\n");
  const dry = await importText(other.sessions, text, { dryRun: true });
  assert.deepEqual(counts(dry), [1, 2, 1, 0, 2, 0]);
  assert.deepEqual(counts(await importText(other.sessions, text)), counts(dry));
});

test("the same conversation in another form continues: parts and texts, spaces of arguments, ids of calls", async () => {
  const call = (id: string, given: string, content: unknown): object => ({
    role: "assistant",
    content,
    tool_calls: [{ id, type: "function", function: { name: "f", arguments: given } }],
  });
  const one = [
    { role: "user", content: "A" },
    call("c1", '{"a":1,"b":[2]}', null),
    { role: "tool", tool_call_id: "c1", content: '{"r":1}' },
    { role: "assistant", content: "B" },
  ];
  const other = [
    { role: "user", content: [{ type: "text", text: "A" }] },
    call("x9", '{ "b": [2], "a": 1 }', ""),
    { role: "tool", tool_call_id: "x9", content: [{ type: "text", text: '{"r": 1}' }] },
    { role: "assistant", content: [{ type: "text", text: "B" }] },
  ];
  const more = [{ role: "user", content: "C" }];
  for (const [first, second] of [
    [one, other],
    [other, one],
  ] as const) {
    await using place = inMemory();
    const files = [first, second, [...second, ...more], first, [...first, ...more]].map((messages) => ({
      id: "s",
      messages,
    }));
    assert.deepEqual(await countsOf(place.sessions, ...files), [restored, present, grown, present, present]);
    const messages = await messagesOf(place.sessions, "s");
    assert.deepEqual(messages.slice(0, 4), first);
  }
  for (const changed of [
    one.map((message, index) => (index === 1 ? call("c1", '{"a":2,"b":[2]}', null) : message)),
    one.map((message, index) => (index === 1 ? call("c1", '{"a":12345678901234567,"b":[2]}', null) : message)),
    one.map((message, index) => (index === 2 ? { ...message, content: '{"r":2}' } : message)),
  ]) {
    await using place = inMemory();
    const files = [one, [...changed, ...more]].map((messages) => ({ id: "s", messages }));
    assert.deepEqual(await countsOf(place.sessions, ...files), [restored, [0, 0, 0, 0, 0, 1]]);
  }
});

test("an export of a call without a result beside its session is present, and the true result takes the place of the made one", async () => {
  const open = { id: "s", messages: openai.slice(0, 4) };
  await using from = inMemory();
  await importText(from.sessions, JSON.stringify(open));
  const [snapshot] = await Array.fromAsync(exportSessions(from.sessions));
  const exported = renderings.openai(snapshot!.text).text;
  assert.match(exported, /was interrupted/);
  assert.deepEqual(await countsOf(from.sessions, exported), [present]);
  await using to = inMemory();
  const whole = { id: "s", messages: openai.slice(0, 6) };
  assert.deepEqual(await countsOf(to.sessions, exported, whole, whole), [restored, [0, 0, 1, 0, 0, 0], present]);
  assert.deepEqual((await messagesOf(to.sessions, "s")).at(-1)?.content, "Two.");
  // A made result within the session, which the other export does not have.
  const asked = [
    { role: "user", content: "Well?" },
    { role: "assistant", content: "Yes." },
  ];
  const within = { id: "w", messages: [...openai.slice(0, 4), ...asked] };
  await importText(from.sessions, JSON.stringify(within));
  const [made] = (await Array.fromAsync(exportSessions(from.sessions))).filter(({ id }) => id === "w");
  const longer = { id: "w", messages: [...within.messages, ...asked] };
  assert.deepEqual(await countsOf(to.sessions, renderings.openai(made!.text).text, longer, longer), [
    [1, 0, 0, 0, 2, 0],
    grown,
    present,
  ]);
  const { logs } = await to.sessions.snapshot("w");
  const numbers = logs["turns"]!.map(({ data }) => (data as { messagesBefore: number }).messagesBefore);
  assert.deepEqual(numbers, [0, 4, 6]);
});

test("equal conversations without ids grow each by its own, in any order", async () => {
  const begun = { messages: openai.slice(1, 4) };
  const [one, other] = ["2", "3"].map((content) => ({
    messages: [...openai.slice(1, 4), { role: "tool", tool_call_id: "c", content }],
  }));
  const file = (...all: readonly unknown[]): string => all.map((one) => JSON.stringify(one)).join("\n");
  for (const [states, expected] of [
    [
      [one, other],
      [0, 0, 2, 0, 0, 0],
    ],
    [
      [one, one],
      [0, 0, 2, 0, 0, 0],
    ],
    [
      [one, begun],
      [0, 1, 1, 0, 0, 0],
    ],
  ] as const) {
    await using place = inMemory();
    assert.deepEqual(await countsOf(place.sessions, file(begun, begun)), [[2, 0, 0, 0, 2, 0]]);
    assert.deepEqual(await countsOf(place.sessions, file(...states)), [expected]);
    const again = [0, 2, 0, 0, 0, 0];
    assert.deepEqual(await countsOf(place.sessions, file(...states), file(...states.toReversed())), [again, again]);
    assert.equal(await place.sessions.count(), 2);
  }
});

test("a snapshot of a session that was continued since is present, and restores it on request", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "One?", output: "One." });
  const { text } = (await Array.fromAsync(exportSessions(place.sessions)))[0]!;
  await session.append({ input: "Two?", output: "Two." });
  const later = (await Array.fromAsync(exportSessions(place.sessions)))[0]!.text;
  assert.deepEqual(await countsOf(place.sessions, text, later), [present, present]);
  await using other = inMemory();
  const dry = await importText(other.sessions, `${later}\n${text}`, { dryRun: true });
  assert.deepEqual(counts(dry), [1, 1, 0, 0, 2, 0]);
  assert.equal((await importText(place.sessions, text, { onExists: "replace" })).replaced, 1);
  assert.equal((await messagesOf(place.sessions, "s")).length, 2);
});

test("a session whose last turn is in progress does not grow by an import", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.begin("One?");
  const messages = [
    { role: "user", content: "One?" },
    { role: "assistant", content: "One." },
  ];
  const { skipped, reasons } = await importText(place.sessions, JSON.stringify({ id: "s", messages }));
  assert.deepEqual([skipped, reasons[0]?.code], [1, "session_exists"]);
  assert.equal((await messagesOf(place.sessions, "s")).length, 1);
});

test("a dry run knows the metadata of all states of a conversation", async () => {
  const state = (fields: object, length: number): object => ({ id: "s", ...fields, messages: openai.slice(0, length) });
  const states = [state({ one: "1" }, 3), state({ two: "2" }, 8), state({ one: "1" }, 8)];
  await using place = inMemory();
  const text = states.map((one) => JSON.stringify(one)).join("\n");
  const dry = counts(await importText(place.sessions, text, { dryRun: true }));
  assert.deepEqual(dry, [1, 1, 1, 0, 2, 0]);
  assert.deepEqual(counts(await importText(place.sessions, text)), dry);
});

test("a call whose id comes again keeps its place", () => {
  const call: Message = {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
  };
  const [one, later] = [[call], [call, call]].map((output) => wordsIn({ input: [], output }).output);
  assert.equal(later![0], one![0]);
});
