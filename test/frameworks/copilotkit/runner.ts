/** The runner with the runtime and the client of CopilotKit: threads are sessions that outlive their clients and their servers. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { EventType, type BaseEvent } from "@ag-ui/client";
import type { AgentRunner } from "@copilotkit/runtime/v2";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { lastValueFrom, toArray } from "rxjs";
import { copilotRunner } from "../../../src/adapters/copilotkit.ts";
import { copySessions, erase } from "../../../src/admin.ts";
import { idFor, type Session, type Sessions, type Turn } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";
import { event, runtimeOf, says, ScriptedAgent, type Step } from "./agents.ts";

const answers = (): ScriptedAgent =>
  new ScriptedAgent(({ messages }) => says(`a${messages.length}`, "You said ", String(messages.at(-1)?.content), "."));

async function turnsOf(sessions: Sessions, id: string): Promise<Turn[]> {
  return await Array.fromAsync((await sessions.get(id)).turns());
}

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await tick();
}

/** A promise that the test resolves. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  return { opened: new Promise<void>((resolve) => (open = resolve)), open: () => open() };
}

/** The words of a run are withheld until the test says so. */
function paused(...before: readonly Step[]): { readonly agent: ScriptedAgent; readonly open: () => void } {
  const { opened, open } = gate();
  return { agent: new ScriptedAgent(() => [...before, opened, ...says("late", "and the rest")]), open };
}

const types = (events: readonly BaseEvent[]): readonly string[] => events.map(({ type }) => type);

test("a thread is a session, and a page in another process shows what the client has", async () => {
  await using place = inMemory();
  const agent = answers();
  const client = (await runtimeOf(place.sessions, agent)).client("thread-1");
  await client.ask("u1", "Hi");
  await client.ask("u2", "Bye");
  assert.deepEqual(client.texts, ["Hi", "You said Hi.", "Bye", "You said Bye."]);
  const turns = await turnsOf(place.another(), "thread-1");
  assert.deepEqual(
    turns.map(({ status, agent: name, input, output }) => [status, name, input, output]),
    [
      ["done", "default", [{ role: "user", content: "Hi" }], [{ role: "assistant", content: "You said Hi." }]],
      ["done", "default", [{ role: "user", content: "Bye" }], [{ role: "assistant", content: "You said Bye." }]],
    ],
  );
  const page = (await runtimeOf(place.another(), answers())).client("thread-1");
  await page.follow();
  assert.deepEqual(page.messages, client.messages);
  await page.ask("u3", "More");
  assert.deepEqual((await turnsOf(place.another(), "thread-1")).length, 3);
  assert.equal((await place.another().get("thread-1")).info.lease, null);
});

test("a thread comes back from an archive, a snapshot and a copy, and an erasure leaves nothing of it", async () => {
  await using place = inMemory({ secret: "s".repeat(20) });
  await using target = inMemory();
  const client = (await runtimeOf(place.sessions, answers(), { user: "ada" })).client("t");
  await client.ask("u1", "Hi");
  await client.ask("u2", "Bye");
  const shown = async (sessions: Sessions): Promise<unknown> => {
    const page = (await runtimeOf(sessions, answers(), { user: "ada" })).client("t");
    await page.follow();
    return page.messages;
  };
  const session = await place.sessions.get("t");
  await session.archive();
  assert.deepEqual(await shown(place.another()), client.messages, "archived");
  await session.unarchive();
  const snapshot = await place.sessions.snapshot("t");
  await target.sessions.restore(snapshot);
  assert.deepEqual(await shown(target.sessions), client.messages, "restored");
  await (await target.sessions.get("t")).remove();
  await copySessions(place.sessions, target.sessions);
  assert.deepEqual(await shown(target.sessions), client.messages, "copied");
  const goesOn = (await runtimeOf(target.sessions, answers(), { user: "ada" })).client("t");
  await goesOn.follow();
  await goesOn.ask("u3", "More");
  assert.equal((await turnsOf(target.sessions, "t")).length, 3);
  await erase(place.sessions, { user: "ada" });
  assert.deepEqual(await shown(place.another()), []);
  await assert.rejects(place.another().get("t"), { code: "session_not_found" });
});

test("an unknown thread has no events, and a thread of another user is not found", async () => {
  await using place = inMemory();
  const ada = await runtimeOf(place.sessions, answers(), { user: "ada" });
  await ada.client("t").ask("u1", "Hi");
  const unknown = ada.client("other");
  await unknown.follow();
  assert.deepEqual(unknown.events, []);
  const bob = await runtimeOf(place.another(), answers(), { user: "bob" });
  const page = bob.client("t");
  await page.follow();
  assert.deepEqual(page.messages, []);
  await page.ask("u2", "Mine");
  assert.deepEqual(types(page.events), ["RUN_ERROR"]);
  assert.equal((await turnsOf(place.another(), "t")).length, 1);
  assert.equal(await bob.runner.isRunning({ threadId: "t" }), false);
});

test("a run goes on when its client leaves, and a page in another process gets all of it", async () => {
  await using place = inMemory();
  const { agent, open } = paused(...says("early", "First "));
  const { runner } = await runtimeOf(place.sessions, agent);
  const input = { threadId: "t", runId: "r1", messages: [{ id: "u1", role: "user", content: "Go" }] };
  const subscription = runner.run({ threadId: "t", agent, input }).subscribe(() => undefined);
  const elsewhere = await runtimeOf(place.another(), answers());
  await until(() => elsewhere.runner.isRunning({ threadId: "t" }));
  subscription.unsubscribe();
  const page = elsewhere.client("t");
  const following = page.follow();
  await until(() => page.texts.includes("First "));
  assert.equal((await turnsOf(place.another(), "t"))[0]?.status, "interrupted", "no half run is stored");
  open();
  await following;
  assert.deepEqual(page.texts, ["Go", "First ", "and the rest"]);
  assert.deepEqual(
    (await turnsOf(place.another(), "t")).map(({ status, output }) => [status, output.length]),
    [["done", 2]],
  );
});

test("a second run of a thread is refused while one is in progress, and calls no agent", async () => {
  await using place = inMemory();
  const { agent, open } = paused();
  const first = (await runtimeOf(place.sessions, agent)).client("t");
  const running = first.ask("u1", "One");
  const other = answers();
  const second = await runtimeOf(place.another(), other);
  await until(() => second.runner.isRunning({ threadId: "t" }));
  const client = second.client("t");
  await client.ask("u2", "Two");
  assert.deepEqual(
    client.events.map((given) => [given.type, (given as { code?: string }).code]),
    [["RUN_ERROR", "busy"]],
  );
  assert.deepEqual(other.asked, []);
  open();
  await running;
  assert.deepEqual((await turnsOf(place.another(), "t")).length, 1);
});

test("the same run again is not run again: it is followed while it is in progress, and replayed later", async () => {
  await using place = inMemory();
  const { agent, open } = paused();
  const runtime = await runtimeOf(place.sessions, agent);
  const first = runtime.client("t");
  const running = first.ask("u1", "One", "r1");
  const other = await runtimeOf(place.another(), answers());
  await until(() => other.runner.isRunning({ threadId: "t" }));
  const retried = other.client("t");
  const again = retried.ask("u1", "One", "r1");
  open();
  await Promise.all([running, again]);
  assert.deepEqual(retried.texts, ["One", "and the rest"]);
  const late = other.client("t");
  await late.ask("u1", "One", "r1");
  assert.deepEqual(late.texts, ["One", "and the rest"]);
  assert.equal(agent.asked.length, 1);
});

test("a run is stopped from another process, with what has come of it; no newer run is", async () => {
  await using place = inMemory();
  const call = [
    event("TOOL_CALL_START", { toolCallId: "c1", toolCallName: "look" }),
    event("TOOL_CALL_ARGS", { toolCallId: "c1", delta: "{}" }),
  ];
  const never = new Promise<void>(() => undefined);
  const text = says("m1", "Half").slice(0, 2);
  const agent = new ScriptedAgent(() => [...call, ...text, never]);
  const client = (await runtimeOf(place.sessions, agent)).client("t");
  const running = client.ask("u1", "Go", "r2");
  const other = await runtimeOf(place.another(), answers());
  await until(() => other.runner.isRunning({ threadId: "t" }));
  await until(() => client.texts.includes("Half"));
  const page = other.client("t");
  const following = page.follow();
  await until(() => page.texts.includes("Half"));
  assert.equal(await other.runner.stop({ threadId: "t", runId: "r1" }), false);
  const stopped = (await other.stop("t", { runId: "r2" })) as { stopped: boolean };
  assert.equal(stopped.stopped, true);
  await Promise.all([running, following]);
  const ends = ["TOOL_CALL_END", "TOOL_CALL_RESULT", "RUN_FINISHED"];
  assert.deepEqual(types(client.events).slice(-4), ["TEXT_MESSAGE_END", ...ends]);
  assert.deepEqual(types(page.events).slice(-4), ["TEXT_MESSAGE_END", ...ends]);
  const [turn] = await turnsOf(place.another(), "t");
  assert.equal(turn?.status, "interrupted");
  assert.deepEqual(
    turn?.output.map(({ role }) => role),
    ["assistant", "assistant", "tool"],
  );
  assert.equal(await other.runner.stop({ threadId: "t" }), false);
  const again = other.client("t");
  await again.follow();
  assert.deepEqual(again.messages, client.messages);
});

test("an agent that fails leaves the question and what it has said, and the thread goes on", async () => {
  await using place = inMemory();
  const seen = gate();
  let isFirst = true;
  const agent = new ScriptedAgent(({ messages }) => {
    const half = [...says("m1", "Half"), seen.opened, new Error("no model")];
    const script = isFirst ? half : says(`m${messages.length}`, "Whole");
    isFirst = false;
    return script;
  });
  const runtime = await runtimeOf(place.sessions, agent);
  const client = runtime.client("t");
  const failing = client.ask("u1", "Go");
  await until(() => client.texts.includes("Half"));
  seen.open();
  await failing;
  const last = client.events.at(-1) as { type: string; message?: string };
  assert.deepEqual([last.type, last.message], ["RUN_ERROR", "no model"]);
  await client.ask("u2", "Again");
  const turns = await turnsOf(place.another(), "t");
  assert.deepEqual(
    turns.map(({ status, output }) => [status, output[0]?.content]),
    [
      ["failed", "Half"],
      ["done", "Whole"],
    ],
  );
  const page = runtime.client("t");
  await page.follow();
  assert.deepEqual(page.messages, client.messages);
});

test("calls of the client's tools and their results are paired across runs, and usage is kept", async () => {
  await using place = inMemory();
  const agent = new ScriptedAgent(({ messages, threadId, runId }) => {
    if (messages.at(-1)?.role === "tool") return says("m2", "It is sunny.");
    const usage = [{ model: "m", inputTokens: 3, outputTokens: 4, cachedInputTokens: 1 }];
    return [
      event("TOOL_CALL_START", { toolCallId: "c1", toolCallName: "weather", parentMessageId: "m1" }),
      event("TOOL_CALL_ARGS", { toolCallId: "c1", delta: '{"city":' }),
      event("TOOL_CALL_ARGS", { toolCallId: "c1", delta: '"Ulm"}' }),
      event("TOOL_CALL_END", { toolCallId: "c1" }),
      event("RUN_FINISHED", { threadId, runId, usage }),
      event("RUN_STARTED", { threadId, runId }),
      event("RUN_FINISHED", { threadId, runId, usage }),
      event("RUN_STARTED", { threadId, runId }),
    ];
  });
  const client = (await runtimeOf(place.sessions, agent)).client("t");
  await client.ask("u1", "Weather?");
  client.addMessage({ id: "r1", role: "tool", toolCallId: "c1", content: "sunny" });
  await client.go();
  const session = await place.another().get("t");
  assert.deepEqual(await session.messages({ as: "openai" }), [
    { role: "user", content: "Weather?" },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Ulm"}' } }],
    },
    { role: "tool", tool_call_id: "c1", content: "sunny" },
    { role: "assistant", content: "It is sunny." },
  ]);
});

test("tokens that an agent reports count for the turn", async () => {
  await using place = inMemory();
  const { runner } = await runtimeOf(place.sessions, answers());
  const usage = [{ model: "m-1", inputTokens: 3, outputTokens: 4, cachedInputTokens: 1 }];
  const agent = {
    agentId: "default",
    abortRun: () => undefined,
    async runAgent(_: unknown, { onEvent }: { readonly onEvent: (given: { event: BaseEvent }) => Promise<void> }) {
      await onEvent({ event: event("RUN_STARTED", { threadId: "t", runId: "r" }) });
      for (const step of says("m", "Hi")) await onEvent({ event: step as BaseEvent });
      await onEvent({ event: event("RUN_FINISHED", { threadId: "t", runId: "r", usage }) });
    },
  };
  const input = { threadId: "t", runId: "r", messages: [{ id: "u", role: "user", content: "Hi" }] };
  await lastValueFrom(runner.run({ threadId: "t", agent, input }));
  const [turn] = await turnsOf(place.sessions, "t");
  assert.deepEqual(
    [turn?.model, turn?.usage],
    ["m-1", { inputTokens: 3, outputTokens: 4, totalTokens: 7, cachedTokens: 1 }],
  );
});

test("what has no place in a turn comes back as it was: state, activities, custom events, steps, reasoning", async () => {
  await using place = inMemory();
  const agent = new ScriptedAgent(() => [
    event("STEP_STARTED", { stepName: "s" }),
    event("STATE_SNAPSHOT", { snapshot: { count: 1 } }),
    event("STATE_DELTA", { delta: [{ op: "replace", path: "/count", value: 2 }] }),
    event("STATE_DELTA", { delta: [{ op: "add", path: "/done", value: true }] }),
    event("ACTIVITY_SNAPSHOT", { messageId: "act", activityType: "PLAN", content: { steps: 2 } }),
    event("REASONING_START", { messageId: "r" }),
    event("REASONING_MESSAGE_START", { messageId: "r", role: "reasoning" }),
    event("REASONING_MESSAGE_CONTENT", { messageId: "r", delta: "Hm." }),
    event("REASONING_MESSAGE_END", { messageId: "r" }),
    event("REASONING_END", { messageId: "r" }),
    event("CUSTOM", { name: "ping", value: { n: 1 }, rawEvent: { big: "x" } }),
    ...says("m", "a", "b", "c"),
    event("STEP_FINISHED", { stepName: "s" }),
  ]);
  const runtime = await runtimeOf(place.sessions, agent);
  const client = runtime.client("t");
  await client.ask("u1", "Go");
  const page = (await runtimeOf(place.another(), answers())).client("t");
  await page.follow();
  assert.deepEqual(page.messages, client.messages);
  assert.deepEqual(page.state, { count: 2, done: true });
  assert.deepEqual(client.state, page.state);
  const custom = page.events.find(({ type }) => type === EventType.CUSTOM);
  assert.deepEqual(custom, event("CUSTOM", { name: "ping", value: { n: 1 } }));
  assert.equal(types(page.events).filter((type) => type === "TEXT_MESSAGE_CONTENT").length, 1, "deltas are joined");
});

test("a snapshot of all messages adds those of its run alone to the session", async () => {
  await using place = inMemory();
  const agent = new ScriptedAgent(({ messages }) => [
    event("MESSAGES_SNAPSHOT", {
      messages: [...messages, { id: `s${messages.length}`, role: "assistant", content: `Answer ${messages.length}` }],
    }),
  ]);
  const client = (await runtimeOf(place.sessions, agent)).client("t");
  await client.ask("u1", "One");
  await client.ask("u2", "Two");
  const turns = await turnsOf(place.another(), "t");
  assert.deepEqual(
    turns.map(({ input, output }) => [...input, ...output].map(({ content }) => content)),
    [
      ["One", "Answer 1"],
      ["Two", "Answer 3"],
    ],
  );
});

test("turns of other frameworks are shown, and the thread goes on from them", async () => {
  await using place = inMemory();
  const runtime = await runtimeOf(place.sessions, answers());
  await runtime.client("t").ask("u1", "Hi");
  const session = await place.another().get("t");
  const call = { id: "c9", type: "function" as const, function: { name: "look", arguments: "{}" } };
  await session.append({
    input: [{ role: "user", content: [{ type: "text", text: "Elsewhere" }] }],
    output: [
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "c9", content: "found" },
      { role: "assistant", content: "There." },
    ],
  });
  const page = runtime.client("t");
  await page.follow();
  assert.deepEqual(
    page.messages.map(({ role }) => role),
    ["user", "assistant", "user", "assistant", "tool", "assistant"],
  );
  await page.ask("u2", "Back");
  assert.deepEqual(
    (await turnsOf(place.another(), "t")).map(({ input }) => input.length),
    [1, 1, 1],
    "no message is stored twice",
  );
  // A turn that another framework has changed is shown as it is now.
  const look = await session.look([{ log: "turns", last: 1 }]);
  const changed = { input: "Back", output: "Changed." };
  await session.write({ turns: { from: 3, turns: [changed] }, onto: look });
  const again = runtime.client("t");
  await again.follow();
  assert.equal(again.texts.at(-1), "Changed.");
});

test("ids of any form are kept, and threads of different ids stay apart", async () => {
  await using place = inMemory();
  const runtime = await runtimeOf(place.sessions, answers());
  const ids = ["__proto__", "👩‍🚀", "a|b", "a%7Cb", "x".repeat(300), `${"x".repeat(299)}y`, "with\u0000control", "."];
  for (const id of ids) await runtime.client(id).ask(`u-${id}`, `Hi ${id.length}`, `run-${id}`);
  for (const id of ids) {
    const page = runtime.client(id);
    await page.follow();
    assert.deepEqual(page.texts, [`Hi ${id.length}`, `You said Hi ${id.length}.`]);
    assert.equal((await turnsOf(place.sessions, idFor(id))).length, 1);
  }
});

test("an event of more than an entry holds is kept, and a run that is too large has failed and keeps its question", async () => {
  await using place = inMemory();
  const sizes = { large: 2 * 1024 * 1024, huge: 8 * 1024 * 1024 + 1 };
  const agent = new ScriptedAgent(({ messages }) => {
    const size = sizes[messages.at(-1)?.content as keyof typeof sizes];
    return says(`m${messages.length}`, 'ä"'.repeat(size / 4), "end");
  });
  const runtime = await runtimeOf(place.sessions, agent);
  const client = runtime.client("t");
  await client.ask("u1", "large");
  const page = runtime.client("t");
  await page.follow();
  assert.deepEqual(page.messages, client.messages);
  const other = runtime.client("t", [...client.messages]);
  other.addMessage({ id: "u2", role: "user", content: "huge" });
  await other.go();
  const last = other.events.at(-1) as { type: string; code?: string };
  assert.equal(last.type, "RUN_ERROR");
  assert.match(last.code ?? "", /_too_large$/);
  const turns = await turnsOf(place.sessions, "t");
  assert.deepEqual([turns[1]?.status, turns[1]?.input[0]?.content], ["failed", "huge"]);
  const after = runtime.client("t");
  await after.follow();
  assert.equal(after.texts.at(-1), "huge");
});

test("a value that cannot be stored is refused by its name", async () => {
  await using place = inMemory();
  const agent = new ScriptedAgent(() => [event("CUSTOM", { name: "x", value: { call: () => 1 } })]);
  const client = (await runtimeOf(place.sessions, agent)).client("t");
  await client.ask("u1", "Go");
  const last = client.events.at(-1) as { type: string; code?: string; message?: string };
  assert.deepEqual([last.type, last.code], ["RUN_ERROR", "value_unstorable"]);
  assert.match(last.message ?? "", /value\.call/);
});

test("the runner fits the runtime's own class, and refuses wrong options", async () => {
  await using place = inMemory();
  const runner: AgentRunner = await copilotRunner(place.sessions);
  assert.equal(runner.ɵsupportsLocalThreadEndpoints, undefined);
  await assert.rejects(copilotRunner(place.sessions, { owner: "ada" } as object), { code: "argument_invalid" });
  await assert.rejects(copilotRunner({} as Sessions), { code: "argument_invalid" });
  const empty = await lastValueFrom(runner.connect({ threadId: "none" }).pipe(toArray()));
  assert.deepEqual(empty, []);
  const waited: Promise<unknown>[] = [];
  const serverless = await copilotRunner(place.sessions, { waitUntil: (work) => void waited.push(work) });
  const input = { threadId: "w", runId: "r", messages: [{ id: "u", role: "user", content: "Hi" }] };
  serverless.run({ threadId: "w", agent: answers(), input });
  await Promise.all(waited);
  const session: Session = await place.sessions.get("w");
  assert.equal((await Array.fromAsync(session.turns()))[0]?.status, "done");
});
