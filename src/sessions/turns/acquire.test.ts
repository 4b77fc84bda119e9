import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inMemory } from "../../../test/support/in-memory.ts";
import { openSessions } from "../../open.ts";
import { coreOf, sessionsOn } from "../sessions.ts";
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

for (const busy of ["reject", "queue", "interrupt", "take-over"] as const) {
  test(`a retry under the key of a running answer is that answer, busy: ${busy}`, async () => {
    const finish = Promise.withResolvers<void>();
    let calls = 0;
    const model: Model = async function* () {
      calls++;
      yield { type: "text", text: "yes" };
      await finish.promise;
      yield { type: "text", text: ", no" };
    };
    await using place = inMemory({ model });
    const session = await place.sessions.create({ id: "s" });
    const first = await session.consult("hello", { key: "k", busy });
    const other = await place.sessions.get("s");
    const again = await other.consult("hello", { key: "k", busy });
    let received = "";
    for await (const text of again) {
      received += text;
      finish.resolve();
    }
    assert.deepEqual([received, again.seq, calls], ["yes, no", 1, 1]);
    assert.equal((await first.done).status, "done");
    assert.deepEqual((await again.done).output, (await first.done).output);
    if (busy !== "reject") await other.append({ input: "and", output: "then" });
  });
}

test("the signal of a retry stops the answer, and its withdrawal ends the retry alone", async () => {
  await using place = inMemory({ model: silentUntil(2) });
  const session = await place.sessions.create({ id: "s" });
  const first = await session.consult("hello", { key: "k" });
  const [stop, withdraw] = [new AbortController(), new AbortController()];
  const retry = async (how: object) => await (await place.sessions.get("s")).consult("hello", { key: "k", ...how });
  const [stopping, leaving] = [await retry({ signal: stop.signal }), await retry({ withdraw: withdraw.signal })];
  withdraw.abort();
  await assert.rejects(leaving.done, { code: "aborted" });
  assert.equal((await session.turnByKey("k"))?.status, "open");
  stop.abort();
  for (const { done } of [first, stopping]) await assert.rejects(done, { code: "interrupted" });
});

test("waiters of one question, in two processes, are one answer", async () => {
  const finish = Promise.withResolvers<void>();
  let calls = 0;
  const model: Model = async function* ({ messages, signal }) {
    calls++;
    if (messages.at(-1)?.content === "one") await sleep(1_000_000, undefined, { signal });
    await finish.promise;
    yield { type: "text", text: "yes" };
  };
  await using place = inMemory({ model });
  await place.sessions.create({ id: "s" });
  const elsewhere = sessionsOn(coreOf(place.sessions).store, { model, sweep: false });
  const first = await (await place.sessions.get("s")).consult("one");
  first.done.catch(() => undefined);
  const asked = [place.sessions, place.sessions, elsewhere].map(async (sessions) => {
    const answer = await (await sessions.get("s")).consult("two", { key: "k", busy: "interrupt" });
    return answer.seq;
  });
  assert.deepEqual(await Promise.all(asked), [2, 2, 2]);
  finish.resolve();
  const running = await (await elsewhere.get("s")).consult("two", { key: "k" });
  assert.equal((await running.done).status, "done");
  assert.equal(calls, 2);
});
