/** The store and the cache of graphs, and the history of a chat. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { AIMessage, HumanMessage, SystemMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import { RunnableLambda, RunnableWithMessageHistory } from "@langchain/core/runnables";
import { Annotation, END, START, StateGraph, type LangGraphRunnableConfig } from "@langchain/langgraph";
import { InMemoryStore, type BaseStore } from "@langchain/langgraph-checkpoint";
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { chatHistory } from "../../../src/adapters/langchain.ts";
import { perdureCache, perdureSaver, perdureStore } from "../../../src/adapters/langgraph.ts";
import { hasCode, openSessions } from "../../../src/index.ts";
import { Engines, enginesOfRun } from "../../crash/engines.ts";
import { inMemory } from "../../support/in-memory.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

function sorted(names: readonly string[][]): readonly string[] {
  return names.map((name) => name.join("/")).toSorted((a, b) => a.localeCompare(b));
}

/** All that a store answers to a fixed list of questions, without times. */
async function answers(store: BaseStore): Promise<unknown> {
  await store.put(["users", "ada"], "likes", { tea: true, cups: 3 });
  await store.put(["users", "ada"], "lives", { city: "Rome", cups: 1 });
  await store.put(["users", "bob"], "likes", { tea: false, cups: 7 });
  await store.put(["users"], "all", { cups: 0 });
  await store.put(["usersets", "x"], "likes", { cups: 5 });
  await store.put(["users", "ada"], "likes", { tea: true, cups: 4 });
  await store.put(["users", "bob"], "gone", { cups: 9 });
  await store.delete(["users", "bob"], "gone");
  await store.delete(["users", "bob"], "never");
  const plain = (items: readonly ({ namespace: string[]; key: string; value: unknown } | null)[]): unknown =>
    items
      .map((item) => item && [item.namespace, item.key, item.value])
      .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return [
    plain([await store.get(["users", "ada"], "likes"), await store.get(["users", "ada"], "gone")]),
    plain(await store.search(["users"])),
    plain(await store.search([], { filter: { cups: { $gt: 0, $lt: 8 } } })),
    plain(await store.search(["users"], { filter: { tea: { $ne: true } } })),
    (await store.search(["users"], { limit: 2, offset: 1 })).length,
    sorted(await store.listNamespaces()),
    sorted(await store.listNamespaces({ prefix: ["users"], maxDepth: 1 })),
    await store.listNamespaces({ suffix: ["x"] }),
    sorted(await store.listNamespaces({ prefix: ["*", "ada"] })),
  ];
}

for (const name of enginesOfRun("SQLite"))
  test(`the store answers as the one of LangGraph, in every process: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store: url, sweep: false });
    const store = perdureStore(sessions);
    assert.deepEqual(await answers(store as unknown as BaseStore), await answers(new InMemoryStore()));
    const first = await store.get(["users", "ada"], "lives");
    await store.put(["users", "ada"], "lives", { at: new Date(0), big: 1n, seen: new Map([["a", Number.NaN]]) });
    await using others = await openSessions({ store: url, sweep: false });
    const item = await perdureStore(others).get(["users", "ada"], "lives");
    assert.deepEqual(item?.value, { at: new Date(0), big: 1n, seen: new Map([["a", Number.NaN]]) });
    assert.deepEqual(item?.createdAt, first?.createdAt);
    // Reads of a batch see the state before its writes.
    const [before, , found] = (await store.batch([
      { namespace: ["users", "ada"], key: "likes" },
      { namespace: ["users", "ada"], key: "likes", value: { cups: 100 } },
      { namespacePrefix: ["users", "ada"], filter: { cups: 4 } },
    ])) as [{ value: unknown }, null, unknown[]];
    assert.deepEqual(before.value, { tea: true, cups: 4 });
    assert.equal(found.length, 1);
    assert.deepEqual((await store.get(["users", "ada"], "likes"))?.value, { cups: 100 });
  });

test("names of a store may be any text; a search by meaning, a long name and a function are refused", async () => {
  await using memory = inMemory();
  const store = perdureStore(memory.sessions);
  const names = ["__proto__", "💚", "a|b/c%d~", "\u0000", "x".repeat(300), ""];
  for (const [index, name] of names.entries()) await store.put(["n", "m"], name, { index });
  for (const [index, name] of names.entries())
    assert.deepEqual((await store.get(["n", "m"], name))?.value, { index }, JSON.stringify(name));
  assert.equal((await store.search(["n"])).length, names.length);
  const refused = async (work: () => Promise<unknown>, code: "argument_invalid" | "value_unstorable"): Promise<void> =>
    await assert.rejects(work, (error) => hasCode(error, code));
  await refused(() => store.search(["n"], { query: "tea" }), "argument_invalid");
  await refused(
    () =>
      store.put(
        Array.from({ length: 9 }, () => "x".repeat(40)),
        "k",
        {},
      ),
    "argument_invalid",
  );
  await refused(() => store.put(["n"], "k", { run: () => 1 }), "value_unstorable");
});

test("a cached node does not run again in another process, until its time has passed or its values are cleared", async () => {
  await using memory = inMemory();
  let runs = 0;
  const State = Annotation.Root({ value: Annotation<number>(), at: Annotation<Date>() });
  const app = (cache = perdureCache(memory.sessions)) =>
    new StateGraph(State)
      .addNode(
        "work",
        ({ value }) => {
          runs++;
          return { value: value + 1, at: new Date(0) };
        },
        { cachePolicy: { ttl: 60 } },
      )
      .addEdge(START, "work")
      .addEdge("work", END)
      .compile({ cache, store: perdureStore(memory.sessions) as never });
  assert.deepEqual(await app().invoke({ value: 1 }), { value: 2, at: new Date(0) });
  assert.deepEqual(await app(perdureCache(memory.another())).invoke({ value: 1 }), { value: 2, at: new Date(0) });
  assert.equal(runs, 1);
  await memory.clock.advance(61_000);
  await app().invoke({ value: 1 });
  assert.equal(runs, 2);
  await perdureCache(memory.sessions).clear([]);
  await app().invoke({ value: 1 });
  assert.equal(runs, 3);
  const cache = perdureCache(memory.sessions);
  await cache.set([
    { key: [["a"], "k"], value: 1 },
    { key: [["a", "b"], "k"], value: 2 },
  ]);
  await cache.clear([["a"]]);
  assert.deepEqual(
    (
      await cache.get([
        [["a"], "k"],
        [["a", "b"], "k"],
      ])
    ).map(({ value }) => value),
    [2],
  );
});

/** The kind and the content of each message. */
function told(messages: readonly BaseMessage[]): unknown {
  return messages.map(({ type, content }) => [type, content]);
}

test("a runnable has its history in a session, which other frameworks read", async () => {
  await using memory = inMemory();
  const model = new RunnableLambda({
    func: ({ input, history = [] }: { input: string; history?: BaseMessage[] }) =>
      Promise.resolve(new AIMessage({ id: `a${history.length}`, content: `${input} after ${history.length}` })),
  });
  const chat = new RunnableWithMessageHistory({
    runnable: model,
    getMessageHistory: (id: string) => chatHistory(memory.sessions, id),
    inputMessagesKey: "input",
    historyMessagesKey: "history",
  });
  const config: LangGraphRunnableConfig = { configurable: { sessionId: "s" } };
  await chat.invoke({ input: "one" }, config);
  await chat.invoke({ input: "two" }, config);
  const session = await memory.sessions.get("s");
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status, input, output }): unknown[] => [status, input[0]?.content, output[0]?.content]),
    [
      ["done", "one", "one after 0"],
      ["done", "two", "two after 2"],
    ],
  );
  await session.refresh();
  await session.append({ input: "three", output: "by another" });
  const messages = (await chatHistory(memory.sessions, "s").getMessages()) as BaseMessage[];
  assert.deepEqual(told(messages.slice(4)), [
    ["human", "three"],
    ["ai", "by another"],
  ]);
  assert.equal(messages[1]?.id, "a0");
});

test("messages that are added one by one make the same turns, calls paired; clear deletes them", async () => {
  await using memory = inMemory();
  const history = chatHistory(memory.sessions, "s");
  const call = { name: "look", args: { q: 1 }, id: "c1", type: "tool_call" as const };
  const all = [
    new SystemMessage("Be kind."),
    new HumanMessage("one"),
    new AIMessage({ content: "", tool_calls: [call] }),
    new ToolMessage({ content: "seen", tool_call_id: "c1", artifact: { raw: new Date(0) } }),
    new AIMessage("Well."),
    new HumanMessage("two"),
  ];
  for (const message of all) await history.addMessage(message);
  await Promise.all([history.addAIMessage("Fine."), chatHistory(memory.sessions, "other").addUserMessage("hi")]);
  const session = await memory.sessions.get("s");
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status, input, output }) => [status, input.length, output.map(({ role }) => role).join()]),
    [
      ["done", 2, "assistant,tool,assistant"],
      ["done", 1, "assistant"],
    ],
  );
  const read = (await history.getMessages()) as BaseMessage[];
  assert.deepEqual(told(read), told([...all, new AIMessage("Fine.")]));
  assert.deepEqual((read[2] as AIMessage).tool_calls, [call]);
  assert.deepEqual((read[3] as ToolMessage).artifact, { raw: new Date(0) });
  // At once: none is lost.
  await Promise.all(Array.from({ length: 8 }, (_, n) => chatHistory(memory.sessions, "s").addUserMessage(`n${n}`)));
  assert.equal((await history.getMessages()).length, read.length + 8);
  await history.clear();
  assert.deepEqual(await history.getMessages(), []);
  // The saver is another reader of the same session.
  assert.equal(await perdureSaver(memory.sessions).getTuple({ configurable: { thread_id: "s" } }), undefined);
});

test("what is no message of LangChain is refused, and nothing of the call is stored", async () => {
  await using memory = inMemory();
  const history = chatHistory(memory.sessions, "s");
  for (const value of [null, {}, 5, "hi"])
    await assert.rejects(history.addMessages([new HumanMessage("hi"), value as never]), { code: "message_invalid" });
  await assert.rejects(history.addMessages("hi" as never), { code: "argument_invalid" });
  assert.deepEqual(await history.getMessages(), []);
});
