/**
 * Sessions whose process is killed: nothing that was acknowledged is lost, and the framework goes on. A store changes by commits
 * alone, so a kill before each of them leaves every state that a kill between two calls of the store may leave.
 */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { Agent, Runner, RunState, setTracingDisabled, tool, type AgentInputItem } from "@openai/agents";
import { assistantMessage, functionCall, ScriptedModel } from "@openai/agents/testing";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { openaiSession, type OpenAiSession } from "../../../src/adapters/openai-agents.ts";
import { hasCode, openSessions } from "../../../src/index.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { endsWithTest } from "../../support/ends-with-test.ts";
import { workerProgram } from "../worker-program.ts";

setTracingDisabled(true);

const program = await workerProgram(join(import.meta.dirname, "runs-worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

type Said = Readonly<Record<string, unknown>>;

/** What a process has said when it was killed, or has ended. */
async function saidBy(...args: readonly string[]): Promise<readonly Said[]> {
  return await new Promise((resolve) => {
    const child = execFile(process.execPath, [program, ...args], (_error, output, errors) => {
      assert.equal(errors, "");
      const lines = output.split("\n").filter((line) => line.endsWith("}"));
      resolve(lines.map((line) => JSON.parse(line) as Said));
    });
    endsWithTest(child);
  });
}

/** A step that waits until the lease of a killed process has ended. */
async function onceFree<T>(step: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (!hasCode(error, "busy") && !hasCode(error, "turn_open")) throw error;
      await sleep(50);
    }
  }
}

const toolOf = (name: string, needsApproval = false): ReturnType<typeof tool> =>
  tool({ name, description: "A tool.", parameters: z.object({}), needsApproval, execute: () => Promise.resolve(name) });

const idsOf = (items: readonly AgentInputItem[], type: string): readonly string[] =>
  items.flatMap((item) => (item.type === type && "callId" in item ? [String(item.callId)] : []));

const textOf = (item: AgentInputItem | undefined): unknown => {
  if (item === undefined || !("content" in item)) return undefined;
  const { content } = item;
  return typeof content === "string" ? content : content?.map((part) => ("text" in part ? part.text : "")).join("");
};

/** What was acknowledged stands, in order, and nothing is there twice. */
function check(items: readonly AgentInputItem[], said: readonly Said[]): void {
  const did = new Set(said.map((line) => line["did"]));
  const asked = said.filter((line) => line["model"] !== undefined).length;
  for (const type of ["function_call", "function_call_result"]) {
    const ids = idsOf(items, type);
    assert.equal(new Set(ids).size, ids.length, String(ids));
  }
  const texts = items.map(textOf);
  if (items[0]?.type === "compaction") {
    assert(did.has("paid") && asked === 6);
    const last = did.has("popped") ? [undefined, "4"].filter((_, at) => at < items.length) : [undefined, "Short."];
    if (items.length === last.length) assert.deepEqual(texts, last);
    return;
  }
  assert(!did.has("compacted"));
  const results = idsOf(items, "function_call_result");
  if (asked >= 1) assert.equal(texts[0], "1");
  if (asked >= 2) assert(results.includes("c1"));
  if (asked >= 3) assert(results.includes("c2"));
  if (did.has("answered")) assert(texts.includes("First."));
  if (asked >= 4) assert(texts.includes("2"));
  if (did.has("asked")) assert(idsOf(items, "function_call").includes("c3"));
  if (asked >= 5) assert(results.includes("c3"));
  if (did.has("paid")) assert.equal(texts.at(-1), "Paid.");
}

/** Continues what waits, or asks something else. */
async function goOn(session: OpenAiSession<AgentInputItem>): Promise<boolean> {
  const model = new ScriptedModel([[assistantMessage("On we go.")]]);
  const agent = new Agent({ name: "a", model, tools: [toolOf("look"), toolOf("pay", true)] });
  const { run } = session.durable(new Runner());
  const { waitingTurn } = await session.session.refresh();
  if (waitingTurn === null) {
    await onceFree(() => run(agent, "Go on"));
    return false;
  }
  const state = await session.resume((text) => RunState.fromString(agent, text));
  for (const interruption of state.getInterruptions()) state.approve(interruption);
  await run(agent, state);
  return true;
}

/** Kills a process before its next commit, and goes on with its session. True if the process ended before. */
async function killedAfter(store: string, commits: number): Promise<boolean> {
  const said = await saidBy(store, "runs", String(commits));
  await using sessions = await openSessions({ store, sweep: false });
  const session = await openaiSession<AgentInputItem>(sessions, "s");
  const did = new Set(said.map((line) => line["did"]));
  const { waitingTurn } = await session.session.refresh();
  if (did.has("paused") && waitingTurn === null) assert(said.length > 6, "the approval is lost");
  // Each step of a run, a wait and a resumption are one commit: none of them leaves a turn without its end.
  for await (const { status } of session.session.turns()) assert.notEqual(status, "open", `after ${commits} commits`);
  const isResumed = await goOn(session);
  const items = await (await openaiSession<AgentInputItem>(sessions, "s")).getItems();
  assert.equal(textOf(items.at(-1)), "On we go.", `after ${commits} commits`);
  // The result of the call that waited and the answer, or the question and the answer.
  check(items.slice(0, -2), said);
  if (isResumed) assert.equal(idsOf(items, "function_call_result").at(-1), "c3");
  await assertSound(sessions);
  return did.has("closed");
}

for (const name of enginesOfRun("SQLite")) {
  test(`a process that is killed before any of its commits loses nothing acknowledged, and its session goes on: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const { first, step } = placesOf(context, name, 6);
    const lanes = Array.from({ length: 2 }, async (_, lane) => {
      for (let commits = first + lane * step; !(await killedAfter(await engine.fresh(), commits)); commits += 2 * step);
    });
    await Promise.all(lanes);
  });

  test(`a process that is killed in a tool call loses no result of a tool that ended, and no such tool runs again: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await saidBy(store, "tool");
    await using sessions = await openSessions({ store, sweep: false });
    const session = await openaiSession<AgentInputItem>(sessions, "s");
    const items = await session.getItems();
    assert.deepEqual(idsOf(items, "function_call"), ["c1", "c2", "c3"]);
    assert.deepEqual(idsOf(items, "function_call_result"), ["c1", "c2"]);
    const model = new ScriptedModel([[functionCall("die", {}, { callId: "c4" })], [assistantMessage("Done.")]]);
    const agent = new Agent({ name: "a", model, tools: [toolOf("look"), toolOf("die")] });
    await session.durable(new Runner()).run(agent, []);
    assert.deepEqual(idsOf(model.firstCall?.request.input as AgentInputItem[], "function_call"), ["c1", "c2"]);
    const turns = await Array.fromAsync(session.session.turns());
    assert.deepEqual(
      turns.map(({ status, output }) => [status, output.at(-1)?.content]),
      [["done", "Done."]],
    );
    await assertSound(sessions);
  });
}
