import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { openSessions } from "../../open.ts";
import type { AppEvent, Sessions } from "../../index.ts";

const place = (): Promise<Sessions> => openSessions({ store: "sqlite::memory:", sweep: false });

test("an event of an application is recorded, listed, filtered by type, category and severity, and followed", async () => {
  await using sessions = await place();
  const session = await sessions.create({ id: "s" });
  const recorded = await session.record({ type: "app.order_placed", data: { order: 7 }, severity: "warning" });
  assert.partialDeepStrictEqual(recorded, {
    type: "app.order_placed",
    data: { order: 7 },
    category: "app",
    severity: "warning",
    status: "ok",
    seq: 2,
    correlation: null,
  });
  await session.record({ type: "app.viewed" });
  await session.record({ type: "app.failed", data: "no stock", severity: "error" });
  const types = async (query: object): Promise<string[]> =>
    (await sessions.listEvents(query)).items.map(({ type }) => type);
  assert.deepEqual(await types({}), ["created", "app.order_placed", "app.viewed", "app.failed"]);
  assert.deepEqual(await types({ type: "app.viewed" }), ["app.viewed"]);
  assert.deepEqual(await types({ type: ["created", "app.failed"] }), ["created", "app.failed"]);
  assert.deepEqual(await types({ type: "app.view" }), [], "a type is matched whole");
  assert.deepEqual(await types({ category: "app" }), ["app.order_placed", "app.viewed", "app.failed"]);
  assert.deepEqual(await types({ category: "lifecycle" }), ["created"]);
  assert.deepEqual(await types({ severity: "warning" }), ["app.order_placed", "app.failed"]);
  assert.deepEqual(await types({ severity: "error", type: "app.order_placed" }), []);
  assert.deepEqual(await types({ category: "lease" }), []);
  const own = await Array.fromAsync(session.events());
  assert.deepEqual(
    own.slice(1).map((event) => ("data" in event ? event.data : undefined)),
    [{ order: 7 }, null, "no stock"],
  );
  const followed: string[] = [];
  for await (const { type } of sessions.eachEvent({ follow: true, since: new Date(0), category: "app" })) {
    followed.push(type);
    if (followed.length === 3) await session.record({ type: "app.later" });
    if (followed.length === 4) break;
  }
  assert.deepEqual(followed, ["app.order_placed", "app.viewed", "app.failed", "app.later"]);
});

test("recording moves no deadline, counts no turn, needs no lease, and is taken by an ended session", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", ttl: "1h" });
  const { expiresAt, seen } = session.info;
  await place.clock.advance(60_000);
  const lease = await (await place.sessions.get("s")).lease();
  await session.record({ type: "app.seen" });
  assert.deepEqual([session.info.expiresAt, session.info.counters.turns], [expiresAt, 0]);
  await lease.release();
  const writer = await place.sessions.get("s", { seen });
  await writer.append({ input: "the turns that it saw are still the last" });
  await writer.end();
  await writer.record({ type: "app.refunded" });
  assert.equal((await place.sessions.get("s")).info.state, "ended");
  await writer.archive();
  await assert.rejects(writer.record({ type: "app.late" }), { code: "session_archived" });
});

test("names outside app. and data that is too large are refused, and nothing is written", async () => {
  await using sessions = await place();
  const session = await sessions.create({ id: "s" });
  const wrong = [
    { type: "ended" },
    { type: "order_placed" },
    { type: "app." },
    { type: "app.Order" },
    { type: 'app.a","x":"' },
    { type: `app.${"a".repeat(61)}` },
    { type: "app.a", severity: "fatal" },
    { type: "app.a", datum: 1 },
    { type: "app.a", data: "x".repeat(64 * 1024) },
  ];
  for (const event of wrong) {
    await assert.rejects(
      session.record(event as AppEvent),
      { code: "argument_invalid" },
      JSON.stringify(event).slice(0, 80),
    );
  }
  await assert.rejects(session.record({ type: "app.a", data: (() => 1) as never }), { code: "value_unstorable" });
  assert.equal((await sessions.listEvents()).items.length, 1);
});

test("recorded events are in snapshots and copies, and a snapshot with a broken one is refused", async () => {
  await using sessions = await place();
  const session = await sessions.create({ id: "s" });
  const at = new Date(0);
  await session.record({ type: "app.order_placed", data: { at }, severity: "error" });
  const snapshot = await sessions.snapshot("s");
  const copy = await sessions.restore(snapshot, { as: "copy" });
  const [, event] = await Array.fromAsync(copy.events());
  assert.partialDeepStrictEqual(event, { type: "app.order_placed", data: { at }, severity: "error", category: "app" });
  const broken = JSON.stringify(snapshot).replace('"severity":"error"', '"severity":"fatal"');
  await assert.rejects(sessions.restore(broken, { as: "b" }), { code: "snapshot_invalid" });
});

test("the view readable_events has the category, severity, status and data of a recorded event", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-record-"));
  try {
    const file = join(folder, "perdure.db");
    const sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
    await (await sessions.create({ id: "s" })).record({ type: "app.seen", data: { n: 1 }, severity: "warning" });
    await sessions.close();
    const database = new DatabaseSync(file, { readOnly: true });
    const row = database.prepare("select * from readable_events where type like 'app.%'").get();
    database.close();
    assert.partialDeepStrictEqual(row, { type: "app.seen", category: "app", severity: "warning", status: "ok" });
    assert.deepEqual(JSON.parse(String(row?.["data"])), { severity: "warning", data: { n: 1 } });
  } finally {
    await rm(folder, { recursive: true });
  }
});
