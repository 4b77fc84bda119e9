/** Histories whose process is killed, and of two processes at once: a message and its turn are stored together or not at all. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, test } from "node:test";
import { assistantHistory, assistantSession } from "../../../src/client/assistant-ui.ts";
import { hasCode, openSessions, type Turn } from "../../../src/index.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { workerProgram } from "../worker-program.ts";
import { messageOf, slow } from "./messages.ts";

const program = await workerProgram(join(import.meta.dirname, "worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** The lines that a worker prints until its end. */
async function worked(...args: readonly string[]): Promise<readonly string[]> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], (_error, stdout, stderr) => {
      if (stderr !== "") console.error(stderr);
      resolve(stdout.split("\n").filter((line) => line !== ""));
    });
  });
}

const spoken = (turns: readonly Turn[]): readonly unknown[] =>
  turns.flatMap(({ input, output }) => [...input, ...output].map(({ content }) => content));

/** Kills a process before its next commit, and goes on with its thread. True if the process ended before. */
async function killedAfter(store: string, commits: number): Promise<boolean> {
  const stored = await worked(store, "w", String(commits));
  await using sessions = await openSessions({ store, sweep: false });
  const history = assistantHistory(sessions, "t");
  const { headId, messages } = await history.load();
  const ids = messages.map(({ message }) => (message as { readonly id: string }).id);
  const said = stored.filter((line) => line !== "closed");
  // The process may have died before it could say that a commit has landed.
  assert.deepEqual(ids.slice(0, said.length), said);
  assert(ids.length <= said.length + 1);
  await history.append({ parentId: headId, message: messageOf("on", "user") });
  const session = await sessions.get("t");
  assert.deepEqual(spoken(await Array.fromAsync(session.turns())), [...ids, "on"]);
  await assertSound(sessions, /which is no longer alive/);
  return stored.includes("closed");
}

/** Kills a process that answers before its next commit, and loads its thread in another one. True if the process ended before. */
async function answersAfter(store: string, commits: number): Promise<boolean> {
  const answered = (await worked(store, "answers", String(commits))).filter((line) => line !== "closed");
  await using sessions = await openSessions({ store, sweep: false, model: slow });
  const thread = assistantSession(sessions, "t");
  const run = { messages: [], abortSignal: new AbortController().signal, unstable_assistantMessageId: "a" };
  // The page that is loaded follows the answer of the killed process to its end, which is shown as an error behind its text.
  if ((await thread.history.load()).unstable_resume === true)
    await Array.fromAsync(thread.history.resume(run)).catch((error: unknown) => {
      if (!hasCode(error, "interrupted")) throw error;
    });
  const loaded = await thread.history.load();
  assert.equal(loaded.unstable_resume, undefined, `after ${commits} commits`);
  const messages = loaded.messages.map(({ message }) => message as { readonly id: string; readonly role: string });
  assert(messages.filter(({ role }) => role === "user").length <= answered.length + 1);
  const asked = messageOf("on", "user");
  await Array.fromAsync(thread.model.run({ ...run, messages: [...messages, asked] }));
  const turns = await Array.fromAsync((await sessions.get("t")).turns());
  const done = turns.filter(({ status }) => status === "done");
  const kept = done.slice(0, answered.length).map(({ key }) => key);
  assert.deepEqual(kept, answered, "no answer that was given is lost");
  assert.deepEqual(spoken(turns.slice(-1)), ["on", "on on"]);
  await assertSound(sessions, /which is no longer alive/);
  return answered.length === 2;
}

for (const name of enginesOfRun("SQLite")) {
  test(`a page that is loaded again goes on behind a server that was killed while it answered: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const { first, step } = placesOf(context, name);
    for (let commits = first; !(await answersAfter(await engine.fresh(), commits)); commits += step);
  });

  test(`a process that is killed before any of its commits loses no stored message, and its thread goes on: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const { first, step } = placesOf(context, name);
    for (let commits = first; !(await killedAfter(await engine.fresh(), commits)); commits += step);
  });

  test(`two processes that write to one thread at once keep the messages of both: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    await assistantHistory(sessions, "t").append({ parentId: null, message: messageOf("first", "user") });
    const both = await Promise.all([worked(store, "a"), worked(store, "b")]);
    const said = both.flat().filter((line) => line !== "closed");
    assert.equal(said.length, 12);
    const { messages } = await assistantHistory(sessions, "t").load();
    const ids = messages.map(({ message }) => (message as { readonly id: string }).id);
    assert.deepEqual(ids.toSorted(), ["first", ...said].toSorted());
    await assertSound(sessions);
  });
}
