import assert from "node:assert/strict";
import { test } from "node:test";
import { heapBytes } from "../../../test/support/heap.ts";
import { relay } from "./relay.ts";

const outward = (error: unknown): Error => new Error("outward error", { cause: error });

test("memory stays bounded however many chunks an answer has", async () => {
  const count = 20_000;
  const parts = async function* () {
    for (let index = 1; index <= count; index++) yield index;
  };
  const { promise: interrupted } = Promise.withResolvers<never>();
  const { stream, whole } = relay(parts(), interrupted, outward);
  const before = await heapBytes();
  let last: unknown;
  for await (const part of stream) {
    last = part;
    if (part === count) assert.ok((await heapBytes()) - before < 200 * count);
  }
  assert.equal(last, count);
  await whole;
});

test("an interruption rejects a waiting read and every later one", async () => {
  const parts = async function* () {
    yield 1;
    await new Promise(() => undefined);
  };
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const { stream, whole } = relay(parts(), interrupted, outward);
  whole.catch(() => undefined);
  assert.equal((await stream.next()).value, 1);
  const waits = stream.next();
  const alsoWaits = stream.next();
  reject(new Error("stop"));
  await assert.rejects(waits, /outward error/);
  await assert.rejects(alsoWaits, /outward error/);
  await assert.rejects(stream.next(), /outward error/);
  await assert.rejects(whole, /stop/);
});
