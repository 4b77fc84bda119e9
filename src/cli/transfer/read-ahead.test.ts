import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImportItem } from "../../admin.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import { readAhead } from "./read-ahead.ts";

test("items that cannot be imported are read ahead up to 64 MiB", async () => {
  await using place = inMemory();
  let taken = 0;
  async function* items(): AsyncGenerator<ImportItem, void, undefined> {
    for (; taken < 100; taken++) yield { source: `f:${taken}`, text: "x".repeat(1024 * 1024) };
  }
  const { canImport } = await readAhead(place.sessions, items(), {});
  assert.equal(canImport, true);
  assert(taken < 70, `${taken} MiB are in memory`);
});
