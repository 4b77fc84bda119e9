import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, test } from "node:test";
import { mountSmall, skipFor } from "../support/small-disk.ts";
import type { ErrorCode, SessionError } from "../../src/errors.ts";
import { hasCode } from "../../src/errors.ts";
import { openSessions } from "../../src/index.ts";
import { creationOf, sampleRecord, sampleSplice } from "../../src/testing/samples.ts";
import { backupSqlite } from "../../src/store/sqlite/backup.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-bad-file-"));
after(() => rmSync(root, { recursive: true }));

/** A path of its own for each test. */
function newFile(): string {
  return join(mkdtempSync(join(root, "t-")), "store.db");
}

/** A store with a few sessions of several pages, closed. */
async function writtenFile(file = newFile()): Promise<string> {
  await using closing = new AsyncDisposableStack();
  const store = await openSqlite({ url: `sqlite:${file}` });
  closing.defer(() => store.close());
  const texts = Array.from({ length: 5 }, () => "text ".repeat(500));
  for (const id of ["a", "b", "c"]) {
    const creation = creationOf(sampleRecord({ id }), { splices: [sampleSplice("turns", 1, texts)] });
    assert.deepEqual(await store.commit([[creation]]), [{ status: "ok" }]);
  }
  return file;
}

test("the files of a new store are their owner's only, also behind a link; those of an existing one keep their mode", async () => {
  const before = process.umask(0o022);
  try {
    const file = newFile();
    const link = newFile();
    symlinkSync(file, link);
    const store = await openSqlite({ url: `sqlite:${link}` });
    const change = creationOf(sampleRecord({ id: "a" }), { splices: [] });
    assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
    for (const end of ["", "-wal", "-shm"]) assert.equal(statSync(file + end).mode & 0o777, 0o600, end);
    await store.close();
    chmodSync(file, 0o644);
    await (await openSqlite({ url: `sqlite:${file}` })).close();
    assert.equal(statSync(file).mode & 0o777, 0o644);

    const copy = newFile();
    await backupSqlite(file, { copy, target: copy }, () => undefined);
    assert.equal(statSync(copy).mode & 0o777, 0o600);
  } finally {
    process.umask(before);
  }
});

/** The error of opening `file`, which is expected to be of this code and to name the file. */
async function refusal<Code extends ErrorCode>(file: string, code: Code): Promise<SessionError<Code>> {
  try {
    const store = await openSqlite({ url: `sqlite:${file}` });
    await store.close();
  } catch (error) {
    if (!hasCode(error, code)) throw error;
    assert.ok(error.message.includes(file), `"${error.message}" names ${file}`);
    return error;
  }
  return assert.fail(`${file} was opened; expected ${code}`);
}

/** All files beside `file`, with what they hold. */
function contentOf(file: string): Record<string, string> {
  const folder = dirname(file);
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "base64")]));
}

describe("a place where no store can be", () => {
  test("a missing folder is named, and not created", async () => {
    const folder = join(root, "missing");
    const { message } = await refusal(join(folder, "store.db"), "store_unavailable");
    assert.ok(message.includes(`the folder ${folder} does not exist; create it`), message);
    assert.ok(!readdirSync(root).includes("missing"));
  });

  test("a file in the place of the folder", async () => {
    const file = newFile();
    writeFileSync(file, "text");
    await refusal(join(file, "store.db"), "store_unavailable");
  });

  test("a folder in the place of the file", async () => {
    await refusal(dirname(newFile()), "store_invalid");
  });

  test("wrong options are refused before any file is made", async () => {
    const file = newFile();
    const wrong = (options: string, code: ErrorCode): Promise<void> =>
      assert.rejects(openSqlite({ url: `sqlite:${file}${options}` }), { code });
    await wrong("?synchronous=off", "argument_invalid");
    await wrong("?colour=red", "argument_invalid");
    await wrong("?busyTimeout=soon", "duration_invalid");
    await wrong("?busyTimeout=0", "duration_invalid");
    await wrong("\0.db", "argument_invalid");
    await assert.rejects(openSqlite({ url: "sqlite:" }), { code: "argument_invalid" });
    assert.deepEqual(contentOf(file), {});
  });
});

describe("a file that is no store", () => {
  for (const [title, content] of [
    ["a text", "This is a letter, not a database.\n"],
    ["a long text", "Dear all, ".repeat(5000)],
    ["zeros", "\0".repeat(8192)],
  ] as const) {
    test(`${title} is not a database, and stays as it is`, async () => {
      const file = newFile();
      writeFileSync(file, content);
      const before = contentOf(file);
      const { cause } = await refusal(file, "store_invalid");
      assert.ok(cause instanceof Error);
      assert.deepEqual(contentOf(file), before);
    });
  }

  test("another program's database stays as it is, byte for byte", async () => {
    const file = newFile();
    const database = new DatabaseSync(file);
    database.exec("create table songs (title text); insert into songs values ('Yesterday')");
    database.close();
    const before = contentOf(file);
    const { message } = await refusal(file, "store_invalid");
    assert.match(message, /belongs to another program/);
    assert.deepEqual(contentOf(file), before);
  });

  test("a store of a newer schema stays as it is, byte for byte", async () => {
    const file = await writtenFile();
    const database = new DatabaseSync(file);
    database.exec("pragma user_version = 999");
    database.close();
    const before = contentOf(file);
    const { details } = await refusal(file, "store_schema_newer");
    assert.equal(details.found, 999);
    assert.deepEqual(contentOf(file), before);
  });

  for (const bytes of [60, 100, 512, 4096, 8192, 20_000]) {
    test(`a store cut after ${bytes} bytes is damaged, and stays as it is`, async () => {
      const file = await writtenFile();
      truncateSync(file, bytes);
      const before = contentOf(file);
      const { message } = await refusal(file, "store_invalid");
      assert.match(message, /damaged|not an SQLite database/);
      assert.deepEqual(contentOf(file), before);
    });
  }

  test("reads of an overwritten page fail as damaged", async () => {
    const file = await writtenFile();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0xaa, 4096));
    // The schema has several pages, so the file may fail to open.
    const read = async (): Promise<void> => {
      await using sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
      await Array.fromAsync((await sessions.get("a")).turns());
    };
    await assert.rejects(read(), { code: "store_invalid" });
  });
});

/** Take the right to write from everybody, root included; says why where the machine has no way to. */
function makeReadOnly(path: string, closing: DisposableStack): string | undefined {
  if (process.getuid?.() !== 0) {
    chmodSync(path, path.endsWith(".db") ? 0o444 : 0o555);
    closing.defer(() => chmodSync(path, 0o755));
    return undefined;
  }
  try {
    execFileSync("chattr", ["+i", path], { stdio: "pipe" });
  } catch (error) {
    return `root writes everywhere, and chattr +i does not work here: ${String(error)}`;
  }
  closing.defer(() => execFileSync("chattr", ["-i", path]));
  return undefined;
}

describe("a store that cannot be written", () => {
  test("a read-only file is refused by name", async (context) => {
    using closing = new DisposableStack();
    const file = await writtenFile();
    if (skipFor(makeReadOnly(file, closing), context)) return;
    await refusal(file, "store_read_only");
  });

  test("a read-only folder is refused by name, with and without a store in it", async (context) => {
    using closing = new DisposableStack();
    const file = await writtenFile();
    if (skipFor(makeReadOnly(dirname(file), closing), context)) return;
    for (const name of [file, join(dirname(file), "new.db")]) {
      const { details } = await refusal(name, "store_read_only");
      assert(details.path?.includes(dirname(file)));
    }
  });

  test("a read-only file system is refused by name, with and without a store on it", async (context) => {
    using closing = new DisposableStack();
    const folder = join(root, "read-only");
    if (skipFor(mountSmall(folder, closing), context)) return;
    const file = await writtenFile(join(folder, "store.db"));
    execFileSync("mount", ["-o", "remount,ro", folder]);
    for (const name of [file, join(folder, "new.db")]) {
      const { details, message } = await refusal(name, "store_read_only");
      assert(details.path?.includes(folder) && message.includes("EROFS"), message);
    }
  });
});

describe("a full disk", () => {
  test("commit-is-whole: a batch that finds no room leaves nothing, and lands once there is room", async (context) => {
    using unmounting = new DisposableStack();
    const folder = join(root, "full");
    if (skipFor(mountSmall(folder, unmounting), context)) return;
    const store = await openSqlite({ url: `sqlite:${join(folder, "store.db")}` });
    try {
      const first = creationOf(sampleRecord({ id: "first" }), { splices: [sampleSplice("turns", 1, ["one"])] });
      assert.deepEqual(await store.commit([[first]]), [{ status: "ok" }]);

      const filler = join(folder, "filler");
      writeFileSync(filler, Buffer.alloc(600_000));
      const batch = Array.from({ length: 20 }, (_, index) => [
        creationOf(sampleRecord({ id: `late ${index}` }), {
          splices: [sampleSplice("turns", 1, ["x".repeat(20_000)])],
        }),
      ]);
      await assert.rejects(store.commit(batch), { code: "store_full" });
      assert.deepEqual(await idsIn(store), ["first"]);

      rmSync(filler);
      assert.ok((await store.commit(batch)).every(({ status }) => status === "ok"));
      assert.equal((await idsIn(store)).length, 21);
    } finally {
      await store.close();
    }
  });

  // The start writes in several steps, each of which can be the one that finds no room.
  for (const blocks of [0, 1, 2, 5, 9, 12]) {
    test(`a start with room for ${blocks} blocks says that the disk is full`, async (context) => {
      using unmounting = new DisposableStack();
      const folder = join(root, `full-${blocks}`);
      if (skipFor(mountSmall(folder, unmounting), context)) return;
      writeFileSync(join(folder, "filler"), Buffer.alloc(1_048_576 - blocks * 4096));
      await refusal(join(folder, "store.db"), "store_full");
    });
  }
});

async function idsIn(store: Awaited<ReturnType<typeof openSqlite>>): Promise<string[]> {
  const { records } = await store.find({ order: "recent", tenant: "default", now: 0, limit: 100 });
  return records.map(({ id }) => id);
}
