/**
 * Several processes on one file. This file is both sides: started with a role it is one of the processes, else it is the
 * test that starts them.
 */
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, test } from "node:test";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { SessionRecord } from "../../src/domain/record/record.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import type { Store } from "../../src/store/store.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";

type Role = "starter" | "writer" | "holder";

const turnsEach = 60;
const sharedTurnsEach = 10;

const [role, file = "", name = ""] = process.argv.slice(2);
if (role === undefined) tests();
else await play(role as Role);

/** A process: says that it is ready, waits for the word, does its part, tells how it went. */
async function play(role: Role): Promise<void> {
  const roles = { starter: start, writer: write, holder: hold };
  tell({ ready: true });
  await once(process, "message");
  try {
    await roles[role]();
    tell({ done: true });
  } catch (error) {
    tell({ failed: String(error) });
  }
  process.disconnect();
}

function tell(message: object): void {
  process.send?.(message);
}

async function start(): Promise<void> {
  const store = await openSqlite({ url: `sqlite:${file}` });
  await append(store, await create(store, name), name);
  await store.close();
}

/** Writes to a session of its own, and now and then to one that all of them write to. */
async function write(): Promise<void> {
  const store = await openSqlite({ url: `sqlite:${file}` });
  let record = await create(store, name);
  for (let turn = 1; turn <= turnsEach; turn++) {
    record = await append(store, record, `${name} ${turn}`);
    if (turn % (turnsEach / sharedTurnsEach) === 0) await appendShared(store, `${name} ${turn}`);
    await setImmediate();
  }
  await store.close();
}

/** Holds the file's write lock until it is told to let go. */
async function hold(): Promise<void> {
  const database = new DatabaseSync(file);
  database.exec("begin immediate");
  tell({ holding: true });
  await once(process, "message");
  database.exec("rollback");
  database.close();
}

async function create(store: Store, id: string): Promise<SessionRecord> {
  const creation = creationOf(sampleRecord({ id }));
  assert.deepEqual(await store.commit([[creation]]), [{ status: "ok" }]);
  assert.ok(creation.record);
  return creation.record;
}

async function append(store: Store, record: SessionRecord, text: string): Promise<SessionRecord> {
  const change = appending(record, text);
  assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
  assert.ok(change.record);
  return change.record;
}

/** Again on the record that stands, until nobody was faster. */
async function appendShared(store: Store, text: string): Promise<void> {
  for (;;) {
    const {
      sessions: [shared],
    } = await store.load([{ key: { tenant: "default", id: "shared" }, tails: [] }]);
    assert.ok(shared);
    const [outcome] = await store.commit([[appending(shared.record, text)]]);
    if (outcome?.status === "ok") return;
    assert.equal(outcome?.status, "conflict");
  }
}

function appending(record: SessionRecord, text: string): ReturnType<typeof stepOf> {
  const seq = (record.heads["turns"] ?? 0) + 1;
  return stepOf(record, { splices: [sampleSplice("turns", seq, [text])] });
}

function tests(): void {
  const root = mkdtempSync(join(tmpdir(), "perdure-processes-"));
  after(() => rmSync(root, { recursive: true }));
  const newFile = (): string => join(mkdtempSync(join(root, "t-")), "store.db");

  describe("several processes on one file", () => {
    for (let round = 1; round <= 4; round++) {
      test(`six processes that start on an empty path at once open the same store, round ${round}`, async () => {
        const file = newFile();
        await together(file, "starter", 6);
        assert.deepEqual(damageIn(file), []);
        const store = await openSqlite({ url: `sqlite:${file}` });
        const { records } = await store.find({ order: "recent", tenant: "default", now: 0, limit: 100 });
        assert.equal(records.length, 6);
        await store.close();
      });
    }

    test("eight concurrent writers get no lock error, and every turn is stored once", async () => {
      const file = newFile();
      const store = await openSqlite({ url: `sqlite:${file}` });
      await create(store, "shared");
      await together(file, "writer", 8);
      const { records } = await store.find({ order: "recent", tenant: "default", now: 0, limit: 100 });
      assert.equal(records.length, 9);
      for (const { tenant, id, version, heads } of records) {
        const turns = id === "shared" ? 8 * sharedTurnsEach : turnsEach;
        const all = { log: "turns", from: 1, to: turns + 1, order: "ascending", limit: 1000 } as const;
        const entries = await store.read({ tenant, id }, all);
        assert.deepEqual(
          entries.map(({ seq }) => seq),
          Array.from({ length: turns }, (_, index) => index + 1),
        );
        assert.equal(new Set(entries.map(({ data }) => data)).size, turns);
        assert.deepEqual([version, heads["turns"]], [turns + 1, turns]);
      }
      await store.close();
      assert.deepEqual(damageIn(file), []);
    });
  });

  describe("a lock that another process holds", () => {
    test("stops neither the event loop nor readers, and the commit lands when the lock is released", async () => {
      // A wait that blocks the event loop ends at the busy timeout, since only this process releases the lock.
      await using held = await holdLock(newFile(), "?busyTimeout=2m");
      const { store, record, release } = held;
      let isCommitted = false;
      const committing = append(store, record, "patient").finally(() => (isCommitted = true));
      for (let round = 0; round < 60; round++) {
        const {
          sessions: [loaded],
        } = await store.load([{ key: record, tails: [] }]);
        assert.equal(loaded?.record.version, record.version);
        await setTimeout(5);
      }
      assert.equal(isCommitted, false);
      await release();
      assert.equal((await committing).version, record.version + 1);
    });

    test("is store_busy after busyTimeout; nothing is written, and the next try lands", async () => {
      await using held = await holdLock(newFile(), "?busyTimeout=150ms");
      const { store, record, release } = held;
      const change = appending(record, "impatient");
      await assert.rejects(store.commit([[change]]), (error: { code: string; details: { waitedMs: number } }) => {
        assert.equal(error.code, "store_busy");
        assert.ok(error.details.waitedMs >= 150 && error.details.waitedMs < 5000);
        return true;
      });
      await release();
      assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
    });

    test("does not keep a store from being opened and read", async () => {
      const file = newFile();
      await using held = await holdLock(file);
      const another = await openSqlite({ url: `sqlite:${file}?busyTimeout=150ms` });
      const {
        sessions: [loaded],
      } = await another.load([{ key: held.record, tails: [] }]);
      assert.equal(loaded?.record.id, held.record.id);
      await another.close();
    });

    test("a commit that waits while its store is closed fails with closed", async () => {
      await using held = await holdLock(newFile());
      const committing = assert.rejects(append(held.store, held.record, "late"), { code: "closed" });
      await setTimeout(20);
      await held.store.close();
      await committing;
    });
  });
}

/** Start `count` processes, and give the word once all are ready; fails with what any of them met. */
async function together(file: string, role: Role, count: number): Promise<void> {
  const children = await Promise.all(
    Array.from({ length: count }, (_, index) => startProcess(file, role, `p${index}`)),
  );
  const answers = children.map(async (child) => {
    const [answer] = (await once(child, "message")) as [unknown];
    return answer;
  });
  for (const child of children) child.send("go");
  assert.deepEqual(
    await Promise.all(answers),
    children.map(() => ({ done: true })),
  );
}

async function startProcess(file: string, role: Role, name: string): Promise<ChildProcess> {
  // Not as a test of its own: the test runner's flags and its way of reporting stay with the parent.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = fork(import.meta.filename, [role, file, name], { execArgv: [], env });
  await once(child, "message");
  return child;
}

interface HeldLock extends AsyncDisposable {
  readonly store: Store;
  readonly record: SessionRecord;
  readonly release: () => Promise<void>;
}

/** A store with one session, and another process that holds the write lock of its file. */
async function holdLock(file: string, options = ""): Promise<HeldLock> {
  const store = await openSqlite({ url: `sqlite:${file}${options}` });
  const record = await create(store, "session");
  const holder = await startProcess(file, "holder", "holder");
  const exited = once(holder, "exit");
  holder.send("go");
  await once(holder, "message");
  let held = true;
  const release = async (): Promise<void> => {
    if (held) holder.send("release");
    held = false;
    await exited;
  };
  return {
    store,
    record,
    release,
    async [Symbol.asyncDispose]() {
      await release();
      await store.close();
    },
  };
}

/** What SQLite's own check finds wrong in a file. */
function damageIn(file: string): unknown[] {
  const database = new DatabaseSync(file, { timeout: 5000 });
  const rows = database.prepare("pragma integrity_check").all();
  database.close();
  return rows.map((row) => row["integrity_check"]).filter((text) => text !== "ok");
}
