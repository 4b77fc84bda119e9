import assert from "node:assert/strict";
import { tracingChannel } from "node:diagnostics_channel";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sessionChanges } from "../../domain/record/change.ts";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { place as placeAway } from "../../../test/support/store-away.ts";
import { eventBeginning, type SessionEvent } from "../../domain/record/event.ts";
import { correlated } from "../tracing/correlation.ts";
import type { Operation } from "../tracing/operation.ts";
import { openSqlite } from "../../store/sqlite/open.ts";
import type { Session } from "../session/session.ts";
import { sessionsOn, type Sessions } from "../sessions.ts";
import { doctor } from "../../admin.ts";

/** Two handles of one session, the first behind by a turn of the second. */
async function behind({ sessions }: Pick<InMemory, "sessions">): Promise<{ mine: Session; theirs: Session }> {
  const mine = await sessions.create({ id: "s", agent: "ceo" });
  const theirs = await sessions.get("s");
  await theirs.append({ input: "theirs", output: "a secret" });
  return { mine, theirs };
}

/** What the record of events tells of conflicts, once it has been quiet. */
async function conflicts(
  session: Session,
  { clock }: Pick<InMemory, "clock">,
): Promise<Extract<SessionEvent, { type: "conflicted" }>[]> {
  for (let step = 0; step < 60; step++) await clock.advance(50);
  return (await Array.fromAsync(session.events())).filter((event) => event.type === "conflicted");
}

test("a conflict is an event with the seen and the stored version and the request, without any message text", async () => {
  await using place = inMemory();
  const { mine, theirs } = await behind(place);
  await correlated("job-7", () => assert.rejects(mine.append({ input: "another secret" }), { code: "conflict" }));
  const [event, ...others] = await conflicts(theirs, place);
  assert.deepEqual(others, []);
  const { at, seq, seenVersion, storedVersion, ...rest } = event!;
  assert.deepEqual(rest, {
    type: "conflicted",
    agent: "ceo",
    seenTurn: 0,
    storedTurn: 1,
    category: "lifecycle",
    severity: "warning",
    status: "ok",
    correlation: "job-7",
  });
  assert.ok(at.getTime() > 0 && seq === 2 && seenVersion < storedVersion);
  assert.ok(!JSON.stringify(await Array.fromAsync(theirs.events())).includes("secret"));
});

test("every way to write turns records its conflict, and a merged change is no conflict", async () => {
  for (const write of [
    (mine: Session) => mine.append({ input: "q" }),
    (mine: Session) => mine.begin("q"),
    (mine: Session) => mine.consult("q"),
    (mine: Session) => mine.truncate(0),
  ]) {
    await using place = inMemory({ model: async function* () {} });
    const { mine, theirs } = await behind(place);
    await mine.refresh();
    await theirs.append({ input: "more" });
    await mine.touch();
    assert.deepEqual(await conflicts(theirs, place), []);
    await assert.rejects(write(mine), { code: "conflict" });
    assert.equal((await conflicts(theirs, place)).length, 1, String(write));
  }
});

test("a caller gets a conflict at each retry on the same stale view, with one event; a new stale view is another event", async () => {
  await using place = inMemory({ model: async function* () {} });
  const { mine, theirs } = await behind(place);
  for (let tries = 0; tries < 5; tries++) {
    await assert.rejects(mine.append({ input: "again" }), { code: "conflict" });
    await assert.rejects(mine.consult("again"), { code: "conflict" });
    await theirs.append({ input: "meanwhile" });
  }
  assert.equal((await conflicts(theirs, place)).length, 1);
  await mine.refresh();
  await theirs.append({ input: "more" });
  await assert.rejects(mine.append({ input: "again" }), { code: "conflict" });
  assert.equal((await conflicts(theirs, place)).length, 2);
  const another = await place.sessions.get("s");
  await theirs.append({ input: "more" });
  await assert.rejects(another.append({ input: "q" }), { code: "conflict" });
  assert.equal((await conflicts(theirs, place)).length, 3, "another handle that is behind is another view");
});

test("repeated requests with the same stale view make one event", async () => {
  await using place = inMemory();
  const { theirs } = await behind(place);
  const { seen } = theirs.info;
  await theirs.append({ input: "more" });
  for (let request = 0; request < 5; request++) {
    const view = await place.sessions.get("s", { seen });
    await assert.rejects(view.append({ input: "stale" }), { code: "conflict" });
  }
  assert.equal((await conflicts(theirs, place)).length, 1);
});

test("the event of a conflict changes no view: the stale handle stays stale, the others go on without a conflict", async () => {
  await using place = inMemory();
  const { mine, theirs } = await behind(place);
  const onlooker = await place.sessions.get("s");
  await assert.rejects(mine.append({ input: "q" }), { code: "conflict" });
  assert.equal((await conflicts(onlooker, place)).length, 1);
  await assert.rejects(mine.append({ input: "q" }), { code: "conflict" });
  assert.equal((await theirs.append({ input: "on" })).seq, 2);
  await mine.refresh();
  assert.equal((await mine.append({ input: "now" })).seq, 3);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("the event needs no lease and counts as no activity: leased, expired, ended and archived sessions record it as well", async () => {
  await using place = inMemory();
  const settle: Readonly<Record<string, (theirs: Session) => Promise<unknown>>> = {
    active: (theirs) => theirs.lease(),
    expired: () => place.clock.advance(60_000),
    ended: (theirs) => theirs.end(),
    archived: (theirs) => theirs.archive(),
  };
  for (const [state, become] of Object.entries(settle)) {
    const mine = await place.sessions.create({ id: state, ttl: "10s" });
    const theirs = await place.sessions.get(state);
    await theirs.append({ input: "theirs" });
    const stale = await place.sessions.get(state, { seen: { version: 1, commitId: "", turn: 0 } });
    await become(theirs);
    const before = (await theirs.refresh()).expiresAt;
    await assert.rejects(mine.append({ input: "q" }));
    await assert.rejects(stale.append({ input: "q" }));
    const { state: after, expiresAt } = await theirs.refresh();
    assert.deepEqual([after, expiresAt], [state, before]);
    const recorded = (await conflicts(theirs, place)).length;
    assert.equal(recorded, state === "active" ? 0 : 2, `${state}: behind a lease one is busy, not in conflict`);
  }
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("closing waits until the events of conflicts are written", async () => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-conflict-"));
  try {
    const open = async (): Promise<Sessions> =>
      sessionsOn(await openSqlite({ url: `sqlite:${join(folder, "store.db")}` }), { sweep: false });
    const sessions = await open();
    const { mine } = await behind({ sessions });
    await assert.rejects(mine.append({ input: "q" }), { code: "conflict" });
    await sessions.close();
    await using again = await open();
    const { items: events } = await again.listEvents({ type: "conflicted" });
    assert.equal(events.length, 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("while the store is away the caller gets the same error at once, and the channel of operations reports the lost event", async () => {
  await using place = placeAway();
  const mine = await place.sessions.create({ id: "s" });
  const theirs = await place.witness.get("s");
  await theirs.append({ input: "theirs" });
  const failed: Operation[] = [];
  const operations = tracingChannel<unknown, Operation>("perdure:operation");
  const received = { error: (operation: Operation) => void failed.push(operation) } as Parameters<
    typeof operations.subscribe
  >[0];
  operations.subscribe(received);
  try {
    await assert.rejects(mine.append({ input: "q" }), { code: "conflict" });
    place.state.away = true;
    await place.clock.advance(2000);
    assert.deepEqual(
      failed.map(({ operation, session }) => [operation, session]),
      [
        ["append", "s"],
        ["conflict", "s"],
      ],
    );
  } finally {
    operations.unsubscribe(received);
  }
  await place.back();
  assert.deepEqual(await conflicts(theirs, place), []);
});

test("invented views leave one event for each change of the session, and no more", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "q" });
  await session.end();
  for (let version = 1; version <= 50; version++) {
    const stale = await place.sessions.get("s", { seen: { version, commitId: "", turn: 999 } });
    await assert.rejects(stale.append({ input: "q" }), { code: "conflict" });
  }
  await place.sessions.close();
  const events = await Array.fromAsync((await place.another().get("s")).events());
  assert.equal(events.filter(({ type }) => type === "conflicted").length, 1);
});

test("a refusal writes nothing: ninety refusals of one session are one commit, after a quiet second", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const behind = await Promise.all(Array.from({ length: 90 }, () => place.sessions.get("s")));
  await session.append({ input: "first" });
  const { commits } = place.store;
  const version = (await session.refresh()).version;
  for (const stale of behind) {
    await assert.rejects(stale.append({ input: "q" }), { code: "conflict" });
    await place.clock.advance(500);
  }
  assert.equal((await session.refresh()).version, version, "nothing was written between them");
  const refused = place.store.commits - commits;
  await place.clock.advance(2000);
  assert.equal(place.store.commits - commits - refused, 1);
  assert.equal((await session.refresh()).version, version + 1);
  const { items: events } = await place.sessions.listEvents({ type: "conflicted", limit: 1000 });
  assert.equal(events.length, 90);
});

test("the event of a conflict is tried three times and then later while another process keeps writing", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const stale = await place.sessions.get("s");
  await session.append({ input: "first" });
  await assert.rejects(stale.append({ input: "q" }), { code: "conflict" });
  const mover = await place.another().get("s");
  let tries = 0;
  // Whatever the process commits for its conflicts, another one has been there before.
  place.store.plan((_, [transaction]) => {
    const entries = sessionChanges(transaction ?? [])[0]?.splices.flatMap((splice) => splice.entries) ?? [];
    if (!entries.some(({ data }) => data.startsWith(eventBeginning("conflicted")))) return undefined;
    if (++tries > 5) return undefined;
    return { hold: mover.touch() };
  });
  await place.clock.advance(1000);
  for (let turn = 0; turn < 5; turn++) await place.clock.advance(0);
  assert.equal(tries, 3);
  for (let step = 0; step < 50; step++) await place.clock.advance(100);
  assert.equal((await place.sessions.listEvents({ type: "conflicted" })).items.length, 1);
});

test("a writer that succeeds after a conflict pauses before its next turns, until four of them met no other turn", async () => {
  await using place = inMemory();
  const theirs = await place.sessions.create({ id: "s" });
  const mine = await place.sessions.get("s");
  await mine.append({ input: "no other writer" });
  await mine.append({ input: "at once" });
  await theirs.refresh();
  await theirs.append({ input: "theirs" });
  await assert.rejects(mine.append({ input: "q" }), { code: "conflict" });
  await mine.refresh();
  await mine.append({ input: "at last" });
  const { turn } = await theirs.refresh();
  const later = mine.append({ input: "after a pause" });
  for (let turns = 0; turns < 20; turns++) await place.clock.advance(0);
  assert.equal((await theirs.append({ input: "in between" })).seq, turn + 1);
  const refused = assert.rejects(later, { code: "conflict" });
  await place.clock.advance(8);
  await refused;
  await mine.refresh();
  await mine.append({ input: "again" });
  for (let pause = 0; pause < 4; pause++) {
    let landed = false;
    const paused = mine.append({ input: "alone" }).then(() => (landed = true));
    for (let turns = 0; turns < 20; turns++) await place.clock.advance(0);
    assert.equal(landed, false);
    while (!landed) await place.clock.advance(1);
    await paused;
  }
  await mine.append({ input: "at once again" });
});
