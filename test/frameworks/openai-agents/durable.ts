/** Runs whose steps are stored while they go on, approvals that wait, and handoffs. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { Agent, handoff, Runner, RunState, setTracingDisabled, tool, Usage, type AgentInputItem } from "@openai/agents";
import { assistantMessage, functionCall, modelError, modelResponder, ScriptedModel } from "@openai/agents/testing";
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { openaiSession } from "../../../src/adapters/openai-agents.ts";
import { History, View } from "../../../src/adapters/openai-agents/history.ts";
import type { Sessions } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";

setTracingDisabled(true);

const user = (text: string): AgentInputItem => ({ type: "message", role: "user", content: text });
const call = (id: string, name = "look"): ReturnType<typeof functionCall> =>
  functionCall(name, {}, { callId: id, id: `fc_${id}` });
const stored = (id: string, name = "look"): AgentInputItem => ({
  type: "function_call",
  name,
  callId: id,
  status: "completed",
  arguments: "{}",
});
const result = (id: string, text: string, name = "look"): AgentInputItem => ({
  type: "function_call_result",
  name,
  callId: id,
  status: "completed",
  output: { type: "text", text },
});
const toolOf = (name: string, execute: () => unknown, needsApproval = false): ReturnType<typeof tool> =>
  tool({ name, description: "A tool.", parameters: z.object({}), needsApproval, execute: async () => await execute() });

async function itemsIn(sessions: Sessions, id = "s"): Promise<AgentInputItem[]> {
  return await (await openaiSession<AgentInputItem>(sessions, id)).getItems();
}

test("a text that a run says twice is stored twice, also where another writer came between", async () => {
  await using place = inMemory();
  const { session } = await openaiSession<AgentInputItem>(place.sessions, "s");
  const history = new History(session, "append");
  const view = new View();
  const said: AgentInputItem = {
    type: "message",
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text: "Again." }],
  };
  await history.items(view, undefined, false);
  await history.add(view, [], { later: [user("Look."), said] });
  await (await place.another().get("s")).append({ input: "Other", output: "Other." });
  await history.add(view, [user("Look."), said, stored("c1"), result("c1", "seen"), said]);
  const texts = (await itemsIn(place.another())).filter((item) => JSON.stringify(item).includes("Again."));
  assert.equal(texts.length, 2);
});

test("each step of a run is stored when it has ended, for other processes too, and the turn is done at the end", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  const seen: AgentInputItem[][] = [];
  const statuses: unknown[] = [];
  const note = async (): Promise<string> => {
    seen.push(await itemsIn(place.another()));
    statuses.push((await Array.fromAsync(session.session.turns())).map(({ status }) => status));
    return "seen";
  };
  const reasoning: AgentInputItem = { type: "reasoning", id: "r1", content: [{ type: "input_text", text: "Hm." }] };
  const model = new ScriptedModel([
    modelResponder(async () => {
      await note();
      return {
        output: [reasoning, call("c1")],
        usage: new Usage({ requests: 1, inputTokens: 1, outputTokens: 2, totalTokens: 3 }),
      };
    }),
    modelResponder(async () => {
      await note();
      return [call("c2")];
    }),
    [assistantMessage("Done.")],
  ]);
  const agent = new Agent({ name: "a", model, tools: [toolOf("look", note)] });
  await session.addItems([user("0"), assistantMessage("Hello.")]);
  const run = await session.durable(new Runner()).run(agent, "1");
  assert.equal(run.finalOutput, "Done.");
  const before = [user("0"), assistantMessage("Hello."), user("1")];
  const exact = [...before, reasoning, stored("c1"), result("c1", "seen")];
  assert.deepEqual(seen[0], before);
  assert.deepEqual(seen[2], exact);
  assert.deepEqual(statuses[2], ["done", "interrupted"]);
  assert.deepEqual(await itemsIn(place.another()), [
    ...exact,
    stored("c2"),
    result("c2", "seen"),
    assistantMessage("Done."),
  ]);
  const turns = await Array.fromAsync(session.session.turns());
  assert.deepEqual(
    turns.map(({ status, requests, usage, agent: name }) => [status, requests, usage?.totalTokens, name]),
    [
      ["done", 0, undefined, "assistant"],
      ["done", 3, 3, "a"],
    ],
  );
  assert.equal(session.session.info.counters.totalTokens, 3);
  assert.deepEqual(
    (await Array.fromAsync(session.session.events())).map(({ type }) => type),
    ["created"],
  );
});

test("a run that fails after a tool leaves the tool's result, and the next run goes on from it", async () => {
  for (const stream of [false, true]) {
    await using place = inMemory();
    const session = await openaiSession<AgentInputItem>(place.sessions, "s");
    let ran = 0;
    const model = new ScriptedModel([[call("c1")], modelError(new Error("down")), [assistantMessage("Up.")]]);
    const agent = new Agent({ name: "a", model, tools: [toolOf("look", () => `ran ${++ran}`)] });
    const { run } = session.durable(new Runner());
    if (stream) await assert.rejects((await run(agent, "1", { stream: true })).completed, /down/);
    else await assert.rejects(run(agent, "1"), /down/);
    const kept = [user("1"), stored("c1"), result("c1", "ran 1")];
    assert.deepEqual(await itemsIn(place.another()), kept);
    await run(agent, []);
    assert.deepEqual(await itemsIn(place.another()), [...kept, assistantMessage("Up.")]);
    assert.equal(ran, 1);
    assert.equal((await Array.fromAsync(session.session.turns())).length, 1);
  }
});

test("a streamed run stores its steps once", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  const model = new ScriptedModel([[call("c1"), call("c2")], [assistantMessage("Done.")]]);
  const agent = new Agent({ name: "a", model, tools: [toolOf("look", () => "seen")] });
  const streamed = await session.durable(new Runner()).run(agent, "1", { stream: true });
  await streamed.completed;
  assert.deepEqual(await itemsIn(place.another()), [
    user("1"),
    stored("c1"),
    stored("c2"),
    result("c1", "seen"),
    result("c2", "seen"),
    assistantMessage("Done."),
  ]);
});

test("of two durable runs at once the second one is refused before it calls a model", async () => {
  await using place = inMemory();
  const [one, two] = [await openaiSession(place.sessions, "s"), await openaiSession(place.another(), "s")];
  const unused = new ScriptedModel([[assistantMessage("2")]]);
  const model = new ScriptedModel([
    modelResponder(async () => {
      const blind = two.durable(new Runner()).run(new Agent({ name: "b", model: unused }), "2");
      await blind;
      return [assistantMessage("1")];
    }),
  ]);
  const stale = await openaiSession<AgentInputItem>(place.another(), "s");
  const runner = new Runner();
  await assert.rejects(one.durable(runner).run(new Agent({ name: "a", model }), "1"), { code: "conflict" });
  const late = new Agent({
    name: "c",
    model: unused,
    instructions: async () => {
      await two.addItems([user("3")]);
      return "Be brief.";
    },
  });
  const calls = unused.calls.length;
  await assert.rejects(stale.durable(runner).run(late, "4"), { code: "conflict" });
  assert.equal(unused.calls.length, calls);
});

test("a handoff makes its agent the active one, and the way back ends the handoff", async () => {
  await using place = inMemory();
  const session = await openaiSession(place.sessions, "s", { agent: "A" });
  const active: unknown[] = [];
  const note = async (): Promise<string> => {
    active.push(await (await openaiSession(place.another(), "s")).answeringAgent());
    return "noted";
  };
  const look = toolOf("look", note);
  const a = new Agent({
    name: "A",
    tools: [look],
    model: new ScriptedModel([
      [call("c1")],
      [call("h1", "transfer_to_B")],
      [call("c3")],
      [assistantMessage("From A.")],
    ]),
  });
  const b = new Agent({
    name: "B",
    tools: [look],
    model: new ScriptedModel([[call("c2")], [call("h2", "transfer_to_A")]]),
  });
  a.handoffs = [handoff(b)];
  b.handoffs = [handoff(a)];
  const run = await session.durable(new Runner()).run(a, "1");
  assert.equal(run.finalOutput, "From A.");
  assert.deepEqual(active, ["A", "B", "A"]);
  const [turn] = await Array.fromAsync(session.session.turns());
  assert.equal(turn?.agent, "A");
  const events = (await Array.fromAsync(session.session.events())).map(({ type }) => type);
  assert.deepEqual(events.slice(1), ["handed_off", "handoff_ended"]);
});

test("an approval waits in the session, and exactly one process resumes it", async () => {
  for (const isDurable of [true, false]) {
    await using place = inMemory();
    const session = await openaiSession<AgentInputItem>(place.sessions, "s");
    let paid = 0;
    const model = new ScriptedModel([
      {
        output: [call("c1", "pay")],
        usage: new Usage({ requests: 1, inputTokens: 1, outputTokens: 2, totalTokens: 3 }),
      },
      {
        output: [assistantMessage("Paid.")],
        usage: new Usage({ requests: 1, inputTokens: 2, outputTokens: 2, totalTokens: 4 }),
      },
    ]);
    const agent = new Agent({ name: "a", model, tools: [toolOf("pay", () => `paid ${++paid}`, true)] });
    const runnerOf = (own: typeof session): Pick<Runner, "run"> =>
      isDurable ? own.durable(new Runner()) : new Runner();
    const asked = await runnerOf(session).run(agent, "Pay", { session });
    assert.equal(asked.interruptions.length, 1);
    const { version } = await session.session.refresh();
    const waiting = await session.pause(asked.state);
    assert.equal(waiting.reason, "approval");
    assert.equal((await session.session.refresh()).version, version + 1, "a wait is one commit");
    const { items } = await place.sessions.list({ waiting: "approval" });
    assert.deepEqual(
      items.map(({ id }) => id),
      ["s"],
    );
    await assert.rejects(runnerOf(session).run(agent, "Hello?", { session }), { code: "turn_waiting" });
    const others = await Promise.all([1, 2].map(async () => await openaiSession<AgentInputItem>(place.another(), "s")));
    await assert.rejects(others[0]!.resume(() => RunState.fromString(new Agent({ name: "other" }), "{}")));
    const waits = await session.session.refresh();
    const states = await Promise.allSettled(
      others.map((other) => other.resume((text) => RunState.fromString(agent, text))),
    );
    assert.deepEqual(states.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
    const taken = await session.session.refresh();
    assert.deepEqual([taken.version, taken.lease], [waits.version + 1, null], "a resumption is one commit");
    const at = states.findIndex(({ status }) => status === "fulfilled");
    const state = (states[at] as PromiseFulfilledResult<RunState<undefined, typeof agent>>).value;
    for (const interruption of state.getInterruptions()) state.approve(interruption);
    const other = others[at]!;
    const done = await runnerOf(other).run(agent, state, { session: other });
    assert.equal(done.finalOutput, "Paid.");
    assert.deepEqual(await itemsIn(place.another()), [
      user("Pay"),
      stored("c1", "pay"),
      result("c1", "paid 1", "pay"),
      assistantMessage("Paid."),
    ]);
    const [turn, ...more] = await Array.fromAsync(other.session.turns());
    assert.deepEqual([turn?.status, more.length], ["done", 0]);
    const { counters } = await other.session.refresh();
    assert.deepEqual([counters.requests, counters.totalTokens], [2, 7]);
  }
});

test("a rejected call, and a state of a run that is outdated", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  const model = new ScriptedModel([[call("c1", "pay")], [assistantMessage("Not paid.")], [call("c2", "pay")]]);
  const agent = new Agent({ name: "a", model, tools: [toolOf("pay", () => assert.fail("it ran"), true)] });
  const { run } = session.durable(new Runner());
  const asked = await run(agent, "Pay");
  await session.pause(asked.state, { reason: "money", expires: "1h" });
  const state = await session.resume((text) => RunState.fromString(agent, text));
  await assert.rejects(session.resume(String), { code: "turn_not_waiting" });
  for (const interruption of state.getInterruptions()) state.reject(interruption);
  assert.equal((await run(agent, state)).finalOutput, "Not paid.");
  const again = await run(agent, "Pay!");
  await (await openaiSession(place.another(), "s")).addItems([assistantMessage("No.")]);
  await assert.rejects(session.pause(again.state), { code: "conflict" });
  await assert.rejects(session.pause(again.state, { until: "1h" } as object), { code: "argument_invalid" });
});

test("a run under a lease keeps other writers out", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  const other = await openaiSession(place.another(), "s");
  const model = new ScriptedModel([
    modelResponder(async () => {
      await assert.rejects(other.addItems([user("meanwhile")]), { code: "busy" });
      return [assistantMessage("1")];
    }),
  ]);
  const agent = new Agent({ name: "a", model });
  await session.exclusive((own) => own.durable(new Runner()).run(agent, "1"));
  assert.deepEqual(await session.getItems(), [user("1"), assistantMessage("1")]);
});

test("under a legal hold a run only adds to what is stored", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  await session.session.setLegalHold("a case");
  const reasoning: AgentInputItem = { type: "reasoning", content: [{ type: "input_text", text: "Hm." }] };
  const model = new ScriptedModel([[reasoning, call("c1")], [assistantMessage("Done.")]]);
  const agent = new Agent({ name: "a", model, tools: [toolOf("look", () => "seen")] });
  assert.equal((await session.durable(new Runner()).run(agent, "1")).finalOutput, "Done.");
  assert.deepEqual(await itemsIn(place.another()), [
    user("1"),
    reasoning,
    stored("c1"),
    result("c1", "seen"),
    assistantMessage("Done."),
  ]);
});

test("a run does not read the items of its own that it has stored early, and every other reader does", async () => {
  await using place = inMemory();
  const history = new History(await place.sessions.create({ id: "s" }), "fail");
  const [run, other] = [new View(), new View()];
  await history.add(run, [user("1")]);
  assert.deepEqual(await history.items(run, undefined, true), [user("1")]);
  const { version } = history.session.info;
  await history.add(run, [], { later: [] });
  assert.equal((await history.session.refresh()).version, version, "nothing is written");
  for (const later of [[stored("c1")], [stored("c1"), result("c1", "seen")]]) {
    await history.add(run, [], { later });
    assert.deepEqual(await history.items(run, undefined, true), [user("1")]);
    assert.deepEqual(await history.items(other, 2, true), [user("1"), ...later].slice(-2));
  }
  await history.add(run, [stored("c1")], { later: [result("c1", "seen")] });
  assert.deepEqual(await history.items(run, undefined, true), [user("1"), stored("c1")]);
  await history.add(run, [result("c1", "seen"), user("2")]);
  const all = [user("1"), stored("c1"), result("c1", "seen"), user("2")];
  for (const view of [run, other]) assert.deepEqual(await history.items(view, undefined, true), all);
});
