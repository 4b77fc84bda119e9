import assert from "node:assert/strict";
import { test } from "node:test";
import { identityOf, sessionChanges } from "../../domain/record/change.ts";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { sweep } from "../../admin.ts";

const hour = 3_600_000;

async function create(place: InMemory, count: number, options = {}): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, index) => place.sessions.create({ id: `s${index}`, ...options })),
  );
}

/** As the store has it, whatever the clock says. */
async function storedState(place: InMemory, id: string): Promise<string | undefined> {
  return (await place.store.load([{ key: { tenant: "default", id }, tails: [] }])).sessions[0]?.record.state;
}

test("a sweep marks expired sessions once, and removes none without a retention time", async () => {
  await using place = inMemory({ ttl: "1h" });
  await create(place, 250);
  await place.sessions.create({ id: "long", ttl: "9h" });
  assert.deepEqual(await sweep(place.sessions), {
    expired: 0,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 0,
    failed: 0,
    failures: [],
    complete: true,
  });
  await place.clock.advance(hour);
  assert.equal(await storedState(place, "s0"), "active", "nothing depends on the mark");
  assert.deepEqual(await sweep(place.sessions), {
    expired: 250,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 250,
    failed: 0,
    failures: [],
    complete: true,
  });
  assert.equal(await storedState(place, "s0"), "expired");
  assert.equal(await storedState(place, "long"), "active");
  assert.deepEqual(await sweep(place.sessions), {
    expired: 0,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 0,
    failed: 0,
    failures: [],
    complete: true,
  });
  await place.clock.advance(1000 * hour);
  assert.equal((await sweep(place.sessions)).removed, 0);
  assert.equal((await place.sessions.list({ limit: 1000 })).items.length, 251);
});

test("a session that was used since is checked, and left alone until its new deadline", async () => {
  await using place = inMemory({ ttl: "1h" });
  const session = await place.sessions.create({ id: "s" });
  await place.clock.advance(hour / 2);
  await session.append({ input: "still here" });
  await place.clock.advance(hour / 2);
  assert.deepEqual(await sweep(place.sessions), {
    expired: 0,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 1,
    failed: 0,
    failures: [],
    complete: true,
  });
  assert.deepEqual(await sweep(place.sessions), {
    expired: 0,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 0,
    failed: 0,
    failures: [],
    complete: true,
  });
  await session.append({ input: "the sweep is no conflict" });
  await place.clock.advance(hour);
  assert.equal((await sweep(place.sessions)).expired, 1);
});

test("a sweep stops at its bound of rows, and the next one continues", async () => {
  await using place = inMemory({ ttl: "1h" });
  await create(place, 230);
  await place.clock.advance(hour);
  const report = await sweep(place.sessions, { rows: 150 });
  assert.deepEqual(report, {
    expired: 150,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 150,
    failed: 0,
    failures: [],
    complete: false,
  });
  assert.deepEqual(await sweep(place.sessions, { rows: 150 }), {
    expired: 80,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 80,
    failed: 0,
    failures: [],
    complete: true,
  });
});

test("a sweep stops at its bound of time and at its signal", async () => {
  await using place = inMemory({ ttl: "1h" });
  await create(place, 230);
  await place.clock.advance(hour);
  place.store.plan(() => {
    place.clock.set(place.clock.now() + 2000);
    return undefined;
  });
  const report = await sweep(place.sessions, { time: "1s" });
  assert.equal(report.complete, false);
  assert.equal(report.expired, 100, "the page that was under way");
  place.store.plan({});
  const stopped = await sweep(place.sessions, { signal: AbortSignal.abort() });
  assert.deepEqual(stopped, {
    expired: 0,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 0,
    failed: 0,
    failures: [],
    complete: false,
  });
});

test("past the retention time expired and ended sessions are removed with all their data, and no others", async () => {
  await using place = inMemory({ ttl: "1h" });
  const retention = "10h";
  await (await place.sessions.create({ id: "expires" })).append({ input: "hello" });
  await place.sessions.create({ id: "ends", ttl: "99h" });
  await place.sessions.create({ id: "lives", ttl: "99h" });
  await place.sessions.create({ id: "restarts" });
  await (await place.sessions.get("ends")).end();
  await place.clock.advance(hour);
  await place.sessions.ensure("restarts", { onExpired: "reset", ttl: "99h" });
  assert.deepEqual(await sweep(place.sessions, { retention }), {
    expired: 1,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 1,
    failed: 0,
    failures: [],
    complete: true,
  });
  await place.clock.advance(9 * hour);
  assert.equal((await sweep(place.sessions, { retention })).removed, 0, "not a moment too soon");
  await place.clock.advance(1);
  assert.equal((await sweep(place.sessions, { retention })).removed, 1, "what ended first");
  await place.clock.advance(hour);
  assert.equal((await sweep(place.sessions, { retention })).removed, 1);
  await assert.rejects(place.sessions.get("expires"), { code: "session_not_found" });
  await assert.rejects(place.sessions.get("ends"), { code: "session_not_found" });
  const left = (await place.sessions.list()).items.map(({ id }) => id.replace(/\..*/, ""));
  assert.deepEqual(left.toSorted(), ["lives", "restarts", "restarts"], "the archived one stays");
});

test("a session that is revived while the sweep is about to remove it stays", async () => {
  await using place = inMemory({ ttl: "1h" });
  await (await place.sessions.create({ id: "s" })).append({ input: "hello" });
  await place.clock.advance(hour);
  await sweep(place.sessions);
  await place.clock.advance(20 * hour);
  let revived = false;
  const reviver = place.another();
  place.store.plan((_, batch) => {
    if (revived || sessionChanges(batch[0] ?? [])[0]?.record !== null) return undefined;
    revived = true;
    return { hold: reviver.ensure("s", { onExpired: "revive" }) };
  });
  const report = await sweep(place.sessions, { retention: "10h" });
  assert(revived);
  assert.equal(report.removed, 0);
  assert.equal((await place.sessions.get("s")).info.turn, 1);
});

test("a session with a live writer is not expired; the turn of a dead writer is sealed first", async () => {
  await using place = inMemory({ ttl: "1s", staleAfter: "10s" });
  const writer = place.another({ ttl: "1s", staleAfter: "10s" });
  const turn = await (await writer.create({ id: "s" })).begin("question");
  await place.clock.advance(5000);
  assert.deepEqual(await sweep(place.sessions), {
    expired: 0,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 1,
    failed: 0,
    failures: [],
    complete: true,
  });
  await turn.write({ text: "x".repeat(9000) });
  await place.clock.advance(120_000);
  assert.equal((await sweep(place.sessions)).expired, 1);
  const session = await place.sessions.get("s");
  const [sealed] = await Array.fromAsync(session.turns());
  assert.equal(sealed?.status, "interrupted");
  assert.equal(session.info.lease, null);
});

test("a sweep keeps to its tenant", async () => {
  await using place = inMemory({ ttl: "1h" });
  await place.sessions.for("a").create({ id: "s" });
  await place.sessions.for("b").create({ id: "s" });
  await place.clock.advance(hour);
  assert.equal((await sweep(place.sessions.for("a"))).expired, 1);
  assert.equal((await sweep(place.sessions.for("b"))).expired, 1);
});

test("two sweeps at once mark each session once", async () => {
  await using place = inMemory({ ttl: "1h" });
  await create(place, 50);
  await place.clock.advance(hour);
  const other = place.another();
  const reports = await Promise.all([sweep(place.sessions), sweep(other)]);
  assert.equal(
    reports.reduce((sum, { expired }) => sum + expired, 0),
    50,
  );
});

test("a session with damaged logs blocks neither the sweep nor the other sessions", async () => {
  await using place = inMemory({ ttl: "1h", staleAfter: "10s" });
  await place.sessions.create({ id: "broken" });
  await create(place, 20);
  const key = { tenant: "default", id: "broken" };
  const { record } = (await place.store.load([{ key, tails: [] }])).sessions[0] ?? {};
  assert(record !== undefined);
  const damaged = { ...record, version: record.version + 1, openTurn: 3 };
  await place.store.commit([[{ key, expected: identityOf(record), record: damaged, splices: [], claims: [] }]]);
  await place.clock.advance(hour);
  const { failed, failures } = await sweep(place.sessions);
  assert.equal(failed, 1);
  assert.deepEqual(
    failures.map(({ session, code }) => [session, code]),
    [["broken", "store_invalid"]],
  );
  for (let index = 0; index < 20; index++) assert.equal(await storedState(place, `s${index}`), "expired");
});

test("wrong bounds are refused", async () => {
  await using place = inMemory();
  for (const rows of [0, -1, 1.5, Number.NaN]) {
    await assert.rejects(sweep(place.sessions, { rows }), { code: "argument_invalid" });
  }
  await assert.rejects(sweep(place.sessions, { time: 0 }), { code: "duration_invalid" });
  await assert.rejects(sweep(place.sessions, { retention: "soon" }), { code: "duration_invalid" });
});

test("a long-lived process sweeps by itself, all tenants, and stops when it is closed", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory({ ttl: "1h" });
  await place.sessions.for("a").create({ id: "s" });
  await place.sessions.for("b").create({ id: "s" });
  await place.clock.advance(hour);
  const sweeper = place.another({ sweep: { every: "15m" } });
  context.mock.timers.tick(15 * 60_000);
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
  for (const tenant of ["a", "b"]) {
    const {
      sessions: [loaded],
    } = await place.store.load([{ key: { tenant, id: "s" }, tails: [] }]);
    assert.equal(loaded?.record.state, "expired");
  }
  await sweeper.close();
});

test("events past their retention are deleted, the session continues, and a reset keeps the other events", async () => {
  await using place = inMemory({ ttl: "1h" });
  const { sessions } = place;
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "one" });
  for (let index = 0; index < 250; index++) await session.handOff("cto", { ttl: "1m" });
  await place.clock.advance(hour / 2);
  await session.handOff("cfo", { ttl: "1m" });
  assert.equal((await sweep(sessions)).events, 0, "no event is deleted without a limit");
  const first = await sweep(sessions, { eventRetention: "20m", rows: 100 });
  assert.deepEqual([first.events, first.complete], [100, false]);
  const second = await sweep(sessions, { eventRetention: "20m" });
  assert.deepEqual([second.events, second.complete], [151, true]);
  const left = await Array.fromAsync(session.events());
  assert.deepEqual(
    left.map(({ seq, type }) => [seq, type]),
    [
      [252, "handoff_ended"],
      [253, "handed_off"],
    ],
  );
  await session.endHandoff();
  await session.append({ input: "two" });
  assert.equal((await Array.fromAsync(session.events())).at(-1)?.seq, 254);
  await place.clock.advance(2 * hour);
  const fresh = await sessions.ensure("s", { onExpired: "reset" });
  const [restarted] = await Array.fromAsync(fresh.events());
  assert.ok(restarted?.type === "reset");
  const archived = await sessions.get(restarted.archive);
  assert.deepEqual(
    (await Array.fromAsync(archived.events())).map(({ seq, type }) => [seq, type]),
    [
      [252, "handoff_ended"],
      [253, "handed_off"],
      [254, "handoff_ended"],
      [255, "archived"],
    ],
  );
  assert.equal(archived.info.counters.turns, 2);
});

test("the retention of events is an option, and a sweep of one tenant leaves the others' alone", async () => {
  await using place = inMemory();
  const sweeping = place.another({ sweep: { every: "1h", eventRetention: "1d" } });
  for (const tenant of ["one", "two"]) await place.sessions.for(tenant).create({ id: "s", ttl: "9d" });
  await place.clock.advance(25 * hour);
  assert.equal((await sweep(sweeping.for("one"))).events, 1);
  assert.deepEqual((await place.sessions.for("one").listEvents()).items, []);
  assert.equal(
    (await place.sessions.for("two").listEvents()).items.length,
    1,
    "a sweep of one tenant leaves the others",
  );
  assert.equal((await sweep(sweeping.for("two"))).events, 1);
});
