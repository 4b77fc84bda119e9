/** The conformance suite under test: stores that break the contract in one way each, and the cases that must notice. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Bench, type Check } from "../../src/testing/conformance/bench.ts";
import { conformanceCases } from "../../src/testing/conformance.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { openMemory } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { breakages, type Breakage } from "./broken-stores.ts";

for (const [what, noticedBy, breakage] of breakages) {
  test(`a store that ${what} does not pass`, async () => {
    const failed = await failedCases(breakage);
    assert.ok(
      failed.some((title) => title.startsWith(noticedBy)),
      `expected a case of ${noticedBy} to fail; these did: ${failed.join("\n")}`,
    );
  });
}

test("a store that keeps the contract passes", async () => {
  assert.deepEqual(await failedCases(() => ({})), []);
});

/** The titles of the cases that fail on a memory store broken in this way. */
async function failedCases(breakage: Breakage): Promise<string[]> {
  const cases: [string, (bench: Bench, context: TestContext) => Promise<void>][] = [];
  const check: Check = (title, body) => cases.push([title, body]);
  conformanceCases(check);
  const clock = scriptedClock();
  const open = async (): Promise<Store> => broken(openMemory({ clock }), breakage);
  const context = { skip: () => {} } as unknown as TestContext;
  const failed: string[] = [];
  for (const [title, body] of cases) {
    const bench = await Bench.open({ name: "broken", open, clock });
    await body(bench, context).catch(() => failed.push(title));
  }
  return failed;
}

/** The store with some of its methods in place of its own. */
function broken(store: Store, breakage: Breakage): Store {
  return {
    capabilities: store.capabilities,
    commit: (batch) => store.commit(batch),
    load: (requests) => store.load(requests),
    read: (key, range) => store.read(key, range),
    find: (query) => store.find(query),
    heartbeat: (instance, options) => store.heartbeat(instance, options),
    instances: (ids) => store.instances(ids),
    close: () => store.close(),
    ...breakage(store),
  };
}
