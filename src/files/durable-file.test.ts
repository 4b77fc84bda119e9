import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeDurably } from "./durable-file.ts";

test("a database made under a temporary name leaves no log file, whether making it succeeded or not", async () => {
  using closing = new DisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "perdure-durable-"));
  closing.defer(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "monday.db");
  const make = async (temporary: string): Promise<void> => {
    for (const end of ["", "-journal", "-wal", "-shm"]) writeFileSync(temporary + end, "said");
  };
  const failing = makeDurably(file, async (temporary) => {
    await make(temporary);
    throw new Error("the disk is gone");
  });
  await assert.rejects(failing, /the disk is gone/);
  assert.deepEqual(readdirSync(folder), []);
  await makeDurably(file, make);
  assert.deepEqual(readdirSync(folder), ["monday.db"]);
});
