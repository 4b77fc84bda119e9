/** Words of an erased user that came from devices, or that wait in the outbox. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { InMemory } from "../../../test/support/in-memory.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import { openSessions } from "../../open.ts";
import type { Session } from "../session/session.ts";
import { coreOf, type Sessions } from "../sessions.ts";
import { erase, findReferences } from "../../admin.ts";
import { secret, day, ada, none, place, talk, idsIn, noReferences } from "../../../test/support/erased-user.ts";

async function link(sessions: Sessions, device: string, to: string): Promise<Session> {
  return await sessions.devices.link(device, (await sessions.devices.linkCode(to)).code);
}

/** As an older version leaves a store. */
async function removeMarks({ sessions, store }: InMemory): Promise<void> {
  const tenant = internalScope("default", "shared-forks");
  const { records } = await store.find({ order: "key", tenant, now: 0, limit: 100 });
  assert(records.length > 0);
  for (const record of records) await coreOf(sessions).commit([removeSession(record)]);
}

test("every session that a device had as a guest is deleted with the user that claims the device", async () => {
  for (const then of [
    "stays",
    "was claimed under an older version",
    "is unlinked",
    "is claimed by another",
    "joins another's device",
  ]) {
    await using here = place({ ttl: "30d" });
    const { sessions } = here;
    const [phone, tablet] = [randomUUID(), randomUUID()];
    await talk(await sessions.devices.open(tablet), 1, "a word of another guest's");
    await talk(await sessions.devices.open(phone));
    await here.clock.advance(31 * day);
    await talk(await sessions.devices.open(phone));
    await talk(await sessions.devices.open(tablet), 1, "a word of another guest's");
    await link(sessions, phone, tablet);
    await sessions.devices.unlink(phone);
    await talk(await sessions.devices.open(phone));
    await link(sessions, phone, tablet);
    await sessions.devices.claim(phone, ada);
    await talk(await sessions.devices.open(phone));
    const shared = (await sessions.devices.open(tablet)).id;
    if (then.startsWith("was claimed")) await removeMarks(here);
    if (then === "is unlinked") await sessions.devices.unlink(phone);
    if (then === "is claimed by another") await sessions.devices.claim(phone, "bob");
    if (then === "joins another's device") {
      await sessions.devices.claim(tablet, "bob");
      await link(sessions, phone, tablet);
    }
    if (/^(is|joins)/.test(then)) await talk(await sessions.devices.open(phone), 1, "a word of Bob's");
    assert.equal((await findReferences(sessions, ada)).sessions, 4, then);
    const bobs = await findReferences(sessions, "bob");
    assert.equal(bobs.sessions, then === "is claimed by another" ? 1 : then === "joins another's device" ? 2 : 0, then);
    const receipt = await erase(sessions, { user: ada });
    assert.deepEqual([receipt.erased.sessions, receipt.erased.turns, receipt.sharedForks], [4, 8, none], then);
    assert.equal((await findReferences(sessions, ada)).sessions, 0, then);
    assert((await idsIn(sessions)).includes(shared), then);
    assert.equal((await sessions.devices.open(tablet)).info.turn, then === "joins another's device" ? 2 : 1, then);
  }
});

test("turns of a guest in a session shared by a link code are reported after the guest logs in", async () => {
  for (const leave of ["logs in", "unlinks", "shares another", "loses it to its user", "sees it begun afresh"]) {
    await using here = place({ ttl: "30d" });
    const { sessions } = here;
    const [phone, tablet, other] = [randomUUID(), randomUUID(), randomUUID()];
    await talk(await sessions.devices.open(tablet), 1, "a word of another guest's");
    let { id } = await link(sessions, phone, tablet);
    await talk(await sessions.devices.open(phone));
    if (leave === "unlinks") await sessions.devices.unlink(phone);
    if (leave === "shares another") await link(sessions, phone, other);
    if (leave === "loses it to its user") {
      await sessions.devices.claim(tablet, "bob");
      await talk(await sessions.devices.open(phone), 1);
    }
    if (leave === "sees it begun afresh") {
      await here.clock.advance(31 * day);
      await sessions.devices.open(phone);
      id = (await idsIn(sessions)).find((one) => one.startsWith(`${id}.`)) ?? "";
    }
    await sessions.devices.claim(phone, ada);
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, [id], leave);
    assert.deepEqual((await erase(sessions, { user: ada })).sharedForks.ids, [id], leave);
    assert.equal((await erase(sessions, { user: ada, forks: "erase" })).sharedForks.count, 0, leave);
    assert(!(await idsIn(sessions)).includes(id), leave);
  }
});

for (const how of ["a question that replaces", "a truncation before"] as const)
  test(`a turn that a guest writes in a shared session by ${how} earlier turns is reported`, async () => {
    await using here = place();
    const { sessions } = here;
    const [phone, tablet] = [randomUUID(), randomUUID()];
    await talk(await sessions.devices.open(tablet), 3, "a word of another guest's");
    const { id } = await link(sessions, phone, tablet);
    const shared = await sessions.devices.open(phone);
    if (how === "a truncation before") await shared.truncate(2);
    const turn = await shared.begin("a secret of Ada's", { after: how === "a truncation before" ? 2 : 1 });
    await turn.seal({ output: [{ role: "assistant", content: "I see" }] });
    await sessions.devices.claim(phone, ada);
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, [id]);
  });
test("a session shared by a link code is not found for a guest that wrote no turn in it", async () => {
  await using here = place();
  const { sessions } = here;
  const [phone, tablet] = [randomUUID(), randomUUID()];
  await talk(await sessions.devices.open(tablet), 3, "a word of another guest's");
  await link(sessions, phone, tablet);
  await sessions.devices.claim(phone, ada);
  assert.deepEqual(await findReferences(sessions, ada), {
    sessions: 1,
    legalHold: 0,
    devices: 1,
    pointers: 1,
    documents: { count: 0, keys: [] },
    outbox: 0,
    sharedForks: none,
  });
});

test("an erasure deletes the user's turns in the outbox too, also those of a device", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-erase-"));
  try {
    const outbox = `sqlite:${join(folder, "outbox.db")}`;
    await using here = place();
    const options = { store: here.store, secret, sweep: false, clock: here.clock } as const;
    const sessions = await openSessions({ ...options, fallback: { outbox } });
    const device = randomUUID();
    await sessions.devices.claim(device, ada);
    const away = await openSessions({ store: outbox, secret, sweep: false, clock: here.clock });
    await talk(await away.devices.open(device));
    await talk(await away.create({ user: ada }));
    await talk(await away.create({ user: "bob" }), 2, "a word of Bob's");
    await away.close();
    assert.equal((await findReferences(sessions, ada)).outbox, 2);
    const receipt = await erase(sessions, { user: ada });
    assert.equal(receipt.erased.outbox + receipt.erased.sessions >= 2, true);
    assert.deepEqual(await findReferences(sessions, ada), noReferences);
    for (const name of await readdir(folder))
      assert(!(await readFile(join(folder, name))).includes("a secret of Ada's"), name);
    await sessions.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("turns that a user wrote while the store was away, in a session of another user, are reported", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-erase-"));
  try {
    const outbox = `sqlite:${join(folder, "outbox.db")}`;
    await using here = place();
    await talk(await here.sessions.create({ id: "s", user: "bob" }), 2, "a word of Bob's");
    const away = await openSessions({ store: outbox, secret, sweep: false, clock: here.clock });
    await talk(await away.create({ id: "s", user: ada }));
    await away.close();
    const sessions = await openSessions({
      store: here.store,
      secret,
      sweep: false,
      clock: here.clock,
      fallback: { outbox },
    });
    assert.equal((await sessions.get("s")).info.turn, 4);
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, ["s"]);
    await sessions.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
