/** Streams are counted, refused with the limit, and share what they have in common. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Model } from "../../src/index.ts";
import { OpenStreams } from "../../src/server/http/open-streams.ts";
import { createServer } from "../../src/server/index.ts";
import { coreOf, sessionsOn } from "../../src/sessions/sessions.ts";
import { inMemory } from "../support/in-memory.ts";
import { assertProblem, requestOf, serve, unlimited, type Call, type Serving } from "./serving.ts";

const device = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10";
const stream = { accept: "text/event-stream" };

/** One open stream, of which the first block has come. */
async function open(
  { server }: Pick<Serving, "server">,
  path: string,
  call: Call,
): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const response = await server.fetch(requestOf(call.body === undefined ? "GET" : "POST", path, call));
  assert.equal(response.status, 200, await (response.status === 200 ? "" : response.text()));
  const reader = response.body?.getReader() ?? assert.fail();
  await reader.read();
  return reader;
}

test("streams per device, key and session are limited; a stream that ends frees its place", async () => {
  await using place = serve({ server: { streams: { device: 1, key: 3, session: 2 } } });
  for (const id of ["a", "b"]) await (await place.sessions.create({ id })).append({ input: "q" });
  const key = await place.key("read");
  const watch = (id: string): ReturnType<typeof open> =>
    open(place, `/v1/sessions/${id}/watch?after=0`, { key, headers: stream });
  const refused = async (path: string, call: Call, scope: string, openMax: number): Promise<void> => {
    const answer = await place.call(call.body === undefined ? "GET" : "POST", path, call);
    assertProblem(answer, 429, "streams_full");
    assert.match(answer.text, new RegExp(`this ${scope} has ${openMax} open streams, the limit is ${openMax}`));
  };
  const streams = [await watch("a"), await watch("a")];
  await refused("/v1/sessions/a/watch", { key, headers: stream }, "session", 2);
  streams.push(await watch("b"));
  await refused("/v1/sessions/b/watch", { key, headers: stream }, "key", 3);
  await streams.pop()?.cancel();
  streams.push(await watch("b"));
  for (const one of streams) await one.cancel();
});

test("a question whose stream exceeds the limit is refused before a model is called", async () => {
  let asked = 0;
  const gate = Promise.withResolvers<void>();
  const model: Model = async function* () {
    asked++;
    yield { type: "text", text: "word" };
    await gate.promise;
  };
  await using place = serve({ model, server: { streams: { device: 1 } } });
  const first = await open(place, "/v1/chat", { device, headers: stream, body: { message: "q" } });
  const second = await place.call("POST", "/v1/chat", { device, headers: stream, body: { message: "another" } });
  assertProblem(second, 429, "streams_full");
  assert.equal(asked, 1);
  gate.resolve();
  while (!(await first.read()).done);
  await (await open(place, "/v1/chat", { device, headers: stream, body: { message: "again" } })).cancel();
});

test("all streams of a session share one check of its writer per second, and leave nothing behind", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  let recovered = 0;
  const counted = Object.assign(Object.create(session) as typeof session, {
    recover: () => Promise.resolve(recovered++ > 0),
  });
  Object.defineProperties(counted, { id: { value: "s" }, info: { value: session.info } });
  const streams = new OpenStreams({});
  const stops = Array.from({ length: 200 }, () => streams.recover(counted));
  t.mock.timers.tick(5000);
  assert.equal(recovered, 5);
  for (const stop of stops) {
    stop();
    stop();
  }
  t.mock.timers.tick(5000);
  assert.equal(recovered, 5);
  assert.equal(streams.size, 0);
});

test("200 streams of one answer cost at most 6 calls of the store a second, and the same bytes of each event", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  await using place = inMemory({ secret: "a secret of a test" });
  const session = await place.sessions.devices.open(device);
  const turn = await session.begin("q", { key: "k" });
  await turn.write({ text: "x".repeat(9000) });
  let calls = 0;
  const counted = new Proxy(place.shared, {
    get(store, name) {
      // Another process writes the answer, so the store gives no hints.
      if (name === "watch") return () => () => undefined;
      const member: unknown = Reflect.get(store, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => (calls++, Reflect.apply(member, store, args) as unknown);
    },
  });
  const model: Model = () => assert.fail("the answer is another process's");
  const sessions = sessionsOn(counted, { clock: place.clock, sweep: false, secret: "a secret of a test", model });
  const server = createServer({ sessions, rates: unlimited, streams: { device: 200 } });
  const again = { device, body: { message: "q" }, headers: { ...stream, "idempotency-key": "k" } };
  const readers = await Promise.all(
    Array.from({ length: 100 }, () => [
      open({ server }, "/v1/chat", again),
      open({ server }, "/v1/chat/stream?lastEventId=1-0", { device, headers: stream }),
    ]).flat(),
  );
  const blocks = new Set<Uint8Array>();
  const seconds = 5;
  calls = 0;
  for (let quarter = 0; quarter < 4 * seconds; quarter++) {
    if (quarter % 2 === 0) await turn.write({ text: "x".repeat(9000) });
    t.mock.timers.tick(250);
    await place.clock.advance(250);
  }
  assert.ok(calls > 0 && calls <= 6 * seconds, `${calls} calls in ${seconds} seconds`);
  for (let block = 1; block < 2 * seconds; block++)
    for (const reader of readers) blocks.add((await reader.read()).value ?? assert.fail());
  // The first block of a repeated request is its turn, so it is one chunk behind.
  assert.equal(blocks.size, 2 * seconds);
  await Promise.all(readers.map((reader) => reader.cancel()));
  await turn.seal();
  await server.stop();
  await sessions.close();
});

test("a watch ends when its reader leaves", async () => {
  await using place = serve();
  await (await place.sessions.create({ id: "s" })).append({ input: "q" });
  const key = await place.key("read");
  const readers = await Promise.all(
    Array.from({ length: 50 }, () => open(place, "/v1/sessions/s/watch?after=0", { key, headers: stream })),
  );
  assert.equal(coreOf(place.sessions).poller.size, 1);
  for (const reader of readers) await reader.cancel();
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(coreOf(place.sessions).poller.size, 0);
});
