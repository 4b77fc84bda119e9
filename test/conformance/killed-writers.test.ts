/** The cases of the conformance suite with killed processes and skewed clocks: a store passes them, and a broken one does not. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { Bench, type Check, type StoreHarness } from "../../src/testing/conformance/bench.ts";
import { killedWriterCases } from "../../src/testing/conformance/processes/killed-writer-cases.ts";
import { skewedClockCases } from "../../src/testing/conformance/processes/skewed-clock-cases.ts";
import type { Store } from "../../src/store/store.ts";
import { forwardClock } from "../support/forward-clock.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-killed-"));
after(() => rmSync(folder, { recursive: true }));

function harnessOf(name: string, search: string): StoreHarness {
  const file = join(folder, `${name}.db`);
  const module = new URL("sqlite-file.ts", import.meta.url);
  module.search = `?file=${encodeURIComponent(file)}${search}`;
  return { name, open: () => openSqlite({ url: `sqlite:${file}` }), module: module.href };
}

async function runOn(harness: StoreHarness, cases: (check: Check) => void = killedWriterCases): Promise<void> {
  const bodies: ((bench: Bench, context: TestContext) => Promise<void>)[] = [];
  cases((title, body) => {
    assert.match(title, /^(killed-writer-loses-nothing|skewed-clocks-decide-nothing): /);
    bodies.push(body);
  });
  for (const body of bodies) {
    await using bench = await Bench.open(harness);
    await body(bench, { skip: () => assert.fail("not skipped") } as unknown as TestContext);
  }
}

test("SQLite keeps the acknowledged commits of a killed process", async () => {
  await runOn(harnessOf("kept", ""));
});

test("a store that acknowledges a commit before it is written does not pass", async () => {
  await assert.rejects(runOn(harnessOf("early", "&early")), /acknowledged commits are stored/);
});

function skewed(name: string, wrap: (store: Store) => Store): StoreHarness {
  const url = `sqlite:${join(folder, `${name}.db`)}`;
  return {
    name,
    open: () => openSqlite({ url }),
    openAhead: async (ms) => {
      const clock = forwardClock();
      clock.forward(ms);
      return wrap(await openSqlite({ url, clock }));
    },
  };
}

test("SQLite passes with clocks that disagree by two hours", async () => {
  await runOn(
    skewed("skewed", (store) => store),
    skewedClockCases,
  );
});

test("a store whose last writer by the clock wins does not pass", async () => {
  const lastWins = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (name !== "commit") return value.bind(target) as unknown;
        return async (batch: Parameters<Store["commit"]>[0]) => {
          await target.commit(batch);
          return batch.map(() => ({ status: "ok" }));
        };
      },
    });
  await assert.rejects(runOn(skewed("last wins", lastWins), skewedClockCases), { code: "ERR_ASSERTION" });
});
