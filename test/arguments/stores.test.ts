/** The public functions for authors of stores, and for tests of applications, refuse a wrong argument with a `SessionError`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as store from "../../src/store/index.ts";
import { StatsAccumulator } from "../../src/store/index.ts";
import { openMemory } from "../../src/store/memory.ts";
import * as testing from "../../src/testing/index.ts";
import { ScriptedClock } from "../../src/testing/scripted-clock.ts";
import { functionsOf, methodsOf, walk, type Calls } from "./walk.ts";

/** These functions need nothing around them. */
const open = (): AsyncDisposable => ({ [Symbol.asyncDispose]: async () => undefined });

const record = testing.sampleRecord({ id: "s" });
const [entry] = testing.sampleEntries(1, [{ input: ["hello"] }]);
const splice = testing.sampleSplice("turns", 1, ["value"]);
const clock = (): ScriptedClock => testing.scriptedClock(0);
const accumulator = (): StatsAccumulator =>
  new StatsAccumulator({ tenant: "default", by: ["agent"], now: 0, limit: 1 });

const ofStores: Calls<AsyncDisposable> = {
  headOfData: () => ({ of: store, args: ["{}"] }),
  searchedMessages: () => ({ of: store, args: [entry] }),
  wordsOf: () => ({ of: store, args: ["two words"] }),
};
const session = { ...record, turns: 0, handoffExpiresAt: null, bytes: 1 };
const fact = { log: "turns", at: 0, data: "{}", session: "s", user: null, isArchived: false, bytes: 1 };
const ofAccumulators: Calls<AsyncDisposable> = {
  missSession: () => ({ of: accumulator(), args: [] }),
  addSession: () => ({ of: accumulator(), args: [session] }),
  addEntry: () => ({ of: accumulator(), args: [fact] }),
  takeGroups: () => ({ of: accumulator(), args: [] }),
  result: () => ({ of: accumulator(), args: [{}] }),
};

const ofTesting: Calls<AsyncDisposable> = {
  creationOf: () => ({ of: testing, args: [record, { splices: [splice], claims: [] }] }),
  failingStore: () => ({ of: testing, args: [openMemory(), { 1: { fails: "before" } }, { clock: clock() }] }),
  sampleEntries: () => ({ of: testing, args: [1, ["value"]] }),
  sampleRecord: () => ({ of: testing, args: [{ id: "s" }] }),
  sampleSplice: () => ({ of: testing, args: ["turns", 1, ["value"]] }),
  scriptedClock: () => ({ of: testing, args: [0, 1] }),
  stepOf: () => ({ of: testing, args: [record, { fields: { title: "t" }, splices: [splice], claims: [] }] }),
};
const { signal } = new AbortController();
const slept = async (...args: Parameters<ScriptedClock["sleep"]>): Promise<void> => {
  const own = clock();
  await Promise.all([own.sleep(...args), own.advance(5)]);
};
const ofClocks: Calls<AsyncDisposable> = {
  now: () => ({ of: clock(), args: [] }),
  set: () => ({ of: clock(), args: [1] }),
  advance: () => ({ of: clock(), args: [1] }),
  sleep: () => ({ of: { sleep: slept }, args: [1, signal] }),
  random: () => ({ of: clock(), args: [1] }),
};

const places: Readonly<Record<string, readonly [functions: readonly string[], calls: Calls<AsyncDisposable>]>> = {
  "perdure/store": [functionsOf(store), ofStores],
  StatsAccumulator: [methodsOf(StatsAccumulator), ofAccumulators],
  // A suite registers its cases in the run that calls it, so it is not called with a harness that it takes.
  "perdure/testing": [functionsOf(testing).filter((name) => !name.endsWith("Conformance")), ofTesting],
  ScriptedClock: [methodsOf(ScriptedClock), ofClocks],
};

for (const [name, [functions, calls]] of Object.entries(places)) {
  test(`every function of ${name} is walked`, () => {
    assert.deepEqual(functions.toSorted(), Object.keys(calls).toSorted());
  });
  for (const [method, make] of Object.entries(calls))
    test(`${name}: ${method} refuses wrong arguments`, async () => await walk(open, method, make));
}

test("a suite refuses a harness that is none, before it registers a case", () => {
  const harness = { name: "mine", open: async () => openMemory() };
  for (const wrong of [null, 5, [], {}, { ...harness, name: 5 }, { ...harness, open: "x" }, { ...harness, opens: 1 }])
    for (const suite of [testing.storeConformance, testing.attachmentStoreConformance])
      assert.throws(() => suite(wrong as never), { code: "argument_invalid" });
});

test("a failing store refuses a plan and a store that are none, also later", () => {
  assert.throws(() => testing.failingStore({} as never, {}), { code: "argument_invalid" });
  assert.throws(() => testing.failingStore(openMemory(), {}).plan(null as never), { code: "argument_invalid" });
});

test("statistics refuse a query that is none", () => {
  for (const wrong of [null, 5, [], {}, { by: "agent" }])
    assert.throws(() => new StatsAccumulator(wrong as never), { code: "argument_invalid" });
});
