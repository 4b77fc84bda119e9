import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemory } from "../store/memory.ts";
import { sessionsOn } from "./sessions.ts";
import { inMemory } from "../../test/support/in-memory.ts";
import { countAll } from "../domain/turns/counters.ts";
import { defined } from "../domain/values/defined.ts";
import { sweep, removeSession } from "../admin.ts";

const hour = 3_600_000;

test("a session expires by the clock alone, when it is read", async () => {
  await using place = inMemory({ ttl: "1h" });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "hello" });
  await place.clock.advance(hour - 1);
  assert.equal(session.info.state, "active");
  await place.clock.advance(1);
  assert.equal(session.info.state, "expired");
  const again = await place.sessions.get("s");
  assert.equal(again.info.state, "expired");
  assert.equal((await Array.fromAsync(again.turns())).length, 1, "an expired session can be read");
  for (const write of [
    () => again.append({ input: "late" }),
    () => again.begin("late"),
    () => again.lease(),
    () => again.touch(),
    () => again.update({ metadata: { late: true } }),
    () => again.truncate(0),
  ]) {
    await assert.rejects(write, { code: "session_expired" });
  }
  const { items: expired } = await place.sessions.list({ state: "expired" });
  assert.deepEqual(
    expired.map(({ id }) => id),
    ["s"],
  );
  assert.deepEqual((await place.sessions.list({ state: "active" })).items, []);
});

test("each write slides the deadline, reading does not, and an absolute cap stands", async () => {
  await using place = inMemory({ ttl: "1h", maxAge: "3h" });
  const session = await place.sessions.create({ id: "s" });
  const born = place.clock.now();
  const expiresIn = async (): Promise<number> =>
    Number((await place.sessions.get("s")).info.expiresAt) - place.clock.now();
  assert.equal(await expiresIn(), hour);
  await place.clock.advance(hour / 2);
  await Array.fromAsync(session.turns());
  assert.equal(await expiresIn(), hour / 2, "reading is no sign of life");
  await session.touch();
  assert.equal(await expiresIn(), hour);
  for (let times = 0; times < 3; times++) {
    await place.clock.advance(hour * 0.75);
    await session.append({ input: "on" });
  }
  assert.equal((await place.sessions.get("s")).info.expiresAt?.getTime(), born + 3 * hour, "capped");
  await place.clock.advance(hour / 4);
  await assert.rejects(session.append({ input: "late" }), { code: "session_expired" });
});

test("the time to live comes from the call, the user, the agent or the default, in this order", async () => {
  await using place = inMemory({
    ttl: "4h",
    agents: { brief: { ttl: "3h" }, usual: {} },
    ttlOfUser: (user) => (user === "vip" ? "2h" : undefined),
  });
  const ttlOf = async (options: object): Promise<number> => {
    const { info } = await place.sessions.create(options);
    return (Number(info.expiresAt) - place.clock.now()) / hour;
  };
  assert.equal(await ttlOf({ agent: "brief", user: "vip", ttl: "1h" }), 1);
  assert.equal(await ttlOf({ agent: "brief", user: "vip" }), 2);
  assert.equal(await ttlOf({ agent: "brief", user: "other" }), 3);
  assert.equal(await ttlOf({ agent: "usual" }), 4);
});

test("ensure opens an existing session or creates one, and its options apply to a new one only", async () => {
  await using place = inMemory();
  const created = await place.sessions.ensure("s", { metadata: { mood: "calm" } });
  await created.append({ input: "hello" });
  const opened = await place.sessions.ensure("s", { metadata: { mood: "other" }, agent: "other" });
  assert.deepEqual(opened.info.metadata, { mood: "calm" });
  assert.equal(opened.info.agent, "assistant");
  assert.equal(opened.info.turn, 1);
  await assert.rejects(place.sessions.create({ id: "s" }), { code: "session_exists" });
});

test("concurrent calls of ensure for one id return the same session", async () => {
  await using place = inMemory();
  const other = place.another();
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? place.sessions : other).ensure("s")),
  );
  assert.equal(new Set(all.map(({ info }) => info.version)).size, 1);
});

test("ensure continues an expired session, unless onExpired is fail", async () => {
  await using place = inMemory({ ttl: "1h" });
  await place.sessions.create({ id: "s" });
  await place.clock.advance(hour);
  await assert.rejects(place.sessions.ensure("s", { onExpired: "fail" }), { code: "session_expired" });
  await assert.rejects(place.sessions.ensure("s", { onExpired: "delete" as "fail" }), { code: "argument_invalid" });
  assert.equal((await place.sessions.ensure("s")).info.state, "active");
});

test("a session does not expire unless a lifetime is set", async () => {
  await using place = inMemory({ ttl: "never" });
  const session = await place.sessions.create({ id: "s" });
  await place.clock.advance(50 * 365 * 24 * hour);
  assert.deepEqual([(await session.refresh()).state, session.info.expiresAt], ["active", null]);
  await session.append({ input: "years later", output: "still here" });
  await session.update({ ttl: "1h" });
  assert.equal(Number(session.info.expiresAt) - place.clock.now(), hour);
  await session.update({ ttl: "never" });
  assert.equal(session.info.expiresAt, null);
  await session.update({ maxAge: "100d" });
  assert.notEqual(session.info.expiresAt, null, "an age limit ends it as well");
});

test("reviving continues with the same log and a fresh deadline", async () => {
  await using place = inMemory({ ttl: "1h", maxAge: "2h" });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "before" });
  await place.clock.advance(5 * hour);
  const revived = await place.sessions.ensure("s", { onExpired: "revive" });
  assert.equal(revived.info.state, "active");
  assert.equal(revived.info.expiresAt?.getTime(), place.clock.now() + hour);
  await revived.append({ input: "after" });
  assert.deepEqual(
    (await Array.fromAsync(revived.turns())).map(({ input }) => input[0]?.content),
    ["before", "after"],
  );
});

test("a session that is revived again and again lives as long under its cap as the first time", async () => {
  await using place = inMemory({ ttl: "10h", maxAge: "2h" });
  await place.sessions.create({ id: "s" });
  for (let times = 0; times < 3; times++) {
    await place.clock.advance(5 * hour);
    const revived = await place.sessions.ensure("s", { onExpired: "revive" });
    assert.equal(Number(revived.info.expiresAt) - place.clock.now(), 2 * hour, `revival ${times + 1}`);
  }
});

test("restarting begins an empty log under the same id and keeps the old one, whole, under an archived id", async () => {
  await using place = inMemory({ ttl: "1h" });
  const old = await place.sessions.create({ id: "s", instructions: "be kind", metadata: { mood: "calm" } });
  for (let index = 1; index <= 3; index++)
    await old.append({ input: `old ${index}`, output: "yes" }, { key: `k${index}` });
  const { counters } = old.info;
  await place.clock.advance(hour);
  const fresh = await place.sessions.ensure("s", { onExpired: "reset", instructions: "be brief" });
  assert.equal(fresh.info.turn, 0);
  assert.equal(fresh.info.counters.turns, 0);
  assert.equal(await fresh.instructions(), "be brief");
  await assert.rejects(fresh.append({ input: "old 1", output: "yes" }, { key: "k1" }), { code: "key_archived" });
  await fresh.append({ input: "new" }, { key: "k4" });

  const { items: archived } = await place.sessions.list({ state: "archived" });
  assert.equal(archived.length, 1);
  const kept = await place.sessions.get(archived[0]?.id ?? "");
  assert.notEqual(kept.id, "s");
  const turns = await Array.fromAsync(kept.turns());
  assert.deepEqual(
    turns.map(({ seq, key, input }) => [seq, key, input[0]?.content]),
    [1, 2, 3].map((seq) => [seq, `k${seq}`, `old ${seq}`]),
  );
  assert.deepEqual(kept.info.counters, counters);
  assert.deepEqual(kept.info.counters, countAll(turns));
  assert.equal(await kept.instructions(), "be kind");
  assert.deepEqual(kept.info.metadata, { mood: "calm" });
  await assert.rejects(kept.append({ input: "no" }), { code: "session_archived" });
  await assert.rejects(place.sessions.ensure(kept.id), { code: "session_archived" });
  await assert.rejects(
    old.append({ input: "stale" }),
    { code: "conflict" },
    "a handle of the old log has not seen the new one",
  );
});

test("a session of more turns than are read in one go is restarted whole", async () => {
  await using place = inMemory({ ttl: "1h" });
  const session = await place.sessions.create({ id: "s" });
  await Promise.all(Array.from({ length: 1203 }, (_, index) => session.append({ input: `${index}` })));
  await place.clock.advance(hour);
  await place.sessions.ensure("s", { onExpired: "reset" });
  const [archived] = (await place.sessions.list({ state: "archived" })).items;
  assert.equal((await Array.fromAsync((await place.sessions.get(archived?.id ?? "")).turns())).length, 1203);
});

test("an ended session can be read, refuses writes, and is not revived", async () => {
  await using place = inMemory({ ttl: "1h" });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "hello" });
  await (await place.sessions.get("s")).end();
  await (await place.sessions.get("s")).end(); // again, to no effect
  await session.refresh();
  assert.equal(session.info.state, "ended");
  await assert.rejects(session.append({ input: "more" }), { code: "session_ended" });
  await assert.rejects(place.sessions.ensure("s", { onExpired: "revive" }), { code: "session_ended" });
  assert.equal((await Array.fromAsync(session.turns())).length, 1);
});

test("a removed session is gone for its handles, and a new session under its id has no earlier turns", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "hello" }, { key: "k" });
  await removeSession(place.sessions, "s");
  await assert.rejects(place.sessions.get("s"), { code: "session_not_found" });
  await assert.rejects(session.append({ input: "more" }), { code: "session_not_found" });
  await assert.rejects(session.refresh(), { code: "session_not_found" });
  await assert.rejects(removeSession(place.sessions, "s"), { code: "session_not_found" });
  await place.clock.advance(1);
  const next = await place.sessions.create({ id: "s" });
  assert.equal(next.info.turn, 0);
  await next.append({ input: "other" }, { key: "k" });
  await assert.rejects(session.append({ input: "stale" }), { code: "conflict" });
});

test("tenants do not see each other's sessions", async () => {
  await using place = inMemory();
  const [a, b] = [place.sessions.for("a"), place.sessions.for("b")];
  await (await a.create({ id: "s" })).append({ input: "of a" });
  await assert.rejects(b.get("s"), { code: "session_not_found" });
  assert.equal((await b.ensure("s")).info.turn, 0);
  assert.equal((await a.list()).items.length, 1);
  await removeSession(b, "s");
  assert.equal((await a.get("s")).info.turn, 1);
});

test("lists come in pages, the most recently active first, and are narrowed by agent, user, state, activity and creation", async () => {
  await using place = inMemory();
  const start = place.clock.now();
  for (let index = 0; index < 25; index++) {
    await place.sessions.create({ id: `s${index}`, agent: index % 2 === 0 ? "even" : "odd", user: `u${index % 5}` });
    await place.clock.advance(60_000);
  }
  await (await place.sessions.get("s3")).end();
  const seen: string[] = [];
  for (let after: string | undefined; ;) {
    const page = await place.sessions.list({ limit: 10, ...defined({ after }) });
    seen.push(...page.items.map(({ id }) => id));
    if (page.next === undefined) break;
    after = page.next;
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 25 }, (_, index) => `s${24 - index}`),
  );
  const ids = async (query: object): Promise<string[]> =>
    (await place.sessions.list(query)).items.map(({ id }) => id).toSorted();
  assert.equal((await ids({ agent: "odd" })).length, 12);
  assert.deepEqual(await ids({ user: "u3", agent: "odd" }), ["s13", "s23", "s3"]);
  assert.deepEqual(await ids({ state: "ended" }), ["s3"]);
  assert.equal((await ids({ state: ["active", "ended"] })).length, 25);
  assert.deepEqual(
    await ids({ activeSince: new Date(start + 2 * 60_000), activeBefore: new Date(start + 4 * 60_000) }),
    ["s2", "s3"],
  );
  const created = { createdSince: new Date(start + 2 * 60_000), createdBefore: new Date(start + 4 * 60_000) };
  assert.deepEqual(await ids(created), ["s2", "s3"]);
  assert.equal(await place.sessions.count(created), 2);
  assert.equal(await place.sessions.count({ ...created, agent: "odd" }), 1);
  await assert.rejects(place.sessions.list({ createdSince: new Date("?") }), { code: "argument_invalid" });
  await assert.rejects(place.sessions.list({ limit: 0 }), { code: "argument_invalid" });
  await assert.rejects(place.sessions.list({ state: "gone" as "ended" }), { code: "argument_invalid" });
  await assert.rejects(place.sessions.list({ activeSince: new Date("?") }), { code: "argument_invalid" });
  await assert.rejects(place.sessions.list({ after: "not a cursor" }), { code: "argument_invalid" });
});

test("invalid ids are refused, and names such as __proto__ are ordinary ids", async () => {
  await using place = inMemory();
  for (const id of ["", "x".repeat(257), "a\u0000b", "a\nb", "\ud800", 7 as unknown as string]) {
    await assert.rejects(place.sessions.create({ id }), { code: "id_invalid" });
    await assert.rejects(place.sessions.ensure(id), { code: "id_invalid" });
    await assert.rejects(place.sessions.get(id), { code: "id_invalid" });
  }
  for (const id of ["__proto__", "constructor", "hasOwnProperty", "🦉", "x".repeat(256)]) {
    const session = await place.sessions.create({ id, agent: id, metadata: Object.fromEntries([[id, id]]) });
    await session.append({ input: id }, { key: id });
    const [turn] = await Array.fromAsync((await place.sessions.get(id)).turns());
    assert.equal(turn?.key, id);
    assert.deepEqual(Object.entries((await place.sessions.get(id)).info.metadata), [[id, id]]);
  }
});

test("an unknown agent is refused, and the error lists the known ones", async () => {
  await using place = inMemory({ agents: { ceo: { instructions: "lead" } } });
  await assert.rejects(place.sessions.create({ agent: "cto" }), {
    code: "agent_unknown",
    details: { agent: "cto", known: ["ceo"], tenant: "default", command: "create" },
  });
  const session = await place.sessions.create({ agent: "ceo" });
  assert.equal(await session.instructions(), "lead");
  assert.match(session.id, /^ceo_/);
  await assert.rejects(session.append({ input: "hi", agent: "constructor" }), { code: "agent_unknown" });
});

test("after close every call fails with closed, and closing again does nothing", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "hello" });
  const landing = session.append({ input: "just before" });
  await place.sessions.close();
  await place.sessions.close();
  assert.equal((await landing).seq, 2, "what was asked for before lands");
  const closed = { code: "closed" };
  await assert.rejects(session.append({ input: "late" }), closed);
  await assert.rejects(session.begin("late"), closed);
  await assert.rejects(session.consult("late"), closed);
  await assert.rejects(session.lease(), closed);
  await assert.rejects(session.touch(), closed);
  await assert.rejects(session.refresh(), closed);
  await assert.rejects(place.sessions.create(), closed);
  await assert.rejects(place.sessions.ensure("s"), closed);
  await assert.rejects(place.sessions.get("s"), closed);
  await assert.rejects(place.sessions.list(), closed);
  await assert.rejects(sweep(place.sessions), closed);
  await assert.rejects(place.sessions.for("other").create(), closed);
  assert.equal((await place.another().get("s")).info.turn, 2);
});

test("a handle opened with `seen` writes turns only if no turn came since", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "one" });
  const { seen } = session.info;
  await session.touch();
  const same = await place.sessions.get("s", { seen });
  await same.append({ input: "two" }, { key: "k" });
  const stale = await place.sessions.get("s", { seen });
  await assert.rejects(stale.append({ input: "three" }), { code: "conflict" });
  assert.equal((await stale.append({ input: "two" }, { key: "k" })).seq, 2, "a retry is still the same turn");
});

test("a session that names no agent belongs to the default agent, else to the assistant", async () => {
  await using place = inMemory({ agents: { a: {}, b: { default: true } } });
  assert.equal((await place.sessions.create()).info.agent, "b");
  assert.equal((await place.another().create()).info.agent, "assistant");
});

test("a list begins with the session of the last activity, also within a minute", async () => {
  await using place = inMemory();
  for (const id of ["a", "b", "c"]) {
    await place.sessions.create({ id });
    await place.clock.advance(1);
  }
  const listed = async (limit: number): Promise<string[]> => {
    const ids: string[] = [];
    for (let after: string | undefined; ids.length < 3;) {
      const { items, next } = await place.sessions.list({ limit, ...defined({ after }) });
      ids.push(...items.map(({ id }) => id));
      after = next;
    }
    return ids;
  };
  for (const limit of [1, 2, 3]) assert.deepEqual(await listed(limit), ["c", "b", "a"]);
  await (await place.sessions.get("a")).append({ input: "hi", output: "yo" });
  for (const limit of [1, 2, 3]) assert.deepEqual(await listed(limit), ["a", "c", "b"]);
});

test("a misspelt option is refused, and named with those that exist", async () => {
  await using place = inMemory({ model: () => [] as never });
  const session = await place.sessions.create({ id: "s" });
  const misspelt: readonly [string, () => Promise<unknown>][] = [
    ["windw", async () => await session.consult("hi", { windw: 3 } as never)],
    ["modl", async () => sessionsOn(openMemory(), { modl: "m" } as never)],
    ["usr", async () => await place.sessions.list({ usr: "ada" } as never)],
    ["usr", async () => await place.sessions.count({ usr: "ada" } as never)],
    ["usr", async () => await place.sessions.create({ usr: "ada" } as never)],
    ["usr", async () => await place.sessions.ensure("s", { usr: "ada" } as never)],
  ];
  for (const [name, call] of misspelt) {
    await assert.rejects(call, { code: "argument_invalid", message: new RegExp(`${name}.*one of`) });
  }
  assert.equal(session.info.turn, 0);
});
