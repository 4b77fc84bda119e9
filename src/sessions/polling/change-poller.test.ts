/** One poller asks the store for all watches of a process. Counted in calls of the store, never in time. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { identityOf } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { SessionError } from "../../errors.ts";
import type { Store } from "../../store/store.ts";
import { coreOf, sessionsOn, type Sessions } from "../sessions.ts";
import type { SessionNews } from "../turns/watch.ts";

interface Calls {
  load: number;
  loaded: number;
  commit: number;
  instances: number;
}

/** A program whose calls are counted, on a store that gives no hints, as those of other processes give none. */
function counting(place: InMemory): { sessions: Sessions; calls: Calls; reset: () => void } {
  const calls: Calls = { load: 0, loaded: 0, commit: 0, instances: 0 };
  const { shared } = place;
  const store: Store = {
    ...shared,
    load: (requests) => (calls.load++, (calls.loaded += requests.length), shared.load(requests)),
    commit: (batch) => (calls.commit++, shared.commit(batch)),
    instances: (ids) => (calls.instances++, shared.instances(ids)),
    watch: () => () => undefined,
  };
  const sessions = sessionsOn(store, { clock: place.clock, sweep: false });
  return { sessions, calls, reset: () => Object.assign(calls, { load: 0, loaded: 0, commit: 0, instances: 0 }) };
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Let seconds pass, for timers and for the scripted clock alike. */
async function pass(t: TestContext, place: InMemory, seconds: number): Promise<void> {
  for (let step = 0; step < seconds * 20; step++) {
    t.mock.timers.tick(50);
    await place.clock.advance(50);
    await settled();
  }
}

test("32 waiters of one held session cost at most 8 calls of the store a second, and are served in their order", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  await using place = inMemory();
  const holder = await (await place.sessions.create({ id: "s" })).lease();
  const { sessions, calls, reset } = counting(place);
  const served: number[] = [];
  const waiting = Promise.all(
    Array.from({ length: 32 }, async (_, index) => {
      const session = await sessions.get("s");
      await session.exclusive(
        () => {
          served.push(index);
          return Promise.resolve();
        },
        { busy: "queue", wait: "5m" },
      );
    }),
  );
  await pass(t, place, 2);
  assert.equal((await place.sessions.get("s")).info.waiting, 32);
  reset();
  await pass(t, place, 10);
  const { load, commit, instances } = calls;
  assert.ok(load + commit + instances <= 80, JSON.stringify(calls));
  await holder.release();
  await pass(t, place, 20);
  await waiting;
  assert.deepEqual(
    served,
    Array.from({ length: 32 }, (_, index) => index),
  );
  const { queues, poller } = coreOf(sessions);
  assert.deepEqual([queues.size, poller.size], [0, 0], "and leave nothing behind");
  await sessions.close();
});

test("200 silent turns in progress cost one load of all of them a second", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  const { sessions, calls, reset } = counting(place);
  const turns = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => (await sessions.create({ id: `s${index}` })).begin("q")),
  );
  await pass(t, place, 1);
  reset();
  await pass(t, place, 10);
  assert.ok(calls.load > 0 && calls.load <= 10, `${calls.load} loads in ten seconds`);
  assert.equal(calls.loaded, calls.load * 200, "each asks for all of them");
  await Promise.all(turns.map((turn) => turn.seal()));
  reset();
  await pass(t, place, 5);
  assert.equal(calls.load, 0, "and nothing is asked once they are sealed");
  await sessions.close();
});

test("every round finds what was committed since the round before", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("q", { flush: { ms: 60_000, length: 1 } });
  const { sessions, calls, reset } = counting(place);
  const read: SessionNews[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const news of (await sessions.get("s")).watch({ after: 0, signal: stop.signal })) read.push(news);
  })();
  await settled();
  t.mock.timers.tick(250);
  await settled();
  reset();
  for (let round = 1; round <= 8; round++) {
    await turn.write({ text: `${round} ` });
    t.mock.timers.tick(250);
    await settled();
    assert.equal(read.filter(({ type }) => type === "chunk").length, round, `round ${round}`);
  }
  assert.equal(calls.load, 8, "one load a round");
  stop.abort();
  await reading;
  await turn.seal();
  await sessions.close();
});

test("500 watches of one session share one load of each change, and the same turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { sessions, calls, reset } = hinted(place);
  const watched = await sessions.get("s");
  const watches = Array.from({ length: 500 }, () => watched.watch()[Symbol.asyncIterator]());
  const first = watches.map((watch) => watch.next());
  await settled();
  reset();
  await session.append({ input: "x".repeat(1000) });
  const news = await Promise.all(first);
  assert.equal(calls.load, 1);
  assert.equal(new Set(news.map(({ value }) => turnOf(value))).size, 1, "one copy of the turn for all");
  for (const watch of watches) await watch.return?.();
  assert.equal(coreOf(sessions).poller.size, 0);
  await sessions.close();
});

test("watches that missed the same turns share one read of them", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { sessions, calls, reads } = hinted(place);
  const watched = await sessions.get("s");
  for (let turn = 0; turn < 5; turn++) await session.append({ input: "q" });
  const all = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const turns: unknown[] = [];
      for await (const news of watched.watch({ after: 0 })) {
        turns.push(turnOf(news));
        if (turns.length === 5) break;
      }
      return turns;
    }),
  );
  assert.deepEqual([calls.load - 1, reads()], [1, 1]);
  for (const turns of all) assert.deepEqual(turns, all[0]);
  await sessions.close();
});

test("the chunks of a long answer are loaded once, and not again with each new chunk", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { sessions, entries } = hinted(place);
  const watch = (await sessions.get("s")).watch()[Symbol.asyncIterator]();
  const turn = await session.begin("q");
  let next = await watch.next();
  for (let piece = 0; piece < 200; piece++) {
    await turn.write({ text: "x".repeat(8192) });
    next = await watch.next();
  }
  assert.equal(next.done === true ? undefined : next.value.type, "chunk");
  assert.ok(entries() <= 200 * 10 + 100, `${entries()} entries were loaded`);
  await turn.seal();
  await watch.return?.();
  await sessions.close();
});

test("without hints, one load asks for all watched sessions and finds the changes of another process", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  const { sessions, calls, reset } = counting(place);
  const ids = Array.from({ length: 30 }, (_, index) => `s${index}`);
  for (const id of ids) await place.sessions.create({ id });
  const watches = await Promise.all(ids.map(async (id) => (await sessions.get(id)).watch()[Symbol.asyncIterator]()));
  const first = watches.map((watch) => watch.next());
  await pass(t, place, 1);
  reset();
  await pass(t, place, 10);
  assert.equal(calls.load, 40);
  reset();
  for (const id of ids) await (await place.sessions.get(id)).append({ input: "q" });
  await pass(t, place, 1);
  for (const { value } of await Promise.all(first)) assert.equal(value?.type, "turn");
  assert.ok(calls.load <= 5, "they changed together, and are loaded together");
  for (const watch of watches) await watch.return?.();
  reset();
  await pass(t, place, 5);
  assert.equal(calls.load, 0);
  await sessions.close();
});

test("without hints, an answer that grows is polled about as often as it is written, at one load a poll for all", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  const { sessions, calls, reset } = counting(place);
  const turns = await Promise.all(
    Array.from({ length: 5 }, async (_, index) =>
      (await place.sessions.create({ id: `s${index}` })).begin("q", { flush: { ms: 60_000, length: 1 } }),
    ),
  );
  let heard = 0;
  const stop = new AbortController();
  const watches = turns.flatMap((_, index) =>
    Array.from({ length: 4 }, async () => {
      for await (const { type } of (await sessions.get(`s${index}`)).watch({ after: 0, signal: stop.signal }))
        if (type === "chunk") heard++;
    }),
  );
  await pass(t, place, 1);
  let late = 0;
  for (let chunk = 1; chunk <= 40; chunk++) {
    for (const turn of turns) await turn.write({ text: "word " });
    await settled();
    if (chunk === 20) reset();
    await pass(t, place, 0.05);
    if (chunk > 20 && heard < chunk * watches.length) late++;
    // The poll in this half finds nothing, and the next one is as soon.
    await pass(t, place, 0.05);
  }
  assert.equal(late, 0, "each chunk is heard within 50 ms");
  assert.ok(calls.load <= 60, `${calls.load} loads in two seconds for 20 watches`);
  await pass(t, place, 3);
  reset();
  await pass(t, place, 10);
  assert.ok(calls.load <= 40, `${calls.load} loads in ten seconds of silence`);
  stop.abort();
  await Promise.all(watches);
  await Promise.all(turns.map((turn) => turn.seal()));
  await sessions.close();
});

test("a session that cannot be read fails its own watch, and no other of the same load", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  const { sessions } = counting(place);
  const ids = Array.from({ length: 9 }, (_, index) => `s${index}`);
  for (const id of ids) await place.sessions.create({ id });
  const watches = await Promise.all(ids.map(async (id) => (await sessions.get(id)).watch()[Symbol.asyncIterator]()));
  const news = Promise.allSettled(watches.map((watch) => watch.next()));
  await pass(t, place, 1);
  await damage(place.shared, { tenant: "default", id: "s4" });
  for (const id of ids) if (id !== "s4") await (await place.sessions.get(id)).append({ input: "q" });
  await pass(t, place, 1);
  const outcomes = (await news).map((one) => (one.status === "fulfilled" ? one.value.value?.type : codeOf(one.reason)));
  assert.deepEqual(
    outcomes,
    ids.map((id) => (id === "s4" ? "session_unreadable" : "turn")),
  );
  await sessions.close();
});

/** Put a record in the store that no rule can work on. */
async function damage(store: Store, key: SessionKey): Promise<void> {
  const { sessions } = await store.load([{ key, tails: [] }]);
  const record = sessions[0]?.record ?? assert.fail();
  const damaged = { ...record, version: record.version + 1, metadata: 5 as never };
  const change = { key, expected: identityOf(record), record: damaged, splices: [], claims: [] };
  assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
}

function codeOf(error: unknown): unknown {
  return error instanceof SessionError ? error.code : error;
}

/** A program whose loads are counted, on a store that gives hints. */
function hinted(place: InMemory): ReturnType<typeof counting> & { reads: () => number; entries: () => number } {
  const { shared } = place;
  const calls: Calls = { load: 0, loaded: 0, commit: 0, instances: 0 };
  let reads = 0;
  let entries = 0;
  const store: Store = {
    ...shared,
    async load(requests) {
      calls.load++;
      const loaded = await shared.load(requests);
      for (const one of loaded.sessions) for (const tail of one?.tails ?? []) entries += tail.length;
      return loaded;
    },
    read: (key, range) => (reads++, shared.read(key, range)),
  };
  const sessions = sessionsOn(store, { clock: place.clock, sweep: false });
  const reset = (): void => void Object.assign(calls, { load: 0 });
  return { sessions, calls, reset, reads: () => reads, entries: () => entries };
}

function turnOf(news: SessionNews | undefined | void): unknown {
  return news?.type === "turn" ? news.turn : undefined;
}
