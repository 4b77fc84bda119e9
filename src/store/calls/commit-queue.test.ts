import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionChanges, type Transaction } from "../../domain/record/change.ts";
import { failingStore } from "../../testing/failing-store.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../testing/samples.ts";
import { CommitQueue } from "./commit-queue.ts";
import { openMemory } from "../memory.ts";
import type { Outcome, Store } from "../store.ts";

/** A store that notes the ids of every batch, and what was under way at once. */
function watched(
  store: Store,
  capabilities: Partial<Store["capabilities"]> = {},
): { store: Store; batches: string[][]; most: () => number } {
  const batches: string[][] = [];
  const underWay = new Map<string, number>();
  let running = 0;
  let most = 0;
  return {
    batches,
    most: () => most,
    store: {
      ...failingStore(store, {}),
      capabilities: { ...store.capabilities, ...capabilities },
      async commit(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
        const ids = batch.flatMap(sessionChanges).map(({ key }) => key.id);
        batches.push(ids);
        for (const id of ids) {
          assert.equal(underWay.get(id) ?? 0, 0, `one change of ${id} at a time`);
          underWay.set(id, 1);
        }
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 2));
        running--;
        for (const id of ids) underWay.delete(id);
        return store.commit(batch);
      },
    },
  };
}

const created = (id: string): Transaction => [creationOf(sampleRecord({ id }))];

test("changes of one turn of the event loop are sent together", async () => {
  const { store, batches } = watched(openMemory());
  const queue = new CommitQueue(store);
  const outcomes = await Promise.all(["a", "b", "c"].map((id) => queue.commit(created(id))));
  assert.deepEqual(outcomes, [{ status: "ok" }, { status: "ok" }, { status: "ok" }]);
  assert.deepEqual(batches, [["a", "b", "c"]]);
});

test("changes of one session are sent one after the other, in order, and do not delay other sessions", async () => {
  const { store, batches } = watched(openMemory());
  const queue = new CommitQueue(store);
  const born = creationOf(sampleRecord({ id: "a" }));
  assert.ok(born.record);
  const one = stepOf(born.record);
  assert.ok(one.record);
  const changes = [[born], [one], created("b"), [stepOf(one.record)], created("c")];
  const outcomes = await Promise.all(changes.map((transaction) => queue.commit(transaction)));
  assert.ok(outcomes.every(({ status }) => status === "ok"));
  assert.deepEqual(batches, [["a", "b", "c"], ["a"], ["a"]]);
});

test("a transaction that moves logs goes out alone, and the others do not wait for it", async () => {
  const { store, batches } = watched(openMemory());
  const queue = new CommitQueue(store);
  const giver = creationOf(sampleRecord({ id: "a" }));
  assert.ok(giver.record);
  await queue.commit([giver]);
  const moving: Transaction = [
    { ...creationOf(sampleRecord({ id: "b" })), logsOf: giver.key },
    { ...stepOf(giver.record), record: null },
  ];
  await Promise.all([created("x"), moving, created("y"), created("z")].map((one) => queue.commit(one)));
  assert.deepEqual(batches, [["a"], ["x"], ["b", "a"], ["y", "z"]]);
});

test("a transaction of two sessions waits for both of them", async () => {
  const { store, batches } = watched(openMemory());
  const queue = new CommitQueue(store);
  const pair = ["a", "b"].map((id) => creationOf(sampleRecord({ id })));
  const outcomes = await Promise.all([
    queue.commit(created("x")),
    queue.commit(pair),
    queue.commit(created("b")),
    queue.commit(created("y")),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["ok", "ok", "conflict", "ok"],
  );
  assert.deepEqual(batches, [["x", "a", "b", "y"], ["b"]]);
});

test("no batch is larger, and no more are under way, than the store takes", async () => {
  const { store, batches, most } = watched(openMemory(), { batchMax: 10, lanes: 3 });
  const queue = new CommitQueue(store);
  const outcomes = await Promise.all(Array.from({ length: 100 }, (_, index) => queue.commit(created(`s${index}`))));
  assert.equal(outcomes.length, 100);
  assert.ok(batches.every((batch) => batch.length <= 10));
  assert.equal(batches.flat().length, 100);
  assert.equal(most(), 3);
});

test("a batch is bounded by bytes: many large changes go out in several batches, in order", async () => {
  const { store, batches } = watched(openMemory());
  const queue = new CommitQueue(store);
  const large = "x".repeat(3 * 1024 * 1024);
  const ids = ["a", "b", "c", "d", "e"];
  const changes = ids.map((id): Transaction => {
    const values = [id === "c" ? large.repeat(4) : large];
    return [creationOf(sampleRecord({ id }), { splices: [sampleSplice("turns", 1, values)] })];
  });
  const outcomes = await Promise.all(changes.map((transaction) => queue.commit(transaction)));
  assert.ok(outcomes.every(({ status }) => status === "ok"));
  assert.deepEqual(batches, [["a", "b"], ["c"], ["d", "e"]]);
});

test("a failed batch fails each of its transactions, and the queue continues", async () => {
  const store = failingStore(openMemory(), { 1: { fails: "before" }, 2: { fails: "after" } });
  const queue = new CommitQueue(store);
  for (const round of [1, 2]) {
    const results = await Promise.allSettled(["a", "b"].map((id) => queue.commit(created(`${id}${round}`))));
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "rejected"],
    );
  }
  assert.deepEqual(await queue.commit(created("a1")), { status: "ok" }, "nothing of the first batch was written");
  assert.equal((await queue.commit(created("a2"))).status, "conflict", "the second one had landed");
});

test("a store that answers too little is an error, not a hang", async () => {
  const queue = new CommitQueue({ ...failingStore(openMemory(), {}), commit: async () => [] });
  await assert.rejects(queue.commit(created("a")), /0 outcomes for 1/);
});

test("drained resolves when no commit is running", async () => {
  const { store } = watched(openMemory());
  const queue = new CommitQueue(store);
  await queue.drain();
  let landed = 0;
  for (const id of ["a", "a", "b"]) void queue.commit(created(id)).then(() => landed++);
  await queue.drain();
  assert.equal(landed, 3);
  await Promise.all([queue.drain(), queue.drain()]);
});
