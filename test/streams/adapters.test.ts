/** Thin adapters on `sessions.streams`: what their frameworks' contracts promise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../support/in-memory.ts";
import { createResumableStreamStore } from "../../src/adapters/resumable/assistant-stream.ts";
import { handleFrame, type ServerFrame } from "./channel.ts";
import { createResumableStreamContext } from "../../src/adapters/resumable/resumable-stream.ts";

/** A stream that its test feeds. */
function source(): { readonly stream: ReadableStream<string>; readonly feed: ReadableStreamDefaultController<string> } {
  let feed: ReadableStreamDefaultController<string> | undefined;
  const stream = new ReadableStream<string>({ start: (controller) => void (feed = controller) });
  return { stream, feed: feed ?? assert.fail() };
}

async function textOf(stream: ReadableStream<string> | null | undefined): Promise<string> {
  return (await Array.fromAsync(stream ?? assert.fail("no stream"))).join("");
}

test("resumable-stream: two requests run the stream once, and both read all of it, in any process", async () => {
  await using place = inMemory();
  const pending: Promise<unknown>[] = [];
  const waitUntil = (promise: Promise<unknown>): void => void pending.push(promise);
  const context = createResumableStreamContext({ sessions: place.sessions, waitUntil });
  const other = createResumableStreamContext({ sessions: place.another(), waitUntil: null });
  assert.equal(await context.hasExistingStream("s"), null);
  assert.equal(await context.resumeExistingStream("s"), undefined);
  const { stream, feed } = source();
  const first = textOf(await context.resumableStream("s", () => stream));
  feed.enqueue("1 🙂 ");
  assert.equal(await other.hasExistingStream("s"), true);
  const second = textOf(await other.resumableStream("s", () => assert.fail("made twice")));
  const rest = textOf(await other.resumeExistingStream("s", 3));
  feed.enqueue("2\n");
  feed.close();
  assert.deepEqual(await Promise.all([first, second, rest]), ["1 🙂 2\n", "1 🙂 2\n", "1 🙂 2\n".slice(3)]);
  await Promise.all(pending);
  assert.equal(await other.hasExistingStream("s"), "DONE");
  assert.equal(await other.resumeExistingStream("s"), null);
  assert.equal(await other.resumableStream("s", () => assert.fail("made again")), null);
  const anew = source();
  const created = textOf(await other.createNewResumableStream("s", () => anew.stream));
  anew.feed.enqueue("anew");
  anew.feed.close();
  assert.equal(await created, "anew");
});

test("resumable-stream: a reader that leaves does not end the stream, and a source that fails fails its readers", async () => {
  await using place = inMemory();
  const context = createResumableStreamContext({ sessions: place.sessions, waitUntil: null });
  const { stream, feed } = source();
  const leaving = await context.resumableStream("s", () => stream);
  await leaving?.cancel();
  feed.enqueue("kept ");
  const reading = await context.resumeExistingStream("s");
  feed.error(new Error("the model is gone"));
  await assert.rejects(textOf(reading), /the model is gone/);
  assert.equal(await context.hasExistingStream("s"), "DONE");
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("assistant-stream: one producer, entries after a cursor, a lease that a later acquisition supersedes", async () => {
  await using place = inMemory();
  const store = createResumableStreamStore(place.sessions);
  const other = createResumableStreamStore(place.another());
  const { signal } = new AbortController();
  const read = async (from: typeof store, cursor: string): Promise<{ cursor: string; chunk: Uint8Array }[]> =>
    await Array.fromAsync(from.read("s", cursor, signal));
  assert.equal(await store.status("s"), "missing");
  await assert.rejects(store.finalize("s", "done"), /not found/);
  await assert.rejects(read(store, ""), { code: "stream_not_found" });
  const acquired = await store.acquireLease("s", { ttlMs: 60_000 });
  assert(acquired.role === "producer");
  assert.equal(await other.acquire("s"), "consumer");
  const live = read(other, "");
  const chunk = bytes("one");
  await store.append("s", chunk, acquired.lease);
  chunk[0] = 0;
  await store.append("s", bytes("two"), acquired.lease);
  assert.equal(await store.finalize("s", "done", undefined, acquired.lease), true);
  assert.equal(await store.finalize("s", "error", "late", acquired.lease), false);
  await assert.rejects(store.append("s", bytes("late"), acquired.lease), { code: "finalized" });
  const entries = await live;
  assert.deepEqual(
    entries.map((one) => new TextDecoder().decode(one.chunk)),
    ["one", "two"],
  );
  assert.deepEqual(await read(store, entries[0]?.cursor ?? ""), entries.slice(1));
  assert.deepEqual([await other.status("s"), await other.acquire("s")], ["done", "consumer"]);
  await other.delete("s");
  assert.equal(await other.status("s"), "missing");
  const again = await other.acquireLease("s");
  assert.equal(again.role, "producer");
  assert.equal(await store.finalize("s", "done", undefined, acquired.lease), false, "superseded");
  assert.equal(await other.status("s"), "streaming");
});

test("assistant-stream: an error is thrown after the entries, an abort and a deletion end the reader", async () => {
  await using place = inMemory();
  const store = createResumableStreamStore(place.sessions);
  await store.acquire("s");
  await store.append("s", bytes("one"));
  const stop = new AbortController();
  const aborted = store.read("s", "", stop.signal)[Symbol.asyncIterator]();
  const deleted = store.read("t", "", new AbortController().signal)[Symbol.asyncIterator]();
  await store.acquire("t");
  await store.append("t", bytes("one"));
  await Promise.all([aborted.next(), deleted.next()]);
  const ends = [aborted.next(), deleted.next()];
  stop.abort();
  await store.delete("t");
  for (const { done } of await Promise.all(ends)) assert.equal(done, true);
  await store.finalize("s", "error", "the model is gone");
  await assert.rejects(Array.fromAsync(store.read("s", "", new AbortController().signal)), /the model is gone/);
  assert.equal(await store.status("s"), "error");
});

test("a channel with sequence numbers: a client that comes back gets the frames that it missed, and aborts from anywhere", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "chat" });
  const frames: ServerFrame[] = [];
  const about = (sent: ServerFrame[], closed = new AbortController().signal): Parameters<typeof handleFrame>[1] => ({
    streams: place.another().streams,
    chat: "chat",
    send: (frame) => void sent.push(frame),
    closed,
  });
  await handleFrame({ type: "resume" }, about(frames));
  assert.deepEqual(frames.splice(0), [{ type: "no-active" }]);
  const acquired = await place.sessions.streams.acquire("run", { session: "chat", flush: { ms: 0 } });
  assert(acquired.role === "producer");
  const { stream } = acquired;
  await stream.write("a");
  const socket = new AbortController();
  const first = handleFrame({ type: "resume" }, about(frames, socket.signal));
  while (frames.length < 2) await new Promise((resolve) => setImmediate(resolve));
  socket.abort();
  await first;
  assert.deepEqual(frames, [{ type: "start" }, { type: "chunk", sequence: 1, chunk: "a" }]);
  await stream.write("b");
  const missed: ServerFrame[] = [];
  const second = handleFrame({ type: "resume", lastSequence: 1 }, about(missed));
  while (missed.length < 2) await new Promise((resolve) => setImmediate(resolve));
  const stopping = handleFrame({ type: "abort" }, about([]));
  await new Promise((resolve) => stream.signal.addEventListener("abort", resolve, { once: true }));
  await stream.end();
  await Promise.all([second, stopping]);
  assert.deepEqual(missed, [{ type: "start" }, { type: "chunk", sequence: 2, chunk: "b" }, { type: "end" }]);
});
