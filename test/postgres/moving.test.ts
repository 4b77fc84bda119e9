/** Sessions come to PostgreSQL and leave it as they are, one by one, by the many and all at once. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { copySessions, exportSessions, importSessions, backupStore, restoreStore } from "../../src/admin.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { assertSound } from "../crash/engines.ts";
import { assertStateExisted, guardObjects, linesOf, underWriters, waysOfObjects } from "../support/backup-cases.ts";
import { createConversations, createNasty } from "../support/nasty-sessions.ts";
import { databaseOfFile } from "./of-file.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-moving-"));
after(() => rmSync(root, { recursive: true }));
const database = await databaseOfFile();

const freshUrl = (): Promise<string> => database.freshStore();
const open = async (store: string): Promise<Sessions> => await openSessions({ store, sweep: false });

test("store to snapshot to store to snapshot is the same, byte for byte, between PostgreSQL and the others", async () => {
  await using postgres = await open(await freshUrl());
  await using memory = await open("memory:");
  await using sqlite = await open(`sqlite:${join(root, "same.db")}`);
  await createNasty(memory);
  await createConversations(memory, 20);
  const lines = await linesOf(memory);
  for (const to of [postgres, sqlite]) {
    const { restored, skipped } = await importSessions(to, lines);
    assert.deepEqual([restored, skipped], [lines.length, 0]);
    assert.deepEqual(await linesOf(to), lines);
    assert.equal((await importSessions(to, lines)).present, lines.length);
  }
  await using back = await open("memory:");
  await importSessions(back, exportSessions(postgres));
  assert.deepEqual(await linesOf(back), lines);
  for (const line of lines) {
    const { session } = JSON.parse(line) as { session: { id: string } };
    assert.equal(JSON.stringify(await postgres.snapshot(session.id)), line);
  }
});

test("a long session of large turns is saved and restored whole", async () => {
  await using postgres = await open(await freshUrl());
  await using memory = await open("memory:");
  const session = await memory.create({ id: "long" });
  const input = "x".repeat(100_000);
  for (let turn = 0; turn < 200; turn++) await session.append({ input });
  const snapshot = await memory.snapshot("long");
  await postgres.restore(snapshot);
  assert.equal(JSON.stringify(await postgres.snapshot("long")), JSON.stringify(snapshot));
});

test("a store is copied between SQLite and PostgreSQL, both ways, with its tenants and keys", async () => {
  await using sqlite = await open(`sqlite:${join(root, "copy.db")}`);
  await using postgres = await open(await freshUrl());
  await using back = await open(`sqlite:${join(root, "back.db")}`);
  await createNasty(sqlite);
  await createConversations(sqlite.for("other"), 10);
  await sqlite.keys.create({ name: "backend" });
  for (const [from, to] of [
    [sqlite, postgres],
    [postgres, back],
  ] as const) {
    const { skipped, complete } = await copySessions(from, to, { everything: true });
    assert.deepEqual([skipped, complete], [0, true]);
    assert.deepEqual(await linesOf(to), await linesOf(sqlite));
    assert.deepEqual(await linesOf(to.for("other")), await linesOf(sqlite.for("other")));
    assert.equal((await Array.fromAsync(to.keys.each())).length, 1);
  }
});

for (const how of waysOfObjects)
  test(`a backup of PostgreSQL while an attachment is ${how} has the bytes of the others`, async () => {
    await guardObjects(await freshUrl(), join(root, `${how}.ndjson`), how);
  });

test("a backup that is made under eight writers restores to a state that existed, also into SQLite", async () => {
  const url = await freshUrl();
  await using original = await open(url);
  await createNasty(original);
  const file = join(root, "backup.ndjson.gz");
  await underWriters(url, async () => {
    const { kind, sessions } = await backupStore(url, file);
    assert.equal(kind, "lines");
    assert(sessions > 16);
  });
  for (const to of [await freshUrl(), `sqlite:${join(root, "restored.db")}`]) {
    const { skipped, complete } = await restoreStore(file, to);
    assert.deepEqual([skipped, complete], [0, true]);
    await using restored = await open(to);
    await assertStateExisted(restored, original);
  }
});

test("a backup of lines that lost one, or has one changed, is refused before anything is written", async () => {
  const url = await freshUrl();
  await using original = await open(url);
  await createConversations(original, 5);
  const file = join(root, "lines.ndjson.gz");
  await backupStore(url, file);
  const text = gunzipSync(readFileSync(file)).toString();
  const lines = text.trimEnd().split("\n");
  const to = `sqlite:${join(root, "nothing.db")}`;
  const wrong: [string, string, string][] = [
    ["a session is missing", lines.toSpliced(2, 1).join("\n"), "snapshot_invalid"],
    ["the end is missing", lines.slice(0, -1).join("\n"), "snapshot_invalid"],
    ["a tenant is another", text.replace('"tenant":"default"', '"tenant":"defauly"'), "snapshot_invalid"],
    ["a word is another", text.replace("user", "uzer"), "snapshot_invalid"],
    ["it is from the future", text.replace("perdure.backup/1", "perdure.backup/2"), "snapshot_newer"],
    ["more follows", `${text}${lines[1]}\n`, "snapshot_invalid"],
  ];
  for (const [what, content, code] of wrong) {
    const bad = join(root, "bad.ndjson.gz");
    writeFileSync(bad, gzipSync(content));
    await assert.rejects(restoreStore(bad, to), { code }, what);
  }
  await using target = await open(to);
  assert.equal(await target.count(), 0);
});

test("a backup of lines and a copy carry attachments, and data that the store has beside messages", async () => {
  const [url, restored] = [await freshUrl(), await freshUrl()];
  const bytes = Buffer.alloc(500_000, "a line of a file; ");
  const data = `data:image/png;base64,${Buffer.alloc(100_000, 7).toString("base64")}`;
  await using from = await openSessions({ store: url, sweep: false, attachments: { inlineBytesMax: 1000 } });
  const session = await from.create({ id: "s" });
  const { hash, part } = await session.attachments.put(bytes, { type: "text/plain", name: "a.txt" });
  await session.append({ input: [{ role: "user", content: [part, { type: "image_url", image_url: { url: data } }] }] });
  const guard = async (to: Sessions): Promise<void> => {
    const copy = await to.get("s");
    assert.deepEqual(await Array.fromAsync(copy.turns()), await Array.fromAsync(session.turns()));
    assert.deepEqual(await copy.attachments.list(), await session.attachments.list());
    assert.ok(Buffer.concat(await Array.fromAsync(await copy.attachments.open(hash))).equals(bytes));
    await assertSound(to);
  };
  const file = join(root, "attachments.ndjson.gz");
  await backupStore(url, file);
  for (const to of [restored, `sqlite:${join(root, "attachments.db")}`]) {
    const { complete, skipped } = await restoreStore(file, to);
    assert.deepEqual([complete, skipped], [true, 0]);
    await using sessions = await open(to);
    await guard(sessions);
  }
  await using copied = await open(await freshUrl());
  const { complete, skipped } = await copySessions(from, copied);
  assert.deepEqual([complete, skipped], [true, 0]);
  await guard(copied);
});
