/** Streams: one producer, readers with a cursor, an end that is whole, and no reader that waits for a producer that is gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../test/support/in-memory.ts";
import { hasCode, SessionError, type ErrorCode } from "../errors.ts";
import { doctor, erase, stats, sweep } from "../admin.ts";
import { streamScope } from "../domain/values/internal-scope.ts";
import { stepOf } from "../testing/samples.ts";
import { coreOf, type Sessions } from "./sessions.ts";
import type { StreamPart, StreamQuery } from "./streams.ts";
import type { StreamProducer } from "./streams/producer.ts";

async function produce(sessions: Sessions, id: string, options = {}): Promise<StreamProducer> {
  const acquired = await sessions.streams.acquire(id, { flush: { ms: 0 }, ...options });
  assert.equal(acquired.role, "producer");
  return acquired.role === "producer" ? acquired.stream : assert.fail();
}

/** The parts that a reader gets, and the code of the error that ended it. */
async function readAll(
  sessions: Sessions,
  id: string,
  options = {},
): Promise<{ readonly parts: unknown[]; readonly cursors: string[]; readonly error?: ErrorCode }> {
  const read: StreamPart[] = [];
  let error: ErrorCode | undefined;
  try {
    for await (const part of sessions.streams.read(id, options)) read.push(part);
  } catch (thrown) {
    error = (thrown as SessionError).code;
  }
  const result = { parts: read.map(({ part }) => part), cursors: read.map(({ cursor }) => cursor) };
  return error === undefined ? result : { ...result, error };
}

const codeIs =
  (code: ErrorCode, details: object = {}) =>
  (error: unknown): boolean => {
    assert(hasCode(error, code), String(error));
    assert.partialDeepStrictEqual(error.details, details);
    return true;
  };

test("the first caller produces a stream, and every later one reads it, also after its end", async () => {
  await using place = inMemory();
  const other = place.another();
  assert.equal(await other.streams.status("run"), "missing");
  const acquired = await Promise.all([place.sessions.streams.acquire("run"), other.streams.acquire("run")]);
  assert.deepEqual(acquired.map(({ role }) => role).toSorted(), ["consumer", "producer"]);
  const [stream] = acquired.flatMap((one) => (one.role === "producer" ? [one.stream] : []));
  assert.equal(await other.streams.status("run"), "streaming");
  await stream?.write("a");
  await stream?.end();
  assert.equal(await other.streams.status("run"), "done");
  assert.equal((await other.streams.acquire("run")).role, "consumer");
  assert.equal((await place.sessions.for("another").streams.acquire("run")).role, "producer", "of another tenant");
});

test("readers in any process get every part in order, from any cursor, during the stream and after it", async () => {
  await using place = inMemory();
  const other = place.another();
  const stream = await produce(place.sessions, "run");
  const parts = [{ type: "start" }, "text", new Uint8Array([0, 255]), null, { deep: [1n, new Date(5)] }];
  const during = readAll(place.another(), "run");
  for (const part of parts) await stream.write(part);
  const live = place.another().streams.read("run");
  const first = await live.next();
  await stream.end();
  const rest = await Array.fromAsync(live);
  assert.deepEqual(
    [first.value, ...rest].map((one) => one?.part),
    parts,
  );
  const all = await during;
  assert.deepEqual(all.parts, parts);
  assert.equal(new Set(all.cursors).size, parts.length);
  for (const [index, after] of all.cursors.entries())
    for (const place of [after, index + 1])
      assert.deepEqual((await readAll(other, "run", { after: place })).parts, parts.slice(index + 1));
});

test("a part keeps the value that it was written with", async () => {
  await using place = inMemory();
  const stream = await produce(place.sessions, "run", { flush: { ms: 60_000 } });
  const bytes = new Uint8Array([1, 2]);
  const part = { text: "before" };
  await stream.write(bytes);
  await stream.write(part);
  bytes[0] = 9;
  part.text = "after";
  await stream.end();
  assert.deepEqual((await readAll(place.sessions, "run")).parts, [new Uint8Array([1, 2]), { text: "before" }]);
});

test("the last parts, the turn that is appended and the end become visible together", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "chat" });
  const stream = await produce(place.sessions, "run", { session: "chat", flush: { ms: 60_000 } });
  await stream.write({ delta: "Hel" });
  await stream.write({ delta: "lo" });
  const reader = place.another();
  const seen = { commits: 0 };
  const commit = place.store.commit.bind(place.store);
  place.store.commit = async (batch) => {
    const before = [await reader.streams.status("run"), (await reader.get("chat")).info.turn];
    assert.deepEqual(before, ["streaming", 0]);
    const outcomes = await commit(batch);
    assert.deepEqual([await reader.streams.status("run"), (await reader.get("chat")).info.turn], ["done", 1]);
    seen.commits++;
    return outcomes;
  };
  await stream.end({ append: { input: "Hi", output: "Hello", key: "m1" } });
  place.store.commit = commit;
  assert.equal(seen.commits, 1);
  assert.deepEqual((await readAll(reader, "run")).parts, [{ delta: "Hel" }, { delta: "lo" }]);
  const [turn] = await Array.fromAsync((await place.another().get("chat")).turns());
  assert.deepEqual(turn?.output, [{ role: "assistant", content: "Hello" }]);
  await session.refresh();
  assert.equal(session.info.counters.turns, 1);
});

test("a turn in progress is sealed in the commit that ends the stream", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "chat" });
  const turn = await session.begin("Hi");
  const stream = await produce(place.sessions, "run", { session: "chat", flush: { ms: 60_000 } });
  await stream.write("part");
  // Another writer changes both records meanwhile: the commit is made anew from the newest.
  await (await place.another().get("chat")).touch();
  const commits: number[] = [];
  const commit = place.store.commit.bind(place.store);
  place.store.commit = async (batch) => {
    const outcomes = await commit(batch);
    commits.push(...outcomes.map(({ status }) => (status === "ok" ? 1 : 0)));
    return outcomes;
  };
  await stream.end({ turn, seal: { output: [{ role: "assistant", content: "Hello" }] } });
  assert.equal(commits.filter((ok) => ok === 1).length, 1, "one commit");
  assert.deepEqual((await readAll(place.another(), "run")).parts, ["part"]);
  const [sealed] = await Array.fromAsync((await place.another().get("chat")).turns());
  assert.deepEqual([sealed?.status, sealed?.output[0]?.content], ["done", "Hello"]);
});

test("a write under a lease lands in the commit that ends the stream: the last turn grows", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "chat" });
  await session.append({ input: "Hi", status: "interrupted" }, { key: "m1" });
  const lease = await session.lease();
  const stream = await produce(place.sessions, "run", { session: "chat" });
  await stream.write("Hel", { said: "Hel" });
  const turns = { from: 1, amends: true, turns: [{ input: "Hi", output: "Hello", status: "done" as const }] };
  const commits = place.store.commits;
  await stream.end({ lease, write: { turns, onto: session.info.version } });
  assert.equal(place.store.commits, commits + 1);
  assert.equal(await place.sessions.streams.status("run"), "done");
  await lease.release();
  const stored = await Array.fromAsync((await place.another().get("chat")).turns());
  assert.deepEqual(
    stored.map(({ key, status, output }) => [key, status, output[0]?.content]),
    [["m1", "done", "Hello"]],
  );
});

test("a write whose lease is lost, or whose turns have changed, is refused: the stream stays in progress", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "chat" });
  const { version } = session.info;
  const lease = await session.lease();
  await session.append({ input: "in between" });
  const stream = await produce(place.sessions, "run", { session: "chat" });
  const write = { turns: { turns: [{ input: "q", output: "a" }] }, onto: version };
  await assert.rejects(stream.end({ lease, write }), codeIs("conflict", { sessionId: "chat" }));
  await (await place.another().get("chat")).breakLease();
  await assert.rejects(stream.end({ lease, write: { turns: write.turns } }), codeIs("fenced", { sessionId: "chat" }));
  assert.equal(await place.sessions.streams.status("run"), "streaming");
  const noLease = { lease: {}, write } as unknown as Parameters<StreamProducer["end"]>[0];
  await assert.rejects(stream.end(noLease), codeIs("argument_invalid", { name: "end.lease" }));
  await stream.end();
  assert.equal((await session.refresh()).turn, 1);
});

test("an end that the session refuses writes nothing, and may be repeated", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 5000 } });
  const session = await place.sessions.create({ id: "chat" });
  const stream = await produce(place.sessions, "run", { session: "chat" });
  await stream.write("part");
  const large = { input: "q", output: "x".repeat(6000) };
  await assert.rejects(stream.end({ append: large }), codeIs("turn_too_large", { sessionId: "chat" }));
  const turn = await session.begin("busy");
  await assert.rejects(stream.end({ append: { input: "q" } }), (error) => {
    assert(hasCode(error, "busy") || hasCode(error, "turn_open"), String(error));
    return true;
  });
  assert.equal(await place.another().streams.status("run"), "streaming");
  await turn.seal();
  await stream.end({ append: { input: "q", output: "a" } });
  assert.equal(await place.another().streams.status("run"), "done");
  assert.equal((await session.refresh()).turn, 2);
  assert.deepEqual((await readAll(place.another(), "run")).parts, ["part"]);
});

test("a turn that stands under its key already is not appended again, and the stream ends", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "chat" });
  await session.append({ input: "q", output: "a" }, { key: "k" });
  const stream = await produce(place.sessions, "run", { session: "chat", flush: { ms: 60_000 } });
  await stream.write("part");
  await stream.end({ append: { input: "q", output: "a", key: "k" } });
  assert.equal((await session.refresh()).turn, 1);
  assert.deepEqual(await place.another().streams.status("run"), "done");
  assert.deepEqual((await readAll(place.another(), "run")).parts, ["part"]);
});

test("readers of a stream that failed get its parts, then the message of its producer", async () => {
  await using place = inMemory();
  const stream = await produce(place.sessions, "run");
  await stream.write("part");
  await stream.fail(new Error("the model is gone"));
  const reader = place.another();
  assert.equal(await reader.streams.status("run"), "error");
  assert.deepEqual((await readAll(reader, "run")).parts, ["part"]);
  await assert.rejects(
    Array.fromAsync(reader.streams.read("run")),
    codeIs("stream_failed", { stream: "run", tenant: "default", how: "failed", reported: "the model is gone" }),
  );
  await assert.rejects(stream.write("late"), codeIs("stream_ended", { stream: "run", tenant: "default" }));
  assert.equal(await stream.end(), false);
  assert.equal(await reader.streams.status("run"), "error", "the first end stays");
});

test("readers of a producer that is gone get its parts, then the end", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  await using place = inMemory();
  const stream = await produce(place.sessions, "run");
  await stream.write({ delta: "Hel" }, { said: "Hel" });
  const reading = place.another().streams.read("run");
  assert.deepEqual((await reading.next()).value?.part, { delta: "Hel" });
  const next = reading.next();
  const failing = assert.rejects(next, codeIs("stream_failed", { how: "lost", stream: "run" }));
  await place.clock.advance(60_000);
  const stopTicking = ticking(t.mock.timers);
  await failing;
  stopTicking();
  const other = place.another();
  assert.equal(await other.streams.status("run"), "lost");
  assert.equal((await other.streams.acquire("run")).role, "consumer", "its parts were read");
  // What it said is kept as text.
  const { sessions } = await place.store.load([
    { key: { tenant: "default\u0001streams", id: "run" }, tails: [{ log: "turns", last: 1 }] },
  ]);
  assert.match(sessions[0]?.tails[0]?.[0]?.data ?? "", /"output":\[\{"role":"assistant","content":"Hel"\}\]/);
  await assert.rejects(stream.write("x".repeat(9000)), codeIs("fenced", { tenant: "default", sessionId: "run" }));
  await assert.rejects(stream.end(), codeIs("fenced"));
});

/** A second of the mocked intervals passes in each turn of the event loop, until the returned function is called. */
function ticking(timers: { tick(ms: number): void }): () => void {
  let isOver = false;
  const tick = (): void => {
    if (isOver) return;
    timers.tick(1000);
    setImmediate(tick);
  };
  tick();
  return () => void (isOver = true);
}

test("the readers of a process ask once a second for all of them whether a producer is alive", async (t) => {
  await using place = inMemory();
  const stream = await produce(place.sessions, "run");
  await stream.write("part");
  const session = await place.sessions.create({ id: "chat" });
  const turn = await session.begin("q", { flush: { ms: 0 } });
  await turn.write({ text: "word" });
  t.mock.timers.enable({ apis: ["setInterval"] });
  const other = place.another();
  const reading = Array.from({ length: 20 }, () => other.streams.read("run"));
  await Promise.all(reading.map((one) => one.next()));
  const ends = reading.map((one) => one.next());
  const answers = await Promise.all(Array.from({ length: 20 }, async () => (await other.get("chat")).running()));
  for (const answer of answers) for await (const _ of answer ?? []) break;
  let asked = 0;
  const instances = place.store.instances.bind(place.store);
  place.store.instances = async (ids) => (asked++, await instances(ids));
  for (let second = 0; second < 3; second++) {
    t.mock.timers.tick(1000);
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(asked, 6, "one for the stream and one for the answer, each second");
  await Promise.all([stream.end(), turn.seal()]);
  await Promise.all(ends);
});

test("a producer that was gone before its first part gives its place to the next caller", async () => {
  await using place = inMemory();
  const gone = await produce(place.sessions, "run");
  await place.clock.advance(60_000);
  const stream = await produce(place.another(), "run");
  await assert.rejects(gone.write("x".repeat(9000)), codeIs("fenced", { tenant: "default" }));
  await stream.write("part");
  await stream.end();
  assert.deepEqual((await readAll(place.another(), "run")).parts, ["part"]);
  // Also where its end was noted meanwhile.
  await (await produce(place.sessions, "noted"))[Symbol.asyncDispose]();
  assert.equal(await place.another().streams.status("noted"), "lost");
  await (await produce(place.another(), "noted")).end();
  assert.equal((await place.sessions.streams.acquire("noted")).role, "consumer", "a stream may end without a part");
});

test("a stream is stopped from another process: its producer hears it, and may end it with what it has", async () => {
  await using place = inMemory();
  const other = place.another();
  assert.equal(await other.streams.stop("run"), false);
  const stream = await produce(place.sessions, "run");
  await stream.write("part");
  const stopping = other.streams.stop("run");
  const stopped = new Promise((resolve) => stream.signal.addEventListener("abort", resolve, { once: true }));
  await stopped;
  await assert.rejects(stream.write("more"), codeIs("stream_failed", { how: "stopped" }));
  await stream.end();
  assert.equal(await stopping, true);
  assert.equal(await other.streams.status("run"), "done");
  assert.equal(await other.streams.stop("run"), false);
});

test("a stream that is stopped and not ended by its producer ends as stopped, and a later end fails instead of losing its turn", async () => {
  await using place = inMemory();
  const other = place.another();
  const session = await place.sessions.create({ id: "chat" });
  const stream = await produce(place.sessions, "run", { session: "chat" });
  await stream.write("part");
  const acquired = await other.streams.acquireToken("by token", { session: "chat" });
  assert.ok(acquired.role === "producer");
  const { token } = acquired;
  await other.streams.append("by token", { token, after: 0, parts: [{ part: "part" }] });
  const stoppingOther = place.sessions.streams.stop("by token");
  const stopped = new Promise((resolve) => stream.signal.addEventListener("abort", resolve, { once: true }));
  const stopping = other.streams.stop("run");
  await stopped;
  assert.equal(await stopping, true);
  const reading = Array.fromAsync(other.streams.read("run"));
  await assert.rejects(reading, codeIs("stream_failed", { how: "stopped" }));
  const append = { input: "q", output: "a" };
  await assert.rejects(stream.end({ append }), codeIs("stream_failed", { how: "stopped" }));
  assert.equal(await stoppingOther, true);
  const byToken = other.streams.finish("by token", { token, after: 1, append });
  await assert.rejects(byToken, codeIs("stream_failed", { how: "stopped" }));
  await assert.rejects(Array.fromAsync(other.streams.read("by token")), codeIs("stream_failed", { how: "stopped" }));
  assert.equal((await session.refresh()).turn, 0);
  assert.equal(await other.streams.status("run"), "lost");
});

test("of several ends at once the first one counts, and the others are false", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "chat" });
  const stream = await produce(place.sessions, "run", { session: "chat" });
  const append = { input: "q", output: "a" };
  const ends = await Promise.all([stream.end(), stream.end({ append }), stream.fail(new Error("late")), stream.end()]);
  assert.deepEqual(ends, [true, false, false, false]);
  assert.equal((await session.refresh()).turn, 0);
  assert.equal(await place.another().streams.status("run"), "done");
});

test("a disposed or closed producer leaves a stream that is lost, with the parts it has written", async () => {
  await using place = inMemory();
  const program = place.another();
  {
    await using stream = await produce(program, "run", { flush: { ms: 60_000 } });
    await stream.write("part");
  }
  const open = await produce(program, "other", { flush: { ms: 60_000 } });
  await open.write("part");
  await program.close();
  for (const id of ["run", "other"]) {
    assert.equal(await place.sessions.streams.status(id), "lost");
    assert.deepEqual(await readAll(place.sessions, id), {
      ...(await readAll(place.sessions, id)),
      parts: ["part"],
      error: "stream_failed",
    });
  }
});

test("a deleted stream is gone for its producer and its readers, and its id is free", async () => {
  await using place = inMemory();
  const stream = await produce(place.sessions, "run");
  await stream.write("part");
  const reading = place.another().streams.read("run");
  const { value } = await reading.next();
  const next = assert.rejects(reading.next(), codeIs("stream_not_found", { stream: "run", tenant: "default" }));
  assert.equal(await place.another().streams.delete("run"), true);
  await next;
  assert.equal(await place.another().streams.delete("run"), false);
  await assert.rejects(stream.end(), codeIs("stream_not_found"));
  await place.clock.advance(1000);
  const again = await produce(place.another(), "run");
  await again.write("new");
  await again.end();
  // A cursor of the deleted stream names no place in the new one.
  const after = value?.cursor ?? assert.fail();
  assert.equal((await readAll(place.sessions, "run", { after })).error, "stream_not_found");
  assert.deepEqual((await readAll(place.sessions, "run")).parts, ["new"]);
});

test("a stream lives for its time after its last part, and its id is free then", async () => {
  await using place = inMemory();
  const stream = await produce(place.sessions, "run", { ttl: "1h" });
  await place.clock.advance(3_500_000);
  await stream.write("x".repeat(9000));
  await place.clock.advance(3_500_000);
  assert.notEqual(await place.another().streams.status("run"), "missing");
  await stream.end();
  await place.clock.advance(3_599_000);
  assert.equal((await readAll(place.another(), "run")).parts.length, 1);
  await place.clock.advance(2000);
  const other = place.another();
  assert.equal(await other.streams.status("run"), "missing");
  assert.equal((await readAll(other, "run")).error, "stream_not_found");
  const again = await produce(other, "run");
  await again.write("new");
  await again.end();
  assert.deepEqual((await readAll(place.sessions, "run")).parts, ["new"]);
});

test("the stream in progress of a session is found by it, in its tenant alone", async () => {
  await using place = inMemory();
  const { streams } = place.sessions;
  await place.sessions.create({ id: "chat" });
  await assert.rejects(streams.acquire("run", { session: "none" }), codeIs("session_not_found", { sessionId: "none" }));
  assert.equal(await streams.active("chat"), null);
  const first = await produce(place.sessions, "first", { session: "chat" });
  await produce(place.sessions, "unlinked");
  assert.equal(await place.another().streams.active("chat"), "first");
  await first.end();
  assert.equal(await streams.active("chat"), null);
  await produce(place.sessions, "second", { session: "chat" });
  assert.equal(await streams.active("chat"), "second");
  assert.equal(await place.sessions.for("another").streams.active("chat"), null);
  await place.clock.advance(60_000);
  assert.equal(await place.another().streams.active("chat"), null, "its producer is no longer alive");
});

test("streams are in no list, count, sum or event of their tenant", async () => {
  await using place = inMemory({ budgets: { tenant: { turns: 1, per: "day" }, user: { turns: 1, per: "day" } } });
  await place.sessions.create({ id: "chat" });
  for (const id of ["one", "two", "three"]) {
    const stream = await produce(place.sessions, id, { session: "chat" });
    await stream.write("part");
    await stream.end();
  }
  assert.deepEqual(
    (await place.sessions.list()).items.map(({ id }) => id),
    ["chat"],
  );
  assert.equal(await place.sessions.count(), 1);
  assert.equal((await stats(place.sessions)).turns.turns, 0);
  const events = await Array.fromAsync(place.sessions.eachEvent());
  assert.deepEqual(
    events.map(({ type }) => type),
    ["created"],
  );
});

test("the streams of a session go with it: when it is removed, and when its user is erased", async () => {
  await using place = inMemory({ secret: "a secret for tests only" });
  for (const id of ["removed", "erased", "held"]) {
    const session = await place.sessions.create({ id, user: "ada" });
    const stream = await produce(place.sessions, `of ${id}`, { session: id });
    await stream.write({ secret: "of Ada" });
    if (id !== "removed") await stream.end();
    if (id === "held") await session.setLegalHold("a case");
  }
  const unlinked = await produce(place.sessions, "unlinked");
  await unlinked.end();
  const { streams } = place.another();
  await (await place.sessions.get("removed")).remove();
  assert.equal(await streams.status("of removed"), "missing");
  assert.equal(await streams.status("of erased"), "done");
  await erase(place.sessions, { user: "ada" });
  assert.equal(await streams.status("of erased"), "missing");
  assert.equal(await streams.status("of held"), "done", "its session stays");
  assert.equal(await streams.status("unlinked"), "done");
});

test("a process that ends right after the commit that removes a session leaves none of its streams", async () => {
  for (const how of ["remove", "purge"] as const) {
    await using place = inMemory();
    const session = await place.sessions.create({ id: "s", ttl: "1h" });
    for (let n = 0; n < 60; n++) {
      const stream = await produce(place.sessions, `done ${n}`, { session: "s", ttl: "3d" });
      await stream.end();
    }
    const open = await produce(place.sessions, "open", { session: "s", ttl: "3d" });
    await open.write("part");
    if (how === "purge") {
      await place.clock.advance(2 * 3_600_000);
      assert.equal((await sweep(place.another())).expired, 1);
      await place.clock.advance(120_000);
    }
    const find = place.store.find.bind(place.store);
    // The process makes no other call: what its commit leaves is left.
    afterNextCommit(place, () => {
      place.store.find = () => Promise.reject(new Error("the process has ended"));
    });
    const removal = how === "remove" ? session.remove() : sweep(place.another(), { olderThan: "1m" });
    await removal.catch((error: unknown) => assert.match(String(error), /has ended/));
    place.store.find = find;
    assert.equal((await place.another().list()).items.length, 0, how);
    for (const id of ["done 0", "done 59", "open"])
      assert.equal(await place.another().streams.status(id), "missing", id);
  }
});

test("a removal of a session does not remove streams where it is refused", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const stream = await produce(place.sessions, "run", { session: "s" });
  await session.setLegalHold("a case");
  await assert.rejects(session.remove(), codeIs("legal_hold"));
  await stream.write("part");
  assert.equal(await stream.end(), true);
});

test("a cursor belongs to one stream, also where another one with its id began in the same millisecond", async () => {
  await using place = inMemory();
  for (const how of ["acquire", "acquireToken"] as const) {
    const cursors: string[] = [];
    for (const part of ["old", "new"]) {
      if (how === "acquire") {
        const stream = await produce(place.sessions, how);
        await stream.write(part);
        await stream.write("last");
        await stream.end();
      } else {
        const acquired = await place.sessions.streams.acquireToken(how);
        assert.ok(acquired.role === "producer");
        const { token } = acquired;
        await place.sessions.streams.append(how, { token, after: 0, parts: [{ part }] });
        await place.sessions.streams.append(how, { token, after: 1, parts: [{ part: "last" }] });
        await place.sessions.streams.finish(how, { token, after: 2 });
      }
      const { parts, cursors: found } = await readAll(place.sessions, how);
      assert.deepEqual(parts, [part, "last"]);
      cursors.push(found[0] ?? assert.fail());
      if (part === "old") await place.sessions.streams.delete(how);
    }
    const [old, current = ""] = cursors;
    assert.equal((await readAll(place.another(), how, { after: old })).error, "stream_not_found");
    assert.deepEqual((await readAll(place.another(), how, { after: current })).parts, ["last"]);
    // A cursor of an earlier version names the time of creation alone.
    const [at, , seq] = current.split(".");
    assert.deepEqual((await readAll(place.another(), how, { after: `${at}.${seq}` })).parts, ["last"]);
    assert.equal((await readAll(place.another(), how, { after: `${Number(at) - 1}.1` })).error, "stream_not_found");
  }
});

test("a stream that is acquired while its session is removed is refused, and leaves nothing", async () => {
  for (const how of ["acquire", "acquireToken"] as const) {
    await using place = inMemory();
    await place.sessions.create({ id: "s" });
    const other = place.another();
    const commit = place.store.commit.bind(place.store);
    let isFirst = true;
    place.store.commit = async (batch) => {
      if (isFirst) {
        isFirst = false;
        await (await other.get("s")).remove();
      }
      return await commit(batch);
    };
    await assert.rejects(place.sessions.streams[how]("run", { session: "s" }), codeIs("session_not_found"));
    place.store.commit = commit;
    assert.equal(isFirst, false);
    assert.equal(await other.streams.status("run"), "missing");
    assert.equal(await other.streams.active("s"), null);
    assert.equal((await place.sessions.streams.acquire("run")).role, "producer", "its id is free");
  }
});

/** Calls `meanwhile` before the next load of a session, which then fails if it returns an error. */
function beforeNextLoad(place: InMemory, id: string, meanwhile: () => Promise<Error | undefined>): void {
  const load = place.store.load.bind(place.store);
  place.store.load = async (requests) => {
    if (!requests.some(({ key }) => key.id === id)) return await load(requests);
    place.store.load = load;
    const error = await meanwhile();
    if (error !== undefined) throw error;
    return await load(requests);
  };
}

/** Calls `then` once the next commit has landed. */
function afterNextCommit(place: InMemory, then: () => void): void {
  const commit = place.store.commit.bind(place.store);
  place.store.commit = async (batch) => {
    place.store.commit = commit;
    const outcomes = await commit(batch);
    then();
    return outcomes;
  };
}

test("a turn at the end of a stream without a session, or of one that failed, is refused with the reason", async () => {
  await using place = inMemory();
  const { streams } = place.sessions;
  const producer = await produce(place.sessions, "alone");
  const append = { input: "one", output: "two" };
  const needsSession = {
    code: "argument_invalid",
    message: /which a stream gets where it is acquired with { session }/,
  };
  await assert.rejects(producer.end({ append }), needsSession);
  const acquired = await streams.acquireToken("by token");
  assert(acquired.role === "producer");
  const { token } = acquired;
  await assert.rejects(streams.finish("by token", { token, after: 0, append }), needsSession);
  await assert.rejects(streams.finish("by token", { token, after: 0, append, failure: "x" }), {
    code: "argument_invalid",
    message: /^failure is "x"; expected a text, without append/,
  });
});

test("what readers of a stream see does not tell the token of its producer", async () => {
  await using place = inMemory();
  const { streams } = place.sessions;
  const acquired = await streams.acquireToken("s");
  assert(acquired.role === "producer");
  const key = { tenant: streamScope("default"), id: "s" };
  const { record } = await coreOf(place.sessions).load(key);
  assert.ok(record.lease);
  const guessed = `${record.lease.fence}.${record.lease.commitId}`;
  await assert.rejects(streams.append("s", { token: guessed, after: 0, parts: [{ part: 1 }] }), { code: "fenced" });
  assert.equal(await streams.append("s", { token: acquired.token, after: 0, parts: [{ part: 1 }] }), 1);
  const { record: written } = await coreOf(place.sessions).load(key);
  for (const secret of acquired.token.split(".").slice(1))
    for await (const { cursor } of streams.read("s")) {
      assert.equal(cursor.includes(secret), false);
      assert.equal(written.commitId.includes(secret), false);
      break;
    }
});

test("a stream that an earlier version began goes on with the token that its producer has", async () => {
  await using place = inMemory();
  const { streams } = place.sessions;
  assert.equal((await streams.acquireToken("s")).role, "producer");
  const key = { tenant: streamScope("default"), id: "s" };
  const { record } = await coreOf(place.sessions).load(key);
  const { secret: _, ...metadata } = record.metadata;
  const [outcome] = await place.store.commit([[stepOf(record, { fields: { metadata } })]]);
  assert.equal(outcome?.status, "ok");
  const token = `${record.lease?.fence}.${record.lease?.commitId}`;
  assert.equal(await streams.append("s", { token, after: 0, parts: [{ part: 1 }] }), 1);
});

for (const how of ["acquire", "acquireToken"] as const)
  for (const link of [undefined, "t"])
    test(`${how} for a session that is removed leaves the stream that took the id, ${link ?? "without a session"}`, async () => {
      await using place = inMemory();
      for (const id of ["s", "t"]) await place.sessions.create({ id });
      const other = place.another();
      let theirs: StreamProducer | undefined;
      // The instance of the other program is in the store, so that the commit of the stream is the next one.
      await produce(place.sessions, "first");
      await produce(other, "second");
      afterNextCommit(place, () => {
        beforeNextLoad(place, "s", async () => {
          await (await other.get("s")).remove();
          theirs = await produce(other, "run", link === undefined ? {} : { session: link });
          return undefined;
        });
      });
      await assert.rejects(place.sessions.streams[how]("run", { session: "s" }), codeIs("session_not_found"));
      assert.equal(await other.streams.status("run"), "streaming");
      await theirs?.write("a");
      await theirs?.end();
      assert.deepEqual(await readAll(place.sessions, "run"), { ...(await readAll(other, "run")), parts: ["a"] });
    });

for (const how of ["acquire", "acquireToken"] as const)
  test(`${how} that cannot read the session after its commit keeps no stream`, async () => {
    await using place = inMemory();
    await place.sessions.create({ id: "s" });
    await produce(place.sessions, "first");
    const unavailable = new SessionError("store_unavailable", { store: "memory", problem: "pool_exhausted" });
    afterNextCommit(place, () => {
      beforeNextLoad(place, "s", () => Promise.resolve(unavailable));
    });
    await assert.rejects(place.sessions.streams[how]("run", { session: "s" }), codeIs("store_unavailable"));
    assert.equal(await place.another().streams.status("run"), "missing");
    assert.equal((await place.sessions.streams[how]("run", { session: "s" })).role, "producer");
  });

test("a stream whose removal fails after its begin is free again at once", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  await produce(place.sessions, "first");
  afterNextCommit(place, () => {
    place.loadsFail = true;
  });
  await assert.rejects(place.sessions.streams.acquire("run", { session: "s" }), codeIs("store_unavailable"));
  place.loadsFail = false;
  assert.equal((await place.sessions.streams.acquire("run", { session: "s" })).role, "producer");
});

test("the sweep removes the streams whose time to live has passed", async () => {
  await using place = inMemory();
  for (const id of ["short", "long"]) {
    const stream = await produce(place.sessions, id, { ttl: id === "short" ? "1m" : "1d" });
    await stream.write("part");
    await stream.end();
  }
  await place.clock.advance(120_000);
  await sweep(place.sessions);
  const key = (id: string): object => ({
    key: { tenant: "default\u0001streams", id },
    tails: [{ log: "chunks", last: 5 }],
  });
  const { sessions } = await place.store.load([key("short"), key("long")] as never);
  assert.deepEqual(
    sessions.map((one) => one?.tails[0]?.length),
    [undefined, 1],
  );
});

test("the doctor finds nothing in streams, in progress, over and lost", async () => {
  await using place = inMemory();
  for (const id of ["open", "done", "failed", "lost", "empty"]) {
    const stream = await produce(place.sessions, id);
    if (id !== "empty") await stream.write({ part: id }, { said: "said" });
    if (id === "done") await stream.end();
    if (id === "failed") await stream.fail("no");
    if (id === "lost") await stream[Symbol.asyncDispose]();
  }
  const found: unknown[] = [];
  await doctor(place.another(), { onFinding: (finding) => found.push(finding) });
  assert.deepEqual(found, []);
});

test("bad ids, options, parts and cursors are refused before anything is written", async () => {
  await using place = inMemory();
  const { streams } = place.sessions;
  for (const id of ["", "x".repeat(257), "a\u0001b", ".."])
    await assert.rejects(streams.acquire(id), codeIs("id_invalid"), JSON.stringify(id));
  await assert.rejects(streams.acquire("run", { ttl: 0 }), codeIs("duration_invalid"));
  await assert.rejects(streams.acquire("run", { flush: { ms: -1 } }), codeIs("argument_invalid"));
  await assert.rejects(streams.acquire("run", { lifetime: 5 } as object), codeIs("argument_invalid"));
  assert.equal(await streams.status("run"), "missing");
  const stream = await produce(place.sessions, "run");
  await assert.rejects(stream.write(Number.NaN), codeIs("value_unstorable"));
  await assert.rejects(stream.end({ append: { input: "q" } }), codeIs("argument_invalid", { name: "session" }));
  for (const after of ["", "5", "x.y", -1, 0.5])
    assert.equal((await readAll(place.sessions, "run", { after })).error, "argument_invalid");
  for (const options of [null, { afer: 1 }]) {
    assert.equal((await readAll(place.sessions, "run", options as object)).error, "argument_invalid");
    await assert.rejects(stream.write("part", options as object), codeIs("argument_invalid"));
  }
  for (const end of [null, {}, { append: null }, { turn: {} }, { append: { input: "q" }, turn: 1 }, { apend: 1 }])
    await assert.rejects(stream.end(end as never), codeIs("argument_invalid"), JSON.stringify(end));
  assert.equal(await streams.status("run"), "streaming");
  assert.equal(await stream.fail(Object.create(null)), true);
});

test("an aborted signal ends a reader without an error, and a reader that leaves holds nothing", async () => {
  await using place = inMemory();
  const stream = await produce(place.sessions, "run");
  await stream.write("part");
  const stop = new AbortController();
  const other = place.another();
  const reading = other.streams.read("run", { signal: stop.signal });
  await reading.next();
  const next = reading.next();
  stop.abort();
  assert.deepEqual(await next, { done: true, value: undefined });
  for await (const { part } of other.streams.read("run")) {
    assert.equal(part, "part");
    break;
  }
  assert.equal(place.watches, 0);
  await stream.end();
});

test("a producer with a token writes through any process, and is no longer alive once its lease has passed", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 200 } });
  const { streams } = place.sessions;
  const elsewhere = place.another({ limits: { turnBytesMax: 200 } }).streams;
  const acquired = await streams.acquireToken("run", { lease: "30s", ttl: "1h" });
  assert.ok(acquired.role === "producer");
  const { token } = acquired;
  assert.deepEqual(await elsewhere.acquireToken("run"), { role: "consumer" });
  assert.equal(await streams.append("run", { token, after: 0, parts: [{ part: 1, said: "It is " }] }), 1);
  assert.equal(await elsewhere.append("run", { token, after: 1, parts: [{ part: 2, said: "raining." }] }), 2);
  const repeated = [{ part: 2 }, { part: 3 }];
  assert.equal(
    await streams.append("run", { token, after: 1, parts: repeated }),
    3,
    "the second part is stored already",
  );
  await place.clock.advance(29_000);
  assert.equal(await streams.append("run", { token, after: 3, parts: [] }), 3, "it renews the lease");
  await place.clock.advance(29_000);
  assert.equal(await elsewhere.status("run"), "streaming");
  const large = [{ part: "x".repeat(100) }];
  assert.equal(await streams.append("run", { token, after: 3, parts: large }), 4);
  await assert.rejects(streams.append("run", { token, after: 4, parts: large }), { code: "turn_too_large" });
  await place.clock.advance(31_000);
  assert.equal(await streams.status("run"), "lost");
  const reading = elsewhere.read("run", { after: 3 });
  assert.equal((await reading.next()).value?.seq, 4);
  const ended = assert.rejects(reading.next(), { code: "stream_failed" });
  for (let second = 0; second < 3; second++) await place.clock.advance(1000);
  await streams.stop("run");
  await ended;
  await assert.rejects(streams.append("run", { token, after: 4, parts: [] }), { code: "stream_ended" });
  await assert.rejects(streams.finish("run", { token, after: 4 }), { code: "stream_failed" });
});

test("the end of a producer with a token is one commit with a turn of the session, also when it is repeated", async () => {
  await using place = inMemory();
  const { streams } = place.sessions;
  const session = await place.sessions.create({ id: "chat" });
  const acquired = await streams.acquireToken("run", { session: "chat" });
  assert.ok(acquired.role === "producer");
  const { token } = acquired;
  const end = { token, after: 0, parts: [{ part: "last" }], append: { input: "q", output: "a", key: "k" } };
  await assert.rejects(streams.finish("run", { ...end, append: { input: 7 as never } }), { code: "message_invalid" });
  assert.equal(await streams.status("run"), "streaming");
  const both = await Promise.all([streams.finish("run", end), streams.finish("run", end)]);
  assert.ok(both.includes(true));
  assert.equal(await streams.finish("run", end), false);
  assert.equal((await session.refresh()).counters.turns, 1);
  assert.deepEqual(
    (await Array.fromAsync(streams.read("run"))).map(({ part }) => part),
    ["last"],
  );
  // The turn is stored, but its answer was lost with the end of the stream.
  const second = await streams.acquireToken("run 2", { session: "chat" });
  assert.ok(second.role === "producer");
  await session.refresh();
  await session.append({ input: "q2", output: "a2" }, { key: "k2" });
  const again = { token: second.token, after: 0, append: { input: "q2", output: "a2", key: "k2" } };
  assert.equal(await streams.finish("run 2", again), true);
  assert.deepEqual([await streams.status("run 2"), (await session.refresh()).counters.turns], ["done", 2]);
});

test("a part that does not fit is refused alone, and the stream goes on and ends", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 1000 } });
  const stream = await produce(place.sessions, "run");
  await stream.write("a");
  await assert.rejects(stream.write("x".repeat(2000)), codeIs("turn_too_large", { bytesMax: 1000 }));
  await stream.write("b");
  assert.equal(await stream.end(), true);
  assert.deepEqual((await readAll(place.another(), "run")).parts, ["a", "b"]);
});

test("errors of streams speak of streams, not of turns and sessions", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 1000, chunksMax: 3 } });
  const { streams } = place.sessions;
  const acquired = await streams.acquireToken("run");
  const token = acquired.role === "producer" ? acquired.token : "";
  const part = { part: "a" };
  const refused: readonly (readonly [ErrorCode, () => Promise<unknown>])[] = [
    ["fenced", () => streams.append("run", { token: "1.other", after: 0, parts: [part] })],
    ["turn_too_large", () => streams.append("run", { token, after: 0, parts: [{ part: "x".repeat(2000) }] })],
    ["turn_parts_exceeded", () => streams.append("run", { token, after: 0, parts: [part, part, part, part] })],
    ["range_invalid", () => streams.append("run", { token, after: 2, parts: [part] })],
    ["stream_not_found", () => streams.append("none", { token, after: 0, parts: [part] })],
  ];
  for (const [code, call] of refused) {
    await assert.rejects(call, (error: SessionError) => {
      assert.equal(error.code, code);
      assert.match(error.message, /stream (run|none)/);
      assert.doesNotMatch(error.message, /\bturns?\b|\bsession\b/);
      return true;
    });
  }
});

test("a list has the streams of the tenant with their status, page by page, by status and by session", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "chat" });
  const { streams } = place.sessions;
  const done = await produce(place.sessions, "done", { session: "chat" });
  await done.write({ text: "a" });
  await done.write({ text: "b" });
  await done.end();
  await (await produce(place.sessions, "failed")).fail(new Error("no"));
  const dead = await streams.acquireToken("dead", { lease: "30s" });
  assert.equal(dead.role, "producer");
  await place.clock.advance(31_000);
  await using running = await produce(place.sessions, "running", { session: "chat" });
  await running.write("a");
  await (await produce(place.sessions, "gone", { ttl: "1s" })).end();
  await place.clock.advance(2000);
  const all = await place.another().streams.list();
  const found = all.items.map(({ stream, status }) => `${stream} ${status}`).toSorted();
  assert.deepEqual(found, ["dead lost", "done done", "failed error", "running streaming"]);
  const info = all.items.find(({ stream }) => stream === "done");
  assert.deepEqual([info?.session, info?.parts, info?.expiresAt === null], ["chat", 2, false]);
  assert.deepEqual(info, await streams.get("done"));
  assert.equal(await streams.get("gone"), null);
  const names = async (query: StreamQuery): Promise<string[]> =>
    (await streams.list(query)).items.map(({ stream }) => stream).toSorted();
  assert.deepEqual(await names({ session: "chat" }), ["done", "running"]);
  assert.deepEqual(await names({ status: ["lost", "error"] }), ["dead", "failed"]);
  assert.deepEqual(await names({ status: "streaming" }), ["running"]);
  const paged: string[] = [];
  let after: string | undefined;
  do {
    const page = await streams.list({ limit: 2, ...(after === undefined ? {} : { after }) });
    paged.push(...page.items.map(({ stream }) => stream));
    after = page.next;
  } while (after !== undefined);
  assert.deepEqual(paged.toSorted(), ["dead", "done", "failed", "running"]);
  for (const query of [{ status: "missing" }, { status: [] as string[], limit: 0 }, { limit: 1001 }, { state: "done" }])
    await assert.rejects(streams.list(query as never), { code: "argument_invalid" });
});
