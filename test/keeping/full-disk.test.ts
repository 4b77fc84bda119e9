/** A disk that is full under an archive or an erasure fails by name and loses nothing; once there is room, it goes on. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { openSessions, type Sessions } from "../../src/index.ts";
import { mountSmall, skipFor } from "../support/small-disk.ts";
import { doctor, findReferences, erase, type Finding } from "../../src/admin.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-full-"));
after(() => rmSync(root, { recursive: true }));

interface Small extends AsyncDisposable {
  readonly sessions: Sessions;
  fill(): void;
  empty(): void;
}

/** A store on a file system of 1.5 MiB, of which it takes about half: a vacuum needs the other half. */
async function smallStore(name: string, context: TestContext): Promise<Small | undefined> {
  const closing = new DisposableStack();
  const folder = join(root, name);
  if (skipFor(mountSmall(folder, closing, "1536k"), context)) return undefined;
  const sessions = await openSessions({
    store: `sqlite:${join(folder, "s.db")}`,
    sweep: false,
    secret: "a secret for tests only",
  });
  for (let index = 0; index < 6; index++) {
    const session = await sessions.create({ id: `s${index}`, user: "ada" });
    for (let turn = 0; turn < 4; turn++) await session.append({ input: `${index} ${turn} ${"x".repeat(4000)}` });
  }
  const filler = join(folder, "filler");
  return {
    sessions,
    fill() {
      const { bavail, bsize } = statfsSync(folder);
      writeFileSync(filler, Buffer.alloc(bavail * bsize));
    },
    empty: () => rmSync(filler),
    async [Symbol.asyncDispose]() {
      await sessions.close();
      closing.dispose();
    },
  };
}

test("an archive on a full disk leaves the session as it was, and succeeds once there is room", async (context) => {
  await using disk = await smallStore("archive", context);
  if (disk === undefined) return;
  const session = await disk.sessions.get("s1");
  const turns = await Array.fromAsync(session.turns());
  disk.fill();
  // The log of writes may have some room of its own left.
  let refused: unknown;
  for (let round = 0; refused === undefined && round < 20; round++) {
    refused = await session.archive().catch((error: unknown) => error);
    if (refused === true) refused = await session.unarchive().catch((error: unknown) => error);
    if (refused === true) refused = undefined;
  }
  assert.equal((refused as { code?: string }).code, "store_full");
  assert.deepEqual(await Array.fromAsync(session.turns()), turns);
  disk.empty();
  await session.refresh();
  await session.archive();
  assert.equal((await session.refresh()).state, "archived");
  assert.deepEqual(await Array.fromAsync(session.turns()), turns);
});

test("an erasure on a full disk fails with that error and without a receipt, and its continuation counts each record once", async (context) => {
  await using disk = await smallStore("erase", context);
  if (disk === undefined) return;
  disk.fill();
  await assert.rejects(erase(disk.sessions, { user: "ada" }), { code: "store_full" });
  disk.empty();
  const { erased } = await erase(disk.sessions, { user: "ada" });
  assert.deepEqual([erased.sessions, erased.turns], [6, 24]);
  assert.equal((await findReferences(disk.sessions, "ada")).sessions, 0);
});

test("the doctor reports a disk with less than 5 % free, and its space", async (context) => {
  await using disk = await smallStore("doctor", context);
  if (disk === undefined) return;
  const look = async (): Promise<[readonly Finding[], number | undefined]> => {
    const found: Finding[] = [];
    const report = await doctor(disk.sessions, { onFinding: (finding) => found.push(finding) });
    return [found, report.disk?.freeBytes];
  };
  const [none, free = 0] = await look();
  assert.deepEqual([none, free > 0], [[], true]);
  disk.fill();
  const [found, left] = await look();
  assert.equal(left, 0);
  assert.deepEqual(
    found.map(({ kind, session, fix }) => [kind, session, fix]),
    [["disk", null, null]],
  );
  assert.match(found[0]?.what ?? "", /^its disk has 0 of 1 MiB free; /);
  assert.equal((await disk.sessions.health()).disk?.freeBytes, 0);
});
