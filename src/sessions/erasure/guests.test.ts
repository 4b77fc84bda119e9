/** Words that a device wrote as a guest: the erasure of the user who claims the device finds them, wherever they went. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { erase, findReferences, removeSession, sweep, verifyErasure } from "../../admin.ts";
import { hasCode } from "../../errors.ts";
import type { Session } from "../session/session.ts";
import type { Sessions } from "../sessions.ts";

const secret = "a secret for tests only";
const day = 86_400_000;
const ada = "ada.lovelace@example.com";

function place(): InMemory {
  return inMemory({ secret, ttl: "30d" });
}

async function talk(session: Session, words = "a word of Ada's"): Promise<Session> {
  for (const turn of [1, 2]) await session.append({ input: `${words}, ${turn}` });
  return session;
}

async function link(sessions: Sessions, device: string, to: string): Promise<Session> {
  return await sessions.devices.link(device, (await sessions.devices.linkCode(to)).code);
}

/** The ids of the sessions that hold a word of Ada's. */
async function holding(sessions: Sessions): Promise<string[]> {
  const found: string[] = [];
  for (const { id } of (await sessions.list({ limit: 1000 })).items) {
    const turns = await Array.fromAsync((await sessions.get(id)).turns());
    if (JSON.stringify(turns).includes("of Ada's")) found.push(id);
  }
  return found.toSorted();
}

/** The erasure finds every session with a word of Ada's before, and leaves none. */
async function assertErased({ sessions }: InMemory, what: string): Promise<void> {
  assert.notDeepEqual(await holding(sessions), [], what);
  await erase(sessions, { user: ada, forks: "erase" });
  assert.deepEqual(await holding(sessions), [], what);
}

async function keptOf(sessions: Sessions, id: string): Promise<string> {
  const kept = (await sessions.list()).items.find((one) => one.id.startsWith(`${id}.`));
  assert(kept !== undefined);
  return kept.id;
}

async function copyAndRemove({ sessions }: InMemory, { id }: Session): Promise<void> {
  await sessions.restore(await sessions.snapshot(id), { as: "copy" });
  await removeSession(sessions, id);
}

async function removeAndCopy({ sessions }: InMemory, { id }: Session): Promise<void> {
  const snapshot = await sessions.snapshot(id);
  await removeSession(sessions, id);
  await sessions.restore(snapshot, { as: "copy" });
}

test("a guest is erased by its device, with a receipt that verifies for this device alone", async () => {
  await using here = place();
  const { sessions } = here;
  const [phone, other, adas] = [randomUUID(), randomUUID(), randomUUID()];
  const guest = await talk(await sessions.devices.open(phone));
  await sessions.devices.linkCode(phone);
  const fork = await guest.fork({ as: "a fork" });
  await (await guest.fork({ as: "bob's" })).update({ user: "bob" });
  await sessions.restore(await sessions.snapshot(guest.id), { as: "copy" });
  await sessions.devices.unlink(phone);
  const stays = await talk(await sessions.devices.open(other), "a word of another");
  await sessions.devices.claim(adas, ada);

  assert.deepEqual(await holding(sessions), ["a fork", "bob's", "copy", guest.id].toSorted());
  const found = await findReferences(sessions, { device: phone });
  assert.deepEqual([found.sessions, found.devices, found.sharedForks.ids], [3, 1, ["bob's"]]);
  const receipt = await erase(sessions, { device: phone.toUpperCase() });
  assert.deepEqual(
    [receipt.erased.sessions, receipt.erased.devices, receipt.erased.codes, receipt.sharedForks.ids],
    [3, 1, 1, ["bob's"]],
  );
  assert(!JSON.stringify(receipt).includes(phone) && !JSON.stringify(receipt).includes(guest.id));
  assert.deepEqual(await holding(sessions), ["bob's"]);
  assert.equal(await sessions.devices.find(phone), undefined);
  assert.equal(fork.id, "a fork");
  assert.equal((await sessions.devices.find(other))?.id, stays.id);
  assert(verifyErasure(sessions, receipt, { device: phone }) && verifyErasure(sessions, receipt));
  assert(!verifyErasure(sessions, receipt, { device: other }) && !verifyErasure(sessions, receipt, ada));
  assert.deepEqual(await erase(sessions, { device: phone }), receipt);
  await erase(sessions, { device: phone, forks: "erase" });
  assert.deepEqual(await holding(sessions), []);

  await talk(await sessions.devices.open(phone));
  assert.equal((await erase(sessions, { device: phone })).erased.sessions, 1);
  const refused = { code: "argument_invalid", message: /device speaks for a user; erase the user/ };
  await assert.rejects(erase(sessions, { device: adas }), refused);
  await assert.rejects(findReferences(sessions, { device: adas }), refused);
  await assert.rejects(erase(sessions, { device: phone, user: ada }), { code: "argument_invalid" });
  await assert.rejects(erase(sessions, { device: "no uuid" }), { code: "id_invalid" });
});

test("the erasure of a guest leaves a shared session to its owner and names it, and a held session stays", async () => {
  await using here = place();
  const { sessions } = here;
  const [phone, tablet] = [randomUUID(), randomUUID()];
  const owned = await talk(await sessions.devices.open(tablet), "a word of the owner");
  const guest = await talk(await sessions.devices.open(phone));
  await guest.setLegalHold("case 4711");
  const shared = await talk(await link(sessions, phone, tablet));
  assert.equal(shared.id, owned.id);
  const receipt = await erase(sessions, { device: phone });
  assert.deepEqual([receipt.legalHold, receipt.erased.sessions, receipt.sharedForks.ids], [1, 0, [owned.id]]);
  assert.equal((await sessions.devices.find(tablet))?.id, owned.id);
  await guest.clearLegalHold();
  assert.equal((await erase(sessions, { device: phone })).erased.sessions, 1);
});

const ofAGuest: Readonly<Record<string, (here: InMemory, guest: Session, phone: string) => Promise<void>>> = {
  "copied under another id": async ({ sessions }, { id }) => {
    await sessions.restore(await sessions.snapshot(id), { as: "copy" });
  },
  "copied under another id and removed": copyAndRemove,
  "removed, and copied from a snapshot": removeAndCopy,
  "reset, and copied from what the reset kept": async ({ sessions, clock }, { id }, phone) => {
    await clock.advance(31 * day);
    await sessions.devices.open(phone);
    await sessions.restore(await sessions.snapshot(await keptOf(sessions, id)), { as: "copy" });
  },
  "reset, and copied from a snapshot of before": async ({ sessions, clock }, { id }, phone) => {
    const snapshot = await sessions.snapshot(id);
    await clock.advance(31 * day);
    await sessions.devices.open(phone);
    await sessions.restore(snapshot, { as: "copy" });
  },
  "truncated, and copied from a snapshot of before": async ({ sessions }, guest) => {
    const snapshot = await sessions.snapshot(guest.id);
    await guest.truncate(0);
    await sessions.restore(snapshot, { as: "copy" });
  },
  "forked and removed": async ({ sessions }, guest) => {
    await guest.fork({ as: "fork" });
    await removeSession(sessions, guest.id);
  },
  "forked for another user and removed": async ({ sessions }, guest) => {
    await (await guest.fork({ as: "fork" })).update({ user: "bob" });
    await removeSession(sessions, guest.id);
  },
  "forked and truncated": async (_, guest) => {
    await guest.fork({ as: "fork" });
    await guest.truncate(0);
  },
  "forked into an archive and removed": async ({ sessions }, guest) => {
    await (await guest.fork({ as: "fork" })).archive();
    await removeSession(sessions, guest.id);
  },
  "forked and reset": async ({ sessions, clock }, guest, phone) => {
    await guest.fork({ as: "fork" });
    await clock.advance(31 * day);
    await sessions.devices.open(phone);
  },
  "given to another user": async (_, guest) => {
    await guest.update({ user: "bob" });
  },
  "replaced by a snapshot of another user": async ({ sessions }, { id }) => {
    await (await sessions.get(id)).update({ user: "bob" });
    const snapshot = await sessions.snapshot(id);
    await (await sessions.get(id)).update({ user: null });
    await sessions.restore(snapshot, { onExists: "replace" });
  },
  "replaced by a snapshot of no user after another user had it, and reset": async (
    { sessions, clock },
    guest,
    phone,
  ) => {
    const snapshot = await sessions.snapshot(guest.id);
    await guest.update({ user: "carol" });
    await sessions.restore(snapshot, { onExists: "replace" });
    await clock.advance(31 * day);
    await sessions.devices.open(phone);
  },
};

for (const [what, act] of Object.entries(ofAGuest)) {
  test(`the session of a guest that was ${what} is deleted with the user that claims the device`, async () => {
    await using here = place();
    const phone = randomUUID();
    const guest = await talk(await here.sessions.devices.open(phone));
    await act(here, guest, phone);
    await here.sessions.devices.claim(phone, ada);
    await assertErased(here, what);
  });
}

const ofASharer: Readonly<Record<string, (here: InMemory, shared: Session, phone: string) => Promise<void>>> = {
  "forked and removed": async ({ sessions }, shared) => {
    await shared.fork({ as: "fork" });
    await removeSession(sessions, shared.id);
  },
  "copied and removed": copyAndRemove,
  "removed, and copied from a snapshot": removeAndCopy,
  "reset, and restored from a snapshot of before": async ({ sessions, clock }, { id }, phone) => {
    const snapshot = await sessions.snapshot(id);
    await sessions.devices.unlink(phone);
    await clock.advance(31 * day);
    await sessions.ensure(id, { onExpired: "reset" });
    await removeSession(sessions, await keptOf(sessions, id));
    await sessions.restore(snapshot, { onExists: "replace" });
  },
  "not used for more than a year, and swept": async ({ sessions, clock }) => {
    await clock.advance(366 * day);
    await sweep(sessions);
  },
  "not used for more than a year, while the device opens one of its own": async ({ sessions, clock }, _, phone) => {
    await clock.advance(366 * day);
    await sessions.devices.open(phone);
  },
  "not used for more than a year": async ({ clock }) => {
    await clock.advance(366 * day);
  },
};

for (const [what, act] of Object.entries(ofASharer)) {
  test(`a session that a guest shared by a link code and that was ${what} is found for the user that claims the guest`, async () => {
    await using here = place();
    const [tablet, phone] = [randomUUID(), randomUUID()];
    await talk(await here.sessions.devices.open(tablet), "a word of the owner's");
    const shared = await talk(await link(here.sessions, phone, tablet));
    await act(here, shared, phone);
    await here.sessions.devices.claim(phone, ada);
    await assertErased(here, what);
  });
}

test("a shared session that was truncated since the link code was used is found by its guest's user", async () => {
  await using here = place();
  const { sessions } = here;
  const [tablet, phone] = [randomUUID(), randomUUID()];
  await talk(await sessions.devices.open(tablet), "a word of the owner's");
  await talk(await sessions.devices.open(tablet), "a word of the owner's");
  const shared = await link(sessions, phone, tablet);
  await shared.truncate(1);
  await talk(shared);
  await sessions.devices.claim(phone, ada);
  assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, [shared.id]);
  await assertErased(here, "truncated");
});

test("a guest that shared a session leaves it to the owner's user", async () => {
  await using here = place();
  const { sessions } = here;
  const [tablet, phone] = [randomUUID(), randomUUID()];
  const owned = await talk(await sessions.devices.open(tablet));
  await talk(await link(sessions, phone, tablet), "a word of Bob's");
  await sessions.devices.claim(phone, "bob");
  await here.clock.advance(31 * day);
  await sessions.devices.open(tablet);
  await sessions.devices.claim(tablet, ada);
  assert.deepEqual((await findReferences(sessions, "bob")).sharedForks.ids, [await keptOf(sessions, owned.id)]);
  await assertErased(here, "the owner's words");
});

for (const [what, act] of [
  ["reset", async (here: InMemory, id: string) => void (await here.sessions.ensure(id, { onExpired: "reset" }))],
  [
    "restored under another id",
    async ({ sessions }: InMemory, id: string) => {
      await sessions.restore(await sessions.snapshot(id), { as: "copy" });
      await removeSession(sessions, id);
    },
  ],
  [
    "forked, and removed",
    async ({ sessions }: InMemory, id: string) => {
      await (await (await sessions.get(id)).fork({ as: "fork" })).archive();
      await removeSession(sessions, id);
    },
  ],
] as const)
  for (const role of ["owner", "sharer"] as const)
    test(`after a ${role} logs in while the session is ${what}, each of its words is found, at whichever commit it happens`, async () => {
      for (let moment = 1; ; moment++) {
        await using here = place();
        const { sessions, store } = here;
        const [tablet, phone] = [randomUUID(), randomUUID()];
        const shared = await talk(await sessions.devices.open(tablet), role === "owner" ? "a word of Ada's" : "owner");
        if (role === "sharer") await talk(await link(sessions, phone, tablet));
        if (what === "reset") await here.clock.advance(31 * day);
        const other = here.another({ secret, ttl: "30d" });
        let [commits, acted] = [0, false];
        store.plan(() => {
          if (acted || ++commits < moment) return undefined;
          acted = true;
          return { hold: other.devices.claim(role === "owner" ? tablet : phone, ada) };
        });
        await act(here, shared.id);
        if (!acted) break;
        await assertErased(here, `at commit ${moment}`);
      }
    });

test("turns with a time in the future are found in a fork that took them over", async () => {
  await using here = place();
  const { sessions } = here;
  await talk(await sessions.create({ id: "hers", user: ada }));
  const snapshot = await sessions.snapshot("hers");
  const { turns = [], ...logs } = snapshot.logs;
  const later = turns.map((entry) => ({ ...entry, at: entry.at + 10 * day }));
  const document = { ...snapshot, logs: { ...logs, turns: later } };
  await removeSession(sessions, "hers");
  // The refusal names the checksum of the changed document.
  const refusal: unknown = await sessions.restore(document).catch((error: unknown) => error);
  const checksum = hasCode(refusal, "snapshot_invalid") ? refusal.details.known?.[0] : undefined;
  assert(checksum !== undefined);
  const restored = await sessions.restore({ ...document, checksum });
  await (await restored.fork({ as: "bob's" })).update({ user: "bob" });
  await removeSession(sessions, "hers");
  await assertErased(here, "a fork");
});

test("a fork of a user's own fork is found through what the user had said above as a guest", async () => {
  await using here = place();
  const { sessions } = here;
  const [tablet, phone] = [randomUUID(), randomUUID()];
  await sessions.devices.open(tablet);
  const guest = await talk(await sessions.devices.open(phone));
  await link(sessions, phone, tablet);
  await sessions.devices.claim(phone, ada);
  const own = await guest.fork({ as: "own" });
  await own.update({ user: ada });
  const carols = await own.fork({ as: "carol's" });
  await carols.update({ user: "carol" });
  assert.deepEqual((await findReferences(sessions, ada)).sharedForks.ids, ["carol's"]);
  await assertErased(here, "a fork of a fork");
});

test("a fork of a fork that lost its user is found through what the user had said above as a guest", async () => {
  await using here = place();
  const { sessions } = here;
  const phone = randomUUID();
  const guest = await talk(await sessions.devices.open(phone));
  const own = await guest.fork({ as: "own" });
  await own.update({ user: ada });
  await talk(own);
  await own.update({ user: null });
  const below = await own.fork({ at: 1, as: "below" });
  await below.update({ user: "carol" });
  await sessions.devices.claim(phone, ada);
  const { sessions: count, sharedForks } = await findReferences(sessions, ada);
  assert.deepEqual([count, sharedForks.ids], [2, ["below"]]);
  const receipt = await erase(sessions, { user: ada });
  assert.deepEqual([receipt.erased.sessions, receipt.sharedForks.ids], [2, ["below"]]);
  assert.deepEqual(await holding(sessions), ["below"]);
  await assertErased(here, "a fork below a fork without a user");
});

test("an erasure that runs alone writes each batch once", async () => {
  await using here = place();
  const { sessions, store } = here;
  for (let index = 0; index < 40; index++) await sessions.create({ user: ada });
  let batches = 0;
  store.plan((_, batch) => {
    batches += batch.filter((transaction) => transaction.length > 1).length;
    return undefined;
  });
  await erase(sessions, { user: ada });
  assert.equal(batches, 2);
});

test("a guest that is known under an earlier secret is erased, and an interrupted erasure of a guest is continued", async () => {
  await using here = place();
  const [phone, tablet] = [randomUUID(), randomUUID()];
  for (const device of [phone, tablet]) await talk(await here.sessions.devices.open(device));
  const later = here.another({ secret: "another secret of the tests", previousSecrets: [secret] });
  // Known under both secrets from here on.
  await later.devices.open(phone);
  for (const device of [phone, tablet]) {
    here.store.plan((_, batch) =>
      batch.some((transaction) => transaction.length > 1) ? { fails: "after" } : undefined,
    );
    await erase(later, { device }).catch(() => undefined);
    here.store.plan({});
    const receipt = await erase(later, { device });
    assert.deepEqual([receipt.erased.sessions, receipt.erased.turns, receipt.erased.devices], [1, 2, 1]);
    assert(verifyErasure(later, receipt, { device }));
    assert.equal(await later.devices.find(device), undefined);
  }
  assert.deepEqual(await holding(later), []);
});
