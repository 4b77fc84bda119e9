import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageReads } from "./usage-reads.ts";

const sumOf = (tokens: number): { tokens: number; turns: number } => ({ tokens, turns: 1 });

test("reads that arrive during a read share the next one, and each gets its own sums", async () => {
  const calls: string[][] = [];
  const reads = new UsageReads({
    async usage(names) {
      calls.push(names.map(({ name }) => name));
      await Promise.resolve();
      return names.map(({ name }) => sumOf(Number(name)));
    },
  });
  const read = (...names: string[]): ReturnType<UsageReads["read"]> =>
    reads.read(names.map((name) => ({ tenant: "t", name })));
  const all = await Promise.all([read("1"), read("2", "3"), read(), read("4")]);
  assert.deepEqual(all, [[sumOf(1)], [sumOf(2), sumOf(3)], [], [sumOf(4)]]);
  assert.deepEqual(calls, [["1"], ["2", "3", "4"]]);
});

test("a read that fails rejects its callers, and the next one succeeds", async () => {
  let isAway = true;
  const reads = new UsageReads({
    async usage(names) {
      if (isAway) throw new Error("away");
      return names.map(() => sumOf(1));
    },
  });
  const names = [{ tenant: "t", name: "n" }];
  await assert.rejects(reads.read(names), /away/);
  isAway = false;
  assert.deepEqual(await reads.read(names), [sumOf(1)]);
});
