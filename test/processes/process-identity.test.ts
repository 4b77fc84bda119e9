import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { mayLive, ownIdentity } from "../../src/sessions/instances/process-identity.ts";

const linux = process.platform === "linux" ? {} : { skip: "only Linux tells processes of one id apart" };

test("this process lives, and is named alike each time", () => {
  assert.deepEqual(ownIdentity(), ownIdentity());
  assert.equal(ownIdentity().pid, process.pid);
  assert(mayLive(ownIdentity()));
});

test("a process that has ended is known to be gone, killed or not, and also while nobody has taken note of its end", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await once(child, "spawn");
  const identity = { ...ownIdentity(), pid: child.pid ?? 0, startedAt: "" };
  assert(mayLive(identity));
  child.kill("SIGKILL");
  await once(child, "exit");
  assert(!mayLive(identity));
});

test("a later process with the same id is not taken for the earlier one", linux, () => {
  const own = ownIdentity();
  assert.match(own.startedAt, /^\d+$/);
  assert(!mayLive({ ...own, startedAt: String(Number(own.startedAt) - 1) }));
});

test("a process that this user may not look at is taken for alive while it exists, and for gone when it does not", () => {
  const own = ownIdentity();
  const hidden = { statOf: () => undefined };
  assert(mayLive(own, { ...hidden, exists: () => true }));
  assert(!mayLive(own, { ...hidden, exists: () => false }));
});

test("of other machines nothing is known here: their processes may live", () => {
  assert(mayLive({ ...ownIdentity(), machine: "another", pid: 999_999_999 }));
});
