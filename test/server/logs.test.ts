/** Named logs over HTTP: writes in one commit, looks, pages by number and by key, streams that resume; and the client of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, type RemoteSessions } from "../../src/client/index.ts";
import { encodeValue, type LogEntry, type SessionLog } from "../../src/index.ts";
import { createServer, type Server } from "../../src/server/index.ts";
import { assertProblem, eventsOf, requestOf, serve, type Answered, type Serving } from "./serving.ts";

/** A client of the server. */
async function remoteOf(here: Serving, right: "read" | "write" = "write"): Promise<RemoteSessions> {
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  return connect({ url: "http://server.test", key: await here.key(right), fetch });
}

function keysOf(entries: readonly LogEntry[]): (string | null)[] {
  return entries.map(({ key }) => key);
}

function seqsOf(entries: readonly { readonly seq: number }[]): number[] {
  return entries.map(({ seq }) => seq);
}

test("a write of turns, named logs and fields is one commit, and a look has all of it from one moment", async () => {
  await using here = serve();
  const key = await here.key("write");
  const session = await here.sessions.create({ id: "s", metadata: { old: 1 } });
  const write = (body: object, headers = {}) =>
    here.call("POST", "/v1/sessions/s/write", { key, body: encodeValue(body), headers });
  const written = await write({
    turns: { turns: [{ input: "one", output: "two", key: "t" }] },
    logs: {
      facts: { entries: [{ key: "city", value: { bytes: new Uint8Array([1, 2]), at: new Date(7), big: 12n } }] },
      steps: { entries: [{ value: 1 }, { value: { ["__proto__"]: 1, $type: "mine" } }] },
    },
    set: { metadata: { fresh: true }, removeMetadata: ["old"], user: "ada", title: "A", labels: { team: "ops" } },
  });
  const { status, json } = written;
  assert.deepEqual([status, json.status, json.turns[0].seq, json.turns[0].key], [200, "ok", 1, "t"]);
  assert.deepEqual(json.logs, { facts: { seqs: [1], end: 1 }, steps: { seqs: [1, 2], end: 2 } });
  const info = await session.refresh();
  assert.deepEqual([info.version, info.metadata, info.user], [json.version, { fresh: true }, "ada"]);
  assert.deepEqual([info.title, info.labels], ["A", { team: "ops" }]);
  const [fact] = await session.log("facts").get(["city"]);
  assert.deepEqual(fact?.value, { bytes: new Uint8Array([1, 2]), at: new Date(7), big: 12n });
  const look = await here.call("GET", "/v1/sessions/s/look?tails=turns:5,steps:1,facts:0", { key });
  assert.equal(look.headers.get("etag"), written.headers.get("etag"));
  const { version, tails, marks } = look.json;
  assert.deepEqual([version, Object.keys(marks)], [json.version, ["turns", "steps", "facts"]]);
  assert.deepEqual(tails[0][0].value, json.turns[0]);
  assert.deepEqual([tails[1].length, tails[1][0].seq, tails[2]], [1, 2, []]);
  assert.match(look.text, /"value":\{"\$type":"object","value":\{"__proto__":1,"\$type":"mine"\}\}/);
  const logs = await here.call("GET", "/v1/sessions/s/logs", { key });
  assert.deepEqual(logs.json, {
    items: [
      { name: "facts", end: 1 },
      { name: "steps", end: 2 },
    ],
  });
});

test("a write whose last turn waits brings the turn with its token, over HTTP and by the client", async () => {
  await using here = serve();
  await here.sessions.create({ id: "s" });
  const session = await (await remoteOf(here)).get("s");
  const state = { at: new Date(7) };
  const turns = { turns: [{ input: "Pay", output: "May I?" }], wait: { state, reason: "approval" } };
  const outcome = await session.write({ turns });
  assert.ok(outcome.status === "ok");
  assert.deepEqual(outcome.waiting, await session.waiting());
  assert.deepEqual([outcome.waiting?.turn, outcome.waiting?.state], [1, state]);
  const turn = await (await here.sessions.get("s")).resume(outcome.waiting?.token ?? "");
  assert.equal((await turn.seal()).output[0]?.content, "May I?");
  await assert.rejects(session.write({ turns: { ...turns, wait: { reason: "approval" } as never } }), {
    code: "request_invalid",
  });
});

test("a write is decided on a version, a look or an ETag: a later change of a log refuses it, a touch does not", async () => {
  await using here = serve();
  const key = await here.key("write");
  const session = await here.sessions.create({ id: "s" });
  await session.write({ logs: { facts: { entries: [{ value: 1 }] }, other: { entries: [{ value: 1 }] } } });
  const write = (body: object, headers = {}) => here.call("POST", "/v1/sessions/s/write", { key, body, headers });
  const one = { logs: { facts: { entries: [{ value: "new" }] } } };
  const bases = async () => {
    const { json, headers } = await here.call("GET", "/v1/sessions/s/look?tails=facts:1", { key });
    const { version, marks } = json;
    const tag = headers.get("etag") ?? "";
    return { version: { onto: version }, look: { onto: { version, marks } }, tag: { "if-match": tag } };
  };
  const touched = await bases();
  await session.touch();
  assert.equal((await write({ ...one, ...touched.version })).status, 200);
  const again = await bases();
  await session.touch();
  assert.equal((await write({ ...one, ...again.look })).status, 200);
  const third = await bases();
  await session.touch();
  assert.equal((await write(one, third.tag)).status, 200);
  const stale = await bases();
  await session.write(one);
  const end = (await session.refresh()).version;
  assertProblem(await write({ ...one, ...stale.version }), 409, "conflict");
  assertProblem(await write({ ...one, ...stale.look }), 409, "conflict");
  assertProblem(await write(one, stale.tag), 409, "conflict");
  const turned = await bases();
  await session.append({ input: "a turn" });
  assertProblem(await write({ logs: { other: { entries: [{ value: 2 }] } } }, turned.tag), 409, "conflict");
  const both = await write({ ...one, ...turned.look }, turned.tag);
  assertProblem(both, 400, "request_invalid");
  assert.match(both.json.detail, /body\.onto does not go with If-Match/);
  assertProblem(await write({ ...one, onto: Number.MAX_SAFE_INTEGER }), 400, "argument_invalid");
  assert.equal((await session.refresh()).version, end + 1);
});

test("a key that stands is the outcome of a write, and nothing of it is written", async () => {
  await using here = serve();
  const key = await here.key("write");
  const session = await here.sessions.create({ id: "s" });
  await here.sessions.create({ id: "t" });
  const body = { logs: { facts: { entries: [{ key: "city", value: "Paris" }] } }, turns: { turns: [{ input: "x" }] } };
  assert.equal((await here.call("POST", "/v1/sessions/s/write", { key, body })).json.status, "ok");
  const before = (await session.refresh()).version;
  const { status, json } = await here.call("POST", "/v1/sessions/s/write", { key, body });
  assert.deepEqual([status, json.status, json.log], [200, "duplicate", "facts"]);
  assert.deepEqual([json.entry.seq, json.entry.key, json.entry.value], [1, "city", "Paris"]);
  assert.match(json.entry.at, /^\d{4}-.*Z$/);
  const many = {
    writes: [
      { id: "t", ...body },
      { id: "s", ...body },
    ],
  };
  const both = await here.call("POST", "/v1/write", { key, body: many });
  assert.deepEqual([both.status, both.json.status, both.json.id, both.json.log], [200, "duplicate", "s", "facts"]);
  assert.equal((await session.refresh()).version, before);
  assert.deepEqual((await here.sessions.get("t")).info.logs, {});
  const skipping = { entries: [{ key: "city", value: "Rome", ifPresent: "skip" }, { value: 1 }] };
  const written = await here.call("POST", "/v1/write", {
    key,
    body: {
      writes: [
        { id: "s", logs: { facts: skipping } },
        { id: "t", logs: { facts: skipping } },
      ],
    },
  });
  assert.deepEqual(
    written.json.writes.map((one: { logs: unknown }) => one.logs),
    [{ facts: { seqs: [null, 2], end: 2 } }, { facts: { seqs: [1, 2], end: 2 } }],
  );
});

/** A log of entries k001, k002 …; those of 40 KB end a page before its limit of entries does. */
async function filled(
  here: Serving,
  { count, bytes = 10 }: { readonly count: number; readonly bytes?: number },
): Promise<SessionLog> {
  const session = await here.sessions.ensure("s");
  for (let start = 1; start <= count; start += 100) {
    const entries = Array.from({ length: Math.min(100, count - start + 1) }, (_, index) => ({
      key: `k${String(start + index).padStart(3, "0")}`,
      value: "x".repeat(bytes),
    }));
    await session.write({ logs: { facts: { entries } } });
  }
  return session.log("facts");
}

test("pages of a log end by entries or bytes, and next continues them by number, by keys and by ranges of keys", async () => {
  await using here = serve();
  const key = await here.key("read");
  const log = await filled(here, { count: 60, bytes: 40_000 });
  const all = await Array.fromAsync(log.entries());
  const pages = async (query: string): Promise<LogEntry[][]> => {
    const found: LogEntry[][] = [];
    for (let after = ""; ;) {
      const { status, json, text } = await here.call("GET", `/v1/sessions/s/logs/facts?${query}${after}`, { key });
      assert.equal(status, 200, text);
      assert.ok(text.length < 1.1 * 1024 * 1024, `${text.length} bytes`);
      found.push(json.items);
      if (json.next === undefined) return found;
      after = `&after=${encodeURIComponent(json.next)}`;
    }
  };
  const named = all.map(({ key: one }) => `key=${one}`).join("&");
  for (const [query, expected] of [
    ["", all],
    ["order=descending", all.toReversed()],
    ["from=11&to=20&limit=3", all.slice(10, 20)],
    ["from=11&to=20&limit=3&order=descending", all.slice(10, 20).toReversed()],
    ["to=20&limit=20", all.slice(0, 20)],
    ["from=61", []],
    ["last=0", []],
    ["last=5", all.slice(-5)],
    ["last=5&order=descending", all.slice(-5).toReversed()],
    [named, all],
    ["key=k007&key=k003&key=absent&key=k007&limit=1", [all[6], all[2]]],
    ["prefix=k0", all],
    ["prefix=k01&limit=4", all.slice(9, 19)],
    ["prefix=k01&limit=4&order=descending", all.slice(9, 19).toReversed()],
    ["prefix=&limit=50", all],
    ["fromKey=k005&toKey=k010&limit=2", all.slice(4, 9)],
    ["fromKey=k005&toKey=k010&limit=2&order=descending", all.slice(4, 9).toReversed()],
    ["toKey=k003&limit=1", all.slice(0, 2)],
  ] as const) {
    const found = await pages(query);
    assert.deepEqual(seqsOf(found.flat()), seqsOf(expected as LogEntry[]), query);
    if (!query.includes("limit") && expected.length === 60) assert.ok(found.length >= 3, query);
  }
  assert.equal((await pages("limit=20&to=20")).length, 1);
  const last = await here.call("GET", "/v1/sessions/s/logs/facts?last=50", { key });
  assert.equal(last.json.items[0].seq, 11);
});

test("the client reads logs as a local session does", async () => {
  await using here = serve();
  const remote = (await (await remoteOf(here)).ensure("s")).log("facts");
  const local = await filled(here, { count: 700 });
  const session = await here.sessions.get("s");
  const value = { bytes: new Uint8Array([3]), at: new Date(5), big: 1n };
  await session.write({ logs: { facts: { entries: [{ key: "é/?&", value }] } } });
  const read = async (log: Pick<SessionLog, "entries" | "between" | "get">) => ({
    all: await Array.fromAsync(log.entries()),
    down: await Array.fromAsync(log.entries({ order: "descending", from: 3, to: 640 })),
    last: await Array.fromAsync(log.entries({ last: 600 })),
    lastDown: await Array.fromAsync(log.entries({ last: 600, order: "descending" })),
    none: await Array.fromAsync(log.entries({ last: 0 })),
    prefix: await Array.fromAsync(log.between({ prefix: "k0" })),
    between: await Array.fromAsync(log.between({ from: "k100", to: "k690" }, { order: "descending", limit: 555 })),
    whole: await Array.fromAsync(log.between({})),
    to: await Array.fromAsync(log.between({ to: "k002" })),
    get: await log.get(["é/?&", "k650", "absent", "k003", "k003"]),
    many: await log.get(Array.from({ length: 450 }, (_, index) => `k${String(index + 200)}`)),
    noKeys: await log.get([]),
  });
  assert.deepEqual(await read(remote), await read(local));
  await assert.rejects(remote.get(["\ud800"]), { code: "id_invalid" });
  await assert.rejects(Array.fromAsync(remote.entries({ from: 0 })), { code: "range_invalid" });
  await assert.rejects(Array.fromAsync(remote.entries({ from: 2, to: 1 })), { code: "range_invalid" });
  const misspelt = { lst: 1 } as object;
  for (const reading of [remote.entries(misspelt), remote.between(misspelt), remote.follow(misspelt)])
    await assert.rejects(Array.fromAsync(reading), { code: "argument_invalid" });
  await assert.rejects(Array.fromAsync(remote.between({ from: "a", prefix: "b" })), { code: "request_invalid" });
});

test("the client fails with conflict where a log is rewritten between two pages", async () => {
  await using here = serve();
  const remote = (await (await remoteOf(here)).ensure("s")).log("facts");
  await filled(here, { count: 501 });
  const session = await here.sessions.get("s");
  for (const order of ["ascending", "descending"] as const) {
    const reading = remote.entries({ order });
    for (let entry = 1; entry <= 500; entry++) await reading.next();
    await session.write({ logs: { facts: { from: 1, entries: [] } } });
    await filled(here, { count: 501, bytes: order === "ascending" ? 11 : 12 });
    await assert.rejects(reading.next(), { code: "conflict" });
  }
});

test("the client goes on behind an entry that fills a page", async () => {
  await using here = serve({});
  const remote = (await (await remoteOf(here)).ensure("s")).log("facts");
  const local = await filled(here, { count: 4, bytes: 1024 * 1024 - 100 });
  assert.deepEqual(seqsOf(await Array.fromAsync(remote.entries())), [1, 2, 3, 4]);
  assert.deepEqual(seqsOf(await Array.fromAsync(remote.entries({ order: "descending" }))), [4, 3, 2, 1]);
  assert.deepEqual(keysOf(await remote.get(["k004", "k001", "k003"])), ["k001", "k003", "k004"]);
  assert.deepEqual(seqsOf(await Array.fromAsync(local.entries())), [1, 2, 3, 4]);
});

test("the client writes as a local session does, and has seen the turns only if it had seen all before", async () => {
  await using here = serve();
  const sessions = await remoteOf(here);
  const remote = await sessions.create({ id: "s", metadata: { old: 1 } });
  const written = await remote.write({
    turns: { turns: [{ input: "one", key: "t" }] },
    logs: { facts: { entries: [{ key: "a", value: new Date(3) }] } },
    set: { metadata: { old: undefined, fresh: 2n } },
  });
  assert(written.status === "ok");
  assert.deepEqual(
    [seqsOf(written.turns), written.turns[0]?.at instanceof Date, written.logs],
    [[1], true, { facts: { seqs: [1], end: 1 } }],
  );
  await remote.append({ input: "two" });
  const look = await remote.look([
    { log: "turns", last: 1 },
    { log: "facts", last: 3 },
  ]);
  const local = await here.sessions.get("s");
  assert.deepEqual(
    look,
    await local.look([
      { log: "turns", last: 1 },
      { log: "facts", last: 3 },
    ]),
  );
  assert.deepEqual(look.info.metadata, { fresh: 2n });
  const onto = await remote.write({ logs: { facts: { from: 1, entries: [] } }, onto: look });
  assert.equal(onto.status, "ok");
  await assert.rejects(remote.write({ logs: { facts: { entries: [{ value: 1 }] } }, onto: look }), {
    code: "conflict",
  });
  await (await here.sessions.get("s")).append({ input: "of another writer" });
  const own = await remote.write({ turns: { turns: [{ input: "four" }] } });
  assert.equal(own.status, "ok");
  await assert.rejects(remote.append({ input: "five" }), { code: "conflict" });
  await remote.refresh();
  await remote.append({ input: "five" });
  const twice = await remote.write({ turns: { turns: [{ input: "one", key: "t" }] } });
  assert(twice.status === "duplicate");
  assert.deepEqual([twice.log, (twice.entry.value as unknown as { seq: number }).seq], ["turns", 1]);
  await sessions.create({ id: "other" });
  const fact = { logs: { facts: { entries: [{ key: "a", value: 1 }] } } };
  const many = await sessions.write([
    { id: "s", ...fact },
    { id: "other", ...fact, set: { metadata: { x: 1 } } },
  ]);
  assert(many.status === "ok");
  assert.deepEqual(
    many.writes.map(({ logs }) => logs),
    [{ facts: { seqs: [1], end: 1 } }, { facts: { seqs: [1], end: 1 } }],
  );
  const standing = await sessions.write([{ id: "s", ...fact }]);
  assert(standing.status === "duplicate");
  assert.deepEqual([standing.id, standing.entry.key], ["s", "a"]);
});

test("a write whose answer is lost is sent once", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  let isLost = false;
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await here.server.fetch(new Request(url, init));
    if (isLost) throw new TypeError("the connection broke");
    return response;
  };
  const remote = await connect({ url: "http://server.test", key: await here.key("write"), fetch }).get("s");
  isLost = true;
  const fact = { logs: { facts: { entries: [{ value: 1 }] } } };
  await assert.rejects(remote.write(fact), { code: "store_unavailable" });
  isLost = false;
  assert.deepEqual((await session.refresh()).logs, { facts: { end: 1 } });
});

/** Each connection breaks behind so many events, and the next request goes to the other server. */
function breaking(servers: readonly [Server, Server], events: number): { fetch: typeof fetch; requests: () => number } {
  let requests = 0;
  const cut = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const server = servers[requests++ % 2 === 0 ? 0 : 1];
    const response = await server.fetch(new Request(url, init));
    if (response.headers.get("content-type") !== "text/event-stream") return response;
    let given = 0;
    const cutting = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        controller.enqueue(chunk);
        if (++given === events) controller.terminate();
      },
    });
    return new Response(response.body?.pipeThrough(cutting) ?? null, response);
  };
  return { fetch: cut, requests: () => requests };
}

test("a follower gets each entry once while its connections break, until the session ends", async () => {
  await using here = serve();
  const { fetch, requests } = breaking([here.server, createServer({ sessions: here.sessions })], 2);
  const remote = await connect({ url: "http://server.test", key: await here.key("write"), fetch }).ensure("s");
  const session = await here.sessions.get("s");
  await session.write({ logs: { facts: { entries: [{ value: "before" }] } } });
  const following = Array.fromAsync(remote.log("facts").follow());
  for (let value = 2; value <= 7; value++)
    await session.write({ logs: { facts: { entries: [{ value: { bytes: new Uint8Array([value]) } }] } } });
  await session.end();
  const found = await following;
  assert.deepEqual(found, await Array.fromAsync(session.log("facts").entries()));
  assert.equal(found.length, 7);
  assert.ok(requests() >= 5, `${requests()} requests`);
  assert.deepEqual(seqsOf(await Array.fromAsync(remote.log("facts").follow({ after: 5 }))), [6, 7]);
});

test("a follower ends by its signal, without an error", async () => {
  await using here = serve();
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await here.server.fetch(new Request(url, init));
    const { signal } = init ?? {};
    const body = response.body?.pipeThrough(new TransformStream(), signal == null ? {} : { signal });
    return new Response(body ?? null, response);
  };
  const remote = await connect({ url: "http://server.test", key: await here.key("write"), fetch }).ensure("s");
  await remote.write({ logs: { facts: { entries: [{ value: 1 }] } } });
  const stop = new AbortController();
  const following = remote.log("facts").follow({ signal: stop.signal });
  assert.equal((await following.next()).value?.seq, 1);
  const next = following.next();
  stop.abort();
  assert.equal((await next).done, true);
});

test("a stream of a log resumes behind an entry that is there still, and fails where it was rewritten", async () => {
  await using here = serve();
  const key = await here.key("read");
  const session = await here.sessions.create({ id: "s" });
  const facts = (...values: string[]) => ({ entries: values.map((value) => ({ value })) });
  await session.write({ logs: { facts: facts("one", "two", "three") } });
  const follow = async (query: string, headers = {}) => {
    const response = await here.server.fetch(
      requestOf("GET", `/v1/sessions/s/logs/facts/follow${query}`, { key, headers }),
    );
    return { status: response.status, text: response.text() };
  };
  const other = await here.sessions.get("s");
  const { text: begun } = await follow("?after=1");
  await other.end();
  const events = eventsOf(await begun);
  assert.deepEqual(
    events.map(({ event, data }) => [event, data["seq"]]),
    [
      ["entry", 2],
      ["entry", 3],
      ["done", undefined],
    ],
  );
  const [second, third] = events;
  const resumed = async (id = "") => eventsOf(await (await follow("", { "last-event-id": id })).text);
  assert.deepEqual(await resumed(second?.id), events.slice(1));
  assert.deepEqual(await resumed(third?.id), events.slice(2));
  const rewritten = await resumed(`2.${"x".repeat(16)}`);
  assert.deepEqual([rewritten[0]?.event, rewritten[0]?.data["code"]], ["error", "conflict"]);
  assert.equal((await follow("", { "last-event-id": `4.${"x".repeat(16)}` })).status, 409);
  assert.equal((await follow("", { "last-event-id": "2" })).status, 400);
  assert.equal((await follow("?after=x")).status, 400);
});

test("logs are for keys of their tenant: to read with the right read, to write with the right write", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  await session.write({ logs: { facts: { entries: [{ value: 1 }] } } });
  const version = session.info.version;
  const another = await here.key("write", "another");
  const read = await here.key("read");
  const paths = ["look", "logs", "logs/facts", "logs/facts/follow"].map((path) => `/v1/sessions/s/${path}`);
  for (const path of paths) {
    assertProblem(await here.call("GET", path, { key: another }), 404, "session_not_found");
    assertProblem(await here.call("GET", path, { device: crypto.randomUUID() }), 401, "key_missing");
    assert.equal((await here.server.fetch(requestOf("HEAD", path, { key: read }))).status, 200, path);
  }
  const body = { logs: { facts: { entries: [{ value: 2 }] } } };
  const many = { writes: [{ id: "s", ...body }] };
  assertProblem(await here.call("POST", "/v1/sessions/s/write", { key: read, body }), 403, "key_forbidden");
  assertProblem(await here.call("POST", "/v1/write", { key: read, body: many }), 403, "key_forbidden");
  assertProblem(await here.call("POST", "/v1/sessions/s/write", { key: another, body }), 404, "session_not_found");
  assertProblem(await here.call("POST", "/v1/write", { key: another, body: many }), 404, "session_not_found");
  assertProblem(await here.call("POST", "/v1/write", { device: crypto.randomUUID(), body: many }), 401, "key_missing");
  assert.equal((await session.refresh()).version, version);
});

test("a bad write is a typed error and writes nothing, to one session or to several", async () => {
  await using here = serve();
  const key = await here.key("write");
  const session = await here.sessions.create({ id: "s" });
  await here.sessions.create({ id: "t" });
  const facts = (...entries: unknown[]) => ({ logs: { facts: { entries } } });
  const version = session.info.version;
  const big = "x".repeat(1024 * 1024);
  const cases: readonly (readonly [body: string | object, status: number, code: string])[] = [
    [{ logs: { turns: { entries: [{ value: 1 }] } } }, 400, "log_reserved"],
    [{ logs: { events: { entries: [] } } }, 400, "log_reserved"],
    [{ logs: { "perdure-x": { entries: [{ value: 1 }] } } }, 400, "log_reserved"],
    [{ logs: { Facts: { entries: [] } } }, 400, "id_invalid"],
    ['{"logs":{"__proto__":{"entries":[{"value":1}]}}}', 400, "id_invalid"],
    ['{"__proto__":{"logs":{}}}', 400, "request_invalid"],
    ['{"logs":{"facts":{"__proto__":1,"entries":[]}}}', 400, "argument_invalid"],
    [facts({ key: "k".repeat(257), value: 1 }), 400, "id_invalid"],
    [facts({ key: "", value: 1 }), 400, "id_invalid"],
    [facts({ key: 7, value: 1 }), 400, "id_invalid"],
    [facts({ key: "a" }), 400, "value_unstorable"],
    [facts({ value: 1, ifPresent: "overwrite" }), 400, "argument_invalid"],
    [facts({ value: 1, vlue: 2 }), 400, "argument_invalid"],
    [facts(7), 400, "argument_invalid"],
    [facts({ value: big }), 413, "write_too_large"],
    [facts(...Array.from({ length: 10_000 }, () => ({ value: 1 }))), 413, "write_too_large"],
    [
      {
        logs: Object.fromEntries(
          Array.from({ length: 17 }, (_, index) => [`log${index}`, { entries: [{ value: 1 }] }]),
        ),
      },
      413,
      "write_too_large",
    ],
    [{ logs: [] }, 400, "argument_invalid"],
    [{ logs: { facts: { from: 2, entries: [] } } }, 400, "argument_invalid"],
    [{ logs: { facts: { from: 9, entries: [] } }, onto: version }, 400, "range_invalid"],
    [{ ...facts({ value: 1 }), onto: version + 1 }, 400, "argument_invalid"],
    [{ ...facts({ value: 1 }), onto: 1 }, 409, "conflict"],
    [{ ...facts({ value: 1 }), onto: 0 }, 400, "argument_invalid"],
    [{ ...facts({ value: 1 }), onto: "1" }, 400, "request_invalid"],
    [{ ...facts({ value: 1 }), onto: { version, marks: {}, extra: 1 } }, 400, "request_invalid"],
    [{ ...facts({ value: 1 }), onto: { version, marks: { Bad: "1" } } }, 400, "id_invalid"],
    [{ log: {} }, 400, "request_invalid"],
    [{ turns: { turns: [{ input: "x", ouput: "y" }] } }, 400, "request_invalid"],
    [{ turns: { turns: [{ input: 7 }] } }, 400, "message_invalid"],
    [{ set: { metdata: {} } }, 400, "request_invalid"],
    [{ ...facts({ value: 1 }), set: { ttl: "soon" } }, 400, "duration_invalid"],
    ["{", 400, "request_invalid"],
  ];
  for (const [body, status, code] of cases) {
    const one = await here.call("POST", "/v1/sessions/s/write", { key, body });
    assertProblem(one, status, code);
    const text = typeof body === "string" ? body : JSON.stringify(body);
    if (text === "{") continue;
    const separator = text === "{}" ? "" : ",";
    const good = '{"id":"t","logs":{"facts":{"entries":[{"value":1}]}}}';
    const many = `{"writes":[${good},{"id":"s"${separator}${text.slice(1)}]}`;
    assertProblem(await here.call("POST", "/v1/write", { key, body: many }), status, code);
  }
  const several: readonly (readonly [body: object, status: number, code: string])[] = [
    [{ writes: [] }, 400, "argument_invalid"],
    [{ writes: [{ id: "s" }, { id: "s" }] }, 400, "argument_invalid"],
    [{ writes: [{ id: "t", ...facts({ value: 1 }) }, { id: "missing" }] }, 404, "session_not_found"],
    [{ writes: [{ id: "t", ...facts({ value: 1 }) }, { id: "" }] }, 400, "id_invalid"],
    [{ writes: Array.from({ length: 101 }, (_, index) => ({ id: `s${index}` })) }, 400, "argument_invalid"],
    [{ writes: [{ ...facts({ value: 1 }) }] }, 400, "request_invalid"],
    [{}, 400, "request_invalid"],
  ];
  for (const [body, status, code] of several)
    assertProblem(await here.call("POST", "/v1/write", { key, body }), status, code);
  assert.equal((await session.refresh()).version, version);
  assert.deepEqual((await here.sessions.get("t")).info.logs, {});
  assert.equal((await Array.fromAsync(session.events())).length, 1);
});

test("a bad read of a log is a typed error", async () => {
  await using here = serve();
  const key = await here.key("read");
  await filled(here, { count: 3 });
  const cases = [
    ["logs/turns", 400, "log_reserved"],
    ["logs/perdure", 400, "log_reserved"],
    ["logs/Facts", 400, "id_invalid"],
    ["logs/__proto__", 400, "id_invalid"],
    ["logs/facts?from=0", 400, "range_invalid"],
    ["logs/facts?from=3&to=2", 400, "range_invalid"],
    ["logs/facts?from=x", 400, "request_invalid"],
    ["logs/facts?from=1e400", 400, "request_invalid"],
    ["logs/facts?limit=0", 400, "request_invalid"],
    ["logs/facts?limit=501", 400, "request_invalid"],
    ["logs/facts?order=up", 400, "request_invalid"],
    ["logs/facts?last=1&from=1", 400, "request_invalid"],
    ["logs/facts?last=1&after=1", 400, "request_invalid"],
    ["logs/facts?key=a&prefix=a", 400, "request_invalid"],
    ["logs/facts?from=1&prefix=a", 400, "request_invalid"],
    ["logs/facts?after=a", 400, "request_invalid"],
    ["logs/facts?key=a&after=b", 400, "request_invalid"],
    ["logs/facts?keys=a", 400, "request_invalid"],
    [`logs/facts?${"key=a&".repeat(101)}`, 400, "request_invalid"],
    [`logs/facts?key=${"k".repeat(257)}`, 400, "id_invalid"],
    [`logs/facts?prefix=${"k".repeat(257)}`, 400, "id_invalid"],
    ["logs/facts?fromKey=%07", 400, "id_invalid"],
    ["logs/facts?key=", 400, "id_invalid"],
    ["logs/turns/follow", 400, "log_reserved"],
    ["logs/facts/follow?after=-1", 400, "request_invalid"],
    ["look?tails=facts", 400, "request_invalid"],
    ["look?tails=facts:x", 400, "request_invalid"],
    ["look?tails=facts:501", 400, "argument_invalid"],
    ["look?tails=events:1", 400, "log_reserved"],
    ["look?tails=:1", 400, "id_invalid"],
    [`look?tails=${Array.from({ length: 18 }, () => "facts:1").join(",")}`, 400, "argument_invalid"],
  ] as const;
  for (const [path, status, code] of cases) {
    const answered: Answered = await here.call("GET", `/v1/sessions/s/${path}`, { key });
    assert.deepEqual([path, answered.status, answered.json?.code], [path, status, code], answered.text);
  }
  const empty = await here.call("GET", "/v1/sessions/s/logs/constructor", { key });
  assert.deepEqual([empty.status, empty.json], [200, { items: [] }]);
});

test("the document of the routes names the parameters and bodies of logs", async () => {
  await using here = serve();
  const { paths } = (await here.call("GET", "/openapi.json")).json;
  const write = paths["/v1/sessions/{id}/write"].post;
  const { properties } = write.requestBody.content["application/json"].schema;
  assert.deepEqual(Object.keys(properties), ["turns", "logs", "set", "documents", "onto", "seen"]);
  assert.deepEqual(Object.keys(properties.logs.additionalProperties.properties.entries.items.properties), [
    "key",
    "value",
    "ifPresent",
  ]);
  assert.match(write.description, /"write"/);
  const read = paths["/v1/sessions/{id}/logs/{name}"].get;
  const named = read.parameters.map(({ name }: { name: string }) => name);
  assert.deepEqual(named, [
    "id",
    "name",
    "from",
    "to",
    "last",
    "key",
    "fromKey",
    "toKey",
    "prefix",
    "order",
    "limit",
    "after",
  ]);
});
