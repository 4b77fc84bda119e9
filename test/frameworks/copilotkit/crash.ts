/** Runs whose process is killed: nothing that was acknowledged is lost, readers end with what had arrived, and the thread goes on. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Sessions, type Turn } from "../../../src/index.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { reportingProcess, type ReportingProcess } from "../reporting-process.ts";
import { workerProgram } from "../worker-program.ts";
import { runtimeOf, says, ScriptedAgent } from "./agents.ts";

const program = await workerProgram(join(import.meta.dirname, "worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const worker = (...args: readonly string[]): ReportingProcess => reportingProcess(program, args);

async function turnsOf(sessions: Sessions): Promise<Turn[]> {
  return await Array.fromAsync((await sessions.get("t")).turns());
}

/** A run that goes on with the thread, once the lease of the process that was killed has ended. */
async function goOn(sessions: Sessions): Promise<void> {
  const runtime = await runtimeOf(sessions, new ScriptedAgent(() => says("m-on", "On we go.")));
  for (let round = 1; ; round++) {
    const client = runtime.client("t");
    await client.ask("u-on", "Go on", `on-${round}`);
    const { code } = client.events.at(-1) as { code?: string };
    if (code !== "busy") return assert.equal(code, undefined);
    await sleep(50);
  }
}

/** Kills a process before its next commit, and goes on with its thread. True if the process ended before. */
async function killedAfter(store: string, commits: number): Promise<boolean> {
  const running = worker(store, "runs", String(commits));
  await running.ended;
  await using sessions = await openSessions({ store, sweep: false });
  const did = running.reports.map((line) => line["did"]);
  await goOn(sessions);
  const turns = await turnsOf(sessions);
  const keys = turns.map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length);
  for (const turn of turns.slice(0, -1)) {
    assert.deepEqual(turn.input, [{ role: "user", content: `Ask ${turn.key}` }]);
    if (did.includes(turn.key)) assert.equal(turn.status, "done");
    if (turn.status === "done") assert.equal(turn.output[0]?.content, `Answer ${turn.key}.`);
    else assert.equal(turn.status, "interrupted");
  }
  for (const run of did) if (run !== "closed") assert(keys.includes(run as string), `${String(run)} is stored`);
  assert.equal(turns.at(-1)?.output[0]?.content, "On we go.", `after ${commits} commits`);
  const page = (await runtimeOf(sessions, new ScriptedAgent(() => []))).client("t");
  await page.follow();
  assert.equal(page.texts.at(-1), "On we go.");
  assert.equal(new Set(page.messages.map(({ id }) => id)).size, page.messages.length);
  assert.deepEqual(
    page.texts.filter((text) => String(text).startsWith("Ask")),
    turns.slice(0, -1).map(({ key }) => `Ask ${key}`),
  );
  assert.equal((await (await sessions.get("t")).refresh()).lease, null);
  await assertSound(sessions, /which is no longer alive, holds its lease and left a turn open/);
  return did.includes("closed");
}

for (const name of enginesOfRun("SQLite")) {
  test(`a process that is killed before any of its commits loses nothing acknowledged, and the thread goes on: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const { first, step } = placesOf(context, name);
    const lanes = Array.from({ length: 3 }, async (_, lane) => {
      for (let commits = first + lane * step; !(await killedAfter(await engine.fresh(), commits)); commits += 3 * step);
    });
    await Promise.all(lanes);
  });

  test(`a run that is killed: its reader in another process ends with what had arrived, which is then stored: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const producer = worker(store, "endless");
    await producer.reported("said", 20);
    const runtime = await runtimeOf(sessions, new ScriptedAgent(() => says("m2", "Then.")));
    const page = runtime.client("t");
    const following = page.follow();
    await producer.reported("said", 80);
    assert.equal(await runtime.runner.isRunning({ threadId: "t" }), true);
    producer.kill();
    await following;
    assert.deepEqual(
      page.events.slice(-2).map(({ type }) => type),
      ["TEXT_MESSAGE_END", "RUN_ERROR"],
    );
    const text = String(page.texts[1]);
    assert(text.startsWith("1 2 3 4 5 6 7 8 9 10 "), text);
    const again = runtime.client("t");
    await again.follow();
    assert.deepEqual(again.messages, page.messages);
    const [turn] = await turnsOf(sessions);
    assert.deepEqual([turn?.status, turn?.output[0]?.content], ["interrupted", text]);
    assert.equal(await runtime.runner.isRunning({ threadId: "t" }), false);
    await again.ask("u2", "And?");
    assert.deepEqual(again.texts, ["Ask r1", text, "And?", "Then."]);
  });
}
