import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import { openSessions } from "../../open.ts";
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
  doctor,
  verifyErasure,
} from "../../admin.ts";

const secret = "a secret for tests only";
const day = 86_400_000;
const ada = "ada.lovelace@example.com";
const none = { count: 0, held: 0, ids: [] };

function place(options = {}): InMemory {
  return inMemory({ secret, ...options });
}

async function talk(session: Session, turns = 2, said = "a secret of Ada's"): Promise<void> {
  for (let turn = 1; turn <= turns; turn++) await session.append({ input: `${said} ${turn}`, output: "I see" });
}

/** All that can be found of a user: sessions in every state, devices of every kind. */
async function live(sessions: Sessions): Promise<void> {
  await talk(await sessions.create({ id: "plain", user: ada, metadata: { note: "a secret of Ada's" } }));
  const archived = await sessions.create({ id: "archived", user: ada });
  await talk(archived, 3);
  await archived.handOff("cfo", { note: "a secret of Ada's" });
  await archived.endHandoff();
  await archived.archive();
  const forked = await sessions.create({ id: "forked", user: ada });
  await talk(forked, 4);
  await talk(await forked.fork({ at: 2, as: "fork" }), 1);
  await (await sessions.get("fork")).end();
  const [phone, laptop] = [randomUUID(), randomUUID()];
  await talk(await sessions.devices.open(phone));
  await sessions.devices.claim(phone, ada);
  const guest = await sessions.devices.open(laptop);
  await talk(guest);
  await sessions.devices.claim(laptop, ada, { keep: "user" });
  await sessions.devices.linkCode(phone);
  await talk(await sessions.create({ id: "bob's", user: "bob" }), 2, "a word of Bob's");
  await sessions.devices.claim(randomUUID(), "bob");
}

test("an erasure deletes all data of its user and no other data, and the receipt counts it", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  assert.deepEqual(await findReferences(sessions, ada), {
    sessions: 6,
    held: 0,
    devices: 2,
    pointers: 1,
    outbox: 0,
    sharedForks: none,
  });
  const receipt = await erase(sessions, { user: ada, store: "the test's" });
  assert.deepEqual(await findReferences(sessions, ada), {
    sessions: 0,
    held: 0,
    devices: 0,
    pointers: 0,
    outbox: 0,
    sharedForks: none,
  });
  const { erased, held, sharedForks, scrubbed, store, tenant } = receipt;
  assert.deepEqual(erased, {
    sessions: 6,
    forks: 1,
    archives: 1,
    turns: 14,
    events: 14,
    devices: 2,
    codes: 1,
    outbox: 0,
  });
  assert.deepEqual([held, sharedForks, scrubbed, store, tenant], [0, none, true, "the test's", "default"]);
  const left = await sessions.list();
  assert.deepEqual(new Set(left.items.map(({ user }) => user)), new Set(["bob"]));
  assert.deepEqual(await findReferences(sessions, "bob"), {
    sessions: 2,
    held: 0,
    devices: 1,
    pointers: 1,
    outbox: 0,
    sharedForks: none,
  });
  // The hashes and the signature may spell the name by chance.
  assert.doesNotMatch(JSON.stringify({ ...receipt, subject: "", hash: "", signature: "" }), /ada|lovelace/i);
});

test("a receipt is valid for its user and its secret only, and not after a change of one letter", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  const receipt = await erase(sessions, { user: ada });
  const reordered = Object.fromEntries(Object.entries(receipt).toReversed()) as unknown as typeof receipt;
  assert(verifyErasure(sessions, JSON.parse(JSON.stringify(reordered)) as typeof receipt, ada));
  assert(verifyErasure(here.another({ secret }), receipt));
  assert(!verifyErasure(sessions, receipt, "bob"));
  assert(!verifyErasure(here.another({ secret: "another secret entirely" }), receipt));
  for (const altered of [
    { ...receipt, held: 1 },
    { ...receipt, finishedAt: receipt.startedAt.replace("2", "1") },
    { ...receipt, erased: { ...receipt.erased, turns: 15 } },
    { ...receipt, tenant: "another" },
    { ...receipt, signature: "" },
    { ...receipt, note: "all copies are gone as well" },
    { ...receipt, erased: { ...receipt.erased, backups: 3 } },
    { ...receipt, sharedForks: { ...receipt.sharedForks, note: "none" } },
    JSON.parse(`{"__proto__": {"a": 1}, ${JSON.stringify(receipt).slice(1)}`) as typeof receipt,
  ])
    assert(!verifyErasure(sessions, altered), JSON.stringify(altered));
  for (const none of [
    null,
    7,
    "receipt",
    {},
    { format: "perdure.erasure/1", tenant: "t", erased: null, signature: "" },
  ])
    assert(!verifyErasure(sessions, none as unknown as typeof receipt));
  assert.throws(() => verifyErasure(here.another(), receipt), { code: "secret_missing" });
  await assert.rejects(erase(here.another(), { user: ada }), {
    code: "secret_missing",
    message: /^erasures need/,
  });
});

for (const [what, act] of [
  ["unlinked", async (sessions: Sessions, phone: string) => await sessions.devices.unlink(phone)],
  [
    "unlinked and claimed by another user",
    async (sessions: Sessions, phone: string) => {
      await sessions.devices.unlink(phone);
      await talk(await sessions.devices.open(phone), 1, "a word of Bob's");
      await sessions.devices.claim(phone, "bob");
      await sessions.devices.linkCode(phone);
    },
  ],
  ["claimed by another user", async (sessions: Sessions, phone: string) => await sessions.devices.claim(phone, "bob")],
] as const) {
  test(`a device that is ${what} while its user is erased stays as it is, at whichever commit it happens`, async () => {
    for (let moment = 1; ; moment++) {
      await using here = place();
      const { sessions, store } = here;
      const phone = randomUUID();
      await talk(await sessions.devices.open(phone));
      await sessions.devices.claim(phone, ada);
      await sessions.devices.linkCode(phone);
      const other = here.another({ secret });
      let [commits, acted] = [0, false];
      store.plan(() => {
        if (acted || ++commits < moment) return undefined;
        acted = true;
        return { hold: act(other, phone) };
      });
      await erase(sessions, { user: ada });
      if (!acted) break;
      assert.equal((await findReferences(sessions, ada)).sessions, 0, `at commit ${moment}`);
      if (what === "unlinked") continue;
      assert.equal((await sessions.devices.list("bob")).items.length, 1, `at commit ${moment}`);
      assert.equal((await sessions.devices.open(phone)).info.user, "bob", `at commit ${moment}`);
      if (what.includes("unlinked")) {
        const codes = await here.store.count({ tenant: internalScope("default", "devices"), now: here.clock.now() });
        assert.equal(codes, 3, `at commit ${moment}: device, code and the user's pointer`);
      }
    }
  });
}

test("a repeated erasure returns the same receipt, and another one for new data of the user", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  const first = await erase(sessions, { user: ada });
  await here.clock.advance(day);
  assert.deepEqual(await erase(here.another({ secret }), { user: ada }), first);
  await talk(await sessions.create({ user: ada }), 3);
  const second = await erase(sessions, { user: ada });
  assert.deepEqual([second.erased.sessions, second.erased.turns], [1, 3]);
  assert(second.startedAt > first.finishedAt && verifyErasure(sessions, second, ada));
  await here.clock.advance(31 * day);
  await sweep(sessions);
  const third = await erase(sessions, { user: ada });
  assert.equal(third.erased.sessions, 0);
});

test("an erasure stops at its signal between batches, and the next one counts on", async () => {
  await using here = place();
  const { sessions, store } = here;
  for (let index = 0; index < 70; index++) await talk(await sessions.create({ user: ada }), 1);
  const stop = new AbortController();
  store.plan((_, batch) => {
    if (batch.some((transaction) => transaction.length > 2)) stop.abort(new Error("enough"));
    return undefined;
  });
  await assert.rejects(erase(sessions, { user: ada, signal: stop.signal }), /enough/);
  const { sessions: left } = await findReferences(sessions, ada);
  assert(left > 0 && left < 70);
  const receipt = await erase(here.another({ secret }), { user: ada });
  assert.deepEqual([receipt.erased.sessions, receipt.erased.turns], [70, 70]);
});

test("concurrent erasures of one user count each record once while the user continues to write", async () => {
  await using here = place();
  const { sessions } = here;
  const busy = await sessions.create({ user: ada });
  for (let index = 0; index < 60; index++) await talk(await sessions.create({ user: ada }), 1);
  const goOn = async (): Promise<never> => {
    for (;;) {
      await busy.append({ input: "and on" });
      await sleep(Math.random() * 3);
    }
  };
  const talking = assert.rejects(goOn(), { code: "session_not_found" });
  const others = [1, 2, 3].map(() => here.another({ secret }));
  const receipts = await Promise.all(others.map((other) => erase(other, { user: ada })));
  await talking;
  assert.equal(receipts[0]?.erased.sessions, 61);
  for (const receipt of receipts) assert.deepEqual(receipt, receipts[0]);
});

test("a session under legal hold stays, and the receipt says so", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  await (await sessions.get("archived")).setLegalHold("a lawsuit");
  const receipt = await erase(sessions, { user: ada });
  assert.deepEqual([receipt.held, receipt.erased.sessions], [1, 5]);
  assert.deepEqual(
    (await sessions.list({ user: ada })).items.map(({ id }) => id),
    ["archived"],
  );
  await (await sessions.get("archived")).clearLegalHold();
  assert.equal((await erase(sessions, { user: ada })).erased.sessions, 1);
});

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

async function idsIn(sessions: Sessions): Promise<string[]> {
  return (await sessions.list({ limit: 1000 })).items.map(({ id }) => id).toSorted();
}

test("forks of others with words of the user stay whole, and each receipt and count names them while they have the words", async () => {
  await using here = place({ ttl: "365d" });
  const { sessions } = here;
  await forked(sessions);
  const before = await findReferences(sessions, ada);
  assert.deepEqual([before.sessions, before.held], [5, 1], "with forks of hers that are nobody's");
  assert.deepEqual([before.sharedForks.ids.toSorted(), before.sharedForks.held], [shared, 1]);
  const receipt = await erase(sessions, { user: ada });
  assert.deepEqual([receipt.erased.sessions, receipt.erased.forks, receipt.held], [4, 3, 1]);
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
    assert.deepEqual(receipt.sharedForks, { count: 1, held: 1, ids: ["held"] });
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
  assert.deepEqual((await erase(sessions, { user: ada })).sharedForks, { count: 1, held: 1, ids: ["f"] });
  await fork.clearLegalHold();
  const { erased, sharedForks } = await erase(sessions, { user: ada });
  assert.deepEqual([erased.sessions, sharedForks], [1, none]);
  assert.deepEqual(await idsIn(sessions), []);
});

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
  const shared = { count: 1, held: 0, ids: [session.id] };
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
    held: 0,
    devices: 1,
    pointers: 1,
    outbox: 0,
    sharedForks: none,
  });
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
    assert.deepEqual(await findReferences(sessions, ada), {
      sessions: 0,
      held: 0,
      devices: 0,
      pointers: 0,
      outbox: 0,
      sharedForks: none,
    });
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

test("the files of an SQLite store hold no word of an erased user, also not of data removed earlier", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-erase-"));
  try {
    const store = `sqlite:${join(folder, "s.db")}`;
    await using sessions = await openSessions({
      store,
      secret,
      sweep: false,
      // A writer that was there all along, as a server is.
      model: async function* () {
        for (let piece = 0; piece < 50; piece++) yield { type: "text", text: `a secret of Ada's, piece ${piece}. ` };
      },
    });
    await using other = await openSessions({ store, secret, sweep: false });
    await live(sessions);
    await other.list();
    const chatty = await sessions.create({ user: ada, instructions: "a secret of Ada's" });
    for (let turn = 0; turn < 20; turn++) {
      await (
        await chatty.consult(`a secret of Ada's ${"x".repeat(turn * 700)}`)
      ).done;
      await talk(await sessions.get("bob's"), 3, "a word of Bob's");
    }
    await chatty.update({ metadata: { was: "a secret of Ada's" } });
    await chatty.update({ metadata: { was: "a secret of Ada's no more" } });
    await chatty.truncate(7);
    assert(await holds("a secret of Ada's"));
    const receipt = await erase(sessions, { user: ada });
    assert.equal(receipt.scrubbed, true);
    assert(!(await holds("a secret of Ada's")));
    assert(!(await holds(ada)));
    assert(await holds("a word of Bob's"));
    assert.equal((await Array.fromAsync((await other.get("bob's")).turns())).length, 62);
  } finally {
    await rm(folder, { recursive: true });
  }

  async function holds(text: string): Promise<boolean> {
    const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name))));
    return files.some((file) => file.includes(text));
  }
});
