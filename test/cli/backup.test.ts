import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { backupStore, restoreStore } from "../../src/admin.ts";
import { backupPieces } from "../../src/files/backup-lines.ts";
import type { BackupReport } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { assertStateExisted, linesOf, underWriters } from "../support/backup-cases.ts";
import { createNasty } from "../support/nasty-sessions.ts";
import { Workplace } from "./command-line.ts";

async function stocked(more = 0): Promise<Workplace> {
  const place = await Workplace.open();
  await using sessions = await openSessions({ store: `${place.storeUrl}?synchronous=normal`, sweep: false });
  await createNasty(sessions);
  await sessions.for("other").create({ id: "s" });
  await sessions.keys.create({ name: "backend" });
  const input = "x".repeat(20_000);
  await Promise.all(
    Array.from(
      { length: more },
      async (_, index) => await (await sessions.create({ id: `s${index}` })).append({ input }),
    ),
  );
  return place;
}

test("a store is backed up into one file and restored from it, all tenants and keys, and again changes nothing", async () => {
  await using place = await stocked();
  const file = join(place.folder, "backups", "monday.db");
  const made = await place.run(["backup", "create", file, "--json"]);
  assert.equal(made.code, 0, made.stderr);
  const report = JSON.parse(made.stdout) as Pick<BackupReport, "sessions" | "kinds" | "kind" | "bytes">;
  const { sessions: held, kinds, kind, bytes } = report;
  assert.equal(kinds.sessions + kinds.attachments + kinds.others, held);
  assert.deepEqual([kind, bytes], ["sqlite", statSync(file).size]);
  assert.deepEqual(readdirSync(join(place.folder, "backups")), ["monday.db"], "no log stands beside it");
  const told = await place.run(["backup", "create", join(place.folder, "told.db")]);
  const counted = new RegExp(
    `^backed up ${kinds.sessions} sessions, 0 attachments, ${kinds.others} other records? \\(devices, .*\\) with \\d+ entries to `,
  );
  assert.match(told.stderr, counted);
  const before = readFileSync(file);
  const to = `sqlite:${join(place.folder, "restored.db")}`;
  const restored = await place.run(["backup", "restore", file, "--store", to]);
  assert.match(
    restored.stderr,
    new RegExp(
      `^restored and checked: ${kinds.sessions} new sessions, 0 new attachments, ${kinds.others} other new records? \\(devices, .*\\), 0 .*, 0 .*, 0 skipped\n$`,
    ),
  );
  const again = await place.run(["backup", "restore", file, "--store", to, "--json"]);
  assert.equal((JSON.parse(again.stdout) as { present: number }).present, held);
  assert(readFileSync(file).equals(before), "the backup stays as it is");
  await using original = await openSessions({ store: place.storeUrl, sweep: false });
  await using copy = await openSessions({ store: to, sweep: false });
  assert.deepEqual(await linesOf(copy), await linesOf(original));
  assert.deepEqual(await linesOf(copy.for("other")), await linesOf(original.for("other")));
  assert.equal((await Array.fromAsync(copy.keys.each()))[0]?.name, "backend");
});

test("a backup that is made under eight writers restores to a state that existed", async () => {
  await using place = await stocked(300);
  for (const round of [1, 2]) {
    const file = join(place.folder, `backup-${round}.db`);
    await underWriters(place.storeUrl, async () => {
      await backupStore(place.storeUrl, file);
    });
    const to = `sqlite:${join(place.folder, `restored-${round}.db`)}`;
    const { skipped, complete } = await restoreStore(file, to);
    assert.deepEqual([skipped, complete], [0, true]);
    await using original = await openSessions({ store: place.storeUrl, sweep: false });
    await using restored = await openSessions({ store: to, sweep: false });
    await assertStateExisted(restored, original);
  }
});

test("a file that is no backup, or a damaged one, is refused, and nothing is restored", async () => {
  await using place = await stocked();
  const to = join(place.folder, "restored.db");
  const restore = async (file: string): Promise<string> => {
    const { code, stderr } = await place.run(["backup", "restore", file, "--store", `sqlite:${to}`]);
    assert.notEqual(code, 0);
    return stderr;
  };
  const bad = join(place.folder, "bad");
  assert.match(await restore(bad), /bad does not exist \[not_found\]/);
  writeFileSync(bad, "");
  assert.match(await restore(bad), /snapshot_invalid/);
  writeFileSync(bad, '{"id":"x","messages":[]}\n');
  assert.match(await restore(bad), /snapshot_invalid/);
  assert(!existsSync(to));
  const file = join(place.folder, "monday.db");
  await place.run(["backup", "create", file]);
  copyFileSync(file, bad);
  const bytes = readFileSync(bad);
  bytes.fill(0x55, 8192, 40_000);
  writeFileSync(bad, bytes);
  assert.match(
    await restore(bad),
    new RegExp(`^perdure: the file of the store ${bad} is damaged: .*\\[store_invalid\\]\n$`),
  );
  const other = new DatabaseSync(join(place.folder, "other.db"));
  other.exec("create table t (x)");
  other.close();
  assert.match(await restore(join(place.folder, "other.db")), /store_invalid/);
  assert.match(
    (await place.run(["backup", "create", bad, "--store", `sqlite:${join(place.folder, "other.db")}`])).stderr,
    /store_invalid/,
  );
  assert.match(
    (await place.run(["backup", "create", bad, "--store", `sqlite:${join(place.folder, "none.db")}`])).stderr,
    /store_unavailable/,
  );
  assert(!existsSync(join(place.folder, "none.db")));
  assert.equal((await place.run(["backup", "create", bad, "--store", "memory:"])).code, 2);
});

test("the good lines of a damaged backup are restored with --skip-damaged: bad ones are named and counted, exit code 1", async () => {
  await using place = await Workplace.open();
  const file = join(place.folder, "monday.ndjson");
  await using sessions = await openSessions({ store: "memory:", sweep: false });
  for (const id of ["a", "b", "c"]) await (await sessions.create({ id })).append({ input: "a word" });
  let text = "";
  for await (const piece of backupPieces(coreOf(sessions))) text += piece.text;
  const lines = text.split("\n");
  writeFileSync(file, lines.with(2, lines[2]?.slice(0, 100) ?? "").join("\n"));
  const args = ["backup", "restore", file, "--store", `sqlite:${join(place.folder, "restored.db")}`];
  const refused = await place.run(args);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /monday\.ndjson:3 .*\[snapshot_invalid\]/);
  const { code, stderr } = await place.run([...args, "--skip-damaged"]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^skipped .*monday\.ndjson:3 .*\[snapshot_invalid\]\nrestored and checked: \d new sessions?, 0 new attachments, \d other new records? \(devices, .*\), .*, 1 skipped\n$/,
  );
});

test("no command writes its file over a store: neither its own, under any name, nor one that is in use", async () => {
  await using place = await stocked();
  await using inUse = await openSessions({ store: place.storeUrl, sweep: false });
  await (await inUse.create({ id: "before" })).append({ input: "said" });
  const file = join(place.folder, "perdure.db");
  symlinkSync(file, join(place.folder, "symbolic.db"));
  linkSync(file, join(place.folder, "hard.db"));
  const empty = `sqlite:${join(place.folder, "other.db")}`;
  await (await openSessions({ store: empty, sweep: false })).close();
  const names = ["perdure.db", "symbolic.db", "hard.db", "perdure.db-wal", "perdure.db-shm", "perdure.db.secret"];
  const linked = `sqlite:${join(place.folder, "symbolic.db")}`;
  const others = [["perdure.db", empty] as const, ["perdure.db-shm", linked] as const];
  const targets = [...names.map((name) => [name, place.storeUrl] as const), ...others];
  const before = statSync(file).ino;
  for (const [target, store] of targets) {
    for (const args of [
      ["backup", "create", target],
      ["export", "--out", target],
      ["stats", "--html", target],
    ]) {
      const { code, stderr } = await place.run([...args, "--store", store]);
      assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
      assert.match(stderr, /file is .*expected (a|another) file.*\[argument_invalid\]\n$/);
    }
  }
  assert.equal((await place.run(["backup", "create", "."])).code, 2);
  assert.equal(statSync(file).ino, before);
  assert(!existsSync(`${file}.secret`));
  await (await inUse.get("before")).append({ input: "said afterwards" });
  await using again = await openSessions({ store: place.storeUrl, sweep: false });
  assert.equal((await again.get("before")).info.turn, 2);
});

test("a restore removes old temporary files of a killed restore, and leaves younger ones", async () => {
  await using place = await stocked();
  const file = join(place.folder, "monday.db");
  await backupStore(place.storeUrl, file);
  const temporary = join(place.folder, "tmp");
  const hourAgo = Date.now() / 1000 - 3700;
  for (const name of ["perdure-restore-oLd123", "perdure-restore-nEw123", "perdure-restore-notes"]) {
    mkdirSync(join(temporary, name), { recursive: true });
    writeFileSync(join(temporary, name, "backup.db"), "said");
    if (!name.includes("nEw")) utimesSync(join(temporary, name), hourAgo, hourAgo);
  }
  const to = ["--store", `sqlite:${join(place.folder, "restored.db")}`];
  const { code, stderr } = await place.run(["backup", "restore", file, ...to], { env: { TMPDIR: temporary } });
  assert.equal(code, 0, stderr);
  assert.deepEqual(
    new Set(readdirSync(temporary).filter((name) => name.startsWith("perdure-restore"))),
    new Set(["perdure-restore-nEw123", "perdure-restore-notes"]),
  );
});

test("a store is not copied onto itself", async () => {
  await using place = await stocked();
  symlinkSync(join(place.folder, "perdure.db"), join(place.folder, "symbolic.db"));
  for (const [from, to] of [
    [place.storeUrl, "sqlite:./perdure.db"],
    ["sqlite:symbolic.db", `${place.storeUrl}?synchronous=normal`],
    ["postgres://nobody@127.0.0.1:1/none", "postgres://nobody@127.0.0.1:1/none"],
  ] as const) {
    const { code, stderr } = await place.run(["copy", "--from", from, "--to", to]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /--from and --to name the same store; name another store with --to \[usage\]/);
  }
});
