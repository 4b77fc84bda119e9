/** The history with the local runtime of assistant-ui: a tree of messages in a log, its shown branch as turns. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { fromThreadMessageLike, type ThreadMessage } from "@assistant-ui/core";
import { LocalRuntimeCore } from "@assistant-ui/core/internal";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import {
  assistantHistory,
  type AssistantHistory,
  type FormatAdapter,
  type HistorySession,
} from "../../../src/client/assistant-ui.ts";
import { copySessions, erase } from "../../../src/admin.ts";
import { connect } from "../../../src/client/index.ts";
import { idFor, type Turn } from "../../../src/index.ts";
import { serve, type Serving } from "../../server/serving.ts";
import { inMemory } from "../../support/in-memory.ts";

type Content = Extract<Parameters<typeof fromThreadMessageLike>[0]["content"], readonly unknown[]>;

/** A page with the local runtime, whose model answers with these contents. */
class Page {
  readonly core: LocalRuntimeCore["threads"]["getMainThreadRuntimeCore"] extends () => infer C ? C : never;

  constructor(history: AssistantHistory, answer: (messages: readonly ThreadMessage[]) => Content) {
    const chatModel = {
      run: async ({ messages }: { readonly messages: readonly ThreadMessage[] }) => {
        const content = fromThreadMessageLike({ role: "assistant", content: answer(messages) }, "x", {
          type: "complete",
          reason: "stop",
        }).content;
        return { content: content as never };
      },
    };
    this.core = new LocalRuntimeCore(
      { adapters: { chatModel, history } },
      undefined,
    ).threads.getMainThreadRuntimeCore();
  }

  async load(): Promise<this> {
    await this.core.__internal_load();
    return this;
  }

  /** Sends a message behind the last one, or behind `parentId`; waits until its answer is stored. */
  async say(text: string, parentId?: string | null): Promise<void> {
    await this.core.append({
      parentId: parentId === undefined ? (this.core.messages.at(-1)?.id ?? null) : parentId,
      sourceId: null,
      role: "user",
      content: [{ type: "text", text }],
      attachments: [],
      metadata: { custom: {} },
      createdAt: new Date(0),
      runConfig: undefined,
      startRun: true,
    } as never);
    await settled();
  }

  get texts(): readonly string[] {
    return this.core.messages.map(textOf);
  }

  id(at: number): string {
    return this.core.messages.at(at)?.id ?? assert.fail("no such message");
  }
}

/** The runtime writes without being waited for. */
async function settled(): Promise<void> {
  for (let round = 0; round < 50; round++) await tick();
}

function textOf({ content }: Pick<ThreadMessage, "content">): string {
  return content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

const echo = (messages: readonly ThreadMessage[]): Content => [
  { type: "text", text: `On ${textOf(messages.at(-1)!)}` },
];

const spoken = ({ input, output }: Turn): readonly unknown[] => [...input, ...output].map(({ content }) => content);

async function remoteOf(here: Serving): Promise<ReturnType<typeof connect>> {
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  return connect({ url: "http://server.test", key: await here.key("write"), fetch });
}

test("over HTTP, a page that is loaded again shows what the runtime has, and the session has its turns", async () => {
  await using here = serve();
  const sessions = await remoteOf(here);
  const page = await new Page(assistantHistory(sessions, "t"), echo).load();
  await page.say("one");
  await page.say("two");
  const again = await new Page(assistantHistory(sessions, "t"), echo).load();
  assert.deepEqual(again.core.messages, page.core.messages);
  assert.deepEqual(again.texts, ["one", "On one", "two", "On two"]);
  const turns = await Array.fromAsync((await here.sessions.get("t")).turns());
  assert.deepEqual(turns.map(spoken), [
    ["one", "On one"],
    ["two", "On two"],
  ]);
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["done", "done"],
  );
  await again.say("three");
  assert.equal((await assistantHistory(sessions, "t").load()).messages.length, 6);
});

test("a thread comes back from an archive, a snapshot and a copy, and an erasure leaves nothing of it", async () => {
  await using place = inMemory({ secret: "s".repeat(20) });
  await using target = inMemory();
  const { sessions } = place;
  const session = await sessions.create({ id: "t", user: "ada" });
  const page = await new Page(assistantHistory(sessions, "t"), echo).load();
  await page.say("one");
  await page.say("two");
  await page.say("edited", page.id(1));
  const history = await assistantHistory(sessions, "t").load();
  await session.refresh();
  await session.archive();
  assert.deepEqual(await assistantHistory(place.another(), "t").load(), history, "archived");
  await session.unarchive();
  await target.sessions.restore(await sessions.snapshot("t"));
  assert.deepEqual(await assistantHistory(target.sessions, "t").load(), history, "restored");
  await (await target.sessions.get("t")).remove();
  await copySessions(sessions, target.sessions);
  const copy = await new Page(assistantHistory(target.sessions, "t"), echo).load();
  assert.deepEqual(copy.core.messages, page.core.messages, "copied");
  await copy.say("three");
  assert.equal((await assistantHistory(target.sessions, "t").load()).messages.length, history.messages.length + 2);
  await erase(sessions, { user: "ada" });
  assert.deepEqual(await assistantHistory(place.another(), "t").load(), { headId: null, messages: [] });
});

test("an unknown thread is empty, and reading makes no session", async () => {
  await using place = inMemory();
  assert.deepEqual(await assistantHistory(place.sessions, "t").load(), { headId: null, messages: [] });
  await assert.rejects(place.sessions.get("t"), { code: "session_not_found" });
  assert.throws(() => assistantHistory(place.sessions, ""), { code: "argument_invalid" });
});

test("an edited message has a sibling, the turns are those of the shown branch, and both branches come back", async () => {
  await using place = inMemory();
  const page = await new Page(assistantHistory(place.sessions, "t"), echo).load();
  await page.say("one");
  await page.say("two");
  await page.say("two, edited", page.id(1));
  const turnsNow = async (): Promise<readonly unknown[]> =>
    (await Array.fromAsync((await place.sessions.get("t")).turns())).map(spoken);
  assert.deepEqual(await turnsNow(), [
    ["one", "On one"],
    ["two, edited", "On two, edited"],
  ]);
  const again = await new Page(assistantHistory(place.sessions, "t"), echo).load();
  assert.deepEqual(again.texts, ["one", "On one", "two, edited", "On two, edited"]);
  const [edited, earlier] = again.core.getBranches(again.id(2)).toReversed();
  assert.equal(edited, again.id(2));
  again.core.switchToBranch(earlier!);
  assert.deepEqual(again.texts, ["one", "On one", "two", "On two"]);
  await again.say("three");
  assert.deepEqual(await turnsNow(), [
    ["one", "On one"],
    ["two", "On two"],
    ["three", "On three"],
  ]);
  const { messages, headId } = await assistantHistory(place.sessions, "t").load();
  assert.deepEqual([messages.length, headId], [8, again.id(-1)]);
});

test("an answer that is written again is a sibling, and takes the place of the turn's", async () => {
  await using place = inMemory();
  let round = 0;
  const page = await new Page(assistantHistory(place.sessions, "t"), () => [
    { type: "text", text: `Try ${++round}` },
  ]).load();
  await page.say("one");
  await page.core.startRun({ parentId: page.id(0), sourceId: page.id(1), runConfig: {} });
  await settled();
  const turns = await Array.fromAsync((await place.sessions.get("t")).turns());
  assert.deepEqual(turns.map(spoken), [["one", "Try 2"]]);
  const again = await new Page(assistantHistory(place.sessions, "t"), echo).load();
  assert.deepEqual(again.texts, ["one", "Try 2"]);
  assert.equal(again.core.getBranches(again.id(1)).length, 2);
});

const call = { type: "tool-call", toolCallId: "c1", toolName: "look", args: { at: 1 }, argsText: '{"at":1}' } as const;

test("calls and results are messages of the session, and the rest comes back as it was", async () => {
  await using place = inMemory();
  const content: Content = [
    { type: "reasoning", text: "Hm." },
    { type: "text", text: "Let me look." },
    { ...call, result: { found: true } },
    { type: "text", text: "Found." },
  ];
  const page = await new Page(assistantHistory(place.sessions, "t"), () => content).load();
  await page.say("look");
  const session = await place.sessions.get("t");
  assert.deepEqual(await session.messages({ as: "openai" }), [
    { role: "user", content: "look" },
    {
      role: "assistant",
      content: "Let me look.",
      tool_calls: [{ id: "c1", type: "function", function: { name: "look", arguments: '{"at":1}' } }],
    },
    { role: "tool", tool_call_id: "c1", content: '{"found":true}' },
    { role: "assistant", content: "Found." },
  ]);
  const again = await new Page(assistantHistory(place.sessions, "t"), echo).load();
  assert.deepEqual(again.core.messages, page.core.messages);
});

test("turns of other frameworks are shown behind their branch, and the thread goes on from them", async () => {
  await using place = inMemory();
  const page = await new Page(assistantHistory(place.sessions, "t"), echo).load();
  await page.say("one");
  const session = await place.another().get("t");
  const called = { id: "c9", type: "function" as const, function: { name: "look", arguments: "{}" } };
  await session.append({
    input: "elsewhere",
    output: [
      { role: "assistant", content: null, tool_calls: [called] },
      { role: "tool", tool_call_id: "c9", content: "found" },
      { role: "assistant", content: "There." },
    ],
  });
  const again = await new Page(assistantHistory(place.sessions, "t"), echo).load();
  assert.deepEqual(again.texts, ["one", "On one", "elsewhere", "There."]);
  await again.say("three");
  const turns = async (): Promise<readonly unknown[]> => (await Array.fromAsync(session.turns())).map(spoken);
  assert.deepEqual((await turns()).at(-1), ["three", "On three"]);
  assert.equal((await turns()).length, 3);
  const last = await new Page(assistantHistory(place.sessions, "t"), echo).load();
  assert.deepEqual(last.texts, ["one", "On one", "elsewhere", "There.", "three", "On three"]);
  // A branch before the turn of the other framework is kept in the history; the turn stays.
  await last.say("one, edited", null);
  assert.equal((await turns()).length, 3);
  const branch = await new Page(assistantHistory(place.sessions, "t"), echo).load();
  assert.deepEqual(branch.texts, ["one, edited", "On one, edited"]);
});

const user = (id: string, text: string): ThreadMessage =>
  fromThreadMessageLike({ role: "user", id, content: [{ type: "text", text }] }, id, {
    type: "complete",
    reason: "unknown",
  });

test("two pages that write to one thread keep the messages of both", async () => {
  await using here = serve();
  const [one, two] = [assistantHistory(await remoteOf(here), "t"), assistantHistory(await remoteOf(here), "t")];
  await one.append({ parentId: null, message: user("u0", "zero") });
  await two.load();
  await Promise.all(
    [one, two].flatMap((history, page) =>
      [1, 2, 3].map(
        async (at) => await history.append({ parentId: "u0", message: user(`u${page}-${at}`, `${page} ${at}`) }),
      ),
    ),
  );
  const { messages } = await one.load();
  assert.deepEqual(messages.map(({ message }) => (message as ThreadMessage).id).toSorted(), [
    "u0",
    "u0-1",
    "u0-2",
    "u0-3",
    "u1-1",
    "u1-2",
    "u1-3",
  ]);
  const turns = await Array.fromAsync((await here.sessions.get("t")).turns());
  assert.equal(turns.length, 2);
});

test("a message that is written while another page reads is no turn of another framework", async () => {
  await using place = inMemory();
  const other = assistantHistory(place.another(), "t");
  await other.append({ parentId: null, message: user("u1", "one") });
  const session = await place.sessions.get("t");
  let isFirst = true;
  const interrupted: HistorySession = {
    id: session.id,
    log: (name) => session.log(name),
    look: async (tails) => await session.look(tails),
    write: async (write) => await session.write(write),
    async *turns(range) {
      if (isFirst) await other.append({ parentId: "u1", message: user("u2", "two") });
      isFirst = false;
      yield* session.turns(range);
    },
  };
  const get = async (): Promise<HistorySession> => interrupted;
  const { headId } = await assistantHistory({ get, ensure: get }, "t").load();
  assert.equal(headId, "u2");
});

test("a message that is written again is replaced, and a deleted one leaves its children behind its parent", async () => {
  await using place = inMemory();
  const history = assistantHistory(place.sessions, "t");
  const later = user("u1", "later");
  await history.append({ parentId: null, message: user("u1", "first") });
  await history.update({ parentId: null, message: later });
  await history.append({ parentId: "u1", message: user("u2", "two") });
  await history.append({ parentId: "u2", message: user("u3", "three") });
  await history.delete([{ parentId: "u1", message: user("u2", "two") }]);
  await history.delete([{ parentId: null, message: user("unknown", "x") }]);
  const { messages, headId } = await assistantHistory(place.sessions, "t").load();
  assert.deepEqual(
    messages.map(({ message, parentId }) => [(message as ThreadMessage).id, parentId]),
    [
      ["u1", null],
      ["u3", "u1"],
    ],
  );
  assert.equal(headId, "u3");
  const turns = await Array.fromAsync((await place.sessions.get("t")).turns());
  assert.deepEqual(turns.map(spoken), [["later"], ["three"]]);
  await history.append({ parentId: "u1", message: user("u2", "two again") });
  assert.equal((await history.load()).messages.length, 3);
});

/** The form of the AI SDK's messages, as assistant-ui's runtime for it stores them. */
interface UiMessage {
  readonly id: string;
  readonly role: string;
  readonly parts: readonly object[];
}
const uiFormat: FormatAdapter<UiMessage, Record<string, unknown>> = {
  format: "ai-sdk/v6",
  encode: ({ message: { id: _, ...content } }) => content,
  decode: ({ id, parent_id, content }) => ({
    parentId: parent_id,
    message: { id, ...content } as unknown as UiMessage,
  }),
  getId: ({ id }) => id,
};

test("a runtime with messages of its own form has them back, and the session has the turns", async () => {
  await using place = inMemory();
  const history = assistantHistory(place.sessions, "t").withFormat(uiFormat);
  const question = { id: "u1", role: "user", parts: [{ type: "text", text: "Look" }] };
  const running = { type: "tool-look", toolCallId: "c1", input: { at: 1 }, state: "input-available" };
  const answer = { id: "a1", role: "assistant", parts: [running] };
  const done = {
    ...answer,
    parts: [
      { ...running, state: "output-available", output: "found" },
      { type: "data-x", data: 1 },
      { type: "text", text: "Found." },
    ],
  };
  await history.append({ parentId: null, message: question });
  await history.append({ parentId: "u1", message: answer });
  await history.update({ parentId: "u1", message: done }, "a1");
  const session = await place.another().get("t");
  await session.append("Elsewhere" as never).catch(() => undefined);
  await session.append({ input: "Elsewhere", output: "There." });
  const again = assistantHistory(place.another(), "t").withFormat(uiFormat);
  const { messages, headId } = await again.load();
  assert.deepEqual(messages, [
    { parentId: null, message: question },
    { parentId: "u1", message: done },
    { parentId: "a1", message: { id: "turn-2-1", role: "user", parts: [{ type: "text", text: "Elsewhere" }] } },
    { parentId: "turn-2-1", message: { id: "turn-2-2", role: "assistant", parts: [{ type: "text", text: "There." }] } },
  ]);
  assert.equal(headId, "turn-2-2");
  assert.deepEqual(
    (await Array.fromAsync(session.turns()))[0]?.output.map(({ role, content }) => [role, content]),
    [
      ["assistant", null],
      ["tool", "found"],
      ["assistant", "Found."],
    ],
  );
  await again.delete([{ parentId: "u1", message: done }]);
  assert.equal((await again.load()).messages.length, 3);
});

test("ids of any form are kept, and threads of different ids stay apart", async () => {
  await using here = serve();
  const sessions = await remoteOf(here);
  const ids = ["__proto__", "👩‍🚀", "a/b", "x".repeat(300), `${"x".repeat(299)}y`, "with\u0000control", idFor("\u0000")];
  for (const id of ids)
    await assistantHistory(sessions, id).append({ parentId: null, message: user(id, `Hi ${id.length}`) });
  for (const id of ids) {
    const { messages } = await assistantHistory(sessions, id).load();
    assert.deepEqual(
      messages.map(({ message }) => [(message as ThreadMessage).id, textOf(message as ThreadMessage)]),
      [[id, `Hi ${id.length}`]],
    );
    const turns = await Array.fromAsync((await here.sessions.get(idFor(id))).turns());
    assert.equal(turns.length, 1, "the id is that of the library");
  }
});

test("a message that is too large, and a value that cannot be stored, are refused, and nothing of them is written", async () => {
  await using place = inMemory();
  const history = assistantHistory(place.sessions, "t");
  await history.append({ parentId: null, message: user("u1", "one") });
  const large = user("u2", "x".repeat(8 * 1024 * 1024 + 1));
  await assert.rejects(history.append({ parentId: "u1", message: large }), { code: "write_too_large" });
  const wrong = { ...user("u3", "x"), metadata: { custom: { call: () => 1 } } };
  await assert.rejects(history.append({ parentId: "u1", message: wrong }), (error: Error & { code?: string }) => {
    assert.equal(error.code, "value_unstorable");
    assert.match(error.message, /metadata\.custom\.call/);
    return true;
  });
  const attachment = {
    id: "f",
    type: "document",
    name: "a.txt",
    status: { type: "complete" },
    content: [],
    file: new File(["a"], "a.txt"),
  };
  await history.append({ parentId: "u1", message: { ...user("u4", "with a file"), attachments: [attachment] } });
  const { messages } = await history.load();
  assert.deepEqual(
    messages.map(({ message }) => (message as ThreadMessage).id),
    ["u1", "u4"],
  );
});
