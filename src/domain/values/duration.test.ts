import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { parseDuration, type Duration } from "./duration.ts";

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const hundredYearsMs = 100 * 365 * 86_400_000;

test("a number and its unit are that many milliseconds", () => {
  const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 36_500 }), unit, fc.constantFrom("", " ", "  "), (count, unit, blank) => {
      assert.equal(parseDuration(`${blank}${count}${blank}${unit}${blank}`, "ttl"), count * units[unit]);
    }),
  );
});

test("a whole number is milliseconds, up to a hundred years", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: hundredYearsMs }), (ms) => {
      assert.equal(parseDuration(ms, "ttl"), ms);
      assert.equal(parseDuration(`${ms}ms`, "ttl"), ms);
    }),
  );
});

test("fractions of a unit are allowed where they make whole milliseconds", () => {
  assert.equal(parseDuration("1.5h", "ttl"), 5_400_000);
  assert.equal(parseDuration("0.25s", "ttl"), 250);
  assert.equal(parseDuration("0.001s", "ttl"), 1);
});

const invalid: readonly unknown[] = [
  0,
  -1,
  -0,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  hundredYearsMs + 1,
  Number.MAX_SAFE_INTEGER,
  "",
  " ",
  "0",
  "0s",
  "-1h",
  "15",
  "h",
  "1 hour",
  "tomorrow",
  "1h30m",
  "1H",
  "1e3s",
  "0x1s",
  "1.2345s",
  "\u0661s",
  "0.4ms",
  "36501d",
  "999999999999999d",
  "9".repeat(1000),
  null,
  undefined,
  true,
  {},
  [1],
  1n,
];
for (const value of invalid) {
  test(`${typeof value} ${String(value).slice(0, 20)} is no duration, and the error names the option`, () => {
    assert.throws(
      () => parseDuration(value as Duration, "ttl"),
      (error: Error & { code?: string }) => error.code === "duration_invalid" && error.message.startsWith("ttl is "),
    );
  });
}

test("any value gives a positive whole number or duration_invalid", () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.string(), fc.double()), (value) => {
      let ms: number;
      try {
        ms = parseDuration(value as Duration, "ttl");
      } catch (error) {
        assert.equal((error as { code?: string }).code, "duration_invalid");
        return;
      }
      assert.ok(Number.isSafeInteger(ms) && ms > 0 && ms <= hundredYearsMs);
    }),
  );
});
