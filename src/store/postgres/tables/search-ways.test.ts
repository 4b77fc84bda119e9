import assert from "node:assert/strict";
import { test } from "node:test";
import { nextWay, type Checked } from "./search-ways.ts";

/** What the newest 4000 of a million messages have shown, one in a second. */
const checked: Checked = { rows: 4000, matched: 0, from: 4_000_000, to: 0, total: 1_000_000 };
const page = { limit: 20, shown: 0, words: 1 };

test("a rare word is looked up in the index of words", () => {
  assert.deepEqual(nextWay(checked, page), { kind: "all" });
  assert.deepEqual(nextWay({ ...checked, matched: 5 }, page), { kind: "all" });
});

test("a word that stands everywhere is looked for in more of the newest messages, where few sessions pass the filter", () => {
  assert.deepEqual(nextWay({ ...checked, matched: 2000 }, { ...page, shown: 10 }), { kind: "newest", rows: 12_600 });
});

test("a word between the two is looked up from an instant on", () => {
  assert.deepEqual(nextWay({ ...checked, matched: 40 }, { ...page, shown: 10 }), { kind: "since", at: -8_600_000 });
});

test("of two words one may be frequent, so more of the newest messages are checked", () => {
  const some = { ...page, limit: 80, shown: 20 };
  assert.deepEqual(nextWay({ ...checked, matched: 40 }, some), { kind: "since", at: -20_300_000 });
  assert.deepEqual(nextWay({ ...checked, matched: 40 }, { ...some, words: 2 }), { kind: "newest", rows: 24_300 });
});

test("the index of words has what is left where the others would look at all messages", () => {
  assert.deepEqual(nextWay({ ...checked, matched: 40, total: 10_000 }, { ...page, shown: 2 }), { kind: "all" });
});
