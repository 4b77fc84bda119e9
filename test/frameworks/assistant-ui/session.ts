/** Threads whose answers the session gives, with the local runtime of assistant-ui. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import type { ThreadMessage } from "@assistant-ui/core";
import { LocalRuntimeCore } from "@assistant-ui/core/internal";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { assistantSession, type AssistantSession, type FormatAdapter } from "../../../src/client/assistant-ui.ts";
import { connect } from "../../../src/client/index.ts";
import { withTools, type Model, type Session, type Tool, type Turn } from "../../../src/index.ts";
import { serve, type Serving } from "../../server/serving.ts";
import { inMemory } from "../../support/in-memory.ts";

type Core = LocalRuntimeCore["threads"]["getMainThreadRuntimeCore"] extends () => infer C ? C : never;

/** A page with the local runtime. */
class Page {
  readonly core: Core;

  constructor({ model, history }: AssistantSession) {
    const adapters = { chatModel: model, history } as never;
    this.core = new LocalRuntimeCore({ adapters }, undefined).threads.getMainThreadRuntimeCore();
  }

  /** Loads the thread; waits for an answer that it goes on with. */
  async load(): Promise<this> {
    await this.core.__internal_load();
    return this;
  }

  /** Sends a message behind the last one, or behind `parentId`; waits for its answer. */
  async say(text: string, parentId: string | null = this.core.messages.at(-1)?.id ?? null): Promise<void> {
    const content = [{ type: "text", text }];
    const about = { role: "user", attachments: [], metadata: { custom: {} }, createdAt: new Date(0) };
    await this.core.append({ ...about, content, parentId, sourceId: null, startRun: true } as never);
  }

  get texts(): readonly string[] {
    return this.core.messages.map(textOf);
  }

  id(at: number): string {
    return this.core.messages.at(at)?.id ?? assert.fail("no such message");
  }

  /** Until the last message of the page has this text. */
  async until(text: string): Promise<void> {
    while (this.texts.at(-1) !== text) await tick();
  }
}

function textOf({ content }: Pick<ThreadMessage, "content">): string {
  return content.map((part) => (part.type === "text" ? part.text : "")).join("");
}

const spoken = ({ input, output }: Turn): string =>
  [...input, ...output].map(({ content }) => String(content)).join(" / ");

let answers = 0;
const counting: Model = async function* ({ messages }) {
  yield { type: "text", text: `${++answers}: ` };
  yield { type: "text", text: `on ${String(messages.at(-1)?.content)}` };
};

async function remoteOf(here: Serving): Promise<ReturnType<typeof connect>> {
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  return connect({ url: "http://server.test", key: await here.key("write"), fetch });
}

/** A model whose answers wait in their middle. */
function gated(): { readonly model: Model; readonly begun: Promise<void>; readonly open: () => void } {
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const model: Model = async function* ({ signal }) {
    yield { type: "reasoning", text: "Hm." };
    yield { type: "text", text: "first " };
    begun.resolve();
    const stopped = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    await Promise.race([gate.promise, stopped]);
    yield { type: "text", text: "second" };
  };
  return { model, begun: begun.promise, open: () => gate.resolve() };
}

test("over HTTP the session gives the answers, and a page that is loaded again shows its turns", async () => {
  await using here = serve({ model: counting });
  const sessions = await remoteOf(here);
  answers = 0;
  const page = await new Page(assistantSession(sessions, "t")).load();
  assert.deepEqual(page.texts, []);
  await page.say("one");
  await page.say("two");
  assert.deepEqual(page.texts, ["one", "1: on one", "two", "2: on two"]);
  const session = await here.sessions.get("t");
  assert.deepEqual((await Array.fromAsync(session.turns())).map(spoken), ["one / 1: on one", "two / 2: on two"]);
  await session.append({ input: "Elsewhere", output: "There." });
  const again = await new Page(assistantSession(sessions, "t")).load();
  assert.deepEqual(again.texts, [...page.texts, "Elsewhere", "There."]);
  assert.equal(again.id(0), page.id(0));
  await again.say("three");
  assert.equal((await Array.fromAsync(session.turns())).length, 4);
});

test("an edit in the page is a branch of the session, and an edit of another program is a sibling in the page", async () => {
  await using here = serve({ model: counting });
  answers = 0;
  const sessions = await remoteOf(here);
  const page = await new Page(assistantSession(sessions, "t")).load();
  await page.say("one");
  await page.say("two");
  await page.say("three");
  await page.say("two, edited", page.id(1));
  assert.deepEqual(page.texts, ["one", "1: on one", "two, edited", "4: on two, edited"]);
  const session = await here.sessions.get("t");
  const turnsNow = async (): Promise<readonly string[]> => {
    await session.refresh();
    return (await Array.fromAsync(session.turns())).map(spoken);
  };
  assert.deepEqual(await turnsNow(), ["one / 1: on one", "two, edited / 4: on two, edited"]);
  assert.equal((await session.branches()).length, 2);
  // The page shows the earlier version again, and goes on with it: so does the session.
  const [earlier] = page.core.getBranches(page.id(2));
  page.core.switchToBranch(earlier!);
  await page.say("four");
  const kept = ["one / 1: on one", "two / 2: on two", "three / 3: on three", "four / 5: on four"];
  assert.deepEqual(await turnsNow(), kept);
  assert.equal((await session.branches()).length, 2);
  // The answer to a question is asked again.
  await page.core.startRun({ parentId: page.id(-2), sourceId: page.id(-1), runConfig: {} });
  assert.deepEqual(await turnsNow(), kept.with(3, "four / 6: on four"));
  assert.equal((await session.branches({ at: 4 })).length, 2);
  // Another program edits the first turn.
  await session.refresh();
  await Array.fromAsync(await session.edit(1, "uno"));
  const again = await new Page(assistantSession(sessions, "t")).load();
  assert.deepEqual(again.texts, ["uno", "7: on uno"]);
  const [first] = again.core.getBranches(again.id(0));
  again.core.switchToBranch(first!);
  assert.equal(again.texts[0], "one");
  assert.equal(again.core.getBranches(again.id(2)).length, 2, "both versions of the second turn");
  const all = (await assistantSession(sessions, "t").history.load()).messages;
  const texts = all.map(({ message }) => textOf(message as ThreadMessage)).toSorted();
  assert.deepEqual(
    texts,
    ["one", "two", "two, edited", "three", "four", "four", "uno"]
      .flatMap((text, index) => [text, `${[1, 2, 4, 3, 5, 6, 7][index]}: on ${text}`])
      .toSorted(),
    "each message of each branch once",
  );
});

test("an answer goes on without its page, and the next page continues it from its beginning", async () => {
  const { model, begun, open } = gated();
  await using here = serve({ model });
  const sessions = await remoteOf(here);
  const page = await new Page(assistantSession(sessions, "t")).load();
  const saying = page.say("one").catch(() => undefined);
  await begun;
  await page.until("first ");
  page.core.detach();
  await saying;
  const again = await new Page(assistantSession(sessions, "t")).load();
  await again.until("first ");
  assert.equal(again.core.messages.at(-1)?.status?.type, "running");
  open();
  await again.until("first second");
  while (again.core.messages.at(-1)?.status?.type === "running") await tick();
  const { status, content } = again.core.messages.at(-1)!;
  assert.deepEqual(status, { type: "complete", reason: "unknown" });
  assert.deepEqual(content, [
    { type: "reasoning", text: "Hm." },
    { type: "text", text: "first second" },
  ]);
  await again.say("two");
  const turns = await Array.fromAsync((await here.sessions.get("t")).turns());
  assert.deepEqual(turns.map(spoken), ["one / first second", "two / first second"]);
  assert.deepEqual(
    turns.map(({ status: end }) => end),
    ["done", "done"],
  );
});

test("an answer that ended since the page was loaded is shown whole, and one that the page stops is stopped for all", async () => {
  const { model, begun, open } = gated();
  await using here = serve({ model });
  const session = await here.sessions.create({ id: "t" });
  const answer = await session.consult("one");
  await begun;
  const thread = assistantSession(await remoteOf(here), "t");
  assert.equal((await thread.history.load()).unstable_resume, true);
  open();
  await answer.done;
  const run = { messages: [], abortSignal: new AbortController().signal, unstable_assistantMessageId: "a" };
  assert.deepEqual(await Array.fromAsync(thread.history.resume(run)), [
    { content: [{ type: "text", text: "first second" }], status: { type: "complete", reason: "unknown" } },
  ]);
  assert.equal((await thread.history.load()).unstable_resume, undefined);

  const other = gated();
  await using there = serve({ model: other.model });
  const page = await new Page(assistantSession(there.sessions, "t")).load();
  const saying = page.say("one").catch(() => undefined);
  await other.begun;
  await page.until("first ");
  page.core.cancelRun();
  await saying;
  const stopped = await there.sessions.get("t");
  while ((await stopped.running()) !== undefined) await tick();
  const [turn] = await Array.fromAsync(stopped.turns());
  assert.deepEqual([turn?.status, spoken(turn!)], ["interrupted", "one / first "]);
});

test("an edit whose answer fails before its first word leaves the earlier version, and the page goes on", async () => {
  let fails = false;
  const model: Model = async function* (request) {
    if (fails) throw new Error("The model is away.");
    yield* counting(request);
  };
  answers = 0;
  await using place = inMemory({ model });
  const page = await new Page(assistantSession(place.sessions, "t")).load();
  await page.say("one");
  await page.say("two");
  fails = true;
  await assert.rejects(page.say("two, edited", page.id(1)));
  await assert.rejects(page.say("three"));
  const session = await place.sessions.get("t");
  fails = false;
  await page.say("again");
  await session.refresh();
  assert.deepEqual(
    (await Array.fromAsync(session.turns())).map(({ input }) => input.map(({ content }) => content)),
    [["one"], ["two, edited", "three", "again"]],
  );
  assert.equal((await session.branches()).length, 2);
});

test("a turn that is no more, and what is no question, are refused, and nothing is asked", async () => {
  await using place = inMemory({ model: counting });
  const page = await new Page(assistantSession(place.sessions, "t")).load();
  await page.say("one");
  const session = await place.sessions.get("t");
  await session.truncate(0);
  await assert.rejects(page.say("two"), { code: "conflict" });
  assert.equal((await session.refresh()).turn, 0);
  const { model } = assistantSession(place.sessions, "t");
  const run = { messages: [{ id: "a", role: "assistant" }], abortSignal: new AbortController().signal };
  await assert.rejects(Array.fromAsync(model.run(run)), { code: "argument_invalid" });
  assert.throws(() => assistantSession(place.sessions, ""), { code: "argument_invalid" });
  assert.throws(() => assistantSession(place.sessions, "t", { agents: "a" } as never), { code: "argument_invalid" });
});

/** A model that pays after an approval, and the session's place for its tools. */
function paying(paid: string[], asks?: Model): { readonly model: Model; readonly use: (session: Session) => void } {
  let session: Session | undefined;
  let calls = 0;
  const asking: Model = async function* ({ messages }) {
    const results = messages.filter(({ role }) => role === "tool").map(({ content }) => String(content));
    if (results.length > 0) yield { type: "text", text: `Said: ${results.join(", ")}` };
    else {
      yield { type: "text", text: "May I? " };
      const tool_calls = ["5", "7"].map((euros) => ({
        id: `c${++calls}`,
        type: "function" as const,
        function: { name: "pay", arguments: JSON.stringify({ euros }) },
      }));
      yield { type: "message", message: { role: "assistant", content: null, tool_calls } };
    }
  };
  const pay: Tool = {
    name: "pay",
    description: "Pays.",
    parameters: { type: "object" },
    approve: true,
    run: ({ euros }) => {
      paid.push(String(euros));
      return `paid ${String(euros)}`;
    },
  };
  const model: Model = (request) =>
    withTools(asks ?? asking, [pay], { session: session ?? assert.fail("no session") })(request);
  return { model: Object.assign(model, { runsTools: true as const }), use: (given) => (session = given) };
}

const partsOf = ({ content }: Pick<ThreadMessage, "content">): readonly unknown[] =>
  content.map((part) => {
    if (part.type !== "tool-call") return part.type === "text" ? part.text : part.type;
    return [part.toolName, part.approval?.approved, part.result];
  });

for (const how of ["the page that asked", "a page that is loaded", "a page over HTTP"] as const)
  test(`${how} approves one call and refuses the other, and the answer goes on in its message`, async () => {
    const paid: string[] = [];
    const { model, use } = paying(paid);
    await using here = serve({ model });
    use(await here.sessions.create({ id: "t" }));
    const open = async (): Promise<AssistantSession> =>
      assistantSession(how === "a page over HTTP" ? await remoteOf(here) : here.sessions, "t");
    let page = await new Page(await open()).load();
    await page.say("Pay.");
    assert.deepEqual(page.core.messages.at(-1)?.status, { type: "requires-action", reason: "tool-calls" });
    if (how !== "the page that asked") page = await new Page(await open()).load();
    const asked = page.core.messages.at(-1)!;
    assert.deepEqual(partsOf(asked), ["May I? ", ["pay", undefined, undefined], ["pay", undefined, undefined]]);
    assert.deepEqual(asked.status, { type: "requires-action", reason: "tool-calls" });
    const approvals = asked.content.flatMap((part) => (part.type === "tool-call" ? [part.approval!.id] : []));
    await page.core.respondToToolApproval({ approvalId: approvals[0]!, approved: true });
    assert.deepEqual(paid, [], "all calls are decided together");
    await page.core.respondToToolApproval({
      approvalId: approvals[1]!,
      approved: false,
      reason: "Too much.",
    });
    while (page.core.messages.at(-1)?.status?.type !== "complete") await tick();
    assert.deepEqual(paid, ["5"]);
    const [first, yes, no, last, ...more] = partsOf(page.core.messages.at(-1)!);
    assert.deepEqual([first, yes, more], ["May I? ", ["pay", true, "paid 5"], []]);
    assert.deepEqual((no as readonly unknown[]).slice(0, 2), ["pay", false]);
    assert.match(String(last), /^Said: paid 5, .*Too much\./);
    assert.equal(page.core.messages.length, 2);
    const turns = await Array.fromAsync((await here.sessions.get("t")).turns());
    assert.deepEqual(
      turns.map(({ status }) => status),
      ["done"],
    );
    const again = await new Page(await open()).load();
    assert.deepEqual([...again.texts], [...page.texts]);
    await again.say("Thanks.");
    assert.equal((await Array.fromAsync((await here.sessions.get("t")).turns())).length, 2);
  });

test("a decision that another program has made first is refused, and the next load shows what it led to", async () => {
  const paid: string[] = [];
  const { model, use } = paying(paid);
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "t" });
  use(session);
  const page = await new Page(assistantSession(place.sessions, "t")).load();
  await page.say("Pay.");
  const waiting = (await session.waiting()) ?? assert.fail("no turn waits");
  const all = Object.fromEntries(waiting.calls.map(({ id }) => [id, true as const]));
  await (
    await session.approve(waiting.token, all)
  ).done;
  const message = page.core.messages.at(-1)!;
  const content = message.content.map((part) =>
    part.type === "tool-call" ? { ...part, approval: { ...part.approval, approved: false } } : part,
  );
  const run = {
    messages: [],
    abortSignal: new AbortController().signal,
    unstable_getMessage: () => ({ ...message, content }),
  };
  const thread = assistantSession(place.sessions, "t");
  await thread.history.load();
  await assert.rejects(Array.fromAsync(thread.model.run(run)), { code: "turn_not_waiting" });
  const again = await new Page(assistantSession(place.sessions, "t")).load();
  assert.match(again.texts.at(-1)!, /^May I\? Said: paid 5, paid 7$/);
  assert.deepEqual(paid, ["5", "7"]);
});

for (const euros of ["12", "9000"])
  test(`an approval of a call is none of a later wait for ${euros} euros, whose call has the same id`, async () => {
    const paid: string[] = [];
    const asked = ["12", euros];
    const asking: Model = async function* ({ messages }) {
      if (messages.at(-1)?.role === "tool") return yield { type: "text", text: "Paid." };
      const call = { name: "pay", arguments: JSON.stringify({ euros: asked.shift() }) };
      const tool_calls = [{ id: "call-1", type: "function" as const, function: call }];
      yield { type: "message", message: { role: "assistant", content: null, tool_calls } };
    };
    const { use, model } = paying(paid, asking);
    await using place = inMemory({ model });
    const session = await place.sessions.create({ id: "t" });
    use(session);
    const thread = assistantSession(place.sessions, "t");
    const page = await new Page(thread).load();
    await page.say("Pay.");
    await session.refresh();
    await session.cancel();
    await (
      await session.consult("Pay more.", { after: 0, keep: true })
    ).done;
    const message = page.core.messages.at(-1)!;
    const content = message.content.map((part) =>
      part.type === "tool-call" ? { ...part, approval: { ...part.approval, approved: true } } : part,
    );
    const run = {
      messages: [],
      abortSignal: new AbortController().signal,
      unstable_getMessage: () => ({ ...message, content }),
    };
    await assert.rejects(Array.fromAsync(thread.model.run(run)), { code: "turn_not_waiting" });
    assert.deepEqual(paid, []);
    assert.notEqual(await session.waiting(), null);
  });

test("a runtime with messages of the AI SDK reads the turns, and another form is refused", async () => {
  await using place = inMemory({ model: counting });
  answers = 0;
  const session = await place.sessions.create({ id: "t" });
  await (
    await session.consult("one", { key: "k" })
  ).done;
  await (
    await session.edit(1, "uno")
  ).done;
  const format = (name: string): FormatAdapter<{ readonly id: string }, Record<string, unknown>> => ({
    format: name,
    encode: ({ message }) => ({ ...message }),
    decode: ({ id, parent_id, content }) => ({ parentId: parent_id, message: { ...content, id } }),
    getId: ({ id }) => id,
  });
  const { history } = assistantSession(place.sessions, "t");
  const own = history.withFormat(format("ai-sdk/v6"));
  const { headId, messages } = await own.load();
  const text = (value: string): object[] => [{ type: "text", text: value }];
  const plain = await history.load();
  assert.deepEqual(
    messages.map(({ message }) => message.id),
    plain.messages.map(({ message }) => (message as { readonly id: string }).id),
  );
  assert.equal(headId, plain.headId);
  assert.deepEqual(
    messages.map(({ parentId, message: { id: _, ...message } }) => [parentId === null, message]),
    [
      [true, { role: "user", parts: text("one") }],
      [false, { role: "assistant", parts: text("1: on one") }],
      [true, { role: "user", parts: text("uno") }],
      [false, { role: "assistant", parts: text("2: on uno") }],
    ],
  );
  await own.append({ parentId: headId, message: { id: "new" } });
  assert.equal((await own.load()).messages.length, 4, "the session has a message once it is asked");
  for (const name of ["thread-message", "another"])
    assert.throws(() => history.withFormat(format(name)), { code: "argument_invalid" });
});
