import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { removeSession } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { Workplace } from "./command-line.ts";

test("compact gives the disk space of removed sessions back while another program has the store open", async () => {
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const kept = await sessions.create({ id: "kept" });
  for (let index = 0; index < 40; index++) {
    const session = await sessions.create({ id: `s${index}` });
    await session.append({ input: `${index}`, output: "a long answer ".repeat(5000) });
  }
  await kept.append({ input: "stays" });
  for (let index = 0; index < 40; index++) await removeSession(sessions, `s${index}`);

  const { code, stdout, stderr } = await place.run(["compact", "--json"]);
  assert.equal(code, 0, stderr);
  const file = join(place.folder, "perdure.db");
  const { bytesBefore, bytesAfter, ...rest } = JSON.parse(stdout) as { bytesBefore: number; bytesAfter: number };
  assert.deepEqual(rest, { compacted: true, file });
  assert.ok(bytesAfter < bytesBefore / 4, `${bytesBefore} ${bytesAfter}`);
  assert.ok(statSync(file).size < bytesBefore / 4);
  await kept.append({ input: "stays, too" });
  assert.equal((await sessions.get("kept")).info.turn, 2);
  const again = await place.run(["compact"]);
  assert.match(again.stderr, /^compacted .*perdure\.db: \S+ [KM]iB before, \S+ KiB after\n$/);
});

test("compact creates no store, and refuses one without a file", async () => {
  await using place = await Workplace.open();
  const missing = await place.run(["compact"]);
  assert.deepEqual([missing.code, /\[store_unavailable\]/.test(missing.stderr)], [1, true], missing.stderr);
  for (const store of ["memory:", "sqlite::memory:"]) {
    const { code, stderr } = await place.run(["compact", "--store", store]);
    assert.deepEqual([code, stderr], [2, "perdure: this store has no file; name sqlite:FILE with --store [usage]\n"]);
  }
});

test("on PostgreSQL compact says that the autovacuum does it, without a connection", async () => {
  await using place = await Workplace.open();
  const store = ["--store", "postgres://app@127.0.0.1:1/app"];
  const { code, stderr } = await place.run(["compact", ...store]);
  assert.deepEqual(
    [code, stderr],
    [0, "nothing to do: the autovacuum of PostgreSQL frees the space of removed rows for new ones\n"],
  );
  assert.equal((await place.run(["compact", ...store, "--json"])).stdout, '{"compacted":false}\n');
});
