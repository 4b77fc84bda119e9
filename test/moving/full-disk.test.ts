/** A disk that is full fails by name, leaves nothing half, and once there is room the same call succeeds. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { defined } from "../../src/domain/values/defined.ts";
import {
  removeSession,
  copySessions,
  importSessions,
  exportSessions,
  backupStore,
  restoreStore,
  SnapshotDirectory,
} from "../../src/admin.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { hasCode } from "../../src/errors.ts";
import { ExportFile } from "../../src/files/export-file.ts";
import { linesOf } from "../support/backup-cases.ts";
import { mountSmall, skipFor } from "../support/small-disk.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-full-"));
after(() => rmSync(root, { recursive: true }));

interface Small extends Disposable {
  /** A file in it that leaves so many bytes. */
  fill(left: number): void;
  /** Take it away. */
  empty(): void;
  readonly folder: string;
  /** What else is in it. */
  names(): string[];
}

function smallDisk(name: string, context: TestContext): Small | undefined {
  const closing = new DisposableStack();
  const folder = join(root, name);
  if (skipFor(mountSmall(folder, closing), context)) return undefined;
  const filler = join(folder, "filler");
  return {
    folder,
    fill: (left) => writeFileSync(filler, Buffer.alloc(1_048_576 - left)),
    empty: () => rmSync(filler),
    names: () => readdirSync(folder).filter((one) => one !== "filler"),
    [Symbol.dispose]: () => closing.dispose(),
  };
}

/** Some 300 KB of sessions. */
async function stocked(name: string): Promise<{ url: string; sessions: Sessions }> {
  const url = `sqlite:${join(root, name)}`;
  const sessions = await openSessions({ store: url, sweep: false });
  for (let index = 0; index < 30; index++) {
    const session = await sessions.create({ id: `s${index}` });
    await session.append({ input: "x".repeat(10_000) });
  }
  return { url, sessions };
}

test("a save to a full disk keeps what was saved before", async (context) => {
  using disk = smallDisk("save", context);
  if (disk === undefined) return;
  const { sessions } = await stocked("save.db");
  await using _ = sessions;
  const directory = new SnapshotDirectory(disk.folder, sessions);
  await directory.save("s1");
  const before = await directory.load("s1");
  await (await sessions.get("s1")).append({ input: "y".repeat(100_000) });
  disk.fill(60_000);
  await assert.rejects(directory.save("s1"), { code: "store_full" });
  assert.deepEqual(disk.names(), ["s1.json"]);
  assert.deepEqual(await directory.load("s1"), before);
  disk.empty();
  await directory.save("s1");
  assert.deepEqual(await directory.load("s1"), await sessions.snapshot("s1"));
});

test("an export to a full disk continues once there is room", async (context) => {
  using disk = smallDisk("export", context);
  if (disk === undefined) return;
  const { sessions } = await stocked("export.db");
  await using _ = sessions;
  const target = join(disk.folder, "all.ndjson");
  const run = async (): Promise<void> => {
    await using file = await ExportFile.open(target, "all");
    const { after: behind } = file.position;
    for await (const { id, text } of exportSessions(sessions, defined({ after: behind }))) {
      await file.write(Buffer.from(`${text}\n`), { after: id, sessions: 0, turns: 0 });
      await file.keep();
    }
    await file.finish();
  };
  disk.fill(150_000);
  await assert.rejects(run(), { code: "store_full" });
  assert(!disk.names().includes("all.ndjson"));
  disk.empty();
  await run();
  assert.deepEqual(disk.names(), ["all.ndjson"]);
  assert.equal(readFileSync(target, "utf8"), `${(await linesOf(sessions)).join("\n")}\n`);
});

test("an import and a copy into a store on a full disk go on once there is room", async (context) => {
  const { sessions } = await stocked("source.db");
  await using _ = sessions;
  const lines = await linesOf(sessions);
  const ways: Readonly<
    Record<string, (target: Sessions) => Promise<{ present: number; restored: number; skipped: number }>>
  > = {
    import: (target) => importSessions(target, lines),
    copy: (target) => copySessions(sessions, target),
  };
  for (const [name, move] of Object.entries(ways)) {
    using disk = smallDisk(name, context);
    if (disk === undefined) return;
    await using target = await openSessions({ store: `sqlite:${join(disk.folder, "store.db")}`, sweep: false });
    await target.create({ id: "first" });
    await removeSession(target, "first");
    disk.fill(300_000);
    await assert.rejects(move(target), { code: "store_full" });
    disk.empty();
    const { present, restored, skipped } = await move(target);
    assert.deepEqual([present + restored, skipped], [lines.length, 0]);
    assert.deepEqual(await linesOf(target), lines);
  }
});

test("a backup to a full disk leaves the one before it, and nothing else", async (context) => {
  using disk = smallDisk("backup", context);
  if (disk === undefined) return;
  const { url, sessions } = await stocked("backup.db");
  await using _ = sessions;
  const file = join(disk.folder, "monday.db");
  disk.fill(100_000);
  await assert.rejects(
    backupStore(url, file),
    (error) => hasCode(error, "store_full") && error.details.store === file,
    "the disk that is full is the backup's",
  );
  assert.deepEqual(disk.names(), []);
  disk.empty();
  await backupStore(url, file);
  assert.deepEqual(disk.names(), ["monday.db"]);
  const to = `sqlite:${join(root, "restored.db")}`;
  await restoreStore(file, to);
  await using restored = await openSessions({ store: to, sweep: false });
  assert.deepEqual(await linesOf(restored), await linesOf(sessions));
});
