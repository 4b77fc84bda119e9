import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { DoctorReport } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { Workplace } from "./command-line.ts";

/** A store of three sessions, and statements that went past it. */
async function harmed(sql: string): Promise<Workplace> {
  const place = await Workplace.open();
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  for (const id of ["a", "b", "c"]) {
    const session = await sessions.create({ id });
    for (let turn = 0; turn < 3; turn++) await session.append({ input: "q", output: "a" });
  }
  await sessions.close();
  const database = new DatabaseSync(join(place.folder, "perdure.db"));
  database.exec(sql);
  database.close();
  return place;
}

/** The line about the space of the disk. */
const space = "free disk space: [\\d.]+ \\w+ of [\\d.]+ \\w+\n";

/** Everything in the store, as text. */
function contentOf(place: Workplace): string {
  const database = new DatabaseSync(join(place.folder, "perdure.db"), { readOnly: true });
  const tables = ["sessions", "entries"].map((table) =>
    database.prepare(`select * from ${table} order by 1, 2, 3`).all(),
  );
  database.close();
  return JSON.stringify(tables);
}

test("with an agents file the doctor counts sessions with other instructions on stderr, and exits with 0", async () => {
  await using place = await Workplace.open();
  const agents = { support: { instructions: "You help." } };
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false, agents });
  for (const id of ["a", "b"]) await sessions.create({ id, agent: "support" });
  await (await sessions.get("b")).update({ instructions: "You help briefly." });
  await writeFile(join(place.folder, "agents.json"), '{"support":{"instructions":"You help briefly."}}');
  const { code, stdout, stderr } = await place.run(["doctor", "--agents", "agents.json"]);
  assert.deepEqual([code, stdout], [0, ""]);
  assert.match(stderr, /^1 session with other instructions than the agents file: an earlier prompt/m);
});

const loseTheEnd = "delete from entries where session = 1 and seq = 3";
const loseTheMiddle = "delete from entries where session = 2 and seq = 2";
const loseTheRecord = "delete from sessions where id = 'c'";

test("the doctor says how much data of more than 64 KiB messages hold, and that it is no problem", async () => {
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const data = Buffer.alloc(100_000, 1).toString("base64");
  const session = await sessions.create({ id: "a" });
  const question = { role: "user" as const, content: [{ data }] };
  await session.append({ input: [question] });
  await session.append({ input: [question, question] });
  const { code, stdout, stderr } = await place.run(["doctor"]);
  assert.deepEqual([code, stdout], [0, ""]);
  assert.match(stderr, /^messages hold 293\.0 KiB of data in 3 parts of more than 64 KiB; --inline-bytes-max 65536/m);
});

test("with an agents file the doctor reports sessions whose agent is not in it", async () => {
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  for (const agent of ["support", "sales"]) await sessions.create({ id: agent, agent });
  assert.equal((await place.run(["doctor"])).code, 0, "without a file every agent is known");
  await writeFile(join(place.folder, "agents.json"), '{"helpdesk":{"default":true},"sales":{}}');
  const { code, stdout } = await place.run(["doctor", "--agents", "agents.json"]);
  assert.equal(code, 1);
  assert.equal(
    stdout,
    'agent  default/support: its agent "support" is unknown: "helpdesk" answers in its place; update({ agent }) sets another one\n',
  );
});

test("the doctor reports a sound store as sound, and exits with 0", async () => {
  await using place = await harmed("");
  const { code, stdout, stderr } = await place.run(["doctor"]);
  assert.deepEqual([code, stdout], [0, ""]);
  assert.match(stderr, new RegExp(`^3 sessions checked, no problems\n${space}$`));
});

test("the doctor reports each problem with its repair, and writes nothing", async () => {
  await using place = await harmed([loseTheEnd, loseTheMiddle, loseTheRecord].join("; "));
  const before = contentOf(place);
  const { code, stdout, stderr } = await place.run(["doctor"]);
  assert.equal(code, 1);
  assert.match(stdout, /^orphans {2}the store: 4 entries of a session number 3.* \(cannot be repaired[^)]*\)\n/);
  assert.match(
    stdout,
    /\nhead {2}default\/a: its record says that turns ends with 3, it ends with 2 \(--repair: the record says 2\)\n/,
  );
  assert.match(stdout, /\ncounters {2}default\/a: it counts turns 3 for 2, messages 6 for 4 \(--repair: /);
  assert.match(stdout, /\ngap {2}default\/b: turns has no entry 2, but one 3 \(cannot be repaired/);
  assert.match(stderr, new RegExp(`^2 sessions checked, 4 problems\n${space}$`));
  assert.equal(contentOf(place), before);
});

test("with --repair the doctor repairs what it can and deletes nothing", async () => {
  await using place = await harmed([loseTheEnd, loseTheMiddle, loseTheRecord].join("; "));
  const entries = (text: string): unknown => (JSON.parse(text) as unknown[])[1];
  const before = entries(contentOf(place));
  const lines = (await place.run(["doctor", "--repair", "--json"])).stdout.trim().split("\n");
  const found = lines.map(
    (line) => JSON.parse(line) as { kind: string; session?: string | null; repaired: boolean | number },
  );
  assert.deepEqual(
    found.map(({ kind, session, repaired }) => [kind, session, repaired]),
    [
      ["orphans", null, false],
      ["head", "a", true],
      ["counters", "a", true],
      ["gap", "b", false],
      ["report", undefined, 2],
    ],
  );
  assert.deepEqual(entries(contentOf(place)), before);
  const again = await place.run(["doctor"]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^2 sessions checked, 2 problems\n/);
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const repaired = await sessions.get("a");
  assert.equal((await repaired.append({ input: "on" })).seq, 3);
  await sessions.close();
});

test("the doctor names a session that cannot be read, and examines the others", async () => {
  await using place = await harmed("update sessions set data = '{' where id = 'b'");
  const { code, stdout, stderr } = await place.run(["doctor"]);
  assert.equal(code, 1);
  assert.match(stdout, /^damage {2}the store: the record of session b of tenant default cannot be read/);
  assert.match(
    stdout,
    /\nunreadable {2}default\/b: its record cannot be read: data is damaged; "perdure sessions remove" removes it/,
  );
  assert.match(stderr, /^2 sessions checked, 2 problems\n/);
  assert.equal((await place.run(["sessions", "remove", "b"])).code, 0);
  assert.equal((await place.run(["doctor"])).code, 0);
});

test("the doctor reports a file without a table or a column, and examines no session of it", async () => {
  for (const [sql, expected] of [
    ["drop table entries", /^schema {2}the store: table entries is missing \(cannot be repaired/],
    ["alter table entries drop column bytes", /^schema {2}the store: table entries is not as this version makes it/],
  ] as const) {
    await using place = await harmed(sql);
    for (const flags of [[], ["--repair"]]) {
      const { code, stdout, stderr } = await place.run(["doctor", ...flags]);
      assert.equal(code, 1);
      assert.match(stdout, expected);
      assert.equal(stdout.split("\n").length, 2);
      assert.match(stderr, /^0 sessions checked, 1 problem,.* no session can be read until the schema is repaired\n/);
    }
    const listed = await place.run(["sessions", "show", "a"]);
    assert.match(
      listed.stderr,
      /(no such table: |no column named ).*"perdure doctor" finds what is missing.*\[store_invalid\]/,
    );
  }
});

test("with --json the last line of the doctor is its report, with the space of the disk in bytes", async () => {
  await using place = await harmed("");
  const { code, stdout } = await place.run(["doctor", "--json"]);
  const lines = stdout.trim().split("\n");
  assert.deepEqual([code, lines.length], [0, 1]);
  const report = JSON.parse(lines[0] ?? "") as DoctorReport & { kind: string };
  const { blocks, bsize } = statfsSync(place.folder);
  assert.deepEqual([report.kind, report.sessions, report.findings, report.complete], ["report", 3, 0, true]);
  assert.equal(report.disk?.totalBytes, blocks * bsize);
  assert.ok(report.disk.freeBytes > 0 && report.disk.freeBytes <= report.disk.totalBytes);
});
