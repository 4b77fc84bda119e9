/** `WebSocketChatTransport` of the package `ai`, and the contexts of other packages for resumable streams. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { convertToModelMessages, streamText, WebSocketChatTransport, type UIMessage } from "ai";
import {
  createResumableStreamContext as createAssistantContext,
  type ResumableStreamStore as StoreOfPackage,
} from "assistant-stream/resumable";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import type { ResumableStreamContext as ContextOfPackage } from "resumable-stream/generic";
import {
  chats,
  createResumableStreamContext,
  createResumableStreamStore,
  type Chats,
  type ChatSocket,
} from "../../../src/adapters/ai.ts";
import { inMemory } from "../../support/in-memory.ts";
import { Client, fed, isCode, scripted, words } from "./chat-client.ts";

/** A socket without a network: the texts of both sides, in order. */
function socketsOf(store: Chats<UIMessage>, model: ReturnType<typeof scripted>): { make: unknown; drop: () => void } {
  const open = new Set<{ close(): void }>();
  class Socket {
    readyState = 0;
    bufferedAmount = 0;
    onopen: (() => void) | null = null;
    onmessage: ((event: { data: string }) => void) | null = null;
    onclose: ((event: object) => void) | null = null;
    onerror: (() => void) | null = null;
    readonly #chat: ChatSocket<UIMessage>;
    constructor() {
      this.#chat = store.socket({
        send: (data) => this.onmessage?.({ data }),
        answer: async ({ messages, signal }) =>
          streamText({ model, messages: await convertToModelMessages(messages), abortSignal: signal }),
      });
      open.add(this);
      queueMicrotask(() => {
        this.readyState = 1;
        this.onopen?.();
      });
    }
    send(text: string): void {
      void this.#chat.receive(text);
    }
    close(): void {
      this.readyState = 3;
      open.delete(this);
      void this.#chat.close();
      this.onclose?.({ code: 1006 });
    }
  }
  return { make: Socket, drop: () => open.forEach((socket) => socket.close()) };
}

const textOf = (message: UIMessage | undefined): string =>
  (message?.parts ?? []).flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await tick();
}

test("a chat over a socket: an answer outlives its socket, is resumed as a whole elsewhere, and aborted by its client", async () => {
  await using place = inMemory();
  const first = fed();
  const second = fed();
  const model = scripted([first.stream, second.stream]);
  const one = socketsOf(chats<UIMessage>(place.sessions), model);
  const other = socketsOf(chats<UIMessage>(place.another()), model);
  const transport = (webSocket: unknown): WebSocketChatTransport<UIMessage> =>
    new WebSocketChatTransport({ url: "ws://chat.example/", webSocket: webSocket as never });
  const client = new Client({ id: "c", transport: transport(one.make) });
  const sent = client.sendMessage({ text: "Count" });
  const parts = words("one ", "two");
  for (const part of parts.slice(0, 4)) first.feed.enqueue(part);
  await until(() => textOf(client.lastMessage) === "one ");
  one.drop();
  await sent;
  assert.match(String(client.error), /closed/);
  const page = new Client({ id: "c", transport: transport(other.make), messages: client.messages });
  const resumed = page.resumeStream();
  await until(() => page.status === "streaming");
  for (const part of parts.slice(4)) first.feed.enqueue(part);
  first.feed.close();
  await resumed;
  assert.equal(page.messages.length, 2);
  assert.equal(textOf(page.lastMessage), "one two");
  await page.resumeStream();
  assert.equal(page.status, "ready", "no answer runs");

  const aborted = page.sendMessage({ text: "Again" });
  for (const part of parts.slice(0, 4)) second.feed.enqueue(part);
  await until(() => textOf(page.lastMessage) === "one ");
  await page.stop();
  await aborted;
  await until(async () => (await chats(place.another()).open("c")).session.info.lease === null);
  const turns = await Array.fromAsync((await place.another().get("c")).turns());
  assert.deepEqual(
    turns.map(({ status, output }) => [status, output[0]?.content]),
    [
      ["done", "one two"],
      ["interrupted", "one "],
    ],
  );
  const frames: { type: string; errorText?: string }[] = [];
  const socket = chats<UIMessage>(place.sessions).socket({
    send: (text) => frames.push(JSON.parse(text) as { type: string }),
    answer: () => assert.fail("no model is called"),
    open: { user: "mallory" },
  });
  await assert.rejects(socket.receive("{"), (error) => isCode(error, "request_invalid"));
  await assert.rejects(socket.receive('{"type":"send","requestId":"r"}'), { code: "request_invalid" });
  const messages = [{ id: "m", role: "user", parts: [{ type: "text", text: "Hi" }] }];
  await socket.receive(JSON.stringify({ type: "send", requestId: "r", id: "c", trigger: "submit-message", messages }));
  await socket.receive(JSON.stringify({ type: "resume", requestId: "s", id: "c" }));
  assert.deepEqual(
    frames.map(({ type }) => type),
    ["error", "no-active"],
    "the chat of no user is not that of a user",
  );
});

test("the types of both packages take the context and the store", async () => {
  await using place = inMemory();
  const context: ContextOfPackage = createResumableStreamContext({ sessions: place.sessions, waitUntil: null });
  const store: StoreOfPackage = createResumableStreamStore(place.sessions);
  assert.equal(await context.hasExistingStream("s"), null);
  assert.equal(await store.status("s"), "missing");
});

test("assistant-stream's own context runs a stream once, resumes it in another process, and reports its failure", async () => {
  await using place = inMemory();
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  const read = async (stream: ReadableStream<Uint8Array> | null): Promise<string> =>
    await new Response(stream ?? assert.fail("no stream")).text();
  const context = createAssistantContext({ store: createResumableStreamStore(place.sessions) });
  const elsewhere = createAssistantContext({ store: createResumableStreamStore(place.another()) });
  const { stream, feed } = fed();
  const first = read(await context.run("s", () => stream));
  feed.enqueue(encode("one "));
  const second = read(await elsewhere.run("s", () => assert.fail("made twice")));
  feed.enqueue(encode("two"));
  feed.close();
  assert.deepEqual(await Promise.all([first, second]), ["one two", "one two"]);
  assert.equal(await read(await elsewhere.resume("s")), "one two", "a finished stream is replayed");
  const failing = fed();
  const reading = read(await context.run("f", () => failing.stream));
  failing.feed.enqueue(encode("half"));
  await tick();
  failing.feed.error(new Error("the model is gone"));
  await assert.rejects(reading, /the model is gone/);
});
