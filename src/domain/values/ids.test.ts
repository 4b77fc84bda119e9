import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { acceptedCallId, escapedForKey, parseId, parseNewId, parseLogName, sortableId } from "./ids.ts";

// oxlint-disable-next-line no-control-regex -- control characters are exactly what is meant
const control = /[\u0000-\u001f\u007f-\u009f]/;

test("an ordinary text of 1 to 256 characters is an id and stays as it is", () => {
  const ordinary = fc
    .string({ unit: "binary", minLength: 1, maxLength: 256 })
    .filter((text) => text.length <= 256 && !control.test(text));
  fc.assert(fc.property(ordinary, (text) => assert.equal(parseId(text, "session"), text)));
  const fine = [
    "__proto__",
    "constructor",
    " ",
    "'; drop table",
    "😀",
    "x".repeat(256),
    "😀".repeat(128),
    "\ufeff",
    "\u202e",
  ];
  for (const text of fine) assert.equal(parseId(text, "session"), text);
});

test("a control character or half a surrogate pair anywhere makes a text no id", () => {
  const bad = fc.oneof(
    fc.constantFrom("\u0000", "\n", "\u001f", "\u007f", "\u0080", "\u009b", "\u009f"),
    fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => String.fromCharCode(unit)),
  );
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z ]{0,100}$/),
      bad,
      fc.stringMatching(/^[a-z ]{0,100}$/),
      (before, bad, after) => {
        assert.throws(() => parseId(before + bad + after, "session"), { code: "id_invalid" });
      },
    ),
  );
});

const invalid: readonly unknown[] = [
  "",
  "x".repeat(257),
  "😀".repeat(129),
  "x".repeat(1_000_000),
  5,
  null,
  undefined,
  {},
  ["a"],
  Symbol("s"),
  1n,
];
for (const value of invalid) {
  test(`${typeof value} ${String(value).slice(0, 10)} is no id, and the error names it shortly on one line`, () => {
    assert.throws(
      () => parseId(value, "session"),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "id_invalid");
        assert.match(error.message, /^session /);
        assert.ok(error.message.length < 200);
        return true;
      },
    );
  });
}

test("no error shows a control character to a terminal", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      try {
        parseId(`${text}\u009b31m`, "session");
      } catch (error) {
        assert.doesNotMatch((error as Error).message, control);
        return;
      }
      assert.fail("expected an error");
    }),
  );
});

test("a new id is no step of a path and has no invisible format characters; one that is stored may be both", () => {
  for (const id of [".", "..", "a\u202eb", "\u2066a", "a\u200bb", "\ufeffa", "a\u00adb", "a\u2028b"]) {
    assert.equal(parseId(id, "session"), id);
    assert.throws(() => parseNewId(id, "session"), { code: "id_invalid" }, JSON.stringify(id));
  }
  for (const id of ["...", ".a", "a..", "a/../b", "👨‍👩‍👧‍👦", "می‌خواهم", "\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}"])
    assert.equal(parseNewId(id, "session"), id);
});

test("a log name is 1 to 32 of a-z, 0-9, _ and -, a letter first", () => {
  for (const name of ["turns", "a", "a-b_c0", "constructor", "x".repeat(32)]) assert.equal(parseLogName(name), name);
  for (const name of ["", "0a", "-a", "Turns", "a b", "__proto__", "é", "a\n", "x".repeat(33)])
    assert.throws(() => parseLogName(name), { code: "id_invalid" }, name);
});

test("sortable ids sort by their time and are ids", () => {
  const random = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const time = fc.integer({ min: 0, max: 2 ** 48 });
  fc.assert(
    fc.property(time, time, random, random, (a, b, left, right) => {
      const [first, second] = [sortableId(a, left), sortableId(b, right)];
      assert.match(first, /^[0-9a-hjkmnp-tv-z]{26}$/);
      assert.equal(parseId(first, "session"), first);
      if (a !== b) assert.equal(first < second, a < b);
      else assert.equal(first.slice(0, 10), second.slice(0, 10));
    }),
  );
});

test("each chance makes another sortable id", () => {
  const ids = new Set<string>();
  for (let byte = 0; byte < 32; byte++)
    for (let place = 0; place < 16; place++) ids.add(sortableId(1, new Uint8Array(16).fill(byte, place, place + 1)));
  assert.equal(ids.size, 16 * 31 + 1);
});

test("an id of a call has at most 40 letters, digits, _ and -, and different ids stay different", () => {
  for (const id of ["", "call_1", "toolu_01-A", "x".repeat(40)]) assert.equal(acceptedCallId(id), id);
  const others = ["functions.look:0", "functions_look:0", "ü", "x".repeat(41), `${"x".repeat(41)}y`, "a b", " "];
  const accepted = others.map(acceptedCallId);
  for (const id of accepted) assert.match(id, /^[\w-]{1,40}$/);
  assert.equal(new Set(accepted).size, others.length);
});

test("a key escapes what no key may have, and depends on no version of Unicode", () => {
  assert.equal(escapedForKey("a|b%c~d/e"), "a%7c.b%25.c%7e.d%2f.e");
  assert.equal(
    escapedForKey("\0\u200b\u2028\ud800\ue000\u{e0001}\u{10fffd}"),
    "%0.%200b.%2028.%d800.%e000.%e0001.%10fffd.",
  );
  // Unassigned today: a later version of Unicode may make an emoji of it.
  for (const text of ["plain", "ünïcode", "日本", "\u{1f9ff}", "\u0378", "\u{1faff}"])
    assert.equal(escapedForKey(text), text);
});

test("the special characters are those that this runtime knows, but for unassigned ones", () => {
  const known = /[|%~/\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u;
  const different: string[] = [];
  for (let code = 0; code <= 0x10ffff; code++) {
    const character = String.fromCodePoint(code);
    if (known.test(character) !== (escapedForKey(character) !== character)) different.push(code.toString(16));
  }
  assert.deepEqual(different, []);
});
