/** Words of an erased user in sessions that are now of another user, or of none. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { internalScope } from "../../domain/values/internal-scope.ts";
import { putMark } from "../marks/mark.ts";
import type { Session } from "../session/session.ts";
import { coreOf, type Sessions } from "../sessions.ts";
import {
  copySessions,
  erase,
  findReferences,
  removeSession as removeSessionOf,
  importSessions,
  sweep,
} from "../../admin.ts";
import { secret, day, ada, none, place, talk, idsIn } from "../../../test/support/erased-user.ts";

/** Ada's session, which Bob has from some turn on. */
async function handedOver(sessions: Sessions, id = "hers, then Bob's"): Promise<Session> {
  const session = await sessions.create({ id, user: ada });
  await talk(session);
  await session.update({ user: "bob" });
  await talk(session, 2, "a word of Bob's");
  return session;
}

test("a receipt names a session of another user with words of the erased user, and the session is erased on request", async () => {
  await using here = place({ ttl: "365d" });
  const { sessions } = here;
  const session = await handedOver(sessions);
  const shared = { count: 1, legalHold: 0, ids: [session.id] };
  const before = await findReferences(sessions, ada);
  assert.deepEqual([before.sessions, before.pointers, before.sharedForks], [0, 1, shared]);
  const receipt = await erase(sessions, { user: ada });
  assert.deepEqual([receipt.erased.sessions, receipt.sharedForks], [0, shared]);
  const after = await findReferences(sessions, ada);
  assert.deepEqual([after.pointers, after.sharedForks], [0, shared]);
  assert.deepEqual((await sessions.list({ user: ada })).items, []);
  await here.clock.advance(31 * day);
  await sweep(sessions);
  assert.deepEqual((await findReferences(sessions, ada)).sharedForks, shared);
  const taken = await erase(sessions, { user: ada, forks: "erase" });
  assert.deepEqual([taken.erased.sessions, taken.erased.forks, taken.erased.turns, taken.sharedForks], [1, 0, 4, none]);
  assert.deepEqual(await idsIn(sessions), []);
});

for (const [what, prepare] of [
  ["became another user's", async (sessions: Sessions) => await handedOver(sessions, "s")],
  [
    "was forked from the user's",
    async (sessions: Sessions) => {
      const hers = await sessions.create({ id: "hers", user: ada });
      await talk(hers);
      const fork = await hers.fork({ as: "s" });
      await fork.update({ user: "bob" });
      return fork;
    },
  ],
] as const)
  for (const then of ["erased", "removed", "copied", "restored under another id"] as const)
    test(`turns of a session that ${what} stay findable while a question replaces them, and the user is ${then}`, async () => {
      await using here = place({ ttl: "365d" });
      const { sessions } = here;
      const session = await prepare(sessions);
      // Without the replaced turns, the turn that takes their place is too late to be the user's.
      await here.clock.advance(day);
      const turn = await session.begin("a word of Bob's", { after: 0 });
      const ids = ["s"];
      await using elsewhere = place({ ttl: "365d" });
      if (then === "erased") assert.deepEqual((await erase(sessions, { user: ada })).sharedForks.ids, ids);
      if (then === "removed" && what === "was forked from the user's") await (await sessions.get("hers")).remove();
      if (then === "copied") await copySessions(sessions, elsewhere.sessions);
      if (then === "restored under another id") {
        await sessions.restore(await sessions.snapshot("s"), { as: "copy" });
        const copy = await sessions.get("copy");
        await copy.append({ input: "a word of Bob's" });
        assert.match(JSON.stringify(await Array.fromAsync(copy.turns())), /a secret of Ada's 1/);
        ids.unshift("copy");
      }
      await turn.seal({ status: "failed", error: { code: "model_failed", message: "overloaded" } });
      await session.refresh();
      assert.match(JSON.stringify(await Array.fromAsync(session.turns())), /a secret of Ada's 1/);
      const found = (await findReferences(sessions, ada)).sharedForks.ids;
      assert.deepEqual(found.toSorted(), ids);
      if (then !== "copied") return;
      await copySessions(sessions, elsewhere.sessions);
      assert.deepEqual((await findReferences(elsewhere.sessions, ada)).sharedForks.ids, ids);
    });
test("a session is found for each of its former users until their turns are truncated", async () => {
  await using here = place({ ttl: "365d" });
  const { sessions } = here;
  const session = await handedOver(sessions);
  await session.update({ user: "carol" });
  await session.update({ user: ada });
  await talk(session, 1);
  await session.update({ user: null });
  await session.update({ user: "dan" });
  for (const user of [ada, "bob"])
    assert.deepEqual((await findReferences(sessions, user)).sharedForks.ids, [session.id], user);
  assert.equal(
    (await findReferences(sessions, "carol")).sharedForks.count,
    1,
    "Carol had it with all that was said before",
  );
  await session.update({ user: null });
  await talk(session, 1, "a word of a guest's");
  assert.deepEqual((await erase(sessions, { user: "bob" })).sharedForks.ids, [session.id], "others spoke there, too");
  await here.clock.advance(day);
  await session.truncate(0);
  await talk(session, 3, "a word of a guest's");
  for (const user of [ada, "bob", "carol"])
    assert.deepEqual((await findReferences(sessions, user)).sharedForks, none, user);
  assert.equal((await erase(sessions, { user: ada, forks: "erase" })).erased.sessions, 0);
  assert.deepEqual(await idsIn(sessions), [session.id]);
});

for (const how of ["restored", "imported"] as const) {
  test(`a snapshot that is ${how} over another user's session leaves that user's mark where the turns stay`, async () => {
    await using here = place();
    const { sessions } = here;
    await talk(await sessions.create({ id: "s", user: "bob" }));
    const bobs = await sessions.snapshot("s");
    await (await sessions.get("s")).update({ user: ada });
    const put = async (snapshot: typeof bobs): Promise<void> => {
      if (how === "restored") await sessions.restore(snapshot, { onExists: "replace" });
      else
        assert.equal((await importSessions(sessions, [JSON.stringify(snapshot)], { onExists: "replace" })).replaced, 1);
    };
    await put(bobs);
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, ["s"]);
    await talk(await sessions.create({ id: "t", user: "bob" }), 2, "a word of Bob's");
    const apart = await sessions.snapshot("t");
    await removeSessionOf(sessions, "t");
    await talk(await sessions.create({ id: "t", user: ada }), 1, "another secret of Ada's");
    await put(apart);
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, ["s"]);
    assert.equal((await sessions.get("t")).info.user, "bob");
  });
}
test("a session that lost its user is deleted with the user that wrote in it", async () => {
  await using here = place();
  const { sessions } = here;
  const session = await sessions.create({ user: ada });
  await talk(session);
  await session.update({ user: null });
  assert.equal((await findReferences(sessions, ada)).sessions, 1);
  assert.equal((await erase(sessions, { user: ada })).erased.sessions, 1);
  assert.deepEqual(await idsIn(sessions), []);
});

for (const [what, act] of [
  ["forked", async (sessions: Sessions) => void (await (await sessions.get("s")).fork({ as: "of s" }))],
  [
    "forked and removed",
    async (sessions: Sessions) => {
      await (await sessions.get("s")).fork({ as: "of s" });
      await removeSessionOf(sessions, "s");
    },
  ],
  ["archived", async (sessions: Sessions) => void (await (await sessions.get("s")).archive())],
  [
    "put back from its snapshot",
    async (sessions: Sessions) => void (await sessions.restore(await sessions.snapshot("s"), { onExists: "replace" })),
  ],
] as const) {
  test(`a session that became another user's and was ${what} is found by its former user's erasure`, async () => {
    await using here = place();
    const { sessions } = here;
    await handedOver(sessions, "s");
    await act(sessions);
    const left = await idsIn(sessions);
    const ids = left.filter((id) => id.endsWith("s"));
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids.toSorted(), ids);
    assert.deepEqual((await erase(sessions, { user: ada })).sharedForks.ids.toSorted(), ids);
    assert.equal((await erase(sessions, { user: ada, forks: "erase" })).sharedForks.count, 0);
    assert.deepEqual(
      (await idsIn(sessions)).filter((id) => ids.includes(id)),
      [],
    );
  });
}

for (const [what, restart, leave] of [
  ["its owner's device", async (sessions: Sessions, tablet: string) => await sessions.devices.open(tablet), "unlink"],
  [
    "its owner's device, and the guest logs in at once",
    async (sessions: Sessions, tablet: string) => await sessions.devices.open(tablet),
    "claim",
  ],
  [
    "its id",
    async (sessions: Sessions, _: string, id: string) => await sessions.ensure(id, { onExpired: "reset" }),
    "unlink",
  ],
] as const) {
  test(`a shared session that is reset by ${what} keeps the turns of its guest findable`, async () => {
    await using here = place({ ttl: "30d" });
    const { sessions } = here;
    const [tablet, phone] = [randomUUID(), randomUUID()];
    const session = await sessions.devices.open(tablet);
    await talk(session, 2, "a word of the owner's");
    const { code } = await sessions.devices.linkCode(tablet);
    await talk(await sessions.devices.link(phone, code));
    await here.clock.advance(31 * day);
    await restart(sessions, tablet, session.id);
    const kept = (await idsIn(sessions)).filter((id) => id.startsWith(`${session.id}.`));
    assert.equal(kept.length, 1);
    if (leave === "unlink") assert.equal(await sessions.devices.unlink(phone), true);
    await sessions.devices.claim(phone, ada);
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, kept);
    await erase(sessions, { user: ada, forks: "erase" });
    assert.equal((await idsIn(sessions)).includes(kept[0] ?? ""), false);
  });
}

for (const [what, prepare] of [
  ["became another user's", async (sessions: Sessions) => void (await handedOver(sessions, "s"))],
  [
    "was forked from another user's",
    async (sessions: Sessions) => {
      const hers = await sessions.create({ id: "hers", user: ada });
      await talk(hers);
      await (await hers.fork({ as: "s" })).update({ user: "bob" });
      await talk(await sessions.get("s"), 1, "a word of Bob's");
    },
  ],
] as const)
  for (const source of ["stands", "is removed"] as const) {
    if (what.startsWith("was forked") && source === "is removed") continue; // nothing but the snapshot is left of it
    test(`a session that ${what} is found under the other id that its snapshot is restored under, where it ${source}`, async () => {
      await using here = place();
      const { sessions } = here;
      await prepare(sessions);
      const snapshot = await sessions.snapshot("s");
      if (source === "is removed") await (await sessions.get("s")).remove();
      await sessions.restore(snapshot, { as: "copy" });
      const found = source === "stands" ? ["copy", "s"] : ["copy"];
      assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids.toSorted(), found);
      const { sharedForks } = await erase(sessions, { user: ada, forks: "erase" });
      assert.equal(sharedForks.count, 0);
      assert.equal((await idsIn(sessions)).includes("copy"), false);
    });
  }
test("a snapshot of a guest's session that became a user's is found under another id, and deleted with the user's sessions", async () => {
  await using here = place();
  const { sessions } = here;
  const phone = randomUUID();
  const session = await sessions.devices.open(phone);
  await talk(session);
  const snapshot = await sessions.snapshot(session.id);
  await sessions.devices.claim(phone, ada);
  await sessions.restore(snapshot, { as: "copy" });
  assert.equal((await findReferences(sessions, ada)).sessions, 2);
  await erase(sessions, { user: ada });
  assert.deepEqual(await idsIn(sessions), []);
});

test("a guest's snapshot in place of the emptied session of its user is deleted with the user's sessions", async () => {
  await using here = place();
  const { sessions } = here;
  const [phone, laptop] = [randomUUID(), randomUUID()];
  const session = await sessions.devices.open(phone);
  await talk(session);
  const snapshot = await sessions.snapshot(session.id);
  await session.truncate(0);
  await sessions.devices.claim(phone, ada);
  const { id: other } = await sessions.devices.open(laptop);
  await sessions.devices.link(phone, (await sessions.devices.linkCode(laptop)).code);
  await sessions.restore(snapshot, { onExists: "replace" });
  assert.equal((await findReferences(sessions, ada)).sessions, 1);
  await erase(sessions, { user: ada });
  assert.deepEqual(await idsIn(sessions), [other]);
});

test("the archived session of a reset is found by the erasure of its former user", async () => {
  await using here = place({ ttl: "30d" });
  const { sessions } = here;
  await handedOver(sessions, "s");
  await here.clock.advance(31 * day);
  await sessions.ensure("s", { user: "bob", onExpired: "reset" });
  const kept = (await idsIn(sessions)).filter((id) => id.startsWith("s."));
  assert.equal(kept.length, 1);
  assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, kept);
});

test("a change of user and its mark land together, under concurrent writes", async () => {
  for (let moment = 1; ; moment++) {
    await using here = place();
    const { sessions, store } = here;
    const session = await sessions.create({ id: "s", user: ada });
    await talk(session);
    const other = here.another({ secret });
    let [commits, acted] = [0, false];
    store.plan(() => {
      if (acted || ++commits < moment) return undefined;
      acted = true;
      return { hold: (async () => await (await other.get("s")).update({ user: "carol" }))() };
    });
    await session.update({ user: "bob" });
    if (!acted) break;
    store.plan(() => ({ fails: "before" }));
    await assert.rejects(session.update({ user: "dan" }), { code: "store_unavailable" });
    store.plan({});
    await here.clock.advance(60_000);
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, ["s"], `at commit ${moment}`);
    assert.deepEqual((await findReferences(sessions, "carol")).sharedForks.ids, ["s"], `at commit ${moment}`);
    assert.equal((await findReferences(sessions, "bob")).sessions, 1);
  }
});

test("marks of an older version without a time still work", async () => {
  await using here = place();
  const { sessions, store } = here;
  const bobs = await sessions.create({ id: "f", user: "bob" });
  await talk(bobs);
  const { record } = (await store.load([{ key: { tenant: "default", id: "f" }, tails: [] }])).sessions[0] ?? {};
  assert(record !== undefined);
  await putMark(coreOf(sessions), ada, { record, from: 1, isTheirs: false });
  const [mark] = (
    await store.find({ order: "key", tenant: internalScope("default", "shared-forks"), now: 0, limit: 9 })
  ).records;
  assert.deepEqual(mark?.metadata, { session: "f", born: record.createdAt, from: 1, isTheirs: false });
  assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, ["f"]);
  await bobs.update({ user: ada });
  await bobs.update({ user: "bob" });
  assert.deepEqual((await erase(sessions, { user: ada })).sharedForks.ids, ["f"]);
});
