/** A session's time may be up while its last answer still runs: readers get that answer to its end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { Model } from "../../src/index.ts";
import { connect } from "../../src/client/index.ts";
import { createServer } from "../../src/server/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { inMemory } from "../support/in-memory.ts";
import { assertProblem, callOn, eventsOf, requestOf, unlimited, type Call } from "./serving.ts";

test("every way to read an answer reads it to its end after the session's time is up", async () => {
  const gate = Promise.withResolvers<void>();
  const model: Model = async function* () {
    yield { type: "text", text: "first " };
    await gate.promise;
    yield { type: "text", text: "last" };
  };
  await using place = inMemory({ model, maxAge: "10s", secret: "a secret of a test" });
  const server = createServer({ sessions: place.sessions, rates: unlimited });
  const { token: key } = await place.sessions.keys.create({ name: "reader", right: "read", tenant: "default" });
  const device = randomUUID();
  const stream = { accept: "text/event-stream" };
  const again = { "idempotency-key": "k" };
  const asked: Call = { device, body: { message: "q" }, headers: again };
  const read = async (method: string, path: string, call: Call): Promise<string> => {
    const response = await server.fetch(requestOf(method, path, call));
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return text;
  };
  const readers = (id: string): Promise<string>[] => [
    read("POST", "/v1/chat", { ...asked, headers: { ...again, ...stream } }),
    read("GET", "/v1/chat/stream?lastEventId=1-0", { device, headers: stream }),
    read("GET", `/v1/sessions/${id}/watch?after=0`, { key, headers: stream }),
  ];
  const first = server.fetch(requestOf("POST", "/v1/chat", { ...asked, headers: { ...again, ...stream } }));
  const producer = (await first).text();
  const [session] = (await place.sessions.list()).items;
  assert.ok(session !== undefined);
  const watched = connect({
    url: "http://server.test",
    key,
    fetch: async (url, init) => await server.fetch(new Request(url, init)),
  });
  const news = (await watched.get(session.id)).watch({ after: 0 });
  const [opened] = [await news.next()];
  const before = [...readers(session.id), read("POST", "/v1/chat", asked)];
  while (coreOf(place.sessions).poller.size === 0) await settled();
  await place.clock.advance(20_000);
  assert.equal((await place.sessions.get(session.id)).info.state, "expired");
  const after = [...readers(session.id), read("POST", "/v1/chat", asked)];
  const other = await callOn(server, "POST", "/v1/chat", { device, body: { message: "another" } });
  assertProblem(other, 409, "busy");
  await settled();
  gate.resolve();
  for (const text of await Promise.all([producer, ...before, ...after])) {
    if (text.startsWith("{")) {
      assert.equal((JSON.parse(text) as { text: string }).text, "first last");
      continue;
    }
    const events = eventsOf(text);
    const last = events.at(-1);
    assert.ok(last?.event === "done" || last?.event === "turn", text);
    const { turn } = last.data as { turn: { status: string; output: unknown } };
    assert.deepEqual([turn.status, turn.output], ["done", [{ role: "assistant", content: "first last" }]]);
  }
  const types: string[] = [opened.value?.type ?? ""];
  for await (const one of news) types.push(one.type === "turn" ? one.turn.status : one.type);
  assert.deepEqual([types[0], types.at(-1)], ["turn", "done"]);
  await server.stop();
});

test("a device cancels the answer of a session whose time is up, and then gets a fresh session", async () => {
  const model: Model = async function* ({ signal }) {
    yield { type: "text", text: "first" };
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  };
  await using place = inMemory({ model, maxAge: "10s", secret: "a secret of a test" });
  const server = createServer({ sessions: place.sessions, rates: unlimited });
  const device = randomUUID();
  const asked = callOn(server, "POST", "/v1/chat", { device, body: { message: "q" } });
  while (coreOf(place.sessions).turns.size === 0) await settled();
  await place.clock.advance(20_000);
  assert.equal((await callOn(server, "DELETE", "/v1/chat/active-agent", { device })).status, 204);
  assert.deepEqual((await callOn(server, "POST", "/v1/chat/cancel", { device })).json, { cancelled: true });
  assertProblem(await asked, 499, "interrupted");
  assertProblem(await callOn(server, "GET", "/v1/chat/session", { device }), 404, "session_not_found");
  await server.stop();
});

test("a client that leaves ends the wait of its repeated request, and nothing watches for it", async () => {
  const gate = Promise.withResolvers<void>();
  const model: Model = async function* () {
    yield { type: "text", text: "first" };
    await gate.promise;
  };
  await using place = inMemory({ model, secret: "a secret of a test" });
  const server = createServer({ sessions: place.sessions, rates: unlimited });
  const device = randomUUID();
  const request = (): Request =>
    requestOf("POST", "/v1/chat", { device, body: { message: "q" }, headers: { "idempotency-key": "k" } });
  const asked = server.fetch(request());
  const core = coreOf(place.sessions);
  while (core.turns.size === 0) await settled();
  const leaving = new AbortController();
  const waiting = server.fetch(new Request(request(), { signal: leaving.signal }));
  while (place.watches === 0) await settled();
  leaving.abort();
  assert.equal((await waiting).status, 499);
  assert.equal(place.watches, 0);
  gate.resolve();
  assert.equal((await asked).status, 200);
  await server.stop();
});

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
