import assert from "node:assert/strict";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { folder } from "../../src/files/attachments/folder.ts";
import { Workplace } from "./command-line.ts";

test("a tenant is copied alone, and sessions that cannot be copied are reported with exit code 1", async () => {
  await using place = await Workplace.open();
  const to = `sqlite:${join(place.folder, "other.db")}`;
  await using source = await openSessions({ store: place.storeUrl, sweep: false });
  await using target = await openSessions({ store: to, sweep: false });
  await source.create({ id: "a" });
  await (await source.for("shop").create({ id: "b" })).append({ input: "ours" });
  const args = ["copy", "--from", place.storeUrl, "--to", to];
  const { stdout } = await place.run([...args, "--tenant", "shop", "--json"]);
  const { bytes, ...report } = JSON.parse(stdout) as { bytes: number };
  assert(bytes > 0);
  assert.deepEqual(report, {
    restored: 1,
    restoredKinds: { sessions: 1, attachments: 0, others: 0 },
    present: 0,
    replaced: 0,
    removed: 0,
    skipped: 0,
    reasons: [],
    orphaned: 0,
    orphans: [],
    unsettled: [],
    complete: true,
  });
  await (await target.create({ id: "a" })).append({ input: "theirs" });
  const second = await place.run(args);
  assert.equal(second.code, 1);
  assert.match(
    second.stderr,
    /^skipped a: session a exists already, and differs .*a copy never replaces it, .*\[session_exists\]\ncopied and checked: 0 new sessions, 0 new attachments, 0 other new records/,
  );
});

test("copy and backup name an attachment whose bytes are lost, and count attachments apart from sessions", async () => {
  await using place = await Workplace.open();
  const files = join(place.folder, "files");
  const env = { PERDURE_ATTACHMENTS: files };
  const sessions = await openSessions({ store: place.storeUrl, sweep: false, attachments: { in: folder(files) } });
  const { attachments } = await sessions.create({ id: "a" });
  const kept = await attachments.put(Buffer.from("kept"), { type: "text/plain" });
  const before = new Set(readdirSync(files, { recursive: true, encoding: "utf8" }));
  const { hash } = await attachments.put(Buffer.from("lost"), { type: "text/plain" });
  await sessions.close();
  assert.notEqual(kept.hash, hash);
  const run = (...args: readonly string[]) => place.run(args, { env });
  const whole = await run("backup", "create", "whole.db");
  assert.match(
    whole.stderr,
    /^backed up 1 session, 2 attachments, \d other records \(devices, keys, .*\) with \d+ entries to /,
  );
  for (const name of readdirSync(files, { recursive: true, encoding: "utf8" }))
    if (!before.has(name) && statSync(join(files, name)).isFile()) rmSync(join(files, name));
  const lost = `the bytes of attachment ${hash} are missing, or are not those that were put; a backup may have them`;
  const made = await run("backup", "create", "part.db");
  assert.equal(made.code, 1);
  assert(
    made.stderr.startsWith(
      `skipped attachment ${hash} of tenant default: ${lost}\nbacked up 1 session, 1 attachment, `,
    ),
    made.stderr,
  );
  const copied = await run("copy", "--from", place.storeUrl, "--to", "sqlite:copy.db");
  assert.equal(copied.code, 1);
  assert(
    copied.stderr.startsWith(
      `skipped attachment ${hash}: ${lost} [store_invalid]\ncopied and checked: 1 new session, 1 new attachment, `,
    ),
    copied.stderr,
  );
});
