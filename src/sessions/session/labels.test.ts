import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { copySessions } from "../../admin.ts";
import { hasCode } from "../../errors.ts";

const labels = { team: "ops", tier: "1" };

test("a session has the title and the labels that it was created with, and other processes see them", async () => {
  await using place = inMemory();
  const bare = await place.sessions.create({ id: "bare" });
  assert.deepEqual([bare.info.title, bare.info.labels], [null, {}]);
  await place.sessions.create({ id: "s", title: "Ordering flour", labels });
  const { info } = await place.another().get("s");
  assert.deepEqual([info.title, info.labels], ["Ordering flour", labels]);
  const ensured = await place.another().ensure("s", { title: "another", labels: { team: "sales" } });
  assert.equal(ensured.info.title, "Ordering flour", "ensure shapes a new session only");
});

test("an update merges labels, and a write of turns sets title and labels in the same commit", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ title: "one", labels });
  await session.update({ labels: { tier: null, region: "eu" } });
  assert.deepEqual(session.info.labels, { region: "eu", team: "ops" });
  assert.equal(session.info.title, "one", "what a patch leaves out stays");
  await session.update({ title: null });
  assert.equal(session.info.title, null);
  const { version } = session.info;
  await session.write({ turns: { turns: [{ input: "hello" }] }, set: { title: "two", labels: { team: null } } });
  assert.deepEqual([session.info.version, session.info.turn], [version + 1, 1]);
  assert.deepEqual([session.info.title, session.info.labels], ["two", { region: "eu" }]);
});

test("wrong titles and labels are refused before anything is written", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", labels });
  const { version } = session.info;
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`label ${index}`, "x"]));
  const wrong: readonly object[] = [
    { labels: many },
    { labels: JSON.parse('{"__proto__":"x"}') as object },
    { labels: { a: 7 } },
    { labels: "team=ops" },
    { title: "x".repeat(257) },
    { title: 7 },
  ];
  for (const options of wrong) {
    await assert.rejects(place.sessions.create({ id: "other", ...options }), {
      code: "argument_invalid",
    });
    await assert.rejects(session.update(options), { code: "argument_invalid" });
    await assert.rejects(session.write({ set: options }), { code: "argument_invalid" });
  }
  const full = Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`label ${index}`, "x"]));
  await assert.rejects(session.update({ labels: full }), { code: "argument_invalid" });
  await assert.rejects(place.sessions.get("other"), { code: "session_not_found" });
  assert.equal((await place.another().get("s")).info.version, version);
});

test("forks, archives, snapshots and copies have the title and the labels", async () => {
  await using place = inMemory();
  await using other = inMemory();
  const session = await place.sessions.create({ id: "s", title: "Ordering flour", labels });
  await session.append({ input: "hello" });
  const fork = await session.fork({ as: "fork" });
  assert.deepEqual([fork.info.title, fork.info.labels], ["Ordering flour", labels]);
  await session.update({ labels: { tier: "2" } });
  assert.deepEqual((await place.sessions.get("fork")).info.labels, labels, "a fork keeps its own labels");

  const snapshot = await place.sessions.snapshot("s");
  const restored = await other.sessions.restore(JSON.stringify(snapshot));
  assert.deepEqual([restored.info.title, restored.info.labels], ["Ordering flour", { team: "ops", tier: "2" }]);
  assert.equal(await other.sessions.count({ labels: { tier: "2" } }), 1);

  await session.archive();
  assert.equal((await place.sessions.get("s")).info.title, "Ordering flour");
  assert.equal(await place.sessions.count({ labels: { team: "ops" }, state: "archived" }), 1);
  await session.unarchive();
  assert.deepEqual((await place.sessions.get("s")).info.labels, { team: "ops", tier: "2" });

  await using third = inMemory();
  await copySessions(place.sessions, third.sessions);
  assert.deepEqual((await third.sessions.get("s")).info.labels, { team: "ops", tier: "2" });
});

test("a snapshot with wrong labels is refused, with the field", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s", labels });
  const snapshot = await place.sessions.snapshot("s");
  for (const [session, path] of [
    [{ ...snapshot.session, labels: { team: 7 } }, "session.labels.team"],
    [{ ...snapshot.session, labels: { "a=b": "" } }, "session.labels"],
    [{ ...snapshot.session, title: "" }, "session.title"],
    [{ ...snapshot.session, title: null }, "session.title"],
  ] as const) {
    await assert.rejects(
      place.sessions.restore(JSON.stringify({ ...snapshot, session }), { onExists: "replace" }),
      (error) => hasCode(error, "snapshot_invalid") && error.details.path === path,
      path,
    );
  }
});

test("a reset begins without the earlier labels, and the archived session keeps them", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s", ttl: "1h", title: "before", labels });
  await place.clock.advance(2 * 3_600_000);
  const fresh = await place.sessions.ensure("s", { onExpired: "reset", labels: { team: "sales" } });
  assert.deepEqual([fresh.info.title, fresh.info.labels], [null, { team: "sales" }]);
  const { items } = await place.sessions.list({ labels });
  assert.deepEqual(
    items.map(({ state, title }) => [state, title]),
    [["archived", "before"]],
  );
});

test("lists filter by labels and sort by creation, by pages", async () => {
  await using place = inMemory();
  for (const [index, team] of ["ops", "sales", "ops", "ops"].entries()) {
    await place.clock.advance(1000);
    await place.sessions.create({ id: `s${index}`, labels: { team } });
  }
  await place.clock.advance(1000);
  await (await place.sessions.get("s0")).touch();
  const ids = async (query: Parameters<typeof place.sessions.list>[0]): Promise<string[]> => {
    const found: string[] = [];
    for (let after: string | undefined; ;) {
      const page = await place.sessions.list({ ...query, limit: 1, ...(after === undefined ? {} : { after }) });
      found.push(...page.items.map(({ id }) => id));
      if (page.next === undefined) return found;
      after = page.next;
    }
  };
  assert.deepEqual(await ids({ labels: { team: "ops" } }), ["s0", "s3", "s2"]);
  assert.deepEqual(await ids({ labels: { team: "ops" }, order: "created" }), ["s3", "s2", "s0"]);
  assert.deepEqual(await ids({ labels: { team: true }, order: "id" }), ["s0", "s1", "s2", "s3"]);
  assert.deepEqual(await ids({ order: "created" }), ["s3", "s2", "s1", "s0"]);
  const each = (await Array.fromAsync(place.sessions.each({ labels: { team: "sales" } }))).map(({ id }) => id);
  assert.deepEqual(each, ["s1"]);
  assert.equal(await place.sessions.count({ labels: { team: "ops" } }), 3);
  await assert.rejects(place.sessions.list({ order: "title" as "id" }), { code: "argument_invalid" });
  await assert.rejects(place.sessions.list({ labels: { team: 7 as unknown as string } }), { code: "argument_invalid" });
  await assert.rejects(place.sessions.count({ labels: ["team"] as unknown as Record<string, string> }), {
    code: "argument_invalid",
  });
});
