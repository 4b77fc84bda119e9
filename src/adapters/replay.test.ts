import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { hasCode, openSessions, type Message, type ModelEvent } from "../index.ts";
import { parseConversations, readConversations, replayModel, type Conversation } from "./replay.ts";

const examples = fileURLToPath(new URL("../../examples/conversations", import.meta.url));
const folder = process.env["PERDURE_CONVERSATIONS"] || examples;

const user = (content: Message["content"]): Message => ({ role: "user", content: content ?? null });
const assistant = (content: string): Message => ({ role: "assistant", content });

function recorded(...messages: readonly Message[]): Conversation {
  const [conversation] = parseConversations(JSON.stringify({ id: "c1", messages }), "here");
  assert(conversation !== undefined);
  return conversation;
}

interface Asking {
  readonly delayMs?: number;
  readonly pieceLength?: number;
  readonly signal?: AbortSignal;
}

async function ask(
  conversation: Conversation,
  messages: readonly Message[],
  asking: Asking = {},
): Promise<ModelEvent[]> {
  const { signal = AbortSignal.timeout(5000), ...options } = asking;
  const model = replayModel({ conversation, ...options });
  return await Array.fromAsync(model({ messages, agent: "a", signal }));
}

async function textsOf(conversation: Conversation, messages: readonly Message[], asking?: Asking): Promise<string[]> {
  const events = await ask(conversation, messages, asking);
  return events.flatMap((event) => (event.type === "text" ? [event.text] : []));
}

// Each conversation is replayed through consult, whose window truncates the history for the model.
for (const window of [1000, 2, 0]) {
  test(`every recorded conversation comes out of consult byte for byte, with a window of ${window} turns`, async () => {
    const conversations = await readConversations(folder);
    assert(conversations.length > 0);
    let played = 0;
    for (const conversation of conversations) {
      const seen = conversation.exchanges.map(({ input }) => JSON.stringify(input));
      // Without history, the second of two equal questions cannot be distinguished from the first.
      if (window < 1000 && new Set(seen).size < seen.length) continue;
      await using sessions = await openSessions({ store: "memory:", model: replayModel({ conversation }) });
      const session = await sessions.create({ agent: "a" });
      for (const { input } of conversation.exchanges) await (await session.consult(input, { window })).done;
      const turns = await Array.fromAsync(session.turns());
      assert.deepEqual(
        turns.map(({ status, input, output }) => ({ status, input, output })),
        conversation.exchanges.map((exchange) => ({ status: "done", ...exchange })),
        `${conversation.source} ${conversation.id}`,
      );
      played++;
    }
    assert(played > conversations.length / 2, `${played} of ${conversations.length}`);
  });
}

test("an exchange is a question and everything up to the next one", () => {
  const text = JSON.stringify({
    id: "c1",
    source: "made up",
    messages: [
      { role: "system", content: "one" },
      { role: "developer", content: "two" },
      { role: "user", content: "a" },
      { role: "user", content: "b" },
      { role: "assistant", content: "c" },
      { role: "system", content: "note" },
      { role: "user", content: "d" },
    ],
  });
  assert.deepEqual(parseConversations(`\n${text}\r\n\n`, "here"), [
    {
      id: "c1",
      source: "made up",
      instructions: "one\n\ntwo",
      exchanges: [
        { input: [user("a"), user("b")], output: [assistant("c"), { role: "system", content: "note" }] },
        { input: [user("d")], output: [] },
      ],
    },
  ]);
});

test("every message of every recorded conversation is read, in order", async () => {
  for (const name of (await readdir(folder)).filter((name) => name.endsWith(".jsonl"))) {
    const file = join(folder, name);
    const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line !== "");
    const conversations = await readConversations(file);
    assert.equal(conversations.length, lines.length);
    for (const [index, { id, instructions, exchanges }] of conversations.entries()) {
      const raw = JSON.parse(lines[index] ?? "") as { id: string; messages: Message[] };
      const [first] = raw.messages;
      assert.equal(id, raw.id);
      assert.equal(instructions, first?.role === "system" ? first.content : undefined);
      const read = exchanges.flatMap(({ input, output }) => [...input, ...output]);
      assert.deepEqual(read, raw.messages.slice(first?.role === "system" ? 1 : 0));
    }
  }
});

test("instructions alone are no exchange", () => {
  const { instructions, exchanges } = recorded({ role: "system", content: "Be brief." });
  assert.deepEqual({ instructions, exchanges }, { instructions: "Be brief.", exchanges: [] });
});

const problems: readonly (readonly [line: string, path: string, expected: string])[] = [
  ['{"id":"x","messages":[', "chats.jsonl:3", "json"],
  ["null", "chats.jsonl:3 id", "text"],
  ['"text"', "chats.jsonl:3 id", "text"],
  ['{"messages":[]}', "chats.jsonl:3 id", "text"],
  ['{"id":"x","messages":{}}', "chats.jsonl:3 messages", "array"],
  ['{"id":"x","messages":[null]}', "chats.jsonl:3 messages[0]", "message"],
  ['{"id":"x","messages":[{"role":"user"},{"role":"bot"}]}', "chats.jsonl:3 messages[1].role", "one_of"],
  ['{"id":"x","messages":[{"role":"__proto__"}]}', "chats.jsonl:3 messages[0].role", "one_of"],
  ['{"id":"x","messages":[{"role":"user","tool_calls":{}}]}', "chats.jsonl:3 messages[0].tool_calls", "array"],
];

for (const [line, path, expected] of problems) {
  test(`the line ${line} is an error that names file and line`, () => {
    const text = `{"id":"good","messages":[]}\n\n${line}\n`;
    assert.throws(
      () => parseConversations(text, "chats.jsonl"),
      (error) => {
        assert(hasCode(error, "message_invalid"));
        assert.deepEqual([error.details.path, error.details.expected], [path, expected]);
        assert(error.message.startsWith(`${path} is `), error.message);
        return true;
      },
    );
  });
}

test("a folder is read file by file, by name; a problem is reported with its file", async (t) => {
  const made = await mkdtemp(join(tmpdir(), "perdure-replay-"));
  t.after(() => rm(made, { recursive: true }));
  await writeFile(join(made, "b.jsonl"), '{"id":"2","messages":[]}\n{"id":"3","messages":[]}');
  await writeFile(join(made, "a.jsonl"), '{"id":"1","messages":[]}\n');
  await writeFile(join(made, "README.md"), "not a conversation");
  assert.deepEqual(
    (await readConversations(made)).map(({ id }) => id),
    ["1", "2", "3"],
  );
  await writeFile(join(made, "c.jsonl"), "\n{");
  await assert.rejects(readConversations(made), {
    code: "message_invalid",
    details: { path: `${join(made, "c.jsonl")}:2`, expected: "json" },
  });
  await assert.rejects(readConversations(join(made, "missing")), { code: "argument_invalid" });
});

test("among equal questions the one with the same history is answered", async () => {
  const turns = [user("go on"), assistant("one"), user("go on"), assistant("two"), user("go on"), assistant("three")];
  const conversation = recorded(...turns);
  for (const [index, answer] of ["one", "two", "three"].entries()) {
    assert.deepEqual(await textsOf(conversation, turns.slice(0, index * 2 + 1)), [answer]);
  }
  const tail = [assistant("two"), user("go on")];
  assert.deepEqual(await textsOf(conversation, tail), ["three"], "where questions do not tell, answers do");
});

test("a history with an aborted answer still finds its question", async () => {
  const conversation = recorded(
    user("yes"),
    assistant("Which day?"),
    user("Monday"),
    assistant("Shall I book it?"),
    user("yes"),
    assistant("Booked."),
  );
  const past = [user("yes"), assistant("Which"), user("Monday"), assistant("Shall I bo"), user("yes")];
  assert.deepEqual(await textsOf(conversation, past), ["Booked."]);
});

test("questions with content parts are compared by their text", async () => {
  const conversation = recorded(user([{ type: "text", text: "hello" }]), assistant("hi"));
  assert.deepEqual(await textsOf(conversation, [user([{ type: "text", text: "hello" }])]), ["hi"]);
});

test("a question that was not recorded is refused", async () => {
  await assert.rejects(ask(recorded(user("a"), assistant("b")), [user("c")]), { code: "model_refused" });
  await assert.rejects(ask(recorded(user("a"), assistant("b")), []), { code: "model_refused" });
});

test("text is split into chunks without cutting a character in two", async () => {
  const text = "\u{1f469}\u200d\u{1f680} ok \u{1f389}\u{1f389}\ud800 end";
  for (const pieceLength of [1, 2, 3, 1000]) {
    const texts = await textsOf(recorded(user("a"), assistant(text)), [user("a")], { pieceLength });
    assert.equal(texts.join(""), text);
    const cuts = texts
      .slice(1)
      .filter((piece, index) => /[\ud800-\udbff]$/.test(texts[index] ?? "") && /^[\udc00-\udfff]/.test(piece));
    assert.deepEqual(cuts, []);
  }
});

test("calls and results are whole messages; usage is marked as estimated", async () => {
  const calls: Message = {
    role: "assistant",
    content: "Let me look.",
    tool_calls: [{ id: "1", type: "function", function: { name: "look", arguments: '{ "q" : 1 }' } }],
  };
  const result: Message = { role: "tool", tool_call_id: "1", content: "\b\r\nfound" };
  const events = await ask(recorded(user("a"), calls, result, assistant("Found.")), [user("a")]);
  assert.deepEqual(events.slice(0, -1), [
    { type: "model", model: "replay" },
    { type: "text", text: "Let me look." },
    { type: "message", message: { ...calls, content: null } },
    { type: "message", message: result },
    { type: "text", text: "Found." },
  ]);
  const last = events.at(-1);
  assert(last?.type === "usage" && last.usage.estimated === true);
  const { inputTokens, outputTokens, totalTokens } = last.usage;
  assert.equal(totalTokens, Number(inputTokens) + Number(outputTokens));
});

test("messages that would merge are emitted as recorded", async () => {
  const call: Message = {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "1", function: { name: "f", arguments: "" } }],
  };
  const output = [assistant("one"), assistant("two"), call, assistant(""), { ...assistant("three"), name: "ann" }];
  const conversation = recorded(user("a"), ...output);
  await using sessions = await openSessions({ store: "memory:", model: replayModel({ conversation }) });
  const session = await sessions.create({ agent: "a" });
  const turn = await (await session.consult("a")).done;
  assert.deepEqual(turn.output, output);
});

test("an abort ends a pause, with the signal's reason", async () => {
  const conversation = recorded(user("a"), assistant("long answer"));
  const stop = new AbortController();
  const reason = new Error("enough");
  const began = performance.now();
  const answer = ask(conversation, [user("a")], { delayMs: 60_000, signal: stop.signal });
  setTimeout(() => stop.abort(reason), 10);
  await assert.rejects(answer, reason);
  assert(performance.now() - began < 60_000, "the pause does not last to its end");
  await assert.rejects(ask(conversation, [user("a")], { signal: stop.signal }), reason);
});

test("invalid options fail at once", () => {
  const conversation = recorded(user("a"), assistant("b"));
  for (const wrong of [{ pieceLength: 0 }, { pieceLength: 1.5 }, { delayMs: -1 }, { delayMs: NaN }])
    assert.throws(() => replayModel({ conversation, ...wrong }), { code: "argument_invalid" });
});
