/** Reads are bounded by bytes, not by counts alone: many large items take no more memory than a few. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import type { Limits } from "../domain/values/limits.ts";
import type { LogRange, Store } from "../store/store.ts";
import type { Model } from "./options/model.ts";
import { portableSessions } from "./transfer/exporting.ts";
import type { Session } from "./session/session.ts";
import { coreOf } from "./sessions.ts";

const large = "x".repeat(1000);

async function talk(session: Session, turns: number): Promise<void> {
  for (let turn = 1; turn <= turns; turn++) await session.append({ input: `${turn} ${large}`, output: "ok" });
}

async function seqs(session: Session, range: object): Promise<number[]> {
  return (await Array.fromAsync(session.turns(range))).map(({ seq }) => seq);
}

/** What a store hands out at once, at most. */
function measured(store: Store): { readonly store: Store; largest: number } {
  const seen = { largest: 0, store };
  const read = store.read.bind(store);
  store.read = async (key, range: LogRange) => {
    const entries = await read(key, range);
    const bytes = entries.reduce((sum, { data }) => sum + data.length, 0);
    if (range.log === "turns") seen.largest = Math.max(seen.largest, bytes);
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
  const seen = measured(place.store);
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

test("a page of sessions ends where its bytes are reached, and the next one goes on", async () => {
  await using place = inMemory({ limits: { pageBytesMax: 5000 } });
  for (let index = 0; index < 10; index++)
    await place.sessions.create({ id: `s${index}`, metadata: { large: large.repeat(index === 4 ? 9 : 1) } });
  const found: string[] = [];
  let pages = 0;
  for (let after: { after?: string } = {}; ; pages++) {
    const { sessions, next } = await place.sessions.list(after);
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

test("a page of events ends where its bytes are reached, and the next one goes on", async () => {
  await using place = inMemory({ limits: { pageBytesMax: 5000 } });
  for (let index = 0; index < 10; index++) {
    const session = await place.sessions.create({ id: `s${index}` });
    await session.end({ reason: large });
  }
  const found: string[] = [];
  for (let after: { after?: string } = {}; ;) {
    const { events, next } = await place.sessions.events({ type: "terminated", ...after });
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

test("the last events of a session are read within the bytes of a page, the newest ones", async () => {
  await using place = inMemory({ limits: { pageBytesMax: 3000 } });
  const session = await place.sessions.create({ id: "s" });
  for (let index = 0; index < 10; index++) await session.hold(`${index} ${large}`);
  const reasons = (await session.events()).map((event) => JSON.stringify(event).length);
  assert.ok(reasons.length > 0 && reasons.length < 4, `${reasons.length} events`);
  assert.equal((await session.events()).at(-1)?.type, "held");
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
  for await (const one of portableSessions(coreOf(place.sessions), { tenant: "default", now: 0 })) {
    assert.ok("portable" in one);
    turns.push([one.record.id, one.portable.logs.get("turns")?.length ?? 0]);
  }
  assert.deepEqual(
    turns,
    Array.from({ length: 8 }, (_, index) => [`s${index}`, 4]),
  );
  assert.ok(most > 0 && most < 4 * 1024 * 1024 + 100_000, `${most} bytes were loaded together`);
});
