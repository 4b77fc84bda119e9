/** Sessions of the Agents SDK with its own Runner and its scripted model. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import {
  Agent,
  RequestUsage,
  Runner,
  RunState,
  setTracingDisabled,
  tool,
  Usage,
  type AgentInputItem,
  type Session,
} from "@openai/agents";
import { assistantMessage, functionCall, modelError, ScriptedModel } from "@openai/agents/testing";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import { openaiSession, type OpenAiSession } from "../../../src/adapters/openai-agents.ts";
import { hasCode, openSessions, type Sessions, type Turn } from "../../../src/index.ts";
import { Engines, enginesOfRun } from "../../crash/engines.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";

setTracingDisabled(true);

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const runner = new Runner();
const look = tool({
  name: "look",
  description: "Looks.",
  parameters: z.object({}),
  execute: () => Promise.resolve("seen"),
});

const user = (text: string): AgentInputItem => ({ type: "message", role: "user", content: text });
const said = (text: string): AgentInputItem => assistantMessage(text);

async function turnsOf(sessions: Sessions, id: string): Promise<Turn[]> {
  return await Array.fromAsync((await sessions.get(id)).turns());
}

/** The contents of each turn, calls and results by their ids. */
async function shape(sessions: Sessions, id: string): Promise<unknown[]> {
  return (await turnsOf(sessions, id)).map(({ input, output }) => [
    input.map(({ content }) => content),
    output.map(({ content, tool_calls: calls, tool_call_id: result }) => calls?.[0]?.id ?? result ?? content),
  ]);
}

for (const engine of enginesOfRun("SQLite"))
  test(`runs are turns that any process and framework reads, with calls paired: ${engine}`, async () => {
    const url = await (await engines.get(engine)).fresh();
    await using sessions = await openSessions({ store: url, sweep: false });
    const session = await openaiSession(sessions, "s", { user: "ada" });
    const model = new ScriptedModel([
      [functionCall("look", {}, { callId: "c1" })],
      {
        output: [assistantMessage("Well.")],
        usage: new Usage({ requests: 1, inputTokens: 5, outputTokens: 3, totalTokens: 8 }),
      },
      [assistantMessage("Again.")],
    ]);
    const agent = new Agent({ name: "support", model, tools: [look] });
    await runner.run(agent, "Hi", { session });
    await using elsewhere = await openSessions({ store: url, sweep: false });
    const other = await openaiSession<AgentInputItem>(elsewhere, "s", { user: "ada" });
    const streamed = await runner.run(agent, "Once more", { session: other, stream: true });
    await streamed.completed;
    assert.deepEqual(await shape(sessions, "s"), [
      [["Hi"], ["c1", "c1", "Well."]],
      [["Once more"], ["Again."]],
    ]);
    const [first] = await turnsOf(sessions, "s");
    assert.deepEqual(
      [first?.status, first?.requests, first?.usage],
      ["done", 2, { inputTokens: 5, outputTokens: 3, totalTokens: 8 }],
    );
    // The history that the model was shown is what is stored.
    assert.deepEqual((await other.getItems()).slice(0, 5), model.lastCall?.request.input);
    let shown: unknown;
    const answer = await other.session.consult("And now?", {
      model: async function* ({ messages }) {
        shown = messages.map(({ role }) => role);
        yield { type: "text", text: "Well." };
      },
    });
    await answer.done;
    assert.deepEqual(shown, ["user", "assistant", "tool", "assistant", "user", "assistant", "user"]);
    assert.deepEqual((await other.getItems(2)).at(-1), {
      type: "message",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: "Well." }],
    });
    await assert.rejects(openaiSession(sessions, "s", { user: "eve" }), (error: Error & { code?: string }) => {
      assert.equal(error.code, "session_not_found");
      assert.match(error.message, /does not exist/, "it does not say that the session of another user exists");
      return true;
    });
    await sessions.ensure("unowned");
    await assert.rejects(openaiSession(sessions, "unowned", { user: "ada" }), (error: Error & { code?: string }) => {
      assert.equal(error.code, "session_not_found");
      assert.match(error.message, /belongs to no user/);
      return true;
    });
  });

test("a limit gives the newest items, and a limit of 0 or less none", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  const items = [user("1"), said("2"), user("3"), said("4"), said("5")];
  await session.addItems(items);
  for (const limit of [1, 2, 3, 5, 6]) assert.deepEqual(await session.getItems(limit), items.slice(-limit));
  assert.deepEqual([await session.getItems(0), await session.getItems(-1)], [[], []]);
});

test("a message of the user after an answer begins a turn, and all else extends the last one", async () => {
  await using place = inMemory();
  const session = await openaiSession(place.sessions, "s");
  const result: AgentInputItem = {
    type: "function_call_result",
    name: "look",
    callId: "c",
    status: "completed",
    output: { type: "text", text: "seen" },
  };
  await session.addItems([user("1")]);
  await session.addItems([user("2")]);
  await session.addItems([functionCall("look", {}, { callId: "c" })]);
  await session.addItems([result]);
  await session.addItems([said("3"), { role: "system", content: "4" } satisfies AgentInputItem, user("5")]);
  await session.addItems([]);
  assert.deepEqual(await shape(place.sessions, "s"), [
    [
      ["1", "2"],
      ["c", "c", "3"],
    ],
    [["4", "5"], []],
  ]);
  assert.deepEqual(
    (await turnsOf(place.sessions, "s")).map(({ status }) => status),
    ["done", "interrupted"],
  );
});

test("of two runs at once the second one fails with a conflict and writes nothing; or appends, if it is told to", async () => {
  const blind = async (onConflict: "fail" | "append"): Promise<readonly [unknown, unknown[]]> => {
    await using place = inMemory();
    const one = await openaiSession(place.sessions, "s", { onConflict });
    const two = await openaiSession(place.another(), "s", { onConflict });
    const agentOf = (text: string, session: OpenAiSession): Agent =>
      new Agent({
        name: "a",
        model: new ScriptedModel([
          [functionCall("other", {}, { callId: `c${text}` })],
          [assistantMessage(`answer ${text}`)],
        ]),
        tools: [
          tool({
            name: "other",
            description: "Runs another run.",
            parameters: z.object({}),
            execute: async () => {
              if (session === one) await runner.run(agentOf("2", two), "question 2", { session: two });
              return "ran";
            },
          }),
        ],
      });
    const error: unknown = await runner.run(agentOf("1", one), "question 1", { session: one }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return [error, (await shape(place.sessions, "s")).map((turn) => (turn as unknown[])[0])];
  };
  const [failed, kept] = await blind("fail");
  assert(hasCode(failed, "conflict"), String(failed));
  assert.deepEqual(kept, [["question 2"]]);
  const [fine, both] = await blind("append");
  assert.equal(fine, undefined);
  assert.deepEqual(both, [["question 2"], ["question 1"]]);
});

test("an item that is removed during a run is a conflict for the run", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  await session.addItems([user("1"), said("2")]);
  const pop = tool({
    name: "pop",
    description: "Removes an item.",
    parameters: z.object({}),
    execute: async () => JSON.stringify(await session.popItem()),
  });
  const model = new ScriptedModel([[functionCall("pop", {}, { callId: "c" })], [assistantMessage("Gone.")]]);
  const run = runner.run(new Agent({ name: "a", model, tools: [pop] }), "pop", { session });
  await assert.rejects(run, { code: "conflict" });
  assert.deepEqual(await session.getItems(), [user("1")]);
  assert.deepEqual(await session.popItem(), user("1"));
  assert.equal(await session.popItem(), undefined);
  assert.deepEqual(await turnsOf(place.sessions, "s"), []);
});

test("a run that fails leaves its question, or nothing, and the session goes on", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  const model = new ScriptedModel([
    modelError(new Error("down")),
    modelError(new Error("down")),
    [assistantMessage("Up.")],
  ]);
  const agent = new Agent({ name: "a", model });
  await assert.rejects(runner.run(agent, "1", { session }), /down/);
  assert.deepEqual(await session.getItems(), []);
  const streamed = await runner.run(agent, "2", { session, stream: true });
  await assert.rejects(streamed.completed, /down/);
  assert.deepEqual(await session.getItems(), [user("2")]);
  await runner.run(agent, [], { session });
  assert.deepEqual(await session.getItems(), [user("2"), said("Up.")]);
});

test("a transaction is applied once, and refused with another body, and with items that are not the last ones", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  await session.addItems([user("1"), said("2")]);
  const replace = {
    operationId: "op 🙂",
    transaction: {
      type: "replace_suffix",
      expectedSuffix: [user("1"), said("2")],
      replacement: [user("3"), said("4")],
    },
  } as const;
  await session.applyHistoryTransaction(replace);
  await session.applyHistoryTransaction(replace);
  await (await openaiSession(place.another(), "s")).applyHistoryTransaction(structuredClone(replace));
  assert.deepEqual(await session.getItems(), [user("3"), said("4")]);
  const other = { operationId: "op 🙂", transaction: { type: "append_items", items: [user("5")] } } as const;
  await assert.rejects(session.applyHistoryTransaction(other), { code: "key_reused" });
  const outdated = { ...replace, operationId: "b" };
  await assert.rejects(session.applyHistoryTransaction(outdated), { code: "conflict" });
  await assert.rejects(session.applyHistoryTransaction({ ...replace, operationId: " " }), { code: "argument_invalid" });
  assert.deepEqual(await session.getItems(), [user("3"), said("4")]);
  await session.applyHistoryTransaction({ operationId: "c", transaction: { type: "append_items", items: [] } });
  await assert.rejects(session.applyHistoryTransaction({ ...other, operationId: "c" }), { code: "key_reused" });
  await session.clearSession();
  await session.applyHistoryTransaction(other);
  await session.applyHistoryTransaction(other);
  assert.deepEqual(await session.getItems(), [user("5")]);
});

test("the output that a guardrail blocks is stored once, by a transaction of the Runner", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  const model = new ScriptedModel([[functionCall("look", {}, { callId: "c" })], [assistantMessage("Secret.")]]);
  const agent = new Agent({
    name: "a",
    model,
    tools: [look],
    outputGuardrails: [
      { name: "none", execute: () => Promise.resolve({ tripwireTriggered: true, outputInfo: undefined }) },
    ],
  });
  await assert.rejects(runner.run(agent, "1", { session }));
  const types = (await session.getItems()).map((item) => item.type);
  assert.deepEqual(types, ["message", "function_call", "function_call_result"]);
  assert.equal((await session.session.look()).info.logs["openai-ops"]?.end, 1);
});

test("an approval goes on in another process: the state says which items it has seen", async () => {
  await using place = inMemory();
  const pay = tool({
    name: "pay",
    description: "Pays.",
    parameters: z.object({}),
    needsApproval: true,
    execute: () => Promise.resolve("paid"),
  });
  const model = new ScriptedModel([[functionCall("pay", {}, { callId: "c" })], [assistantMessage("Paid.")]]);
  const agent = new Agent({ name: "a", model, tools: [pay] });
  const asked = await runner.run(agent, "Pay", { session: await openaiSession(place.sessions, "s") });
  const state = await RunState.fromString(agent, asked.state.toString());
  for (const interruption of state.getInterruptions()) state.approve(interruption);
  const result = await runner.run(agent, state, { session: await openaiSession(place.another(), "s") });
  assert.equal(result.finalOutput, "Paid.");
  assert.deepEqual(await shape(place.sessions, "s"), [[["Pay"], ["c", "c", "Paid."]]]);
});

test("the Runner shortens the items after each turn, in one commit, and counts the request", async () => {
  await using place = inMemory();
  const seen: unknown[] = [];
  let commits = 0;
  const usage = new RequestUsage({ inputTokens: 5, outputTokens: 2, totalTokens: 7 });
  const session = await openaiSession<AgentInputItem>(place.sessions, "s", {
    compact: ({ items, ...given }) => {
      seen.push(items.length, given.responseId);
      commits = place.store.commits;
      return items.length < 4 ? null : { items: [user("summary"), ...items.slice(-1)], usage };
    },
  });
  const model = new ScriptedModel([[assistantMessage("A.")], [assistantMessage("B.")], [assistantMessage("C.")]]);
  const agent = new Agent({ name: "a", model });
  const runs = [runner, session.durable(runner), runner];
  const totals: number[] = [];
  for (const [index, one] of runs.entries()) {
    const result = await one.run(agent, String(index), { session });
    totals.push(result.state.usage.totalTokens);
    if (index === 1) assert.equal(place.store.commits - commits, 1);
  }
  assert.deepEqual(
    seen.filter((one) => typeof one === "number"),
    [2, 4, 4],
  );
  assert.equal(totals[1]! - totals[0]!, 7);
  const items = await session.getItems();
  assert.deepEqual(items, [user("summary"), said("C.")]);
  const plain = await openaiSession(place.sessions, "s");
  assert.equal("runCompaction" in plain && plain.runCompaction !== undefined, false);
  await assert.rejects(openaiSession(place.sessions, "s", { compact: 1 as never }), { code: "argument_invalid" });
});

test("items of another writer that come while the items are shortened stay", async () => {
  await using place = inMemory();
  const other = await openaiSession<AgentInputItem>(place.another(), "s");
  const session = await openaiSession<AgentInputItem>(place.sessions, "s", {
    compact: async () => {
      await other.addItems([user("meanwhile")]);
      return { items: [user("summary")] };
    },
  });
  const agent = new Agent({ name: "a", model: new ScriptedModel([[assistantMessage("A.")]]) });
  const result = await runner.run(agent, "1", { session });
  assert.equal(result.finalOutput, "A.");
  assert.equal((await other.getItems()).length, 3);
});

test("a compaction of the model takes the place of all items in one commit", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  await session.addItems([user("1"), said("2"), user("3"), said("4")]);
  const compaction: AgentInputItem = { type: "compaction", encrypted_content: "gAAA" };
  const model = new ScriptedModel([[compaction, assistantMessage("Short.")]]);
  const before = place.store.commits;
  await runner.run(new Agent({ name: "a", model }), "5", { session });
  assert.equal(place.store.commits - before, 1);
  const items = await session.getItems();
  assert.deepEqual(items, [compaction, said("Short.")]);
  const reader = await openaiSession(place.another(), "s");
  await reader.getItems();
  await session.addItems([user("6")]);
  await assert.rejects(reader.replaceHistoryWithCompaction([compaction]), { code: "conflict" });
  const shown: unknown[] = [];
  const model2 = async function* ({ messages }: { readonly messages: readonly unknown[] }): AsyncGenerator<{
    type: "text";
    text: string;
  }> {
    shown.push(...messages);
    yield { type: "text", text: "Well." };
  };
  await (
    await session.session.consult("7", { model: model2 })
  ).done;
  assert.deepEqual(
    shown.map((message) => (message as { content: unknown }).content),
    ["(the conversation begins)", "Short.", "6", "(no answer: interrupted)", "7"],
  );
});

test("a session is passed where the Agents SDK takes one, with every method that its Runner looks for", async () => {
  await using place = inMemory();
  const session: Session = await openaiSession(place.sessions, "s");
  const { isRunContextAwareSession, isSessionHistoryRewriteAwareSession, isSessionHistoryTransactionAwareSession } =
    (await import(new URL("node_modules/@openai/agents-core/dist/memory/session.mjs", import.meta.url).href)) as Record<
      string,
      (session: Session) => boolean
    >;
  for (const isAware of [
    isRunContextAwareSession,
    isSessionHistoryRewriteAwareSession,
    isSessionHistoryTransactionAwareSession,
  ])
    assert.equal(isAware?.(session), true);
});

test("what cannot be stored is refused with its place, and nothing is written", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s");
  await session.addItems([user("1")]);
  class Price {
    readonly cents = 1;
  }
  const withData = (value: unknown): AgentInputItem => ({ ...said("2"), providerData: { price: value } });
  for (const value of [() => 1, new Price(), Symbol("s"), new Map()]) {
    const refused = (error: unknown): boolean =>
      hasCode(error, "value_unstorable") && error.details.path.endsWith("providerData.price");
    await assert.rejects(session.addItems([said("fine"), withData(value)]), refused);
    const operation = { operationId: "o", transaction: { type: "append_items", items: [withData(value)] } } as const;
    await assert.rejects(session.applyHistoryTransaction(operation), { code: "value_unstorable" });
  }
  for (const item of [null, 1, {}, { type: "message", role: "robot", content: "x" }])
    await assert.rejects(
      session.addItems([said("fine"), item as never]),
      (error) => hasCode(error, "message_invalid") && error.details.path === "items[1]",
    );
  for (const name of [undefined, "", 1]) {
    const call = { type: "function_call", callId: "c", name, arguments: "{}" };
    await assert.rejects(
      session.addItems([said("fine"), call]),
      (error) => hasCode(error, "message_invalid") && error.details.path === "items[1].name",
    );
  }
  const wrong: unknown[] = [null, "x", { type: "move" }, { type: "append_items", items: "x" }];
  for (const transaction of wrong)
    await assert.rejects(session.applyHistoryTransaction({ operationId: "o", transaction: transaction as never }), {
      code: "argument_invalid",
    });
  for (const items of [null, "x", {}]) {
    await assert.rejects(session.addItems(items as never), { code: "argument_invalid" });
    await assert.rejects(session.replaceHistoryWithCompaction(items as never), { code: "argument_invalid" });
    await assert.rejects(session.applyHistoryMutations({ mutations: items as never }), { code: "argument_invalid" });
  }
  await assert.rejects(session.resume("state" as never), { code: "argument_invalid" });
  assert.throws(() => session.durable({} as never), { code: "argument_invalid" });
  await assert.rejects(session.addItems([said("x".repeat(8 * 1024 * 1024))]), { code: "turn_too_large" });
  assert.deepEqual(await session.getItems(), [user("1")]);
  await assert.rejects(openaiSession(place.sessions, "s", { onConflict: "ask" } as object), {
    code: "argument_invalid",
  });
  await assert.rejects(openaiSession(place.sessions, "s", { onConflicts: "fail" } as object), {
    code: "argument_invalid",
  });
});

test("a session keeps its items through a legal hold, a fork, an archive and a snapshot", async () => {
  await using place = inMemory();
  const session = await openaiSession<AgentInputItem>(place.sessions, "s 🙂");
  const data = { signature: "s", bytes: new Uint8Array([1, 2]) };
  const items = [user("1"), { ...said("2"), providerData: data } as AgentInputItem];
  await session.addItems(items);
  await session.session.setLegalHold("a case");
  for (const change of [() => session.popItem(), () => session.clearSession()])
    await assert.rejects(change, { code: "legal_hold" });
  await session.addItems([said("3")]);
  await session.session.clearLegalHold();
  items.push(said("3"));
  await session.session.fork({ as: "f" });
  const fork = await openaiSession<AgentInputItem>(place.another(), "f");
  await fork.addItems([user("in the fork")]);
  await fork.popItem();
  await fork.popItem();
  assert.deepEqual(await fork.getItems(), items.slice(0, -1));
  await session.session.refresh();
  await session.session.archive();
  assert.deepEqual(await session.getItems(), items);
  await session.session.unarchive();
  const snapshot = await place.sessions.snapshot("s 🙂");
  await place.sessions.restore(snapshot, { as: "again" });
  assert.deepEqual(await (await openaiSession(place.another(), "again")).getItems(), items);
});

test("a session grows by the same bytes with each run, and a run is one commit", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-agents-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "s.db");
  const sizes: number[] = [];
  // 1000 runs in all.
  const runs = rounds(250, 50);
  for (let part = 0; part < 4; part++) {
    await using sessions = await openSessions({ store: `sqlite:${path}`, sweep: false });
    const session = await openaiSession<AgentInputItem>(sessions, "s");
    const { version } = session.session.info;
    for (let run = 0; run < runs; run++)
      await session.addItems([
        user(`question ${run} ${"x".repeat(200)}`),
        functionCall("look", {}, { callId: `c${run}` }),
        { type: "function_call_result", name: "look", callId: `c${run}`, status: "completed", output: "seen" },
        said(`answer ${run} ${"x".repeat(200)}`),
      ]);
    assert.equal((await session.session.refresh()).version - version, runs);
    await sessions.close();
    sizes.push(statSync(path).size);
  }
  const grown = sizes.slice(1).map((size, index) => size - sizes[index]!);
  const [first, , last] = grown as [number, number, number];
  assert(Math.abs(last - first) < first * 0.15, String(grown));
  assert(first / runs < 2500, `${first / runs} bytes a run`);
});
