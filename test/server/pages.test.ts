/** Pages end where their bytes do, are written as they are read, and `next` goes on. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { chat, connect } from "../../src/client/index.ts";
import { systemClock } from "../../src/clock.ts";
import { identityOf } from "../../src/domain/record/change.ts";
import type { EntryRange, Metadata, Turn, UnreadableEntry } from "../../src/index.ts";
import { openMemory } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { requestOf, serve, type Serving } from "./serving.ts";

const pageBytes = 1024 * 1024;
/** Two and a half pages of turns, and more than one read of the log in each. */
const turnCount = 25;

async function talked(here: Serving): Promise<{ readonly device: string; readonly id: string }> {
  const device = randomUUID();
  const session = await here.sessions.devices.open(device);
  const input = "x".repeat(100 * 1024);
  for (let turn = 1; turn <= turnCount; turn++) await session.append({ input, output: `answer ${turn}` });
  return { device, id: session.id };
}

const everyTurn = Array.from({ length: turnCount }, (_, index) => index + 1);

function seqs(turns: readonly Turn[]): number[] {
  return turns.map(({ seq }) => seq);
}

test("a page of turns ends at one mebibyte, and next continues it", async () => {
  await using here = serve();
  const { device, id } = await talked(here);
  const key = await here.key("read");
  for (const [path, who] of [
    ["/v1/chat/turns", { device }],
    [`/v1/sessions/${id}/turns`, { key }],
  ] as const) {
    const found: Turn[] = [];
    let query = "last=500";
    for (let page = 1; ; page++) {
      const { status, text, json } = await here.call("GET", `${path}?${query}`, who);
      assert.equal(status, 200);
      assert.ok(text.length < 1.1 * pageBytes, `page ${page} has ${text.length} bytes`);
      found.push(...json.items);
      if (json.next === undefined) break;
      query = `from=${json.next}`;
    }
    assert.deepEqual(seqs(found), everyTurn);
    const { json } = await here.call("GET", `${path}?from=3&to=5`, who);
    assert.deepEqual([seqs(json.items), json.next], [[3, 4, 5], undefined]);
    assert.deepEqual((await here.call("GET", `${path}?last=0`, who)).json, { items: [] });
  }
});

test("the events of a session come in pages of at most 500, and the client reads all of them", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  for (let event = 2; event <= 502; event++) await session.setLegalHold(`reason ${event}`);
  const key = await here.key("read");
  const { json } = await here.call("GET", "/v1/sessions/s/events?from=1", { key });
  assert.deepEqual([json.items.length, json.next], [500, 501]);
  const fetch = async (url: unknown, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(String(url), init));
  const remote = await connect({ url: "http://server.test", key, fetch }).get("s");
  const local = await Array.fromAsync(session.events());
  assert.equal(local.length, 502);
  assert.deepEqual(await Array.fromAsync(remote.events()), local);
  assert.deepEqual(await Array.fromAsync(remote.events({ last: 501 })), local.slice(1));
});

test("a page has at most 500 turns, and next continues it", async () => {
  await using here = serve();
  const device = randomUUID();
  const session = await here.sessions.devices.open(device);
  for (let turn = 1; turn <= 502; turn++) await session.append({ input: "x" });
  const { json } = await here.call("GET", "/v1/chat/turns?from=1", { device });
  assert.deepEqual([json.items.length, json.next], [500, 501]);
  const rest = await here.call("GET", "/v1/chat/turns?from=501", { device });
  assert.deepEqual([seqs(rest.json.items), rest.json.next], [[501, 502], undefined]);
  const last = await here.call("GET", "/v1/chat/turns?last=501", { device });
  assert.deepEqual([last.json.items[0].seq, last.json.items.length, last.json.next], [2, 500, 502]);
});

test("before pages back from the newest turn to the first one, for devices, keys, clients and the library", async () => {
  await using here = serve();
  const device = randomUUID();
  const session = await here.sessions.devices.open(device);
  for (let turn = 1; turn <= 47; turn++) await session.append({ input: `${turn}` });
  const all = Array.from({ length: 47 }, (_, index) => index + 1);
  const key = await here.key("read");
  for (const [path, who] of [
    ["/v1/chat", { device }],
    [`/v1/sessions/${session.id}`, { key }],
  ] as const) {
    const pages: number[][] = [];
    for (let query = ""; ;) {
      const { json } = await here.call("GET", `${path}/turns${query}`, who);
      pages.unshift(seqs(json.items));
      if (json.before === undefined) break;
      query = `?before=${json.before}`;
    }
    assert.deepEqual(
      pages.map(({ length }) => length),
      [7, 20, 20],
    );
    assert.deepEqual(pages.flat(), all);
    const page = async (query: string): Promise<unknown> => {
      const { json } = await here.call("GET", `${path}/turns?${query}`, who);
      return [seqs(json.items), json.before, json.next];
    };
    assert.deepEqual(await page("before=6&last=3"), [[3, 4, 5], 3, undefined]);
    assert.deepEqual(await page("before=3&last=9"), [[1, 2], undefined, undefined]);
    assert.deepEqual(await page("before=999&last=2"), [[46, 47], 46, undefined]);
    assert.deepEqual(await page("before=4&from=2"), [[2, 3], undefined, undefined]);
    assert.deepEqual(await page("before=1"), [[], undefined, undefined]);
    for (const bad of ["before=0", "before=x", "before=4&to=3"])
      assert.equal((await here.call("GET", `${path}/turns?${bad}`, who)).status, 400, bad);
  }
  const fetch = async (url: unknown, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(String(url), init));
  const mine = chat({ url: "http://server.test", device, fetch });
  const remote = await connect({ url: "http://server.test", key, fetch }).get(session.id);
  for (const reader of [mine, remote, session]) {
    const read = async (range: EntryRange): Promise<number[]> => seqs(await Array.fromAsync(reader.turns(range)));
    assert.deepEqual(await read({ before: 6, last: 3 }), [3, 4, 5]);
    assert.deepEqual(await read({ before: 6 }), [1, 2, 3, 4, 5]);
    assert.deepEqual(await read({ before: 6, from: 4 }), [4, 5]);
    assert.deepEqual(await read({ before: 1, last: 3 }), []);
    assert.deepEqual(await read({}), all);
    await assert.rejects(read({ before: 0 }));
    await assert.rejects(read({ before: 3, to: 3 }));
  }
  const events = await here.call("GET", `/v1/sessions/${session.id}/events?before=2`, { key });
  assert.deepEqual([events.json.items.length, events.json.before], [1, undefined]);
});

test("a client reads a page before a turn that is larger than a page of bytes", async () => {
  await using here = serve();
  const { device } = await talked(here);
  const fetch = async (url: unknown, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(String(url), init));
  const mine = chat({ url: "http://server.test", device, fetch });
  assert.deepEqual(seqs(await Array.fromAsync(mine.turns({ before: 25, last: 20 }))), everyTurn.slice(4, 24));
});

test("the clients read all pages of a range", async () => {
  await using here = serve();
  const { device, id } = await talked(here);
  const fetch = async (url: unknown, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(String(url), init));
  const mine = chat({ url: "http://server.test", device, fetch });
  assert.deepEqual(seqs(await Array.fromAsync(mine.turns({ last: 100 }))), everyTurn);
  assert.deepEqual(seqs(await Array.fromAsync(mine.turns({ last: 15 }))), everyTurn.slice(-15));
  const session = await connect({ url: "http://server.test", key: await here.key("read"), fetch }).get(id);
  assert.deepEqual(seqs(await Array.fromAsync(session.turns())), everyTurn);
  assert.deepEqual(seqs(await Array.fromAsync(session.turns({ from: 2, to: 20 }))), everyTurn.slice(1, 20));
});

test("a reader that reads nothing costs one read of the log, and none after it leaves", async () => {
  const store = openMemory({ clock: systemClock });
  await using here = serve({ store });
  const { device } = await talked(here);
  let reads = 0;
  const read = store.read.bind(store);
  store.read = async (key, range) => {
    if (range.log === "turns") reads++;
    return await read(key, range);
  };
  const responses = await Promise.all(
    Array.from({ length: 20 }, async () => {
      return await here.server.fetch(requestOf("GET", "/v1/chat/turns?from=1", { device }));
    }),
  );
  assert.equal(reads, responses.length);
  const [first, ...others] = responses;
  for (const { body } of others) await body?.cancel();
  const page = (await first?.json()) as { items: Turn[]; next: number };
  assert.equal(page.next, page.items.length + 1);
  assert.ok(reads <= responses.length + 6, `${reads - responses.length} reads for the page that was read`);
});

/** Change one entry of a log in the store. */
async function damage(store: Store, id: string, log: string, entry: { readonly seq: number; readonly data: string }) {
  const key = { tenant: "default", id };
  const record = (await store.load([{ key, tails: [] }])).sessions[0]?.record ?? assert.fail();
  const range = { log, from: entry.seq, to: Number.MAX_SAFE_INTEGER, order: "ascending", limit: 1000 } as const;
  const [found, ...later] = await store.read(record, range);
  const entries = [{ ...(found ?? assert.fail()), ...entry }, ...later];
  const next = { ...record, version: record.version + 1 };
  const splices = [{ log, from: entry.seq, entries }];
  await store.commit([[{ key, expected: identityOf(record), record: next, splices, claims: [] }]]);
}

test("pages of turns and events leave out damaged entries and name them, and so do the clients", async () => {
  const store = openMemory({ clock: systemClock });
  await using here = serve({ store });
  const device = randomUUID();
  const session = await here.sessions.devices.open(device);
  for (let turn = 1; turn <= 4; turn++) await session.append({ input: "x" });
  await session.setLegalHold("a reason");
  await session.setLegalHold("another reason");
  const deep = `{"status":"done","input":[],"output":[],"more":${"[".repeat(600)}${"]".repeat(600)}}`;
  await damage(store, session.id, "turns", { seq: 2, data: "{" });
  await damage(store, session.id, "turns", { seq: 4, data: deep });
  await damage(store, session.id, "events", { seq: 2, data: "null" });
  const key = await here.key("read");
  const reason = "its data cannot be read";
  const unreadable = [
    { seq: 2, reason },
    { seq: 4, reason },
  ];
  for (const [path, who] of [
    ["/v1/chat/turns", { device }],
    [`/v1/sessions/${session.id}/turns`, { key }],
  ] as const) {
    const { json } = await here.call("GET", `${path}?from=1`, who);
    assert.deepEqual([seqs(json.items), json.unreadable, json.next], [[1, 3], unreadable, undefined]);
    assert.equal("unreadable" in (await here.call("GET", `${path}?from=1&to=1`, who)).json, false);
  }
  const { json } = await here.call("GET", `/v1/sessions/${session.id}/events?from=1`, { key });
  assert.deepEqual([json.items.map(({ seq }: Turn) => seq), json.unreadable], [[1, 3], [{ seq: 2, reason }]]);

  const fetch = async (url: unknown, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(String(url), init));
  const named: UnreadableEntry[] = [];
  const onUnreadable = (entry: UnreadableEntry): void => void named.push(entry);
  const remote = await connect({ url: "http://server.test", key, fetch }).get(session.id);
  assert.deepEqual(seqs(await Array.fromAsync(remote.turns({ onUnreadable }))), [1, 3]);
  assert.deepEqual(seqs(await Array.fromAsync(remote.turns({ last: 3, onUnreadable }))), [3]);
  const mine = chat({ url: "http://server.test", device, fetch });
  assert.deepEqual(seqs(await Array.fromAsync(mine.turns({ onUnreadable }))), [1, 3]);
  assert.deepEqual((await Array.fromAsync(remote.events({ onUnreadable }))).length, 2);
  assert.deepEqual(named, [...unreadable, ...unreadable, ...unreadable, { seq: 2, reason }]);
});

test("a page has at most 500 damaged entries, and next continues it", async () => {
  const store = openMemory({ clock: systemClock });
  await using here = serve({ store });
  const session = await here.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 502; turn++) await session.append({ input: "x" });
  const key = { tenant: "default", id: "s" };
  const record = (await store.load([{ key, tails: [] }])).sessions[0]?.record ?? assert.fail();
  const entries = Array.from({ length: 501 }, (_, index) => ({ seq: index + 1, key: null, at: 1, data: "{" }));
  const last = { log: "turns", from: 502, to: 502, order: "ascending", limit: 1 } as const;
  const splices = [{ log: "turns", from: 1, entries: [...entries, ...(await store.read(key, last))] }];
  const next = { ...record, version: record.version + 1 };
  await store.commit([[{ key, expected: identityOf(record), record: next, splices, claims: [] }]]);
  const read = await here.key("read");
  const { json } = await here.call("GET", "/v1/sessions/s/turns?from=1", { key: read });
  assert.deepEqual([json.items, json.unreadable.length, json.next], [[], 500, 501]);
  const rest = await here.call("GET", `/v1/sessions/s/turns?from=${json.next}`, { key: read });
  assert.deepEqual([seqs(rest.json.items), rest.json.unreadable.length, rest.json.next], [[502], 1, undefined]);
});

test("a reader that reads nothing makes the server encode a small part of a page of sessions or events", async (t) => {
  await using here = serve();
  const note = "x".repeat(2000);
  for (let index = 0; index < 200; index++) {
    const session = await here.sessions.create({ metadata: { note } });
    await session.setLegalHold(note);
  }
  const key = await here.key("read");
  let bytes = 0;
  const stringify = JSON.stringify.bind(JSON) as (value: unknown) => string;
  t.mock.method(JSON, "stringify", (value: unknown) => {
    const text = stringify(value);
    bytes += text.length;
    return text;
  });
  for (const path of ["/v1/sessions?limit=200", "/v1/events?type=legal_hold_set&limit=200"]) {
    const request = requestOf("GET", path, { key });
    bytes = 0;
    const response = await here.server.fetch(request);
    assert.ok(bytes < 8 * 1024, `${path}: ${bytes} bytes are encoded before the first read`);
    const reader = response.body?.getReader() ?? assert.fail();
    let taken = 0;
    const decoder = new TextDecoder();
    let text = "";
    for (let done = false; !done;) {
      const piece = await reader.read();
      ({ done } = piece);
      text += decoder.decode(piece.value, { stream: !done });
      taken += piece.value?.length ?? 0;
      assert.ok(bytes - taken < 64 * 1024, `${path}: ${bytes - taken} bytes wait for the reader`);
    }
    assert.ok(taken > 400 * 1024);
    assert.equal((JSON.parse(text) as { items: unknown[] }).items.length, 200);
  }
});

test("a session whose metadata has no JSON is left out of a page of sessions, and named", async () => {
  const store = openMemory({ clock: systemClock });
  await using here = serve({ store });
  for (const id of ["a", "bad", "z"]) await here.sessions.create({ id });
  const key = { tenant: "default", id: "bad" };
  const record = (await store.load([{ key, tails: [] }])).sessions[0]?.record ?? assert.fail();
  let deep: Metadata = {};
  for (let level = 0; level < 600; level++) deep = { deep };
  const find = store.find.bind(store);
  store.find = async (query) => {
    const found = await find(query);
    return { ...found, records: found.records.map((one) => (one.id === "bad" ? { ...record, metadata: deep } : one)) };
  };
  const { status, json } = await here.call("GET", "/v1/sessions?order=id", { key: await here.key("read") });
  assert.equal(status, 200);
  assert.deepEqual(
    json.items.map(({ id }: { id: string }) => id),
    ["a", "z"],
  );
  assert.deepEqual(json.unreadable, [{ id: "bad", reason: "its data cannot be read" }]);
});

test("a page that cannot be read to its end breaks off, and is not valid JSON", async () => {
  const store = openMemory({ clock: systemClock });
  await using here = serve({ store });
  const { device } = await talked(here);
  const response = await here.server.fetch(requestOf("GET", "/v1/chat/turns?from=1", { device }));
  store.read = async () => {
    throw new Error("the store fails");
  };
  assert.equal(response.status, 200);
  await assert.rejects(response.text());
});

test("the list of every page is its field items, as in the library", async () => {
  await using here = serve();
  const { paths, components } = (await here.call("GET", "/openapi.json")).json as {
    readonly paths: Record<string, Record<string, Operation>>;
    readonly components: { readonly schemas: Record<string, Schema> };
  };
  const pages = Object.entries(paths).flatMap(([path, { get }]) => {
    const given = get?.responses["200"]?.content?.["application/json"]?.schema ?? {};
    const { properties = {} } = components.schemas[given.$ref?.split("/").at(-1) ?? ""] ?? given;
    return "next" in properties ? [`${path} ${properties["items"]?.type}`] : [];
  });
  assert.deepEqual(pages.toSorted(), [
    "/v1/chat/conversations array",
    "/v1/chat/conversations/{id}/turns array",
    "/v1/chat/search array",
    "/v1/chat/turns array",
    "/v1/devices/link array",
    "/v1/documents/{scope} array",
    "/v1/events array",
    "/v1/search array",
    "/v1/sessions array",
    "/v1/sessions/{id}/events array",
    "/v1/sessions/{id}/logs/{name} array",
    "/v1/sessions/{id}/stored/{log} array",
    "/v1/sessions/{id}/turns array",
    "/v1/shared/turns array",
    "/v1/streams array",
    "/v1/users/{user}/conversations array",
  ]);
});

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface Operation {
  readonly responses: Readonly<Record<string, { readonly content?: Record<string, { readonly schema: Schema }> }>>;
}
