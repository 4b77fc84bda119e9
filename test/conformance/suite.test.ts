/** The conformance suite under test: stores that break the contract in one way each, and the cases that must notice. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { Bench, type Check } from "../../src/testing/conformance/bench.ts";
import { conformanceCases } from "../../src/testing/conformance.ts";
import { coreOf, sessionsOn } from "../../src/sessions/sessions.ts";
import { scriptedClock, type ScriptedClock } from "../../src/testing/scripted-clock.ts";
import { openMemory } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { broken, type Breakage } from "./broken-stores/breakage.ts";
import { breakages } from "./broken-stores/breakages.ts";

for (const [what, noticedBy, breakage] of breakages) {
  test(`a store that ${what} does not pass`, async () => {
    const { run, failed } = await casesOf(noticedBy, breakage);
    assert.ok(run > 0, "there is such a case");
    assert.notDeepEqual(failed, [], `a case of ${noticedBy} fails`);
  });
}

test("a store that keeps the contract passes", async () => {
  assert.deepEqual((await casesOf("", () => ({}))).failed, []);
});

test("a store whose entries have another form passes", async () => {
  const { failed, run } = await casesOf(
    "",
    () => ({}),
    (store, clock) => {
      const options = { clock, sweep: false, attachments: { inlineBytesMax: 128 } } as const;
      return coreOf(sessionsOn(store, options)).store;
    },
  );
  assert.deepEqual([failed, run > 100], [[], true]);
});

/** Run the cases whose titles begin like this on a memory store broken in this way. */
async function casesOf(
  title: string,
  breakage: Breakage,
  before: (store: Store, clock: ScriptedClock) => Store = (store) => store,
): Promise<{ run: number; failed: string[] }> {
  const cases: [string, (bench: Bench, context: TestContext) => Promise<void>][] = [];
  const check: Check = (...one) => cases.push(one);
  conformanceCases(check);
  const chosen = cases.filter(([one]) => one.startsWith(title));
  const clock = scriptedClock();
  const open = async (): Promise<Store> => before(broken(openMemory({ clock }), breakage), clock);
  const context = { skip: () => {} } as unknown as TestContext;
  const failed: string[] = [];
  for (const [one, body] of chosen) {
    const bench = await Bench.open({ name: "broken", open, clock });
    await body(bench, context).catch(() => failed.push(one));
  }
  return { run: chosen.length, failed };
}
