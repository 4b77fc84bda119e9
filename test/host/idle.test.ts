/** Sessions that nobody speaks to cost little while they live, and nothing while they sleep. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { count } from "./idle-sessions.ts";

test(`${count} idle sessions live on one timer and at most 4 KiB each, and all go to sleep`, (t) => {
  const program = fileURLToPath(new URL("idle-sessions.ts", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  t.diagnostic(stdout.trim());
});
