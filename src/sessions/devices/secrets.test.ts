/** The secret of devices: another one is refused, and an earlier one keeps what was made under it. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { copySessions, doctor, erase, findReferences, verifyErasure } from "../../admin.ts";
import { hasCode } from "../../errors.ts";
import { openSessions } from "../../open.ts";
import { openMemory } from "../../store/memory.ts";
import { openSqlite } from "../../store/sqlite/open.ts";
import type { Store } from "../../store/store.ts";
import { internalKey } from "./device-pointer.ts";
import { resetSecret, storedSecret } from "./secret-check.ts";
import type { SessionsOptions } from "../options/options.ts";
import { coreOf, type Sessions } from "../sessions.ts";
import { inputsOf } from "../../../test/support/inputs-of.ts";

const [a, b, c] = ["the first secret of all", "the second secret of all", "the third secret of all"];
const folder = mkdtempSync(join(tmpdir(), "perdure-secrets-"));
after(() => rmSync(folder, { recursive: true }));

const engines: Readonly<Record<string, (name: string) => Promise<Store>>> = {
  memory: async () => openMemory(),
  SQLite: (name) => openSqlite({ url: `sqlite:${join(folder, `${name}.db`)}` }),
};

for (const [engine, openStore] of Object.entries(engines)) {
  test(`a store on ${engine} takes its first secret, and refuses another one before anything is lost`, async () => {
    const store = await openStore("refuses");
    const open = async (options: SessionsOptions): Promise<Sessions> =>
      await openSessions({ store, sweep: false, ...options });
    const first = await open({ secret: a });
    const devices = [randomUUID(), randomUUID()] as const;
    for (const device of devices) await (await first.devices.open(device)).append({ input: "mine" });
    const { code } = await first.devices.linkCode(devices[0]);
    await first.devices.link(randomUUID(), code);
    await first.devices.claim(devices[1], "ada");
    await assert.rejects(open({ secret: b }), (error) => {
      assert.ok(hasCode(error, "secret_mismatch"));
      assert.deepEqual([error.details.sessions, error.details.more], [2, false]);
      assert.match(
        error.message,
        /2 sessions of devices would be lost: give the right secret, .*PERDURE_SECRET_PREVIOUS/,
      );
      assert.doesNotMatch(JSON.stringify(error.details) + error.message, /secret of all/);
      return true;
    });
    await assert.rejects(open({ secret: b, previousSecrets: [c] }), { code: "secret_mismatch" });
    assert.deepEqual(await inputsOf(await (await open({ secret: a })).devices.find(devices[0])), ["mine"]);
    assert.equal((await (await open({})).list()).items.length, 2, "without a secret nothing is compared");
    await first.close();
  });

  test(`of two programs that open a new store on ${engine} with two secrets at once, one is refused`, async () => {
    const store = await openStore("race");
    const opened = await Promise.allSettled([a, b].map((secret) => openSessions({ store, sweep: false, secret })));
    const refused = opened.filter(({ status }) => status === "rejected");
    assert.equal(refused.length, 1);
    assert.ok(refused.every((one) => one.status === "rejected" && hasCode(one.reason, "secret_mismatch")));
    await store.close();
  });
}

test("what was made under the previous secret stays valid, and is known under the new one once it was used", async () => {
  await using here = inMemory({ secret: a });
  const old = here.sessions;
  const [phone, tablet, idle, laptop] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()] as const;
  await (await old.devices.open(phone)).append({ input: "from the phone" });
  await (await old.devices.open(idle)).append({ input: "from the idle one" });
  await (await old.devices.open(laptop)).append({ input: "from the laptop" });
  await old.devices.claim(laptop, "ada");
  await old.devices.handOff([idle, phone], "cfo");
  const { code } = await old.devices.linkCode(phone);
  const cookie = old.devices.seal(phone);
  await (await old.create({ user: "bob" })).append({ input: "x" });
  const receipt = await erase(old, { user: "bob" });

  const rotated = here.another({ secret: b, previousSecrets: [a] });
  const { devices } = rotated;
  assert.deepEqual(await inputsOf(await devices.find(phone)), ["from the phone"]);
  assert.deepEqual(await inputsOf(await devices.link(tablet, code)), ["from the phone"]);
  assert.equal(devices.unseal(cookie), phone);
  assert.notEqual(devices.seal(phone), cookie);
  assert.ok(verifyErasure(rotated, receipt, "bob"));
  assert.deepEqual(await inputsOf(await devices.claim(randomUUID(), "ada")), ["from the laptop"], "the user's session");
  const fresh = randomUUID();
  await (await devices.open(fresh)).append({ input: "new" });

  // The phone, the idle device, the laptop with its pointer to the user; the user is known since the claim.
  assert.equal((await doctor(rotated)).underEarlierSecrets, 3);
  await (await devices.open(phone)).append({ input: "again" });
  await devices.open(laptop);
  assert.equal((await doctor(rotated)).underEarlierSecrets, 1);
  assert.deepEqual(
    (await devices.activeAgents([idle, phone, fresh, randomUUID()])).map((agent) => agent !== null),
    [true, true, false, false],
  );
  await devices.open(idle);
  const report = await doctor(rotated);
  assert.deepEqual([report.underEarlierSecrets, report.findings], [0, 0]);

  const alone = here.another({ secret: b });
  assert.deepEqual(await inputsOf(await alone.devices.find(phone)), ["from the phone", "again"]);
  assert.deepEqual(await inputsOf(await alone.devices.open(tablet)), ["from the phone", "again"]);
  assert.deepEqual(await inputsOf(await alone.devices.open(laptop)), ["from the laptop"]);
  assert.deepEqual(await inputsOf(await alone.devices.claim(randomUUID(), "ada")), ["from the laptop"]);
  assert.deepEqual(await inputsOf(await alone.devices.open(fresh)), ["new"]);
  assert.equal((await Array.fromAsync(alone.devices.eachSharing(phone))).length, 1);
  assert.equal(await alone.devices.unlink(phone), true);
  assert.equal(alone.devices.unseal(cookie), null);
  await assert.rejects(here.another({ secret: a }).devices.open(phone), { code: "secret_mismatch" });

  const third = here.another({ secret: c, previousSecrets: [b] });
  assert.deepEqual(await inputsOf(await third.devices.open(phone)), ["from the phone", "again"]);
  assert.deepEqual(await inputsOf(await here.another({ secret: c }).devices.open(phone)), ["from the phone", "again"]);
});

test("programs that know each other's secret as a previous one serve the same devices during a rolling restart", async () => {
  await using here = inMemory({ secret: a, previousSecrets: [b] });
  const device = randomUUID();
  await (await here.sessions.devices.open(device)).append({ input: "one" });
  const newer = here.another({ secret: b, previousSecrets: [a] });
  await (await newer.devices.open(device)).append({ input: "two" });
  const other = randomUUID();
  await (await newer.devices.open(other)).append({ input: "three" });
  assert.deepEqual(await inputsOf(await here.sessions.devices.open(device)), ["one", "two"]);
  assert.deepEqual(await inputsOf(await here.sessions.devices.open(other)), ["three"]);
});

test("the erasure of a user deletes the names of devices and of the user under all secrets", async () => {
  await using here = inMemory({ secret: a });
  const device = randomUUID();
  await (await here.sessions.devices.open(device)).append({ input: "mine" });
  await here.sessions.devices.claim(device, "ada");
  await here.another({ secret: b, previousSecrets: [a] }).devices.open(device);
  const now = here.another({ secret: b });
  const receipt = await erase(now, { user: "ada" });
  assert.equal(receipt.erased.devices, 1);
  const left = await findReferences(now, "ada");
  assert.deepEqual([left.sessions, left.devices, left.pointers], [0, 0, 0]);
  const scope = internalKey("default", "").tenant;
  assert.equal(await here.shared.count({ tenant: scope, now: here.clock.now() }), 0);
  assert.deepEqual(await inputsOf(await now.devices.open(device)), []);
});

test("a copy of a store has its secret; a target with a secret of its own keeps it", async () => {
  await using here = inMemory({ secret: a });
  await (await here.sessions.devices.open(randomUUID())).append({ input: "mine" });
  for (const options of [{ everything: true }, {}]) {
    const store = openMemory();
    await using target = await openSessions({ store, sweep: false });
    assert.equal((await copySessions(here.sessions, target, options)).complete, true);
    await assert.rejects(openSessions({ store, sweep: false, secret: b }), { code: "secret_mismatch" });
    await openSessions({ store, sweep: false, secret: a });
  }
  const store = openMemory();
  await using own = await openSessions({ store, sweep: false, secret: b });
  assert.equal((await copySessions(here.sessions, own, { everything: true })).complete, true);
  await assert.rejects(openSessions({ store, sweep: false, secret: a }), { code: "secret_mismatch" });
});

test("after a reset the store takes another secret, and devices of earlier rotations stay known under it", async () => {
  await using here = inMemory({ secret: a });
  const device = randomUUID();
  await (await here.sessions.devices.open(device)).append({ input: "mine" });
  await here.another({ secret: b, previousSecrets: [a] }).devices.open(device);
  assert.equal(await resetSecret(coreOf(here.another())), 1);
  assert.deepEqual(await inputsOf(await here.another({ secret: b }).devices.open(device)), ["mine"]);
  await resetSecret(coreOf(here.another()));
  assert.deepEqual(await inputsOf(await here.another({ secret: c }).devices.open(device)), []);
});

test("a secret is compared once the store can be reached, and turns of the fallback wait for the right one", async () => {
  await using here = inMemory({ secret: a });
  await here.sessions.devices.open(randomUUID());
  here.loadsFail = true;
  const wrong = await openSessions({
    store: here.shared,
    secret: b,
    sweep: false,
    fallback: "stateless",
    clock: here.clock,
  });
  const device = randomUUID();
  await (await wrong.devices.open(device)).append({ input: "meanwhile" });
  here.loadsFail = false;
  await here.clock.advance(60_000);
  await assert.rejects(wrong.devices.open(device), { code: "secret_mismatch" });
  assert.equal((await here.sessions.list()).items.length, 1, "nothing of it was replayed");
  await wrong.close().catch(() => undefined);
});

test("a previous secret that is the present one changes nothing", async () => {
  await using here = inMemory({ secret: a, previousSecrets: [a] });
  await here.sessions.devices.open(randomUUID());
  assert.equal((await storedSecret(coreOf(here.sessions))).rotated, false);
});

test("previous secrets are checked like the secret", async () => {
  await assert.rejects(openSessions({ store: "memory:", secret: a, previousSecrets: ["short"] }), {
    code: "argument_invalid",
    message: /previousSecrets\[0\]/,
  });
});
