import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { mayLive, ownIdentity } from "../../src/sessions/instances/process-identity.ts";

const linux = process.platform === "linux" ? {} : { skip: "only Linux tells processes of one id apart" };

test("this process counts as alive, and its identity is the same each time", () => {
  assert.deepEqual(ownIdentity(), ownIdentity());
  assert.equal(ownIdentity().pid, process.pid);
  assert(mayLive(ownIdentity()));
});

test("a process that has ended counts as dead, killed or not, and also as a zombie", async () => {
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

test("a process hidden from this user counts as alive while it exists, and as dead afterwards", () => {
  const own = ownIdentity();
  const hidden = { statOf: () => undefined };
  assert(mayLive(own, { ...hidden, exists: () => true }));
  assert(!mayLive(own, { ...hidden, exists: () => false }));
});

test("a process of another machine counts as possibly alive", () => {
  assert(mayLive({ ...ownIdentity(), machine: "another", pid: 999_999_999 }));
});
