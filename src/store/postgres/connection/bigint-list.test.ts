import assert from "node:assert/strict";
import { test } from "node:test";
import { BigintList } from "./bigint-list.ts";

test("the numbers of a list are eight bytes each behind a header, or a text", () => {
  const numbers = [
    0,
    1,
    -1,
    2 ** 31,
    -(2 ** 31) - 1,
    2 ** 32,
    -(2 ** 32),
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ];
  const list = new BigintList(numbers);
  const bytes = Buffer.alloc(7 + list.bytes);
  assert.equal(list.writeTo(bytes, 7), list.bytes);
  const header = Array.from({ length: 5 }, (_, index) => bytes.readInt32BE(7 + index * 4));
  assert.deepEqual(header, [1, 0, 20, numbers.length, 1], "dimensions, nulls, type, count, first place");
  const items = numbers.map((_, index) => [bytes.readInt32BE(27 + index * 12), bytes.readBigInt64BE(31 + index * 12)]);
  assert.deepEqual(
    items,
    numbers.map((number) => [8, BigInt(number)]),
  );
  assert.equal(list.toPostgres(), `{${numbers.join(",")}}`);
});
