import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { countAll } from "../../domain/turns/counters.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { SessionError } from "../../errors.ts";
import { fromFormat } from "../../formats/conversion.ts";
import type { TurnInput } from "../operations/turn-input.ts";
import { inputsOf } from "../../../test/support/inputs-of.ts";
import { untilStored } from "../../../test/support/stored-text.ts";

test("a handle appends only to the turns that it has seen; a turn of another writer is a conflict until it refreshes", async () => {
  await using place = inMemory();
  const mine = await place.sessions.create({ id: "s" });
  const theirs = await place.another().get("s");
  await theirs.append({ input: "theirs" });
  await assert.rejects(mine.append({ input: "mine" }), {
    code: "conflict",
    details: {
      sessionId: "s",
      tenant: "default",
      agent: "assistant",
      command: "append",
      seenTurn: 0,
      storedTurn: 1,
      seenVersion: mine.info.version,
      storedVersion: mine.info.version + 1,
    },
  });
  await assert.rejects(mine.append({ input: "mine" }), { code: "conflict" }, "nothing is merged behind one's back");
  await assert.rejects(mine.begin("mine"), { code: "conflict" });
  assert.deepEqual(await inputsOf(mine), ["theirs"], "reading is not having seen");
  await assert.rejects(mine.append({ input: "mine" }), { code: "conflict" });
  await mine.refresh();
  assert.equal((await mine.append({ input: "mine" })).seq, 2);
});

test("a refused append throws its conflict without a further call of the store", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  await session.append({ input: "theirs" });
  place.loadsFail = true;
  await assert.rejects(other.append({ input: "mine" }), { code: "conflict" });
  place.loadsFail = false;
  await other.refresh();
  assert.equal((await other.append({ input: "mine" })).seq, 2);
});

test("changes of another writer that are no turns are merged without a conflict", async () => {
  await using place = inMemory();
  const mine = await place.sessions.create({ id: "s", metadata: { a: 1 } });
  const theirs = await place.another().get("s");
  await theirs.touch();
  await theirs.update({ metadata: { b: 2 } });
  assert.equal((await mine.append({ input: "mine" })).seq, 1);
  await mine.update({ metadata: { c: 3 } });
  await theirs.refresh();
  assert.deepEqual(theirs.info.metadata, { a: 1, b: 2, c: 3 });
});

test("operations on one handle run in the order of their calls", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turns = await Promise.all(Array.from({ length: 50 }, (_, index) => session.append({ input: `${index}` })));
  assert.deepEqual(
    turns.map(({ seq }) => seq),
    Array.from({ length: 50 }, (_, index) => index + 1),
  );
  const failing = session.append({ input: "" });
  const following = session.append({ input: "after a failure" });
  await assert.rejects(failing, { code: "message_invalid" });
  assert.equal((await following).seq, 51);
});

test("a retry with the same key and content is the same turn, also on a handle that is out of date", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const first = await session.append({ input: "hello", output: "hi" }, { key: "k" });
  const again = await session.append({ input: "hello", output: "hi" }, { key: "k" });
  assert.deepEqual(again, first);
  const stale = await place.another().get("s");
  await session.append({ input: "next" });
  assert.equal((await stale.append({ input: "hello", output: "hi" }, { key: "k" })).seq, 1);
  await assert.rejects(stale.append({ input: "new" }), { code: "conflict" }, "the retry taught it nothing of turn 2");
  assert.equal((await inputsOf(session)).length, 2);
});

test("a handle continues after a retry of a write that had landed", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const twin = await place.sessions.get("s");
  await twin.append({ input: "hello" }, { key: "k" });
  assert.equal((await session.append({ input: "hello" }, { key: "k" })).seq, 1);
  assert.equal((await session.append({ input: "next" })).seq, 2);
});

test("the signal of a lease aborts once another writer takes it over or the session is removed, and not when it is released", async (context) => {
  await using place = inMemory();
  // The poll of a lease keeps no process alive.
  const alive = setInterval(() => undefined, 60_000);
  context.after(() => clearInterval(alive));
  const [over, removed, released] = await Promise.all(
    ["over", "removed", "released"].map(async (id) => await (await place.sessions.create({ id })).lease()),
  );
  const aborts = [over!, removed!].map(
    ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true })),
  );
  const { signal } = released!;
  await released!.release();
  await (await place.another().get("over")).exclusive(async () => undefined, { busy: "take-over" });
  await (await place.another().get("removed")).remove();
  await Promise.all(aborts);
  assert.equal(over!.signal.reason.code, "fenced");
  assert.equal(removed!.signal.reason.code, "session_not_found");
  assert.equal(signal.aborted, false);
});

test("the same key with other content is an error and writes nothing", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "hello" }, { key: "k" });
  const reused = (command: string): object => ({
    code: "key_reused",
    details: { sessionId: "s", tenant: "default", agent: "assistant", command, key: "k", seq: 1 },
  });
  await assert.rejects(session.append({ input: "other" }, { key: "k" }), reused("append"));
  await assert.rejects(session.append({ input: "hello", output: "more" }, { key: "k" }), reused("append"));
  await assert.rejects(session.begin("other", { key: "k" }), reused("begin"));
  assert.equal((await session.append({ input: "next" }, { key: "k2" })).seq, 2);
});

test("a keyed retry returns its turn, also if the session has ended, expired or is leased by another holder", async () => {
  await using place = inMemory({ ttl: "1h" });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "hello" }, { key: "k" });
  const lease = await (await place.another().get("s")).lease();
  assert.equal((await session.append({ input: "hello" }, { key: "k" })).seq, 1);
  await lease.release();
  await place.clock.advance(3_600_000);
  assert.equal((await session.append({ input: "hello" }, { key: "k" })).seq, 1);
  await session.end();
  assert.equal((await session.append({ input: "hello" }, { key: "k" })).seq, 1);
  await assert.rejects(session.append({ input: "new" }, { key: "k2" }), { code: "session_ended" });
});

test("metadata is merged key by key, and undefined removes a key", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", metadata: { a: 1, b: { c: 2 } } });
  await session.update({ metadata: { b: { d: 3 }, e: null } });
  await session.update({ metadata: { a: undefined } });
  assert.deepEqual(session.info.metadata, { b: { d: 3 }, e: null });
  assert.deepEqual((await place.sessions.get("s")).info.metadata, { b: { d: 3 }, e: null });
});

test("update changes user, instructions, time to live and cap, and leaves the rest", async () => {
  await using place = inMemory({ maxAge: "10h" });
  const session = await place.sessions.create({ id: "s", user: "u1", instructions: "old", metadata: { a: 1 } });
  const born = session.info.createdAt.getTime();
  await session.update({ user: "u2" });
  assert.equal(session.info.user, "u2");
  await session.update({ user: null, ttl: "2h", instructions: "new" });
  assert.equal(session.info.user, null);
  assert.equal(session.info.expiresAt?.getTime(), place.clock.now() + 2 * 3_600_000);
  assert.equal(await session.instructions(), "new");
  await session.update({ maxAge: "1h" });
  assert.equal(session.info.expiresAt?.getTime(), born + 3_600_000);
  await session.update({ maxAge: null, ttl: "30d" });
  assert.equal(session.info.expiresAt?.getTime(), place.clock.now() + 30 * 86_400_000);
  assert.deepEqual(session.info.metadata, { a: 1 });
  assert.equal(session.info.turn, 0);
  await assert.rejects(session.update({ ttl: "tomorrow" }), { code: "duration_invalid" });
  await assert.rejects(session.update({ ttl: 0 }), { code: "duration_invalid" });
  await assert.rejects(session.update({ user: "" }), { code: "id_invalid" });
  await assert.rejects(session.update({ metadata: { big: "x".repeat(70_000) } }), { code: "metadata_too_large" });
  await assert.rejects(session.update({ metadata: { run: (() => 1) as unknown as string } }), {
    code: "value_unstorable",
  });
});

test("metadata that is no plain object and instructions that are no text are refused", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const wrong of ["text", 7, [1, 2]]) {
    const metadata = wrong as unknown as { [key: string]: string };
    await assert.rejects(session.update({ metadata }), { code: "argument_invalid" }, JSON.stringify(wrong));
    await assert.rejects(place.sessions.create({ metadata }), { code: "argument_invalid" }, JSON.stringify(wrong));
  }
  const instructions = 7 as unknown as string;
  await assert.rejects(session.update({ instructions }), { code: "argument_invalid" });
  await assert.rejects(place.sessions.create({ instructions }), { code: "argument_invalid" });
});

test("an appended turn counts a model call if it has output with a model or usage", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const usage = { inputTokens: 2, outputTokens: 3, totalTokens: 5 };
  for (const [turn, requests] of [
    [{ input: "a note", output: "of a person" }, 0],
    [{ input: "q", output: "a", usage }, 1],
    [{ input: "q", output: "a", model: "m" }, 1],
    [{ input: "q", usage }, 0],
    [{ input: "q", output: "a", requests: 2 }, 2],
  ] as const)
    assert.equal((await session.append(turn)).requests, requests);
  assert.equal(session.info.counters.requests, 4);
});

test("truncating removes turns and their messages, keeps their usage, and numbers continue from there", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const usage = { inputTokens: 2, outputTokens: 3, totalTokens: 5 };
  for (let index = 1; index <= 5; index++)
    await session.append({ input: `q${index}`, output: "a", usage }, { key: `k${index}` });
  await session.truncate(3);
  assert.deepEqual(await inputsOf(session), ["q1", "q2", "q3"]);
  const { counters } = session.info;
  assert.deepEqual([counters.turns, counters.messages, counters.totalTokens, counters.requests], [3, 6, 25, 5]);
  assert.equal((await session.append({ input: "again" }, { key: "k5" })).seq, 4, "the key went with its turn");
  await session.truncate(4); // nothing to cut
  for (const after of [-1, 5, 1.5, Number.NaN]) {
    await assert.rejects(session.truncate(after), { code: "range_invalid" });
  }
  await session.truncate(0);
  assert.deepEqual(await inputsOf(session), []);
  assert.equal(session.info.counters.messages, 0);
});

test("a truncation is a conflict for a handle that has not seen it, and a handle cannot truncate unseen turns", async () => {
  await using place = inMemory();
  const mine = await place.sessions.create({ id: "s" });
  await mine.append({ input: "one" });
  await mine.append({ input: "two" });
  const theirs = await place.another().get("s");
  await mine.truncate(1);
  await assert.rejects(theirs.append({ input: "onto what is gone" }), { code: "conflict" });
  await assert.rejects(theirs.truncate(1), { code: "conflict" });
  await theirs.refresh();
  await theirs.append({ input: "other two" });
  await assert.rejects(mine.truncate(0), { code: "conflict" });
  for (const after of [1, 2])
    await assert.rejects(
      mine.truncate(after),
      { code: "conflict" },
      "also where it has seen no turn behind the number",
    );
  await assert.rejects(mine.begin("again", { after: 1 }), { code: "conflict" });
  assert.deepEqual(await inputsOf(mine), ["one", "other two"]);
  await mine.refresh();
  await mine.truncate(2);
  assert.deepEqual(await inputsOf(mine), ["one", "other two"]);
});

test("truncating the open turn of a dead writer keeps the counters correct", async () => {
  await using place = inMemory({ staleAfter: "10s" });
  const dying = place.another();
  const turn = await (
    await dying.create({ id: "s" })
  ).begin(["q1", "q2"].map((content) => ({ role: "user", content })));
  await turn.write({ text: "some" });
  await turn.write({ message: { role: "assistant", content: "more" } });
  await untilStored(await place.sessions.get("s"), "some");
  await place.clock.advance(60_000);
  const session = await place.sessions.get("s");
  await session.truncate(0);
  assert.deepEqual(await inputsOf(session), []);
  assert.deepEqual([session.info.counters.turns, session.info.counters.messages], [0, 0]);
  assert.equal(session.info.counters.requests, 1, "its cost stays counted");
  await session.append({ input: "on" });
  assert.equal(session.info.counters.messages, 1);
});

test("a range of turns is read from either side, page by page, and a wrong one is an error", async () => {
  await using place = inMemory({ limits: { readMax: 4 } });
  const session = await place.sessions.create({ id: "s" });
  for (let index = 1; index <= 10; index++) await session.append({ input: `${index}` });
  const numbers = async (range: object): Promise<number[]> => (await inputsOf(session, range)).map(Number);
  assert.deepEqual(await numbers({}), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(await numbers({ last: 3 }), [8, 9, 10]);
  assert.deepEqual(await numbers({ last: 4 }), [7, 8, 9, 10]);
  assert.deepEqual(await numbers({ last: 7 }), [4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(await numbers({ last: 99 }), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(await numbers({ last: 0 }), []);
  assert.deepEqual(await numbers({ from: 9 }), [9, 10]);
  assert.deepEqual(await numbers({ to: 2 }), [1, 2]);
  assert.deepEqual(await numbers({ from: 3, to: 8 }), [3, 4, 5, 6, 7, 8]);
  assert.deepEqual(await numbers({ from: 4, to: 4 }), [4]);
  assert.deepEqual(await numbers({ from: 11 }), []);
  assert.deepEqual(await numbers({ from: 9, to: 99 }), [9, 10]);
  for (const wrong of [{ from: 5, to: 4 }, { from: 0 }, { to: 0 }, { from: 1.5 }, { from: Number.NaN }, { to: -1 }]) {
    await assert.rejects(inputsOf(session, wrong), { code: "range_invalid" }, JSON.stringify(wrong));
  }
  for (const wrong of [{ last: -1 }, { last: 1.5 }, { last: 2, from: 1 }, { last: 2, to: 3 }]) {
    await assert.rejects(inputsOf(session, wrong), { code: "argument_invalid" }, JSON.stringify(wrong));
  }
});

test("a reader gets whole turns, also during appends and truncations", async () => {
  await using place = inMemory({ limits: { readMax: 2 } });
  const session = await place.sessions.create({ id: "s" });
  for (let index = 1; index <= 6; index++) await session.append({ input: `${index}` });
  const seqs: number[] = [];
  for await (const { seq } of session.turns()) {
    seqs.push(seq);
    if (seq === 2) await session.truncate(3);
  }
  assert.deepEqual(seqs, [1, 2, 3]);
});

test("the native form of a message has the limit of a turn beside its turn", async () => {
  const limits = { turnBytesMax: 2000 };
  await using place = inMemory({ limits });
  const session = await place.sessions.create({ id: "s" });
  const saying = (text: string): readonly Message[] =>
    fromFormat([{ id: "m1", role: "user", parts: [{ type: "text", text }] }], "ai-sdk-ui");
  await session.append({ input: saying("x".repeat(1500)) });
  await session.write({
    turns: { from: 1, amends: true, turns: [{ input: saying("y".repeat(1500)) }] },
    onto: session.info.version,
  });
  await using turn = await session.begin("More");
  await turn.write({ message: { ...saying("z".repeat(1500))[0], role: "assistant" } });
  await turn.seal();
  const text = JSON.stringify(await place.sessions.snapshot("s"));
  await place.sessions.restore(text, { onExists: "replace" });
  const restored = await place.sessions.get("s");
  assert.equal((await Array.fromAsync(restored.turns())).length, 2);
  const large = restored.append({ input: saying("x".repeat(2500)) });
  await assert.rejects(large, (error: SessionError<"turn_too_large">) => {
    assert.equal(error.code, "turn_too_large");
    assert.ok(error.details.bytes > 2500 && error.details.bytes < 3000, String(error.details.bytes));
    return true;
  });
  const [message] = saying("x");
  const aside = { ...message, role: "user" as const, native: { format: "f", version: 1, value: "x".repeat(2000) } };
  await assert.rejects(restored.append({ input: [aside] }), { code: "turn_too_large" });
});

test("a turn over its limit, too many operations, a full queue: typed errors with the limit, and nothing written", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 1000, pendingMax: 3 } });
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects(session.append({ input: "x".repeat(1000) }), (error: { code: string; details: object }) => {
    assert.equal(error.code, "turn_too_large");
    assert.partialDeepStrictEqual(error.details, { sessionId: "s", bytesMax: 1000 });
    return true;
  });
  await assert.rejects(session.append({ input: "€".repeat(400) }), { code: "turn_too_large" }, "bytes, not characters");
  await assert.rejects(session.begin("x".repeat(1000)), { code: "turn_too_large" });
  assert.equal((await place.sessions.get("s")).info.turn, 0);
  const asked = Array.from({ length: 5 }, (_, index) => session.append({ input: `${index}` }));
  const codes = (await Promise.allSettled(asked)).map((one) =>
    one.status === "fulfilled" ? "ok" : (one.reason as { code: string }).code,
  );
  assert.deepEqual(codes, ["ok", "ok", "ok", "queue_full", "queue_full"]);
  assert.equal((await session.append({ input: "room again" })).seq, 4);
});

test("counters equal the sums over the log", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "no answer" });
  await session.append({
    input: "one",
    output: "two",
    usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 },
    durationMs: 50,
  });
  await session.append({ input: "bad", status: "failed", durationMs: 20, requests: 3 });
  const turn = await session.begin("streamed");
  await place.clock.advance(70);
  await turn.write({ text: "yes" });
  await turn.seal({ usage: { inputTokens: 5, outputTokens: 5, totalTokens: 10 } });
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(session.info.counters, countAll(turns));
  assert.deepEqual(session.info.counters, {
    turns: 4,
    messages: 6,
    requests: 5,
    inputTokens: 6,
    outputTokens: 7,
    totalTokens: 13,
    durationMs: 140,
    longestMs: 70,
  });
});

test("a turn that would spoil the counters or the log is refused", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const wrong: unknown[] = [
    { input: "" },
    { input: " \n" },
    { input: { role: "robot", content: "x" } },
    { input: [null] },
    { input: "x", output: { role: "assistant", tool_calls: [{ id: 1 }] } },
    { input: "x", usage: { inputTokens: -1, outputTokens: 0, totalTokens: 0 } },
    { input: "x", usage: { inputTokens: 0.5, outputTokens: 0, totalTokens: 0 } },
    { input: "x", durationMs: Number.NaN },
    { input: "x", durationMs: -5 },
    { input: "x", requests: -1 },
    { input: "x", requests: 1.5 },
    { input: "x", status: "open" },
    { input: "x", status: "finished" },
  ];
  for (const turn of wrong) {
    await assert.rejects(
      session.append(turn as TurnInput),
      ({ code }: { code: string }) => code === "message_invalid" || code === "argument_invalid",
      JSON.stringify(turn),
    );
  }
  await assert.rejects(session.append({ input: "x" }, { key: "" }), { code: "id_invalid" });
  await assert.rejects(session.begin("x", { key: "" }), { code: "id_invalid" });
  assert.equal((await place.sessions.get("s")).info.version, session.info.version);
  assert.equal(session.info.turn, 0);
});

test("removing a session while it is read ends in session_not_found or in nothing more, never in half a turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "one" });
  await session.remove();
  await assert.rejects(inputsOf(session), { code: "session_not_found" });
});

test("a key that comes back with another status, usage, model or count of calls is reused", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = { input: "q", output: "a", model: "m", usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 } };
  await session.append(turn, { key: "k" });
  const again = await place.sessions.get("s");
  assert.equal((await again.append(turn, { key: "k" })).seq, 1);
  const others: Partial<TurnInput>[] = [
    { status: "failed" },
    { usage: { inputTokens: 1, outputTokens: 2, totalTokens: 4 } },
    { model: "n" },
    { requests: 2 },
  ];
  for (const other of others)
    await assert.rejects(
      again.append({ ...turn, ...other }, { key: "k" }),
      { code: "key_reused" },
      JSON.stringify(other),
    );
  const { model: _, usage: _usage, ...bare } = turn;
  await assert.rejects(again.append(bare, { key: "k" }), { code: "key_reused" });
});

test("a retry of a turn without a model finds the turn for which an earlier version counted one call", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = { input: "q", output: "a" };
  await session.append({ ...turn, requests: 1 }, { key: "k" });
  assert.equal((await session.append(turn, { key: "k" })).seq, 1);
  await assert.rejects(session.append({ ...turn, requests: 2 }, { key: "k" }), { code: "key_reused" });
});

test("an appended usage is completed or estimated, and its budget is charged", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", budget: { tokens: 100 } });
  const completed = await session.append({ input: "q", output: "a", usage: { inputTokens: 40, outputTokens: 20 } });
  assert.deepEqual(completed.usage, { inputTokens: 40, outputTokens: 20, totalTokens: 60 });
  const guessed = await session.append({
    input: "q",
    output: "a",
    usage: { inputTokens: 90, outputTokens: Number.NaN },
  });
  assert.equal(guessed.usage?.estimated, true);
  assert.equal(session.info.counters.totalTokens, 60 + (guessed.usage?.totalTokens ?? 0));
  await assert.rejects(session.append({ input: "q" }), { code: "budget_exceeded" });
});

test("usage that cannot be summed is refused as an argument", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const wrong: Partial<TurnInput>[] = [
    { usage: { inputTokens: 2 ** 53, outputTokens: 0 } },
    { usage: { inputTokens: "3" as never, outputTokens: 0 } },
    { durationMs: 1.7e308 },
    { model: "" },
    { model: "m\u0000" },
    { model: 5 as never },
  ];
  for (const one of wrong)
    await assert.rejects(session.append({ input: "q", ...one }), { code: "argument_invalid" }, JSON.stringify(one));
  assert.equal(session.info.turn, 0);
});
