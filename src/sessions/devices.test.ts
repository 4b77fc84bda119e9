import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { identityOf } from "../domain/record/change.ts";
import { inMemory, type InMemory } from "../../test/support/in-memory.ts";
import { openSessions } from "../open.ts";
import type { Store } from "../store/store.ts";
import type { UnreadableDevice } from "./devices.ts";
import { erase, sweep } from "../admin.ts";
import { inputsOf } from "../../test/support/inputs-of.ts";

const secret = "a secret for tests only";
const minute = 60_000;
const day = 24 * 60 * minute;

function place(options = {}): InMemory {
  return inMemory({ secret, ...options });
}

test("a device finds its session again, in any process, and no other device's", async () => {
  await using here = place();
  const [one, other] = [randomUUID(), randomUUID()];
  await (await here.sessions.devices.open(one)).append({ input: "mine" });
  await (await here.sessions.devices.open(other)).append({ input: "theirs" });
  const elsewhere = here.another({ secret });
  assert.deepEqual(await inputsOf(await elsewhere.devices.open(one)), ["mine"]);
  assert.deepEqual(await inputsOf(await elsewhere.devices.open(one.toUpperCase())), ["mine"]);
  assert.deepEqual(await inputsOf(await elsewhere.devices.open(other)), ["theirs"]);
  assert.deepEqual(await inputsOf(await elsewhere.for("another tenant").devices.open(one)), []);
  const wrong = here.another({ secret: "another secret entirely" });
  await assert.rejects(wrong.devices.open(one), { code: "secret_mismatch" });
});

test("twenty processes that meet a device at once make one session", async () => {
  await using here = place();
  const device = randomUUID();
  const sessions = await Promise.all(Array.from({ length: 20 }, () => here.another({ secret }).devices.open(device)));
  assert.equal(new Set(sessions.map(({ id }) => id)).size, 1);
  assert.equal((await here.sessions.list()).items.length, 1);
});

test("an id that is no UUID opens no session, and no error repeats it", async () => {
  await using here = place();
  const bad = [
    "",
    "guessed-by-hand",
    `${randomUUID()} `,
    randomUUID().replaceAll("-", ""),
    `{${randomUUID()}}`,
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    7,
    null,
    undefined,
    {},
    [randomUUID()],
  ];
  for (const id of bad) {
    await assert.rejects(here.sessions.devices.open(id as string), (error: Error & { code?: string }) => {
      assert.equal(error.code, "id_invalid");
      if (typeof id === "string" && id.length > 10)
        assert(!error.message.includes(id.trim().slice(0, 10)), error.message);
      return true;
    });
  }
  for (const version of [1, 3, 4, 5, 6, 7, 8]) {
    await here.sessions.devices.open(`0191e7c2-0000-${version}000-8000-0000000000${version}0`);
  }
  await assert.rejects(inMemory().sessions.devices.open(randomUUID()), { code: "secret_missing" });
});

test("a stolen store reveals neither device ids nor codes nor users' hashes", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-devices-"));
  t.after(() => rm(folder, { recursive: true }));
  const [one, other] = [randomUUID(), randomUUID()];
  const sessions = await openSessions({ store: `sqlite:${join(folder, "s.db")}`, secret, sweep: false });
  await (await sessions.devices.open(one)).append({ input: "hello" });
  const { code } = await sessions.devices.linkCode(one);
  await sessions.devices.link(other, code);
  const pending = await sessions.devices.linkCode(one);
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "latin1")));
  await sessions.close();
  const raw = files.join("\n").toLowerCase();
  assert(raw.includes("hello"), "the test reads what is stored");
  for (const secretText of [one, other, code, code.slice(5), pending.code, secret]) {
    assert(!raw.includes(secretText.toLowerCase()), "found in the files");
  }
});

test("a device whose session expired, ended or was archived continues with a fresh one, and the old one is kept", async () => {
  await using here = place();
  const device = randomUUID();
  await (await here.sessions.devices.open(device)).append({ input: "long ago" });
  await here.clock.advance(2 * day);
  assert.deepEqual(await inputsOf(await here.sessions.devices.open(device)), []);
  const second = await here.sessions.devices.open(device);
  await second.append({ input: "then" });
  await second.end();
  const third = await here.sessions.devices.open(device);
  assert.deepEqual(await inputsOf(third), []);
  await third.append({ input: "now" });
  assert.deepEqual(await inputsOf(await here.sessions.devices.open(device)), ["now"]);
  const { items: sessions } = await here.sessions.list();
  assert.deepEqual(sessions.map(({ state }) => state).toSorted(), ["active", "archived", "archived"]);
});

test("a session that expires during an answer is reset once the answer is sealed", async () => {
  await using here = place({ ttl: "1h", maxAge: "1h" });
  const { sessions } = here;
  const device = randomUUID();
  const session = await sessions.devices.open(device);
  const answer = await session.begin("A long question");
  await here.clock.advance(2 * 60 * minute);
  await assert.rejects(sessions.devices.open(device), { code: "busy" });
  await assert.rejects(sessions.ensure(session.id, { onExpired: "reset" }), { code: "busy" });
  await answer.write({ text: "A long answer" });
  assert.equal((await answer.seal()).status, "done");
  assert.deepEqual(await inputsOf(await sessions.devices.open(device)), []);
  const [old] = (await sessions.list({ state: "archived" })).items;
  const [turn] = await Array.fromAsync((await sessions.get(old?.id ?? "")).turns());
  assert.deepEqual([turn?.status, turn?.output[0]?.content], ["done", "A long answer"]);
});

test("a device that redeems a code shares the session, on both sides, until it is unlinked", async () => {
  await using here = place();
  const { sessions } = here;
  const [phone, laptop] = [randomUUID(), randomUUID()];
  await (await sessions.devices.open(phone)).append({ input: "from the phone" });
  await (await sessions.devices.open(laptop)).append({ input: "before" });
  const { code, expiresAt } = await sessions.devices.linkCode(phone);
  assert.match(code, /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/);
  assert.equal(Number(expiresAt) - here.clock.now(), 10 * minute);
  const shared = await sessions.devices.link(laptop, ` ${code.toLowerCase().replace("-", " ")}`);
  assert.deepEqual(await inputsOf(shared), ["from the phone"]);
  await shared.append({ input: "from the laptop" });
  assert.deepEqual(await inputsOf(await sessions.devices.open(phone)), ["from the phone", "from the laptop"]);
  assert.deepEqual(
    (await Array.fromAsync(shared.events())).map(({ type }) => type),
    ["created", "device_linked"],
  );
  assert.equal(await sessions.devices.unlink(laptop), true);
  assert.equal(await sessions.devices.unlink(laptop), false);
  assert.deepEqual(await inputsOf(await sessions.devices.open(laptop)), [], "a fresh session of its own");
  assert.equal((await inputsOf(await sessions.devices.open(phone))).length, 2);
});

test("a code works once, for ten minutes, five attempts and one device, and every wrong code gets the same error", async () => {
  await using here = place();
  const { sessions } = here;
  const [one, other] = [randomUUID(), randomUUID()];
  const refused = async (code: unknown, why: string): Promise<void> => {
    await assert.rejects(
      sessions.devices.link(other, code as string),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "link_code_invalid");
        assert.deepEqual(
          { ...(error as { details?: object }).details },
          { tenant: "default", command: "devices.link" },
        );
        return true;
      },
      why,
    );
  };
  const wrong = (code: string): string => `${code.slice(0, 5)}${code.endsWith("0") ? "1111" : "0000"}`;

  const used = await sessions.devices.linkCode(one);
  await sessions.devices.link(other, used.code);
  await refused(used.code, "used");

  const late = await sessions.devices.linkCode(one);
  await here.clock.advance(10 * minute);
  await refused(late.code, "expired");

  const replaced = await sessions.devices.linkCode(one);
  const current = await sessions.devices.linkCode(one);
  await refused(replaced.code, "replaced");
  for (let tries = 0; tries < 3; tries++) await refused(wrong(current.code), "wrong");
  await sessions.devices.link(randomUUID(), current.code);

  const dead = await sessions.devices.linkCode(one);
  await Promise.all(Array.from({ length: 5 }, () => refused(wrong(dead.code), "wrong")));
  await refused(dead.code, "dead after five tries, at once or not");

  const mine = await sessions.devices.linkCode(other);
  await refused(mine.code, "one's own");
  const elsewhere = here.another({ secret }).for("another tenant").devices;
  await assert.rejects(elsewhere.link(randomUUID(), mine.code), { code: "link_code_invalid" });
  for (const nonsense of ["", "ABCD", "ABCD-ABCU", "ABCD-ABCD-ABCD", "\u0000".repeat(8), 7, null]) {
    await refused(nonsense, "nonsense");
  }
});

test("attempts do not prolong a code, and concurrent attempts redeem it once", async () => {
  await using here = place();
  const { devices } = here.sessions;
  const { code } = await devices.linkCode(randomUUID());
  await here.clock.advance(9 * minute);
  const wrong = `${code.slice(0, 5)}${code.endsWith("0") ? "1111" : "0000"}`;
  await assert.rejects(devices.link(randomUUID(), wrong), { code: "link_code_invalid" });
  await here.clock.advance(minute);
  await assert.rejects(devices.link(randomUUID(), code), { code: "link_code_invalid" });

  const again = await devices.linkCode(randomUUID());
  const all = await Promise.allSettled(
    Array.from({ length: 8 }, () => here.another({ secret }).devices.link(randomUUID(), again.code)),
  );
  assert.equal(all.filter(({ status }) => status === "fulfilled").length, 1);
});

test("a guest's session becomes the user's with one event, and every device of the user continues with it", async () => {
  await using here = place({ ttlOfUser: (user: string) => (user === "ada" ? "30d" : undefined) });
  const { sessions } = here;
  const [phone, laptop, guest] = [randomUUID(), randomUUID(), randomUUID()];
  await (await sessions.devices.open(phone)).append({ input: "as a guest" });
  const claimed = await sessions.devices.claim(phone, "ada");
  assert.equal(claimed.info.user, "ada");
  assert.equal(Number(claimed.info.expiresAt) - here.clock.now(), 30 * day);
  assert.deepEqual(await inputsOf(claimed), ["as a guest"]);
  assert.deepEqual(
    (await Array.fromAsync(claimed.events())).map((event) => (event.type === "claimed" ? event.user : event.type)),
    ["created", "ada"],
  );
  assert.deepEqual(await inputsOf(await sessions.devices.claim(laptop, "ada")), ["as a guest"]);
  assert.deepEqual(
    await inputsOf(await sessions.devices.claim(phone, "ada")),
    ["as a guest"],
    "claiming again is harmless",
  );
  assert.deepEqual(await inputsOf(await sessions.devices.open(laptop)), ["as a guest"]);
  assert.deepEqual(await inputsOf(await sessions.devices.open(guest)), []);

  const { items: devices } = await sessions.devices.list("ada");
  assert.equal(devices.length, 2);
  assert(devices.every(({ id, linkedAt }) => id.startsWith("device_") && linkedAt.getTime() === here.clock.now()));
  const first = await sessions.devices.list("ada", { limit: 1 });
  const rest = await sessions.devices.list("ada", { limit: 1, after: first.next ?? "" });
  assert.deepEqual([...first.items, ...rest.items], devices);
  assert.deepEqual(await Array.fromAsync(sessions.devices.each("ada")), devices);
  assert.deepEqual((await sessions.devices.list("bob")).items, []);
  assert.equal(await sessions.devices.signOut("bob", devices[0]?.id ?? ""), false, "not bob's to sign out");
  for (const { id } of devices) assert.equal(await sessions.devices.signOut("ada", id), true);
  assert.deepEqual(
    await inputsOf(await sessions.devices.open(phone)),
    [],
    "the session that was claimed is no longer the device's",
  );
  assert.deepEqual(await inputsOf(await sessions.devices.open(laptop)), []);
  assert.deepEqual((await sessions.devices.list("ada")).items, []);
});

test("if the user has a session already, the caller chooses the one that continues, and the other is ended and kept", async () => {
  for (const keep of ["user", "device"] as const) {
    await using here = place();
    const { sessions } = here;
    const [home, phone] = [randomUUID(), randomUUID()];
    await (await sessions.devices.claim(home, "ada")).append({ input: "at home" });
    const guest = await sessions.devices.open(phone);
    await guest.append({ input: "on the phone" });
    await assert.rejects(sessions.devices.claim(phone, "ada"), { code: "claim_undecided" });
    assert.equal((await guest.refresh()).user, null, "nothing was written");
    const session = await sessions.devices.claim(phone, "ada", { keep });
    const expected = keep === "user" ? ["at home"] : ["on the phone"];
    assert.deepEqual(await inputsOf(session), expected);
    assert.deepEqual(await inputsOf(await sessions.devices.open(home)), expected);
    assert.deepEqual(await inputsOf(await sessions.devices.open(phone)), expected);
    const [other] = (await sessions.list({ state: "ended" })).items;
    const events = await Array.fromAsync((await sessions.get(other?.id ?? "")).events());
    assert.deepEqual(
      events.slice(-2).map((event) => (event.type === "superseded" ? event.by : event.type)),
      [session.id, "ended"],
    );
  }
});

test("a guest's session that is ended by a claim belongs to the user, and a device that shared it gets a new session", async () => {
  await using here = place();
  const { sessions } = here;
  const [home, phone, friend] = [randomUUID(), randomUUID(), randomUUID()];
  await (await sessions.devices.claim(home, "ada")).append({ input: "at home" });
  const guest = await sessions.devices.open(phone);
  await guest.append({ input: "on the phone" });
  await sessions.devices.link(friend, (await sessions.devices.linkCode(phone)).code);
  await sessions.devices.claim(phone, "ada", { keep: "user" });
  const { state, user } = await guest.refresh();
  assert.deepEqual([state, user], ["ended", "ada"]);
  const theirs = await sessions.devices.open(friend);
  await theirs.append({ input: "of a friend" });
  assert.notEqual(theirs.id, guest.id);
  // Out of use for years, the phone is for itself again.
  await here.clock.advance(400 * day);
  await (await sessions.devices.open(friend)).append({ input: "of a friend" });
  assert.deepEqual(await inputsOf(await sessions.devices.open(phone)), []);
});

test("claims of one user from ten devices at once leave one session and no half of a claim", async () => {
  await using here = place();
  const devices = Array.from({ length: 10 }, () => randomUUID());
  for (const device of devices) await (await here.sessions.devices.open(device)).append({ input: device });
  const results = await Promise.allSettled(
    devices.map((device) => here.another({ secret }).devices.claim(device, "ada", { keep: "user" })),
  );
  assert(results.every(({ status }) => status === "fulfilled"));
  const { items: sessions } = await here.sessions.list({ user: "ada", state: "active" });
  assert.equal(sessions.length, 1);
  assert.equal((await here.sessions.list({ state: "ended" })).items.length, 9);
  const opened = await Promise.all(devices.map((device) => here.sessions.devices.open(device)));
  assert.deepEqual(new Set(opened.map(({ id }) => id)), new Set([sessions[0]?.id]));
});

test("a session created during a claim of its device or user is found by both afterwards", async () => {
  for (let steps = 0; steps < 60; steps++) {
    for (const comesBack of [false, true]) {
      await using here = place({ ttl: "1h" });
      const [guest, known] = [randomUUID(), randomUUID()];
      await here.sessions.devices.claim(known, "ada"); // who has no session yet
      if (comesBack) {
        // Or one whose time is up: then it is begun afresh.
        await here.sessions.devices.open(known);
        await here.sessions.devices.open(guest);
        await here.clock.advance(2 * 60 * minute);
      }
      const speak = async (device: string, text: string): Promise<void> => {
        for (;;) {
          const session = await here.another({ secret, ttl: "1h" }).devices.open(device);
          const inputsOf = await session.append({ input: text }).catch(({ code }: { code: string }) => code);
          if (typeof inputsOf !== "string") return; // else it went on elsewhere, and is asked again
          assert(["conflict", "session_ended"].includes(inputsOf), inputsOf);
        }
      };
      const speaking = [speak(known, "to be kept"), speak(guest, "as well")];
      for (let step = 0; step < steps; step++) await Promise.resolve();
      const claimed = await here.sessions.devices.claim(guest, "ada", { keep: steps % 2 === 0 ? "user" : "device" });
      await Promise.all(speaking);
      const live = (await here.sessions.list({ state: "active" })).items;
      assert.deepEqual(
        live.map(({ id, user }) => ({ id, user })),
        [{ id: claimed.id, user: "ada" }],
        `a claim after ${steps} steps, ${comesBack ? "of one that comes back" : "of the first"}`,
      );
    }
  }
});

test("a claim whose answer is lost is not done twice, and one that fails changes nothing", async () => {
  await using here = place();
  const device = randomUUID();
  await (await here.sessions.devices.open(device)).append({ input: "mine" });
  here.store.plan({ [here.store.commits + 1]: { fails: "before" } });
  await assert.rejects(here.sessions.devices.claim(device, "ada"));
  assert.equal((await here.sessions.devices.open(device)).info.user, null);
  assert.deepEqual((await here.sessions.devices.list("ada")).items, []);
  here.store.plan({ [here.store.commits + 1]: { fails: "after" } });
  const session = await here.sessions.devices.claim(device, "ada");
  assert.deepEqual(
    (await Array.fromAsync(session.events())).map(({ type }) => type),
    ["created", "claimed"],
  );
});

test("a session shared by code that its owner claims is the user's alone; the other device gets one of its own", async () => {
  await using here = place();
  const { sessions } = here;
  const [owner, friend] = [randomUUID(), randomUUID()];
  await (await sessions.devices.open(owner)).append({ input: "shared" });
  await sessions.devices.link(friend, (await sessions.devices.linkCode(owner)).code);
  assert.deepEqual(
    await inputsOf(await sessions.devices.claim(friend, "mallory")),
    [],
    "a shared session is not theirs to claim",
  );
  await sessions.devices.link(friend, (await sessions.devices.linkCode(owner)).code);
  await sessions.devices.claim(owner, "ada");
  assert.deepEqual(await inputsOf(await sessions.devices.open(friend)), []);
  assert.deepEqual(await inputsOf(await sessions.devices.open(owner)), ["shared"]);
  const joined = await sessions.devices.link(friend, (await sessions.devices.linkCode(owner)).code);
  assert.deepEqual(await inputsOf(joined), ["shared"], "a code of a user's device brings the other to the user");
  assert.equal((await sessions.devices.list("ada")).items.length, 2);
});

test("a handoff of many devices reaches all sessions but the one that cannot be read", async () => {
  await using here = place();
  const { devices } = here.sessions;
  const ids = Array.from({ length: 3 }, () => randomUUID());
  const sessions = await Promise.all(ids.map((id) => devices.open(id)));
  await damageSession(here.store, sessions[1]?.id ?? "");
  await assert.rejects(devices.handOff(ids, "scheduling"), { code: "session_unreadable" });
  for (const index of [0, 2]) assert.equal((await sessions[index]?.activeAgent())?.agent, "scheduling");
});

test("activeAgents passes over a session that cannot be read, and names its device", async () => {
  await using here = place();
  const { devices } = here.sessions;
  const ids = Array.from({ length: 9 }, () => randomUUID());
  const sessions = await Promise.all(ids.map((id) => devices.open(id)));
  await devices.handOff(ids, "scheduling");
  const damaged = [1, 6].map((index) => ({ device: ids[index] ?? "", id: sessions[index]?.id ?? "" }));
  for (const { id } of damaged) await damageSession(here.store, id);
  const named: UnreadableDevice[] = [];
  const agents = await devices.activeAgents(ids, { onUnreadable: (device) => named.push(device) });
  assert.deepEqual(
    agents.map((active) => active?.agent),
    ids.map((id) => (damaged.some(({ device }) => device === id) ? undefined : "scheduling")),
  );
  const reason = "its metadata cannot be read";
  assert.deepEqual(
    named,
    damaged.map((device) => ({ ...device, reason })),
  );
  assert.equal(
    (await devices.activeAgents(damaged.map(({ device }) => device))).filter((one) => one !== null).length,
    0,
  );
});

async function damageSession(store: Store, id: string): Promise<void> {
  const key = { tenant: "default", id };
  const record = (await store.load([{ key, tails: [] }])).sessions[0]?.record ?? assert.fail();
  const damaged = { ...record, version: record.version + 1, metadata: 5 as never };
  await store.commit([[{ key, expected: identityOf(record), record: damaged, splices: [], claims: [] }]]);
}

test("many devices at once: hand off, read the active agents, end the handoffs, in a few round trips", async () => {
  await using here = place();
  const { devices } = here.sessions;
  const ids = Array.from({ length: 200 }, () => randomUUID());
  assert.deepEqual(
    await devices.activeAgents(ids),
    ids.map(() => null),
  );
  const before = here.store.commits;
  await devices.handOff(ids, "scheduling", { ttl: "1h" });
  assert(here.store.commits - before < 20, `${here.store.commits - before} commits`);
  assert((await devices.activeAgents(ids)).every((active) => active?.agent === "scheduling"));
  await devices.endHandoffs(ids.slice(0, 50));
  assert.equal((await devices.activeAgents(ids)).filter((active) => active === null).length, 50);
  assert.deepEqual(await devices.endHandoffs([ids[0] ?? "", randomUUID(), ids[60] ?? ""]), [false, false, true]);
  await assert.rejects(devices.activeAgents(Array.from({ length: 1001 }, () => randomUUID())), {
    code: "argument_invalid",
  });
  await assert.rejects(devices.handOff([randomUUID(), "no uuid"], "scheduling"), { code: "id_invalid" });
});

test("pointers in use outlive a year, the sweep removes unused codes and pointers, and no list shows them", async () => {
  await using here = place({ ttl: "1000d" });
  const { sessions } = here;
  const [one, other] = [randomUUID(), randomUUID()];
  await (await sessions.devices.open(one)).append({ input: "kept" });
  await sessions.devices.claim(one, "ada");
  await sessions.devices.claim(other, "ada");
  await sessions.devices.linkCode(one);
  await here.clock.advance(200 * day);
  await sessions.devices.open(one);
  await here.clock.advance(200 * day);
  const { looked, expired, removed } = await sweep(sessions);
  assert.deepEqual([expired, removed], [0, 0]);
  assert(looked >= 2, `looked at ${looked}`);
  assert.deepEqual(await inputsOf(await sessions.devices.open(one)), ["kept"]);
  assert.deepEqual(await inputsOf(await sessions.devices.open(other)), [], "unlinked by a year of silence");
  assert.equal((await sessions.list()).items.length, 2);
});

test("finding a device's session writes nothing, and an altered or invented sealed id is refused", async () => {
  await using here = place();
  const { devices } = here.sessions;
  const device = randomUUID();
  await devices.find(randomUUID()); // the first call stores the check value of the secret
  const { commits } = here.store;
  assert.equal(await devices.find(device), undefined);
  assert.equal(here.store.commits, commits);
  await here.sessions.devices.open(device);
  assert.equal((await devices.find(device))?.id, (await here.sessions.devices.open(device)).id);
  const sealed = devices.seal(device);
  assert.equal(devices.unseal(sealed), device);
  const seal = sealed.slice(37);
  for (const text of [
    device,
    "",
    `${device}.`,
    `${randomUUID()}.${seal}`,
    `${sealed}A`,
    sealed.slice(0, -2),
    `.${seal}`,
  ]) {
    assert.equal(devices.unseal(text), null, text);
  }
  assert.equal(here.another({ secret: "another secret entirely" }).devices.unseal(sealed), null);
  assert.equal(here.sessions.for("another").devices.unseal(sealed), null);
});

test("with deviceIds any, the id of a channel is a device of its own, with the same hash, links and isolation", async () => {
  await using here = place({ deviceIds: "any" });
  const { devices } = here.sessions;
  const ids = ["4917012345678", "device-123", "Device-123", "wa:+49 170 1", "ключ", randomUUID()];
  for (const id of ids) await (await devices.open(id)).append({ input: id });
  for (const id of ids) assert.deepEqual(await inputsOf(await devices.open(id)), [id], "its own session alone");
  const uuid = randomUUID();
  const [lower, upper] = [await devices.open(uuid), await devices.open(uuid.toUpperCase())];
  assert.equal(lower.id, upper.id);
  const strict = here.another({ secret });
  assert.equal((await strict.devices.open(uuid)).id, lower.id, "a UUID has the same hash under either policy");
  await assert.rejects(strict.devices.open("device-123"), { code: "id_invalid" });
  for (const { id } of (await here.sessions.list()).items) assert(!ids.some((known) => id.includes(known)));
  const { code } = await devices.linkCode("device-123");
  await devices.link("4917012345678", code);
  assert.deepEqual(await inputsOf(await devices.open("4917012345678")), ["device-123"]);
  await devices.unlink("4917012345678");
  await devices.claim("device-123", "ada");
  assert.equal((await devices.open("device-123")).info.user, "ada");
  assert.deepEqual(await inputsOf(await here.sessions.for("other").devices.open("device-123")), []);
  await erase(here.sessions, { device: "wa:+49 170 1" });
  assert.equal(await devices.find("wa:+49 170 1"), undefined);
});

test("with deviceIds any, an id that is too long, blank at its ends or a malformed UUID is refused, and not repeated", async () => {
  await using here = place({ deviceIds: "any" });
  const bad = [
    "",
    " ",
    " device-123",
    "device-123 ",
    "a\u0000b",
    "a\nb",
    "x".repeat(257),
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    7,
    null,
    undefined,
  ];
  for (const id of bad) {
    await assert.rejects(here.sessions.devices.open(id as string), (error: Error & { code?: string }) => {
      assert.equal(error.code, "id_invalid");
      if (typeof id === "string" && id.trim().length > 4) assert(!JSON.stringify(error).includes(id.trim()));
      return true;
    });
  }
  assert.equal(await here.sessions.count(), 0);
  assert.throws(() => here.another({ secret, deviceIds: "all" as "any" }), { code: "argument_invalid" });
  assert.throws(() => here.sessions.devices.seal("device-123"), { code: "id_invalid" }, "cookies have UUIDs alone");
});
