import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { identityOf, sessionChanges } from "../../domain/record/change.ts";
import { array, assert as holds, asyncProperty, string } from "../../../test/support/fast-check.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import { decode, encode, type Value } from "../../domain/values/codec.ts";
import { truncatedUsageLog, type Entry } from "../../domain/record/entry.ts";
import type { Archive, SessionRecord } from "../../domain/record/record.ts";
import { openMemory } from "../../store/memory.ts";
import type { Store } from "../../store/store.ts";
import { beginning, dictionary } from "../archive/archive-dictionary.ts";
import { packedIn, packPart, unpackPart } from "../archive/archive-text.ts";
import { sessionsOn, type Sessions } from "../sessions.ts";
import { copySessions, doctor, stats } from "../../admin.ts";
import type { Finding } from "../doctor.ts";
import { stagedScope } from "../../domain/copies/staged.ts";

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
  await session.endHandoff();
}

test("an archived session is read as before, byte for byte, and listed and counted as before", async () => {
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
    (await sessions.list({ state: "archived", user: "u" })).items.map(({ id }) => id),
    ["s"],
  );
  const rows = await place.store.read({ tenant: "default", id: "s" }, all("turns"));
  assert.deepEqual(rows, [], "the rows are gone");
});

test("an archived session refuses writes, and a keyed retry of an earlier write returns its turn", async () => {
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

test("unarchive restores the same logs and state, and a handle from before continues", async () => {
  await using place = inMemory();
  const { sessions, store } = place;
  await filled(sessions, "s");
  const writer = await sessions.get("s");
  const logs = await rawLogs();
  const { record } = (await store.load([{ key, tails: [] }])).sessions[0] ?? assert.fail();
  await (await sessions.get("s")).archive();
  assert.equal(await (await sessions.get("s")).unarchive(), true);
  assert.equal(await (await sessions.get("s")).unarchive(), false);
  assert.deepEqual(await rawLogs(), logs);
  const { record: after } = (await store.load([{ key, tails: [] }])).sessions[0] ?? assert.fail();
  const moved = { version: 0, commitId: "", turnsCommitId: "", stateSince: 0 };
  const heads = { ...record.heads, events: 5, [truncatedUsageLog]: 0 };
  assert.deepEqual({ ...after, ...moved }, { ...record, ...moved, heads });
  assert.deepEqual(
    (await Array.fromAsync(writer.events({ last: 2 }))).map(({ type }) => type),
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
    events: (await Array.fromAsync(session.events())).filter(({ type }) => type !== "archived"),
  };
}

test("a session of more than one part is read page by page and comes back whole", async () => {
  await using place = inMemory({ limits: { readMax: 3 } });
  const session = await place.sessions.create({ id: "s" });
  const inputs = Array.from({ length: 9 }, () => randomBytes(50_000).toString("hex").repeat(12));
  for (const input of inputs) await session.append({ input });
  await session.archive();
  const {
    sessions: [loaded],
  } = await place.store.load([{ key, tails: [] }]);
  assert.equal(loaded?.record.archive?.parts.length, 3);
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ input }) => input[0]?.content),
    inputs,
  );
  assert.deepEqual(
    (await Array.fromAsync(session.turns({ last: 4 }))).map(({ seq }) => seq),
    [6, 7, 8, 9],
  );
  await session.unarchive();
  assert.equal((await Array.fromAsync(session.turns())).length, 9);
});

test("a session in use is not archived until its turn is sealed", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("a question");
  await assert.rejects(
    place
      .another()
      .get("s")
      .then((session) => session.archive()),
    { code: "busy" },
  );
  await turn.write({ text: "an ans" });
  await turn.seal();
  await session.archive();
  assert.equal((await Array.fromAsync(session.turns()))[0]?.output[0]?.content, "an ans");
});

const damaged = /part 1 of the archive of session s is damaged; restore/;

const alterations: Readonly<Record<string, readonly [alter: (bytes: Uint8Array) => Value, reason: RegExp]>> = {
  "of which one bit was altered": [(bytes) => bytes.map((byte, at) => (at === 99 ? byte ^ 1 : byte)), damaged],
  "that was cut off": [(bytes) => bytes.subarray(0, -1), damaged],
  "of nothing": [() => new Uint8Array(), damaged],
  "that is no archive": [() => ({ bytes: 1 }), damaged],
  "that is whole and says something else": [
    (bytes) => brotliOf(textOf(bytes).replace("Be brief", "Be wordy")),
    damaged,
  ],
  "that says far more than was put away": [() => brotliOf(" ".repeat(1e7)), damaged],
  "of a method that only a newer version knows": [
    (bytes) => Buffer.concat([Buffer.of(7), bytes.subarray(1)]),
    /part 1 of the archive of session s was packed by a newer version; upgrade/,
  ],
};

function textOf(bytes: Uint8Array): string {
  const text = brotliDecompressSync(Buffer.concat([beginning, bytes.subarray(1)]));
  return text.subarray(dictionary.length).toString();
}

function brotliOf(text: string): Value {
  return Buffer.concat([Buffer.of(0), brotliCompressSync(text)]);
}

for (const [which, [alter, message]] of Object.entries(alterations))
  test(`an archive ${which} is refused, with its place, and left as it is`, async () => {
    const store = openMemory();
    await using sessions = sessionsOn(store, { sweep: false });
    await filled(sessions, "s");
    await (await sessions.get("s")).archive();
    const { version } = await replacePart(store, alter);
    const refused = { code: "store_invalid", message };
    const session = await sessions.get("s");
    await assert.rejects(Array.fromAsync(session.turns()), refused);
    await assert.rejects(session.unarchive(), refused);
    assert.equal((await sessions.get("s")).info.version, version);
  });

/** Put something else in the place of the archive of `s`, and give back the record. */
async function replacePart(
  store: Store,
  alter: (bytes: Uint8Array) => Value,
  archive?: Partial<Archive>,
): Promise<SessionRecord> {
  const {
    sessions: [loaded],
  } = await store.load([{ key, tails: [{ log: "archive", last: 1 }] }]);
  const [entry] = loaded?.tails[0] ?? [];
  assert(loaded !== undefined && entry !== undefined && loaded.record.archive !== null);
  const expected = identityOf(loaded.record);
  const record = {
    ...loaded.record,
    version: loaded.record.version + 1,
    archive: { ...loaded.record.archive, ...archive },
  };
  const data = encode(alter(decode(entry.data) as Uint8Array));
  assert.notEqual(data, entry.data);
  const splices = [{ log: "archive", from: 1, entries: [{ ...entry, data }] }];
  const outcomes = await store.commit([[{ key, expected, record, splices, claims: [] }]]);
  assert.deepEqual(outcomes, [{ status: "ok" }]);
  return record;
}

test("an archive of the first format, without the name of its method, is read and restored", async () => {
  const store = openMemory();
  await using sessions = sessionsOn(store, { sweep: false });
  await filled(sessions, "s", 2);
  await (await sessions.get("s")).archive();
  const brotli = `G0MBYJwHtvOUIVkJXywm54Gom7KkeuJbwo/y44JwFMlmuLqwhrT8LO2+LgWWxaLz9EDTDKOUoyQq67seftDvcMMDBnh34utzW4UOE46X/lCxPtdWm9leS+zCq7RFZZKmGljDSe4ngQEWVeCc9MWQkujsgG6Q6yTBcxZJGEcJnZwfgO7vgmLxayn8DRHvKjam/I8YW4ZU7wA=`;
  const sha256 = "c290cd716a105dc881b452119efb858951e713171630e8303102ecbad7abdf7d";
  const parts = [{ ranges: [{ log: "turns", from: 1, to: 2 }], sha256 }];
  await replacePart(store, () => ({ brotli: Buffer.from(brotli, "base64") }), { parts, heads: { turns: 2 } });
  const turns = [
    { seq: 1, key: "k1", at: new Date(1767225600000), question: "a question \u0000 \ud800", answer: "an answer 🥖" },
    { seq: 2, key: null, at: new Date(1767225600001), question: "and on", answer: undefined },
  ];
  const read = async (): Promise<unknown> =>
    (await Array.fromAsync((await sessions.get("s")).turns())).map(({ seq, key: own, at, input, output }) => {
      return { seq, key: own, at, question: input[0]?.content, answer: output[0]?.content };
    });
  assert.deepEqual(await read(), turns);
  await (await sessions.get("s")).unarchive();
  assert.deepEqual(await read(), turns);
});

test("every text is restored as it was, of any characters", async () => {
  await holds(
    asyncProperty(array(string({ unit: "binary", maxLength: 300 }), { maxLength: 5 }), async (texts) => {
      const entries = texts.map((text, index): Entry => ({ seq: index + 1, key: text, at: index, data: encode(text) }));
      const sections = [{ log: "turns", from: 1, to: texts.length, entries }];
      const { packed, sha256, bytes } = await packPart(sections);
      assert.deepEqual(await unpackPart(packedIn(packed) ?? assert.fail(), sha256, bytes), sections);
    }),
    { numRuns: 50 },
  );
});

test("the dictionary of archives is frozen, and this Node's brotli accepts it", async () => {
  const sha256 = "bd5acae1b5dc4d62aa18b91fe24704a36403e8d7cddc3154024c005985accbd6";
  assert.equal(createHash("sha256").update(beginning).digest("hex"), sha256);
  const end = Buffer.of(0b11);
  assert.deepEqual(brotliDecompressSync(Buffer.concat([beginning, end])), dictionary);
  const { packed } = await packPart([{ log: "turns", from: 1, to: 1, entries: [] }]);
  assert.equal(packed[0], 1, "it was compressed after the dictionary");
});

test("a session archived by a reset can be compressed, and is restored as expired", async () => {
  await using place = inMemory({ ttl: "1h" });
  const { sessions, clock } = place;
  await filled(sessions, "s");
  await clock.advance(day);
  await sessions.ensure("s", { onExpired: "reset" });
  const [old] = (await sessions.list({ state: "archived" })).items;
  assert.ok(old);
  assert.equal(old.archive, null);
  assert.equal(await (await sessions.get(old.id)).archive(), true);
  assert.equal((await Array.fromAsync((await sessions.get(old.id)).turns())).length, 5);
  await (await sessions.get(old.id)).unarchive();
  assert.equal((await sessions.get(old.id)).info.state, "expired");
});

test("stats count the usage of archived turns once, and from the turns again after unarchive", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const session = await sessions.create({ id: "s", agent: "ceo" });
  const usage = { inputTokens: 6, outputTokens: 4, totalTokens: 10 };
  for (let turn = 0; turn < 4; turn++) await session.append({ input: "q", output: "a", usage, durationMs: 5 });
  await session.truncate(3);
  const fork = await session.fork({ at: 2 });
  await fork.append({ input: "q", output: "a", usage });
  const before = (await stats(sessions, { by: ["agent"] })).turns;
  for (let round = 0; round < 2; round++) {
    await session.archive();
    await fork.archive();
    const { turns } = await stats(sessions, { by: ["agent"] });
    assert.deepEqual(
      [turns.turns, turns.totalTokens, turns.requests],
      [before.turns, before.totalTokens, before.requests],
    );
    const copy = await sessions.restore(await sessions.snapshot("s"), { as: "copy" });
    assert.deepEqual(copy.info.counters, session.info.counters);
    await copy.remove();
    await session.unarchive();
    assert.equal((await stats(sessions, { by: ["agent"] })).turns.totalTokens, before.totalTokens);
    await fork.unarchive();
  }
  assert.equal((await sessions.snapshot("s")).logs[truncatedUsageLog]?.length, 1);
});

test("a session over the limit of a snapshot is archived and unarchived", async () => {
  await using place = inMemory({ limits: { snapshotBytesMax: 2000, readBytesMax: 500 } });
  const { sessions } = place;
  const session = await sessions.create({ id: "s" });
  for (let turn = 1; turn <= 30; turn++) await session.append({ input: "x".repeat(1000) });
  assert.equal(await session.archive(), true);
  assert.equal((await Array.fromAsync(session.turns())).length, 30);
  assert.equal(await session.unarchive(), true);
  assert.equal((await Array.fromAsync(session.turns())).length, 30);
  assert.equal((await session.append({ input: "and on" })).seq, 31);
});

test("a session of many small entries is archived in steps, too", async () => {
  await using place = inMemory({ limits: { readMax: 10 } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 100; turn++) await session.append({ input: "a" });
  let cuts = 0;
  place.store.plan((_, batch) => {
    for (const { splices } of batch.flatMap(sessionChanges))
      cuts += splices.filter(({ entries }) => entries.length === 0).length;
    return undefined;
  });
  await session.archive();
  assert.equal(cuts, 0, "no commit cuts a log: the session takes the staged rows over");
});

test("a session of several parts is copied with each part read once", async () => {
  await using place = inMemory();
  await using target = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const text = (turn: number): string => Array.from({ length: 200_000 }, (_, at) => (at * turn) % 10).join("");
  for (let turn = 1; turn <= 50; turn++) await session.append({ input: text(turn) });
  await session.archive();
  let reads = 0;
  const read = place.store.read.bind(place.store);
  place.store.read = async (of, range) => {
    if (range.log === "archive") reads++;
    return await read(of, range);
  };
  assert.equal((await copySessions(place.sessions, target.sessions)).complete, true);
  // Its three parts once for the copy, and once for the tail that tells that it is large.
  assert.ok(reads <= 6, `${reads} parts were read`);
});

test("archiving in steps keeps all rows that stay: events, the usage of truncated turns and forks", async () => {
  await using place = inMemory({ limits: { readMax: 2, readBytesMax: 500 } });
  const { sessions } = place;
  const session = await sessions.create({ id: "s", agent: "ceo" });
  const usage = { inputTokens: 6, outputTokens: 4, totalTokens: 10 };
  for (let turn = 1; turn <= 40; turn++) {
    await session.append({ input: "x".repeat(100), output: "a", usage });
    if (turn % 10 === 0) await place.clock.advance(3_600_000);
  }
  await session.truncate(35);
  const fork = await session.fork({ at: 30, as: "fork" });
  await session.handOff("cfo");
  await session.endHandoff();
  const reader = place.another();
  const eventTypes = async (): Promise<string[]> =>
    (await Array.fromAsync((await reader.get("s")).events())).map(({ type }) => type);
  const before = {
    turns: await Array.fromAsync(session.turns()),
    forked: await Array.fromAsync(fork.turns()),
    usage: (await sessions.snapshot("s")).logs[truncatedUsageLog],
    took: (await stats(sessions)).turns.totalTokens,
    events: await eventTypes(),
  };
  for (const state of ["archived", "active"]) {
    assert.equal(await (state === "archived" ? session.archive() : session.unarchive()), true);
    const after = {
      turns: await Array.fromAsync(session.turns()),
      forked: await Array.fromAsync((await sessions.get("fork")).turns()),
      usage: (await sessions.snapshot("s")).logs[truncatedUsageLog],
      took: (await stats(sessions)).turns.totalTokens,
      events: (await eventTypes()).slice(0, before.events.length),
    };
    assert.deepEqual(after, before, state);
    const findings: Finding[] = [];
    await doctor(sessions, { onFinding: (finding) => findings.push(finding) });
    assert.deepEqual(findings, [], state);
  }
  assert.equal((await session.append({ input: "and on" })).seq, 36);
  await session.remove();
  assert.equal((await Array.fromAsync((await sessions.get("fork")).turns())).length, 30);
});

test("archiving in steps gives up for a session that is written to again and again, and leaves nothing staged", async () => {
  await using place = inMemory({ limits: { readMax: 2, readBytesMax: 500 } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 40; turn++) await session.append({ input: "x".repeat(100) });
  const writer = await place.another().get("s");
  let isWriting = false;
  place.store.plan((_, batch) => {
    const isTakeover = batch.flatMap(sessionChanges).some(({ logsOf }) => logsOf !== undefined);
    if (isWriting || !isTakeover) return undefined;
    isWriting = true;
    return { hold: writer.append({ input: "meanwhile" }).then(() => (isWriting = false)) };
  });
  await assert.rejects((await place.another({ limits: { readMax: 2, readBytesMax: 500 } }).get("s")).archive(), {
    code: "contended",
  });
  place.store.plan({});
  assert.equal((await session.refresh()).state, "active");
  assert.equal(await place.store.count({ tenant: stagedScope("default"), now: place.clock.now() }), 0);
});
