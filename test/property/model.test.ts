import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { openMemory } from "../../src/store/memory.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import type { Outcome, Store } from "../../src/store/store.ts";
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

test("the random steps come by every outcome often", async () => {
  const outcomes = new Map<Outcome["status"], number>();
  const model = openMemory();
  const counting: Store = {
    capabilities: model.capabilities,
    commit: async (batch) => {
      const all = await model.commit(batch);
      for (const { status } of all) outcomes.set(status, (outcomes.get(status) ?? 0) + 1);
      return all;
    },
    load: (requests) => model.load(requests),
    read: (key, range) => model.read(key, range),
    find: (query) => model.find(query),
    heartbeat: (instance, options) => model.heartbeat(instance, options),
    instances: (ids) => model.instances(ids),
    close: () => model.close(),
  };
  for (const [run, some] of fc.sample(steps, { numRuns: 50, seed: 3 }).entries())
    await compareStores({ model: openMemory(), store: counting, scope: `${run} ` }, some);
  for (const status of ["ok", "conflict", "duplicate"] as const)
    assert.ok((outcomes.get(status) ?? 0) >= 50, `${status}: ${outcomes.get(status) ?? 0}`);
});
