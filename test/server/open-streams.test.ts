/** Streams are counted, refused with the limit, and share what they have in common. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Model } from "../../src/index.ts";
import { OpenStreams } from "../../src/server/http/open-streams.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { inMemory } from "../support/in-memory.ts";
import { assertProblem, requestOf, serve, type Call, type Serving } from "./serving.ts";

const device = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10";
const stream = { accept: "text/event-stream" };

/** One open stream, of which the first block has come. */
async function open({ server }: Serving, path: string, call: Call): Promise<ReadableStreamDefaultReader<Uint8Array>> {
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
