/** Attachments whose bytes are objects: kills between any two calls, late deletions, lost stores, moves, backups and erasures. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { backupStore, copySessions, doctor, erase, moveAttachments, restoreStore, sweep } from "../../src/admin.ts";
import { folder, hasCode, openSessions, type Attachment, type Session, type Sessions } from "../../src/index.ts";
import { coreOf, sessionsOn } from "../../src/sessions/sessions.ts";
import { openMemory } from "../../src/store/memory.ts";
import { callStore, storeBefore } from "../../src/store/calls/forwarding-store.ts";
import type { Store } from "../../src/store/store.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { guardObjects, waysOfObjects } from "../support/backup-cases.ts";
import { inMemory } from "../support/in-memory.ts";
import { ObjectStore } from "../support/object-store.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-attachment-objects-"));
after(() => rmSync(root, { recursive: true }));
const secret = "a secret for these tests only";
const day = 86_400_000;
const piece = 192 * 1024;
const given = Buffer.alloc(3 * piece + 5, "the bytes of a file, ");
const hash = createHash("sha256").update(given).digest("hex");

async function read(session: Session): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(await session.attachments.open(hash)));
}

async function findings(sessions: Sessions, { repair = false } = {}): Promise<readonly string[]> {
  const found: string[] = [];
  await doctor(sessions, { repair, onFinding: ({ kind, what }) => void (kind === "attachment" && found.push(what)) });
  return found;
}

async function recordsLeft(sessions: Sessions): Promise<number> {
  return await coreOf(sessions).store.count({ tenant: "default\u0001objects", now: 0 });
}

/** The attachments of session s; none where it is removed. */
async function listOf(sessions: Sessions): Promise<readonly Attachment[]> {
  try {
    return await (await sessions.get("s")).attachments.list();
  } catch (error) {
    assert(hasCode(error, "session_not_found"), String(error));
    return [];
  }
}

interface Mortal {
  readonly store: Store;
  readonly in: ObjectStore;
  readonly died: () => boolean;
}

/** A process that is killed before one of its calls that write: to the store, or to the attachment store. */
function mortalOn(store: Store, objects: ObjectStore, calls: number): Mortal {
  let left = calls;
  let isDead = false;
  const guard = (): void => {
    isDead ||= left-- <= 0;
    if (isDead) throw new Error("the process is killed");
  };
  const front = storeBefore(store, (method, args) => {
    try {
      if (method === "commit") guard();
      else if (isDead) throw new Error("the process is killed");
    } catch (error) {
      return Promise.reject(error);
    }
    return callStore(store, method, args);
  });
  const own = Object.assign(new ObjectStore(), { objects: objects.objects, markers: objects.markers, before: guard });
  return { store: Object.assign(front, { close: async () => undefined }), in: own, died: () => isDead };
}

test("a kill between any two calls of a put, or of a removal, leaves the whole attachment, or nothing after the sweep", async () => {
  const ends = new Set<string>();
  for (const action of ["put", "remove"] as const)
    for (let calls = 0, isOver = false; !isOver; calls++) {
      const clock = scriptedClock();
      const shared = openMemory({ clock });
      const objects = new ObjectStore();
      const options = { clock, sweep: false, ttl: "never" } as const;
      const survivor = sessionsOn(shared, { ...options, attachments: { in: objects } });
      const session = await survivor.create({ id: "s", agent: "a" });
      if (action === "remove") await session.attachments.put(given, { type: "a/b" });
      const mortal = mortalOn(shared, objects, calls);
      const theirs = sessionsOn(mortal.store, { ...options, attachments: { in: mortal.in } });
      const opened = await theirs.get("s");
      const work = action === "put" ? opened.attachments.put(given, { type: "a/b" }) : opened.remove();
      const outcome = await work.then(
        () => "done",
        () => "failed",
      );
      await theirs.close().catch((error: unknown) => assert(mortal.died(), String(error)));
      isOver = !mortal.died();
      const listed = await listOf(survivor);
      if (listed.length > 0) assert((await read(await survivor.get("s"))).equals(given));
      else if (outcome === "done") assert.equal(action, "remove");
      assert.deepEqual(await findings(survivor), []);
      await clock.advance(9 * day);
      await sweep(survivor);
      await sweep(survivor);
      const rest = await listOf(survivor);
      assert.deepEqual(rest, [], "no turn names it");
      ends.add(`${action} ${listed.length} ${outcome}`);
      await survivor.close();
      assert.equal(objects.objects.size, 0, `${action} killed before call ${calls}`);
    }
  assert.deepEqual([...ends].sort(), [
    "put 0 failed",
    "put 1 done",
    "remove 0 done",
    "remove 0 failed",
    "remove 1 failed",
  ]);
});

test("the doctor reports the marker of a process that was killed before the commit that names it", async () => {
  const clock = scriptedClock();
  const shared = openMemory({ clock });
  const objects = new ObjectStore();
  const options = { clock, sweep: false, ttl: "never" } as const;
  await using survivor = sessionsOn(shared, { ...options, attachments: { in: objects } });
  await survivor.create({ id: "s", agent: "a" });
  // Killed at one call later each time, until its marker is left.
  for (let calls = 0; objects.markers.size === 0; calls++) {
    const mortal = mortalOn(shared, objects, calls);
    const theirs = sessionsOn(mortal.store, { ...options, attachments: { in: mortal.in } });
    await assert.rejects((await theirs.get("s")).attachments.put(given, { type: "a/b" }), /killed/);
    await theirs.close().catch(() => undefined);
  }
  const [left] = objects.markers.keys();
  await clock.advance(day / 2);
  assert.deepEqual(await findings(survivor), [], "its process may be about to name it");
  const session = await survivor.get("s");
  const { part } = await session.attachments.put(given, { type: "a/b" });
  await session.append({ input: [{ role: "user", content: [part] }] });
  await clock.advance(2 * day);
  await sweep(survivor);
  const found = await findings(survivor);
  assert.equal(found.length, 1, "not the marker of these sessions");
  assert.match(found[0]!, new RegExp(`the object ${left} of the attachment store is a marker of other sessions`));
  objects.markers.delete(left!);
  assert.deepEqual(await findings(survivor), []);
  assert((await read(session)).equals(given));
});

test("a late deletion of an object leaves a later upload of the same bytes", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never", attachments: { in: objects } });
  const session = await place.sessions.create({ agent: "a" });
  await session.attachments.put(given, { type: "a/b" });
  objects.isLate = true;
  await session.remove();
  await sweep(place.sessions);
  const later = await place.sessions.create({ agent: "a" });
  await later.attachments.put(given, { type: "a/b" });
  assert.equal(objects.objects.size, 2);
  objects.deleteLate();
  assert.equal(objects.objects.size, 1);
  assert((await read(later)).equals(given));
});

test("writers that put and remove the same bytes leave every session its bytes, and no object without one", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never", attachments: { in: objects } });
  const writers = [place.sessions, place.another({ ttl: "never", attachments: { in: objects } })];
  let left: readonly Session[] = [];
  for (let round = 0; round < 6; round++) {
    const made = writers.flatMap((sessions) =>
      [1, 2].map(async () => {
        const session = await sessions.create({ agent: "a" });
        await session.attachments.put(given, { type: "a/b" });
        return session;
      }),
    );
    const [sessions] = await Promise.all([Promise.all(made), Promise.all(left.map((session) => session.remove()))]);
    left = sessions;
    for (const session of left) assert((await read(session)).equals(given));
  }
  await Promise.all(left.map((session) => session.remove()));
  await sweep(place.sessions);
  assert.deepEqual(await findings(place.sessions), []);
  for (const sessions of writers) await sessions.close();
  assert.equal(objects.objects.size, 0);
});

test("an upload that exceeds the limit, or whose source or store fails, leaves no object and names its cause", async () => {
  const objects = new ObjectStore();
  const limits = { attachmentBytesMax: 2 * piece };
  await using place = inMemory({ ttl: "never", attachments: { in: objects }, limits });
  const session = await place.sessions.create({ agent: "a" });
  const put = (source: AsyncIterable<Uint8Array> | Uint8Array): Promise<unknown> =>
    session.attachments.put(source, { type: "a/b" });
  await assert.rejects(put(given), (error) => hasCode(error, "attachment_too_large"));
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield given.subarray(0, piece);
    throw new RangeError("the client went away");
  }
  await assert.rejects(put(broken()), RangeError);
  objects.before = (call) => {
    if (call === "put") throw new Error("bucket is gone");
  };
  await assert.rejects(put(given.subarray(0, 9)), (error) => {
    assert(hasCode(error, "attachment_store_failed"));
    assert.match(error.message, /bucket is gone/);
    return true;
  });
  objects.before = () => undefined;
  await sweep(place.sessions);
  assert.deepEqual(await session.attachments.list(), []);
  await place.sessions.close();
  assert.equal(objects.objects.size, 0);
});

test("bytes stream into the attachment store: no more than two pieces wait in memory", async () => {
  let made = 0;
  let taken = 0;
  let ahead = 0;
  const objects = new ObjectStore();
  const putMarker = objects.put.bind(objects);
  objects.put = async (name, bytes) => {
    if (name.startsWith("000")) return await putMarker(name, bytes);
    for await (const one of bytes) {
      taken += one.length;
      ahead = Math.max(ahead, made - taken);
    }
  };
  async function* source(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 160; index++) {
      made += 100_000;
      yield Buffer.alloc(100_000, index);
    }
  }
  await using place = inMemory({ ttl: "never", attachments: { in: objects } });
  const session = await place.sessions.create({ agent: "a" });
  const { length } = await session.attachments.put(source(), { type: "a/b" });
  assert.equal(length, 16_000_000);
  assert(ahead <= 2 * piece, `${ahead} bytes were read ahead`);
});

test("a process without the attachment store refuses to read, and leaves the object to one that has it", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never", secret, attachments: { in: objects } });
  const session = await place.sessions.create({ id: "s", agent: "a", user: "ada" });
  await session.attachments.put(given, { type: "a/b" });
  const without = place.another({ ttl: "never", secret });
  const other = await without.get("s");
  const isRefused = (error: unknown): boolean =>
    hasCode(error, "attachment_store_failed") && error.details.problem === "not_opened";
  await assert.rejects(read(other), isRefused);
  await assert.rejects(without.snapshot("s"), isRefused);
  await assert.rejects(erase(without, { user: "ada" }), isRefused);
  await sweep(without);
  assert.equal(objects.objects.size, 1);
  assert((await read(session)).equals(given), "nothing was removed");
  const receipt = await erase(place.sessions, { user: "ada" });
  assert.deepEqual([receipt.erased.sessions, receipt.erased.attachments], [1, 1]);
  assert.equal(objects.objects.size, 0);
  assert.equal(await recordsLeft(without), 0);
});

test("a process with another attachment store puts, reads, moves and erases nothing, and its doctor repairs nothing", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never", secret, attachments: { in: objects } });
  const session = await place.sessions.create({ id: "s", agent: "a", user: "ada" });
  await session.attachments.put(given, { type: "a/b" });
  const empty = new ObjectStore();
  const astray = place.another({ ttl: "never", secret, attachments: { in: empty } });
  const theirs = await astray.get("s");
  const isRefused = (error: unknown): boolean =>
    hasCode(error, "attachment_store_failed") &&
    error.details.problem === "other_store" &&
    objects.markers.has(error.details.object ?? "");
  await assert.rejects(read(theirs), isRefused);
  await assert.rejects(theirs.attachments.put(Buffer.from("other"), { type: "a/b" }), isRefused);
  await assert.rejects(moveAttachments(astray, { to: "attachments" }), isRefused);
  await assert.rejects(moveAttachments(astray, { to: "sessions" }), isRefused);
  await assert.rejects(erase(astray, { user: "ada" }), isRefused);
  const [finding, ...others] = await findings(astray, { repair: true });
  assert.match(
    finding ?? "",
    /^the bytes of 1 attachment were not read: the attachment store is not the one of these sessions/,
  );
  assert.deepEqual(others, []);
  assert((await read(session)).equals(given));
  assert.deepEqual(await findings(place.sessions), []);

  // A removal waits for a process with the right store.
  await theirs.remove();
  await sweep(astray).catch(() => undefined);
  assert.equal(objects.objects.size, 1);
  await place.clock.advance(2 * day);
  await sweep(place.sessions);
  assert.deepEqual([objects.objects.size, await recordsLeft(place.sessions)], [0, 0]);
  assert.deepEqual([empty.objects.size, empty.markers.size], [0, 0]);
});

test("two processes that put the first attachments agree on one marker", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never", attachments: { in: objects } });
  const other = place.another({ ttl: "never", attachments: { in: objects } });
  await place.sessions.create({ id: "s", agent: "a" });
  await Promise.all(
    [place.sessions, other].map(async (sessions, index) => {
      const session = await sessions.get("s");
      await session.attachments.put(Buffer.from(`file ${index}`), { type: "a/b" });
    }),
  );
  assert.deepEqual([objects.objects.size, objects.markers.size], [2, 1]);
});

test("an erasure has its receipt once the objects of its user are deleted", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never", secret, attachments: { in: objects } });
  for (const user of ["ada", "bob"]) {
    const session = await place.sessions.create({ agent: "a", user });
    await session.attachments.put(Buffer.from(user), { type: "a/b" });
  }
  objects.before = (call) => {
    if (call === "delete") throw new Error("bucket is away");
  };
  await assert.rejects(erase(place.sessions, { user: "ada" }), (error) => hasCode(error, "attachment_store_failed"));
  assert.equal(objects.objects.size, 2);
  objects.before = () => undefined;
  await erase(place.sessions, { user: "ada" });
  assert.deepEqual([...objects.objects.values()].map(String), ["bob"]);
});

test("the doctor reports missing, damaged and orphaned objects, and deletes none", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never", attachments: { in: objects } });
  const session = await place.sessions.create({ agent: "a" });
  for (const text of ["one", "two", "three"]) await session.attachments.put(Buffer.from(text), { type: "a/b" });
  const [first = "", second = "", third = ""] = [...objects.objects.keys()];
  objects.objects.delete(first);
  objects.objects.set(second, Buffer.from("xxx"));
  const orphan = `${third.slice(0, -3)}zzz`;
  objects.objects.set(orphan, Buffer.from("an orphan"));
  objects.objects.set("of another program", Buffer.from("not ours"));
  const today = await findings(place.sessions);
  assert.equal(today.length, 2, "an object of today may be on its way");
  for (const what of today) assert.match(what, /cannot be read|are missing|not those that were put/);
  await place.clock.advance(2 * day);
  assert((await findings(place.sessions)).some((what) => what.includes(orphan)));
  assert.equal(objects.objects.size, 4);
});

test("attachments move to the attachment store and back, while a reader is at work", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never" });
  const session = await place.sessions.create({ id: "s", agent: "a" });
  await session.attachments.put(given, { type: "a/b" });
  await session.attachments.put(new Uint8Array(), { type: "a/b" });
  await assert.rejects(moveAttachments(place.sessions, { to: "attachments" }), (error) =>
    hasCode(error, "attachment_store_failed"),
  );
  const sessions = place.another({ ttl: "never", attachments: { in: objects } });
  const reader = await sessions.get("s");
  for (const to of ["attachments", "sessions", "attachments"] as const) {
    const opened = (await reader.attachments.open(hash))[Symbol.asyncIterator]();
    const pieces = [(await opened.next()).value as Uint8Array];
    const report = await moveAttachments(sessions, { to });
    assert.deepEqual(report, { moved: 1, bytes: given.length, present: 1, complete: true });
    assert.equal((await moveAttachments(sessions, { to })).present, 2);
    for (let next = await opened.next(); next.done !== true; next = await opened.next()) pieces.push(next.value);
    assert(Buffer.concat(pieces).equals(given));
    assert((await read(reader)).equals(given));
    await sweep(sessions);
    assert.equal(objects.objects.size, to === "attachments" ? 1 : 0);
    assert.equal(await recordsLeft(sessions), 0);
    assert.deepEqual(await findings(sessions), []);
  }
});

test("the sweep deletes an object whose deletion failed once", async () => {
  const objects = new ObjectStore();
  await using place = inMemory({ ttl: "never", attachments: { in: objects } });
  const session = await place.sessions.create({ id: "s", agent: "a" });
  await session.attachments.put(given, { type: "a/b" });
  objects.before = (call) => {
    if (call === "delete") throw new Error("bucket is away");
  };
  await session.remove();
  const { failed } = await sweep(place.sessions);
  assert.deepEqual([failed, objects.objects.size], [1, 1]);
  objects.before = () => undefined;
  await place.clock.advance(day);
  await sweep(place.sessions);
  assert.deepEqual([objects.objects.size, await recordsLeft(place.sessions)], [0, 0]);
});

test("a put of bytes whose object is missing stores them again", async () => {
  const objects = new ObjectStore();
  const { sessions } = inMemory({ attachments: { in: objects } });
  const session = await sessions.create({ id: "s", agent: "a" });
  await session.attachments.put(given, { type: "a/b" });
  objects.objects.clear();
  const other = await sessions.create({ id: "other", agent: "a" });
  await other.attachments.put(given, { type: "a/b" });
  for (const one of [session, other]) assert((await read(one)).equals(given));
  await sessions.close();
  assert.equal(objects.objects.size, 1);
});

for (const how of waysOfObjects)
  test(`a backup of SQLite while an attachment is ${how} has the bytes of the others`, async () => {
    await guardObjects(`sqlite:${join(root, `${how}.db`)}`, join(root, `${how}-backup.db`), how);
  });

test("a copy and a backup have the bytes, and name no object of the original", async () => {
  const file = join(root, "store.db");
  const backup = join(root, "backup.db");
  const attachments = { in: folder(join(root, "files")) };
  await using from = await openSessions({ store: `sqlite:${file}`, sweep: false, attachments });
  const session = await from.create({ id: "s", agent: "a" });
  await session.attachments.put(given, { type: "a/b" });
  const base64 = given.subarray(0, 30).toString("base64");
  const hasBytes = (path: string): boolean => readFileSync(path).includes(base64);
  // The object store gives pieces of a size of its own.
  assert.equal((await from.restore(JSON.stringify(await from.snapshot("s")), { as: "again" })).id, "again");
  assert((await read(await from.get("again"))).equals(given));
  await (await from.get("again")).remove();
  assert(!hasBytes(file) && !hasBytes(`${file}-wal`));
  await assert.rejects(backupStore(`sqlite:${file}`, backup), (error) => hasCode(error, "attachment_store_failed"));
  await backupStore(`sqlite:${file}`, backup, { attachments });
  assert(hasBytes(backup));
  const [restored, copy] = [`sqlite:${join(root, "restored.db")}`, `sqlite:${join(root, "copy.db")}`];
  assert.equal((await restoreStore(backup, restored)).complete, true);
  {
    await using target = await openSessions({ store: copy, sweep: false });
    assert.equal((await copySessions(from, target, { everything: true })).complete, true);
  }
  await session.remove();
  for (const store of [restored, copy]) {
    await using sessions = await openSessions({ store, sweep: false });
    const there = await sessions.get("s");
    assert((await read(there)).equals(given));
    assert.deepEqual(await findings(sessions), []);
    await there.remove();
    assert.equal(await recordsLeft(sessions), 0);
  }
});
