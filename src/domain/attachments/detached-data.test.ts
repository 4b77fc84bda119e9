/** Data that is stored beside an entry: the text that comes back is the text that was given, whatever it is. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { rounds } from "../../../test/support/rounds.ts";
import { encode, type Value } from "../values/codec.ts";
import { dataIn, escapedMarks, givenText, markOf, marksIn } from "./detached-data.ts";

/** A store of bytes, and an entry as it is kept beside them. */
function detach(given: string, bytesMax: number): { stored: string; kept: Map<string, string> } {
  const kept = new Map<string, string>();
  const text = escapedMarks(given);
  let stored = "";
  let end = 0;
  for (const { from, to, type, bytes } of dataIn(text, bytesMax)) {
    const hash = createHash("sha256").update(bytes).digest("hex");
    kept.set(hash, Buffer.from(bytes).toString("base64"));
    stored += text.slice(end, from) + markOf({ type, hash });
    end = to;
  }
  return { stored: stored + text.slice(end), kept };
}

const data = fc.uint8Array({ minLength: 0, maxLength: 400 }).map((bytes) => Buffer.from(bytes).toString("base64"));
const type = fc.constantFrom("image/png", "image/svg+xml", "text/plain;charset=utf-8", "a/b;base64", "");
const hash = fc.constantFrom("a".repeat(64), "0123456789abcdef".repeat(4));
const text: fc.Arbitrary<string> = fc.oneof(
  data,
  fc.tuple(type, data).map(([of, base64]) => `data:${of};base64,${base64}`),
  fc.tuple(fc.constantFrom("+", "++", "+++", ""), hash).map(([plus, of]) => `attachment${plus}base64:sha256,${of}`),
  fc.tuple(fc.constantFrom("+", "++"), type, hash).map(([plus, a, of]) => `attachment${plus}data:${a};sha256,${of}`),
  fc.string({ unit: "grapheme" }),
  fc.constantFrom('"', "\\", '\\"', "=".repeat(200), "A".repeat(301), `${"A".repeat(300)}=`, `${"A".repeat(298)}B=`),
);
const joined = fc
  .array(text, { minLength: 1, maxLength: 4 })
  .chain((texts) => fc.constantFrom("", '"', '\\"', " ", ",").map((between) => texts.join(between)));
const value: fc.Arbitrary<Value> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    joined,
    text,
    fc.uint8Array({ maxLength: 400 }),
    fc.constantFrom(null, true, 5),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom("type", "data", "url", "__proto__"), text), tie("value"), { maxKeys: 4 }),
    tie("value").map((inner) => JSON.stringify(inner)),
  ),
})).value as fc.Arbitrary<Value>;

test("an entry comes back as it was given, whatever texts it has", () => {
  fc.assert(
    fc.property(value, fc.constantFrom(0, 1, 128, 300), (one, bytesMax) => {
      const given = encode(one ?? null);
      const { stored, kept } = detach(given, bytesMax);
      assert.equal(
        givenText(stored, (of) => kept.get(of)),
        given,
      );
      assert.deepEqual(new Set(marksIn(stored).map((mark) => mark.hash)), new Set(kept.keys()));
      // A stored entry is JSON, and another process may store what it read again.
      assert.doesNotThrow(() => void JSON.parse(stored));
    }),
    { numRuns: rounds(3000, 300) },
  );
});

test("data URLs, base64 and bytes that are longer than the limit are stored once", () => {
  const bytes = Buffer.alloc(1000, 7);
  const base64 = bytes.toString("base64");
  const given = encode({ a: base64, b: `data:image/png;base64,${base64}`, c: new Uint8Array(bytes), d: [base64] });
  const { stored, kept } = detach(given, 999);
  assert.equal(kept.size, 1);
  assert.ok(stored.length < 600, stored);
  assert.equal(detach(given, 1000).stored, given);
});

test("a text that only looks like data keeps its place: other bytes would come back", () => {
  const looks = [
    "A".repeat(400).slice(1),
    `${"A".repeat(398)}B=`.padStart(404, "A"),
    `${"A".repeat(400)}\n`,
    "-_".repeat(200),
    `data:image/png,${"A".repeat(400)}`,
    `say "${"A".repeat(400)}."`,
    `${"A".repeat(400)}\\`,
  ];
  for (const one of looks) assert.equal(detach(encode(one), 128).stored, encode(one), one.slice(0, 20));
});

test("a text that reads like a mark names nothing", () => {
  const forged = encode({ text: `attachment+base64:sha256,${"a".repeat(64)}` });
  const stored = escapedMarks(forged);
  assert.deepEqual(marksIn(stored), []);
  assert.equal(
    givenText(stored, () => "stolen"),
    forged,
  );
});

test("a mark whose bytes are lost stays in the entry", () => {
  const { stored } = detach(encode(Buffer.alloc(500).toString("base64")), 128);
  assert.equal(
    givenText(stored, () => undefined),
    stored,
  );
});
