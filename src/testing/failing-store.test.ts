import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemory } from "../store/memory.ts";
import { failingStore } from "./failing-store.ts";
import { creationOf, sampleRecord } from "./samples.ts";
import { scriptedClock } from "./scripted-clock.ts";

const transactions = ["a", "b", "c"].map((id) => [creationOf(sampleRecord({ id }))]);
const [first, second, third] = transactions as [
  (typeof transactions)[0],
  (typeof transactions)[0],
  (typeof transactions)[0],
];
const keyOf = (id: string): { tenant: string; id: string } => ({ tenant: "default", id });

test("a commit fails before anything is written, or after it landed", async () => {
  const store = failingStore(openMemory(), { 1: { fails: "before" }, 2: { fails: "after" } });
  await assert.rejects(store.commit([first]), { code: "store_unavailable" });
  await assert.rejects(store.commit([second]), { code: "store_unavailable" });
  assert.deepEqual(await store.commit([third]), [{ status: "ok" }]);
  assert.equal(store.commits, 3);
  const { sessions: loaded } = await store.load(["a", "b", "c"].map((id) => ({ key: keyOf(id), tails: [] })));
  assert.deepEqual(
    loaded.map((one) => one?.record.id),
    [undefined, "b", "c"],
  );
});

test("the error is the test's own if it gives one, and the plan may change during the test", async () => {
  const store = failingStore(openMemory(), (n) => (n === 1 ? { fails: "before", error: new Error("cut") } : undefined));
  await assert.rejects(store.commit([first]), /^Error: cut$/);
  store.plan({ 2: { fails: "after", error: new Error("cut again") } });
  await assert.rejects(store.commit([first]), /cut again/);
  assert.equal((await store.commit([first]))[0]?.status, "conflict", "it had landed");
});

test("a commit takes its time, or waits for the test", async () => {
  const clock = scriptedClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const store = failingStore(openMemory(), { 1: { delayMs: 500 }, 2: { hold: promise } }, { clock });
  const landed: number[] = [];
  const commits = [first, second].map(async (transaction, index) => {
    await store.commit([transaction]);
    landed.push(index);
  });
  await clock.advance(499);
  assert.deepEqual(landed, []);
  await clock.advance(1);
  assert.deepEqual(landed, [0]);
  resolve();
  await Promise.all(commits);
  assert.deepEqual(landed, [0, 1]);
});
