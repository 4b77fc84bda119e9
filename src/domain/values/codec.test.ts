import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import * as fc from "../../../test/support/fast-check.ts";
import { SessionError } from "../../errors.ts";
import { decode, encode, encodeMade, type Value } from "./codec.ts";

/** Keys that have meant something to somebody's serialiser. */
const key = fc.oneof(
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.constantFrom("$type", "value", "__proto__", "constructor", "toJSON", "toString", "length", "0", "-1", ""),
);
const tag = fc.constantFrom("date", "bytes", "bigint", "number", "object", "unknown");

/** Every kind of value that can be kept, halves of surrogate pairs and everything that looks like a tag included. */
const { value } = fc.letrec<{ value: Value; list: Value[]; record: Record<string, Value> }>((tie) => ({
  value: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    fc.constantFrom<Value>(null, true, false, 0, -0, 1e308, -1e308, 5e-324, 2 ** 53, "", "$type", "\u0000", "\ud800"),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) }),
    fc.bigInt(),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array(),
    tie("list"),
    tie("record"),
  ),
  list: fc.array(tie("value")),
  record: fc.oneof(
    fc.array(fc.tuple(key, tie("value"))).map((entries) => Object.fromEntries(entries)),
    fc.record({ $type: fc.oneof(tag, tie("value")), value: tie("value") }, { noNullPrototype: true }),
    fc.record({ $type: tag }, { noNullPrototype: true }),
  ),
}));

test("every storable value comes back as it was", () => {
  fc.assert(
    fc.property(value, (original) => {
      const text = encode(original);
      const back = decode(text);
      assert.deepStrictEqual(back, original);
      // deepStrictEqual takes objects with their keys in another order for equal; their texts are not.
      assert.equal(encode(back), text);
    }),
    { numRuns: 1000 },
  );
});

test("plain JSON is kept as JSON.stringify writes it, unless it has a $type of its own", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (original) => {
      const text = JSON.stringify(original);
      const plain = !text.includes('"$type"') && !/(^|[^\w.])-0([^.\d]|$)/.test(JSON.stringify(original, minusZero));
      if (plain) assert.equal(encode(original), text);
      assert.deepStrictEqual(decode(encode(original)), original);
    }),
  );
});

function minusZero(_: string, item: unknown): unknown {
  return Object.is(item, -0) ? "-0" : item;
}

test("names that all objects inherit are no part of a value", () => {
  for (const inherited of [1, "text", { deep: true }, () => undefined, 1n]) {
    // oxlint-disable-next-line no-extend-native -- another program in the process may do so
    Object.defineProperty(Object.prototype, "inherited", { value: inherited, enumerable: true, configurable: true });
    try {
      assert.equal(encode({ own: [{ deep: 1 }], at: new Date(0) }), encodedOwn);
      assert.equal(encode({ own: [{ deep: 1 }] }), '{"own":[{"deep":1}]}');
    } finally {
      delete (Object.prototype as { inherited?: unknown }).inherited;
    }
  }
});

const encodedOwn = '{"own":[{"deep":1}],"at":{"$type":"date","value":"1970-01-01T00:00:00.000Z"}}';

test("the text has neither raw controls nor halves of surrogate pairs, for any value", () => {
  fc.assert(
    fc.property(value, (original) => {
      // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be there
      assert.doesNotMatch(encode(original), /[\u0000-\u001f]|\p{Surrogate}/u);
    }),
  );
});

test("encoding leaves the value as it was", () => {
  fc.assert(
    fc.property(value, (original) => {
      const copy = structuredClone(original);
      encode(original);
      assert.deepStrictEqual(original, copy);
    }),
  );
});

test("a name like __proto__ is an ordinary key that changes no prototype", () => {
  const original = JSON.parse('{"__proto__":{"polluted":true},"a":{"__proto__":-1},"$type":"x"}') as Value;
  for (const written of [original, { big: 1n, original }, [original, new Date(0)]]) {
    const back = decode(encode(written));
    assert.deepStrictEqual(back, written);
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  }
  const back = decode(encode({ ...(original as object), big: 1n })) as { polluted?: boolean };
  assert.equal(Object.getPrototypeOf(back), Object.prototype);
  assert.equal(back.polluted, undefined);
});

test("a value in the shape of a tag is stored and read as it is", () => {
  const originals: readonly Value[] = [
    { $type: "date", value: "2026-01-01T00:00:00.000Z" },
    { $type: "bigint", value: "1" },
    { $type: "object", value: { $type: "object", value: {} } },
    { $type: "bytes" },
    { $type: { $type: { $type: 1 } } },
    { $type: "date", value: new Date(0), more: [{ $type: 1n }] },
    { a: '"$type"', b: '{"$type":"date"}' },
  ];
  for (const original of originals) assert.deepStrictEqual(decode(encode(original)), original);
});

test("undefined properties are left out, as in JSON", () => {
  assert.equal(encode({ a: undefined, b: 1, c: { d: undefined } }), '{"b":1,"c":{}}');
  assert.equal(encode({ a: undefined, b: 1n }), '{"b":{"$type":"bigint","value":"1"}}');
  assert.deepStrictEqual(decode(encode({ $type: undefined, a: 1 })), { a: 1 });
});

test("plain objects without a prototype or of another realm are plain data", () => {
  const bare: Record<string, Value> = Object.assign(Object.create(null) as object, { a: 1n });
  assert.deepStrictEqual(decode(encode(bare)), { a: 1n });
  const foreign: unknown = runInNewContext('({ a: [1, { b: "c" }] })');
  assert.deepStrictEqual(decode(encode(foreign)), { a: [1, { b: "c" }] });
});

test("bytes come back as bytes, whatever view they were of", () => {
  const whole = Uint8Array.of(1, 2, 3, 4, 5);
  assert.deepStrictEqual(decode(encode(whole.subarray(1, 4))), Uint8Array.of(2, 3, 4));
  assert.deepStrictEqual(decode(encode(Buffer.from("abc"))), Uint8Array.of(97, 98, 99));
});

test("the same object in two places is kept twice", () => {
  const shared = { at: new Date(5) };
  assert.deepStrictEqual(decode(encode({ a: shared, b: [shared, shared] })), { a: shared, b: [shared, shared] });
});

class Point {
  readonly x = 1;
}
class List extends Array<number> {}
const cycle: { self?: unknown } = {};
cycle.self = { list: [cycle] };
const withExtra = Object.assign([1, 2], { index: 0 });
const hidden = Object.defineProperty({ a: 1 }, "toJSON", { value: () => "hidden" });
const hiddenInList = Object.defineProperty([1], "toJSON", { value: () => "hidden" });
// oxlint-disable-next-line no-sparse-arrays -- a hole is exactly what is meant
const holey = [1, , 3];

const unstorable: readonly [what: string, value: unknown, reason: RegExp][] = [
  ["a function", () => {}, /function/],
  ["a symbol", Symbol("s"), /symbol/],
  ["NaN", Number.NaN, /NaN/],
  ["Infinity", Number.POSITIVE_INFINITY, /Infinity/],
  ["an object that contains itself", cycle, /contains itself/],
  ["an instance of a class", new Point(), /Point/],
  ["an instance of a class that extends Array", List.of(1, 2), /List/],
  ["an array with a property beside its items", withExtra, /index/],
  ["what a regular expression found", /a/.exec("a"), /index/],
  ["a Map", new Map([[1, 2]]), /Map/],
  ["a Set", new Set([1]), /Set/],
  ["an error", new Error("e"), /Error/],
  ["a promise", Promise.resolve(), /Promise/],
  ["a regular expression", /a/, /RegExp/],
  ["a boxed text", Object("text"), /String/],
  ["other typed arrays", Float64Array.of(1), /Float64Array/],
  ["an invalid date", new Date(Number.NaN), /invalid Date/],
  ["an array with a hole", holey, /undefined/],
  ["an array with undefined in it", [undefined], /undefined/],
  ["a property named by a symbol", { [Symbol("s")]: 1 }, /symbol/],
  ["an object that says how to be written", hidden, /toJSON/],
  ["an array that says how to be written", hiddenInList, /toJSON/],
];

for (const [what, item, reason] of unstorable) {
  test(`${what} is refused with the place where it stands`, () => {
    const places: readonly [unknown, string][] = [
      [item, "turn"],
      [{ a: [0, { "b c": item }] }, "turn.a[1].b c"],
      [[[1n, [item]]], "turn[0][1][0]"],
    ];
    for (const [whole, path] of places) {
      assert.throws(
        () => encode(whole, "turn"),
        (error) =>
          error instanceof SessionError &&
          error.code === "value_unstorable" &&
          (error as SessionError<"value_unstorable">).details.path.startsWith(path) &&
          reason.test(error.message),
      );
    }
  });
}

test("undefined alone is no value", () => {
  assert.throws(() => encode(undefined), { code: "value_unstorable" });
});

test("512 levels are kept, one more is refused", () => {
  const nested = (depth: number): unknown => {
    let inner: unknown = "bottom";
    for (let level = 0; level < depth; level++) inner = level % 2 === 0 ? [inner] : { $type: inner };
    return inner;
  };
  assert.deepStrictEqual(decode(encode(nested(512))), nested(512));
  assert.throws(() => encode(nested(513)), { code: "value_unstorable", message: /deeper than 512/ });
  assert.throws(() => encode(nested(100_000)), { code: "value_unstorable" });
});

test("an object that was made here has the text and the refusals of any other", () => {
  /** The text, or the code and the path of the refusal. */
  const outcomeOf = (work: () => string): unknown => {
    try {
      return work();
    } catch (error) {
      assert(error instanceof SessionError);
      return { code: error.code, details: error.details };
    }
  };
  const at = new Date(0);
  const deep = Array.from({ length: 40 }).reduce<unknown>((inner) => [inner], 1);
  const storable = [
    null,
    true,
    "é",
    0,
    1.5,
    -0,
    10n,
    at,
    new Uint8Array(2),
    [],
    [at],
    {},
    { a: undefined },
    { a: at },
    deep,
  ];
  const others = [
    { $type: "date" },
    [undefined],
    NaN,
    Infinity,
    Symbol("s"),
    () => 0,
    /x/u,
    new Map(),
    { [Symbol("s")]: 1 },
  ];
  for (const value of [...storable, ...others, undefined])
    for (const list of [[], [value], ["a", value]]) {
      const made = { value, list };
      assert.deepEqual(
        outcomeOf(() => encodeMade(made, { lists: [list], others: [value] }, "made")),
        outcomeOf(() => encode(made, "made")),
      );
    }
  // oxlint-disable-next-line no-sparse-arrays -- the hole is refused
  const list = [1, , 2];
  assert.throws(() => encodeMade({ list }, { lists: [list], others: [] }, "made"), { code: "value_unstorable" });
});

test("a stored text with an unknown tag is an error", () => {
  for (const text of ['{"$type":"class","value":"x"}', '{"$type":"date"}', '[{"$type":5,"value":"x"}]'])
    assert.throws(() => decode(text), /unknown tag/);
});

test("a stored date or number that is none is an error", () => {
  for (const text of ['{"$type":"date","value":"soon"}', '{"$type":"number","value":"x"}'])
    assert.throws(() => decode(text), TypeError);
});

test("a bigint has at most 1024 digits: a longer one would take seconds to read and to write", () => {
  for (const longest of [10n ** 1024n - 1n, -(10n ** 1024n) + 1n]) assert.equal(decode(encode(longest)), longest);
  for (const longer of [10n ** 1024n, -(10n ** 1024n)])
    assert.throws(() => encode({ a: longer }), { code: "value_unstorable" });
  const huge = 1n << 1_000_000n;
  const unwritten = fastestMs(() => assert.throws(() => encode({ a: huge }), { code: "value_unstorable" }));
  assert(unwritten < msOf(() => String(huge)) / 2, "the encoder refuses the number before it writes the digits");
  const digits = "9".repeat(300_000);
  const text = `{"$type":"bigint","value":"${digits}"}`;
  const unread = fastestMs(() => assert.throws(() => decode(text), TypeError));
  assert(unread < msOf(() => BigInt(digits)) / 2, "the decoder refuses the text before it reads the digits");
});

function msOf(work: () => void): number {
  const began = performance.now();
  work();
  return performance.now() - began;
}

/** Of three runs, the one that other programs disturb least. */
function fastestMs(work: () => void): number {
  return Math.min(msOf(work), msOf(work), msOf(work));
}
