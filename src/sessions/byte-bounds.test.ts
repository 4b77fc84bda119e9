/** Reads are bounded by bytes, not by counts alone: many large items take no more memory than a few. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import type { Entry } from "../domain/record/entry.ts";
import type { Limits } from "../domain/values/limits.ts";
import type { LogName } from "../domain/record/entry.ts";
import type { LogRange, Store } from "../store/store.ts";
import type { Model } from "./options/model.ts";
import { turnsOf } from "./snapshots/session-source.ts";
import { eachSession } from "./transfer/exporting.ts";
import type { Session } from "./session/session.ts";
import { coreOf } from "./sessions.ts";
import { exportSessions } from "../admin.ts";

const large = "x".repeat(1000);

async function talk(session: Session, turns: number): Promise<void> {
  for (let turn = 1; turn <= turns; turn++) await session.append({ input: `${turn} ${large}`, output: "ok" });
}

async function seqs(session: Session, range: object): Promise<number[]> {
  return (await Array.fromAsync(session.turns(range))).map(({ seq }) => seq);
}

/** Counts the most bytes of this log that the store returns in one read. */
function measured(store: Store, log: LogName): { readonly store: Store; largest: number } {
  const seen = { largest: 0, store };
  const read = store.read.bind(store);
  store.read = async (key, range: LogRange) => {
    const entries = await read(key, range);
    const bytes = entries.reduce((sum, { data }) => sum + data.length, 0);
    if (range.log === log) seen.largest = Math.max(seen.largest, bytes);
    return entries;
  };
  return seen;
}

test("turns are read within the bytes of one read, from a session, a fork and an archive", async () => {
  const limits: Partial<Limits> = { readBytesMax: 3000 };
  await using place = inMemory({ limits });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, 10);
  const fork = await session.fork({ at: 6, as: "f" });
  await talk(fork, 4);
  const seen = measured(place.store, "turns");
  const all = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  for (const id of ["s", "f"]) {
    const found = await place.sessions.get(id);
    assert.deepEqual(await seqs(found, {}), all);
    assert.deepEqual(await seqs(found, { last: 7 }), all.slice(3));
    assert.deepEqual(await seqs(found, { last: 0 }), []);
    assert.deepEqual(await seqs(found, { from: 5, to: 8 }), [5, 6, 7, 8]);
    await found.archive();
    assert.deepEqual(await seqs(found, {}), all, `${id}, archived`);
    assert.deepEqual(await seqs(found, { last: 7 }), all.slice(3), `${id}, archived`);
  }
  assert.ok(seen.largest <= 3000, `${seen.largest} bytes were read at once`);
});

test("a model is shown the newest turns within the bytes of a window, and the newest one at least", async () => {
  const shown: string[] = [];
  const model: Model = async function* counting({ messages }) {
    shown.push(messages.map(({ content }) => String(content).split(" ")[0]).join(" "));
    yield { type: "text", text: "answer" };
  };
  for (const [windowBytesMax, expected] of [
    [3500, "8 ok 9 ok 10 ok now"],
    [100, "10 ok now"],
  ] as const) {
    await using place = inMemory({ model, limits: { windowBytesMax } });
    const session = await place.sessions.create({ id: "s" });
    await talk(session, 10);
    await (
      await session.consult("now")
    ).done;
    assert.equal(shown.pop(), expected);

    const fork = await session.fork({ at: 10, as: "f" });
    await (
      await fork.consult("now")
    ).done;
    assert.equal(shown.pop(), expected, "in a fork, whose turns stand elsewhere");
  }
});

test("a page of sessions ends where its bytes are reached, and the next one continues", async () => {
  await using place = inMemory({ limits: { pageBytesMax: 5000 } });
  for (let index = 0; index < 10; index++)
    await place.sessions.create({ id: `s${index}`, metadata: { large: large.repeat(index === 4 ? 9 : 1) } });
  const found: string[] = [];
  let pages = 0;
  for (let after: { after?: string } = {}; ; pages++) {
    const { items: sessions, next } = await place.sessions.list(after);
    assert.ok(sessions.length > 0 && sessions.length < 5);
    found.push(...sessions.map(({ id }) => id));
    if (next === undefined) break;
    after = { after: next };
  }
  assert.deepEqual(
    found.toSorted(),
    [..."0123456789"].map((index) => `s${index}`),
  );
  assert.ok(pages > 2);
});

test("a page of events ends where its bytes are reached, and the next one continues", async () => {
  await using place = inMemory({ limits: { pageBytesMax: 5000 } });
  for (let index = 0; index < 10; index++) {
    const session = await place.sessions.create({ id: `s${index}` });
    await session.end({ reason: large });
  }
  const found: string[] = [];
  for (let after: { after?: string } = {}; ;) {
    const { items: events, next } = await place.sessions.listEvents({ type: "ended", ...after });
    assert.ok(events.length > 0 && events.length < 5);
    found.push(...events.map(({ session }) => session));
    if (next === undefined) break;
    after = { after: next };
  }
  assert.deepEqual(
    found.toSorted(),
    [..."0123456789"].map((index) => `s${index}`),
  );
});

test("the events of a session are read within the bytes of one read", async () => {
  await using place = inMemory({ limits: { readBytesMax: 3000 } });
  const session = await place.sessions.create({ id: "s" });
  for (let index = 0; index < 10; index++) await session.setLegalHold(`${index} ${large}`);
  const seen = measured(place.store, "events");
  for (const range of [{}, { last: 11 }]) assert.equal((await Array.fromAsync(session.events(range))).length, 11);
  assert.ok(seen.largest > 0 && seen.largest <= 3000, `${seen.largest} bytes were read at once`);
});

test("an export loads small sessions together and large logs by themselves, whole", async () => {
  await using place = inMemory();
  for (let index = 0; index < 8; index++) {
    const session = await place.sessions.create({ id: `s${index}` });
    for (let turn = 0; turn < 4; turn++) await session.append({ input: large.repeat(index % 2 === 0 ? 600 : 1) });
  }
  const load = place.store.load.bind(place.store);
  let most = 0;
  place.store.load = async (requests) => {
    const loaded = await load(requests);
    const bytes = loaded.sessions
      .flatMap((one) => one?.tails.flat() ?? [])
      .reduce((sum, { data }) => sum + data.length, 0);
    most = Math.max(most, requests.length > 1 ? bytes : 0);
    return loaded;
  };
  const turns: [string, number][] = [];
  for await (const one of eachSession(coreOf(place.sessions), { tenant: "default", now: 0 })) {
    assert.ok("source" in one);
    turns.push([one.key.id, (await Array.fromAsync(turnsOf(one.source))).length]);
  }
  assert.deepEqual(
    turns,
    Array.from({ length: 8 }, (_, index) => [`s${index}`, 4]),
  );
  assert.ok(most > 0 && most < 4 * 1024 * 1024 + 100_000, `${most} bytes were loaded together`);
});

/** Sizes of what is read from the store in one go, in bytes of entries. */
function readSizes(store: Store): number[] {
  const sizes: number[] = [];
  const [load, read] = [store.load.bind(store), store.read.bind(store)];
  const bytesOf = (entries: readonly Entry[]): number => entries.reduce((sum, { data }) => sum + data.length, 0);
  store.load = async (requests) => {
    const loaded = await load(requests);
    sizes.push(bytesOf(loaded.sessions.flatMap((one) => one?.tails.flat() ?? [])));
    return loaded;
  };
  store.read = async (key, range) => {
    const entries = await read(key, range);
    sizes.push(bytesOf(entries));
    return entries;
  };
  return sizes;
}

test("a session that is too large for a snapshot is refused before it is in memory", async () => {
  const text = "x".repeat(100_000);
  await using place = inMemory({ limits: { snapshotBytesMax: 4_000_000 } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 0; turn < 39; turn++) await session.append({ input: text });
  const sizes = readSizes(place.store);
  const { logs } = await place.sessions.snapshot("s");
  assert.deepEqual([logs["turns"]?.length, logs["turns"]?.[0]?.seq], [39, 1], "one below the limit is whole");
  for (let turn = 0; turn < 100; turn++) await session.append({ input: text });
  sizes.length = 0;
  const refused = { code: "snapshot_too_large" };
  await assert.rejects(place.sessions.snapshot("s"), refused);
  await assert.rejects(async () => {
    for await (const _line of exportSessions(place.sessions)) continue;
  }, refused);
  const fork = await session.fork();
  await assert.rejects(place.sessions.snapshot(fork.id), refused);
  assert.ok(Math.max(...sizes) < 1_200_000, `${Math.max(...sizes)} bytes were read in one go`);
});

test("a snapshot and an export have all events, whatever their bytes, and those of a log that lost its beginning", async () => {
  await using place = inMemory({ limits: { noteLengthMax: 1_000_000 } });
  const session = await place.sessions.create({ id: "s" });
  for (let index = 0; index < 5; index++) await session.handOff("cto", { note: "x".repeat(400_000) });
  const eventsOf = async (): Promise<number[]> => {
    const taken = (await place.sessions.snapshot("s")).logs["events"]?.length ?? 0;
    let exported = 0;
    for await (const one of eachSession(coreOf(place.sessions), { tenant: "default", now: 0 }))
      if ("source" in one)
        exported = (await Array.fromAsync(one.source.entries())).filter(({ log }) => log === "events").length;
    return [taken, exported];
  };
  assert.deepEqual(await eventsOf(), [6, 6]);
  await place.shared.deleteEvents({ before: Number.MAX_SAFE_INTEGER, limit: 2 });
  assert.deepEqual(await eventsOf(), [4, 4]);
});

test("a damaged log is distinguished from a page that ends at its bytes", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 0; turn < 4; turn++) await session.append({ input: "x".repeat(400_000) });
  const [load, read] = [place.store.load.bind(place.store), place.store.read.bind(place.store)];
  const kept = (entries: readonly Entry[]): readonly Entry[] => entries.filter(({ seq }) => seq !== 1);
  place.store.load = async (requests) => {
    const { now, sessions } = await load(requests);
    return { now, sessions: sessions.map((one) => one && { ...one, tails: one.tails.map(kept) }) };
  };
  place.store.read = async (key, range) => kept(await read(key, range));
  await assert.rejects(place.sessions.snapshot("s"), { code: "store_invalid" });
});
