/** Stores of earlier versions, as `write-fixtures.ts` wrote them down: opened by this version, they work like new ones. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { doctor } from "../../src/admin.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { migratePostgres } from "../../src/store/postgres/index.ts";
import { migrations } from "../../src/store/postgres/schema/schema.ts";
import { serverOfFile } from "../postgres/of-file.ts";
import { query } from "../postgres/server.ts";
import { inputsOf } from "../support/inputs-of.ts";

const secret = "a secret for fixtures only";
const device = "0b6f8a52-5c1d-4a7e-9f3b-2d8e6c4a1f00";
const otherDevice = "7d2c9e14-3f6a-4b8d-8e5c-1a9b7f3d2e00";

const fixtures = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".sql"));
const folder = mkdtempSync(join(tmpdir(), "perdure-fixtures-"));
after(() => rmSync(folder, { recursive: true }));
const server = await serverOfFile();

async function rebuilt(fixture: string): Promise<string> {
  const sql = readFileSync(join(import.meta.dirname, fixture), "utf8");
  if (fixture.endsWith(".postgres.sql")) {
    await query(server.url(), "drop schema if exists perdure cascade");
    await query(server.url(), sql);
    return server.url();
  }
  const file = join(folder, `${fixture}.db`);
  rmSync(file, { force: true });
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
  return `sqlite:${file}`;
}

function hasBranches(fixture: string): boolean {
  return Number.parseInt(fixture.replace("schema-", ""), 10) >= 12;
}

async function record(sessions: Sessions, id: string): Promise<{ version: number; commitId: string }> {
  const { info } = await sessions.get(id);
  return { version: info.version, commitId: info.commitId };
}

for (const fixture of fixtures) {
  test(`a store of an earlier version is migrated and works: ${fixture}`, async () => {
    await using sessions = await openSessions({ store: await rebuilt(fixture), secret, sweep: false });

    // What each commit left in its record names it.
    for (const id of ["plain", "touched", "parent", "fork", "cut", "leased", "open"])
      assert.match((await record(sessions, id)).commitId, /^[\w]{16}\.\d+$/, id);

    const plain = await sessions.get("plain");
    assert.deepEqual(await inputsOf(plain), ["one", "two", "three"]);
    assert.equal(plain.info.legalHold?.reason, "case 1");
    assert.equal(plain.info.user, "ada");
    assert.deepEqual(plain.info.metadata["since"], new Date(0));
    assert.equal((await plain.activeAgent())?.note, "The customer waits.");
    assert.equal(plain.info.counters.totalTokens, 9);
    const retry = {
      input: "two",
      output: "two!",
      usage: { inputTokens: 2, outputTokens: 1, totalTokens: 3 },
      model: "m",
    };
    assert.equal((await plain.append(retry, { key: "key two" })).seq, 2, "a key is still once");
    assert.equal((await plain.append({ input: "four" })).seq, 4);
    await assert.rejects(plain.remove(), { code: "legal_hold" });

    // A session whose turns are older than its record: the last change of its turns has no commit id yet.
    const touched = await sessions.get("touched");
    const { seen } = touched.info;
    await touched.touch();
    await (await sessions.get("touched", { seen })).append({ input: "two" });
    await assert.rejects((await sessions.get("touched", { seen })).append({ input: "x" }), { code: "conflict" });
    await assert.rejects(touched.append({ input: "x" }), { code: "conflict" });

    const fork = await sessions.get("fork");
    assert.deepEqual(await inputsOf(fork), ["one", "other two"]);
    await fork.append({ input: "three" });
    await (await sessions.get("parent")).truncate(0);
    assert.deepEqual(await inputsOf(await sessions.get("fork")), ["one", "other two", "three"]);
    const second = await (await sessions.get("plain")).fork({ at: 2, as: "fork of plain" });
    assert.deepEqual(await inputsOf(second), ["one", "two"]);

    // Fixtures of step 12 and later have branches.
    if (hasBranches(fixture)) {
      const branched = await sessions.get("branched");
      assert.deepEqual(await inputsOf(branched), ["one", "other two"]);
      await branched.switchTo("1");
      assert.deepEqual(await inputsOf(branched), ["one", "two", "three"]);
    }

    const archived = await sessions.get("archived");
    assert.equal(archived.info.state, "archived");
    assert.deepEqual(await inputsOf(archived), ["one", "two"]);
    await archived.unarchive();
    await archived.append({ input: "three" });
    assert.deepEqual(await inputsOf(archived), ["one", "two", "three"]);

    assert.deepEqual(await inputsOf(await sessions.get("cut")), ["one"]);
    for (const id of [device, otherDevice])
      assert.deepEqual(await inputsOf(await sessions.devices.open(id)), ["hello"], "both devices lead to it");

    // What a dead program left is put in order by the next writer.
    const leased = await sessions.get("leased");
    assert.notEqual(leased.info.lease, null);
    const lease = await leased.lease();
    assert.ok(lease.fence > (leased.info.lease?.fence ?? 0) - 1, "fences only grow");
    await leased.append({ input: "two" });
    await lease.release();
    const open = await sessions.get("open");
    await open.recover();
    const turns = await Array.fromAsync(open.turns());
    assert.deepEqual([turns.length, turns[0]?.status], [1, "interrupted"]);
    assert.equal(turns[0]?.output[0]?.content, "half an answer");

    // Columns and tables of later steps.
    assert.deepEqual([plain.info.title, plain.info.labels], [null, {}]);
    assert.equal(await sessions.count({ labels: { team: true } }), 0);
    await plain.update({ title: "The first", labels: { team: "ops" } });
    await plain.append({ input: "five" });
    assert.equal((await sessions.get("plain")).info.title, "The first");
    const { items: labelled } = await sessions.list({ labels: { team: "ops" }, order: "created" });
    assert.deepEqual(
      labelled.map(({ id }) => id),
      ["plain"],
    );

    const documents = sessions.documents("of an earlier store");
    const version = await documents.put("k", 1, { if: "absent" });
    await documents.put("k", 2, { if: version });
    assert.deepEqual(
      (await Array.fromAsync(documents.each())).map(({ value }) => value),
      [2],
    );

    const { items: events } = await sessions.listEvents({ limit: 500 });
    for (const type of ["created", "forked", "archived", "recovered"])
      assert.ok(
        events.some((event) => event.type === type),
        type,
      );
    assert.deepEqual(await coreOf(sessions).store.inspect(), []);
    for (const id of ["touched", "cut"]) await (await sessions.get(id)).remove();
    const anew = await sessions.create({ id: "cut" });
    assert.ok(anew.info.version > 1_000_000 * 1_000_000_000, "its first version lies above those of before");
  });
}

for (const fixture of fixtures) {
  test(`a store of an earlier version takes the first secret, and one that is new has the old one beside it: ${fixture}`, async () => {
    const store = await rebuilt(fixture);
    const another = "another secret than that of the fixtures";
    const rotated = await openSessions({ store, secret: another, previousSecrets: [secret], sweep: false });
    for (const id of [device, otherDevice]) assert.deepEqual(await inputsOf(await rotated.devices.open(id)), ["hello"]);
    assert.equal((await doctor(rotated)).underEarlierSecrets, 0);
    await rotated.close();
    await using alone = await openSessions({ store, secret: another, sweep: false });
    assert.deepEqual(await inputsOf(await alone.devices.open(device)), ["hello"]);
    await assert.rejects(openSessions({ store, secret, sweep: false }), { code: "secret_mismatch" });
  });
}

const lastBreaking = migrations.findLast(({ breaking }) => breaking)?.version ?? 0;

for (const fixture of fixtures.filter((name) => name.endsWith(".postgres.sql"))) {
  if (Number.parseInt(fixture.replace("schema-", ""), 10) >= lastBreaking) continue;
  test(`a program of before a breaking step finds no function by which it commits or loads: ${fixture}`, async () => {
    const url = await rebuilt(fixture);
    const functions = async (): Promise<readonly string[]> => {
      const rows = await query(
        url,
        `select oid::regprocedure::text as name from pg_proc
         where pronamespace = 'perdure'::regnamespace and proname ~ '^(commit|load)_'`,
      );
      return rows.map(({ name }) => String(name));
    };
    const before = await functions();
    await migratePostgres({ url });
    const after = await functions();
    assert.ok(before.length > 0);
    assert.deepEqual(
      before.filter((name) => after.includes(name)),
      [],
    );
  });
}
