import assert from "node:assert/strict";
import { test } from "node:test";
import { migrationSummary } from "./migrate.ts";

test("the line of a migration says which steps this program took, and that others took the rest", () => {
  const steps = (count: number): readonly unknown[] => Array.from({ length: count });
  const alone = migrationSummary({ found: 7, known: 9, steps: steps(2) }, false);
  assert.equal(alone, "migrated the schema from version 7 to 9 in 2 steps:");
  const shared = migrationSummary({ found: 0, known: 9, steps: steps(7) }, false);
  assert.equal(
    shared,
    "the schema is at version 9; this program took 7 steps from version 0 on, other programs the others:",
  );
  assert.equal(migrationSummary({ found: 9, known: 9, steps: [] }, false), "the schema is up to date (version 9)");
});
