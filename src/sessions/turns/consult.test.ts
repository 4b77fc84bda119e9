import assert from "node:assert/strict";
import { test } from "node:test";
import { heapBytes } from "../../../test/support/heap.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import { untilStored } from "../../../test/support/stored-text.ts";
import { countAll } from "../../domain/turns/counters.ts";
import type { Message, MessageInput } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Interruption } from "../../errors/answer-problems.ts";
import type { Model, ModelEvent, ModelRequest } from "../options/model.ts";
import type { ConsultOptions } from "./question.ts";

/** A model that says these events to whatever it is asked, and remembers what that was. */
function scripted(...events: (ModelEvent | Error)[]): { model: Model; requests: ModelRequest[] } {
  const requests: ModelRequest[] = [];
  const model: Model = async function* scriptedModel(request) {
    requests.push(request);
    for (const event of events) {
      if (event instanceof Error) throw event;
      yield event;
    }
  };
  return { model, requests };
}

const text = (words: string): ModelEvent => ({ type: "text", text: words });
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });
const usage = { inputTokens: 7, outputTokens: 2, totalTokens: 9 };

test("the question is durable before the model is called", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  let found: unknown;
  const model: Model = async function* looking() {
    const [turn] = await Array.fromAsync((await place.another().get("s")).turns());
    found = [turn?.status, turn?.input];
    yield text("yes");
  };
  await (
    await session.consult("there?", { model })
  ).done;
  assert.deepEqual(found, ["open", [user("there?")]]);
});

test("a model is shown instructions, window and question, and its answer, usage and name are sealed with the turn", async () => {
  const { model, requests } = scripted({ type: "model", model: "m-1" }, text("Hel"), text("lo"), {
    type: "usage",
    usage,
  });
  await using place = inMemory({ model, agents: { ceo: { instructions: "lead", model: "m" } } });
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  await session.append({ input: "before", output: "yes" });
  const answer = await session.consult("hi");
  assert.deepEqual(await Array.fromAsync(answer), ["Hel", "lo"]);
  assert.deepEqual(await Array.fromAsync(answer), ["Hel", "lo"], "from its beginning, as often as one likes");
  assert.equal(await answer.text(), "Hello");
  const turn = await answer.done;
  assert.deepEqual(requests[0]?.messages, [
    { role: "system", content: "lead" },
    user("before"),
    assistant("yes"),
    user("hi"),
  ]);
  assert.equal(requests[0]?.model, "m");
  assert.equal(requests[0]?.agent, "ceo");
  assert.partialDeepStrictEqual(turn, { seq: 2, status: "done", output: [assistant("Hello")], usage, model: "m-1" });
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(turns[1], turn);
  assert.deepEqual(session.info.counters, countAll(turns));
  assert.equal(session.info.lease, null);
});

test("tool calls and their results are kept as they came, and shown to the next model whole", async () => {
  const call: Message = {
    role: "assistant",
    tool_calls: [{ id: "c", function: { name: "f", arguments: '{"a": 1}' } }],
  };
  const result: Message = { role: "tool", tool_call_id: "c", content: "42" };
  const { model, requests } = scripted(
    text("Let me see."),
    { type: "message", message: call },
    { type: "message", message: result },
    text("42 it is."),
  );
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const { output, usage: counted } = await (await session.consult("what?")).done;
  const spoken = [{ ...call, content: "Let me see." }, result, assistant("42 it is.")];
  assert.deepEqual(output, spoken);
  assert.equal(counted?.estimated, true, "a model that does not count is marked so");
  await (
    await session.consult("sure?", { window: 1 })
  ).done;
  assert.deepEqual(requests[1]?.messages, [user("what?"), ...spoken, user("sure?")]);
});

test("a window counts turns or tokens, and cuts between turns", async () => {
  const { model, requests } = scripted(text("ok"));
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  for (let index = 1; index <= 30; index++) await session.append({ input: `q${index}`, output: "x".repeat(400) });
  const shown = async (window?: object | number): Promise<number> => {
    await (
      await session.consult("?", defined({ window }))
    ).done;
    return (requests.at(-1)?.messages.length ?? 0) - 1;
  };
  assert.equal(await shown(), 60, "20 to 30 turns by default");
  await session.truncate(30);
  assert.equal(await shown(0), 0);
  await session.truncate(30);
  assert.equal(await shown({ turns: 1 }), 2);
  await session.truncate(30);
  assert.equal(await shown(1000), 60);
  await session.truncate(30);
  assert.equal(await shown({ tokens: 250 }), 4, "two turns of about 110 tokens");
  await session.truncate(30);
  assert.equal(await shown({ turns: 1, tokens: 10_000 }), 2);
  await session.truncate(30);
  assert.equal(await shown({ tokens: 5 }), 0);
  for (const window of [-1, 1.5, Number.NaN, { tokens: -1 }, "20"]) {
    await assert.rejects(session.consult("?", { window: window as number }), { code: "argument_invalid" });
  }
});

test("an agent has a window of its own, and the call goes ahead of it", async () => {
  const { model, requests } = scripted(text("ok"));
  await using place = inMemory({ model, agents: { a: { window: 40 }, b: { window: { turns: 0 } } } });
  const session = await place.sessions.create({ id: "s", agent: "a" });
  for (let index = 1; index <= 40; index++) await session.append({ input: `q${index}`, output: "r" });
  const shown = async (options: ConsultOptions = {}): Promise<number> => {
    await (
      await session.consult("?", options)
    ).done;
    await session.truncate(40);
    return (requests.at(-1)?.messages.length ?? 0) - 1;
  };
  assert.deepEqual([await shown(), await shown({ agent: "b" }), await shown({ window: 1 })], [80, 0, 2]);
});

test("turns that failed do not take the place of others in the window", async () => {
  let isDown = true;
  const requests: ModelRequest[] = [];
  const model: Model = async function* (request) {
    requests.push(request);
    if (isDown) throw new SessionError("model_refused", { reported: "could not process image" });
    yield { type: "text", text: "fine" };
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "my name is Ann", output: "hello Ann" });
  for (let index = 1; index <= 70; index++)
    await assert.rejects((await session.consult(`refused ${index}`)).done, { code: "model_refused" });
  isDown = false;
  await (
    await session.consult("what is my name?")
  ).done;
  assert.deepEqual(
    requests.at(-1)?.messages.map(({ content }) => content),
    ["my name is Ann", "hello Ann", "what is my name?"],
  );
  assert.equal((await session.refresh()).turn, 72, "the log keeps them");
});

test("a model that refuses a request because of its length is asked again with a smaller window", async () => {
  const lengths: number[] = [];
  const model: Model = async function* ({ messages }) {
    lengths.push(messages.length);
    if (messages.length > 5) throw new SessionError("model_refused", { reported: "too long", contextExceeded: true });
    yield { type: "text", text: "fine" };
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  for (let index = 1; index <= 8; index++) await session.append({ input: `q${index}`, output: "x".repeat(100) });
  const turn = await (await session.consult("now")).done;
  assert.equal(turn.status, "done");
  assert.equal(lengths[0], 17);
  assert.ok(lengths.length <= 3 && (lengths.at(-1) ?? 9) <= 5, lengths.join());
  const endless: Model = async function* () {
    lengths.push(0);
    yield* [];
    throw new SessionError("model_refused", { reported: "too long", contextExceeded: true });
  };
  lengths.length = 0;
  await assert.rejects((await session.consult("now", { model: endless })).done, { code: "model_refused" });
  assert.equal(lengths.length, 4, "three more tries at most");
});

test("a model that takes no pictures is asked again without those of past turns", async () => {
  const asked: (readonly Message[])[] = [];
  const picture = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
  const model: Model = async function* ({ messages }) {
    asked.push(messages);
    if (JSON.stringify(messages).includes("base64"))
      throw new SessionError("model_refused", { reported: "no image input", httpStatus: 400 });
    yield { type: "text", text: "fine" };
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const called = { id: "c1", function: { name: "look", arguments: "{}" } };
  await session.append({
    input: { role: "user", content: [{ type: "text", text: "look" }, picture] },
    output: [
      { role: "assistant", content: null, tool_calls: [called] },
      { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "a page" }, picture] },
      { role: "assistant", content: "a cat" },
    ],
  });
  assert.equal((await (await session.consult("its colour?")).done).status, "done");
  assert.deepEqual(
    asked[1]?.map(({ content }) => content),
    [
      [
        { type: "text", text: "look" },
        { type: "text", text: "(a picture that is not shown again)" },
      ],
      null,
      "a page\n\n(a picture that is not shown again)",
      "a cat",
      "its colour?",
    ],
  );
  asked.length = 0;
  await assert.rejects((await session.consult({ role: "user", content: [picture] })).done, { code: "model_refused" });
  assert.equal(asked.length, 2, "the picture of the question itself is refused");
  const locked: Model = async function* () {
    asked.push([]);
    yield* [];
    throw new SessionError("model_refused", { reported: "bad key", httpStatus: 401 });
  };
  asked.length = 0;
  await assert.rejects((await session.consult("now", { model: locked })).done, { code: "model_refused" });
  assert.equal(asked.length, 1, "no other request would pass");
});

test("a failure of the model seals the turn as failed with the received output, and the session continues", async () => {
  const { model } = scripted(text("Hel"), new Error("the line broke"));
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const answer = await session.consult("hi");
  const heard: string[] = [];
  await assert.rejects(
    async () => {
      for await (const piece of answer) heard.push(piece);
    },
    { code: "model_failed" },
  );
  assert.deepEqual(heard, ["Hel"], "what had arrived is said first");
  const [turn] = await Array.fromAsync(session.turns());
  assert.partialDeepStrictEqual(turn, {
    status: "failed",
    output: [assistant("Hel")],
    error: { code: "model_failed", message: "the line broke" },
  });
  assert.equal(turn?.usage?.estimated, true);
  assert.equal((await session.append({ input: "on" })).seq, 2);
});

test("a typed error of the model passes through, a model that refuses leaves a failed turn", async () => {
  const { model } = scripted(new SessionError("model_refused", { reported: "no such key", httpStatus: 401 }));
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects((await session.consult("hi")).done, { code: "model_refused" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "failed");
  assert.equal(turn?.error?.code, "model_refused");
});

test("a model that throws a value that is no error, or throws before its first output, fails the turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const throwing: Model = () => {
    throw new Error("at once");
  };
  await assert.rejects((await session.consult("hi", { model: throwing })).done, { code: "model_failed" });
  // oxlint-disable-next-line typescript/only-throw-error -- that models may do so is the case here
  const bare: Model = async function* bare() {
    yield text("x");
    throw "a bare text" as unknown as Error;
  };
  await assert.rejects((await session.consult("hi", { model: bare })).done, { code: "model_failed" });
  assert.deepEqual(
    (await Array.fromAsync(session.turns())).map(({ status }) => status),
    ["failed", "failed"],
  );
});

test("a chunk that cannot be kept fails the turn, and the session continues", async () => {
  const bad = { role: "assistant", content: { run: () => 1 } } as unknown as Message;
  const { model } = scripted(text("so "), { type: "message", message: bad });
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects((await session.consult("hi")).done, { code: "value_unstorable" });
  await session.append({ input: "on" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "failed");
  assert.deepEqual(turn?.output, [assistant("so ")]);
});

test("an answer over the limit fails its turn and leaves the session usable", async () => {
  const { model } = scripted(text("x".repeat(600)), text("x".repeat(600)));
  await using place = inMemory({ model, limits: { turnBytesMax: 1000 } });
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects((await session.consult("hi")).done, { code: "turn_too_large" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "failed");
  assert.equal(turn?.error?.code, "turn_too_large");
  assert.equal((await session.append({ input: "on" })).seq, 2);
});

test("an abort stops an answer, also of a model that ignores its signal, and keeps the received output", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const deaf: Model = async function* deaf() {
    yield text("so far");
    await new Promise(() => undefined);
  };
  const stop = new AbortController();
  const answer = await session.consult("hi", { model: deaf, signal: stop.signal });
  for await (const _ of answer) {
    stop.abort();
    break;
  }
  await assert.rejects(answer.done, isInterruption("aborted"));
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "interrupted");
  assert.deepEqual(turn?.output, [assistant("so far")]);
  const { signal } = stop;
  await assert.rejects(session.consult("again", { model: deaf, signal }), { code: "aborted" });
  assert.equal((await place.sessions.get("s")).info.turn, 1, "what was aborted before it began writes nothing");
});

test("an answer is stored with or without a reader", async () => {
  const { model } = scripted(text("yes"));
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await session.consult("hi");
  await place.sessions.close();
  const [turn] = await Array.fromAsync((await place.another().get("s")).turns());
  assert(turn?.status === "done" || turn?.status === "interrupted", turn?.status);
});

test("closing during an answer seals the turn as interrupted with the received output", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const slow: Model = async function* slow({ signal }) {
    yield text("so far");
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("stopped"))));
  };
  const answer = await session.consult("hi", { model: slow });
  for await (const _ of answer) break;
  await place.sessions.close();
  await assert.rejects(answer.done, isInterruption("closed"));
  const after = await place.another().get("s");
  const [turn] = await Array.fromAsync(after.turns());
  assert.equal(turn?.status, "interrupted");
  assert.deepEqual(turn?.output, [assistant("so far")]);
  assert.equal(after.info.lease, null);
});

test("closing while a question is being written leaves no open turn", async () => {
  const { model } = scripted(text("yes"));
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const asking = session.consult("hi").then(
    (answer) => answer.done,
    () => undefined,
  );
  const settled = asking.catch(() => undefined);
  await place.sessions.close();
  await settled;
  const after = await place.another().get("s");
  await after.append({ input: "next" });
  for (const { status } of await Array.fromAsync(after.turns())) assert.notEqual(status, "open");
});

test("a keyed question is asked once: the retry gets the same answer without a call of the model", async () => {
  const { model, requests } = scripted(text("yes"));
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const first = await (await session.consult("hi", { key: "k" })).done;
  const stale = await place.another({ model }).get("s");
  await session.append({ input: "more" });
  const retry = await stale.consult("hi", { key: "k" });
  assert.equal(await retry.text(), "yes");
  assert.deepEqual(await retry.done, first);
  assert.equal(requests.length, 1);
  await assert.rejects(session.consult("other", { key: "k" }), { code: "key_reused" });
  assert.equal(session.info.turn, 2);
});

test("a keyed retry while the first try is being answered is that answer, not another one", async () => {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  let calls = 0;
  const model: Model = async function* slow() {
    calls++;
    await gate;
    yield text("yes");
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const first = await session.consult("hi", { key: "k" });
  const retry = await session.consult("hi", { key: "k" });
  await assert.rejects(session.consult("other", { key: "k" }), { code: "key_reused" });
  await assert.rejects(session.begin("hi", { key: "k" }), { code: "turn_open" });
  go();
  assert.deepEqual((await retry.done).output, (await first.done).output);
  assert.equal(calls, 1);
  assert.equal(await (await session.consult("hi", { key: "k" })).text(), "yes");
});

test("a keyed question of a dead writer is asked again in its place", async () => {
  await using place = inMemory();
  const dying = await place.another().create({ id: "s" });
  const turn = await dying.begin("hi", { key: "k" });
  await turn.write({ text: "so far" });
  await untilStored(await place.sessions.get("s"), "so far");
  await place.clock.advance(60_000);
  const { model, requests } = scripted(text("yes"));
  const session = await place.sessions.get("s");
  const retry = await session.consult("hi", { key: "k", model });
  const heard: string[] = [];
  for await (const piece of retry) heard.push(piece);
  assert.deepEqual([heard, retry.seq, requests.length], [["yes"], 1, 1]);
});

test("the open turn of a dead writer is sealed before the next question, and shown to the model", async () => {
  await using place = inMemory();
  const turn = await (await place.another().create({ id: "s" })).begin("one");
  await turn.write({ text: "half an ans" });
  await untilStored(await place.sessions.get("s"), "half an ans");
  await place.clock.advance(60_000);
  const { model, requests } = scripted(text("yes"));
  const session = await place.sessions.get("s");
  const answer = await session.consult("two", { model });
  assert.equal(answer.seq, 2);
  await answer.done;
  assert.deepEqual(requests[0]?.messages, [user("one"), assistant("half an ans"), user("two")]);
});

test("consulting under one's own lease keeps the lease", async () => {
  const { model } = scripted(text("yes"));
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await using lease = await session.lease();
  await (
    await session.consult("one")
  ).done;
  await session.append({ input: "two" });
  await session.refresh();
  assert.equal(session.info.lease?.fence, lease.fence);
});

test("an invalid question, a missing model and an unknown agent are refused, and nothing is written", async () => {
  await using place = inMemory({ agents: { ceo: {} } });
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  const { model } = scripted(text("yes"));
  await assert.rejects(session.consult("hi"), { code: "model_missing" });
  const blank = { type: "text", text: " " };
  const empty = [
    " ",
    [],
    ...["", null, undefined, [], [blank], [blank, blank]].map((content) => [{ role: "user", content }]),
  ];
  for (const question of [...empty, { role: "system", content: "" }, { role: "assistant", content: [] }])
    await assert.rejects(
      session.consult(question as MessageInput, { model }),
      (error) => hasCode(error, "message_invalid") && error.details.path === "question",
      JSON.stringify(question),
    );
  await assert.rejects(session.consult("hi", { model, agent: "cto" }), { code: "agent_unknown" });
  await assert.rejects(session.consult("hi", { model, key: "" }), { code: "id_invalid" });
  assert.equal((await place.sessions.get("s")).info.turn, 0);
});

for (const [what, piece, count] of [
  ["empty ones cost nothing", "", 20_000],
  ["small ones cost no more than their characters", "é", 20_000],
] as const) {
  test(`memory is bounded while a model says many pieces: ${what}`, async () => {
    let grown = 0;
    const model: Model = async function* () {
      const before = await heapBytes();
      for (let index = 0; index < count; index++) yield text(piece);
      grown = (await heapBytes()) - before;
    };
    await using place = inMemory({ model });
    const session = await place.sessions.create({ id: "s" });
    const { output } = await (await session.consult("q")).done;
    assert.deepEqual(output, piece === "" ? [] : [assistant(piece.repeat(count))]);
    assert.ok(grown < 200 * count, `${grown} bytes for ${count} pieces`);
  });
}

function isInterruption(how: Interruption): (error: unknown) => boolean {
  return (error) => hasCode(error, "interrupted") && error.details.how === how;
}
