/** Who watches a session is told of everything, once and in order, whoever commits it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import type { SessionNews } from "./watch.ts";

/** In a few words. */
function told(news: SessionNews): string {
  if (news.type === "turn") return `${news.turn.status} ${news.turn.seq}`;
  if (news.type === "truncated") return `truncated ${news.after}`;
  return `chunk ${news.turn}.${news.seq} ${"text" in news.chunk ? news.chunk.text : news.chunk.message.role}`;
}

async function take(source: AsyncIterator<SessionNews>, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    const { value, done } = await source.next();
    if (done === true) break;
    taken.push(told(value));
  }
  return taken;
}

test("turns of another process are told as they come, after those that stand already", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "one" });
  await session.append({ input: "two" });
  const other = await place.another().get("s");
  const watching = other.watch({ after: 0 })[Symbol.asyncIterator]();
  assert.deepEqual(await take(watching, 2), ["done 1", "done 2"]);
  const next = take(watching, 1);
  await session.append({ input: "three" });
  assert.deepEqual(await next, ["done 3"]);
  await watching.return?.();
});

test("by default only what comes after what this object has seen is told", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  await session.append({ input: "one" });
  assert.deepEqual(await take(other.watch()[Symbol.asyncIterator](), 1), ["done 1"]);
});

test("an answer is told piece by piece: opened, its pieces, finished", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const watching = (await place.another().get("s")).watch()[Symbol.asyncIterator]();
  const turn = await session.begin("hello");
  assert.deepEqual(await take(watching, 1), ["open 1"]);
  await turn.write({ text: "a" });
  assert.deepEqual(await take(watching, 1), ["chunk 1.1 a"]);
  await turn.write({ text: "b" });
  await turn.write({ message: { role: "assistant", content: null, tool_calls: [] } });
  assert.deepEqual(await take(watching, 2), ["chunk 1.2 b", "chunk 1.3 assistant"]);
  await turn.seal();
  assert.deepEqual(await take(watching, 1), ["done 1"]);
  await watching.return?.();
});

test("who comes back goes on at the piece after the last one it had", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const watcher = await place.another().get("s");
  const turn = await session.begin("hello");
  const first = watcher.watch()[Symbol.asyncIterator]();
  await turn.write({ text: "a" });
  assert.deepEqual(await take(first, 2), ["open 1", "chunk 1.1 a"]);
  await turn.write({ text: "b" });
  assert.deepEqual(await take(first, 1), ["chunk 1.2 b"]);
  await first.return?.();
  const second = watcher.watch({ after: 0, afterChunk: 1 })[Symbol.asyncIterator]();
  assert.deepEqual(await take(second, 1), ["chunk 1.2 b"]);
  await turn.seal();
  assert.deepEqual(await take(second, 1), ["done 1"]);
  await second.return?.();
});

test("more pieces at once than one look brings are all told, in order", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("hello");
  const message = { role: "tool", content: "x", tool_call_id: "c" } as const;
  for (let index = 0; index < 300; index++) await turn.write({ message });
  await session.refresh(); // behind what was written
  await turn.seal({ status: "failed" });
  const long = await session.begin("again");
  for (let index = 0; index < 300; index++) await long.write({ message });
  await long.write({ text: "." });
  const watching = session.watch({ after: 1 })[Symbol.asyncIterator]();
  const all = await take(watching, 302);
  assert.deepEqual(all, [
    "open 2",
    ...Array.from({ length: 300 }, (_, index) => `chunk 2.${index + 1} tool`),
    "chunk 2.301 .",
  ]);
  await watching.return?.();
  await long.seal();
});

test("turns that are taken back are told, and what comes in their place", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const input of ["one", "two", "three"]) await session.append({ input });
  const watching = session.watch({ after: 0 })[Symbol.asyncIterator]();
  await take(watching, 3);
  const next = take(watching, 1);
  await session.truncate(1);
  assert.deepEqual(await next, ["truncated 1"]);
  await session.append({ input: "other" });
  assert.deepEqual(await take(watching, 1), ["done 2"]);
  await watching.return?.();
});

test("watching ends with the session, with the signal, and with an error where the session is removed", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const ending = take(session.watch()[Symbol.asyncIterator](), 9);
  await session.append({ input: "one" });
  await session.end();
  assert.deepEqual(await ending, ["done 1"]);

  const other = await place.sessions.create({ id: "t" });
  const stop = new AbortController();
  const stopping = take(other.watch({ signal: stop.signal })[Symbol.asyncIterator](), 1);
  stop.abort();
  assert.deepEqual(await stopping, []);
  assert.deepEqual(await take(other.watch({ signal: stop.signal })[Symbol.asyncIterator](), 1), []);

  const watching = take(other.watch()[Symbol.asyncIterator](), 1);
  await Promise.all([assert.rejects(watching, { code: "session_not_found" }), other.remove()]);
});

test("what a change of another process gives no hint of is seen all the same", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.watch = () => () => undefined;
  const watching = take(session.watch()[Symbol.asyncIterator](), 1);
  await (await place.another().get("s")).append({ input: "one" });
  assert.deepEqual(await watching, ["done 1"]);
});

test("a place to begin that is none is refused", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const options of [{ after: -1 }, { after: 0.5 }, { afterChunk: -1 }]) {
    const watching = session.watch(options)[Symbol.asyncIterator]();
    await assert.rejects(watching.next(), { code: "argument_invalid" });
  }
});
