import assert from "node:assert/strict";
import { test } from "node:test";
import { messageBytes } from "./mailbox.ts";

test("the size of a message counts its strings, buffers and collections, each object once", () => {
  const text = "ä".repeat(500);
  const shared = { text };
  const cyclic: Record<string, unknown> = { text };
  cyclic["self"] = cyclic;
  const limit = Number.MAX_SAFE_INTEGER;
  for (const message of [
    text,
    { text },
    [text],
    [[[text]]],
    new Map([["key", text]]),
    new Set([text]),
    new Uint8Array(1000),
    new ArrayBuffer(1000),
    { [text]: 1 },
    [shared, shared, shared],
    cyclic,
    Object.assign(Object.create(null), { text }),
  ]) {
    const bytes = messageBytes(message, limit);
    assert.ok(bytes >= 1000 && bytes < 1200, `${bytes} bytes`);
  }
  for (const message of [undefined, null, 7, 7n, Symbol("x"), () => undefined, new Date(0)])
    assert.ok(messageBytes(message, limit) <= 16);
  const trapped = Object.defineProperty({}, "trap", { enumerable: true, get: () => assert.fail("it is called") });
  assert.ok(messageBytes(trapped, limit) < 100);
});

test("measuring a message stops beyond the limit", () => {
  let read = 0;
  const items = Array.from({ length: 1000 }, () => new Proxy({}, { ownKeys: () => (read++, []) }));
  assert.ok(messageBytes(items, 100) > 100);
  assert.ok(read < 20, `${read} values were read`);
});
