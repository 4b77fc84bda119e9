import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { inMemory } from "../../test/support/in-memory.ts";
import { sweep } from "../admin.ts";
import { sessionChanges } from "../domain/record/change.ts";
import { SessionError } from "../errors.ts";
import { storeBefore } from "../store/calls/forwarding-store.ts";
import type { Store } from "../store/store.ts";
import type { KeyInfo, Keys } from "./keys.ts";
import { sweep as sweepStore } from "./retention/sweep.ts";
import { coreOf, sessionsOn } from "./sessions.ts";

/** All keys, once a use of each is recorded at `at` or later. */
async function used(keys: Keys, at = 0): Promise<readonly KeyInfo[]> {
  for (;;) {
    const all = await Array.fromAsync(keys.each());
    if (all.every(({ lastUsedAt }) => (lastUsedAt?.getTime() ?? 0) > at)) return all;
    await setImmediate();
  }
}

test("a key opens its tenant with its right until it is revoked, in every process", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  const { token, ...info } = await keys.create({ name: "billing", tenant: "shop", right: "read" });
  assert.match(token, /^pdk_[0-9a-z]{26}_[\w-]{43}$/);
  assert.deepEqual(await place.another().keys.verify(token), info);
  assert.deepEqual(await used(keys), [{ ...info, lastUsedAt: new Date(place.clock.now()) }]);
  assert.equal(await keys.revoke(info.id), true);
  assert.equal(await keys.revoke(info.id), false);
  assert.equal(await place.another().keys.verify(token), null);
  assert.deepEqual(await Array.fromAsync(keys.each()), []);
});

test("keys are listed by pages, the newest first", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  for (const name of ["a", "b", "c"]) {
    await keys.create({ name });
    await place.clock.advance(60_000);
  }
  const first = await keys.list({ limit: 2 });
  const rest = await keys.list({ limit: 2, after: first.next ?? "" });
  assert.deepEqual(
    [first, rest].map(({ items }) => items.map(({ name }) => name)),
    [["c", "b"], ["a"]],
  );
  assert.equal(rest.next, undefined);
  await assert.rejects(keys.list({ limit: 0 }), { code: "argument_invalid" });
});

test("a text that is not exactly a key opens nothing", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  const { token, id } = await keys.create({ name: "one" });
  const other = await keys.create({ name: "two" });
  const altered = [
    "",
    "pdk_",
    token.slice(0, -1),
    `${token}A`,
    token.toUpperCase(),
    `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`,
    other.token.replace(other.id, id),
    `pdk_${id}_${"A".repeat(43)}`,
  ];
  for (const text of altered) assert.equal(await keys.verify(text), null, text);
  await assert.rejects(keys.create({ name: "" }), { code: "id_invalid" });
  await assert.rejects(keys.create({ name: "x", tenant: "\u0001keys" }), { code: "id_invalid" });
  await assert.rejects(keys.create({ name: "x", right: "owner" as "admin" }), { code: "argument_invalid" });
});

test("the store holds no token, and no list of sessions shows a key", async () => {
  await using place = inMemory();
  const { token } = await place.sessions.keys.create({ name: "one" });
  const { records } = await place.store.find({
    order: "recent",
    tenant: "\u0001keys",
    now: place.clock.now(),
    limit: 10,
  });
  assert.equal(records.length, 1);
  assert(!JSON.stringify(records).includes(token.slice(31)));
  assert.deepEqual((await place.sessions.list()).items, []);
  assert.equal((await sweep(place.sessions)).looked, 0);
});

test("a key opens nothing from its end on, says so to its holder, is listed as expired, and is removed after 30 days", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  const { token, ...info } = await keys.create({ name: "partner", ttl: "90d" });
  const expiresAt = place.clock.now() + 90 * 86_400_000;
  assert.deepEqual([info.expiresAt?.getTime(), info.expired, info.lastUsedAt], [expiresAt, false, null]);
  await place.clock.advance(90 * 86_400_000 - 1);
  assert.equal((await keys.verify(token))?.id, info.id);
  await place.clock.advance(1);
  const expired = { code: "key_expired", status: 401, details: { command: "keys.verify", id: info.id, expiresAt } };
  await assert.rejects(place.another().keys.verify(token), expired);
  // A holder of another secret is told no more than of an unknown key.
  const last = token.endsWith("A") ? "B" : "A";
  assert.equal(await keys.verify(`${token.slice(0, -1)}${last}`), null);
  const [listed] = await Array.fromAsync(keys.each());
  assert.deepEqual([listed?.expired, listed?.expiresAt?.getTime()], [true, expiresAt]);
  await place.clock.advance(29 * 86_400_000);
  const sweepAll = async (): Promise<number> => (await sweepStore(coreOf(place.sessions), undefined, {})).looked;
  assert.equal(await sweepAll(), 0);
  await place.clock.advance(86_400_000);
  assert.equal(await sweepAll(), 1);
  assert.deepEqual(await Array.fromAsync(keys.each()), []);
  assert.equal(await keys.verify(token), null);
});

test("a key without an end does not expire, and an end that is none is refused before any write", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  const { token } = await keys.create({ name: "backend", ttl: "never" });
  await place.clock.advance(20 * 365 * 86_400_000);
  assert.equal((await keys.verify(token))?.expiresAt, null);
  for (const ttl of [0, -1, "soon", Number.NaN])
    await assert.rejects(keys.create({ name: "x", ttl }), { code: "duration_invalid" });
  await assert.rejects(keys.create({ name: "x", expiresIn: "1d" } as never), { code: "argument_invalid" });
  assert.equal((await Array.fromAsync(keys.each())).length, 1);
});

test("the use of a key is recorded at most once an hour, by all processes together, and leaves its place in the list", async () => {
  await using place = inMemory();
  const [one, two] = [place.another(), place.another()];
  const { token, id, createdAt } = await one.keys.create({ name: "old" });
  await place.clock.advance(60_000);
  const younger = await one.keys.create({ name: "young" });
  await one.keys.verify(younger.token);
  for (let hour = 0; hour < 3; hour++) {
    await place.clock.advance(3_600_000);
    const at = place.clock.now();
    for (let call = 0; call < 10; call++) await one.keys.verify(token);
    while ((await one.keys.list()).items[1]?.lastUsedAt?.getTime() !== at) await setImmediate();
    const commits = await commitsOf(place.store, async () => {
      for (let call = 0; call < 10; call++) await two.keys.verify(token);
      await setImmediate();
    });
    assert.equal(commits, 0);
  }
  const { items } = await one.keys.list();
  assert.deepEqual(
    items.map((item) => item.id),
    [younger.id, id],
  );
  assert.deepEqual(items[1]?.createdAt, createdAt);
});

test("lists, unknown texts and expired keys write nothing", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  const { token } = await keys.create({ name: "short", ttl: "1h" });
  await place.clock.advance(3_600_000);
  const commits = await commitsOf(place.store, async () => {
    await keys.list();
    await keys.verify(`pdk_${"0".repeat(26)}_${"A".repeat(43)}`);
    await assert.rejects(keys.verify(token), { code: "key_expired" });
    await setImmediate();
  });
  assert.equal(commits, 0);
});

test("a store that refuses writes admits keys, is asked once an hour, and does not count as refusing by that", async () => {
  await using place = inMemory();
  const { token, id } = await place.sessions.keys.create({ name: "reader" });
  let refused = 0;
  const readOnly = Object.assign(storeBefore(place.shared), {
    commit: async () => {
      refused++;
      throw new SessionError("store_read_only", { store: "sqlite:a.db" });
    },
  });
  await using sessions = sessionsOn(readOnly, { clock: place.clock, sweep: false });
  for (let hour = 1; hour <= 2; hour++) {
    for (let call = 0; call < 5; call++) assert.equal((await sessions.keys.verify(token))?.id, id);
    await setImmediate();
    assert.equal(refused, hour);
    assert.equal((await sessions.health()).writes.since, null);
    await place.clock.advance(3_600_000);
  }
  // A write that a caller waits for still counts.
  await assert.rejects(sessions.keys.create({ name: "x" }), { code: "store_read_only" });
  assert.notEqual((await sessions.health()).writes.since, null);
});

test("a key is revoked while its use is recorded", async () => {
  await using place = inMemory();
  const { token, id } = await place.sessions.keys.create({ name: "leaked" });
  let isMeanwhile = false;
  const raced = Object.assign(storeBefore(place.shared), {
    commit: async (...[batch]: Parameters<Store["commit"]>) => {
      if (sessionChanges(batch[0] ?? [])[0]?.record === null && !isMeanwhile) {
        isMeanwhile = true;
        await place.sessions.keys.verify(token);
        await used(place.sessions.keys);
      }
      return await place.shared.commit(batch);
    },
  });
  await using sessions = sessionsOn(raced, { clock: place.clock, sweep: false });
  assert.equal(await sessions.keys.revoke(id), true);
  assert.equal(await sessions.keys.verify(token), null);
});

test("a key of an earlier version, without an end and without a last use, works as before", async () => {
  await using place = inMemory();
  const { keys } = place.sessions;
  const { token, ...info } = await keys.create({ name: "earlier", right: "admin" });
  const key = { tenant: "\u0001keys", id: info.id };
  const { sessions: found } = await place.store.load([{ key, tails: [] }]);
  const metadata = found[0]?.record.metadata ?? {};
  assert.deepEqual(Object.keys(metadata).toSorted(), ["hash", "name", "right", "tenant"], "the form is that of before");
  assert.deepEqual(info, {
    id: info.id,
    name: "earlier",
    tenant: "default",
    right: "admin",
    createdAt: info.createdAt,
    expiresAt: null,
    expired: false,
    lastUsedAt: null,
  });
  assert.deepEqual(await keys.verify(token), info);
});

/** The commits of the store during the work. */
async function commitsOf(store: Store, work: () => Promise<void>): Promise<number> {
  const commit = store.commit.bind(store);
  let commits = 0;
  store.commit = async (batch) => {
    commits += batch.length;
    return await commit(batch);
  };
  try {
    await work();
  } finally {
    store.commit = commit;
  }
  return commits;
}
