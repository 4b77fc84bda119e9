/** Erasure of a user: what is deleted, and what the receipt says. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Metadata } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import { openSessions } from "../../open.ts";
import { internalChange } from "../core/internal-record.ts";
import { coreOf, type Sessions } from "../sessions.ts";
import { erase, findReferences, sweep, verifyErasure } from "../../admin.ts";
import { secret, day, ada, none, place, talk, noReferences } from "../../../test/support/erased-user.ts";

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
    legalHold: 0,
    devices: 2,
    pointers: 1,
    documents: { count: 0, keys: [] },
    outbox: 0,
    sharedForks: none,
  });
  const receipt = await erase(sessions, { user: ada, store: "the test's" });
  assert.deepEqual(await findReferences(sessions, ada), noReferences);
  const { erased, legalHold, sharedForks, scrubbed, store, tenant } = receipt;
  assert.deepEqual(erased, {
    sessions: 6,
    forks: 1,
    archives: 1,
    turns: 14,
    events: 14,
    devices: 2,
    codes: 1,
    documents: 0,
    attachments: 0,
    outbox: 0,
  });
  assert.deepEqual([legalHold, sharedForks, scrubbed, store, tenant], [0, none, true, "the test's", "default"]);
  const left = await sessions.list();
  assert.deepEqual(new Set(left.items.map(({ user }) => user)), new Set(["bob"]));
  assert.deepEqual(await findReferences(sessions, "bob"), {
    sessions: 2,
    legalHold: 0,
    devices: 1,
    pointers: 1,
    documents: { count: 0, keys: [] },
    outbox: 0,
    sharedForks: none,
  });
  // The hashes and the signature may spell the name by chance.
  assert.doesNotMatch(JSON.stringify({ ...receipt, subject: "", hash: "", signature: "" }), /ada|lovelace/i);
});

/** Made before format 2. */
const receiptFormat1 = {
  format: "perdure.erasure/1" as const,
  tenant: "default",
  subject: "3584171cfbaf19853495c46f93ac2a7475db9ec8",
  store: "a store",
  startedAt: "2026-11-30T02:48:54.421Z",
  finishedAt: "2026-11-30T02:48:54.428Z",
  erased: { sessions: 1, forks: 0, archives: 0, turns: 1, events: 1, devices: 0, codes: 0, outbox: 0 },
  held: 1,
  sharedForks: { count: 2, held: 1, ids: ["b", "a"] },
  scrubbed: true,
  hash: "80789b7bc113eb08c63b40b45cd8b41df902b4ca9867ec1e68bba543200d1fd6",
  signature: "lrurg7L8PHl3gKj8b5bOBdMczvOsi3LFCqLdbwcIy88",
};

test("a receipt of format 1 stays valid for its user, and not after a change", async () => {
  await using here = place();
  const { sessions } = here;
  const { held: _, ...rest } = receiptFormat1;
  assert(verifyErasure(sessions, receiptFormat1, ada));
  assert(!verifyErasure(sessions, receiptFormat1, "bob"));
  for (const altered of [
    { ...receiptFormat1, held: 0 },
    { ...receiptFormat1, sharedForks: { ...receiptFormat1.sharedForks, held: 0 } },
    { ...receiptFormat1, sharedForks: { count: 2, legalHold: 1, ids: ["a", "b"] } },
    { ...rest, legalHold: 1 },
    { ...receiptFormat1, format: "perdure.erasure/2" },
    null,
  ])
    assert(!verifyErasure(sessions, altered as typeof receiptFormat1), JSON.stringify(altered));
});

test("a repeated erasure returns a stored receipt of format 1 in the current format", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  await (await sessions.get("plain")).setLegalHold("a lawsuit");
  const receipt = await erase(sessions, { user: ada });
  const { legalHold: held, sharedForks, ...rest } = receipt;
  const { legalHold: heldForks, ...forks } = sharedForks;
  const before = { ...rest, format: "perdure.erasure/1", held, sharedForks: { ...forks, held: heldForks } };
  const core = coreOf(sessions);
  const key = { tenant: internalScope("default", "erasures"), id: receipt.subject };
  const record = (await core.find(key))?.record ?? assert.fail();
  const metadata = { ...record.metadata, receipt: before } as unknown as Metadata;
  await core.commit([internalChange(core, key, record, { metadata, ttlMs: day })]);
  const again = await erase(sessions, { user: ada });
  assert.deepEqual(again, receipt);
  assert(verifyErasure(sessions, again, ada));
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
    { ...receipt, legalHold: 1 },
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
  assert.deepEqual([receipt.legalHold, receipt.erased.sessions], [1, 5]);
  assert.deepEqual(
    (await sessions.list({ user: ada })).items.map(({ id }) => id),
    ["archived"],
  );
  await (await sessions.get("archived")).clearLegalHold();
  assert.equal((await erase(sessions, { user: ada })).erased.sessions, 1);
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
