import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { countAll } from "../../../domain/turns/counters.ts";
import type { Message } from "../../../domain/turns/turn.ts";
import type { SessionError } from "../../../errors.ts";
import type { Model } from "../../options/model.ts";

async function chunksOf(place: ReturnType<typeof inMemory>, id = "s"): Promise<number> {
  const {
    sessions: [loaded],
  } = await place.store.load([{ key: { tenant: "default", id }, tails: [{ log: "chunks", last: 100 }] }]);
  return loaded?.tails[0]?.length ?? 0;
}

test("the input is durable when begin resolves, pieces follow, and sealing puts the turn in their place", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question", { flush: { ms: 60_000 } });
  const reader = await place.another().get("s");
  const [open] = await Array.fromAsync(reader.turns());
  assert.equal(open?.status, "open");
  assert.deepEqual(open?.input, [{ role: "user", content: "question" }]);
  assert.deepEqual(reader.info.counters, countAll([open]));
  await turn.write({ text: "x".repeat(5000) });
  assert.equal(await chunksOf(place), 0, "gathered, to write seldom");
  await turn.write({ text: "y".repeat(5000) });
  assert.equal(await chunksOf(place), 1, "texts in a row are one piece");
  await place.clock.advance(40);
  const sealed = await turn.seal();
  assert.equal(await chunksOf(place), 0);
  assert.deepEqual(sealed.output, [{ role: "assistant", content: `${"x".repeat(5000)}${"y".repeat(5000)}` }]);
  assert.equal(sealed.durationMs, 40);
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(turns, [sealed]);
  assert.deepEqual(session.info.counters, countAll(turns));
});

test("empty texts are not stored, and the answer does not have them", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  for (let count = 0; count < 1000; count++) await turn.write({ text: "" });
  await turn.write({ message: { role: "tool", tool_call_id: "a", content: "x".repeat(9000) } });
  assert.equal(await chunksOf(place), 1);
  await turn.write({ text: "" });
  assert.deepEqual(
    (await turn.seal()).output.map(({ role }) => role),
    ["tool"],
  );
});

test("a turn with more tool calls than the limit is refused, by every way of writing", async () => {
  await using place = inMemory({ limits: { toolCallsMax: 3 } });
  const session = await place.sessions.create({ id: "s" });
  const call = { id: "a", function: { name: "f", arguments: "{}" } };
  const asking = (count: number): Message => ({
    role: "assistant",
    tool_calls: Array.from({ length: count }, () => call),
  });
  const refused = { code: "turn_parts_exceeded", details: { part: "toolCalls", count: 4, countMax: 3 } };
  const isRefused = (error: unknown): boolean => {
    const { code, details } = error as SessionError<"turn_parts_exceeded">;
    const { part, count, countMax } = details;
    assert.deepEqual({ code, details: { part, count, countMax } }, refused);
    return true;
  };
  await assert.rejects(session.append({ input: "q", output: [asking(2), asking(2)] }), isRefused);
  await assert.rejects(session.append({ input: asking(2), output: asking(2) }), isRefused);
  await assert.rejects(session.begin([asking(4)]), isRefused);
  await session.append({ input: "q", output: [asking(2), asking(1)] });

  const turn = await session.begin([asking(1)]);
  await turn.write({ message: asking(2) });
  await assert.rejects(turn.write({ message: asking(1) }), isRefused);
  assert.deepEqual((await turn.seal()).output, [asking(2)], "what was written before stays");

  const other = await session.begin("q");
  await assert.rejects(other.seal({ output: [asking(4)] }), isRefused);
  const sealed = (await Array.fromAsync(session.turns())).at(-1);
  assert.deepEqual([sealed?.status, sealed?.output, sealed?.error?.code], ["failed", [], "turn_parts_exceeded"]);
  assert.equal((await session.append({ input: "next" })).seq, 4, "the session goes on");
});

test("an answer has at most as many stored chunks as the limit, and texts of one write are one chunk", async () => {
  await using place = inMemory({ limits: { chunksMax: 3 } });
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  for (let count = 0; count < 100; count++) await turn.write({ text: "word ".repeat(10) });
  for (let count = 0; count < 2; count++) await turn.write({ text: "x".repeat(9000) });
  assert.equal(await chunksOf(place), 2);
  await turn.write({ text: "x".repeat(9000) });
  await assert.rejects(turn.write({ text: "x".repeat(9000) }), (error) => {
    const { code, details, message } = error as SessionError<"turn_parts_exceeded">;
    assert.equal(code, "turn_parts_exceeded");
    assert.partialDeepStrictEqual(details, { part: "chunks", count: 4, countMax: 3 });
    assert.match(message, /raise limits\.chunksMax/);
    return true;
  });
  assert.equal(await chunksOf(place), 3);
  assert.equal((turn.signal.reason as SessionError).code, "turn_parts_exceeded");
  await turn.seal({ status: "failed" });
});

test("a turn with steps over the limit is sealed without them", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 2000 } });
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 };
  const steps = Array.from({ length: 100 }, () => ({ usage, durationMs: 1 }));
  await assert.rejects(turn.seal({ output: [], steps, usage }), { code: "turn_too_large" });
  const [sealed] = await Array.fromAsync(session.turns());
  assert.deepEqual([sealed?.status, sealed?.usage, sealed?.steps], ["failed", usage, undefined]);
  assert.equal((await session.append({ input: "next" })).seq, 2, "the session goes on");
});

test("a buffered piece is written after a short delay", { timeout: 60_000 }, async () => {
  await using place = inMemory();
  const turn = await (await place.sessions.create({ id: "s" })).begin("question");
  await turn.write({ text: "word" });
  while ((await chunksOf(place)) === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await chunksOf(place), 1);
  await turn.seal();
});

test("chunks are written after the time or the length that the caller named", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question", { flush: { ms: 60_000, length: 10 } });
  await turn.write({ text: "x".repeat(9) });
  assert.equal(await chunksOf(place), 0);
  await turn.write({ text: "y" });
  assert.equal(await chunksOf(place), 1, "ten characters");
  await turn.seal();
  const refused: readonly [object, string][] = [
    [{ ms: -1 }, "flush.ms"],
    [{ ms: 60_001 }, "flush.ms"],
    [{ length: 0 }, "flush.length"],
    [{ milliseconds: 5 }, "flush"],
  ];
  for (const [flush, name] of refused) {
    await assert.rejects(session.begin("question", { flush }), isRefusedBy(name));
    await assert.rejects(session.consult("question", { flush, model: async function* () {} }), isRefusedBy(name));
  }
  assert.equal((await session.refresh()).turn, 1, "nothing was written");
});

function isRefusedBy(name: string): (error: unknown) => boolean {
  return (error) => (error as SessionError<"argument_invalid">).details.name === name;
}

test("while a write of chunks is under way, later chunks gather for one more write", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question", { flush: { ms: 60_000, length: 1 } });
  const hold = Promise.withResolvers<void>();
  const commits: number[] = [];
  const commit = place.store.commit.bind(place.store);
  place.store.commit = async (batch) => {
    commits.push(batch.length);
    await hold.promise;
    return await commit(batch);
  };
  const writes = Array.from({ length: 50 }, (_, index) => turn.write({ text: `${index} ` }));
  await new Promise((resolve) => setImmediate(resolve));
  hold.resolve();
  await Promise.all(writes);
  assert.ok(commits.length <= 2, `${commits.length} commits`);
  const text = Array.from({ length: 50 }, (_, index) => `${index} `).join("");
  assert.deepEqual((await turn.seal()).output, [{ role: "assistant", content: text }]);
});

test("readers get parts in order, and a dead writer's turn is sealed with what the parts said", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question", { flush: { ms: 0 } });
  const parts = [
    { part: { type: "start", id: "m1" } },
    { part: { type: "text-delta", delta: "It is " }, said: "It is " },
    { part: new Uint8Array([1, 2, 3]) },
    { part: null, said: "lost." },
  ];
  for (const part of parts) await turn.write(part);
  const reader = await place.another().get("s");
  const read: unknown[] = [];
  for await (const news of reader.watch({ after: 0 })) {
    if (news.type === "chunk") read.push(news.chunk);
    if (read.length === parts.length) break;
  }
  assert.deepEqual(read, parts);
  const running = await reader.running();
  await place.clock.advance(60_000);
  const other = await place.another().get("s");
  assert.equal(await other.recover(), true);
  const [sealed] = await Array.fromAsync(other.turns());
  assert.deepEqual([sealed?.status, sealed?.output], ["interrupted", [{ role: "assistant", content: "It is lost." }]]);
  const received: string[] = [];
  await assert.rejects(
    async () => {
      for await (const event of running?.events() ?? []) received.push(event.type === "text" ? event.text : event.type);
    },
    { code: "interrupted" },
  );
  assert.ok(received.join("").replaceAll("part", "").endsWith("lost."), received.join(" "));
});

test("a part that cannot be stored, or that says no text, is refused before it is added", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  await assert.rejects(turn.write({ part: { at: Number.NaN } }), { code: "value_unstorable" });
  await assert.rejects(turn.write({ part: 1, said: 2 } as never), { code: "argument_invalid" });
  await assert.rejects(turn.write({ part: undefined } as never), { code: "message_invalid" });
  await turn.write({ part: { type: "text" }, said: "whole" });
  assert.deepEqual((await turn.seal()).output, [{ role: "assistant", content: "whole" }]);
});

test("sealing again returns the turn that was sealed first, and a sealed turn refuses pieces", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  const [first, second] = await Promise.all([turn.seal({ output: [] }), turn.seal({ status: "failed" })]);
  assert.deepEqual(second, first);
  await assert.rejects(turn.write({ text: "late" }), { code: "turn_not_open" });
  assert.equal((await session.append({ input: "next" })).seq, 2);
});

test("one turn at a time: while one is in progress its session takes no other", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  await assert.rejects(session.begin("another"), { code: "turn_open" });
  await assert.rejects(session.append({ input: "another" }), { code: "turn_open" });
  await assert.rejects(session.truncate(0), { code: "turn_open" });
  await assert.rejects(session.end(), { code: "turn_open" });
  await turn.seal();
  await session.end();
});

test("a turn that is dropped unsealed is sealed as interrupted, with a marked result for each dangling tool call", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  {
    await using turn = await session.begin("question");
    await turn.write({
      message: { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "" } }] },
    });
  }
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "interrupted");
  assert.equal(turn?.output.at(-1)?.["synthetic"], true);
  assert.equal(turn?.output.at(-1)?.tool_call_id, "c");
  assert.equal(session.info.lease, null);
  await session.append({ input: "next" });
});

test("a done turn may end with a call that its caller runs", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  await turn.write({
    message: { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "" } }] },
  });
  assert.equal((await turn.seal()).output.length, 1);
});

test("a turn that another process cancelled is aborted at its next written piece", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  const other = await place.another().get("s");
  const cancelling = other.cancel();
  await other.touch();
  await turn.write({ text: "x".repeat(9000) });
  assert(turn.signal.aborted);
  await assert.rejects(turn.write({ text: "more" }), { code: "interrupted" });
  await turn.seal({ status: "interrupted" });
  assert.equal(await cancelling, true);
  assert.equal(session.info.turn, 1);
});

test("a cancel resolves once the turn of the answer is sealed", async () => {
  const model: Model = async function* ({ signal }) {
    yield { type: "text", text: "word" };
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  for (const canceller of [session, other]) {
    const answer = await session.consult("question");
    assert.equal(await canceller.cancel(), true);
    const [turn] = await Array.fromAsync(canceller.turns({ last: 1 }));
    assert.deepEqual([turn?.status, turn?.output[0]?.content], ["interrupted", "word"]);
    await assert.rejects(answer.done, { code: "interrupted" });
    assert.equal(await canceller.cancel(), false);
  }
});

test("a silent turn is aborted when it is cancelled or superseded", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  assert.equal(await (await place.another().get("s")).breakLease(), true);
  await new Promise((resolve) => turn.signal.addEventListener("abort", resolve));
  assert.equal((turn.signal.reason as { code: string }).code, "fenced");
  await assert.rejects(turn.seal(), { code: "fenced" });
});

test("a turn runs to its end if its session expires meanwhile", async () => {
  await using place = inMemory({ ttl: "1s" });
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  await place.clock.advance(5000);
  await turn.write({ text: "x".repeat(9000) });
  assert.equal((await turn.seal()).status, "done");
  assert.equal((await place.sessions.get("s")).info.state, "active", "its end was a sign of life");
});

test("a turn of a removed session ends with session_not_found, and closing does not throw it", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("question");
  await (await place.another().get("s")).remove();
  await assert.rejects(turn.seal(), { code: "session_not_found" });
  await place.sessions.close();
});
