import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemory } from "../memory.ts";
import type { Store } from "../store.ts";
import { callStore, forwardingStore, storeBefore } from "./forwarding-store.ts";

test("a forwarding store forwards every other method of a store, with its arguments", async () => {
  const memory = openMemory();
  const calls: [string, unknown[]][] = [];
  const own = { capabilities: memory.capabilities, watch: () => () => undefined, close: async () => undefined };
  const store = forwardingStore(own, (method, args) => (calls.push([method, args]), callStore(memory, method, args)));
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(memory)).filter((name) => name !== "constructor");
  assert.deepEqual(Object.keys(store).toSorted(), ["capabilities", ...methods].toSorted());
  const look = await store.load([{ key: { tenant: "t", id: "s" }, tails: [] }]);
  assert.deepEqual(look.sessions, [undefined]);
  await store.instances("hosts");
  assert.deepEqual(calls, [
    ["load", [[{ key: { tenant: "t", id: "s" }, tails: [] }]]],
    ["instances", ["hosts"]],
  ]);
});

test("a store before another one has the capabilities that the other one has at that time", () => {
  const memory = openMemory();
  let isOpen = false;
  const late: Store = Object.defineProperty(storeBefore(memory), "capabilities", {
    get: () => ({ ...memory.capabilities, lanes: isOpen ? 3 : 1 }),
  });
  const store = storeBefore(late);
  assert.equal(store.capabilities.lanes, 1);
  isOpen = true;
  assert.equal(store.capabilities.lanes, 3);
});
