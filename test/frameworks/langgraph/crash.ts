/** Graphs whose process is killed between two calls of the saver: nothing that was acknowledged is lost, and the graph goes on. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { openSessions } from "../../../src/index.ts";
import { assertSound, Engines, enginesOfRun } from "../../crash/engines.ts";
import { chanceOf } from "../../support/chance.ts";
import { isThorough } from "../../support/rounds.ts";
import { workerProgram } from "../worker-program.ts";

const program = await workerProgram(join(import.meta.dirname, "worker.ts"));
const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** The output of a run; undefined if it was killed. */
async function run(...args: readonly string[]): Promise<string | undefined> {
  try {
    return (await promisify(execFile)(process.execPath, [program, ...args])).stdout;
  } catch (error) {
    const { signal, stderr } = error as { readonly signal?: string; readonly stderr?: string };
    assert.equal(signal, "SIGKILL", stderr);
    return undefined;
  }
}

/** No node ran again whose writes were stored before. */
function assertNoneTwice(log: string): void {
  const stored = new Set<string>();
  for (const line of readFileSync(log, "utf8").split("\n")) {
    const [kind, ...rest] = line.split(" ");
    const task = rest.at(-1) ?? "";
    if (kind === "stored") stored.add(task);
    if (kind === "ran") assert(!stored.has(task), `${line}, though its writes were stored`);
  }
}

for (const name of enginesOfRun("SQLite"))
  test(`a graph that is killed between any two calls of its saver goes on, and no stored task runs again: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const folder = mkdtempSync(join(tmpdir(), "perdure-graph-"));
    context.after(() => rmSync(folder, { recursive: true }));
    /** True if the run ended before so many calls. */
    const killedAfter = async (calls: number, durability: string): Promise<boolean> => {
      const store = await engine.fresh();
      const log = join(folder, `${durability}-${calls}`);
      const first = await run(store, log, String(calls), durability);
      const printed =
        first ?? (await run(store, log, "Infinity", durability)) ?? assert.fail("the second run was killed");
      assert.deepEqual(
        JSON.parse(printed),
        { words: ["start", "first", "a", "b", "inner", "yes"] },
        `after ${calls} calls`,
      );
      assertNoneTwice(log);
      await using sessions = await openSessions({ store, sweep: false });
      await assertSound(sessions);
      return first !== undefined;
    };
    // Each run imports LangGraph twice, so a test takes a part of the calls, in a thorough run from a place of chance.
    const [step, durabilities] = isThorough ? [name === "SQLite" ? 6 : 12, ["async", "sync"]] : [8, ["async"]];
    const chance = chanceOf(context);
    const lanes = durabilities.map(async (durability) => {
      const first = isThorough ? Math.floor(chance() * step) : 3;
      for (let calls = first; !(await killedAfter(calls, durability)); calls += step);
    });
    await Promise.all(lanes);
  });
