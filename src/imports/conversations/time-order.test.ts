import assert from "node:assert/strict";
import { test } from "node:test";
import { inTimeOrder } from "./time-order.ts";

/** `b3`: the thing b of the time 3. */
const ordered = (list: string): string =>
  inTimeOrder(list.split(" "), (one) => (one.length > 1 ? Number(one.slice(1)) : undefined)).join(" ");

test("things are in the order of their times; one without a time follows the one that it follows in the list", () => {
  const lists: readonly [list: string, order: string][] = [
    ["a1 b3 c2", "a1 c2 b3"],
    ["a1 b1 c1", "a1 b1 c1"],
    ["a2 b2 c1", "c1 b2 a2"],
    ["a b c", "a b c"],
    ["a1 b c2 d", "a1 b c2 d"],
    ["a b1 c", "a b1 c"],
    ["a1 b c3 d e2", "a1 b e2 c3 d"],
    ["a3 b c2 d1", "d1 c2 b a3"],
    ["a b3 c2", "a c2 b3"],
    ["a3 b c2", "c2 a3 b"],
    ["a3 b c3 d2", "d2 a3 b c3"],
    ["a4 b c3 d2 e2", "e2 d2 c3 b a4"],
    ["a2 b c3 d e1", "e1 a2 b c3 d"],
  ];
  for (const [list, order] of lists) assert.equal(ordered(list), order, list);
});
