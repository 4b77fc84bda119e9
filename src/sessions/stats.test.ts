import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { stats as statsOf } from "../admin.ts";

const usage = (totalTokens: number): { inputTokens: number; outputTokens: number; totalTokens: number } => ({
  inputTokens: totalTokens - 1,
  outputTokens: 1,
  totalTokens,
});

test("stats count sessions by state, and turns and tokens by the requested groups", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const day = new Date(clock.now()).toISOString().slice(0, 10);
  const a = await sessions.create({ id: "a", agent: "ceo", user: "ann", ttl: "1h" });
  const b = await sessions.create({ id: "b", agent: "cfo" });
  await a.append({ input: "q", output: "a", model: "m", usage: usage(10), durationMs: 100 });
  await a.append({ input: "q", output: "a", model: "m", usage: usage(20), durationMs: 300, status: "failed" });
  await b.append({ input: "q", output: "a", usage: usage(5), durationMs: 200 });
  await clock.advance(3_600_000);
  await b.end();
  const stats = await statsOf(sessions, { by: ["agent", "user", "model", "day"] });
  assert.deepEqual(stats.sessions.states, { active: 0, inactive: 0, expired: 1, ended: 1, archived: 0 });
  assert.equal(stats.sessions.total, 2);
  assert.deepEqual(stats.sessions.turns, { count: 2, mean: 1.5, p50: 1, p95: 2, max: 2 });
  assert.deepEqual(stats.turns.durationPercentilesMs, { count: 3, mean: 200, p50: 200, p95: 300, max: 300 });
  assert.deepEqual([stats.turns.turns, stats.turns.failed, stats.turns.totalTokens], [3, 1, 35]);
  const keyed = Object.fromEntries(
    Object.entries(stats.groups).map(([kind, groups]) => [
      kind,
      groups.map(({ key, totalTokens }) => [key, totalTokens]),
    ]),
  );
  assert.deepEqual(keyed, {
    agent: [
      ["ceo", 30],
      ["cfo", 5],
    ],
    user: [
      ["ann", 30],
      [null, 5],
    ],
    model: [
      ["m", 30],
      [null, 5],
    ],
    day: [[day, 35]],
  });
  assert.equal(stats.at.getTime(), clock.now());
  assert.ok(stats.storage.bytes > stats.turns.bytes && stats.storage.entries >= 3);
});

test("attachments count once for each content, with those that the store has beside messages", async () => {
  await using place = inMemory({ attachments: { inlineBytesMax: 128 } });
  const { sessions } = place;
  const sumsOf = async (tenant = "default"): Promise<object> =>
    (await statsOf(sessions.for(tenant))).storage.attachments;
  assert.deepEqual(await sumsOf(), { count: 0, bytes: 0 });
  const [one, two] = [await sessions.create(), await sessions.create()];
  for (const session of [one, two]) await session.attachments.put(Buffer.alloc(500, 1), { type: "image/png" });
  await one.attachments.put(Buffer.alloc(0), { type: "text/plain" });
  await one.append({ input: [{ role: "user", content: [{ data: Buffer.alloc(1000, 2).toString("base64") }] }] });
  await (await sessions.for("other").create()).attachments.put(Buffer.alloc(7), { type: "a/b" });
  assert.deepEqual(await sumsOf(), { count: 3, bytes: 1500 });
  assert.deepEqual(await sumsOf("other"), { count: 1, bytes: 7 });
  await one.remove();
  assert.deepEqual(await sumsOf(), { count: 1, bytes: 500 });
});

test("stats since a time leave out earlier turns and sessions", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const old = await sessions.create({ id: "old", ttl: "90d" });
  await old.append({ input: "q", usage: usage(10) });
  await clock.advance(86_400_000);
  const since = new Date(clock.now());
  const on = await sessions.create({ id: "on" });
  await on.append({ input: "q", usage: usage(3) });
  const stats = await statsOf(sessions, { since, by: "hour" });
  assert.deepEqual([stats.sessions.total, stats.turns.totalTokens, stats.since], [1, 3, since]);
  assert.deepEqual(
    stats.groups.hour?.map(({ key }) => key),
    [`${since.toISOString().slice(0, 13)}:00Z`],
  );
  assert.deepEqual(
    stats.days.map(({ created }) => created),
    [1],
  );
});

test("truncated turns stay counted, and stats give their number", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 0; turn < 5; turn++) await session.append({ input: "q", usage: usage(10), model: "m" });
  await session.truncate(2);
  const { turns, groups, sessions } = await statsOf(place.sessions, { by: "model" });
  assert.deepEqual([turns.turns, turns.truncated, turns.totalTokens], [5, 3, 50]);
  assert.deepEqual(
    groups.model?.map(({ key, turns: count, truncated }) => [key, count, truncated]),
    [["m", 5, 3]],
  );
  assert.equal(sessions.turns?.max, 2);
});

test("archived turns do not count as truncated, and turns truncated before still do", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const session = await sessions.create({ id: "s" });
  for (let turn = 0; turn < 8; turn++) await session.append({ input: "q", usage: usage(10), model: "m" });
  const counted = async (): Promise<unknown> => {
    const { turns, groups } = await statsOf(sessions, { by: "model" });
    assert.deepEqual(
      groups.model?.map(({ truncated }) => truncated),
      [turns.truncated],
    );
    return [turns.turns, turns.truncated, turns.totalTokens];
  };
  await session.archive();
  assert.deepEqual(await counted(), [8, 0, 80]);
  await session.unarchive();
  await session.truncate(5);
  await clock.advance(3_600_000);
  await session.append({ input: "q", usage: usage(10), model: "m" });
  assert.deepEqual(await counted(), [9, 3, 90]);
  await session.archive();
  assert.deepEqual(await counted(), [9, 3, 90]);
});

test("handoffs: how many are active, and how long ended ones were active", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const one = await sessions.create({ id: "one" });
  const other = await sessions.create({ id: "other" });
  await one.handOff("cfo", { ttl: "1h" });
  await other.handOff("cfo", { ttl: "2s" });
  await clock.advance(1500);
  await one.handOff("cto", { ttl: "1h" });
  await clock.advance(1000);
  await other.endHandoff();
  const { handoffs } = await statsOf(sessions);
  assert.deepEqual(handoffs, {
    active: 1,
    expired: 1,
    activeMs: { count: 2, mean: 1750, p50: 1500, p95: 2000, max: 2000 },
  });
});

test("ratings: approvals, disapprovals and the mean of scores, without those of archived sessions", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "q", output: "a" });
  const none = { up: 0, down: 0, scores: 0, meanScore: null };
  assert.deepEqual((await statsOf(place.sessions)).ratings, none);
  for (const [by, rating] of Object.entries({ ana: "up", ben: "up", cem: "down", dan: 1, eva: 4 } as const))
    await session.rate(1, { rating, by, comment: "reason" });
  assert.deepEqual((await statsOf(place.sessions)).ratings, { up: 2, down: 1, scores: 2, meanScore: 2.5 });
  await session.rate(1, { rating: "down", by: "ana" });
  assert.deepEqual((await statsOf(place.sessions)).ratings, { up: 1, down: 2, scores: 2, meanScore: 2.5 });
  await session.archive();
  assert.deepEqual((await statsOf(place.sessions)).ratings, none);
});

test("an invalid group, date or limit is refused", async () => {
  await using place = inMemory();
  for (const query of [{ by: "colour" }, { by: ["day", 5] }, { since: new Date("soon") }, { since: 5 }, { limit: 0 }])
    await assert.rejects(statsOf(place.sessions, query as never), { code: "argument_invalid" }, JSON.stringify(query));
});

test("the sums of one tenant leave out devices' and other tenants' records", async () => {
  await using place = inMemory({ secret: "a secret of sixteen" });
  await place.sessions.devices.open("018f4f1e-8f2c-7cc3-9b3e-4b8f1d2a3c4d");
  await place.another({ tenant: "other" }).create();
  assert.equal((await statsOf(place.sessions)).sessions.total, 1);
});
