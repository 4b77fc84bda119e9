/** Pages end where their bytes do, are written as they are read, and `next` goes on. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { chat, connect } from "../../src/client/index.ts";
import { systemClock } from "../../src/clock.ts";
import type { Turn } from "../../src/index.ts";
import { openMemory } from "../../src/store/memory.ts";
import { requestOf, serve, type Serving } from "./serving.ts";

const pageBytes = 1024 * 1024;
/** Two and a half pages of turns, and more than one read of the log in each. */
const said = 25;

async function talked(here: Serving): Promise<{ readonly device: string; readonly id: string }> {
  const device = randomUUID();
  const session = await here.sessions.devices.open(device);
  const input = "x".repeat(100 * 1024);
  for (let turn = 1; turn <= said; turn++) await session.append({ input, output: `answer ${turn}` });
  return { device, id: session.id };
}

const everyTurn = Array.from({ length: said }, (_, index) => index + 1);

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
      found.push(...json.turns);
      if (json.next === undefined) break;
      query = `from=${json.next}`;
    }
    assert.deepEqual(seqs(found), everyTurn);
    const { json } = await here.call("GET", `${path}?from=3&to=5`, who);
    assert.deepEqual([seqs(json.turns), json.next], [[3, 4, 5], undefined]);
    assert.deepEqual((await here.call("GET", `${path}?last=0`, who)).json, { turns: [] });
  }
});

test("the events of a session come in pages of at most 500, and the client reads all of them", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  for (let event = 2; event <= 502; event++) await session.setLegalHold(`reason ${event}`);
  const key = await here.key("read");
  const { json } = await here.call("GET", "/v1/sessions/s/events?from=1", { key });
  assert.deepEqual([json.events.length, json.next], [500, 501]);
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
  assert.deepEqual([json.turns.length, json.next], [500, 501]);
  const rest = await here.call("GET", "/v1/chat/turns?from=501", { device });
  assert.deepEqual([seqs(rest.json.turns), rest.json.next], [[501, 502], undefined]);
  const last = await here.call("GET", "/v1/chat/turns?last=501", { device });
  assert.deepEqual([last.json.turns[0].seq, last.json.turns.length, last.json.next], [2, 500, 502]);
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
  const page = (await first?.json()) as { turns: Turn[]; next: number };
  assert.equal(page.next, page.turns.length + 1);
  assert.ok(reads <= responses.length + 6, `${reads - responses.length} reads for the page that was read`);
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
