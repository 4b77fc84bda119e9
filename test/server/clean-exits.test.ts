/** An answer of a live session ends when its response has no reader, and is not asked for where it cannot be sent. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { connect, type RemoteSessions } from "../../src/client/index.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { startHost } from "../../src/host/index.ts";
import { createServer, type ServerOptions } from "../../src/server/index.ts";
import { requestOf, serve } from "./serving.ts";

interface Place {
  /** Sends a message to a session; the response is a stream. */
  send(id: string): Promise<Response>;
  /** The same over the client. */
  readonly client: RemoteSessions;
  /** The session answers from here on. */
  readonly gate: PromiseWithResolvers<void>;
  /** The source of the answer was closed. */
  readonly closed: Promise<void>;
  /** How many messages reached a session. */
  asked(): number;
}

async function place(t: TestContext, options: Partial<ServerOptions> = {}): Promise<Place> {
  const gate = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let asked = 0;
  const onMessage = async (): Promise<ReadableStream> => {
    asked++;
    await gate.promise;
    return new ReadableStream({ pull: (part) => part.enqueue("x"), cancel: () => closed.resolve() });
  };
  const here = serve();
  const host = await startHost(here.sessions, { runtime: { onMessage } });
  const server = createServer({ sessions: here.sessions, host, ...options });
  t.after(async () => {
    await server.stop();
    await host.close();
    await here[Symbol.asyncDispose]();
  });
  const key = await here.key("write");
  return {
    gate,
    closed: closed.promise,
    asked: () => asked,
    client: connect({
      url: "http://server.test",
      key,
      fetch: async (input, init) => await server.fetch(new Request(input, init)),
    }),
    send: async (id) => {
      const headers = { accept: "text/event-stream" };
      const body = { message: "x", create: true };
      return await server.fetch(
        requestOf("POST", `/v1/sessions/${id}/messages`, { ...defined({ key }), headers, body }),
      );
    },
  };
}

test("an answer that comes after the deadline of its request is closed", { timeout: 30_000 }, async (t) => {
  const here = await place(t, { deadline: "50ms" });
  const response = await here.send("s");
  assert.equal(response.status, 504);
  here.gate.resolve();
  await here.closed;
});

test("an answer whose reader leaves before it reads is closed", { timeout: 30_000 }, async (t) => {
  const here = await place(t);
  here.gate.resolve();
  const response = await here.send("s");
  await response.body?.cancel();
  await here.closed;
});

test("a message whose answer would exceed the limit of streams is not sent", async (t) => {
  const here = await place(t, { streams: { key: 1 } });
  here.gate.resolve();
  const first = await here.send("a");
  const second = await here.send("b");
  assert.deepEqual([first.status, second.status, here.asked()], [200, 429, 1]);
  await first.body?.cancel();
  const third = await here.send("b");
  assert.deepEqual([third.status, here.asked()], [200, 2]);
  await third.body?.cancel();
});

test("an answer that the client returns before it reads is closed", { timeout: 30_000 }, async (t) => {
  const here = await place(t);
  here.gate.resolve();
  const parts = (await here.client.send("s", "x", { create: true })) as AsyncIterableIterator<unknown>;
  await parts.return?.();
  await here.closed;
  assert.equal((await parts.next()).done, true);
});
