import assert from "node:assert/strict";
import { test } from "node:test";
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { inMemory } from "../../test/in-memory.ts";
import { decode, encode } from "../domain/codec.ts";
import type { Entry } from "../domain/entry.ts";
import { openMemory } from "../store/memory.ts";
import { Sessions } from "./sessions.ts";

const day = 86_400_000;

async function filled(sessions: Sessions, id: string, turns = 5): Promise<void> {
  const session = await sessions.create({
    id,
    agent: "ceo",
    user: "u",
    instructions: "Be brief. 🥖",
    metadata: { a: 1n },
  });
  for (let index = 1; index <= turns; index++) {
    await session.append(
      {
        input: `question ${index} \u0000 \ud800`,
        output: { role: "assistant", content: [{ at: new Date(0), n: -0 }] },
      },
      { key: `k${index}` },
    );
  }
  await session.handOff("cfo", { note: "look at this" });
  await session.release();
}

test("what is archived is read as before, byte for byte, and listed and counted as before", async () => {
  await using place = inMemory();
  const { sessions } = place;
  await filled(sessions, "s");
  const session = await sessions.get("s");
  const before = await everything(sessions, "s");
  const { counters, turn } = session.info;
  assert.equal(await session.archive(), true);
  assert.equal(await session.archive(), false, "once");
  const other = await sessions.get("s");
  assert.deepEqual(await everything(sessions, "s"), before);
  assert.equal(other.info.state, "archived");
  assert.deepEqual([other.info.counters, other.info.turn], [counters, turn]);
  assert.deepEqual(
    (await sessions.list({ state: "archived", user: "u" })).sessions.map(({ id }) => id),
    ["s"],
  );
  const rows = await place.store.read({ tenant: "default", id: "s" }, all("turns"));
  assert.deepEqual(rows, [], "the rows are gone");
});

test("an archived session is not written to, and a retry of what was written before it finds its turn", async () => {
  await using place = inMemory();
  await filled(place.sessions, "s");
  const session = await place.sessions.get("s");
  await session.archive();
  await assert.rejects(session.append({ input: "more" }), { code: "session_archived" });
  await assert.rejects(session.truncate(1), { code: "session_archived" });
  await assert.rejects(place.sessions.ensure("s"), { code: "session_archived" });
  const [first] = await Array.fromAsync(session.turns({ from: 1, to: 1 }));
  assert.ok(first);
  const again = await session.append({ input: first.input, output: first.output }, { key: "k1" });
  assert.equal(again.seq, 1);
});

test("unarchive brings back the same logs and the state it had, and whoever had seen it goes on", async () => {
  await using place = inMemory();
  const { sessions, store } = place;
  await filled(sessions, "s");
  const writer = await sessions.get("s");
  const logs = await rawLogs();
  const { record } = (await store.load([{ key, tails: [] }]))[0] ?? assert.fail();
  await sessions.archive("s");
  assert.equal(await sessions.unarchive("s"), true);
  assert.equal(await sessions.unarchive("s"), false);
  assert.deepEqual(await rawLogs(), logs);
  const { record: after } = (await store.load([{ key, tails: [] }]))[0] ?? assert.fail();
  const moved = { version: 0, mark: "", stateSince: 0 };
  const heads = { ...record.heads, events: 5, spent: 0 };
  assert.deepEqual({ ...after, ...moved }, { ...record, ...moved, heads });
  assert.deepEqual(
    (await writer.events({ last: 2 })).map(({ type }) => type),
    ["archived", "unarchived"],
  );
  assert.equal((await writer.append({ input: "and on" })).seq, 6);

  await writer.end();
  await writer.archive();
  await writer.unarchive();
  assert.equal(writer.info.state, "ended");

  async function rawLogs(): Promise<readonly (readonly Entry[])[]> {
    return await Promise.all(["turns", "instructions", "archive"].map((log) => store.read(key, all(log))));
  }
});

const key = { tenant: "default", id: "s" };

function all(log: string): { log: string; from: number; to: number; order: "ascending"; limit: number } {
  return { log, from: 1, to: 1e6, order: "ascending", limit: 1e6 };
}

async function everything(sessions: Sessions, id: string): Promise<unknown> {
  const session = await sessions.get(id);
  return {
    turns: await Array.fromAsync(session.turns()),
    last: await Array.fromAsync(session.turns({ last: 2 })),
    range: await Array.fromAsync(session.turns({ from: 2, to: 3 })),
    instructions: await session.instructions(),
    events: (await session.events()).filter(({ type }) => type !== "archived"),
  };
}

test("a session of more than one part is read page by page and comes back whole", async () => {
  await using place = inMemory({ limits: { readMax: 3 } });
  const session = await place.sessions.create({ id: "s" });
  // Nothing that repeats itself: the parts are as large as they can be.
  const large = (index: number): string => Array.from({ length: 1_200_000 }, (_, at) => (at * index) % 10).join("");
  for (let index = 1; index <= 9; index++) await session.append({ input: large(index) });
  await session.archive();
  const [loaded] = await place.store.load([{ key, tails: [] }]);
  assert.equal(loaded?.record.archive?.parts.length, 3);
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ input }) => input[0]?.content),
    Array.from({ length: 9 }, (_, index) => large(index + 1)),
  );
  assert.deepEqual(
    (await Array.fromAsync(session.turns({ last: 4 }))).map(({ seq }) => seq),
    [6, 7, 8, 9],
  );
  await session.unarchive();
  assert.equal((await Array.fromAsync(session.turns())).length, 9);
});

test("a session in use is not archived, and is once its turn is sealed", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("a question");
  await assert.rejects(place.another().archive("s"), { code: "busy" });
  await turn.write({ text: "an ans" });
  await turn.seal();
  await session.archive();
  assert.equal((await Array.fromAsync(session.turns()))[0]?.output[0]?.content, "an ans");
});

const alterations: Readonly<Record<string, (data: string) => string>> = {
  "whose bytes were altered": (data) => {
    const middle = Math.floor(data.length / 2);
    return data.slice(0, middle) + (data[middle] === "A" ? "B" : "A") + data.slice(middle + 1);
  },
  "that is whole and says something else": (data) => {
    const { brotli } = decode(data) as unknown as { readonly brotli: Uint8Array };
    const text = brotliDecompressSync(brotli).toString();
    return encode({ brotli: new Uint8Array(brotliCompressSync(text.replace("Be brief", "Be wordy"))) });
  },
};

for (const [which, alter] of Object.entries(alterations))
  test(`an archive ${which} is refused, with its place, and left as it is`, async () => {
    const store = openMemory();
    await using sessions = Sessions.on(store, { sweep: false });
    await filled(sessions, "s");
    await sessions.archive("s");
    const [loaded] = await store.load([{ key, tails: [{ log: "archive", last: 1 }] }]);
    const [entry] = loaded?.tails[0] ?? [];
    assert(loaded !== undefined && entry !== undefined);
    const data = alter(entry.data);
    assert.notEqual(data, entry.data);
    const { version } = loaded.record;
    const record = { ...loaded.record, version: version + 1 };
    const splices = [{ log: "archive", from: 1, entries: [{ ...entry, data }] }];
    await store.commit([[{ key, expected: version, record, splices, claims: [] }]]);
    const damaged = { code: "store_invalid", message: /part 1 of its archive/ };
    const session = await sessions.get("s");
    await assert.rejects(Array.fromAsync(session.turns()), damaged);
    await assert.rejects(session.unarchive(), damaged);
    assert.equal((await sessions.get("s")).info.version, version + 1);
  });

test("what a restart has put away as it was can be compressed, and comes back as expired", async () => {
  await using place = inMemory({ ttl: "1h" });
  const { sessions, clock } = place;
  await filled(sessions, "s");
  await clock.advance(day);
  await sessions.ensure("s", { onExpired: "restart" });
  const [old] = (await sessions.list({ state: "archived" })).sessions;
  assert.ok(old);
  assert.equal(old.archive, null);
  assert.equal(await sessions.archive(old.id), true);
  assert.equal((await Array.fromAsync((await sessions.get(old.id)).turns())).length, 5);
  await sessions.unarchive(old.id);
  assert.equal((await sessions.get(old.id)).info.state, "expired");
});

test("what archived turns took stays in the sums, once, and is told by the turns again when they are back", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const session = await sessions.create({ id: "s", agent: "ceo" });
  const usage = { inputTokens: 6, outputTokens: 4, totalTokens: 10 };
  for (let turn = 0; turn < 4; turn++) await session.append({ input: "q", output: "a", usage, durationMs: 5 });
  await session.truncate(3);
  const fork = await session.fork({ at: 2 });
  await fork.append({ input: "q", output: "a", usage });
  const before = (await sessions.stats({ by: ["agent"] })).turns;
  for (let round = 0; round < 2; round++) {
    await session.archive();
    await fork.archive();
    const { turns } = await sessions.stats({ by: ["agent"] });
    assert.deepEqual(
      [turns.turns, turns.totalTokens, turns.requests],
      [before.turns, before.totalTokens, before.requests],
    );
    const copy = await sessions.restore(await sessions.snapshot("s"), { as: "copy" });
    assert.deepEqual(copy.info.counters, session.info.counters);
    await copy.remove();
    await session.unarchive();
    assert.equal((await sessions.stats({ by: ["agent"] })).turns.totalTokens, before.totalTokens);
    await fork.unarchive();
  }
  assert.equal((await sessions.snapshot("s")).logs["spent"]?.length, 1);
});
