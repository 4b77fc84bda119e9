/** Rows that were damaged in the database itself: each pass works, names the damaged session, and it can be removed. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openSessions } from "../../src/open.ts";
import { StagedLogs } from "../../src/sessions/core/staged-logs.ts";
import { coreOf, type Sessions } from "../../src/sessions/sessions.ts";
import { removeSession, doctor, erase, exportSessions, sweep, stats } from "../../src/admin.ts";
import { isThorough } from "../support/rounds.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-damaged-"));
after(() => rmSync(folder, { recursive: true }));

async function filled(file: string): Promise<Sessions> {
  const sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
  for (const id of ["a", "bad", "z"]) {
    const session = await sessions.create({ id, user: "ada" });
    await session.append({ input: "q", output: "a" });
    await session.handOff("cfo");
  }
  return sessions;
}

/** Everything that reads more than one session; what it says of the damaged ones. */
async function allPasses(sessions: Sessions): Promise<{ named: readonly string[]; listed: readonly string[] }> {
  const page = await sessions.list();
  await sessions.list({ user: "ada", state: "active" });
  await sessions.count();
  await stats(sessions, { by: ["agent", "session", "user", "model", "day", "hour"] });
  await sessions.listEvents();
  await Array.fromAsync(sessions.eachEvent());
  await sweep(sessions);
  const skipped: string[] = [];
  const exported = await Array.fromAsync(exportSessions(sessions, { onSkipped: (id) => skipped.push(id) }));
  const findings: string[] = [];
  await doctor(sessions, { onFinding: ({ session }) => session !== null && findings.push(session) });
  for (const id of ["a", "z"]) {
    assert.equal((await sessions.get(id)).id, id);
    assert(exported.some((one) => one.id === id));
  }
  return {
    named: [...skipped, ...findings, ...(page.unreadable ?? []).map(({ id }) => id)],
    listed: page.items.map(({ id }) => id),
  };
}

const integers = ["9223372036854775807", "-9223372036854775808", "9007199254740992", "8640000000000001"];
const columns = ["version", "created_at", "last_activity_at", "active_minute", "state_since", "expires_at", "sweep_at"];
const fields = [
  "ttlMs",
  "counters",
  "counters.turns",
  "heads",
  "waiters",
  "metadata",
  "maxAgeFrom",
  "floor",
  "floor.lockedAt",
  "fence",
  "lease",
  "turnsVersion",
];
const values = ["null", "'\"x\"'", "'[]'", "'{}'", "'1e308'", "'true'", "'9223372036854775807'"];

const harms = [
  ...columns.flatMap((column) => integers.map((value) => `update sessions set ${column} = ${value} where id = 'bad'`)),
  "update sessions set state = 'odd' where id = 'bad'",
  ...["", "{", "null", "[]", "5", '{"$type":"bigint","value":"x"}'].map(
    (data) => `update sessions set data = '${data}' where id = 'bad'`,
  ),
  ...fields.flatMap((field) =>
    values.map(
      (value) =>
        `update sessions set data = json_set(data, '$.${field}', json(${value === "null" ? "'null'" : value})) where id = 'bad'`,
    ),
  ),
  ...["seq", "at"].flatMap((column) =>
    integers.map((value) => `update entries set ${column} = ${value} where session = 2 and seq = 1 and log = 'events'`),
  ),
  ...["", "{", "null", "[]", "5", '{"type":5}'].flatMap((data) =>
    ["events", "turns"].map(
      (log) => `update entries set data = '${data}' where session = 2 and seq = 1 and log = '${log}'`,
    ),
  ),
];

test("a damaged row fails no pass, is named, and its session can be removed", async () => {
  // A quick run takes every second harm.
  const taken = harms.filter((_, index) => isThorough || index % 2 === 0);
  for (const [index, harm] of taken.entries()) {
    const file = join(folder, `${index}.db`);
    const sessions = await filled(file);
    const database = new DatabaseSync(file);
    assert.equal(Number(database.prepare(harm).run().changes), 1, harm);
    database.close();
    try {
      const { named, listed } = await allPasses(sessions);
      assert(named.includes("bad") || listed.includes("bad"), `${harm}: it is in no answer`);
      try {
        await sessions.get("bad");
      } catch (error) {
        assert.equal((error as { code?: string }).code, "session_unreadable", harm);
      }
      await removeSession(sessions, "bad");
      assert.equal(await sessions.count(), 2);
      assert.deepEqual((await allPasses(sessions)).named, []);
    } catch (error) {
      throw new Error(`after ${harm}`, { cause: error });
    }
    await sessions.close();
  }
});

test("a legal hold is respected where the rest of the record cannot be read", async () => {
  const file = join(folder, "held.db");
  const sessions = await filled(file);
  await (await sessions.get("bad")).setLegalHold("a lawsuit");
  const database = new DatabaseSync(file);
  database.exec("update sessions set created_at = 9223372036854775807 where id = 'bad'");
  database.close();
  await assert.rejects(removeSession(sessions, "bad"), { code: "legal_hold" });
  await sessions.close();
});

test("another session's write lands in the same batch as one on a damaged record", async () => {
  const file = join(folder, "batch.db");
  const sessions = await filled(file);
  const [good, bad] = [await sessions.get("a"), await sessions.get("bad")];
  const database = new DatabaseSync(file);
  database.exec("update sessions set data = '{', version = version + 1 where id = 'bad'");
  database.close();
  const [landed, failed] = await Promise.allSettled([good.append({ input: "on" }), bad.append({ input: "on" })]);
  assert.equal(landed.status, "fulfilled");
  assert.equal(failed.status === "rejected" && (failed.reason as { code: string }).code, "session_unreadable");
  await sessions.close();
});

for (const [what, where, stays] of [
  ["a session of the user", "id = 'bad'", ["fork of bad"]],
  ["a fork of another user's", "id = 'fork of bad'", ["bad"]],
  ["a mark of the user", "tenant like '%shared-forks' and data like '%\"fork of a%'", ["fork of a"]],
  ["a staged log", "tenant like '%staged'", []],
] as const) {
  test(`${what} that cannot be read does not prevent the erasure of the user's other data`, async () => {
    const file = join(folder, `${what}.db`);
    const secret = "a secret for tests only";
    await using sessions = await openSessions({ store: `sqlite:${file}`, sweep: false, secret });
    const [phone, tablet] = [randomUUID(), randomUUID()];
    for (const device of [phone, tablet]) await (await sessions.devices.open(device)).append({ input: "as a guest" });
    await sessions.devices.claim(phone, "ada");
    for (const id of ["a", "bad", "z"]) {
      const session = await sessions.create({ id, user: "ada" });
      await session.append({ input: "q", output: "a" });
      await (await session.fork({ as: `fork of ${id}` })).update({ user: "bob" });
      await (await session.fork({ as: `lost fork of ${id}` })).update({ user: null });
    }
    for (const id of ["a", "z"]) await removeSession(sessions, id);
    const core = coreOf(sessions);
    await StagedLogs.begin(core, { tenant: "default", id: "s" }, "ada");
    const database = new DatabaseSync(file);
    assert.equal(Number(database.prepare(`update sessions set data = '{' where ${where}`).run().changes), 1);
    database.close();
    await assert.rejects(erase(sessions, { user: "ada", forks: "erase" }), { code: "session_unreadable" });
    const left = (await sessions.list({ limit: 1000 })).items.filter(
      ({ id, user }) => user === "ada" || id.startsWith("fork"),
    );
    assert.deepEqual(
      left.map(({ id }) => id),
      stays,
    );
  });
}
