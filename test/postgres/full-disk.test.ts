/**
 * A database that has no room left fails by name and keeps nothing half; once there is room, the same call succeeds. On a
 * file system that is really full, where this user may mount one, and in any case on a server that says it is.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chownSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { removeSession, copySessions, erase, importSessions, backupStore, restoreStore } from "../../src/admin.ts";
import { hasCode, openSessions, type Sessions } from "../../src/index.ts";
import { linesOf } from "../support/backup-cases.ts";
import { assertSound } from "../crash/engines.ts";
import { mountSmall, skipFor } from "../support/small-disk.ts";
import { owner, PostgresServer, query } from "./server.ts";
import { isThorough } from "../support/rounds.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-full-"));
const closing = new DisposableStack();
let server: PostgresServer;
let mountProblem: string | undefined;
let databases = 0;

before(async () => {
  server = await PostgresServer.start();
  const small = join(root, "small");
  mountProblem = mountSmall(small, closing, "64m");
  if (mountProblem !== undefined) return;
  const { uid, gid } = owner();
  if (uid !== undefined && gid !== undefined) for (const folder of [root, small]) chownSync(folder, uid, gid);
  // The log of writes is elsewhere: where that has no room, the server stops.
  await query(server.url(), `create tablespace small location '${small}'`);
});
after(async () => {
  await server[Symbol.asyncDispose]();
  closing.dispose();
  rmSync(root, { recursive: true });
});

interface Small extends AsyncDisposable {
  readonly url: string;
  /** Leave no room, or hardly any. */
  fill(): Promise<void>;
  empty(): Promise<void>;
}

type Way = "on a full file system" | "on a server that says so";
const ways: readonly Way[] = ["on a full file system", "on a server that says so"];

async function smallDatabase(way: Way, context: TestContext): Promise<Small | undefined> {
  const isReal = way === "on a full file system";
  if (isReal && skipFor(mountProblem, context)) return undefined;
  // A quick run has the full file system where it may mount one.
  const isSeen = !isReal && !isThorough && mountProblem === undefined;
  if (isSeen && skipFor("PERDURE_TEST_THOROUGH is not set", context)) return undefined;
  const name = `full_${++databases}`;
  const url = await server.createDatabase(name, isReal ? "tablespace small" : "");
  await (await openSessions({ store: url, sweep: false })).close();
  const disk = isReal ? realDisk(join(root, "small")) : saidDisk(url);
  return {
    url,
    ...disk,
    async [Symbol.asyncDispose]() {
      if (isReal) await disk.empty();
      await query(server.url(), `drop database ${name} with (force)`);
    },
  };
}

function realDisk(folder: string): Pick<Small, "fill" | "empty"> {
  const filler = join(folder, "filler");
  return {
    async fill() {
      const { bavail, bsize } = statfsSync(folder);
      writeFileSync(filler, Buffer.alloc(bavail * bsize));
    },
    async empty() {
      rmSync(filler, { force: true });
    },
  };
}

/** The doctor tells of a trigger that is none of ours. */
const theRefusal = /^trigger refuse of entries /;

/** From the fifth row on that comes to the log of entries, or the second time, from the first. */
function saidDisk(url: string): Pick<Small, "fill" | "empty"> {
  const refuse = `begin
    if nextval('rows_with_room') > 5 then
      raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
    end if;
    return new;
  end`;
  return {
    async fill() {
      await query(url, "create sequence if not exists rows_with_room");
      await query(url, `create or replace function refuse() returns trigger language plpgsql as $$ ${refuse} $$`);
      await query(url, "create trigger refuse before insert on perdure.entries for each row execute function refuse()");
    },
    async empty() {
      await query(url, "drop trigger refuse on perdure.entries");
    },
  };
}

/** Some 3 MB of sessions that take as much wherever they are kept, in memory. */
async function stocked(): Promise<Sessions> {
  const sessions = await openSessions({ store: "memory:", sweep: false });
  for (let index = 0; index < 40; index++) {
    const session = await sessions.create({ id: `s${index}`, user: "ada", instructions: "Be brief." });
    for (let turn = 0; turn < 4; turn++) await session.append({ input: `${index} ${turn} ${random(20_000)}` });
  }
  return sessions;
}

/** A text that does not get smaller by packing. */
function random(length: number): string {
  return randomBytes((length * 3) / 4).toString("base64");
}

for (const way of ways) {
  test(`an import and a copy on a full disk continue once there is room: ${way}`, async (context) => {
    await using source = await stocked();
    const lines = await linesOf(source);
    const moves: readonly ((target: Sessions) => Promise<{ present: number; restored: number; skipped: number }>)[] = [
      (target) => importSessions(target, lines),
      (target) => copySessions(source, target),
    ];
    for (const move of moves) {
      await using disk = await smallDatabase(way, context);
      if (disk === undefined) return;
      await using target = await openSessions({ store: disk.url, sweep: false });
      await disk.fill();
      await assert.rejects(move(target), { code: "store_full" });
      const landed = await linesOf(target);
      assert(landed.length < lines.length && landed.every((line) => lines.includes(line)), "whole or not at all");
      await disk.empty();
      const { present, restored, skipped } = await move(target);
      assert.deepEqual([present + restored, skipped], [lines.length, 0]);
      assert.deepEqual(await linesOf(target), lines);
      await assertSound(target);
    }
  });

  test(`a restore of a backup on a full disk continues once there is room: ${way}`, async (context) => {
    await using disk = await smallDatabase(way, context);
    if (disk === undefined) return;
    const from = `sqlite:${join(root, `restore-${databases}.db`)}`;
    await using memory = await stocked();
    await using original = await openSessions({ store: from, sweep: false });
    await copySessions(memory, original);
    const file = join(root, `backup-${databases}`);
    await backupStore(from, file);
    await disk.fill();
    await assert.rejects(restoreStore(file, disk.url), { code: "store_full" });
    await disk.empty();
    const { skipped, complete } = await restoreStore(file, disk.url);
    assert.deepEqual([skipped, complete], [0, true]);
    await using restored = await openSessions({ store: disk.url, sweep: false });
    assert.deepEqual(await linesOf(restored), await linesOf(original));
    await assertSound(restored);
  });

  test(`an append, a fork and an archive on a full disk leave everything as it was: ${way}`, async (context) => {
    await using disk = await smallDatabase(way, context);
    if (disk === undefined) return;
    await using sessions = await openSessions({ store: disk.url, sweep: false });
    const session = await sessions.create({ id: "s" });
    for (let turn = 1; turn <= 40; turn++) await session.append({ input: random(20_000) });
    const turns = await Array.fromAsync(session.turns());
    const works: readonly (() => Promise<unknown>)[] = [
      () => session.append({ input: random(100_000) }),
      () => session.fork(),
      async () => {
        await session.archive();
        await session.unarchive();
      },
    ];
    await disk.fill();
    for (const work of works) await untilFull(work);
    await session.refresh();
    assert.deepEqual((await Array.fromAsync(session.turns())).slice(0, 40), turns);
    await assertSound(sessions, theRefusal);
    await disk.empty();
    await session.refresh();
    if (session.info.state === "archived") await session.unarchive();
    for (const work of works) await work();
    await session.archive();
    assert.deepEqual((await Array.fromAsync(session.turns())).slice(0, 40), turns);
    await assertSound(sessions);
  });

  test(`an erasure on a full disk fails with that error, and its continuation counts each record once: ${way}`, async (context) => {
    await using disk = await smallDatabase(way, context);
    if (disk === undefined) return;
    await using memory = await stocked();
    await using sessions = await openSessions({ store: disk.url, sweep: false, secret: "a secret for tests only" });
    await copySessions(memory, sessions);
    // To give these their own takes room.
    for (let index = 0; index < 40; index += 4) {
      const fork = await (await sessions.get(`s${index}`)).fork({ as: `f${index}` });
      await fork.update({ user: "bob" });
    }
    await disk.fill();
    await assert.rejects(erase(sessions, { user: "ada" }), { code: "store_full" });
    await assertSound(sessions, theRefusal);
    await disk.empty();
    const { erased, sharedForks } = await erase(sessions, { user: "ada" });
    assert.deepEqual([erased.sessions, erased.turns, sharedForks.count], [40, 160, 10]);
    for (const { id } of (await sessions.list({ user: "bob" })).items) {
      assert.equal((await Array.fromAsync((await sessions.get(id)).turns())).length, 4);
    }
    await assertSound(sessions);
  });
}

/** Do it until there is no room for it; rows and pages that are there already may have some. */
async function untilFull(work: () => Promise<unknown>): Promise<void> {
  for (let round = 0; round < 200; round++) {
    try {
      await work();
    } catch (error) {
      if (!hasCode(error, "store_full")) throw error;
      return;
    }
  }
  assert.fail("there was room all along");
}

test("a backup to a full disk leaves no file, and succeeds once there is room", async (context) => {
  using disposing = new DisposableStack();
  const folder = join(root, "backups");
  if (skipFor(mountSmall(folder, disposing), context)) return;
  const url = await server.createDatabase("backed_up");
  await using memory = await stocked();
  await using sessions = await openSessions({ store: url, sweep: false });
  await copySessions(memory, sessions);
  const file = join(folder, "monday.ndjson.gz");
  await assert.rejects(backupStore(url, file), { code: "store_full" });
  assert.deepEqual(readdirSync(folder), []);
  for (let index = 5; index < 40; index++) await removeSession(sessions, `s${index}`);
  await backupStore(url, file);
  assert.deepEqual(readdirSync(folder), ["monday.ndjson.gz"]);
});
