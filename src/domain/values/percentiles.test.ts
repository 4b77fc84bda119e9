import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { percentilesOf } from "./percentiles.ts";

test("no values have no percentiles", () => {
  assert.equal(percentilesOf([]), null);
});

test("half of the values are at most p50, 95 of 100 at most p95, and both are among them", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 300 }), (values) => {
      const sorted = values.toSorted((a, b) => a - b);
      const histogram = [...Map.groupBy(sorted, (value) => value)].map(
        ([value, same]) => [value, same.length] as const,
      );
      const percentiles = percentilesOf(histogram);
      const nth = (share: number): number | undefined => sorted[Math.ceil(share * sorted.length) - 1];
      const { mean, ...others } = percentiles ?? assert.fail();
      assert.deepEqual(others, { count: values.length, p50: nth(0.5), p95: nth(0.95), max: sorted.at(-1) });
      const exact = values.reduce((sum, value) => sum + value, 0) / values.length;
      assert.ok(Math.abs(mean - exact) <= exact * 0.005, `${mean} for ${exact}`);
    }),
  );
});
