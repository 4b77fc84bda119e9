import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { inMemory } from "../../../test/support/in-memory.ts";
import { openSessions } from "../../open.ts";
import type { Model } from "../options/model.ts";

/** A model that is silent until it is stopped; only its call of this number is answered. */
function silentUntil(call: number): Model {
  let calls = 0;
  return async function* ({ signal }) {
    calls++;
    if (calls < call) await sleep(1_000_000, undefined, { signal });
    yield { type: "text", text: "yes" };
  };
}

for (const where of ["in one process", "from another process"]) {
  test(`a waiter that interrupts stops each turn before its own, ${where}`, async (t) => {
    const model = silentUntil(4);
    const folder = await mkdtemp(join(tmpdir(), "perdure-acquire-"));
    t.after(() => rm(folder, { recursive: true }));
    const store = `sqlite:${join(folder, "s.db")}`;
    await using sessions = await openSessions({ store, model });
    await using elsewhere = await openSessions({ store, model });
    await sessions.create({ id: "s" });
    const others = where === "in one process" ? sessions : elsewhere;
    const first = await (await sessions.get("s")).consult("one");
    first.done.catch(() => undefined);
    const asked = ["two", "three", "four"].map(async (question) => {
      const answer = await (await others.get("s")).consult(question, { busy: "interrupt" });
      return await answer.done.then(
        ({ status }) => status,
        ({ code }: { code: string }) => code,
      );
    });
    assert.deepEqual((await Promise.all(asked)).sort(), ["done", "interrupted", "interrupted"]);
    await assert.rejects(first.done, { code: "interrupted" });
    const turns = await Array.fromAsync((await sessions.get("s")).turns());
    assert.deepEqual(
      turns.map(({ status }) => status),
      ["interrupted", "interrupted", "interrupted", "done"],
    );
  });
}

test("a waiter in the queue that does not interrupt lets the answers before it finish", async () => {
  const finish = Promise.withResolvers<void>();
  const model: Model = async function* () {
    await finish.promise;
    yield { type: "text", text: "yes" };
  };
  await using place = inMemory({ model });
  await place.sessions.create({ id: "s" });
  const asked = [];
  for (const question of ["one", "two", "three"]) {
    const session = await place.sessions.get("s");
    asked.push(session.consult(question, { busy: "queue" }).then((answer) => answer.done));
  }
  finish.resolve();
  for (const { status } of await Promise.all(asked)) assert.equal(status, "done");
});

test("a retry under the key of a running answer waits for it, and does not interrupt it", async () => {
  const finish = Promise.withResolvers<void>();
  let calls = 0;
  const model: Model = async function* () {
    calls++;
    await finish.promise;
    yield { type: "text", text: "yes" };
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const first = await session.consult("hello", { key: "k", busy: "interrupt" });
  const again = place.sessions.get("s").then((other) => other.consult("hello", { key: "k", busy: "interrupt" }));
  // The retry joins the queue before the answer ends.
  while ((await (await place.sessions.get("s")).refresh()).waiting === 0) await setImmediate();
  finish.resolve();
  assert.equal((await first.done).status, "done");
  assert.equal((await (await again).done).seq, 1);
  assert.equal(calls, 1);
});
