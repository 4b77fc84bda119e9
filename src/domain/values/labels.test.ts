import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import {
  hasLabels,
  parseLabelFilter,
  parseLabelPatch,
  parseLabels,
  parseStoredTitle,
  parseTitle,
  patchLabels,
  type Labels,
} from "./labels.ts";

const many = (count: number): Labels =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`label ${index}`, "x"]));

test("labels and titles at their limits are kept, and come back sorted", () => {
  assert.equal(parseTitle("x".repeat(256)), "x".repeat(256));
  assert.equal(parseTitle(null), null);
  assert.equal(parseStoredTitle("  ", "session.title"), "  ", "that of an earlier version");
  const labels = parseLabels({ b: "", a: "x".repeat(256), ["n".repeat(64)]: "é 🧁", constructor: "c" });
  assert.deepEqual(Object.keys(labels), ["a", "b", "constructor", "n".repeat(64)]);
  assert.equal(Object.keys(parseLabels(many(16))).length, 16);
});

const wrong: readonly (readonly [what: string, labels: unknown])[] = [
  ["10 000 labels", many(10_000)],
  ["17 labels", many(17)],
  ["no object", 7],
  ["null", null],
  ["an array", ["a"]],
  ["a map", new Map([["a", "b"]])],
  ["an instance of a class", new Date()],
  ["the name __proto__", JSON.parse('{"__proto__":"x"}')],
  ["another prototype", Object.create({ inherited: "x" })],
  ["an empty name", { "": "x" }],
  ["a name that is too long", { ["n".repeat(65)]: "x" }],
  ["a name with an equals sign", { "a=b": "x" }],
  ["a name with a control character", { "a\nb": "x" }],
  ["a value that is too long", { a: "x".repeat(257) }],
  ["a value with a control character", { a: "\u0000" }],
  ["half of a surrogate pair", { a: "\ud800" }],
  ["a number as a value", { a: 1 }],
  ["an object as a value", { a: {} }],
  ["undefined as a value", { a: undefined }],
  ["false as a value", { a: false }],
];
for (const [what, labels] of wrong) {
  test(`${what} is refused, with a typed error`, () => {
    const refused = { code: "argument_invalid" };
    assert.throws(() => parseLabels(labels as Labels), refused);
    assert.throws(() => parseLabelFilter(labels as Labels), refused);
    if (what !== "17 labels") assert.throws(() => parseLabelPatch(labels as Labels), refused);
  });
}

test("true is a value of a filter only, and null of a patch only", () => {
  assert.deepEqual(parseLabelFilter({ a: true }), { a: true });
  assert.deepEqual(parseLabelPatch({ a: null }), { a: null });
  assert.throws(() => parseLabels({ a: true } as unknown as Labels), { code: "argument_invalid" });
  assert.throws(() => parseLabels({ a: null } as unknown as Labels), { code: "argument_invalid" });
  assert.throws(() => parseLabelFilter({ a: null } as unknown as Labels), { code: "argument_invalid" });
});

for (const title of ["", "  ", "\u00a0\u3000", "x".repeat(257), "a\nb", "\ud800", 7, {}, undefined]) {
  test(`${JSON.stringify(title)?.slice(0, 20)} is no title`, () => {
    assert.throws(() => parseTitle(title as string, undefined), { code: "argument_invalid" });
  });
}

test("a patch sets and removes labels, and refuses the seventeenth", () => {
  assert.deepEqual(patchLabels({ a: "1", b: "2" }, { b: null, c: "3", absent: null }), { a: "1", c: "3" });
  assert.throws(() => patchLabels(many(16), { another: "x" }), { code: "argument_invalid" });
  assert.equal(Object.keys(patchLabels(many(16), { another: "x", "label 0": null })).length, 16);
});

test("a filter matches exactly the sessions that have all of its labels", () => {
  const name = fc.constantFrom("a", "b", "constructor", "toString");
  const value = fc.constantFrom("", "x", "true");
  fc.assert(
    fc.property(
      fc.dictionary(name, value),
      fc.dictionary(name, fc.oneof(value, fc.constant(true as const))),
      (labels, filter) => {
        const expected = Object.keys(filter).every((one) => {
          const found = Object.entries(labels).find(([label]) => label === one);
          return found !== undefined && (filter[one] === true || filter[one] === found[1]);
        });
        assert.equal(hasLabels(labels, filter), expected);
      },
    ),
  );
});
