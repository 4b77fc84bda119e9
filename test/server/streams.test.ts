/** Streams over HTTP: parts as server-sent events, resumed at any instance, for keys of their tenant. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { connect, type RemoteProducer, type RemoteStreams } from "../../src/client/index.ts";
import { createServer } from "../../src/server/index.ts";
import type { StreamProducer } from "../../src/index.ts";
import { eventsOf, requestOf, serve, type Serving } from "./serving.ts";

async function produce(here: Serving, id: string, options = {}): Promise<StreamProducer> {
  const acquired = await here.sessions.streams.acquire(id, { flush: { ms: 0 }, ...options });
  return acquired.role === "producer" ? acquired.stream : assert.fail();
}

test("the parts of a stream are events, from the first one or behind any, and then its end", async () => {
  await using here = serve();
  const key = await here.key("read");
  const stream = await produce(here, "run/1");
  const parts = [{ type: "start" }, "text", [1, null], { bytes: new Uint8Array([1]) }];
  for (const part of parts) await stream.write(part);
  const read = async (query = "", headers = {}): Promise<ReturnType<typeof eventsOf>> => {
    const path = `/v1/streams/run%2F1/parts${query}`;
    const response = await here.server.fetch(requestOf("GET", path, { key, headers }));
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    return eventsOf(await response.text());
  };
  const live = read();
  const { json } = await here.call("GET", "/v1/streams/run%2F1", { key });
  assert.deepEqual([json.stream, json.status, json.session], ["run/1", "streaming", null]);
  await stream.end();
  const events = await live;
  assert.deepEqual(
    events.map(({ event }) => event),
    ["part", "part", "part", "part", "done"],
  );
  assert.deepEqual(events[1]?.data, { seq: 2, part: "text" });
  for (const [index, { id = "" }] of events.slice(0, -1).entries()) {
    const rest = events.slice(index + 1);
    assert.deepEqual(await read("", { "last-event-id": id }), rest);
    assert.deepEqual(await read(`?after=${encodeURIComponent(id)}`), rest);
    assert.deepEqual(await read(`?after=${index + 1}`), rest);
  }
});

test("a remote reader gets each part once while its connections break and instances change", async () => {
  await using here = serve();
  const elsewhere = createServer({ sessions: here.sessions });
  const key = await here.key("write");
  const stream = await produce(here, "run");
  let requests = 0;
  // Each connection breaks behind two parts, and the next request goes to the other instance.
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const server = requests++ % 2 === 0 ? here.server : elsewhere;
    const response = await server.fetch(new Request(url, init));
    if (response.headers.get("content-type") !== "text/event-stream") return response;
    let events = 0;
    const cutting = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        controller.enqueue(chunk);
        if (++events === 2) controller.terminate();
      },
    });
    return new Response(response.body?.pipeThrough(cutting) ?? null, response);
  };
  const { streams } = connect({ url: "http://server.test", key, fetch });
  const reading = Array.fromAsync(streams.read("run"));
  for (let part = 1; part <= 7; part++) await stream.write({ part });
  await stream.end();
  const read = await reading;
  assert.deepEqual(
    read.map(({ seq, part }) => [seq, part]),
    [1, 2, 3, 4, 5, 6, 7].map((part) => [part, { part }]),
  );
  assert(requests >= 4, `${requests} connections`);
  const rest = await Array.fromAsync(streams.read("run", { after: read[4]?.cursor ?? "" }));
  assert.deepEqual(rest, read.slice(5));
  assert.deepEqual(await Array.fromAsync(streams.read("run", { after: 6 })), read.slice(6));
});

test("a remote reader gets the failure of a stream, a program stops and deletes one, and finds that of a session", async () => {
  await using here = serve();
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  const { streams } = connect({ url: "http://server.test", key: await here.key("write"), fetch });
  await here.sessions.create({ id: "chat" });
  assert.equal(await streams.active("chat"), null);
  const stream = await produce(here, "run", { session: "chat" });
  assert.equal(await streams.active("chat"), "run");
  await stream.write("part");
  const reading = streams.read("run");
  assert.equal((await reading.next()).value?.part, "part");
  const stopping = streams.stop("run");
  await new Promise((resolve) => stream.signal.addEventListener("abort", resolve, { once: true }));
  await stream.fail(new Error("it was stopped"));
  assert.equal(await stopping, true);
  await assert.rejects(reading.next(), { code: "stream_failed" });
  assert.equal(await streams.status("run"), "error");
  assert.equal(await streams.stop("run"), false);
  assert.equal(await streams.delete("run"), true);
  assert.equal(await streams.delete("run"), false);
  assert.equal(await streams.status("run"), "missing");
  await assert.rejects(Array.fromAsync(streams.read("run")), { code: "stream_not_found" });
});

test("streams are for keys: of their tenant, to read with the right read, to stop and delete with the right write", async () => {
  await using here = serve();
  const stream = await produce(here, "run");
  await stream.write("part");
  await stream.end();
  const other = await here.key("write", "another");
  const read = await here.key("read");
  for (const path of ["/v1/streams/run", "/v1/streams/run/parts"]) {
    assert.equal((await here.call("GET", path, { key: other })).json.code, "stream_not_found");
    assert.equal((await here.call("GET", path, { device: crypto.randomUUID() })).status, 401);
    assert.equal((await here.call("GET", path, { key: read })).status, 200);
  }
  assert.equal((await here.call("DELETE", "/v1/streams/run", { key: read })).json.code, "key_forbidden");
  assert.equal((await here.call("POST", "/v1/streams/run/stop", { key: read })).json.code, "key_forbidden");
  assert.equal((await here.call("DELETE", "/v1/streams/run", { key: other })).status, 404);
  const bad = await here.call("GET", "/v1/streams/run/parts?after=x", { key: read });
  assert.deepEqual([bad.status, bad.json.code], [400, "argument_invalid"]);
});

/** Two instances of one store in turn, and a failure of the connection where `cuts` says so. */
function alternating(here: Serving, cuts: (request: number) => boolean = () => false): typeof globalThis.fetch {
  const elsewhere = createServer({ sessions: here.sessions });
  let requests = 0;
  return async (url, init) => {
    const request = requests++;
    const server = request % 2 === 0 ? here.server : elsewhere;
    const response = await server.fetch(new Request(url, init));
    // The answer is lost: the server has done what it was asked.
    if (cuts(request) && init?.method === "POST") throw new TypeError("the connection broke");
    return response;
  };
}

async function producerOf(streams: RemoteStreams, id: string, options = {}): Promise<RemoteProducer> {
  const acquired = await streams.acquire(id, { flush: { ms: 0 }, ...options });
  return acquired.role === "producer" ? acquired.stream : assert.fail();
}

test("a program produces a stream over HTTP, at whichever instance, and each part is stored once though answers are lost", async () => {
  await using here = serve();
  await here.sessions.create({ id: "chat" });
  const key = await here.key("write");
  const cuts = (request: number): boolean => request > 0 && request % 3 === 0;
  const { streams } = connect({ url: "http://server.test", key, fetch: alternating(here, cuts) });
  const stream = await producerOf(streams, "run", { session: "chat", flush: { ms: 0, length: 1 } });
  assert.deepEqual(await here.sessions.streams.acquire("run"), { role: "consumer" });
  const reading = Array.fromAsync(here.sessions.streams.read("run"));
  const parts = [{ n: 1 }, "two", new Uint8Array([3]), null, [5n]];
  for (const part of parts) await stream.write(part, { said: "." });
  assert.equal(await streams.active("chat"), "run");
  assert.equal(await stream.end({ append: { input: "q", output: "a", key: "k" } }), true);
  assert.equal(await stream.end(), false);
  assert.deepEqual(
    (await reading).map(({ part }) => part),
    parts,
  );
  const turns = await Array.fromAsync((await here.sessions.get("chat")).turns());
  assert.deepEqual(
    turns.map(({ key: one, input }) => [one, input[0]?.content]),
    [["k", "q"]],
  );
  await assert.rejects(stream.write("late"), { code: "stream_ended" });
});

test("a producer over HTTP keeps its stream while the server is away, as long as its lease", async () => {
  await using here = serve();
  let away = 0;
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    if (away-- > 0) throw new TypeError("fetch failed");
    return await here.server.fetch(new Request(url, init));
  };
  const { streams } = connect({ url: "http://localhost", key: await here.key("write"), fetch, retries: 0 });
  const stream = await producerOf(streams, "run", { flush: { ms: 0, length: 1 } });
  away = 2;
  await stream.write("one");
  away = 2;
  assert.equal(await stream.end(), true);
  const parts = await Array.fromAsync(here.sessions.streams.read("run"));
  assert.deepEqual(
    parts.map(({ part }) => part),
    ["one"],
  );
  const lost = await producerOf(streams, "lost", { lease: "1s", flush: { ms: 0, length: 1 } });
  away = Number.POSITIVE_INFINITY;
  await assert.rejects(lost.write("one"), { code: "store_unavailable" });
  assert.equal(lost.signal.aborted, true);
});

test("a stream that is stopped aborts its producer over HTTP, which may end it; a failed one gives its message", async () => {
  await using here = serve();
  const { streams } = connect({ url: "http://server.test", key: await here.key("write"), fetch: alternating(here) });
  const stream = await producerOf(streams, "run", { flush: { length: 1 } });
  await stream.write("one");
  const stopping = here.sessions.streams.stop("run");
  await assert.rejects(
    async () => {
      for (;;) await stream.write("more");
    },
    { code: "stream_failed" },
  );
  assert.equal(stream.signal.aborted, true);
  assert.equal(await stream.end(), true);
  assert.equal(await stopping, true);
  assert.equal(await streams.status("run"), "done");
  const failing = await producerOf(streams, "fails");
  await failing.write("one");
  await failing.fail(new Error("no more"));
  const read: unknown[] = [];
  await assert.rejects(
    async () => {
      for await (const { part } of streams.read("fails")) read.push(part);
    },
    { code: "stream_failed" },
  );
  assert.deepEqual([read, await streams.status("fails")], [["one"], "error"]);
});

test("a producer that ends a stopped stream leaves out no part between others", async () => {
  await using here = serve();
  const key = await here.key("write");
  let stopping: Promise<boolean> | undefined;
  let stream: RemoteProducer | undefined;
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const sent = JSON.parse(String(init?.body ?? "{}")) as { readonly token?: string; readonly parts?: unknown[] };
    if (stopping === undefined && sent.parts !== undefined && sent.parts.length > 0) {
      stopping = here.sessions.streams.stop("run");
      await stream?.write("two");
      const ask = { key, body: { token: sent.token, after: 0, parts: [] } };
      while ((await here.call("POST", "/v1/streams/run/parts", ask)).status === 200) await setImmediate();
    }
    return await here.server.fetch(new Request(url, init));
  };
  const { streams } = connect({ url: "http://server.test", key, fetch });
  stream = await producerOf(streams, "run");
  await stream.write("one");
  await once(stream.signal, "abort");
  assert.equal(await stream.end(), true);
  assert.equal(await stopping, true);
  const read = await Array.fromAsync(here.sessions.streams.read("run"));
  assert.deepEqual(
    read.map(({ part }) => part),
    ["one", "two"],
  );
});

test("a token of another producer, missing parts and wrong bodies are refused, and nothing is written", async () => {
  await using here = serve();
  const key = await here.key("write");
  const { json } = await here.call("POST", "/v1/streams/run", { key, body: {} });
  const token = String(json.token);
  assert.equal(json.role, "producer");
  assert.deepEqual((await here.call("POST", "/v1/streams/run", { key, body: {} })).json, { role: "consumer" });
  const post = async (what: string, body: object, by = key): Promise<[number, unknown]> => {
    const answer = await here.call("POST", `/v1/streams/${what}`, { key: by, body });
    return [answer.status, answer.json.code];
  };
  const part = { part: 1 };
  assert.deepEqual(await post("run/parts", { token: "1.x", after: 0, parts: [part] }), [409, "fenced"]);
  assert.deepEqual(await post("run/end", { token: "1.x", after: 0 }), [409, "fenced"]);
  assert.deepEqual(await post("run/parts", { token, after: 1, parts: [part] }), [400, "range_invalid"]);
  for (const body of [
    { token, after: -1, parts: [part] },
    { token, after: 0, parts: [{}] },
    { token: "", after: 0, parts: [part] },
  ])
    assert.equal((await post("run/parts", body))[0], 400);
  for (const body of [
    { token, parts: [part] },
    { token, after: 0, parts: [{ part: 1, said: 2 }] },
    { after: 0, parts: [] },
  ])
    assert.equal((await post("run/parts", body))[1], "request_invalid");
  assert.equal(
    (await post("run/parts", { token, after: 0, parts: [part] }, await here.key("read")))[1],
    "key_forbidden",
  );
  const stranger = await here.key("write", "another");
  assert.deepEqual(await post("run/parts", { token, after: 0, parts: [part] }, stranger), [404, "stream_not_found"]);
  assert.deepEqual(await post("run/end", { token, after: 0, append: { input: "q" } }), [400, "argument_invalid"]);
  assert.deepEqual(await post("other", { lease: "soon" }), [400, "duration_invalid"]);
  assert.deepEqual(await post("run/parts", { token, after: 0, parts: [part, part] }), [200, undefined]);
  assert.deepEqual(await post("run/parts", { token, after: 1, parts: [part, part] }), [200, undefined]);
  assert.deepEqual(await post("run/end", { token, after: 3 }), [200, undefined]);
  assert.deepEqual((await here.call("POST", "/v1/streams/run/end", { key, body: { token, after: 3 } })).json, {
    ended: false,
  });
  assert.deepEqual(await post("run/parts", { token, after: 3, parts: [part] }), [409, "stream_ended"]);
  assert.equal((await Array.fromAsync(here.sessions.streams.read("run"))).length, 3);
});

test("a part that does not fit is refused alone over HTTP, and the stream goes on and ends", async () => {
  await using here = serve({ server: { bodyBytesMax: 2000 }, limits: { turnBytesMax: 3000 } });
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  const { streams } = connect({ url: "http://server.test", key: await here.key("write"), fetch });
  const acquired = await streams.acquire("run", { flush: { ms: 1, length: 500 } });
  const stream = acquired.role === "producer" ? acquired.stream : assert.fail();
  await stream.write("a");
  await assert.rejects(stream.write("x".repeat(4000)), { code: "turn_too_large" });
  await stream.write("b");
  await assert.rejects(stream.write("y".repeat(2500)), { code: "body_too_large" });
  assert.equal(stream.signal.aborted, false);
  await stream.write("c".repeat(1500));
  await stream.write("d");
  assert.equal(await stream.end(), true);
  const parts = (await Array.fromAsync(streams.read("run"))).map(({ part }) => part);
  assert.deepEqual(parts, ["a", "b", "c".repeat(1500), "d"]);
});

test("streams are listed over HTTP and by the client, by status and session, page by page", async () => {
  await using here = serve();
  const key = await here.key("read");
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  const { streams } = connect({ url: "http://server.test", key, fetch });
  await here.sessions.create({ id: "chat" });
  await (await produce(here, "one", { session: "chat" })).end();
  await (await produce(here, "two")).fail("no");
  await using three = await produce(here, "three", { session: "chat" });
  await three.write(1);
  const named = async (query: Parameters<RemoteStreams["list"]>[0]): Promise<string[]> =>
    (await streams.list(query)).items.map(({ stream }) => stream).toSorted();
  assert.deepEqual(await named({}), ["one", "three", "two"]);
  assert.deepEqual(await named({ status: ["done", "error"] }), ["one", "two"]);
  assert.deepEqual(await named({ status: "streaming", session: "chat" }), ["three"]);
  assert.deepEqual(await streams.get("one"), await here.sessions.streams.get("one"));
  assert.equal(await streams.get("none"), null);
  const first = await streams.list({ limit: 2 });
  const rest = await streams.list({ limit: 2, ...(first.next === undefined ? {} : { after: first.next }) });
  assert.equal(new Set([...first.items, ...rest.items].map(({ stream }) => stream)).size, 3);
  await assert.rejects(streams.list({ status: "missing" as never }), { code: "request_invalid" });
});

test("of two ends of a stream over HTTP at once the first one has its last parts, whichever request arrives first", async () => {
  await using here = serve();
  let ends = 0;
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(url, init);
    // The first request overtakes no other one: it arrives behind many tasks.
    if (request.url.endsWith("/end") && ++ends === 1) for (let task = 0; task < 50; task++) await setImmediate();
    return await here.server.fetch(request);
  };
  const { streams } = connect({ url: "http://server.test", key: await here.key("write"), fetch });
  for (const second of ["end", "fail"] as const) {
    ends = 0;
    const acquired = await streams.acquire(`run-${second}`, { flush: { ms: 60_000 } });
    const stream = acquired.role === "producer" ? acquired.stream : assert.fail();
    await stream.write("the last part");
    const other = second === "end" ? () => stream.end() : () => stream.fail("late");
    assert.deepEqual(await Promise.all([stream.end(), other()]), [true, false]);
    assert.deepEqual(
      (await Array.fromAsync(streams.read(`run-${second}`))).map(({ part }) => part),
      ["the last part"],
    );
  }
});
