import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../test/support/fast-check.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";

const kinds = ["number", "string", "string"] as const;
const id = fc.string({ unit: "binary" }).filter((text) => !text.includes("\u0000"));

test("a position comes back from its cursor, and the cursor goes through URLs untouched", () => {
  fc.assert(
    fc.property(fc.integer(), id, id, (time, tenant, id) => {
      const cursor = encodeCursor([time, tenant, id]);
      assert.match(cursor, /^[\w-]+$/);
      assert.deepEqual(decodeCursor(cursor, kinds), [time, tenant, id]);
    }),
  );
});

test("any other value is refused as a cursor", () => {
  const others = fc.oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value)).toString("base64url")),
    fc.constant(encodeCursor([1, "a"])),
    fc.constant(encodeCursor(["1", "a", "b"])),
    fc.constant(encodeCursor([1, "a", "b", "c"])),
    fc.constant(encodeCursor([1.5, "a", "b"])),
    fc.constant(encodeCursor([2 ** 53, "a", "b"])),
    fc.constant(Buffer.from('[1e999,"a","b"]').toString("base64url")),
    fc.constant(encodeCursor([1, "\u0000", "b"])),
    fc.constant(Buffer.from('[1,"a","\\ud800"]').toString("base64url")),
  );
  fc.assert(
    fc.property(others, (cursor) => {
      assert.throws(() => decodeCursor(cursor, kinds), { code: "argument_invalid" });
    }),
  );
});
