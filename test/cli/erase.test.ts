import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openSessions, type ErasureReceipt } from "../../src/index.ts";
import { Workplace } from "./command-line.ts";

test("a user is looked at, erased and proven to be, and no word is left in the file", async () => {
  await using place = await Workplace.open();
  {
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    for (const id of ["one", "two"]) {
      const session = await sessions.create({ id, user: "ada" });
      await session.append({ input: "a very private word" });
    }
    await (await sessions.get("two")).hold("case 4711");
    await (await sessions.create({ id: "three", user: "bob" })).append({ input: "a word of Bob's" });
  }
  const dry = await place.run(["erase", "--user", "ada", "--dry-run", "--json"]);
  assert.deepEqual(JSON.parse(dry.stdout), { sessions: 2, held: 1, devices: 0, ways: 0, outbox: 0 });
  const first = await place.run(["erase", "--user", "ada"]);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /^erased: 1 sessions with 1 turns, 0 devices; .*; 1 sessions are under hold and stay\n$/);
  assert.equal((JSON.parse(first.stdout) as ErasureReceipt).held, 1);
  assert.equal((await place.run(["sessions", "unhold", "two"])).code, 0);
  const second = await place.run(["erase", "--user", "ada"]);
  const receipt = JSON.parse(second.stdout) as ErasureReceipt;
  assert.deepEqual([receipt.erased.sessions, receipt.held, receipt.store], [1, 0, "sqlite:perdure.db"]);
  const file = await readFile(join(place.folder, "perdure.db"));
  assert(!file.includes("a very private word") && file.includes("a word of Bob's"));

  const path = join(place.folder, "receipt.json");
  await writeFile(path, second.stdout);
  assert.equal((await place.run(["erase", "--user", "ada", "--verify", path])).code, 0);
  const wrong = await place.run(["erase", "--user", "bob", "--verify", path]);
  assert.deepEqual([wrong.code, /\[receipt_invalid\]/.test(wrong.stderr)], [1, true]);
  await writeFile(path, second.stdout.replace('"sessions":1', '"sessions":2'));
  assert.equal((await place.run(["erase", "--user", "ada", "--verify", path])).code, 1);
  assert.equal((await place.run(["erase", "--user", "ada", "--verify", "nowhere"])).code, 2);
  assert.equal((await place.run(["sessions", "list", "--user", "bob"])).stdout.split("\n").length, 3);
});
