import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
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
    /^skipped a: session a exists already, and differs .*a copy never replaces it, .*\[session_exists\]\ncopied and checked: 0 new records/,
  );
});
