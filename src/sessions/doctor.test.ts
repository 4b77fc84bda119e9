import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { identityOf } from "../domain/record/change.ts";
import { inMemory, type InMemory } from "../../test/support/in-memory.ts";
import type { Splice } from "../domain/record/entry.ts";
import type { SessionRecord } from "../domain/record/record.ts";
import { isInternalScope } from "../domain/values/internal-scope.ts";
import type { DoctorRequest, Finding } from "./doctor.ts";
import type { Session } from "./session/session.ts";
import { doctor, removeSession } from "../admin.ts";

const usage = { inputTokens: 6, outputTokens: 4, totalTokens: 10 };

async function withTurns(place: InMemory, id: string, turns = 3): Promise<Session> {
  const session = await place.sessions.create({ id });
  for (let turn = 0; turn < turns; turn++) await session.append({ input: "q", output: "a", usage, durationMs: 0.1 });
  return session;
}

/** Write past all rules, as a mistake or a bad repair would. */
async function tamper(
  place: InMemory,
  id: string,
  fields: Partial<SessionRecord>,
  splices: readonly Splice[] = [],
): Promise<void> {
  const {
    sessions: [loaded],
  } = await place.store.load([{ key: { tenant: "default", id }, tails: [] }]);
  assert.ok(loaded);
  const record = { ...loaded.record, ...fields, version: loaded.record.version + 1 };
  const key = { tenant: "default", id };
  const change = { key, expected: identityOf(loaded.record), record, splices, claims: [] };
  assert.deepEqual(await place.store.commit([[change]]), [{ status: "ok" }]);
}

async function findings(place: InMemory, request: DoctorRequest = {}): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  const report = await doctor(place.sessions, { ...request, onFinding: (finding) => found.push(finding) });
  assert.equal(report.findings, found.length);
  assert.equal(report.repaired, found.filter(({ repaired }) => repaired).length);
  assert.ok(report.complete);
  return found;
}

const short = (found: readonly Finding[]): unknown =>
  found.map(({ kind, session, repaired }) => [kind, session, repaired]);

test("the doctor finds nothing in an unaltered store, after any operations", async () => {
  await using place = inMemory({ secret: "a secret of sixteen", ttl: "1h" });
  const { sessions, clock } = place;
  const session = await withTurns(place, "a", 5);
  await session.truncate(2);
  await session.handOff("cfo");
  await session.update({ instructions: "be brief" });
  await sessions.devices.open("018f4f1e-8f2c-7cc3-9b3e-4b8f1d2a3c4d");
  await place.another({ tenant: "other" }).create();
  await clock.advance(3_600_000);
  await sessions.ensure("a", { onExpired: "reset" });
  const turn = await (await sessions.get("a")).begin("question");
  await turn.write({ text: "x".repeat(10_000) });
  await place.store.deleteEvents({ before: clock.now() - 1, limit: 3 });
  assert.deepEqual(await findings(place), []);
  await place.store.deleteEvents({ before: clock.now() + 1, limit: 1000 });
  assert.deepEqual(await findings(place), []);
  await turn.seal();
});

test("the doctor finds counters and heads that differ from the logs, and repairs them on request only", async () => {
  await using place = inMemory();
  const session = await withTurns(place, "a");
  const { counters } = session.info;
  await tamper(place, "a", { counters: { ...counters, turns: 7, totalTokens: 1 }, heads: { turns: 9, events: 1 } });
  const [head, counted, ...rest] = await findings(place);
  assert.deepEqual(rest, []);
  assert.match(head?.what ?? "", /turns ends with 9, it ends with 3/);
  assert.match(counted?.what ?? "", /turns 7 for 3, totalTokens 1 for 30/);
  assert.deepEqual(
    short(await findings(place)),
    [
      ["head", "a", false],
      ["counters", "a", false],
    ],
    "a look changes nothing",
  );
  assert.deepEqual(short(await findings(place, { repair: true })), [
    ["head", "a", true],
    ["counters", "a", true],
  ]);
  assert.deepEqual(await findings(place), []);
  const repaired = await place.sessions.get("a");
  assert.equal(repaired.info.turn, 3);
  assert.ok(Math.abs(repaired.info.counters.durationMs - counters.durationMs) < 1e-9);
  await assert.rejects(session.append({ input: "q" }), { code: "conflict" }, "who saw the broken one looks again");
  await repaired.append({ input: "q" });
});

test("the doctor finds a missing or unreadable entry and changes nothing: only a backup has it", async () => {
  await using place = inMemory();
  await withTurns(place, "gap");
  await withTurns(place, "garbled");
  const [one, , three] = await place.store.read(
    { tenant: "default", id: "gap" },
    { log: "turns", from: 1, to: 3, order: "ascending", limit: 3 },
  );
  assert.ok(one && three);
  await tamper(place, "gap", { counters: { ...(await place.sessions.get("gap")).info.counters, turns: 1 } }, [
    { log: "turns", from: 1, entries: [one, three] },
  ]);
  await tamper(place, "garbled", {}, [
    { log: "turns", from: 1, entries: [{ ...one, data: '{"status":' }, { ...one, seq: 2 }, three] },
  ]);
  const found = await findings(place, { repair: true });
  assert.deepEqual(short(found), [
    ["gap", "gap", false],
    ["unreadable", "garbled", false],
  ]);
  assert.match(found[0]?.what ?? "", /turns has no entry 2, but one 3/);
  assert.ok(found.every(({ fix }) => fix === null));
  assert.deepEqual(short(await findings(place)), short(found));
});

test("the doctor finds a lease of a dead instance; after its repair, the turn is sealed with the received output", async () => {
  await using place = inMemory();
  const session = await withTurns(place, "a");
  const turn = await session.begin("question");
  await turn.write({ text: "x".repeat(9000) });
  assert.deepEqual(await findings(place, { repair: true }), [], "its holder lives");
  const ghost = { instance: "i_gone", fence: session.info.version + 5, commitId: "c", acquiredAt: 0, expiresAt: null };
  await tamper(place, "a", { lease: ghost, fence: ghost.fence });
  assert.deepEqual(short(await findings(place)), [["lease", "a", false]]);
  assert.deepEqual(short(await findings(place, { repair: true })), [["lease", "a", true]]);
  assert.deepEqual(await findings(place), []);
  const [sealed] = await Array.fromAsync((await place.sessions.get("a")).turns({ last: 1 }));
  assert.deepEqual([sealed?.status, sealed?.output[0]?.content], ["interrupted", "x".repeat(9000)]);
});

test("the doctor restores an open turn to its record, and the next writer seals it", async () => {
  await using place = inMemory();
  const session = await withTurns(place, "a", 1);
  await session.begin("question");
  await tamper(place, "a", { openTurn: null, lease: null });
  assert.deepEqual(short(await findings(place)), [["open_turn", "a", false]]);
  assert.deepEqual(short(await findings(place, { repair: true })), [["open_turn", "a", true]]);
  const again = await place.another().get("a");
  await again.recover();
  assert.deepEqual(
    (await Array.fromAsync(again.turns())).map(({ status }) => status),
    ["done", "interrupted"],
  );
  assert.deepEqual(await findings(place), []);
});

test("the doctor does not repair a session with a live lease holder", async () => {
  await using place = inMemory();
  const session = await withTurns(place, "a");
  const lease = await session.lease();
  await tamper(place, "a", { counters: { ...session.info.counters, requests: 99 } });
  assert.deepEqual(short(await findings(place, { repair: true })), [["counters", "a", false]]);
  await lease.release();
  assert.deepEqual(short(await findings(place, { repair: true })), [["counters", "a", true]]);
});

test("sessions of every tenant are looked at, page by page, until it is stopped", async () => {
  await using place = inMemory();
  const other = place.another({ tenant: "other" });
  for (let index = 0; index < 130; index++)
    await (index % 2 === 0 ? place.sessions : other).create({ id: `s${index}` });
  await (await place.sessions.get("s0")).end();
  assert.equal((await doctor(place.sessions)).sessions, 130);
  const stop = new AbortController();
  stop.abort();
  const { complete, sessions } = await doctor(place.sessions, { signal: stop.signal });
  assert.deepEqual([complete, sessions], [false, 0]);
});

test("internal records do not count as sessions", async () => {
  await using place = inMemory({ secret: "a secret of sixteen" });
  await place.sessions.devices.open("018f4f1e-8f2c-7cc3-9b3e-4b8f1d2a3c4d");
  await withTurns(place, "a");
  const { records } = await place.store.find({ order: "key", now: place.clock.now(), limit: 10 });
  const inner = records.filter(({ tenant }) => isInternalScope(tenant));
  assert.deepEqual([records.length - inner.length, inner.length > 0], [2, true]);
  assert.equal((await doctor(place.sessions)).sessions, 2);
});

test("the doctor finds nothing in unaltered archives and forks, and finds altered ones", async () => {
  await using place = inMemory({ secret: "a secret of sixteen" });
  const { sessions } = place;
  const parent = await withTurns(place, "parent", 5);
  const fork = await parent.fork({ at: 3, as: "fork" });
  await fork.append({ input: "q", output: "a", usage });
  await (await fork.fork({ as: "deeper" })).archive();
  await parent.truncate(4);
  await parent.archive();
  const back = await withTurns(place, "back");
  await back.archive();
  await back.unarchive();
  await back.setLegalHold("a lawsuit");
  assert.deepEqual(await findings(place), []);
  await parent.unarchive();
  await parent.truncate(2);
  await fork.truncate(2);
  await removeSession(sessions, "parent");
  assert.deepEqual(await findings(place), []);
  await back.archive();
  const archive: Splice = { log: "archive", from: 1, entries: [{ seq: 1, key: null, at: 1, data: '{"brotli":1}' }] };
  await tamper(place, "back", {}, [archive]);
  const found = await findings(place, { repair: true });
  assert.deepEqual(short(found), [["gap", "back", false]]);
  assert.match(found[0]?.what ?? "", /part 1 of the archive of session /);
});

test("during concurrent writes the doctor reports no false problem, and its repair loses no write", async () => {
  await using place = inMemory();
  let looks = 0;
  const writers = Array.from({ length: 6 }, async (_, index) => {
    const session = await place.another().create({ id: `w${index}` });
    for (let turn = 1; turn <= 40; turn++) {
      if (turn % 10 === 0) {
        await session.truncate(turn - 5);
        turn -= 5;
        if (session.info.counters.requests > 60 && looks > 1) return;
      } else if (turn % 3 === 0) {
        const open = await session.begin("q");
        await open.write({ text: "a".repeat(9000) });
        await open.seal({ usage });
      } else await session.append({ input: "q", output: "a", usage });
      await setImmediate(); // or a store in memory would let them write everything during the first look
    }
  });
  let writing = true;
  const done = Promise.all(writers).finally(() => (writing = false));
  const found: Finding[] = [];
  while (writing) {
    await doctor(place.sessions, { repair: true, onFinding: (finding) => found.push(finding) });
    looks++;
    await setImmediate(); // a store in memory never waits, and would keep the writers from their turn
  }
  await done;
  assert.deepEqual(found, []);
  assert.deepEqual(await findings(place), []);
});

test("the doctor keeps the lease of a holder with fresh heartbeats, and clears it once the heartbeat is stale by the holder's own interval", async () => {
  await using place = inMemory({ staleAfter: "10s" });
  const patient = place.another({ staleAfter: "2m" });
  const session = await patient.create({ id: "s" });
  const turn = await session.begin("hello?");
  await place.clock.advance(60_000);
  const first = await doctor(place.sessions, { repair: true });
  assert.deepEqual([first.findings, first.repaired], [0, 0]);
  assert.equal(await session.leaseHolder().then((holder) => holder?.alive), true);
  await place.clock.advance(61_000);
  const kinds: string[] = [];
  await doctor(place.sessions, { repair: true, onFinding: ({ kind }) => kinds.push(kind) });
  assert.deepEqual(kinds, ["lease"]);
  await assert.rejects(turn.seal({ output: [] }), { code: "fenced" });
});
