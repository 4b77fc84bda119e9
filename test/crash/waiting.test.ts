/** Turns that wait, between processes that are killed: never resumed twice, never lost, on every engine. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode, openSessions, type Session, type Turn, type WaitingTurn } from "../../src/index.ts";
import { actingModel } from "../processes/waiting-turns.ts";
import { WorkerProcess, type Report } from "../processes/worker-process.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { assertSound, Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
const folder = mkdtempSync(join(tmpdir(), "perdure-waiting-"));
after(async () => {
  await engines[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** Kills the process at a random moment after it has begun to work. */
async function killMeanwhile(worker: WorkerProcess, chance: () => number): Promise<readonly Report[]> {
  const wanted = worker.count("done") + 1;
  await worker.hear("done", wanted + Math.floor(chance() * 3));
  await sleep(chance() * 25);
  await worker.kill();
  return worker.reports;
}

/** The keys that the killed process reported in this field. */
function keysOf(reports: readonly Report[], field: string): ReadonlySet<string> {
  return new Set(reports.flatMap((report) => (typeof report[field] === "string" ? [report[field]] : [])));
}

async function turnOf(session: Session, key: string): Promise<Turn | undefined> {
  return await session.turnByKey(key);
}

/** The turns that a killed process left waiting; the caller settles each. Its last commit may land late. */
async function* leftWaiting(session: Session): AsyncGenerator<WaitingTurn, void, undefined> {
  for (;;) {
    const waiting = await session.waiting();
    if (waiting !== null) {
      yield waiting;
      continue;
    }
    await session.recover();
    if ((await session.waiting()) === null) return;
  }
}

/** The killed process has resumed the turn by a commit that landed after the turn was found. */
function unlessResumed(error: unknown): undefined {
  if (!hasCode(error, "turn_not_waiting")) throw error;
}

for (const name of enginesOfRun("PostgreSQL")) {
  test(`a process killed between asking, waiting, resuming and sealing loses no turn that waits, and seals none twice: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "chat" });
    for (let round = 0; round < rounds(24, 6); round++) {
      const worker = new WorkerProcess({ store, task: { kind: "waits", session: "chat", name: `r${round}` } });
      const reports = await killMeanwhile(worker, chance);
      const [waited, resumed, done] = ["waiting", "resumed", "done"].map((field) => keysOf(reports, field));
      for await (const waiting of leftWaiting(session)) {
        const [key] = Object.values(waiting.state as { readonly key: string });
        assert(key !== undefined && !resumed!.has(key), "a turn that was resumed does not wait");
        assert.deepEqual(waiting.output, [{ role: "assistant", content: "before, " }]);
        const turn = await session.resume(waiting.token).catch(unlessResumed);
        if (turn === undefined) continue;
        await turn.write({ text: "after" });
        await turn.seal();
      }
      for (const key of waited!) {
        const turn = await turnOf(session, key);
        assert(turn !== undefined, "a turn that waited is stored");
        const text = String(turn.output[0]?.content);
        assert.equal(turn.output.length, 1);
        if (done!.has(key) || !resumed!.has(key)) {
          // The process may have been killed between the commit of the resumption and its line.
          assert(turn.status === "done" || (turn.status === "interrupted" && !done!.has(key)), `${turn.status} ${key}`);
        }
        assert(turn.status === "done" ? text === "before, after" : text.startsWith("before, "), text);
      }
      await session.refresh();
      await session.append({ input: `after round ${round}`, output: "ok" });
    }
    await assertSound(sessions);
  });

  test(`a process killed between the call of a tool and its approval, or while the tool runs, runs no tool twice and loses no approval that is due: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    const effects = join(folder, `${name}.txt`);
    writeFileSync(effects, "");
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "chat" });
    const model = actingModel(session, effects);
    const kinds = { waiting: 0, interrupted: 0, sealed: 0 };
    for (let round = 0; round < rounds(24, 6); round++) {
      const worker = new WorkerProcess({
        store,
        task: { kind: "approvals", session: "chat", name: `r${round}`, effects },
      });
      const reports = await killMeanwhile(worker, chance);
      const [waited, approving, done] = ["waiting", "approving", "done"].map((field) => keysOf(reports, field));
      for await (const waiting of leftWaiting(session)) {
        kinds.waiting++;
        const [call] = waiting.calls;
        assert(call !== undefined);
        assert(!readFileSync(effects, "utf8").split("\n").includes(call.id), "a tool ran before its approval");
        const answer = await session.approve(waiting.token, { [call.id]: true }, { model }).catch(unlessResumed);
        if (answer !== undefined) assert.equal((await answer.done).status, "done");
      }
      const ran = readFileSync(effects, "utf8").split("\n");
      for (const key of waited!) {
        const turn = await turnOf(session, key);
        assert(turn !== undefined, "a turn that waited is stored");
        const runs = ran.filter((one) => one === key).length;
        assert(runs <= 1, `${key} ran ${runs} times`);
        if (turn.status === "done") {
          kinds.sealed++;
          assert.equal(runs, 1);
          continue;
        }
        kinds.interrupted++;
        assert.equal(turn.status, "interrupted");
        assert(approving!.has(key) && !done!.has(key), "a turn that no process was approving is not interrupted");
        const result = turn.output.find(({ role }) => role === "tool");
        assert(result !== undefined, "each call has a result");
        if (runs === 0) assert.match(String(result.content), /did not run|may or may not/);
        else assert.match(String(result.content), /acted|may or may not/);
      }
      await session.refresh();
      await session.append({ input: `after round ${round}`, output: "ok" });
    }
    context.diagnostic(JSON.stringify(kinds));
    await assertSound(sessions);
  });

  test(`of processes that resume the same turns each turn has exactly one: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "chat" });
    const names = ["one", "two", "three"];
    const workers = names.map(
      (one) => new WorkerProcess({ store, task: { kind: "resume", session: "chat", name: one } }),
    );
    for (const worker of workers) await worker.hear("looks");
    const tokens: string[] = [];
    for (let round = 0; round < rounds(40, 8); round++) {
      await session.refresh();
      const sealing = Promise.race(workers.map((worker) => worker.hear("sealed", worker.count("sealed") + 1)));
      const turn = await session.begin("go on", { key: `k${round}` });
      const { token } = await turn.wait({ state: round, reason: "approval" });
      tokens.push(token);
      await sealing;
      const sealed = await session.turnByKey(`k${round}`);
      assert(names.includes(String(sealed?.output[0]?.content)), "one process wrote the answer");
      assert.equal(sealed?.output.length, 1);
    }
    await Promise.all(workers.map((worker) => worker.kill()));
    const won = workers.flatMap(({ reports }) =>
      reports.flatMap(({ won: token }) => (token === undefined ? [] : [token])),
    );
    assert.equal(won.length, tokens.length, "each token has one winner");
    assert.deepEqual(new Set(won), new Set(tokens));
    await assertSound(sessions);
  });
}
