import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inMemory, type InMemory } from "../../test/in-memory.ts";
import { openSessions } from "../open.ts";
import type { Session } from "./session.ts";
import type { Sessions } from "./sessions.ts";

const secret = "a secret for tests only";
const day = 86_400_000;
const ada = "ada.lovelace@example.com";

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
  await archived.release();
  await archived.archive();
  const forked = await sessions.create({ id: "forked", user: ada });
  await talk(forked, 4);
  await talk(await forked.fork({ at: 2, as: "fork" }), 1);
  await sessions.end("fork");
  const [phone, laptop] = [randomUUID(), randomUUID()];
  await talk(await sessions.device(phone));
  await sessions.devices.claim(phone, ada);
  const guest = await sessions.device(laptop);
  await talk(guest);
  await sessions.devices.claim(laptop, ada, { keep: "user" });
  await sessions.devices.linkCode(phone);
  await talk(await sessions.create({ id: "bob's", user: "bob" }), 2, "a word of Bob's");
  await sessions.devices.claim(randomUUID(), "bob");
}

test("everything of a user goes, nothing of anybody else, and the receipt says how much", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  assert.deepEqual(await sessions.traces(ada), { sessions: 6, held: 0, devices: 2, ways: 1, outbox: 0 });
  const receipt = await sessions.erase({ user: ada, store: "the test's" });
  assert.deepEqual(await sessions.traces(ada), { sessions: 0, held: 0, devices: 0, ways: 0, outbox: 0 });
  const { erased, held, kept, scrubbed, store, tenant } = receipt;
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
  assert.deepEqual([held, kept, scrubbed, store, tenant], [0, 0, true, "the test's", "default"]);
  const left = await sessions.list();
  assert.deepEqual(new Set(left.sessions.map(({ user }) => user)), new Set(["bob"]));
  assert.deepEqual(await sessions.traces("bob"), { sessions: 2, held: 0, devices: 1, ways: 1, outbox: 0 });
  assert.doesNotMatch(JSON.stringify(receipt), /ada|lovelace/i);
});

test("a receipt holds for its user and under its secret, and not once a letter of it is altered", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  const receipt = await sessions.erase({ user: ada });
  const reordered = Object.fromEntries(Object.entries(receipt).toReversed()) as unknown as typeof receipt;
  assert(sessions.verifyErasure(JSON.parse(JSON.stringify(reordered)) as typeof receipt, ada));
  assert(here.another({ secret }).verifyErasure(receipt));
  assert(!sessions.verifyErasure(receipt, "bob"));
  assert(!here.another({ secret: "another secret entirely" }).verifyErasure(receipt));
  for (const altered of [
    { ...receipt, held: 1 },
    { ...receipt, finishedAt: receipt.startedAt.replace("2", "1") },
    { ...receipt, erased: { ...receipt.erased, turns: 15 } },
    { ...receipt, tenant: "another" },
    { ...receipt, signature: "" },
  ])
    assert(!sessions.verifyErasure(altered), JSON.stringify(altered));
  for (const none of [
    null,
    7,
    "receipt",
    {},
    { format: "perdure.erasure/1", tenant: "t", erased: null, signature: "" },
  ])
    assert(!sessions.verifyErasure(none as unknown as typeof receipt));
  assert.throws(() => here.another().verifyErasure(receipt), { code: "secret_missing" });
  await assert.rejects(here.another().erase({ user: ada }), {
    code: "secret_missing",
    message: /^erasures need/,
  });
});

test("asked again, an erasure gives the same receipt; for what is new of the user, another", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  const first = await sessions.erase({ user: ada });
  await here.clock.advance(day);
  assert.deepEqual(await here.another({ secret }).erase({ user: ada }), first);
  await talk(await sessions.create({ user: ada }), 3);
  const second = await sessions.erase({ user: ada });
  assert.deepEqual([second.erased.sessions, second.erased.turns], [1, 3]);
  assert(second.startedAt > first.finishedAt && sessions.verifyErasure(second, ada));
  await here.clock.advance(31 * day);
  await sessions.sweep();
  const third = await sessions.erase({ user: ada });
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
  await assert.rejects(sessions.erase({ user: ada, signal: stop.signal }), /enough/);
  const { sessions: left } = await sessions.traces(ada);
  assert(left > 0 && left < 70);
  const receipt = await here.another({ secret }).erase({ user: ada });
  assert.deepEqual([receipt.erased.sessions, receipt.erased.turns], [70, 70]);
});

test("several that erase the same user at once count everything once, under who goes on talking", async () => {
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
  const receipts = await Promise.all(others.map((other) => other.erase({ user: ada })));
  await talking;
  assert.equal(receipts[0]?.erased.sessions, 61);
  for (const receipt of receipts) assert.deepEqual(receipt, receipts[0]);
});

test("what is under hold stays, and the receipt says so", async () => {
  await using here = place();
  const { sessions } = here;
  await live(sessions);
  await (await sessions.get("archived")).hold("a lawsuit");
  const receipt = await sessions.erase({ user: ada });
  assert.deepEqual([receipt.held, receipt.erased.sessions], [1, 5]);
  assert.deepEqual(
    (await sessions.list({ user: ada })).sessions.map(({ id }) => id),
    ["archived"],
  );
  await (await sessions.get("archived")).unhold();
  assert.equal((await sessions.erase({ user: ada })).erased.sessions, 1);
});

test("forks of a user's sessions go with them; another user's, and what is held, keep their own copy", async () => {
  await using here = place();
  const { sessions } = here;
  const session = await sessions.create({ id: "s", user: ada });
  await talk(session, 4);
  const nobodys = await session.fork({ as: "nobody's" });
  await nobodys.update({ user: null });
  await nobodys.fork({ as: "deeper" });
  const bobs = await session.fork({ at: 2, as: "bob's" });
  await bobs.update({ user: "bob" });
  const held = await session.fork({ at: 3, as: "held" });
  await held.hold("a lawsuit");
  const { erased, kept, held: underHold } = await sessions.erase({ user: ada });
  assert.deepEqual([erased.sessions, erased.forks, erased.turns, kept, underHold], [3, 2, 4, 2, 1]);
  assert.deepEqual((await Array.fromAsync(bobs.turns())).length, 2);
  assert.deepEqual((await Array.fromAsync(held.turns())).length, 3);
  await assert.rejects(sessions.get("deeper"), { code: "session_not_found" });
});

test("what waits for the store to come back goes as well, also what a device said meanwhile", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-erase-"));
  try {
    const outbox = `sqlite:${join(folder, "outbox.db")}`;
    await using here = place();
    const options = { store: here.store, secret, sweep: false, clock: here.clock } as const;
    const sessions = await openSessions({ ...options, fallback: { outbox } });
    const device = randomUUID();
    await sessions.devices.claim(device, ada);
    const away = await openSessions({ store: outbox, secret, sweep: false, clock: here.clock });
    await talk(await away.device(device));
    await talk(await away.create({ user: ada }));
    await talk(await away.create({ user: "bob" }), 2, "a word of Bob's");
    await away.close();
    assert.equal((await sessions.traces(ada)).outbox, 2);
    const receipt = await sessions.erase({ user: ada });
    assert.equal(receipt.erased.outbox + receipt.erased.sessions >= 2, true);
    assert.deepEqual(await sessions.traces(ada), { sessions: 0, held: 0, devices: 0, ways: 0, outbox: 0 });
    for (const name of await readdir(folder))
      assert(!(await readFile(join(folder, name))).includes("a secret of Ada's"), name);
    await sessions.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("nothing of an erased user stands in the files of an SQLite store, also of what went long before", async () => {
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
    const receipt = await sessions.erase({ user: ada });
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
