/** Chats whose process is killed: nothing that was acknowledged is lost, readers end with what had arrived, and the chat goes on. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { streamText, validateUIMessages, type UIMessage } from "ai";
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { chats, type Chat } from "../../../src/adapters/ai.ts";
import { hasCode, openSessions, type Sessions, type Turn } from "../../../src/index.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { reportingProcess, type Report, type ReportingProcess } from "../reporting-process.ts";
import { workerProgram } from "../worker-program.ts";
import { scripted, words } from "./chat-client.ts";

const program = await workerProgram(join(import.meta.dirname, "chat-worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const worker = (...args: readonly string[]): ReportingProcess => reportingProcess(program, args);

const textOf = (message: UIMessage | undefined): string =>
  (message?.parts ?? []).flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");

/** A step that another process blocks until its lease has ended. */
async function onceFree<T>(step: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (!hasCode(error, "busy")) throw error;
      await sleep(50);
    }
  }
}

async function goOn(chat: Chat<UIMessage>): Promise<void> {
  const message = { id: "go-on", role: "user", parts: [{ type: "text", text: "Go on" }] };
  await onceFree(() => chat.add(message));
  const model = scripted([words("On we go.")]);
  const response = await onceFree(() => chat.respond(() => streamText({ model, prompt: "Go on" })));
  await response.text();
}

/** What was acknowledged stands; nothing is there twice, and no half answer is taken for a whole one. */
function check(messages: readonly UIMessage[], turns: readonly Turn[], did: ReadonlySet<unknown>): void {
  const ids = messages.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const [first, second] = turns;
  // The version that took the place of the first answer has no key: a branch keeps the turn that has it.
  const isRegenerated = first?.key === null && first.output[0]?.content === "Second.";
  if (did.has("asked")) assert(first?.key === "u1" || isRegenerated, String(first?.key));
  if (did.has("answered")) assert.equal(first?.status, "done");
  const text = first?.output[0]?.content;
  if (did.has("regenerated")) assert.equal(text, "Second.");
  else if (did.has("answered")) assert(text === "First." || text === "Second.", String(text));
  if (first?.status === "done") assert(text === "First." || text === "Second.", String(text));
  if (did.has("called")) assert.equal(second?.output[0]?.tool_calls?.length, 1);
  const state = (messages.at(-1)?.parts.find(({ type }) => type === "tool-pay") as { state?: string } | undefined)
    ?.state;
  if (did.has("approved")) assert(state === "approval-responded" || state === "output-available", state);
  if (did.has("paid"))
    assert.deepEqual(
      second?.output.map(({ role, content }) => [role, content]),
      [
        ["assistant", null],
        ["tool", "paid"],
        ["assistant", "Paid."],
      ],
    );
}

async function turnsOf(sessions: Sessions): Promise<Turn[]> {
  return await Array.fromAsync((await sessions.get("c")).turns());
}

/** Kills a process before its next commit, and goes on with its chat. True if the process ended before. */
async function killedAfter(store: string, commits: number): Promise<boolean> {
  const chatting = worker(store, "chat", String(commits));
  await chatting.ended;
  await using sessions = await openSessions({ store, sweep: false });
  const chat = await chats<UIMessage>(sessions).open("c");
  const did = new Set(chatting.reports.map((line) => line["did"]));
  const { messages } = chat;
  if (messages.length > 0) await validateUIMessages({ messages });
  check(messages, await turnsOf(sessions), did);
  await goOn(chat);
  const again = await chats<UIMessage>(sessions).open("c");
  assert.equal(textOf(again.messages.at(-1)), "On we go.", `after ${commits} commits`);
  const idsOf = (list: readonly UIMessage[]): readonly string[] => list.map(({ id }) => id);
  assert.deepEqual(idsOf(again.messages.slice(0, -2)), idsOf(messages));
  check(again.messages.slice(0, -2), (await turnsOf(sessions)).slice(0, -1), did);
  assert.equal((await again.session.refresh()).lease, null);
  assert.equal(await sessions.streams.active("c"), null);
  // The stream of an answer that was being regenerated is lost, and is deleted when its time has passed.
  await assertSound(sessions, /which is no longer alive, holds its lease and left a turn open/);
  return did.has("closed");
}

for (const name of enginesOfRun("SQLite")) {
  test(`a process that is killed before any of its commits loses nothing acknowledged, and the chat goes on: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const { first, step } = placesOf(context, name);
    const lanes = Array.from({ length: 3 }, async (_, lane) => {
      for (let commits = first + lane * step; !(await killedAfter(await engine.fresh(), commits)); commits += 3 * step);
    });
    await Promise.all(lanes);
  });

  test(`a producer that is killed: its reader in another process ends with what had arrived, which is then stored: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const producer = worker(store, "endless");
    await producer.reported("said", 20);
    const reading = (await chats<UIMessage>(sessions).running("c")) ?? assert.fail("no answer runs");
    const chunks: Report[] = [];
    const read = (async () => {
      for await (const chunk of reading) chunks.push(chunk as unknown as Report);
    })();
    await producer.reported("said", 80);
    producer.kill();
    await read;
    assert.equal(chunks.at(-1)?.["type"], "error");
    const text = chunks.map(({ delta }) => delta ?? "").join("");
    assert(text.startsWith("1 2 3 4 5 6 7 8 9 10 "), text);
    const chat = await chats<UIMessage>(sessions).open("c");
    assert.equal(textOf(chat.messages[1]), text);
    assert.equal(chat.messages[1]?.id, chunks[0]?.["messageId"]);
    const [turn] = await turnsOf(sessions);
    assert.deepEqual([turn?.status, turn?.output[0]?.content], ["interrupted", text]);
    assert.equal(await chats(sessions).running("c"), null);
    await goOn(chat);
    const { messages } = await chats<UIMessage>(sessions).open("c");
    assert.deepEqual(messages.map(textOf), ["Count", text, "Go on", "On we go."]);
  });
}
