import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { encode, type Value } from "../../domain/values/codec.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { sameValue } from "../../domain/values/same-value.ts";
import { idFor } from "./id-for.ts";
import { successorOf } from "../../domain/values/key-order.ts";
import { boundsOf, keyAfter } from "./key-range.ts";

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const texts = fc.string({ unit: "binary", minLength: 1, maxLength: 8 });

test("the successor of a prefix is behind all texts that begin with it, and before all others behind them", () => {
  for (const [prefix, successor] of [
    ["a", "b"],
    ["a/", "a0"],
    ["\ud7ff", "\ue000"],
    ["a\u{10ffff}", "b"],
    ["\u{10ffff}\u{10ffff}", "\u{10ffff}".repeat(129)],
  ] as const)
    assert.equal(successorOf(prefix), successor);
  fc.assert(
    fc.property(texts, texts, (prefix, text) => {
      const isWithin = byBytes(text, prefix) >= 0 && byBytes(text, successorOf(prefix)) < 0;
      assert.equal(isWithin, text.startsWith(prefix));
    }),
  );
});

test("the bounds of all keys hold every valid key, and the key after one has none between", () => {
  const [low, high] = boundsOf({});
  for (const key of [" ", "a", "\u{10ffff}".repeat(128), "語".repeat(256)])
    assert.ok(byBytes(low, key) <= 0 && byBytes(key, high) < 0, key);
  assert.ok(byBytes("a", keyAfter("a")) < 0);
  for (const key of ["a ", "a!", "a\u00a0"]) assert.ok(byBytes(keyAfter("a"), key) <= 0, key);
});

test("any text has an id, always the same, and different texts have different ones", () => {
  for (const text of ["plain", "a b", "😀".repeat(128)]) assert.equal(idFor(text), text);
  const odd = ["", ".", "..", "a\u0000b", "\ud800", "\udc00", "\ufeff", "x".repeat(257), idFor("")];
  const ids = odd.map(idFor);
  assert.equal(new Set(ids).size, odd.length);
  assert.ok(odd.every((text) => idFor(text) !== text));
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.equal(parseNewId(idFor(text), "id"), idFor(text));
    }),
  );
  assert.throws(() => idFor(1 as never), { code: "argument_invalid" });
});

test("values are the same where they are stored alike, whatever the order of their fields", () => {
  const at = new Date(0);
  const same: readonly [Value, Value][] = [
    [
      { a: 1, b: [1, { c: at }] },
      { b: [1, { c: new Date(0) }], a: 1 },
    ],
    [{ a: undefined }, {}],
    [new Uint8Array([1, 2]), Buffer.from([1, 2])],
    [10n, 10n],
  ];
  for (const [a, b] of same) assert.ok(sameValue(a, b), encode(a));
  const different: readonly [Value | undefined, Value | undefined][] = [
    [0, -0],
    [1, 1n],
    [null, undefined],
    [[], {}],
    [{ a: 1 }, { a: 1, b: 2 }],
    [{ a: null }, {}],
    [at, at.toISOString()],
    [new Uint8Array([1]), [1]],
    [
      [1, 2],
      [2, 1],
    ],
    [{ $type: "date" }, at],
  ];
  for (const [a, b] of different) assert.ok(!sameValue(a, b) && !sameValue(b, a));
});
