import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../test/support/fast-check.ts";
import { comparePositions, OrderedRows } from "./ordered-rows.ts";

test("positions compare by value, texts by the order of their bytes in UTF-8", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(fc.integer(), text, fc.integer(), text, (n, s, m, t) => {
      const expected = n - m || Buffer.compare(Buffer.from(s), Buffer.from(t));
      assert.equal(Math.sign(comparePositions([n, s], [m, t])), Math.sign(expected));
    }),
  );
});

test("rows are in order from any position, forwards and backwards, after any additions, replacements and removals", () => {
  const steps = fc.array(fc.tuple(fc.nat(2), fc.nat(20)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, fc.integer({ min: -1, max: 20 }), (all, after) => {
      const rows = new OrderedRows<string>();
      const model = new Map<number, string>();
      for (const [index, [kind, at]] of all.entries()) {
        const row = `row ${index}`;
        if (!model.has(at)) rows.add([at, "id"], row);
        else if (kind === 0) rows.remove([at, "id"]);
        else rows.replace([at, "id"], row);
        if (model.has(at) && kind === 0) model.delete(at);
        else model.set(at, row);
      }
      const expected = [...model].filter(([at]) => at > after).toSorted(([a], [b]) => a - b);
      const found = [...rows.following([after, "id"])];
      assert.deepEqual(
        found.map(({ position, row }) => [position[0], row]),
        expected,
      );
      const before = [...model].filter(([at]) => at < after).toSorted(([a], [b]) => b - a);
      assert.deepEqual(
        [...rows.preceding([after, "id"])].map(({ position, row }) => [position[0], row]),
        before,
      );
    }),
  );
});
