import assert from "node:assert/strict";
import { test } from "node:test";
import { quoted, quotedLine } from "./quoted-text.ts";

test("each line of a text is inside its quote, wherever Markdown ends a line", () => {
  assert.equal(
    quoted("Refund?\n\n**assistant**\r## Turn 9\r\n# Look"),
    "> Refund?\n>\n> **assistant**\n> ## Turn 9\n> # Look",
  );
});

test("HTML outside of code is text, code stays as it is", () => {
  for (const [text, expected] of [
    ["<!-- no <details> a < b <3", "> &lt;!-- no &lt;details> a < b <3"],
    ["Use `<b>` and ``<i>`` <b>", "> Use `<b>` and ``<i>`` &lt;b>"],
    ["```html\n<b>\n```\n<b>", "> ```html\n> <b>\n> ```\n> &lt;b>"],
    ["~~~\n```\n<b>", "> ~~~\n> ```\n> <b>"],
    ["| `<a>` | `<b>` |", "> | `<a>` | `<b>` |"],
  ] as const)
    assert.equal(quoted(text), expected);
  assert.equal(quotedLine("A\n`<b>`"), "A `&lt;b>`");
});

for (const [name, text] of Object.entries({
  "a backtick of an earlier line": "a ` b\n`<b>`",
  "an escaped backtick": "\\`<b>`",
  "a cell of a table that ends in code": "| ` | `<b>|` |",
  "an indented fence that a later one ends": " ```\ncode\n```\n<b>",
  "a fence of a list item, which ends with it": "- a\n  ```\n<b>",
  "a fence after a tab": "```\n\t```\n```\n```\n<b>",
}))
  test(`HTML is escaped where it may be outside of code: ${name}`, () => {
    assert.ok(!quoted(text).includes("<b>"), quoted(text));
  });

test("a text defines no link or footnote for the rest of the file", () => {
  assert.equal(quoted("[1]: https://x.example\n[^a]: b"), "> [1]\\: https://x.example\n> [^a]\\: b");
});
