import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inMemory } from "../../test/in-memory.ts";
import { createConversations, createNasty } from "../../test/nasty-sessions.ts";
import { openSessions, type Sessions } from "../index.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-copying-"));
after(() => rmSync(root, { recursive: true }));

async function linesOf(sessions: Sessions): Promise<string[]> {
  return (await Array.fromAsync(sessions.export())).map(({ text }) => text);
}

test("everything goes over, all tenants, devices and keys, and copying again changes nothing", async () => {
  const secret = "a secret of the tests";
  await using from = inMemory({ secret });
  await using to = await openSessions({ store: `sqlite:${join(root, "all.db")}`, sweep: false, secret });
  const other = from.sessions.for("other");
  await createNasty(from.sessions);
  await createConversations(other);
  const device = randomUUID();
  const session = await from.sessions.device(device, { agent: "ceo" });
  await session.append({ input: "from a device" });
  const { token } = await from.sessions.keys.create({ name: "backend" });

  const { bytes, ...report } = await from.sessions.copyTo(to, { everything: true });
  assert(bytes > 10_000);
  assert.deepEqual([report.present, report.replaced, report.skipped, report.complete], [0, 0, 0, true]);
  const again = await from.sessions.copyTo(to, { everything: true });
  assert.deepEqual([again.restored, again.present, again.replaced], [0, report.restored, 0]);
  assert.deepEqual(await linesOf(to), await linesOf(from.sessions));
  assert.deepEqual(await linesOf(to.for("other")), await linesOf(other));
  assert.equal((await to.device(device)).id, session.id);
  assert.equal((await to.keys.list())[0]?.name, "backend");
  assert.equal((await to.keys.verify(token))?.right, "write");
});

test("a tenant goes over alone, into the tenant that takes it", async () => {
  await using from = inMemory();
  await using to = inMemory();
  await from.sessions.create({ id: "a" });
  await from.sessions.for("shop").create({ id: "b" });
  const { restored } = await from.sessions.for("shop").copyTo(to.sessions.for("store"));
  assert.equal(restored, 1);
  assert.deepEqual((await to.sessions.list()).sessions, []);
  assert.equal((await to.sessions.for("store").list()).sessions[0]?.id, "b");
});

for (const everything of [false, true]) {
  test(`whose words forks hold goes over with ${everything ? "everything" : "their tenant"}, so an erasure there finds them`, async () => {
    const secret = "a secret of the tests";
    await using from = inMemory({ secret });
    await using to = inMemory({ secret });
    const [shop, store] = [from.sessions.for("shop"), to.sessions.for("shop")];
    const hers = await shop.create({ id: "ada's", user: "ada" });
    await hers.append({ input: "a word of Ada's" });
    const bobs = await hers.fork({ as: "bob's" });
    await bobs.update({ user: "bob" });
    await (await bobs.fork({ as: "carol's" })).update({ user: "carol" });
    const gone = await shop.create({ id: "gone", user: "ada" });
    await gone.append({ input: "another word of Ada's" });
    await (await gone.fork({ as: "dan's" })).update({ user: "dan" });
    await shop.remove("gone");

    const first = await (everything ? from.sessions : shop).copyTo(everything ? to.sessions : store, { everything });
    assert.deepEqual([first.skipped, first.complete], [0, true]);
    const found = ["bob's", "carol's", "dan's"];
    assert.deepEqual((await store.traces("ada")).sharedForks.ids.toSorted(), found);
    // What the source writes down later is no other mark than the copy has.
    await shop.remove("ada's");
    const again = await (everything ? from.sessions : shop).copyTo(everything ? to.sessions : store, { everything });
    assert.deepEqual([again.skipped, again.complete], [0, true]);
    assert.deepEqual((await store.traces("ada")).sharedForks.ids.toSorted(), found);
    await shop.erase({ user: "ada" });
    assert.equal(
      (await (everything ? from.sessions : shop).copyTo(everything ? to.sessions : store, { everything })).skipped,
      0,
    );
    const { sharedForks } = await store.erase({ user: "ada", forks: "erase" });
    assert.deepEqual([sharedForks.count, (await store.list()).sessions], [0, []]);
  });
}

test("sessions that went on since are brought up to date; others of the same id are left alone", async () => {
  await using from = inMemory();
  await using to = inMemory();
  for (const id of ["grown", "begun", "other", "newer"]) {
    await (await from.sessions.create({ id })).append({ input: `${id} of ours` });
  }
  await (await to.sessions.create({ id: "other" })).append({ input: "theirs" });
  const begun = await (await from.sessions.get("begun")).begin("long?");
  const first = await from.sessions.copyTo(to.sessions);
  assert.deepEqual([first.restored, first.skipped, first.complete], [3, 1, true]);
  assert.deepEqual(
    first.reasons.map(({ source, code }) => [source, code]),
    [["other", "session_exists"]],
  );

  await from.clock.advance(60_000);
  await to.clock.advance(90_000);
  await (await from.sessions.get("grown")).append({ input: "more" });
  await begun.seal({ output: [{ role: "assistant", content: "answered" }] });
  await (await to.sessions.get("newer")).append({ input: "written there" });
  const second = await from.sessions.copyTo(to.sessions);
  assert.deepEqual([second.restored, second.replaced, second.skipped], [0, 2, 2]);
  for (const id of ["grown", "begun"])
    assert.deepEqual(await to.sessions.snapshot(id), await from.sessions.snapshot(id));
  assert.equal((await to.sessions.get("newer")).info.turn, 2);
});

test("a store that is written to all the while is copied, each session as it was at some moment", async () => {
  const from = await openSessions({ store: `sqlite:${join(root, "busy.db")}`, sweep: false });
  const to = await openSessions({ store: `sqlite:${join(root, "busy-copy.db")}`, sweep: false });
  const sessions = await Promise.all(Array.from({ length: 60 }, (_, index) => from.create({ id: `s${index}` })));
  let writing = true;
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let turn = 0; writing; turn++) {
      const session = sessions[(turn * 8 + writer) % 60];
      await session?.append({ input: `turn ${session.info.turn + 1}`, output: "answer" });
    }
  });
  const during = await from.copyTo(to);
  writing = false;
  await Promise.all(writers);
  assert.equal(during.skipped, 0, JSON.stringify(during.reasons));
  for (const { id } of (await to.list()).sessions) {
    const turns = await Array.fromAsync((await to.get(id)).turns());
    turns.forEach(({ input }, index) => assert.equal(input[0]?.content, `turn ${index + 1}`));
  }
  const { complete, skipped } = await from.copyTo(to);
  assert.deepEqual([complete, skipped], [true, 0]);
  assert.deepEqual(await linesOf(to), await linesOf(from));
  await from.close();
  await to.close();
});
