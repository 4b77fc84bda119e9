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
import { isThorough } from "../../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** The output of a run; undefined if it was killed. */
async function run(...args: readonly string[]): Promise<string | undefined> {
  try {
    const file = join(import.meta.dirname, "worker.ts");
    const resolve = join(import.meta.dirname, "resolve.ts");
    return (await promisify(execFile)(process.execPath, ["--import", resolve, file, ...args])).stdout;
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
      const store = engine.fresh();
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
    // Each run imports LangGraph, so a quick test takes a few calls. A thorough one takes every second call on SQLite, the even ones of
    // one durability and the odd ones of the other.
    const [step, durabilities] = isThorough
      ? [name === "SQLite" ? 2 : 6, ["async", "sync"]]
      : [name === "SQLite" ? 8 : 12, ["async"]];
    const lanes = durabilities.map(async (durability, lane) => {
      for (let calls = 3 + lane; !(await killedAfter(calls, durability)); calls += step);
    });
    await Promise.all(lanes);
  });
