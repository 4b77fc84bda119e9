import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { modelOfSteps as scripted, textEvent as text, usageEvent as counted } from "../../test/support/model-steps.ts";
import { countAll } from "../domain/turns/counters.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";
import { hasCode, SessionError, type ErrorCode } from "../errors.ts";
import type { Model, ModelEvent } from "../sessions/options/model.ts";
import { createManager } from "./manager.ts";
import type { Tool } from "./tool.ts";
import { withTools } from "./tool-loop.ts";

function callsFor(...wanted: readonly (readonly [id: string, name: string, args: string])[]): ModelEvent {
  const calls = wanted.map(([id, name, args]): ToolCall => ({ id, function: { name, arguments: args } }));
  return { type: "message", message: { role: "assistant", content: null, tool_calls: calls } };
}

function refused(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof SessionError && error.code === code;
}

/** Tools that record their runs: `pay` needs approval for more than 10, `look` never, `wipe` always. */
function recordedTools(): { readonly tools: readonly Tool[]; readonly runs: string[] } {
  const runs: string[] = [];
  const tool = (name: string, approve?: Tool["approve"]): Tool => ({
    name,
    description: `does ${name}`,
    parameters: { type: "object", properties: {} },
    run: (args) => {
      runs.push(`${name}${JSON.stringify(args)}`);
      return `${name} done`;
    },
    ...(approve === undefined ? {} : { approve }),
  });
  return { tools: [tool("look"), tool("pay", ({ sum }) => Number(sum) > 10), tool("wipe", true)], runs };
}

const asksTwice = [
  callsFor(["1", "look", "{}"], ["2", "pay", '{"sum":500}'], ["3", "pay", '{"sum":5}'], ["4", "wipe", "{}"]),
  counted(10, 5),
] as const;

function shape(messages: readonly Message[]): unknown[] {
  return messages.map(({ role, content, tool_calls: calls }) => [role, content ?? null, calls?.map(({ id }) => id)]);
}

test("a call that needs approval makes the turn wait, and another process runs what was approved and goes on streaming", async () => {
  await using place = inMemory({ agents: { cfo: {} } });
  const first = recordedTools();
  const session = await place.sessions.create({ id: "s", agent: "cfo" });
  const asking = createManager({ sessions: place.sessions, tools: { cfo: first.tools } });
  const answer = await asking.send(session, "pay them", {
    key: "k",
    model: scripted([text("Let me see. "), ...asksTwice]).model,
  });
  const turn = await answer.done;
  assert.equal(turn.status, "waiting");
  assert.equal(await answer.text(), "Let me see. ");
  assert.deepEqual(first.runs, ["look{}"], "the calls before it have run, those after it wait");
  const waiting = await session.waiting();
  assert.equal(waiting?.reason, "approval");
  assert.deepEqual(
    waiting.calls.map(({ id }) => id),
    ["2", "4"],
  );
  assert.equal(await session.leaseHolder(), null);

  const second = recordedTools();
  const sessions = place.another({ agents: { cfo: {} } });
  const { model, requests } = scripted([text("Paid."), counted(20, 2)]);
  const deciding = createManager({ sessions, tools: { cfo: second.tools } });
  const other = await sessions.get("s");
  await place.clock.advance(3_600_000);
  const decisions = { 2: true, 4: { refused: "not today" } } as const;
  const goesOn = await deciding.approve(other, waiting.token, decisions, { model });
  assert.deepEqual(
    (await Array.fromAsync(goesOn.events())).map(({ type }) => type),
    ["tool_result", "tool_result", "tool_result", "text"],
  );
  const sealed = await goesOn.done;
  assert.deepEqual(second.runs, ['pay{"sum":500}', 'pay{"sum":5}']);
  assert.deepEqual(first.runs, ["look{}"], "no tool runs twice");
  assert.deepEqual(shape(sealed.output), [
    ["assistant", "Let me see. ", ["1", "2", "3", "4"]],
    ["tool", "look done", undefined],
    ["tool", "pay done", undefined],
    ["tool", "pay done", undefined],
    ["tool", "The call was refused and did not run: not today", undefined],
    ["assistant", "Paid.", undefined],
  ]);
  assert.deepEqual(
    [sealed.seq, sealed.status, sealed.key, sealed.requests, sealed.usage?.totalTokens, sealed.steps?.length],
    [1, "done", "k", 2, 37, 2],
  );
  assert.equal(sealed.waitedMs, 3_600_000);
  const shown = requests[0]?.messages ?? [];
  assert.deepEqual(
    shown.filter(({ role }) => role === "tool").map(({ tool_call_id: id }) => id),
    ["1", "2", "3", "4"],
    "the model gets each result once",
  );
  assert.equal("decided" in (requests[0] ?? {}), false);
  await assert.rejects(deciding.approve(other, waiting.token, decisions, { model }), refused("turn_not_waiting"));
  const events = (await Array.fromAsync(other.events())).filter(({ category }) => category === "waiting");
  assert.deepEqual(
    events.map(
      ({ seq: _, at: __, correlation: ___, status: ____, severity: _____, category: ______, ...event }) => event,
    ),
    [
      { type: "turn_waiting", turn: 1, reason: "approval", expiresAt: null, calls: ["2", "4"] },
      { type: "calls_decided", turn: 1, waitedMs: 3_600_000, approved: ["2"], refused: ["4"] },
    ],
  );
  await other.refresh();
  assert.deepEqual(other.info.counters, countAll(await Array.fromAsync(other.turns())));
});

test("a tool that asks for approval only since the turn waits does not run without it", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { tools, runs } = recordedTools();
  const model = scripted([callsFor(["1", "wipe", "{}"], ["2", "look", "{}"])]).model;
  await (
    await session.consult("go", { model: withTools(model, tools, { session }) })
  ).done;
  const changed = tools.map((tool) => (tool.name === "look" ? { ...tool, approve: true } : tool));
  const later = withTools(scripted([text("Done.")]).model, changed, { session });
  const { token } = (await session.waiting()) ?? assert.fail("the turn does not wait");
  assert.equal((await (await session.approve(token, { 1: true }, { model: later })).done).status, "waiting");
  assert.deepEqual(runs, ["wipe{}"]);
  const again = (await session.waiting()) ?? assert.fail("the turn does not wait again");
  assert.deepEqual(
    again.calls.map(({ id }) => id),
    ["2"],
  );
  const turn = await (await session.approve(again.token, { 2: true }, { model: later })).done;
  assert.deepEqual([turn.status, runs], ["done", ["wipe{}", "look{}"]]);
});

test("an answer may wait again after an approval, and steps count over the whole answer", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { tools, runs } = recordedTools();
  const wipe = (id: string): ModelEvent[] => [callsFor([id, "wipe", "{}"]), counted(1, 1)];
  const { model } = scripted(wipe("a"), wipe("b"), wipe("c"));
  const withAll = withTools(model, tools, { session, stepsMax: 3 });
  let turn = await (await session.consult("go", { model: withAll })).done;
  for (const id of ["a", "b"]) {
    assert.equal(turn.status, "waiting");
    const waiting = await session.waiting();
    assert.ok(waiting);
    assert.deepEqual(
      waiting.calls.map((call) => call.id),
      [id],
    );
    const answer = await session.approve(waiting.token, { [id]: true }, { model: withAll });
    if (id === "b") await assert.rejects(answer.done, refused("tool_steps_exceeded"));
    else turn = await answer.done;
  }
  const [sealed] = await Array.fromAsync(session.turns());
  assert.deepEqual([sealed?.status, sealed?.requests, sealed?.usage?.totalTokens], ["failed", 3, 6]);
  assert.deepEqual(runs, ["wipe{}", "wipe{}"]);
  assert.equal(
    sealed?.output.filter(({ role }) => role === "tool").length,
    3,
    "the last call has a result that it did not run",
  );
});

test("decisions that are missing, unknown or no decisions are refused, and the turn still waits", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { tools, runs } = recordedTools();
  const model = withTools(scripted(asksTwice, [text("ok")]).model, tools, { session });
  await (
    await session.consult("go", { model })
  ).done;
  const waiting = await session.waiting();
  assert.ok(waiting);
  const { version } = session.info;
  const wrong = [
    {},
    { 2: true },
    { 2: true, 4: false },
    { 2: true, 4: { refused: " " } },
    { 2: true, 4: true, 3: true },
    null,
  ];
  for (const decisions of wrong)
    await assert.rejects(session.approve(waiting.token, decisions as never, { model }), refused("argument_invalid"));
  await assert.rejects(session.approve("another", { 2: true, 4: true }, { model }), refused("turn_not_waiting"));
  await assert.rejects(session.approve(waiting.token, { 2: true, 4: true }), refused("model_missing"));
  await assert.rejects(
    session.approve(waiting.token, { 2: true, 4: true }, { model, key: "k" } as never),
    refused("argument_invalid"),
  );
  assert.equal((await session.refresh()).version, version);
  assert.deepEqual(await session.waiting(), waiting);
  assert.deepEqual(runs, ["look{}"]);

  const other = await session.begin("x").catch((error: unknown) => error);
  assert.ok(refused("turn_waiting")(other));
});

test("an approval beyond the budget runs nothing and leaves the turn waiting, until the budget is raised", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { tools, runs } = recordedTools();
  const call = [callsFor(["1", "wipe", "{}"]), counted(10, 5)];
  const model = withTools(scripted(call, [text("ok")]).model, tools, { session });
  await (
    await session.consult("go", { model })
  ).done;
  const waiting = await session.waiting();
  assert.ok(waiting);
  await session.update({ budget: { tokens: 15 } });
  await assert.rejects(session.approve(waiting.token, { 1: true }, { model }), refused("budget_exceeded"));
  assert.deepEqual([await session.waiting(), runs], [waiting, []]);
  await session.update({ budget: { tokens: 16 } });
  const approved = await session.approve(waiting.token, { 1: true }, { model });
  assert.equal(await approved.text(), "ok");
  assert.deepEqual(runs, ["wipe{}"]);
});

test("of several approvals at the same time one runs the tools", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { tools, runs } = recordedTools();
  const model = withTools(scripted([callsFor(["1", "wipe", "{}"])], [text("ok")]).model, tools, { session });
  await (
    await session.consult("go", { model })
  ).done;
  const waiting = await session.waiting();
  assert.ok(waiting);
  const tries = await Promise.allSettled(
    [1, 2, 3].map(async () => {
      const other = await place.another().get("s");
      return await (
        await other.approve(waiting.token, { 1: true }, { model })
      ).done;
    }),
  );
  assert.equal(tries.filter(({ status }) => status === "fulfilled").length, 1);
  for (const one of tries)
    if (one.status === "rejected") assert.ok(refused("turn_not_waiting")(one.reason), String(one.reason));
  assert.deepEqual(runs, ["wipe{}"]);
});

test("calls that wait did not run: an interrupted turn says so, and a retry of its key asks again", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { tools, runs } = recordedTools();
  const call = [callsFor(["1", "wipe", "{}"])];
  const model = withTools(scripted(call, [text("fresh")]).model, tools, { session });
  await (
    await session.consult("go", { model, key: "k" })
  ).done;
  await session.cancel();
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "interrupted");
  assert.match(String(turn.output.at(-1)?.content), /did not run/);
  const again = await session.consult("go", { model, key: "k" });
  assert.equal(await again.text(), "fresh");
  assert.deepEqual([again.seq, runs.length], [1, 0]);
});

test("a function that decides about approval and throws, or returns no boolean, asks", async () => {
  await using place = inMemory();
  for (const [index, approve] of [
    () => {
      throw new Error("no");
    },
    () => undefined as never,
    () => Promise.resolve(true),
  ].entries()) {
    const session = await place.sessions.create({ id: `s${index}` });
    const { tools, runs } = recordedTools();
    const asking = tools.map((tool) => ({ ...tool, approve }));
    const model: Model = withTools(scripted([callsFor(["1", "look", "{}"])]).model, asking, { session });
    assert.equal((await (await session.consult("go", { model })).done).status, "waiting");
    assert.deepEqual(runs, []);
  }
});

test("a stopped approval is sealed with what had run, and the writer that dies runs no tool again", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const stop = new AbortController();
  const runs: string[] = [];
  const tools: readonly Tool[] = [
    {
      name: "wipe",
      description: "wipes",
      parameters: { type: "object", properties: {} },
      approve: true,
      run: (_args, { callId }) => {
        runs.push(callId);
        stop.abort();
        return new Promise(() => undefined);
      },
    },
  ];
  const calls = [callsFor(["1", "wipe", "{}"], ["2", "wipe", "{}"])];
  const model = withTools(scripted(calls).model, tools, { session });
  await (
    await session.consult("go", { model })
  ).done;
  const waiting = await session.waiting();
  assert.ok(waiting);
  const answer = await session.approve(waiting.token, { 1: true, 2: true }, { model, signal: stop.signal });
  await assert.rejects(answer.done, refused("interrupted"));
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([turn?.status, runs], ["interrupted", ["1"]]);
  const results = turn?.output.filter(({ role }) => role === "tool").map(({ content }) => String(content)) ?? [];
  assert.match(results[0] ?? "", /may or may not have had effects/);
  assert.match(results[1] ?? "", /did not run/);
});

test("a model that runs no tools is refused, and the turn still waits", async () => {
  const plain = scripted([text("Paid.")]);
  await using place = inMemory({ model: plain.model });
  const session = await place.sessions.create({ id: "s" });
  const { tools, runs } = recordedTools();
  await (
    await session.consult("go", {
      model: withTools(scripted([callsFor(["1", "wipe", "{}"])]).model, tools, { session }),
    })
  ).done;
  const waiting = await session.waiting();
  assert.ok(waiting);
  const { version } = session.info;
  for (const options of [{}, { model: plain.model }, { model: "gpt" }])
    await assert.rejects(session.approve(waiting.token, { 1: true }, options), (error) => {
      assert.ok(hasCode(error, "model_missing"), String(error));
      assert.equal(error.details.needs, "tools");
      return true;
    });
  assert.equal(plain.requests.length, 0, "no model is asked");
  assert.deepEqual([(await session.refresh()).version, await session.waiting(), runs], [version, waiting, []]);
});

test("approved calls of an agent that has no tools any more get a result that says so", async () => {
  await using place = inMemory({ agents: { cfo: {} } });
  const session = await place.sessions.create({ id: "s", agent: "cfo" });
  const { tools, runs } = recordedTools();
  const asking = createManager({ sessions: place.sessions, tools: { cfo: tools } });
  await (
    await asking.send(session, "go", { model: scripted([callsFor(["1", "wipe", "{}"])]).model })
  ).done;
  const { token } = (await session.waiting()) ?? assert.fail("the turn does not wait");
  const without = createManager({ sessions: place.sessions, offersHandoffs: false });
  const turn = await (await without.approve(session, token, { 1: true }, { model: scripted([text("ok")]).model })).done;
  assert.deepEqual(shape(turn.output), [
    ["assistant", null, ["1"]],
    ["tool", 'Error: there is no tool "wipe"; known: none', undefined],
    ["assistant", "ok", undefined],
  ]);
  assert.deepEqual(runs, []);
});
