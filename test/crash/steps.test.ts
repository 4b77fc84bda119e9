/** Operations on large sessions run in steps. A process that is killed between two steps leaves the session as it was. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { copySessions } from "../../src/admin.ts";
import { stagedScope } from "../../src/domain/copies/staged.ts";
import { openSessions, type Sessions, type Turn } from "../../src/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { removeIfThere } from "../processes/log-writers.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import type { Task } from "../processes/worker.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { assertSound, Engines, enginesOfRun, type Engine } from "./engines.ts";

const engines = new Engines();
const folder = mkdtempSync(join(tmpdir(), "perdure-steps-"));
after(async () => {
  await engines[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** A step takes 80 entries or 16 KiB: a session of a hundred turns is a dozen of them. */
const limits = { readMax: 20, readBytesMax: 4096 };

async function open(store: string): Promise<Sessions> {
  return await openSessions({ store, limits, sweep: false });
}

/** The snapshot of a session `s`. Each turn has 1 KB that compresses little. */
async function snapshotOf(turns: number): Promise<string> {
  await using sessions = await openSessions({ store: "memory:", sweep: false });
  const session = await sessions.create({ id: "s", instructions: "Be brief." });
  for (let turn = 1; turn <= turns; turn++) {
    const output = Array.from({ length: 100 }, (_, word) => ((word * 7919 + turn * 104_729) % 99_991).toString(36));
    await session.append({ input: `question ${turn}`, output: output.join(" ") }, { key: `k${turn}` });
  }
  return JSON.stringify(await sessions.snapshot("s"));
}

interface Rounds {
  readonly context: TestContext;
  readonly engine: Engine;
  readonly store: string;
  readonly task: Task;
  readonly check: () => Promise<void>;
}

/** Kill a process that repeats the task, at a random moment of a repetition; then disturb the engine under it. */
async function disturb({ context, engine, store, task, check }: Rounds): Promise<void> {
  const chance = chanceOf(context);
  const kills = Array.from({ length: rounds(7, 3) }, () => undefined);
  for (const blow of [...kills, ...engine.blows]) {
    const worker = new WorkerProcess({ store, limits, task });
    await worker.hear("did");
    const began = performance.now();
    await worker.hear("did", 2);
    await sleep(chance() * (performance.now() - began));
    await blow?.();
    await worker.kill();
    await check();
  }
}

/** What killed processes left staged is cleared by the next operation on the session. */
async function assertNothingStaged(sessions: Sessions): Promise<void> {
  const { store } = coreOf(sessions);
  assert.equal(await store.count({ tenant: stagedScope("default"), now: Date.now() }), 0);
}

function inputsOf(turns: readonly Turn[]): readonly unknown[] {
  return turns.map(({ input }) => input[0]?.content);
}

function inputsUpTo(turns: number): readonly string[] {
  return Array.from({ length: turns }, (_, index) => `turn ${index + 1}`);
}

for (const name of enginesOfRun("PostgreSQL")) {
  test(`a process killed while it archives and unarchives in steps leaves the session whole, and archiving again completes: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const store = await engine.fresh();
    await using sessions = await open(store);
    const session = await sessions.restore(await snapshotOf(100));
    const turns = await Array.fromAsync(session.turns());
    const check = async (): Promise<void> => {
      const { state, archive, counters } = await session.refresh();
      assert.equal(state === "archived", archive !== null);
      assert.equal(counters.turns, 100);
      assert.deepEqual(await Array.fromAsync(session.turns()), turns);
      assert.equal(await session.instructions(), "Be brief.");
    };
    await disturb({ context, engine, store, task: { kind: "archive", session: "s" }, check });
    for (let round = 0; round < 2; round++) {
      if ((await session.refresh()).state === "archived") assert.equal(await session.unarchive(), true);
      else assert.equal(await session.archive(), true);
      await check();
    }
    await assertNothingStaged(sessions);
    await assertSound(sessions);
  });

  test(`a process killed while it restores in steps leaves the session of before or the restored one, and restoring again completes: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const store = await engine.fresh();
    const texts = [await snapshotOf(90), await snapshotOf(60)];
    const files = texts.map((text, index) => {
      const file = join(folder, `${name}-${index}.json`);
      writeFileSync(file, text);
      return file;
    });
    await using sessions = await open(store);
    const check = async (): Promise<void> => {
      const found = JSON.stringify(await sessions.snapshot("s"));
      assert.ok(texts.includes(found), `${found.length} characters`);
      assert.equal(await sessions.count(), 1);
    };
    await disturb({ context, engine, store, task: { kind: "restore", files }, check });
    for (const text of texts) {
      await sessions.restore(text, { onExists: "replace" });
      assert.equal(JSON.stringify(await sessions.snapshot("s")), text);
    }
    await assertNothingStaged(sessions);
    await assertSound(sessions);
  });

  test(`a process killed while it copies in steps leaves the session of before or the copy, and copying again completes: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const [from, to] = [await (await engines.get("SQLite")).fresh(), await engine.fresh()];
    await using source = await open(from);
    await source.restore(await snapshotOf(90));
    await using target = await open(to);
    const turnsIn = async (sessions: Sessions): Promise<unknown[]> =>
      await Array.fromAsync((await sessions.get("s")).turns());
    const check = async (): Promise<void> => {
      const [copied, all] = [await turnsIn(target), await turnsIn(source)];
      assert.ok(copied.length > 90, `${copied.length} turns`);
      assert.deepEqual(copied, all.slice(0, copied.length));
    };
    await disturb({ context, engine, store: to, task: { kind: "copy", from, session: "s" }, check });
    await (await source.get("s")).append({ input: "the last" });
    const { complete, replaced } = await copySessions(source, target);
    assert.deepEqual([complete, replaced], [true, 1]);
    assert.deepEqual(await target.snapshot("s"), await source.snapshot("s"));
    await assertNothingStaged(target);
    await assertSound(target);
  });

  test(`a process killed while it forks a session with large named logs leaves no fork or a whole one, and forking again completes: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const store = await engine.fresh();
    await using sessions = await open(store);
    const session = await sessions.create({ id: "s" });
    const entries = Array.from({ length: 300 }, (_, index) => ({ key: `k${index}`, value: "x".repeat(index) }));
    await session.write({ turns: { turns: [{ input: "one" }] }, logs: { notes: { entries } } });
    const notesIn = async (id: string): Promise<unknown[]> =>
      await Array.fromAsync((await sessions.get(id)).log("notes").entries());
    const notes = await notesIn("s");
    const check = async (): Promise<void> => {
      const { items } = await sessions.list();
      for (const { id } of items) assert.deepEqual(await notesIn(id), notes, id);
      assert.ok(items.length <= 2);
    };
    await disturb({ context, engine, store, task: { kind: "forkLogs", session: "s", as: "f" }, check });
    await removeIfThere(sessions, "f");
    await session.refresh();
    const fork = await session.fork({ as: "f" });
    assert.deepEqual(await notesIn(fork.id), notes);
    await assertNothingStaged(sessions);
    await assertSound(sessions);
  });

  test(`a process killed while it resets a session leaves the old one or the fresh one, and each archived one whole: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const store = await engine.fresh();
    await using sessions = await open(store);
    const turns = 20;
    let archived = 0;
    const check = async (): Promise<void> => {
      const { items } = await sessions.list({ limit: 1000 });
      for (const { id, state, turn } of items) {
        if (id === "s") continue;
        assert.deepEqual([state, turn], ["archived", turns]);
        assert.deepEqual(inputsOf(await Array.fromAsync((await sessions.get(id)).turns())), inputsUpTo(turns));
      }
      // The last commit of the killed process may land late, so the session is looked at in one moment.
      const { info, tails } = await (await sessions.get("s")).look([{ log: "turns", last: turns }]);
      const live = (tails[0] ?? []).map(({ value }) => value as unknown as Turn);
      assert.deepEqual(inputsOf(live), inputsUpTo(info.turn));
      assert.equal(items.filter(({ id }) => id === "s").length, 1);
      assert.ok(items.length - 1 >= archived, "no archived session is lost");
      archived = items.length - 1;
    };
    await disturb({ context, engine, store, task: { kind: "reset", session: "s", turns }, check });
    assert.ok(archived > 0);
    await assertSound(sessions);
  });
}
