import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statfsSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openMemory } from "../memory.ts";
import { openSqlite } from "../sqlite/open.ts";
import { diskSpaceOf, isLow } from "./disk-space.ts";

test("free space is low below 5 % of the file system and below 1 GiB", () => {
  const gib = 2 ** 30;
  const cases: readonly (readonly [number, number, boolean])[] = [
    [0.4 * gib, 10 * gib, true],
    [0.5 * gib, 10 * gib, false],
    [1.1 * gib, 1000 * gib, false],
    [0.9 * gib, 1000 * gib, true],
    [0, gib, true],
  ];
  for (const [freeBytes, totalBytes, low] of cases) assert.equal(isLow({ freeBytes, totalBytes }), low);
});

test("the space is that of the folder of the file, also behind a link, and of no store in memory", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-space-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const store = await openSqlite({ url: `sqlite:${join(folder, "a.db")}` });
  const { blocks, bsize } = statfsSync(folder);
  assert.equal((await diskSpaceOf(store.capabilities))?.totalBytes, blocks * bsize);
  await store.close();
  const away = mkdtempSync(join(tmpdir(), "perdure-space-"));
  context.after(() => rmSync(away, { recursive: true }));
  symlinkSync(join(folder, "a.db"), join(away, "a.db"));
  const linked = await openSqlite({ url: `sqlite:${join(away, "a.db")}`, access: "read" });
  assert.equal(linked.capabilities.folder, store.capabilities.folder);
  await linked.close();
  const inFile = await openSqlite({ url: "sqlite::memory:" });
  for (const { capabilities } of [openMemory(), inFile]) assert.equal(await diskSpaceOf(capabilities), undefined);
  await inFile.close();
});

test("space that cannot be read is not known", async () => {
  const { capabilities } = openMemory();
  assert.equal(await diskSpaceOf({ ...capabilities, durable: true }), null);
  assert.equal(await diskSpaceOf({ ...capabilities, durable: true, folder: "/a folder that is not there" }), null);
});
