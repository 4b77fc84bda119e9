import assert from "node:assert/strict";
import { test } from "node:test";
import { counted } from "./counted.ts";

test("a count of one has its noun in the singular, any other in the plural", () => {
  assert.deepEqual(
    [0, 1, 2].map((count) => counted(count, "turn")),
    ["0 turns", "1 turn", "2 turns"],
  );
  assert.deepEqual([counted(1, "entry"), counted(2, "entry")], ["1 entry", "2 entries"]);
  assert.equal(counted(2, "branch"), "2 branches");
  assert.equal(counted(2, "field of a message"), "2 fields of a message");
  assert.equal(
    counted(1000, "session", (count) => count.toLocaleString("en")),
    "1,000 sessions",
  );
});
