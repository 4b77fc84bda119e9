import assert from "node:assert/strict";
import { test } from "node:test";
import { defined } from "./defined.ts";

test("undefined fields are absent; all others stay, in their order", () => {
  const given = { b: null, a: undefined, c: 0, d: "", e: false, f: undefined };
  assert.deepEqual(Object.entries(defined(given)), [
    ["b", null],
    ["c", 0],
    ["d", ""],
    ["e", false],
  ]);
});

test("the type has a field that may be undefined as an optional one", () => {
  const next = undefined as string | undefined;
  const page: { readonly limit: number; readonly next?: string } = defined({ limit: 1, next });
  assert(!("next" in page));
});

test("a field __proto__ stays a field, and is not the prototype", () => {
  const copy = defined(JSON.parse('{"a":1,"__proto__":{"b":2}}') as object);
  assert.deepEqual(Object.keys(copy), ["a", "__proto__"]);
  assert.equal(Object.getPrototypeOf(copy), Object.prototype);
});
