/** Words of an erased user in forks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Sessions } from "../sessions.ts";
import { erase, findReferences, removeSession as removeSessionOf, sweep, doctor, verifyErasure } from "../../admin.ts";
import { secret, day, ada, none, place, talk, idsIn } from "../../../test/support/erased-user.ts";

/** A session of Ada's with forks of Bob's and Carol's, forks of those, and some under hold. */
async function forked(sessions: Sessions): Promise<void> {
  const session = await sessions.create({ id: "s", user: ada });
  await talk(session, 4);
  const fork = async (from: string, { as, user, at = 2 }: { as: string; user: string | null; at?: number }) => {
    const one = await (await sessions.get(from)).fork({ at, as });
    await one.update({ user });
    await talk(one, 1, `a word of ${user}'s`);
    return one;
  };
  await fork("s", { as: "nobody's", user: null });
  await fork("nobody's", { as: "deeper", user: null });
  await fork("s", { as: "bob's", user: "bob" });
  await fork("bob's", { as: "carol's", user: "carol", at: 3 });
  await fork("carol's", { as: "guest's", user: null });
  await fork("s", { as: "archived", user: "bob", at: 3 });
  await (await sessions.get("archived")).archive();
  await fork("archived", { as: "of the archived", user: "carol" });
  await (await fork("s", { as: "held", user: "bob" })).setLegalHold("a lawsuit");
  await fork("held", { as: "of the held", user: "carol" });
  await (await fork("s", { as: "hers, held", user: ada })).setLegalHold("a lawsuit");
  await fork("hers, held", { as: "of hers", user: "bob" });
  // A fork that was cut before what is shared has nothing of hers, and one of Bob's that she forked has what he said before.
  await (await fork("s", { as: "cut", user: "bob" })).truncate(0);
  await talk(await sessions.create({ id: "bob's own", user: "bob" }), 3, "a word of Bob's");
  await fork("bob's own", { as: "hers of bob's", user: ada });
  await fork("hers of bob's", { as: "of what bob said", user: "carol", at: 1 });
  await fork("hers of bob's", { as: "of what she said", user: "carol", at: 3 });
}

const shared = [
  "archived",
  "bob's",
  "carol's",
  "guest's",
  "held",
  "of hers",
  "of the archived",
  "of the held",
  "of what she said",
];

test("forks of others with words of the user stay whole, and each receipt and count names them while they have the words", async () => {
  await using here = place({ ttl: "365d" });
  const { sessions } = here;
  await forked(sessions);
  const before = await findReferences(sessions, ada);
  assert.deepEqual([before.sessions, before.legalHold], [5, 1], "with forks of her sessions that have no user");
  assert.deepEqual([before.sharedForks.ids.toSorted(), before.sharedForks.legalHold], [shared, 1]);
  const receipt = await erase(sessions, { user: ada });
  assert.deepEqual([receipt.erased.sessions, receipt.erased.forks, receipt.legalHold], [4, 3, 1]);
  assert.deepEqual(receipt.sharedForks.ids.toSorted(), shared);
  assert.equal(receipt.sharedForks.count, shared.length);
  const stays = [...shared, "bob's own", "cut", "hers, held", "of what bob said"];
  assert.deepEqual(await idsIn(sessions), stays.toSorted());
  for (const id of shared) assert((await Array.fromAsync((await sessions.get(id)).turns())).length > 2, id);
  assert(verifyErasure(sessions, receipt, ada));
  assert(!verifyErasure(sessions, { ...receipt, sharedForks: none }));

  await here.clock.advance(31 * day);
  await sweep(sessions);
  const after = await findReferences(here.another({ secret }), ada);
  assert.deepEqual(after.sharedForks.ids.toSorted(), shared);
  await removeSessionOf(sessions, "carol's");
  await (await sessions.get("bob's")).truncate(0);
  const later = await erase(sessions, { user: ada });
  assert.deepEqual(
    later.sharedForks.ids.toSorted(),
    shared.filter((id) => !["bob's", "carol's"].includes(id)),
  );
});

test("with `forks: erase`, an erasure deletes forks of others whole, except those under legal hold, also in a later run", async () => {
  for (const first of [true, false]) {
    await using here = place();
    const { sessions } = here;
    await forked(sessions);
    if (!first) await erase(sessions, { user: ada });
    const receipt = await erase(sessions, { user: ada, forks: "erase" });
    assert.deepEqual(receipt.sharedForks, { count: 1, legalHold: 1, ids: ["held"] });
    const stays = ["bob's own", "cut", "held", "hers, held", "of what bob said"];
    assert.deepEqual(await idsIn(sessions), stays);
    assert.equal(receipt.erased.sessions, first ? 12 : 8);
    assert.deepEqual(await erase(sessions, { user: ada, forks: "erase" }), receipt);
    await (await sessions.get("held")).clearLegalHold();
    await (await sessions.get("hers, held")).clearLegalHold();
    const rest = await erase(sessions, { user: ada, forks: "erase" });
    assert.deepEqual([rest.erased.sessions, rest.erased.forks, rest.sharedForks], [2, 1, none]);
    assert.deepEqual(await idsIn(sessions), ["bob's own", "cut", "of what bob said"]);
    const findings: unknown[] = [];
    await doctor(sessions, { onFinding: (finding) => findings.push(finding) });
    assert.deepEqual(findings, []);
  }
});

for (const [what, lose] of [
  ["removed", (sessions: Sessions) => removeSessionOf(sessions, "s")],
  ["cut", async (sessions: Sessions) => await (await sessions.get("s")).truncate(0)],
  [
    "put in the place of another",
    async (sessions: Sessions) => {
      await sessions.restore(await sessions.snapshot("other"), { as: "s", onExists: "replace" });
    },
  ],
] as const) {
  test(`forks of a session that was ${what} before its user is erased are found`, async () => {
    for (const forks of ["keep", "erase"] as const) {
      await using here = place();
      const { sessions } = here;
      const session = await sessions.create({ id: "s", user: ada });
      await sessions.create({ id: "other", user: "bob" });
      await talk(session);
      for (const [as, user] of [
        ["bob's", "bob"],
        ["nobody's", null],
        ["hers", ada],
      ] as const) {
        await (await session.fork({ as })).update({ user });
      }
      await (await (await sessions.get("bob's")).fork({ as: "carol's" })).update({ user: "carol" });
      // Another program, which has no secret.
      await lose(here.another());
      const { pointers, sharedForks } = await findReferences(sessions, ada);
      assert.deepEqual([pointers, sharedForks.count, sharedForks.ids.toSorted()], [2, 2, ["bob's", "carol's"]]);
      const receipt = await erase(sessions, { user: ada, forks });
      assert.equal(receipt.sharedForks.count, forks === "keep" ? 2 : 0);
      const left = (await idsIn(sessions)).filter((id) => id !== "s" && id !== "other");
      assert.deepEqual(left, forks === "keep" ? ["bob's", "carol's"] : []);
      const after = await findReferences(sessions, ada);
      assert.deepEqual([after.sessions, after.pointers, after.sharedForks], [0, 0, receipt.sharedForks]);
      assert.deepEqual(await erase(sessions, { user: ada, forks }), receipt);
    }
  });
}

for (const [what, lose] of [
  ["was removed", (sessions: Sessions) => removeSessionOf(sessions, "bob's")],
  ["was cut", async (sessions: Sessions) => await (await sessions.get("bob's")).truncate(0)],
  ["went with its user", (sessions: Sessions) => erase(sessions, { user: "bob" })],
  [
    "was put back from a snapshot, and removed",
    async (sessions: Sessions) => {
      await sessions.restore(await sessions.snapshot("bob's"), { onExists: "replace" });
      await (await (await sessions.get("bob's")).fork({ as: "dan's" })).update({ user: "dan" });
      await removeSessionOf(sessions, "bob's");
    },
  ],
  [
    "was put away, then forked, and removed",
    async (sessions: Sessions) => {
      await (await sessions.get("bob's")).archive();
      await (await (await sessions.get("bob's")).fork({ as: "dan's" })).update({ user: "dan" });
      await removeSessionOf(sessions, "bob's");
    },
  ],
] as const) {
  test(`forks of a fork that ${what} are found as well, before and after its parent is removed`, async () => {
    for (const isHersFirst of [false, true]) {
      await using here = place();
      const { sessions } = here;
      const hers = await sessions.create({ id: "s", user: ada });
      await talk(hers);
      const bobs = await hers.fork({ as: "bob's" });
      await bobs.update({ user: "bob" });
      await talk(bobs, 2, "a word of Bob's");
      await (await bobs.fork({ as: "carol's", at: 3 })).update({ user: "carol" });
      await (await bobs.fork({ as: "of Bob's alone", at: 4 })).update({ user: "bob" });
      if (isHersFirst) await removeSessionOf(sessions, "s");
      await lose(sessions);
      const left = (await idsIn(sessions)).filter((id) => /carol|dan|alone/.test(id));
      const found = async (): Promise<string[]> => (await findReferences(sessions, ada)).sharedForks.ids.toSorted();
      const holding = (await sessions.list({ user: "bob" })).items.some(({ id, turn }) => id === "bob's" && turn > 0);
      assert(!holding);
      assert.deepEqual(await found(), left);
      const { sharedForks } = await erase(sessions, { user: ada });
      assert.deepEqual([sharedForks.ids.toSorted(), await found()], [left, left]);
      assert.equal((await erase(sessions, { user: ada, forks: "erase" })).sharedForks.count, 0);
      assert.deepEqual(
        (await idsIn(sessions)).filter((id) => left.includes(id)),
        [],
      );
    }
  });
}
test("the marks of forks are deleted with the forks", async () => {
  await using here = place();
  const { sessions } = here;
  const hers = await sessions.create({ id: "s", user: ada });
  await talk(hers);
  for (const user of ["bob", "carol"]) {
    const fork = await hers.fork({ as: `${user}'s` });
    await fork.update({ user });
    await (await fork.fork({ as: `of ${user}'s` })).update({ user: "dan" });
  }
  const marks = (): Promise<number> =>
    here.store.count({ tenant: internalScope("default", "shared-forks"), now: here.clock.now() });
  await erase(sessions, { user: ada });
  assert.equal(await marks(), 4);
  await erase(sessions, { user: ada, forks: "erase" });
  assert.equal(await marks(), 0);
});

test("a session that takes the id of a removed fork in the same millisecond is none of the user's", async () => {
  for (const isDetached of [false, true]) {
    await using here = place();
    const { sessions } = here;
    const hers = await sessions.create({ id: "s", user: ada });
    await talk(hers);
    await hers.fork({ as: "f" });
    await removeSessionOf(sessions, "f");
    await talk(await sessions.create({ id: "f", user: "carol" }), 2, "a word of Carol's");
    if (isDetached) await removeSessionOf(sessions, "s");
    const { pointers, sharedForks } = await findReferences(sessions, ada);
    assert.deepEqual([pointers, sharedForks], [0, none]);
    await erase(sessions, { user: ada, forks: "erase" });
    assert.deepEqual(await idsIn(sessions), ["f"]);
  }
});

test("a fork restored from a snapshot is found after its parent is removed", async () => {
  await using here = place();
  const { sessions } = here;
  const hers = await sessions.create({ id: "s", user: ada });
  await talk(hers);
  await (await hers.fork({ as: "bob's" })).update({ user: "bob" });
  await sessions.restore(await sessions.snapshot("bob's"), { onExists: "replace" });
  await removeSessionOf(sessions, "s");
  assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, ["bob's"]);
});

test("the archived session of a fork that was reset is found", async () => {
  for (const isWhole of [false, true]) {
    await using here = place({ ttl: "30d" });
    const { sessions } = here;
    const hers = await sessions.create({ id: "s", user: ada });
    await talk(hers);
    await (await hers.fork({ as: "bob's" })).update({ user: "bob" });
    if (isWhole) await removeSessionOf(sessions, "s");
    await here.clock.advance(31 * day);
    await sessions.ensure("bob's", { user: "bob", onExpired: "reset" });
    const kept = (await idsIn(sessions)).filter((id) => id.startsWith("bob's."));
    assert.equal(kept.length, 1);
    assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, kept);
    assert.deepEqual((await erase(sessions, { user: ada })).sharedForks.ids, kept);
  }
});

test("a fork that shares no turn of a user does not count for that user, at any depth", async () => {
  await using here = place();
  const { sessions } = here;
  const bobs = await sessions.create({ id: "bob's", user: "bob" });
  await talk(bobs, 2, "a word of Bob's");
  const hers = await bobs.fork({ as: "hers" });
  await hers.update({ user: ada });
  await talk(hers);
  const carols = await hers.fork({ as: "carol's", at: 2 });
  await carols.update({ user: "carol" });
  await talk(carols, 3, "a word of Carol's");
  await (await carols.fork({ as: "dan's" })).update({ user: "dan" });
  await removeSessionOf(sessions, "carol's");
  assert.deepEqual(
    [(await findReferences(sessions, ada)).sharedForks, (await findReferences(sessions, ada)).pointers],
    [none, 0],
  );
  assert.deepEqual((await findReferences(sessions, "bob")).sharedForks.ids.toSorted(), ["dan's", "hers"]);
  assert.deepEqual((await findReferences(sessions, "carol")).sharedForks.ids, ["dan's"]);
});

test("a fork without a user that was under legal hold is deleted by the next erasure after the hold ends", async () => {
  await using here = place();
  const { sessions } = here;
  const session = await sessions.create({ id: "s", user: ada });
  await talk(session);
  const fork = await session.fork({ as: "f" });
  await fork.update({ user: null });
  await fork.setLegalHold("a lawsuit");
  assert.deepEqual((await erase(sessions, { user: ada })).sharedForks, { count: 1, legalHold: 1, ids: ["f"] });
  await fork.clearLegalHold();
  const { erased, sharedForks } = await erase(sessions, { user: ada });
  assert.deepEqual([erased.sessions, sharedForks], [1, none]);
  assert.deepEqual(await idsIn(sessions), []);
});

test("a chain of forks, each of another user, is reported to its end or deleted to its end", async () => {
  for (const forks of ["keep", "erase"] as const) {
    await using here = place();
    const { sessions } = here;
    let session = await sessions.create({ id: "s0", user: ada });
    await talk(session, 1);
    for (let depth = 1; depth <= 60; depth++) {
      session = await session.fork({ as: `s${depth}` });
      await session.update({ user: depth % 20 === 0 ? ada : `user ${depth}` });
      await talk(session, 1, "a word of another's");
    }
    const { erased, sharedForks } = await erase(sessions, { user: ada, forks });
    assert.deepEqual([erased.sessions, sharedForks.count], forks === "keep" ? [4, 57] : [61, 0]);
    assert.equal(sharedForks.ids.length, forks === "keep" ? 50 : 0);
    if (forks === "keep") assert.equal((await Array.fromAsync((await sessions.get("s59")).turns())).length, 60);
  }
});
