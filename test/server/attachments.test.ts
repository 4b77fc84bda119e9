/** Attachments over HTTP: streamed in and out, with type, length and range; and the client of them. */
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { test } from "node:test";
import { chat, connect, hasCode, openShare } from "../../src/client/index.ts";
import type { AttachmentRange, OpenAttachment } from "../../src/index.ts";
import { listen } from "../../src/server/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { ObjectStore } from "../support/object-store.ts";
import { assertProblem, serve, type Serving } from "./serving.ts";

const piece = 192 * 1024;
const given = Buffer.alloc(2 * piece + 5, "a line of a file; ");
const hash = createHash("sha256").update(given).digest("hex");

interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
}

async function upload(here: Serving, key: string, path: string, how: RequestInit): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, ...(how.headers as Record<string, string>) };
  return await here.server.fetch(new Request(`http://server.test${path}`, { method: "POST", ...how, headers }));
}

async function get(here: Serving, key: string, path: string, headers: Record<string, string> = {}): Promise<Got> {
  const request = new Request(`http://server.test${path}`, { headers: { authorization: `Bearer ${key}`, ...headers } });
  const response = await here.server.fetch(request);
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

const attachments = "/v1/sessions/s/attachments";

test("a device puts, lists and opens attachments of its conversations, and reaches no other ones", async () => {
  await using here = serve({ server: { deviceBodyBytesMax: given.length, cors: ["https://shop.example"] } });
  const client = (device: string): ReturnType<typeof chat> =>
    chat({
      url: "http://server.test",
      device,
      fetch: async (request, init) => await here.server.fetch(new Request(request, init)),
    });
  const [mine, other] = [client(randomUUID()), client(randomUUID())];
  const conversation = await mine.conversations.create();
  const put = await conversation.attachments.put(given, { type: "image/png", name: "a.png" });
  assert.deepEqual([put.hash, put.length], [hash, given.length]);
  const asked = await conversation.say({ role: "user", content: [{ type: "text", text: "what is it?" }, put.part] });
  await asked.done;
  const { part: _, ...listed } = put;
  assert.deepEqual(await conversation.attachments.list(), [listed]);
  const opened = await conversation.attachments.open(hash, { from: 5, to: 9 });
  assert.deepEqual([opened.type, opened.length, opened.name], ["image/png", given.length, "a.png"]);
  assert(Buffer.concat(await Array.fromAsync(opened)).equals(given.subarray(5, 10)));
  await assert.rejects(conversation.attachments.put(Buffer.alloc(given.length + 1), { type: "a/b" }), (error) =>
    hasCode(error, "body_too_large"),
  );
  // Its own conversation has no such attachment, and the other one's is not found.
  const others = await other.conversations.create();
  await assert.rejects(others.attachments.open(hash), (error) => hasCode(error, "attachment_not_found"));
  const stolen = `http://server.test/v1/chat/conversations/${conversation.id}/attachments`;
  const device = { "x-device-id": randomUUID() };
  for (const path of [stolen, `${stolen}/${hash}`])
    assert.equal((await here.server.fetch(new Request(path, { headers: device }))).status, 404, path);
  const body = { method: "POST", body: given, headers: { ...device, "content-type": "a/b" } };
  assert.equal((await here.server.fetch(new Request(stolen, body))).status, 404);
  assert.equal((await here.server.fetch(new Request(stolen))).status, 401);
  const origin = { origin: "https://shop.example" };
  const { headers } = await here.server.fetch(new Request(stolen, { headers: origin }));
  assert.match(headers.get("access-control-expose-headers") ?? "", /content-disposition,content-range/);
});

test("an upload comes back with its type, length, name and range, and no browser shows it as a page", async () => {
  await using here = serve({ server: { bodyBytesMax: 1000 } });
  const key = await here.key("write");
  const session = await here.sessions.create({ id: "s" });
  const put = await upload(here, key, `${attachments}?name=${encodeURIComponent("ä 'map'.html")}`, {
    body: given,
    headers: { "content-type": "text/html" },
  });
  assert.equal(put.status, 201);
  const { part, ...stored } = (await put.json()) as { part: object };
  assert.deepEqual(stored, { hash, type: "text/html", length: given.length, name: "ä 'map'.html" });
  await session.append({ input: [{ role: "user", content: [part as never] }] });
  const whole = await get(here, key, `${attachments}/${hash}`);
  assert.equal(whole.status, 200);
  assert(whole.bytes.equals(given));
  assert.deepEqual(
    ["content-type", "content-length", "etag", "content-disposition", "x-content-type-options", "cache-control"].map(
      (name) => whole.headers.get(name),
    ),
    [
      "text/html",
      String(given.length),
      `"${hash}"`,
      "attachment; filename*=UTF-8''%C3%A4%20%27map%27.html",
      "nosniff",
      "no-store",
    ],
  );
  assert.match(whole.headers.get("content-security-policy") ?? "", /sandbox/);
  for (const [range, from, to] of [
    ["bytes=0-0", 0, 0],
    [`bytes=${piece - 1}-${piece + 1}`, piece - 1, piece + 1],
    ["bytes=-5", given.length - 5, given.length - 1],
    [`bytes=${piece}-`, piece, given.length - 1],
    [`bytes=9-${given.length + 7}`, 9, given.length - 1],
  ] as const) {
    const part = await get(here, key, `${attachments}/${hash}`, { range });
    assert.deepEqual(
      [part.status, part.headers.get("content-range")],
      [206, `bytes ${from}-${to}/${given.length}`],
      range,
    );
    assert(part.bytes.equals(given.subarray(from, to + 1)), range);
  }
  for (const range of ["lines=1-2", "bytes=1-2,4-5", "bytes=5-2", "bytes=-"])
    assert.equal((await get(here, key, `${attachments}/${hash}`, { range })).status, 200, range);
  for (const range of [`bytes=${given.length}-`, "bytes=-0"]) {
    const beyond = await get(here, key, `${attachments}/${hash}`, { range });
    const problem = JSON.parse(String(beyond.bytes)) as { code: string; status: number };
    assert.deepEqual(
      [beyond.status, problem.status, problem.code, beyond.headers.get("content-range")],
      [416, 416, "range_invalid", `bytes */${given.length}`],
      range,
    );
    assert.equal(beyond.headers.get("content-type"), "application/problem+json");
  }
  assert.deepEqual((await here.call("GET", attachments, { key })).json, { items: [stored] });
});

test("an upload over the limit, one that breaks off, and one of a reader leave nothing", async () => {
  await using here = serve({ limits: { attachmentBytesMax: 300_000 } });
  const [key, reader] = [await here.key("write"), await here.key("read")];
  const session = await here.sessions.create({ id: "s" });
  const headers = { "content-type": "image/png" };
  const refused = await upload(here, key, attachments, { body: given, headers });
  assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [413, "attachment_too_large"]);
  const broken = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(1000));
      controller.error(new Error("the client has left"));
    },
  });
  const half = await upload(here, key, attachments, { body: broken, headers, duplex: "half" });
  assert.equal(half.status, 400);
  assert.equal((await upload(here, reader, attachments, { body: "x", headers })).status, 403);
  const wrong = await upload(here, key, attachments, { body: "x", headers: { "content-type": "picture" } });
  assert.equal(wrong.status, 400);
  assert.deepEqual(await session.attachments.list(), []);
  // JSON is a type like any other.
  const json = await upload(here, key, attachments, { body: "{", headers: { "content-type": "application/json" } });
  assert.equal(json.status, 201);
});

test("a client puts bytes alone: a text or another value is refused before it is sent", async () => {
  await using here = serve();
  await here.sessions.create({ id: "s" });
  const client = connect({
    url: "http://server.test",
    key: await here.key("write"),
    fetch: async (request, init) => await here.server.fetch(new Request(request, init)),
  });
  const session = await client.get("s");
  assert(session !== null);
  for (const wrong of ["text", null, undefined, 5, {}, [1, 2]])
    await assert.rejects(session.attachments.put(wrong as never, { type: "a/b" }), (error) =>
      hasCode(error, "argument_invalid"),
    );
  assert.deepEqual(await session.attachments.list(), []);
  assert.equal((await session.attachments.put(new Blob([given]), { type: "a/b" })).hash, hash);
});

test("the hash of another session or tenant is a 404, like a missing one", async () => {
  await using here = serve();
  const key = await here.key("read");
  const foreign = await here.key("read", "other");
  await (await here.sessions.create({ id: "s" })).attachments.put(given, { type: "a/b" });
  await here.sessions.create({ id: "t" });
  await here.sessions.for("other").create({ id: "t" });
  for (const [token, asked] of [
    [key, hash],
    [key, "0".repeat(64)],
    [foreign, hash],
  ] as const)
    assertProblem(
      await here.call("GET", `/v1/sessions/t/attachments/${asked}`, { key: token }),
      404,
      "attachment_not_found",
    );
  assertProblem(await here.call("GET", `${attachments}/${hash}`, { key: foreign }), 404, "session_not_found");
  assertProblem(await here.call("GET", `${attachments}/x`, { key }), 400, "argument_invalid");
});

test("the client puts bytes, blobs and streams, lists and opens them", async () => {
  await using here = serve();
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  const remote = connect({ url: "http://server.test", key: await here.key("write"), fetch, retries: 0 });
  const session = await remote.create({ id: "s" });
  const stored = await session.attachments.put(given, { type: "image/png", name: "ä.png" });
  assert.equal(stored.hash, hash);
  const blob = await session.attachments.put(new Blob(["a"]), { type: "text/plain" });
  const stream = await session.attachments.put(new Blob(["b"]).stream(), { type: "text/plain" });
  assert.deepEqual(
    (await session.attachments.list()).map((one) => one.hash),
    [hash, blob.hash, stream.hash].toSorted(),
  );
  await session.append({ input: [{ role: "user", content: [stored.part] }] });
  const opened = await session.attachments.open(hash);
  assert.deepEqual([opened.type, opened.length, opened.name], ["image/png", given.length, "ä.png"]);
  assert(Buffer.concat(await Array.fromAsync(opened)).equals(given));
  const part = await session.attachments.open(hash, { from: 5, to: 9 });
  assert.equal(part.length, given.length);
  assert(Buffer.concat(await Array.fromAsync(part)).equals(given.subarray(5, 10)));
  await assert.rejects(session.attachments.open("0".repeat(64)), (error) => hasCode(error, "attachment_not_found"));
  await assert.rejects(session.attachments.put(given, { kind: "x" } as never), (error) =>
    hasCode(error, "argument_invalid"),
  );
});

test("over HTTP a message has its data, and the stored entry of an operator the mark", async () => {
  await using here = serve({ attachments: { inlineBytesMax: 1000 } });
  const key = await here.key("write");
  const data = `data:image/png;base64,${given.toString("base64")}`;
  const input = [{ role: "user", content: [{ type: "image_url", image_url: { url: data } }] }];
  await here.sessions.create({ id: "s" });
  assert.equal((await here.call("POST", "/v1/sessions/s/turns", { key, body: { input } })).status, 201);
  const turns = await here.call("GET", "/v1/sessions/s/turns", { key });
  assert.deepEqual(turns.json.items[0].input, input);
  assert.deepEqual((await here.call("GET", attachments, { key })).json, { items: [] });
  const stored = await here.call("GET", "/v1/sessions/s/stored/turns", { key });
  assert.match(stored.text, new RegExp(`attachment\\+data:image/png;sha256,${hash}`));
  assert.ok(stored.text.length < 1500);
});

type Open = (hash: string, range?: AttachmentRange) => Promise<OpenAttachment>;

test("ranges over HTTP are those of a local session, also behind a proxy that leaves out headers", async () => {
  await using here = serve();
  const local = await here.sessions.create({ id: "s" });
  const eleven = await local.attachments.put(Buffer.from("hello there"), { type: "text/plain", name: "h.txt" });
  const none = await local.attachments.put(Buffer.alloc(0), { type: "text/plain" });
  const key = await here.key("read");
  const remote = async (change: (headers: Headers) => void, sends = true): Promise<Open> => {
    const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
      const request = new Request(url, init);
      if (!sends) request.headers.delete("range");
      const response = await here.server.fetch(request);
      const headers = new Headers(response.headers);
      change(headers);
      return new Response(response.body, { status: response.status, headers });
    };
    const session = await connect({ url: "http://server.test", key, fetch, retries: 0 }).get("s");
    return (asked, range) => session.attachments.open(asked, range);
  };
  const found = async (open: Open, of: string, range: object): Promise<unknown> => {
    try {
      const { type, length, name, ...rest } = await open(of, range);
      return { type, length, name, text: Buffer.concat(await Array.fromAsync(rest)).toString() };
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  const expected: Open = (asked, range) => local.attachments.open(asked, range);
  const clients = [
    await remote(() => undefined),
    await remote((headers) => headers.delete("content-length")),
    await remote(() => undefined, false),
  ];
  const ranges = [
    {},
    { from: 5, to: 4 },
    { from: 6 },
    { to: 4 },
    { from: 2, to: 3 },
    { from: 11 },
    { from: 11, to: 10 },
    { to: -1 },
    { from: -1 },
    { from: 1.5 },
    { to: 100 },
    { from: 12 },
    { from: 12, to: 11 },
    { from: 5, to: 3 },
  ];
  for (const range of ranges)
    for (const { hash: of } of [eleven, none])
      for (const [index, open] of clients.entries())
        assert.deepEqual(
          await found(open, of, range),
          await found(expected, of, range),
          `client ${index}: ${JSON.stringify(range)}`,
        );
  const silent = await remote((headers) => {
    for (const name of ["content-length", "x-attachment-length"]) headers.delete(name);
  });
  assert.equal(await found(silent, eleven.hash, {}), "store_unavailable");
});

test("a token, a key or a device that no header can carry is refused, and not quoted", async () => {
  const url = "http://server.test";
  for (const secret of ["pds_a\nb", "pds_\u00e9", "pds_\u2026", ""])
    for (const call of [
      () => openShare({ url, token: secret }),
      () => connect({ url, key: secret }),
      () => chat({ url, device: secret }),
      () => chat({ url, device: randomUUID(), key: secret }),
    ])
      assert.throws(
        call,
        (error) => hasCode(error, "argument_invalid") && !/pds_/.test(JSON.stringify(error) + error.message),
      );
  await using here = serve();
  const fetch = async (asked: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(asked, init));
  // A file of a key ends in a line break.
  await connect({ url, key: `${await here.key("write")}\n`, fetch }).create({ id: "s" });
});

test("a range of an attachment reads the turns of a share once, as the whole does", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  const { part } = await session.attachments.put(given, { type: "image/png" });
  await session.append({ input: [{ role: "user", content: [part] }] });
  const { token } = await here.sessions.share("s");
  const { store } = coreOf(here.sessions);
  const read = store.read.bind(store);
  const logs: string[] = [];
  store.read = async (key, range) => {
    logs.push(range.log);
    return await read(key, range);
  };
  for (const [range, status, bytes] of [
    [undefined, 200, given],
    ["bytes=5-9", 206, given.subarray(5, 10)],
    ["bytes=-7", 206, given.subarray(-7)],
    [`bytes=9-${given.length + 9}`, 206, given.subarray(9)],
    [`bytes=${given.length}-`, 416, undefined],
  ] as const) {
    logs.length = 0;
    const got = await get(here, token, `/v1/shared/attachments/${hash}`, range === undefined ? {} : { range });
    assert.deepEqual([got.status, bytes === undefined || got.bytes.equals(bytes)], [status, true], range);
    assert.equal(logs.filter((log) => log === "turns").length, 1, range);
  }
});

test("a range may be a function of the attachment", async () => {
  await using here = serve();
  const { attachments: local } = await here.sessions.create({ id: "s" });
  await local.put(given, { type: "image/png" });
  const bytes = await Array.fromAsync(await local.open(hash, ({ length }) => ({ from: length - 3 })));
  assert(Buffer.concat(bytes).equals(given.subarray(-3)));
  for (const [range, code] of [
    [{ last: 3 }, "argument_invalid"],
    [undefined, "argument_invalid"],
    [{ from: given.length + 1 }, "range_invalid"],
  ] as const)
    await assert.rejects(
      local.open(hash, () => range as never),
      { code },
    );
});

test("bytes that are missing or damaged are a problem document, for keys, devices and readers of shares", async () => {
  const objects = new ObjectStore();
  await using here = serve({ attachments: { in: objects } });
  const device = randomUUID();
  const client = chat({
    url: "http://server.test",
    device,
    fetch: async (request, init) => await here.server.fetch(new Request(request, init)),
  });
  const conversation = await client.conversations.create();
  const { hash: small } = await conversation.attachments.put(Buffer.from("one"), { type: "text/plain" });
  const session = await here.sessions.create({ id: "s" });
  const put = await session.attachments.put(Buffer.from("one"), { type: "text/plain" });
  await session.append({ input: [{ role: "user", content: [put.part] }] });
  const { token } = await here.sessions.share("s");
  const key = await here.key("read");
  const requests: readonly [string, Record<string, string>][] = [
    [`${attachments}/${small}`, { authorization: `Bearer ${key}` }],
    [`/v1/chat/conversations/${conversation.id}/attachments/${small}`, { "x-device-id": device }],
    [`/v1/shared/attachments/${small}`, { authorization: `Bearer ${token}` }],
  ];
  const statuses = async (headers: Record<string, string> = {}, method = "GET"): Promise<readonly number[]> => {
    const found: number[] = [];
    for (const [path, sent] of requests) {
      const request = new Request(`http://server.test${path}`, { method, headers: { ...sent, ...headers } });
      const { status, headers: got, body } = await here.server.fetch(request);
      found.push(status);
      if (status >= 500) assert.equal(got.get("content-type"), "application/problem+json");
      await body?.cancel();
    }
    return found;
  };
  const range = { range: "bytes=1-2" };
  const get = objects.get.bind(objects);
  let open = 0;
  objects.get = async (name, bytes) => {
    const found = await get(name, bytes);
    return found && watched(found);
  };
  async function* watched(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    open++;
    try {
      yield* bytes;
    } finally {
      open--;
    }
  }
  assert.deepEqual(await statuses(), [200, 200, 200]);
  assert.deepEqual(await statuses({}, "HEAD"), [200, 200, 200]);
  const { hash: large } = await session.attachments.put(given, { type: "a/b" });
  const path = `http://server.test${attachments}/${large}`;
  const how = { method: "HEAD", headers: { authorization: `Bearer ${key}` } };
  const head = await here.server.fetch(new Request(path, how));
  assert.deepEqual([head.status, head.headers.get("content-length")], [200, String(given.length)]);
  assert.equal(open, 0, "no object stays open behind a response without a body");
  assert.deepEqual(await statuses(range), [206, 206, 206]);
  for (const [name] of objects.objects) objects.objects.set(name, Buffer.from("two"));
  assert.deepEqual(await statuses(), [500, 500, 500]);
  assert.deepEqual(await statuses({}, "HEAD"), [500, 500, 500]);
  objects.objects.clear();
  assert.deepEqual(await statuses(), [500, 500, 500]);
  assert.deepEqual(await statuses(range), [500, 500, 500]);
  objects.before = () => {
    throw new Error("the bucket is away");
  };
  assert.deepEqual(await statuses(range), [503, 503, 503]);
});

test("an attachment that is damaged behind its first piece breaks off, for programs and for the client", async (t) => {
  // The listener prints what broke a response.
  t.mock.method(console, "error", () => undefined);
  const objects = new ObjectStore();
  await using here = serve({ attachments: { in: objects } });
  const session = await here.sessions.create({ id: "s" });
  await session.attachments.put(given, { type: "a/b" });
  const [name = "", stored = Buffer.alloc(0)] = [...objects.objects][0] ?? [];
  const key = await here.key("read");
  const listening = await listen(here.server, { port: 0 });
  try {
    const url = `${listening.url}${attachments}/${hash}`;
    const headers = { authorization: `Bearer ${key}` };
    const client = await connect({ url: listening.url, key, retries: 0 }).get("s");
    for (const damaged of [stored.subarray(0, -1), Buffer.from(stored).fill("x", piece + 7, piece + 8)]) {
      objects.objects.set(name, damaged);
      const response = await fetch(url, { headers });
      assert.deepEqual([response.status, response.headers.get("content-length")], [200, String(given.length)]);
      await assert.rejects(response.arrayBuffer());
      const opened = await client.attachments.open(hash);
      await assert.rejects(Array.fromAsync(opened), (error) => {
        assert(hasCode(error, "store_unavailable") && error.details.problem === "stream_broken", String(error));
        return true;
      });
    }
    // A proxy may end the body of a broken response as if it were whole.
    const cut = connect({
      url: listening.url,
      key,
      fetch: async (request, init) => {
        const response = await fetch(request, init);
        if (!String(request).endsWith(hash)) return response;
        await response.body?.cancel();
        return new Response(given.subarray(0, -1), { headers: response.headers });
      },
    });
    const opened = await (await cut.get("s")).attachments.open(hash);
    await assert.rejects(Array.fromAsync(opened), (error) => hasCode(error, "store_unavailable"));
  } finally {
    await listening.close(1000);
  }
});

test("the reader of a share opens what its messages show, and nothing else of the session or of others", async () => {
  await using here = serve({});
  const session = await here.sessions.create({ id: "s" });
  const other = await here.sessions.create({ id: "other" });
  const put = async (text: string | Buffer, to = session): ReturnType<typeof session.attachments.put> =>
    await to.attachments.put(Buffer.from(text), { type: "image/png", name: "a.png" });
  const shown = await put(given);
  const [unnamed, hidden, replaced, foreign] = [
    await put("no turn names it"),
    await put("the result of a tool"),
    await put("in a turn that is replaced"),
    await put("of another session", other),
  ];
  await session.append({ input: [{ role: "user", content: [shown.part] }], output: "a map" });
  await session.append({
    input: [
      { role: "system", content: [hidden.part] },
      { role: "user", content: "go on" },
    ],
  });
  await session.append({ input: [{ role: "user", content: [replaced.part] }] });
  await session.truncate(2);
  const { token, id } = await here.sessions.share("s");
  const local = await here.sessions.openShare(token);
  const remote = openShare({
    url: "http://server.test",
    token,
    fetch: async (request, init) => await here.server.fetch(new Request(request, init)),
  });
  for (const reader of [local, remote]) {
    const opened = await reader.openAttachment(hash);
    assert.deepEqual([opened.type, opened.length, opened.name], ["image/png", given.length, "a.png"]);
    assert(Buffer.concat(await Array.fromAsync(opened)).equals(given));
    const part = await reader.openAttachment(hash, { from: piece, to: piece + 9 });
    assert(Buffer.concat(await Array.fromAsync(part)).equals(given.subarray(piece, piece + 10)));
    for (const one of [unnamed, hidden, replaced, foreign])
      await assert.rejects(reader.openAttachment(one.hash), (error) => {
        assert(hasCode(error, "attachment_not_found"), String(error));
        assert.equal(error.details.sessionId, undefined);
        return true;
      });
  }
  // The token opens this one route alone, and nothing once it is revoked.
  for (const path of [attachments, `${attachments}/${hash}`, "/v1/shared/attachments"])
    assert((await get(here, token, path)).status >= 401, path);
  assert.equal((await upload(here, token, "/v1/shared/attachments", { body: given })).status, 404);
  await here.sessions.unshare(id);
  for (const reader of [local, remote])
    await assert.rejects(reader.openAttachment(hash), (error) => hasCode(error, "share_not_found"));
});
