import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { printable, printableLines, quote, formatValue } from "./format-value.ts";

const steering: readonly [what: string, text: string, escaped: string][] = [
  ["the escape of a terminal's commands", "\u001b]0;title\u0007", "\\u001b]0;title\\u0007"],
  ["C1 controls", "\u009b2J\u0080\u0085", "\\u009b2J\\u0080\\u0085"],
  ["delete", "\u007f", "\\u007f"],
  [
    "changes of direction",
    "\u202a\u202e\u2066\u2069\u200e\u200f\u061c",
    "\\u202a\\u202e\\u2066\\u2069\\u200e\\u200f\\u061c",
  ],
  ["invisible characters", "\u200b\u2060\ufeff\u00ad", "\\u200b\\u2060\\ufeff\\u00ad"],
  ["tags, beyond the first plane", "\u{e0041}", "\\udb40\\udc41"],
  ["line separators", "\u2028\u2029", "\\u2028\\u2029"],
  ["halves of surrogate pairs", "a\ud83d b\udc00", "a\\ud83d b\\udc00"],
];
for (const [what, text, escaped] of steering) {
  test(`${what} are escaped wherever a text is shown`, () => {
    assert.equal(printable(text), escaped);
    assert.equal(printableLines(text), escaped);
    assert.equal(formatValue(text), `"${escaped}"`);
  });
}

test("line breaks and tabs stay in a text of several lines, and are escaped in one line", () => {
  assert.equal(printable("a\r\nb\tc\n"), "a\\r\\nb\\tc\\n");
  assert.equal(printableLines("a\r\nb\tc\n\rd"), "a\nb\tc\n\\rd");
});

test("ordinary text stays as it is, joined emoji and every script among it", () => {
  for (const text of ["plain", "👨‍👩‍👧‍👦", "می‌خواهم", "日本語", "עברית", "é e\u0301", "\\u001b"]) {
    assert.equal(printable(text), text);
    assert.equal(printableLines(text), text);
  }
});

test("JSON keeps its value, and nothing in it steers a terminal; escaping twice changes nothing", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(fc.dictionary(text, fc.array(text)), (value) => {
      const json = printable(JSON.stringify(value));
      assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(value)));
      assert.doesNotMatch(json, /[\p{Cc}\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/u);
      assert.equal(printable(json), json);
    }),
  );
});

test("a quoted text cannot end its quotation", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.equal(JSON.parse(quote(text, 1000)), text);
    }),
  );
});
