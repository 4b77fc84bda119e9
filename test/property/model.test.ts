import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { openMemory } from "../../src/store/memory.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import type { Outcome } from "../../src/store/store.ts";
import { broken } from "../conformance/broken-stores/breakage.ts";
import { breakages } from "../conformance/broken-stores/breakages.ts";
import { compareStores, steps } from "./compare-stores.ts";

test("SQLite does what the reference does", async () => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-model-"));
  const store = await openSqlite({ url: `sqlite:${join(folder, "store.db")}?synchronous=normal` });
  try {
    await fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        await compareStores({ model: openMemory(), store, scope: `${randomUUID()} ` }, steps);
      }),
      { numRuns: 150 },
    );
  } finally {
    await store.close();
    rmSync(folder, { recursive: true });
  }
});

test("the random steps reach every outcome often", async () => {
  const outcomes = new Map<Outcome["status"], number>();
  const model = openMemory();
  const counting = broken(model, () => ({
    commit: async (batch) => {
      const all = await model.commit(batch);
      for (const { status } of all) outcomes.set(status, (outcomes.get(status) ?? 0) + 1);
      return all;
    },
  }));
  for (const [run, some] of fc.sample(steps, { numRuns: 50, seed: 3 }).entries())
    await compareStores({ model: openMemory(), store: counting, scope: `${run} ` }, some);
  for (const status of ["ok", "conflict", "duplicate"] as const)
    assert.ok((outcomes.get(status) ?? 0) >= 50, `${status}: ${outcomes.get(status) ?? 0}`);
});

const detected = [
  "never compares versions",
  "looks at versions before claims",
  "never frees a key",
  "splits a transaction",
  "loses the splices that only cut",
  "keeps the logs of what is removed",
  "begins every page at the beginning",
  "does not tell upper from lower case",
];
for (const what of detected) {
  test(`a store that ${what} differs from the reference`, async () => {
    const breakage = breakages.find(([one]) => one === what)?.[2];
    assert.ok(breakage);
    const checked = await fc.check(
      fc.asyncProperty(steps, async (steps) => {
        await compareStores({ model: openMemory(), store: broken(openMemory(), breakage), scope: "" }, steps);
      }),
      { numRuns: 5000, endOnFailure: true },
    );
    assert.ok(checked.failed);
  });
}
