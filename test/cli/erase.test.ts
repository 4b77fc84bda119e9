import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ErasureReceipt } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { Workplace } from "./command-line.ts";

const none = { count: 0, legalHold: 0, ids: [] };

test("a dry run counts a user's data, an erasure deletes it with a valid receipt, and no word is left in the file", async () => {
  await using place = await Workplace.open();
  {
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    for (const id of ["one", "two"]) {
      const session = await sessions.create({ id, user: "ada" });
      await session.append({ input: "a very private word" });
    }
    await (await sessions.get("two")).setLegalHold("case 4711");
    await sessions.documents("notes").put("k", "a word", { user: "ada" });
    await (await sessions.create({ id: "three", user: "bob" })).append({ input: "a word of Bob's" });
  }
  const dry = await place.run(["erase", "--user", "ada", "--dry-run", "--json"]);
  assert.deepEqual(JSON.parse(dry.stdout), {
    sessions: 2,
    legalHold: 1,
    devices: 0,
    pointers: 0,
    documents: { count: 1, keys: [{ scope: "notes", key: "k" }] },
    outbox: 0,
    sharedForks: none,
  });
  const first = await place.run(["erase", "--user", "ada"]);
  assert.equal(first.code, 1, first.stderr);
  assert.match(
    first.stderr,
    /^erased: 1 session with 1 turn, 0 devices, 1 document, 0 attachments; incomplete: legal holds keep 1 session\n$/,
  );
  assert.equal((JSON.parse(first.stdout) as ErasureReceipt).legalHold, 1);
  const path = join(place.folder, "receipt.json");
  await writeFile(path, first.stdout);
  const incomplete = await place.run(["erase", "--user", "ada", "--verify", path]);
  assert.equal(incomplete.code, 0);
  assert.match(incomplete.stderr, /; incomplete: legal holds keep 1 session\n$/);
  assert.equal((await place.run(["sessions", "legal-hold", "two", "--clear"])).code, 0);
  const second = await place.run(["erase", "--user", "ada"]);
  const receipt = JSON.parse(second.stdout) as ErasureReceipt;
  assert.deepEqual([receipt.erased.sessions, receipt.legalHold, receipt.store], [1, 0, "sqlite:perdure.db"]);
  const file = await readFile(join(place.folder, "perdure.db"));
  assert(!file.includes("a very private word") && file.includes("a word of Bob's"));

  await writeFile(path, second.stdout);
  assert.equal((await place.run(["erase", "--user", "ada", "--verify", path])).code, 0);
  const wrong = await place.run(["erase", "--user", "bob", "--verify", path]);
  assert.deepEqual([wrong.code, /\[receipt_invalid\]/.test(wrong.stderr)], [1, true]);
  await writeFile(path, second.stdout.replace('"sessions":1', '"sessions":2'));
  assert.equal((await place.run(["erase", "--user", "ada", "--verify", path])).code, 1);
  assert.equal((await place.run(["erase", "--user", "ada", "--verify", "nowhere"])).code, 3);
  assert.equal((await place.run(["sessions", "list", "--user", "bob"])).stdout.split("\n").length, 3);
});

test("forks of others with words of the user are named, with exit code 1 for an incomplete erasure, until they are erased too", async () => {
  await using place = await Workplace.open();
  {
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const session = await sessions.create({ id: "one", user: "ada" });
    await session.append({ input: "a very private word" });
    for (const user of ["bob", "carol"]) await (await session.fork({ as: `${user}'s` })).update({ user });
    await (await sessions.get("carol's")).setLegalHold("case 4711");
  }
  const text =
    /incomplete: text of this user is still in 2 sessions of others \((bob's, carol's|carol's, bob's)\), 1 of them under legal hold/;
  const dry = await place.run(["erase", "--user", "ada", "--dry-run"]);
  assert.match(dry.stderr, text);
  const first = await place.run(["erase", "--user", "ada"]);
  assert.equal(first.code, 1);
  assert.match(first.stderr, text);
  const path = join(place.folder, "receipt.json");
  await writeFile(path, first.stdout);
  const verified = await place.run(["erase", "--user", "ada", "--verify", path]);
  assert.deepEqual([verified.code, text.test(verified.stderr)], [0, true], verified.stderr);
  assert.match((await place.run(["erase", "--user", "ada", "--dry-run"])).stderr, text);

  const second = await place.run(["erase", "--user", "ada", "--with-forks"]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /incomplete: .* in 1 session of others \(carol's\), 1 of them under legal hold/);
  assert.equal((await place.run(["sessions", "legal-hold", "carol's", "--clear"])).code, 0);
  const third = await place.run(["erase", "--user", "ada", "--with-forks"]);
  assert.equal(third.code, 0, third.stderr);
  assert.match(
    third.stderr,
    /^erased: 1 session with 1 turn, 0 devices, 0 documents, 0 attachments; nothing else is left\n$/,
  );
  assert(!(await readFile(join(place.folder, "perdure.db"))).includes("a very private word"));
});

test("a guest is erased by the id of the device, with a receipt that verifies for this device", async () => {
  await using place = await Workplace.open({ PERDURE_SECRET: "a secret for this test" });
  const [phone, other] = [randomUUID(), randomUUID()];
  {
    await using sessions = await openSessions({
      store: place.storeUrl,
      sweep: false,
      secret: "a secret for this test",
    });
    for (const device of [phone, other]) await (await sessions.devices.open(device)).append({ input: "a word" });
  }
  const dry = await place.run(["erase", "--device", phone, "--dry-run", "--json"]);
  const counts = {
    sessions: 1,
    legalHold: 0,
    devices: 1,
    pointers: 0,
    documents: { count: 0, keys: [] },
    outbox: 0,
    sharedForks: none,
  };
  assert.deepEqual(JSON.parse(dry.stdout), counts);
  const { code, stdout, stderr } = await place.run(["erase", "--device", phone]);
  assert.deepEqual(
    [code, stderr],
    [0, "erased: 1 session with 1 turn, 1 device, 0 documents, 0 attachments; nothing else is left\n"],
  );
  const path = join(place.folder, "receipt.json");
  await writeFile(path, stdout);
  assert.equal((await place.run(["erase", "--device", phone, "--verify", path])).code, 0);
  assert.match((await place.run(["erase", "--device", other, "--verify", path])).stderr, /\[receipt_invalid\]/);
  for (const named of [[], ["--user", "ada", "--device", phone]]) {
    const refused = await place.run(["erase", ...named]);
    assert.deepEqual(
      [refused.code, refused.stderr],
      [2, "perdure: name the user with --user, or the guest with --device [usage]\n"],
    );
  }
  assert.match((await place.run(["erase", "--device", "no uuid"])).stderr, /\[id_invalid\]/);
});
