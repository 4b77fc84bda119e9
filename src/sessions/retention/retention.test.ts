import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { parseAgentsFile } from "../../cli/program/agents-schema.ts";
import type { RetentionPolicy } from "../options/options.ts";
import { sessionsOn, type Sessions } from "../sessions.ts";
import { copySessions, importSessions, removeSession, sweep } from "../../admin.ts";

const hour = 3_600_000;
const day = 24 * hour;

async function ended(sessions: Sessions, id: string, options: { agent?: string; user?: string } = {}): Promise<void> {
  const session = await sessions.create({ id, ...options });
  await session.append({ input: "Hello", output: "Hi" });
  await session.end();
}

async function states(sessions: Sessions): Promise<Record<string, string>> {
  const { items: infos } = await sessions.list();
  return Object.fromEntries(infos.map(({ id, state }) => [id, state]));
}

test("sessions expire, are archived, and are purged, each after its time", async () => {
  const retention: RetentionPolicy[] = [
    { state: "expired", after: "10d", do: "archive" },
    { state: "ended", after: "20d", do: "archive" },
    { state: "archived", after: "30d", do: "purge" },
  ];
  await using place = inMemory({ ttl: "1d", retention });
  const { sessions, clock } = place;
  await (await sessions.create({ id: "left" })).append({ input: "Hello" });
  await ended(sessions, "ended");
  await clock.advance(2 * day);
  assert.equal((await sweep(sessions)).expired, 1);
  assert.deepEqual(await states(sessions), { ended: "ended", left: "expired" });
  await clock.advance(11 * day);
  assert.equal((await sweep(sessions)).archived, 1);
  assert.deepEqual(await states(sessions), { ended: "ended", left: "archived" });
  await clock.advance(10 * day);
  assert.equal((await sweep(sessions)).archived, 1);
  assert.deepEqual(await states(sessions), { ended: "archived", left: "archived" });
  await clock.advance(25 * day);
  assert.equal((await sweep(sessions)).removed, 1);
  assert.deepEqual(await states(sessions), { ended: "archived" });
  await clock.advance(10 * day);
  assert.equal((await sweep(sessions)).removed, 1);
  assert.deepEqual(await states(sessions), {});
});

test("the first policy that fits a session decides: an agent's own, then those of the options, then the sweep's retention", async () => {
  const agents = parseAgentsFile(
    '{"ceo":{"retention":[{"state":"ended","after":"7d","do":"archive"}]},"cfo":{},"lawyer":{}}',
    "agents.json",
  );
  const retention: RetentionPolicy[] = [
    { agent: "lawyer", state: "ended", after: "3650d", do: "purge" },
    { user: "vip", state: "ended", after: "5d", do: "archive" },
  ];
  await using place = inMemory({ agents, retention, sweep: { every: "20d", retention: "4d" } });
  const { sessions, clock } = place;
  await ended(sessions, "a", { agent: "ceo" });
  await ended(sessions, "b", { agent: "lawyer" });
  await ended(sessions, "c", { agent: "cfo", user: "vip" });
  await ended(sessions, "d", { agent: "cfo" });
  await clock.advance(8 * day);
  const { archived, removed, looked } = await sweep(sessions);
  assert.deepEqual({ archived, removed, looked }, { archived: 2, removed: 1, looked: 3 });
  assert.deepEqual(await states(sessions), { a: "archived", b: "ended", c: "archived" });
});

test("retention counts from the expiry of a session, not from the sweep that marks it", async () => {
  await using place = inMemory({ ttl: "1d" });
  const { sessions, clock } = place;
  await sessions.create({ id: "old" });
  await clock.advance(300 * day);
  await sessions.create({ id: "recent" });
  await clock.advance(65 * day);
  const planned = await sweep(sessions, { retention: "90d", dryRun: true });
  assert.deepEqual(
    planned.planned?.map(({ session, action }) => [session, action]),
    [
      ["old", "expire"],
      ["old", "purge"],
      ["recent", "expire"],
    ],
  );
  const { expired, removed } = await sweep(sessions, { retention: "90d" });
  assert.deepEqual({ expired, removed }, { expired: 2, removed: 1 }, "a store that was not swept for a year");
  assert.deepEqual(await states(sessions), { recent: "expired" });
  assert.deepEqual([planned.expired, planned.removed], [2, 1], "the dry run planned the same");
});

test("a session whose time was up while it was archived, or before its last activity, is kept for the whole retention", async () => {
  await using place = inMemory({ ttl: "1d" });
  const { sessions, clock } = place;
  const archived = await sessions.create({ id: "archived" });
  await archived.append({ input: "Hello" });
  await archived.archive();
  const shortened = await sessions.create({ id: "shortened", ttl: "never" });
  await clock.advance(365 * day);
  await archived.unarchive();
  await shortened.update({ maxAge: "30d" });
  const dry = await sweep(sessions, { retention: "90d", dryRun: true });
  const { expired, removed } = await sweep(sessions, { retention: "90d" });
  assert.deepEqual([expired, removed, dry.removed], [2, 0, 0]);
  await clock.advance(91 * day);
  assert.equal((await sweep(sessions, { retention: "90d" })).removed, 2);
});

test("a session that is restored or imported is kept for the whole retention from then, and a copy of a store keeps its times", async () => {
  await using place = inMemory({ ttl: "1d" });
  const { sessions, clock } = place;
  await sessions.create({ id: "lapsed" });
  await sessions.create({ id: "marked" });
  await ended(sessions, "ended");
  await (await sessions.create({ id: "archived" })).archive();
  await clock.advance(2 * day);
  const lapsed = await sessions.snapshot("lapsed");
  await sweep(sessions);
  const snapshots = [
    lapsed,
    ...(await Promise.all(["marked", "ended", "archived"].map((id) => sessions.snapshot(id)))),
  ];
  const archivedToo: RetentionPolicy[] = [{ state: "archived", after: "90d", do: "purge" }];
  const elsewhere = async (): Promise<InMemory> => {
    const other = inMemory({ retention: archivedToo });
    await other.clock.advance(367 * day);
    return other;
  };
  await using restored = await elsewhere();
  for (const snapshot of snapshots) await restored.sessions.restore(snapshot);
  await using imported = await elsewhere();
  const items = snapshots.map((snapshot) => JSON.stringify(snapshot));
  await importSessions(imported.sessions, items);
  for (const { sessions: kept } of [restored, imported]) {
    for (const snapshot of snapshots) assert.deepEqual(await kept.snapshot(snapshot.session.id), snapshot);
    assert.equal((await importSessions(kept, items)).present, 4, "importing again finds the same sessions");
    const { planned } = await sweep(kept, { retention: "90d", dryRun: true });
    assert.deepEqual(
      planned?.map(({ action }) => action),
      ["expire"],
    );
    assert.equal((await sweep(kept, { retention: "90d" })).removed, 0);
    await using copy = await elsewhere();
    await copySessions(kept, copy.sessions);
    assert.equal((await sweep(copy.sessions, { retention: "90d" })).removed, 4, "of a copy");
  }
  for (const { sessions: kept, clock: time } of [restored, imported]) {
    await time.advance(89 * day);
    assert.equal((await sweep(kept, { retention: "90d" })).removed, 0);
    await time.advance(2 * day);
    assert.equal((await sweep(kept, { retention: "90d" })).removed, 4);
  }
});

test("a sweep by age removes all sessions whose time was up before, whatever the policies and the limits of other sweeps", async () => {
  const agents = { ceo: { retention: [{ state: "ended", after: "3650d", do: "purge" }] } } as const;
  await using place = inMemory({ agents, ttl: "1d", retention: [{ state: "expired", after: "1d", do: "archive" }] });
  const { sessions, clock } = place;
  await ended(sessions, "ended");
  for (let index = 0; index < 30; index++) await sessions.create({ id: `s${index}` });
  await (await sessions.create({ id: "held" })).setLegalHold("case 4711");
  await sessions.create({ id: "lives", ttl: "never" });
  await clock.advance(100 * day);
  await ended(sessions, "recent");
  await sessions.create({ id: "expires soon" });
  await clock.advance(2 * day);
  const dry = await sweep(sessions, { olderThan: "90d", dryRun: true });
  assert.deepEqual([dry.removed, dry.archived], [31, 0]);
  const { removed, archived, complete } = await sweep(sessions, { olderThan: "90d" });
  assert.deepEqual({ removed, archived, complete }, { removed: 31, archived: 0, complete: true });
  const left = { held: "expired", lives: "active", recent: "ended", "expires soon": "expired" };
  assert.deepEqual(await states(sessions), left);
  const some = await sweep(sessions, { olderThan: "1d", rows: 1 });
  assert.deepEqual([some.removed, some.complete], [1, false], "a bound that is given holds");
  const both = sweep(sessions, { olderThan: "1d", retention: "1d" });
  await assert.rejects(both, /olderThan does not go with retention; name one of them/);
});

test("a sweep by age has no limit of rows, in steps of a page", async () => {
  await using place = inMemory({ ttl: "1h" });
  const { sessions, clock } = place;
  const count = 10_050;
  const ids = Array.from({ length: count }, (_, index) => `s${index}`);
  await Promise.all(ids.map(async (id) => await sessions.create({ id })));
  await clock.advance(day);
  const { removed, complete } = await sweep(sessions, { olderThan: "1h" });
  assert.deepEqual({ removed, complete }, { removed: count, complete: true });
});

test("a dry run lists the sessions that would be removed and changes nothing", async () => {
  const retention: RetentionPolicy[] = [
    { state: "ended", agent: "ceo", after: "1d", do: "archive" },
    { state: "ended", after: "1d", do: "purge" },
  ];
  await using place = inMemory({ retention });
  const { sessions, clock } = place;
  await ended(sessions, "cold", { agent: "ceo" });
  await ended(sessions, "past", { agent: "cfo" });
  await sessions.create({ id: "short", ttl: 1000 });
  await clock.advance(2 * day);
  const before = (await sessions.list()).items;
  const report = await sweep(sessions, { dryRun: true });
  assert.deepEqual(report.planned, [
    { tenant: "default", session: "short", action: "expire" },
    { tenant: "default", session: "cold", action: "archive" },
    { tenant: "default", session: "past", action: "purge" },
  ]);
  assert.deepEqual((await sessions.list()).items, before);
  const { archived, removed, expired, planned } = await sweep(sessions);
  assert.deepEqual(
    { archived, removed, expired, planned },
    { archived: 1, removed: 1, expired: 1, planned: undefined },
  );
});

test("a sweep that is cancelled or out of bounds stops between sessions, and the next one continues", async () => {
  await using place = inMemory({ retention: [{ state: "ended", after: "1d", do: "archive" }] });
  const { sessions, clock } = place;
  for (let index = 0; index < 30; index++) await ended(sessions, `s${index}`);
  await clock.advance(2 * day);
  const aborted = await sweep(sessions, { signal: AbortSignal.abort() });
  assert.deepEqual([aborted.archived, aborted.complete], [0, false]);
  const { archived, complete } = await sweep(sessions, { rows: 10 });
  assert(archived >= 10 && archived < 14 && !complete);
  const rest = await sweep(sessions);
  assert.deepEqual([rest.archived, rest.complete], [30 - archived, true]);
});

test("sessions without a policy do not count against the bounds of a sweep", async () => {
  await using place = inMemory({ retention: [{ agent: "cfo", state: "ended", after: "1d", do: "purge" }] });
  const { sessions, clock } = place;
  for (let index = 0; index < 20; index++) await ended(sessions, `a${index}`, { agent: "ceo" });
  await ended(sessions, "b", { agent: "cfo" });
  await clock.advance(2 * day);
  const { removed, looked } = await sweep(sessions, { rows: 5 });
  assert.deepEqual({ removed, looked }, { removed: 1, looked: 1 });
});

test("a session under legal hold is not removed, truncated or purged until the hold is cleared", async () => {
  await using place = inMemory({ retention: [{ state: "ended", after: "1d", do: "purge" }] });
  const { sessions, clock } = place;
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "Hello" });
  await session.setLegalHold("a lawsuit");
  await session.append({ input: "It goes on" });
  const held = { code: "legal_hold", message: /^session s is under legal hold \(a lawsuit\)/ };
  await assert.rejects(session.remove(), held);
  await assert.rejects(session.truncate(1), held);
  await session.end();
  await clock.advance(2 * day);
  assert.equal((await sweep(sessions)).removed, 0);
  assert.equal((await place.another().get("s")).info.legalHold?.reason, "a lawsuit");
  assert.equal(await session.archive(), true, "it may be put away");
  await assert.rejects(session.remove(), held);
  await session.unarchive();
  await clock.advance(2 * day);
  assert.equal(await session.clearLegalHold(), true);
  assert.equal(await session.clearLegalHold(), false);
  assert.deepEqual(
    (await Array.fromAsync(session.events())).map(({ type }) => type),
    ["created", "legal_hold_set", "ended", "archived", "unarchived", "legal_hold_cleared"],
  );
  assert.equal((await sweep(sessions)).removed, 1);
});

test("a reset keeps the legal hold on the archived session", async () => {
  await using place = inMemory({ ttl: "1d" });
  const { sessions, clock } = place;
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "Hello" });
  await session.setLegalHold("a lawsuit");
  await clock.advance(2 * day);
  const fresh = await sessions.ensure("s", { onExpired: "reset" });
  assert.equal(fresh.info.legalHold, null);
  const [old] = (await sessions.list({ state: "archived" })).items;
  assert.equal(old?.legalHold?.reason, "a lawsuit");
  await assert.rejects(removeSession(sessions, old.id), { code: "legal_hold" });
});

test("a wrong policy is refused before any I/O, in a file with its line", () => {
  const wrong = [
    [{ state: "active", after: "1d", do: "purge" }, /retention\[0\]\.state is "active"/],
    [{ state: "ended", after: "soon", do: "purge" }, /retention\[0\]\.after is "soon"/],
    [{ state: "ended", after: "1d", do: "forget" }, /retention\[0\]\.do is "forget"/],
    [
      { state: "ended", after: "1d", do: "purge", age: 3 },
      /\.age is no setting; the settings are state, after, do, user/,
    ],
  ] as const;
  for (const [policy, message] of wrong) {
    const text = `{"ceo":{\n"retention":[\n${JSON.stringify(policy)}]}}`;
    assert.throws(() => parseAgentsFile(text, "agents.json"), { code: "agents_file_invalid", message });
    assert.throws(
      () => parseAgentsFile(text, "agents.json"),
      /^SessionError: agents\.json:3:\d+: ceo\.retention\[0\]\./,
    );
  }
  assert.throws(
    () => parseAgentsFile('{"ceo":{"retention":{}}}', "agents.json"),
    /ceo\.retention is an object; expected an array/,
  );
});

test("sessions that fail after a long time do not block the sessions behind them in a later sweep", async () => {
  await using place = inMemory();
  const ids = ["bad 1", "bad 2", "bad 3", "bad 4", "good"];
  let tries = 0;
  const store = new Proxy(place.shared, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return async (...given: [{ readonly id?: string }, ...unknown[]]) => {
        if (name !== "read" || given[0].id?.startsWith("bad") !== true) return Reflect.apply(member, target, given);
        tries++;
        await place.clock.advance(11_000);
        throw new Error("its log is damaged");
      };
    },
  });
  const policy = { state: "ended", after: "1h", do: "archive" } as const;
  await using sessions = sessionsOn(store, { clock: place.clock, sweep: false, retention: [policy] });
  for (const id of ids) {
    const session = await sessions.create({ id, ttl: "100d" });
    await session.append({ input: "said" });
    await session.end();
    await place.clock.advance(1000);
  }
  await place.clock.advance(2 * hour);
  const first = await sweep(sessions);
  assert.deepEqual([first.failed, first.archived, first.complete], [4, 0, false]);
  const second = await sweep(sessions);
  assert.deepEqual([second.failed, second.archived, second.complete], [0, 1, true]);
  assert.equal(tries, 4);
  await place.clock.advance(2 * hour);
  assert.equal((await sweep(sessions)).failed, 4, "they are tried again");
});
