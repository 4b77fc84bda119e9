/** Messages of Mastra as turns, and turns of other frameworks as messages of Mastra. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import type { MastraDBMessage } from "@mastra/core/agent";
import type { MemoryStorage } from "@mastra/core/storage";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { doctor, erase } from "../../../src/admin.ts";
import { perdureMemory } from "../../../src/adapters/mastra.ts";
import { openSessions, type Message, type Session, type Sessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../../src/store/memory.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";
import { foreignTurn, grow, growLong, replacements } from "../replacements.ts";
import { messageOf, threadOf } from "./messages.ts";

/** The texts of the turns: questions, then answers. */
async function turnsOf(session: Session): Promise<readonly (readonly string[])[]> {
  const text = ({ role, content, tool_calls: calls = [] }: Message): string =>
    calls.length > 0 ? `${role} calls ${calls.map(({ id }) => id).join()}` : `${role}: ${String(content)}`;
  return (await Array.fromAsync(session.turns())).map(({ input, output }) => [...input, ...output].map(text));
}

async function textsIn(memory: MemoryStorage, threadId = "t"): Promise<readonly string[]> {
  const { messages } = await memory.listMessages({ threadId, perPage: false });
  return messages.map(({ content }) => content.parts.flatMap((part) => ("text" in part ? [part.text] : [])).join());
}

const parts = (message: MastraDBMessage, ...given: readonly object[]): MastraDBMessage =>
  ({ ...message, content: { format: 2, parts: given } }) as unknown as MastraDBMessage;

const called = (id: string, outcome: object): object => ({
  type: "tool-invocation",
  toolInvocation: { toolCallId: id, toolName: "look", args: {}, ...outcome },
});

const exchange = (n: number): MastraDBMessage[] => [
  messageOf(`q${n}`, { at: 2 * n, text: `Question ${n}?` }),
  messageOf(`a${n}`, { at: 2 * n + 1, text: `Answer ${n}.` }),
];

/** A memory with a thread, and its session. */
async function begun(sessions: Sessions): Promise<{ memory: MemoryStorage; session: () => Promise<Session> }> {
  const memory = await perdureMemory(sessions);
  await memory.saveThread({ thread: threadOf("t") });
  return { memory, session: () => sessions.get("mastra/t") };
}

test("an answer that grows is one turn, in the commit of its message, with its calls and their results", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  const [question, answer] = exchange(0) as [MastraDBMessage, MastraDBMessage];
  await memory.saveMessages({ messages: [question] });
  assert.deepEqual(await turnsOf(await session()), [["user: Question 0?"]]);
  const { version } = (await session()).info;
  await memory.saveMessages({ messages: [parts(answer, called("c1", { state: "call" }))] });
  assert.equal((await session()).info.version, version + 1);
  assert.deepEqual(await turnsOf(await session()), [["user: Question 0?", "assistant calls c1"]]);
  const results = [
    called("c1", { state: "result", result: "one" }),
    called("c2", { state: "output-error", errorText: "gone" }),
  ];
  await memory.saveMessages({ messages: [parts(answer, ...results, { type: "text", text: "One." })] });
  const whole = ["user: Question 0?", "assistant calls c1,c2", "tool: one", "tool: gone", "assistant: One."];
  assert.deepEqual(await turnsOf(await session()), [whole]);
  const [turn] = await Array.fromAsync((await session()).turns());
  assert.deepEqual([turn?.status, turn?.output[2]?.["is_error"]], ["done", true]);
  await memory.saveMessages({ messages: exchange(1) });
  assert.deepEqual(await turnsOf(await session()), [whole, ["user: Question 1?", "assistant: Answer 1."]]);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("messages that are changed, deleted or moved change their turns, unless others have added turns behind them", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await memory.saveThread({ thread: threadOf("other") });
  for (const n of [0, 1, 2]) await memory.saveMessages({ messages: exchange(n) });
  const content = { format: 2 as const, parts: [{ type: "text" as const, text: "Changed." }] };
  await memory.updateMessages({ messages: [{ id: "a1", content }] });
  await memory.deleteMessages(["q0", "a0"]);
  const changed = [
    ["user: Question 1?", "assistant: Changed."],
    ["user: Question 2?", "assistant: Answer 2."],
  ];
  assert.deepEqual(await turnsOf(await session()), changed);
  await memory.updateMessages({ messages: [{ id: "a2", threadId: "other" }] as never });
  assert.deepEqual(await turnsOf(await session()), [changed[0], ["user: Question 2?"]]);
  assert.deepEqual(await turnsOf(await place.sessions.get("mastra/other")), [["assistant: Answer 2."]]);
  await (await session()).append({ input: "And?", output: "Yes." });
  await memory.deleteMessages(["q1"]);
  assert.deepEqual(await turnsOf(await session()), [
    changed[0],
    ["user: Question 2?"],
    ["user: And?", "assistant: Yes."],
  ]);
  assert.deepEqual(await textsIn(memory), ["Changed.", "Question 2?", "And?", "Yes."]);
  // The last turn is that of another framework: its message leaves Mastra alone.
  const { messages } = await memory.listMessages({ threadId: "t", perPage: false });
  await memory.deleteMessages([messages.at(-1)!.id]);
  assert.deepEqual(await textsIn(memory), ["Changed.", "Question 2?", "And?"]);
  assert.equal((await turnsOf(await session())).at(-1)?.at(-1), "assistant: Yes.");
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("turns of others are messages of Mastra, in pages, filters and copies, before and after its next write", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await memory.saveMessages({ messages: [exchange(0)[0]!] });
  // Another framework answers, goes on, and replaces its answer.
  const own = await session();
  const [turn] = await Array.fromAsync(own.turns());
  const answered = (text: string): { input: readonly Message[]; output: string } => ({
    input: turn!.input,
    output: text,
  });
  await own.write({ turns: { from: 1, amends: true, turns: [answered("First.")] }, onto: own.info.version });
  await own.append({ input: "More?", output: "More." });
  assert.deepEqual(await textsIn(memory), ["Question 0?", "First.", "More?", "More."]);
  const read = async (): Promise<unknown> => {
    const newest = await memory.listMessages({
      threadId: "t",
      perPage: 2,
      orderBy: { field: "createdAt", direction: "DESC" },
    });
    const { id } = newest.messages[1]!;
    const around = await memory.listMessages({
      threadId: "t",
      perPage: 1,
      include: [{ id: "q0", withNextMessages: 1 }],
    });
    const found = await memory.listMessages({
      threadId: "t",
      resourceId: "ada",
      filter: { dateRange: { start: new Date(0) } },
    });
    return [id, newest.total, newest.hasMore, around.messages.map((one) => one.id), found.total];
  };
  const before = await read();
  const { info } = await session();
  assert.equal((await session()).info.version, info.version, "a read writes nothing");
  await memory.saveMessages({ messages: [messageOf("q1", { at: 2_000_000_000 - 1_700_000_000, text: "Thanks." })] });
  const [id, total, hasMore, ids, found] = before as [string, number, boolean, string[], number];
  assert.deepEqual([total, hasMore, found], [4, true, 4]);
  assert.deepEqual(await textsIn(memory), ["Question 0?", "First.", "More?", "More.", "Thanks."]);
  const { messages } = await memory.listMessagesById({ messageIds: [id, ...ids] });
  assert.deepEqual(
    messages.map((one) => one.id),
    [...ids, id],
  );
  const copy = await memory.cloneThread({ sourceThreadId: "t", newThreadId: "copy" });
  assert.equal(copy.clonedMessages.length, 5);
  assert.equal((await turnsOf(await place.sessions.get("mastra/copy"))).length, 3);
  // An answer in the place of one of Mastra is a message of its own.
  const reply = messageOf("a1", { at: 300_000_001, text: "Fine." });
  await memory.saveMessages({ messages: [reply] });
  const now = await session();
  const { input } = (await Array.fromAsync(now.turns({ last: 1 })))[0]!;
  await now.write({ turns: { from: 3, turns: [{ input, output: "Better." }] }, onto: now.info.version });
  assert.deepEqual((await textsIn(memory)).slice(-3), ["Thanks.", "Fine.", "Better."]);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

for (const [title, { meanwhile, expected }] of Object.entries(replacements))
  test(`Mastra has what others have written in the place of known turns, each message once: ${title}`, async () => {
    await using place = inMemory();
    const { memory, session } = await begun(place.sessions);
    for (const n of [0, 1]) await memory.saveMessages({ messages: exchange(n) });
    await (await session()).append(foreignTurn("Old"));
    // Mastra adopts the turn of the other framework, whose end is the last known one.
    await memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
    const own = ["Question 0?", "Answer 0.", "Question 1?", "Answer 1."];
    const foreign = async (): Promise<readonly string[]> =>
      (await textsIn(await perdureMemory(place.another()))).filter((text) => !own.includes(text));
    assert.deepEqual(await foreign(), ["Old?", "Old."]);
    await place.clock.advance(1000);
    await meanwhile(await place.another().get("mastra/t"));
    assert.deepEqual(await foreign(), expected);
    await memory.saveMessages({ messages: [messageOf("q9", { at: 90, text: "Question 9?" })] });
    own.push("Question 9?");
    assert.deepEqual(await foreign(), expected);
    await memory.saveMessages({ messages: [messageOf("a9", { at: 91, text: "Answer 9." })] });
    own.push("Answer 9.");
    assert.deepEqual(await foreign(), expected);
  });

test("a turn of others that grows in steps is in the thread once, also where others replace a later turn", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await memory.saveMessages({ messages: exchange(0) });
  const touch = (): Promise<unknown> => memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  const shown = async (): Promise<readonly unknown[]> => {
    const { messages, total } = await memory.listMessages({ threadId: "t", perPage: false });
    assert.equal(messages.length, total);
    return messages.slice(2).flatMap(({ content }) =>
      content.parts.flatMap((part): readonly unknown[] => {
        if (part.type === "text") return [part.text];
        return part.type === "tool-invocation" ? [Object.values(part.toolInvocation).at(-1)] : [];
      }),
    );
  };
  await grow(await place.another().get("mastra/t"), async () => {
    const before = await shown();
    await touch();
    assert.deepEqual(await shown(), before);
  });
  const expected = ["Where?", "one", "two", "Again.", "Again.", "Old?", "Old."];
  assert.deepEqual(await shown(), expected);
  await place.clock.advance(1000);
  const others = await session();
  await others.truncate(2);
  await others.append(foreignTurn("New"));
  for (const _ of ["read", "stored"]) {
    assert.deepEqual(await shown(), [...expected, "New?", "New."]);
    await touch();
  }
});

/** A thread that an earlier build has stored, in this file. */
async function earlierThread(sessions: Sessions, file: string): Promise<Session> {
  const path = new URL(file, import.meta.url);
  const { snapshot, documents } = JSON.parse(readFileSync(path, "utf8")) as { snapshot: never; documents: never[] };
  const session = await sessions.restore(snapshot);
  await sessions.documents("mastra").write(documents);
  return session;
}

test("a thread in which an earlier build has named messages of others has each of them once", async () => {
  await using place = inMemory();
  const session = await earlierThread(place.sessions, "./earlier-thread.json");
  const memory = await perdureMemory(place.sessions);
  const stored = await textsIn(memory);
  assert.equal(stored.length, 8);
  await place.clock.advance(1000);
  await session.truncate(2);
  await session.append(foreignTurn("New"));
  for (const _ of ["read", "stored"]) {
    assert.deepEqual(await textsIn(memory), [...stored, "New?", "New."]);
    await memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  }
});

test("a long turn of others that an earlier build has named in two steps is in the thread whole, each message once", async () => {
  await using place = inMemory();
  const session = await earlierThread(place.sessions, "./earlier-long-thread.json");
  const memory = await perdureMemory(place.sessions);
  const stored = await textsIn(memory);
  assert.equal(stored.length, 7, "20 and 14 steps are one message each");
  await session.truncate(2);
  const steps = Array.from({ length: 40 }, (_, at) => `Step ${at}.`);
  const output = steps.map((content) => ({ role: "assistant" as const, content }));
  const turns = [{ input: "Go.", output, status: "done" as const }];
  await session.write({ turns: { from: 2, amends: true, turns }, onto: session.info.version });
  for (const _ of ["read", "stored"]) {
    assert.deepEqual(await textsIn(memory), [...stored, ...steps.slice(34)]);
    await memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  }
});

test("a result that others give to a call of Mastra is in its message, and is its result in the turn once", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  const [question, answer] = exchange(0) as [MastraDBMessage, MastraDBMessage];
  const calling = parts(answer, called("c1", { state: "call" }), called("c2", { state: "call" }));
  await memory.saveMessages({ messages: [question, calling] });
  const others = await session();
  const [turn] = await Array.fromAsync(others.turns());
  const result = (id: string): Message => ({ role: "tool", tool_call_id: id, content: `result ${id}` });
  const output = [...turn!.output, result("c1")];
  await others.write({
    turns: { from: 1, amends: true, turns: [{ input: turn!.input, output, status: "interrupted" }] },
    onto: others.info.version,
  });
  const invocations = (message?: MastraDBMessage): readonly object[] =>
    message?.content.parts.flatMap((part) => (part.type === "tool-invocation" ? [part.toolInvocation] : [])) ?? [];
  const listed = async (): Promise<readonly MastraDBMessage[]> => {
    const { messages, total } = await memory.listMessages({ threadId: "t", perPage: false });
    assert.equal(messages.length, total);
    return messages;
  };
  const [first, second] = ["c1", "c2"].map((toolCallId) => {
    const call = { toolCallId, toolName: "look", args: {} };
    return { open: { ...call, state: "call" }, whole: { ...call, state: "result", result: `result ${toolCallId}` } };
  });
  assert.deepEqual(invocations((await listed())[1]), [first!.whole, second!.open]);
  // Mastra saves the message as it has read it, with what its model has said since.
  const grown = [first!.whole, second!.open].map((toolInvocation) => ({ type: "tool-invocation", toolInvocation }));
  await memory.saveMessages({ messages: [parts(answer, ...grown, { type: "text", text: "Mine." })] });
  await others.refresh();
  await others.append({ input: [], output: [result("c2"), { role: "assistant", content: "Both." }] });
  for (const _ of ["read", "stored"]) {
    const messages = await listed();
    assert.deepEqual([messages.map(({ id }) => id).slice(0, 2), messages.length], [["q0", "a0"], 3]);
    assert.deepEqual(invocations(messages[1]), [first!.whole, second!.whole]);
    await memory.updateMessages({ messages: [{ id: "q0", type: "text" }] as never });
  }
  assert.deepEqual(await turnsOf(await session()), [
    ["user: Question 0?", "assistant calls c1,c2", "assistant: Mine.", "tool: result c1"],
    ["tool: result c2", "assistant: Both."],
  ]);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("a result that others give to a call of a deleted message of Mastra is shown with the call", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  const [question, answer] = exchange(0) as [MastraDBMessage, MastraDBMessage];
  await memory.saveMessages({ messages: [question, parts(answer, called("c1", { state: "call" }))] });
  const others = await session();
  const turn = await others.begin("And?");
  const { token } = await turn.wait({ state: {}, reason: "approval" });
  // The session takes no turns now: the call stays in its turn.
  await memory.deleteMessages(["a0"]);
  await others.sealWaiting(token);
  await others.append({ input: [], output: [{ role: "tool", tool_call_id: "c1", content: "one" }] });
  const { messages } = await memory.listMessages({ threadId: "t", perPage: false });
  const invoked = messages.at(-1)!.content.parts.find(({ type }) => type === "tool-invocation");
  assert.deepEqual((invoked as { toolInvocation?: unknown }).toolInvocation, {
    toolCallId: "c1",
    toolName: "look",
    args: {},
    state: "result",
    result: "one",
  });
});

test("a turn of others with more than 32 messages that grows is in the thread whole, each message once", async () => {
  await using place = inMemory();
  const { memory } = await begun(place.sessions);
  await memory.saveMessages({ messages: exchange(0) });
  const touch = (): Promise<unknown> => memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  await growLong(await place.another().get("mastra/t"), touch);
  const steps = Array.from({ length: 40 }, (_, at) => `Step ${at}.`);
  for (const _ of ["read", "stored"]) {
    const texts = (await textsIn(memory)).slice(2);
    assert.deepEqual(texts.toSorted(), ["Go.", ...steps, "Old.", "Old?"].toSorted());
    await touch();
  }
});

test("a turn of others with more messages than a commit takes documents is in the thread whole", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await memory.saveMessages({ messages: exchange(0) });
  const texts = Array.from({ length: 130 }, (_, at) => `Step ${at}.`);
  const output = texts.map((content) => ({ role: "assistant" as const, content }));
  await (await session()).append({ input: "Go.", output });
  for (const _ of ["read", "stored"]) {
    assert.deepEqual((await textsIn(memory)).slice(3), texts);
    await memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  }
});

test("a message of others that was deleted stays deleted where others replace a later turn, and its id can be saved again", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await memory.saveMessages({ messages: exchange(0) });
  for (const text of ["A", "B"]) await (await session()).append(foreignTurn(text));
  await memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  const { messages } = await memory.listMessages({ threadId: "t", perPage: false });
  const ofA = messages.slice(2, 4);
  await memory.deleteMessages(ofA.map(({ id }) => id));
  assert.deepEqual(await textsIn(memory), ["Question 0?", "Answer 0.", "B?", "B."]);
  await place.clock.advance(1000);
  const others = await place.another().get("mastra/t");
  await others.truncate(2);
  await others.append(foreignTurn("C"));
  const expected = ["Question 0?", "Answer 0.", "B?", "B.", "C?", "C."];
  assert.deepEqual(await textsIn(memory), expected);
  await memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  const seen = await memory.listMessages({ threadId: "t", perPage: 1 });
  assert.deepEqual([await textsIn(memory), seen.total], [expected, expected.length]);
  for (const _ of ["once", "again"]) {
    await memory.saveMessages({ messages: ofA });
    assert.equal((await textsIn(memory)).length, expected.length + 2);
    await memory.deleteMessages(ofA.map(({ id }) => id));
    const { total } = await memory.listMessages({ threadId: "t", perPage: 1 });
    assert.deepEqual([await textsIn(memory), total], [expected, expected.length]);
  }
});

test("a message of others that is listed, and not stored, is found, deleted and changed by its id", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await (await session()).append(foreignTurn("A"));
  await place.sessions.create({ id: "chat" }).then((chat) => chat.append(foreignTurn("B")));
  const idsIn = async (threadId: string): Promise<readonly string[]> =>
    (await memory.listMessages({ threadId, perPage: false })).messages.map(({ id }) => id);
  const [question, answer] = (await idsIn("t")) as [string, string];
  const byId = async (): Promise<readonly string[]> => {
    const ids = [answer, "no such message", question, ...(await idsIn("chat"))];
    const { messages } = await memory.listMessagesById({ messageIds: ids });
    return messages
      .map(({ content }) => content.parts.find(({ type }) => type === "text"))
      .map((part) => String((part as { text?: string }).text));
  };
  assert.deepEqual((await byId()).toSorted(), ["A.", "A?", "B.", "B?"]);
  const around = await memory.listMessages({
    threadId: "t",
    perPage: 0,
    include: [{ id: answer, withPreviousMessages: 1 }],
  });
  assert.deepEqual(
    around.messages.map(({ id }) => id),
    [question, answer],
  );
  await memory.deleteMessages([
    question,
    "no such message",
    "no session/turn-1-0-0000000000000000000000-0-00000000000",
  ]);
  assert.deepEqual(await textsIn(memory), ["A."]);
  await (await session()).append(foreignTurn("C"));
  const [, , last] = (await idsIn("t")) as [string, string, string];
  const content = { format: 2 as const, parts: [{ type: "text" as const, text: "Changed." }] };
  const changed = await memory.updateMessages({ messages: [{ id: last, content }] });
  assert.equal(changed.length, 1);
  await memory.deleteMessages([answer]);
  assert.deepEqual(await textsIn(memory), ["C?", "Changed."]);
  // The session is of no resource: Mastra writes to it once it saves the thread.
  await assert.rejects(memory.deleteMessages([(await idsIn("chat"))[0]!]), { code: "session_not_found" });
  assert.deepEqual(await textsIn(memory, "chat"), ["B?", "B."]);
});

test("a message of others that was moved, and deleted there, does not return to its thread", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await memory.saveThread({ thread: threadOf("other") });
  await memory.saveMessages({ messages: exchange(0) });
  for (const text of ["A", "B"]) await (await session()).append(foreignTurn(text));
  await memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  const { messages } = await memory.listMessages({ threadId: "t", perPage: false });
  const { id } = messages[2]!;
  await memory.updateMessages({ messages: [{ id, threadId: "other" }] as never });
  assert.deepEqual(await textsIn(memory, "other"), ["A?"]);
  await memory.deleteMessages([id]);
  await place.clock.advance(1000);
  const others = await session();
  await others.truncate(2);
  await others.append(foreignTurn("C"));
  assert.deepEqual(await textsIn(memory), ["Question 0?", "Answer 0.", "A.", "B?", "B.", "C?", "C."]);
});

test("the session of another framework is a thread once Mastra saves it, with its title, unless it has another user", async () => {
  await using place = inMemory();
  const chat = await place.sessions.create({ id: "chat", title: "Parcels" });
  await chat.append({ input: "Where?", output: "Here." });
  const memory = await perdureMemory(place.sessions);
  assert.equal(await memory.getThreadById({ threadId: "chat" }), null);
  assert.deepEqual(await textsIn(memory, "chat"), ["Where?", "Here."]);
  await assert.rejects(memory.saveMessages({ messages: [messageOf("m", { threadId: "chat" })] }), {
    code: "session_not_found",
  });
  await memory.saveThread({ thread: threadOf("chat") });
  assert.equal((await memory.getThreadById({ threadId: "chat" }))?.title, "Parcels");
  await memory.saveMessages({ messages: [messageOf("m", { threadId: "chat", at: 1_000_000_000, text: "Thanks." })] });
  const { info } = await place.sessions.get("chat");
  assert.deepEqual([info.title, info.user, info.turn], ["Parcels", "ada", 2]);
  assert.deepEqual(
    (await memory.listThreads({ filter: { resourceId: "ada" } })).threads.map(({ id }) => id),
    ["chat"],
  );
  await place.sessions.create({ id: "bobs", user: "bob" });
  const intruder = messageOf("i", { threadId: "bobs", text: "not bob" });
  await assert.rejects(memory.saveMessages({ messages: [{ ...intruder, resourceId: "mallory" }] }), {
    code: "session_not_found",
  });
  assert.equal((await place.sessions.get("bobs")).info.turn, 0);
  await memory.saveThread({ thread: threadOf("bobs") });
  assert.equal((await place.sessions.get("bobs")).info.user, "bob");
  assert.equal((await place.sessions.get("mastra/bobs")).info.user, "ada");
});

test("a thread that was stored without turns is read as it was, and its messages are turns with the next one", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  // As the adapter wrote them before messages were turns.
  const stored = exchange(0).map(({ threadId: _, resourceId: _resource, ...message }) => message);
  const key = (at: number): string =>
    `${(1_700_000_000_000 + at * 1000 + 8_640_000_000_000_000).toString(36).padStart(11, "0")}|00000${at + 1}`;
  const entries = stored.map((value, at) => ({ key: key(at), value: value as never }));
  const documents = entries.map(({ key: place_ }, at) => ({
    scope: "mastra",
    key: `message|${stored[at]!.id}`,
    value: { thread: "t", key: place_ },
    user: "ada",
  }));
  await (await session()).write({ logs: { mastra: { entries } }, documents });
  assert.deepEqual(await textsIn(memory), ["Question 0?", "Answer 0."]);
  assert.equal((await session()).info.turn, 0);
  await memory.saveMessages({ messages: [messageOf("a0", { at: 1, text: "Answer 0!" }), ...exchange(1)] });
  assert.deepEqual(await textsIn(memory), ["Question 0?", "Answer 0!", "Question 1?", "Answer 1."]);
  assert.deepEqual(await turnsOf(await session()), [
    ["user: Question 0?", "assistant: Answer 0!"],
    ["user: Question 1?", "assistant: Answer 1."],
  ]);
});

test("forks, snapshots and erasures have the turns, and a fork is no thread", async () => {
  await using place = inMemory({ secret: "a secret of sixteen characters" });
  const { memory, session } = await begun(place.sessions);
  await memory.saveMessages({ messages: exchange(0) });
  const fork = await (await session()).fork({ as: "fork" });
  await fork.append({ input: "Alone?", output: "Alone." });
  assert.equal(await memory.getThreadById({ threadId: "fork" }), null);
  // A turn that a fork shares is written anew for the session alone, or stays.
  await memory.saveMessages({ messages: [messageOf("a0", { at: 1, text: "Longer." }), ...exchange(1)] });
  assert.deepEqual(await textsIn(memory), ["Question 0?", "Longer.", "Question 1?", "Answer 1."]);
  assert.deepEqual((await turnsOf(fork))[0], ["user: Question 0?", "assistant: Answer 0."]);
  const others = place.sessions.for("another tenant");
  await others.restore(await place.sessions.snapshot("mastra/t"));
  const copied = await perdureMemory(others);
  await copied.saveMessages({ messages: exchange(2) });
  assert.deepEqual((await textsIn(copied)).slice(-4), ["Question 1?", "Answer 1.", "Question 2?", "Answer 2."]);
  assert.equal((await doctor(place.sessions)).findings, 0);
  await erase(place.sessions, { user: "ada", forks: "erase" });
  assert.equal(await memory.getThreadById({ threadId: "t" }), null);
});

test("a thread that is restored in another tenant has each message once, and finds them by their ids after its next write", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  for (const n of [0, 1]) await memory.saveMessages({ messages: exchange(n) });
  for (const text of ["A", "B"]) await (await session()).append(foreignTurn(text));
  await memory.updateMessages({ messages: [{ id: "a0", type: "text" }] as never });
  const { messages: before } = await memory.listMessages({ threadId: "t", perPage: false });
  await memory.deleteMessages([before.at(-1)!.id]);
  const others = place.sessions.for("another tenant");
  const restored = await others.restore(await place.sessions.snapshot("mastra/t"));
  const copied = await perdureMemory(others);
  await place.clock.advance(1000);
  await restored.truncate(3);
  await restored.append(foreignTurn("C"));
  const texts = ["Question 0?", "Answer 0.", "Question 1?", "Answer 1.", "A?", "A.", "B?", "C?", "C."];
  assert.deepEqual(await textsIn(copied), texts);
  // Mastra saves a message that the thread has.
  await copied.saveMessages({ messages: exchange(1) });
  assert.deepEqual(await textsIn(copied), texts);
  const { messages } = await copied.listMessages({ threadId: "t", perPage: false });
  const found = await copied.listMessagesById({ messageIds: messages.map(({ id }) => id) });
  assert.equal(found.messages.length, texts.length);
  await copied.deleteMessages(["q0", messages[4]!.id]);
  assert.deepEqual(await textsIn(copied), ["Answer 0.", ...texts.slice(2, 4), ...texts.slice(5)]);
  assert.deepEqual((await textsIn(memory)).slice(0, 7), texts.slice(0, 7));
  await place.sessions.for("second").restore(await place.sessions.snapshot("mastra/t"));
  const second = await perdureMemory(place.sessions.for("second"));
  await second.saveMessages({ messages: exchange(1) });
  assert.deepEqual(await textsIn(second), texts.slice(0, 7));
  await place.sessions.for("third").restore(await place.sessions.snapshot("mastra/t"));
  const third = await perdureMemory(place.sessions.for("third"));
  await third.updateThreadResourceId({ threadId: "t", resourceId: "bob" });
  await third.deleteMessages(["a1"]);
  assert.deepEqual((await textsIn(third)).slice(0, 4), ["Question 0?", "Answer 0.", "Question 1?", "A?"]);
});

test("a message is stored without a turn where its session takes none", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await memory.saveMessages({ messages: exchange(0) });
  await (await session()).append({ input: "More?", output: "More.", usage: { inputTokens: 50, outputTokens: 50 } });
  await (await session()).update({ budget: { tokens: 10 } });
  await memory.saveMessages({ messages: [messageOf("q1", { at: 300_000_000, text: "Thanks." })] });
  assert.deepEqual(await textsIn(memory), ["Question 0?", "Answer 0.", "More?", "More.", "Thanks."]);
  assert.equal((await session()).info.turn, 2);
  await (await session()).update({ budget: null });
  const turn = await (await session()).begin("Wait?");
  await turn.wait({ state: {}, reason: "approval" });
  await memory.saveMessages({ messages: [messageOf("a1", { at: 300_000_001, text: "Fine." })] });
  assert.equal((await textsIn(memory)).at(-1), "Fine.");
  assert.equal((await session()).info.turn, 3);
});

test("a step costs as much in a long thread as in a short one", async () => {
  const steps = rounds(1000, 100);
  let [bytes, calls] = [0, 0];
  const memoryStore = openMemory();
  const store = storeBefore(memoryStore, (method, args) => {
    calls++;
    if (method === "commit") bytes += JSON.stringify(args).length;
    return callStore(memoryStore, method, args);
  });
  await using sessions = await openSessions({ store, sweep: false });
  const { memory, session } = await begun(sessions);
  const costs: { bytes: number; calls: number }[] = [];
  for (let n = 0; n < steps; n++) {
    [bytes, calls] = [0, 0];
    await memory.listMessages({ threadId: "t", perPage: 10, orderBy: { field: "createdAt", direction: "DESC" } });
    for (const message of exchange(n)) await memory.saveMessages({ messages: [message] });
    costs.push({ bytes, calls });
  }
  const [early, late] = [costs[9]!, costs.at(-1)!];
  assert.ok(late.bytes < 1.2 * early.bytes, `${late.bytes} bytes, ${early.bytes} at the beginning`);
  assert.ok(late.calls <= early.calls, `${late.calls} calls, ${early.calls} at the beginning`);
  assert.equal((await session()).info.turn, steps);
  // An answer without an end is several turns, each of a bounded size.
  const answers = Array.from({ length: 100 }, (_, at) =>
    parts(messageOf(`c${at}`, { at: 4001 + 2 * at }), called(`c${at}`, { state: "result", result: "x" })),
  );
  await memory.saveMessages({ messages: answers });
  const sizes = (await Array.fromAsync((await session()).turns())).map(({ output }) => output.length);
  assert.ok(Math.max(...sizes) <= 33, String(Math.max(...sizes)));
});

test("a thread changes its resource whole, also where the call is cut and repeated", async () => {
  const memoryStore = openMemory();
  let commitsLeft = Infinity;
  const store = storeBefore(memoryStore, (method, args) => {
    if (method === "commit" && commitsLeft-- <= 0) throw new Error("cut");
    return callStore(memoryStore, method, args);
  });
  await using sessions = await openSessions({ store, sweep: false });
  const { memory } = await begun(sessions);
  const messages = Array.from({ length: 250 }, (_, at) =>
    messageOf(`m${at}`, { at, resourceId: at === 7 ? "eve" : "ada" }),
  );
  await memory.saveMessages({ messages });
  const owners = async (): Promise<ReadonlySet<unknown>> =>
    new Set(await Array.fromAsync(sessions.documents("mastra").each(), ({ user }) => user));
  for (let commits = 0; ; commits++) {
    const to = `bob-${commits}`;
    const before = (await memory.getThreadById({ threadId: "t" }))?.resourceId;
    commitsLeft = commits;
    const isCut = await memory.updateThreadResourceId({ threadId: "t", resourceId: to }).then(
      () => false,
      () => true,
    );
    commitsLeft = Infinity;
    if (!isCut) break;
    assert.equal((await memory.getThreadById({ threadId: "t" }))?.resourceId, before);
    const { messages: seen } = await memory.listMessages({ threadId: "t", perPage: false });
    assert.ok(seen.every(({ id, resourceId }) => id === "m7" || resourceId === before));
    await memory.updateThreadResourceId({ threadId: "t", resourceId: to });
    assert.deepEqual(await owners(), new Set([to]));
    const { total } = await memory.listMessages({ threadId: "t", perPage: 1, resourceId: to });
    assert.equal(total, 250);
  }
});

test("the documents of threads that are no more are deleted when new threads are made", async () => {
  await using place = inMemory();
  const { memory, session } = await begun(place.sessions);
  await memory.saveMessages({ messages: Array.from({ length: 150 }, (_, at) => messageOf(`m${at}`, { at })) });
  await memory.saveThread({ thread: threadOf("stays") });
  await memory.saveMessages({ messages: [messageOf("stays", { threadId: "stays" })] });
  await (await session()).remove();
  const documents = place.sessions.documents("mastra");
  assert.equal(await documents.count(), 151);
  for (const name of ["one", "two", "three"]) await memory.saveThread({ thread: threadOf(name) });
  assert.equal(await documents.count(), 1);
  assert.equal((await memory.listMessagesById({ messageIds: ["stays"] })).messages.length, 1);
});
