/** Graphs that run on sessions: their forks, interrupts, subgraphs and durabilities, and the conversation that others read. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { AIMessage, HumanMessage, RemoveMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import {
  Annotation,
  Command,
  END,
  interrupt,
  MessagesAnnotation,
  Send,
  START,
  StateGraph,
  type LangGraphRunnableConfig,
} from "@langchain/langgraph";
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { perdureSaver, type PerdureSaver } from "../../../src/adapters/langgraph.ts";
import { hasCode, openSessions, type Session, type Sessions, type Turn } from "../../../src/index.ts";
import { Engines, enginesOfRun } from "../../crash/engines.ts";
import { inMemory } from "../../support/in-memory.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const thread = (id: string, more: object = {}): LangGraphRunnableConfig => ({
  configurable: { thread_id: id, ...more },
});

const Words = Annotation.Root({
  words: Annotation<string[]>({ reducer: (a, b) => a.concat(b), default: () => [] }),
  last: Annotation<string>(),
});

/** Two nodes that each add a word, and note what they have seen. */
function twoNodes(saver: PerdureSaver, seen: string[] = []) {
  return new StateGraph(Words)
    .addNode("one", ({ words }) => {
      seen.push(`one:${words.join()}`);
      return { words: ["one"], last: "one" };
    })
    .addNode("two", ({ words, last }) => {
      seen.push(`two:${words.join()}`);
      return { words: ["two"], last: `${last} two` };
    })
    .addEdge(START, "one")
    .addEdge("one", "two")
    .addEdge("two", END)
    .compile({ checkpointer: saver });
}

/** Answers each question with its number of messages. */
function chat(saver: PerdureSaver) {
  return new StateGraph(MessagesAnnotation)
    .addNode("answer", ({ messages }) => ({ messages: [new AIMessage(`answer ${messages.length}`)] }))
    .addEdge(START, "answer")
    .addEdge("answer", END)
    .compile({ checkpointer: saver });
}

async function turnsOf(sessions: Sessions, id: string): Promise<Turn[]> {
  return await Array.fromAsync((await sessions.get(id)).turns());
}

/** The contents of each turn. */
async function shape(sessions: Sessions, id: string): Promise<unknown[]> {
  return (await turnsOf(sessions, id)).map(({ status, input, output }) => [
    status,
    input.map(({ content }) => content),
    output.map(({ content, tool_calls: calls }) => calls?.[0]?.id ?? content),
  ]);
}

/** The next two runs of these savers both load the state before either of them writes. */
function afterBothHaveLoaded(...savers: readonly PerdureSaver[]): void {
  let arrived = 0;
  let open = (): void => undefined;
  const both = new Promise<void>((resolve) => (open = resolve));
  for (const saver of new Set(savers)) {
    const load = saver.getTuple.bind(saver);
    saver.getTuple = async (config) => {
      const tuple = await load(config);
      if (++arrived === 2) open();
      await both;
      return tuple;
    };
  }
}

async function wordsOf(saver: PerdureSaver, id: string): Promise<readonly string[]> {
  const { words = [] } = (await twoNodes(saver).getState(thread(id))).values as { words?: string[] };
  return words;
}

for (const name of enginesOfRun("SQLite")) {
  test(`a fork of an old checkpoint runs with its own values: ${name}`, async () => {
    await using sessions = await openSessions({ store: await (await engines.get(name)).fresh(), sweep: false });
    const seen: string[] = [];
    const app = twoNodes(perdureSaver(sessions), seen);
    await app.invoke({ words: ["start"] }, thread("t"));
    const history = await Array.fromAsync(app.getStateHistory(thread("t")));
    const before = history.find(({ next }) => next[0] === "two") ?? assert.fail("no such checkpoint");
    const forked = await app.updateState(before.config, { last: "ONE" });
    const result = await app.invoke(null, forked);
    assert.equal(result.last, "ONE two");
    assert.deepEqual(result.words, ["start", "one", "two"]);
    assert.deepEqual(seen, ["one:start", "two:start,one", "two:start,one"]);
    // The other branch has its values.
    assert.equal((await app.getState(history[0]!.config)).values.last, "one two");
    assert.equal((await app.getState(thread("t"))).values.last, "ONE two");
  });

  test(`of two runs of one thread at once the second one is refused, also in another process and in a new thread: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    await using others = await openSessions({ store, sweep: false });
    let runs = 0;
    for (const id of ["new", "old", "old"]) {
      const first = perdureSaver(sessions);
      for (const second of [first, perdureSaver(sessions), perdureSaver(others)]) {
        const name = id === "new" ? `new-${++runs}` : id;
        const before = (await wordsOf(second, name)).length;
        afterBothHaveLoaded(first, second);
        const outcomes = await Promise.allSettled(
          [first, second].map((saver) => twoNodes(saver).invoke({ words: ["run"] }, thread(name))),
        );
        const lost = outcomes.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
        assert.equal(lost.length, 1, name);
        assert(hasCode(lost[0]?.reason, "conflict"), String(lost[0]?.reason));
        assert.deepEqual((await wordsOf(perdureSaver(others), name)).slice(before), ["run", "one", "two"]);
      }
    }
  });
}

test("two runs at once are both kept where the saver keeps forks", async () => {
  await using memory = inMemory();
  const { sessions } = memory;
  const app = twoNodes(perdureSaver(sessions, { onFork: "keep" }));
  await app.invoke({ words: ["start"] }, thread("t"));
  await Promise.all([app.invoke({ words: ["a"] }, thread("t")), app.invoke({ words: ["b"] }, thread("t"))]);
  const leaves = (await Array.fromAsync(app.getStateHistory(thread("t")))).filter(({ next }) => next.length === 0);
  assert.deepEqual(leaves.map(({ values }) => (values as { words: string[] }).words.join()).toSorted(), [
    "start,one,two",
    "start,one,two,a,one,two",
    "start,one,two,b,one,two",
  ]);
});

test("a run that names its checkpoint goes on from there", async () => {
  await using memory = inMemory();
  const { sessions } = memory;
  const app = chat(perdureSaver(sessions));
  await app.invoke({ messages: [new HumanMessage({ id: "1", content: "one" })] }, thread("t"));
  const { config } = await app.getState(thread("t"));
  await app.invoke({ messages: [new HumanMessage({ id: "2", content: "two" })] }, thread("t"));
  await app.invoke({ messages: [new HumanMessage({ id: "3", content: "three" })] }, config);
  assert.deepEqual(await shape(sessions, "t"), [
    ["done", ["one"], ["answer 1"]],
    ["done", ["three"], ["answer 3"]],
  ]);
});

test("a run whose clock is behind continues the newest state all the same", async (context) => {
  await using memory = inMemory();
  const { sessions } = memory;
  const app = chat(perdureSaver(sessions));
  await app.invoke({ messages: [new HumanMessage("one")] }, thread("t"));
  const { uuid6 } = await import("@langchain/langgraph-checkpoint");
  const saver = perdureSaver(sessions);
  for (const round of [1, 2, 3]) {
    const tuple = (await saver.getTuple(thread("t"))) ?? assert.fail("no checkpoint");
    const id = uuid6(0).replace(/^1/, "0");
    const checkpoint = { ...tuple.checkpoint, id, ts: `round ${round}` };
    await saver.put(tuple.config, checkpoint, { source: "loop", step: round, parents: {} }, {});
    const newest = (await perdureSaver(sessions).getTuple(thread("t"))) ?? assert.fail("no checkpoint");
    assert.equal(newest.checkpoint.ts, `round ${round}`);
    assert.equal((await saver.getTuple(newest.config))?.checkpoint.id, id);
  }
  const listed = await Array.fromAsync(saver.list(thread("t")));
  assert.deepEqual(
    listed.slice(0, 3).map(({ checkpoint }) => checkpoint.ts),
    ["round 3", "round 2", "round 1"],
  );
  const before = await Array.fromAsync(saver.list(thread("t"), { before: listed[1]!.config }));
  assert.equal(before[0]?.checkpoint.ts, "round 1");
  context.diagnostic(`${listed.length} checkpoints`);
});

/** A graph of a subgraph, tasks that are sent, and a question to a person; `ran` has each run of a node. */
function workflow(saver: PerdureSaver, ran: string[]) {
  const Work = Annotation.Root({
    parts: Annotation<string[]>({ reducer: (a, b) => a.concat(b), default: () => [] }),
    answer: Annotation<string>(),
  });
  const inner = new StateGraph(Work)
    .addNode("plan", () => {
      ran.push("plan");
      return { parts: ["planned"] };
    })
    .addNode("ask", () => {
      ran.push("ask");
      return { answer: interrupt<string, string>("go on?") };
    })
    .addEdge(START, "plan")
    .addEdge("plan", "ask")
    .addEdge("ask", END)
    .compile();
  return new StateGraph(Work)
    .addNode("split", () => {
      ran.push("split");
      return {};
    })
    .addNode("part", ({ answer }) => {
      ran.push(`part ${answer}`);
      return { parts: [answer] };
    })
    .addNode("inner", inner)
    .addNode("end", ({ answer }) => {
      ran.push("end");
      return { parts: [`said ${answer}`] };
    })
    .addEdge(START, "split")
    .addConditionalEdges("split", () => [new Send("part", { answer: "b" }), new Send("part", { answer: "a" })], [
      "part",
    ])
    .addEdge("part", "inner")
    .addEdge("inner", "end")
    .addEdge("end", END)
    .compile({ checkpointer: saver });
}

for (const durability of ["async", "sync", "exit"] as const)
  test(`a run with sent tasks, a subgraph and an interrupt goes on in another process: ${durability}`, async () => {
    await using memory = inMemory();
    const ran: string[] = [];
    const config = { ...thread("t"), durability };
    await workflow(perdureSaver(memory.sessions), ran).invoke({ parts: [] }, config);
    assert.deepEqual(ran.toSorted(), ["ask", "part a", "part b", "plan", "split"]);
    const app = workflow(perdureSaver(memory.another()), ran);
    const state = await app.getState(thread("t"), { subgraphs: true });
    assert.deepEqual(state.next, ["inner"]);
    assert.equal(state.tasks[0]?.interrupts[0]?.value, "go on?");
    const result = await app.invoke(new Command({ resume: "yes" }), config);
    assert.deepEqual(result.parts, ["b", "a", "b", "a", "planned", "said yes"]);
    // The node that asks runs again, as LangGraph does it; no node that had ended does.
    assert.deepEqual(ran.slice(5), ["ask", "end"]);
    const history = await Array.fromAsync(app.getStateHistory(thread("t")));
    assert.deepEqual(history[0]?.next, []);
    // With the lowest version a question that was answered is not asked again, whatever the checkpointer.
    if (durability === "exit" || process.env["PERDURE_TEST_PEER"] === "lowest") return;
    // Time travel: the question is asked again, on a branch of its own.
    const asked = history.find(({ next }) => next[0] === "inner") ?? assert.fail("no such checkpoint");
    await app.invoke(null, asked.config);
    const again = await app.invoke(new Command({ resume: "no" }), thread("t"));
    assert.equal(again.parts.at(-1), "said no");
  });

test("ids that the graph gives to messages are stored, and turns of others in between leave its own turns alone", async () => {
  await using memory = inMemory();
  const run = async (text: string): Promise<readonly unknown[]> => {
    const app = new StateGraph(MessagesAnnotation)
      .addNode("model", () => ({ messages: [new AIMessage(`You said ${text}.`)] }))
      .addEdge(START, "model")
      .addEdge("model", END)
      .compile({ checkpointer: perdureSaver(memory.another()) });
    const { messages } = await app.invoke({ messages: [new HumanMessage(text)] }, thread("t"));
    const state = await app.getState(thread("t"));
    const idsOf = (all: readonly { readonly id?: string }[]): readonly unknown[] => all.map(({ id }) => id);
    assert.deepEqual(idsOf(state.values.messages), idsOf(messages));
    return idsOf(messages);
  };
  const first = await run("one");
  await (await memory.another().get("t")).append({ input: "two", output: "Another framework." });
  assert.deepEqual((await run("three")).slice(0, 2), first);
  const turns = await Array.fromAsync((await memory.another().get("t")).turns());
  assert.deepEqual(
    turns.map(({ input, output }) => [input[0]?.content, output[0]?.content]),
    [
      ["one", "You said one."],
      ["two", "Another framework."],
      ["three", "You said three."],
    ],
  );
});

test("a turn of another writer stays where it takes the number of the graph's own question, or answers it", async () => {
  type Meanwhile = (session: Session) => Promise<unknown>;
  const shownAfter = async (meanwhile: Meanwhile): Promise<readonly unknown[]> => {
    await using memory = inMemory();
    const saver = perdureSaver(memory.another());
    const put = saver.put.bind(saver);
    const asked = Promise.withResolvers<void>();
    saver.put = async (config, checkpoint, ...more) => {
      const stored = await put(config, checkpoint, ...more);
      if ((checkpoint.channel_values["messages"] as BaseMessage[] | undefined)?.length === 3) asked.resolve();
      return stored;
    };
    const app = new StateGraph(MessagesAnnotation)
      .addNode("model", async ({ messages }) => {
        if (messages.length > 1) {
          // The lowest version waits for its checkpoints only at the end of a run, also with the durability "sync".
          await asked.promise;
          await meanwhile(await memory.another().get("t"));
        }
        return { messages: [new AIMessage(`answer ${messages.length}`)] };
      })
      .addEdge(START, "model")
      .addEdge("model", END)
      .compile({ checkpointer: saver });
    for (const question of ["one", "two"]) await app.invoke({ messages: [new HumanMessage(question)] }, thread("t"));
    const turns = await Array.fromAsync((await memory.another().get("t")).turns());
    return turns.map(({ input, output }) => [...input, ...output].map(({ content }) => content).join(", "));
  };
  // The question of the graph is turn 2, when the other writer writes.
  const truncated = async (session: Session): Promise<void> => {
    await session.truncate(1);
    await session.append({ input: "three", output: "Another framework." });
  };
  assert.deepEqual(await shownAfter(truncated), ["one, answer 1", "three, Another framework.", "answer 3"]);
  const answered: Meanwhile = (session) =>
    session.write({
      turns: { from: 2, amends: true, turns: [{ input: "two", output: "Another framework." }] },
      onto: session.info.version,
    });
  assert.deepEqual(await shownAfter(answered), ["one, answer 1", "two, Another framework.", "answer 3"]);
  const edited: Meanwhile = (session) => session.truncate(0);
  assert.deepEqual(await shownAfter(edited), ["answer 3"]);
  // A change of the session that is no change of its turns.
  const titled: Meanwhile = (session) => session.update({ title: "A title" });
  assert.deepEqual(await shownAfter(titled), ["one, answer 1", "two, answer 3"]);
});

const Answers = Annotation.Root({ ...MessagesAnnotation.spec });

/** A model with a tool: asks for it once for each question, then answers. */
function agent(saver: PerdureSaver) {
  let calls = 0;
  return new StateGraph(Answers)
    .addNode("model", ({ messages }) => {
      const usage = { usage_metadata: { input_tokens: 10, output_tokens: 2, total_tokens: 12 } } as object;
      if (messages.at(-1)?.type === "human") {
        const id = `call-${++calls}`;
        const call = { name: "look", args: { at: 1n.toString() }, id, type: "tool_call" as const };
        return { messages: [new AIMessage({ content: "", tool_calls: [call], ...usage })] };
      }
      return { messages: [new AIMessage({ content: "Well.", ...usage })] };
    })
    .addNode("tool", ({ messages }) => {
      const id = (messages.at(-1) as AIMessage).tool_calls?.[0]?.id ?? "";
      return { messages: [new ToolMessage({ content: "seen", tool_call_id: id })] };
    })
    .addEdge(START, "model")
    .addConditionalEdges("model", ({ messages }) => ((messages.at(-1) as AIMessage).tool_calls?.length ? "tool" : END))
    .addEdge("tool", "model")
    .compile({ checkpointer: saver });
}

for (const name of enginesOfRun("SQLite"))
  test(`the messages are turns of the session, with calls paired, whatever the graph makes of them: ${name}`, async () => {
    await using sessions = await openSessions({ store: await (await engines.get(name)).fresh(), sweep: false });
    const app = agent(perdureSaver(sessions));
    const ask = (id: string) => app.invoke({ messages: [new HumanMessage({ id, content: id })] }, thread("t"));
    await ask("q1");
    await ask("q2");
    const exchange = (question: string, call: string): unknown => ["done", [question], [call, "seen", "Well."]];
    assert.deepEqual(await shape(sessions, "t"), [exchange("q1", "call-1"), exchange("q2", "call-2")]);
    const [first] = await turnsOf(sessions, "t");
    assert.deepEqual([first?.usage?.inputTokens, first?.usage?.outputTokens], [20, 4]);
    assert.equal(first?.output[1]?.tool_call_id, "call-1");
    // Another process removes the first exchange, as windows of messages do.
    const others = agent(perdureSaver(sessions));
    const { values } = await others.getState(thread("t"));
    const removed = (values.messages as BaseMessage[]).slice(0, 4).map(({ id }) => new RemoveMessage({ id: id ?? "" }));
    await others.updateState(thread("t"), { messages: removed }, "tool");
    assert.deepEqual(await shape(sessions, "t"), [exchange("q2", "call-2")]);
    // A turn of another framework stays, and the graph goes on behind it.
    const session = await sessions.get("t");
    await session.append({ input: "And you?", output: "Fine." });
    await ask("q3");
    assert.deepEqual((await shape(sessions, "t")).slice(1), [
      ["done", ["And you?"], ["Fine."]],
      exchange("q3", "call-3"),
    ]);
    assert.equal((await session.refresh()).counters.turns, 3);
    // A question that waits is there, as not answered.
    const halting = new StateGraph(MessagesAnnotation)
      .addNode("stop", () => ({ messages: [new AIMessage(interrupt<string, string>("really?"))] }))
      .addEdge(START, "stop")
      .compile({ checkpointer: perdureSaver(sessions) });
    await halting.invoke({ messages: [new HumanMessage("q4")] }, thread("waits"));
    assert.deepEqual(await shape(sessions, "waits"), [["interrupted", ["q4"], []]]);
    await halting.invoke(new Command({ resume: "yes" }), thread("waits"));
    assert.deepEqual(await shape(sessions, "waits"), [["done", ["q4"], ["yes"]]]);
  });

test("under a legal hold a graph goes on, and its turns stay", async () => {
  await using memory = inMemory();
  const app = chat(perdureSaver(memory.sessions));
  await app.invoke({ messages: [new HumanMessage({ id: "1", content: "one" })] }, thread("t"));
  await (await memory.sessions.get("t")).setLegalHold("lawsuit");
  await app.updateState(thread("t"), { messages: [new RemoveMessage({ id: "1" })] });
  await app.invoke({ messages: [new HumanMessage({ id: "2", content: "two" })] }, thread("t"));
  assert.deepEqual(await shape(memory.sessions, "t"), [
    ["done", ["one"], ["answer 1"]],
    ["done", ["two"], ["answer 2"]],
  ]);
});

test("a graph goes on while a turn of another writer waits, and its messages are turns behind it", async () => {
  await using memory = inMemory();
  const app = chat(perdureSaver(memory.sessions));
  await app.invoke({ messages: [new HumanMessage("one")] }, thread("t"));
  const turn = await (await memory.sessions.get("t")).begin("May I?");
  const { token } = await turn.wait({ state: {}, reason: "approval" });
  await app.invoke({ messages: [new HumanMessage("two")] }, thread("t"));
  await using resumed = await (await memory.sessions.get("t")).resume(token);
  await resumed.seal({ output: [{ role: "assistant", content: "Yes." }] });
  await app.invoke({ messages: [new HumanMessage("three")] }, thread("t"));
  const shapes = (await shape(memory.sessions, "t")) as readonly (readonly [string, readonly string[]])[];
  assert.deepEqual(shapes.slice(0, 2), [
    ["done", ["one"], ["answer 1"]],
    ["done", ["May I?"], ["Yes."]],
  ]);
  assert.deepEqual(shapes.at(-1), ["done", ["three"], ["answer 5"]]);
});

test("a thread that is deleted while it runs does not come back, and begins anew", async () => {
  await using memory = inMemory();
  for (const deletes of [perdureSaver(memory.sessions), undefined]) {
    const saver = perdureSaver(memory.sessions);
    const app = new StateGraph(Words)
      .addNode("one", async () => {
        await (deletes ?? saver).deleteThread("t");
        return { words: ["one"] };
      })
      .addEdge(START, "one")
      .addEdge("one", END)
      .compile({ checkpointer: saver });
    await assert.rejects(
      () => app.invoke({ words: ["start"] }, thread("t")),
      (error) => hasCode(error, "session_not_found"),
    );
    await assert.rejects(
      () => memory.sessions.get("t"),
      (error) => hasCode(error, "session_not_found"),
    );
    assert.equal(await saver.getTuple(thread("t")), undefined);
    assert.deepEqual((await twoNodes(saver).invoke({ words: ["anew"] }, thread("t"))).words, ["anew", "one", "two"]);
    await saver.deleteThread("t");
    await saver.deleteThread("t");
  }
});

test("a thread that has expired goes on", async () => {
  await using memory = inMemory();
  const app = chat(perdureSaver(memory.sessions));
  await app.invoke({ messages: [new HumanMessage("one")] }, thread("t"));
  await memory.clock.advance(48 * 3_600_000);
  const { messages } = await app.invoke({ messages: [new HumanMessage("two")] }, thread("t"));
  assert.equal(messages.length, 4);
});

test("a fork of the session is a thread of its own, with the same checkpoints", async () => {
  await using memory = inMemory();
  const app = chat(perdureSaver(memory.sessions));
  await app.invoke({ messages: [new HumanMessage("one")] }, thread("t"));
  await (await memory.sessions.get("t")).fork({ as: "copy" });
  const { messages } = await app.invoke({ messages: [new HumanMessage("two")] }, thread("copy"));
  assert.deepEqual(
    messages.map(({ content }) => content),
    ["one", "answer 1", "two", "answer 3"],
  );
  assert.equal((await app.getState(thread("t"))).values.messages.length, 2);
});
