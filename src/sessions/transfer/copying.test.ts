import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { createConversations, createNasty } from "../../../test/support/nasty-sessions.ts";
import { isThorough } from "../../../test/support/rounds.ts";
import { openSessions, type Sessions } from "../../index.ts";
import { stagedScope } from "../../domain/copies/staged.ts";
import { sessionChanges, type Transaction } from "../../domain/record/change.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { openMemory } from "../../store/memory.ts";
import type { Store } from "../../store/store.ts";
import { copySessions, removeSession, erase, findReferences, exportSessions } from "../../admin.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-copying-"));
after(() => rmSync(root, { recursive: true }));

async function linesOf(sessions: Sessions): Promise<string[]> {
  return (await Array.fromAsync(exportSessions(sessions))).map(({ text }) => text);
}

test("a copy has all tenants, devices and keys, and copying again changes nothing", async () => {
  const secret = "a secret of the tests";
  await using from = inMemory({ secret });
  await using to = await openSessions({ store: `sqlite:${join(root, "all.db")}`, sweep: false, secret });
  const other = from.sessions.for("other");
  await createNasty(from.sessions);
  await createConversations(other);
  const device = randomUUID();
  const session = await from.sessions.devices.open(device, { agent: "ceo" });
  await session.append({ input: "from a device" });
  const { token } = await from.sessions.keys.create({ name: "backend" });

  const { bytes, ...report } = await copySessions(from.sessions, to, { everything: true });
  assert(bytes > 10_000);
  assert.deepEqual([report.present, report.replaced, report.skipped, report.complete], [0, 0, 0, true]);
  const again = await copySessions(from.sessions, to, { everything: true });
  assert.deepEqual([again.restored, again.present, again.replaced], [0, report.restored, 0]);
  assert.deepEqual(await linesOf(to), await linesOf(from.sessions));
  assert.deepEqual(await linesOf(to.for("other")), await linesOf(other));
  assert.equal((await to.devices.open(device)).id, session.id);
  assert.equal((await Array.fromAsync(to.keys.each()))[0]?.name, "backend");
  assert.equal((await to.keys.verify(token))?.right, "write");
});

test("a tenant is copied alone, into the given tenant", async () => {
  await using from = inMemory();
  await using to = inMemory();
  await from.sessions.create({ id: "a" });
  await from.sessions.for("shop").create({ id: "b" });
  const { restored } = await copySessions(from.sessions.for("shop"), to.sessions.for("store"));
  assert.equal(restored, 1);
  assert.deepEqual((await to.sessions.list()).items, []);
  assert.equal((await to.sessions.for("store").list()).items[0]?.id, "b");
});

for (const everything of [false, true]) {
  test(`a copy of ${everything ? "everything" : "a tenant"} has the marks of forks, so that an erasure there finds their words`, async () => {
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
    await removeSession(shop, "gone");

    const first = await copySessions(everything ? from.sessions : shop, everything ? to.sessions : store, {
      everything,
    });
    assert.deepEqual([first.skipped, first.complete], [0, true]);
    const found = ["bob's", "carol's", "dan's"];
    assert.deepEqual((await findReferences(store, "ada")).sharedForks.ids.toSorted(), found);
    // What the source writes down later is no other mark than the copy has.
    await removeSession(shop, "ada's");
    const again = await copySessions(everything ? from.sessions : shop, everything ? to.sessions : store, {
      everything,
    });
    assert.deepEqual([again.skipped, again.orphans, again.complete], [0, ["ada's"], false]);
    assert.deepEqual((await findReferences(store, "ada")).sharedForks.ids.toSorted(), found);
    await erase(shop, { user: "ada" });
    assert.equal(
      (await copySessions(everything ? from.sessions : shop, everything ? to.sessions : store, { everything })).skipped,
      0,
    );
    const { sharedForks } = await erase(store, { user: "ada", forks: "erase" });
    assert.deepEqual([sharedForks.count, (await store.list()).items], [0, []]);
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
  const first = await copySessions(from.sessions, to.sessions);
  assert.deepEqual([first.restored, first.skipped, first.complete], [3, 1, false]);
  assert.deepEqual(
    first.reasons.map(({ source, code }) => [source, code]),
    [["other", "session_exists"]],
  );

  await from.clock.advance(60_000);
  await to.clock.advance(90_000);
  await (await from.sessions.get("grown")).append({ input: "more" });
  await begun.seal({ output: [{ role: "assistant", content: "answered" }] });
  await (await to.sessions.get("newer")).append({ input: "written there" });
  const second = await copySessions(from.sessions, to.sessions);
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
  const during = await copySessions(from, to);
  writing = false;
  await Promise.all(writers);
  assert.equal(during.skipped, 0, JSON.stringify(during.reasons));
  for (const { id } of (await to.list()).items) {
    const turns = await Array.fromAsync((await to.get(id)).turns());
    turns.forEach(({ input }, index) => assert.equal(input[0]?.content, `turn ${index + 1}`));
  }
  const { complete, skipped } = await copySessions(from, to);
  assert.deepEqual([complete, skipped], [true, 0]);
  assert.deepEqual(await linesOf(to), await linesOf(from));
  await from.close();
  await to.close();
});

/** A store that does something before each of its calls that read sessions, or write them. */
function interrupted(store: Store, before: (call: "commit" | "load" | "find") => Promise<void>): Store {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      const call = value.bind(target) as (...given: unknown[]) => unknown;
      if (name !== "commit" && name !== "load" && name !== "find") return call;
      return async (...given: unknown[]) => {
        await before(name);
        return await call(...given);
      };
    },
  });
}

/** What another program does to the source, once, while it is copied. */
const changes: Record<string, (sessions: Sessions) => Promise<unknown>> = {
  append: async (sessions) => await (await sessions.get("s1")).append({ input: "more" }),
  amend: async (sessions) => await (await sessions.get("s1")).update({ metadata: { changed: true } }),
  "change of user": async (sessions) => await (await sessions.get("s1")).update({ user: "bob" }),
  hold: async (sessions) => await (await sessions.get("s1")).setLegalHold("case 4711"),
  unhold: async (sessions) => await (await sessions.get("held")).clearLegalHold(),
  "unhold and truncate": async (sessions) => {
    await (await sessions.get("held")).clearLegalHold();
    await (await sessions.get("held")).truncate(1);
  },
  "append under hold": async (sessions) => await (await sessions.get("held")).append({ input: "more" }),
  end: async (sessions) => await (await sessions.get("s1")).end(),
  archive: async (sessions) => await (await sessions.get("s1")).archive(),
  truncate: async (sessions) => await (await sessions.get("s1")).truncate(1),
  "truncate and go on": async (sessions) => {
    await (await sessions.get("s1")).truncate(1);
    await (await sessions.get("s1")).append({ input: "another" });
  },
  remove: async (sessions) => await removeSession(sessions, "s1"),
  "unhold and remove": async (sessions) => {
    await (await sessions.get("held")).clearLegalHold();
    await removeSession(sessions, "held");
  },
  "remove and create": async (sessions) => {
    await removeSession(sessions, "s1");
    await (await sessions.create({ id: "s1" })).append({ input: "another session" });
  },
  create: async (sessions) => await (await sessions.create({ id: "s0" })).append({ input: "new" }),
  fork: async (sessions) => await (await sessions.get("s1")).fork({ as: "fork" }),
  erase: async (sessions) => await erase(sessions, { user: "ada" }),
  unlink: async (sessions) => await sessions.devices.unlink(phone),
  claim: async (sessions) => await sessions.devices.claim(phone, "bob"),
};
const phone = randomUUID();

/** Limits under which sessions of three turns are read entry by entry, and staged in the target. */
const inSteps = { readMax: 2, readBytesMax: 32 };

/** A copy in steps has many moments. A quick run takes each fifth, and each change begins at another one. */
const stride = isThorough ? 1 : 5;

for (const [what, change, limits, first, every] of Object.entries(changes).flatMap(([name, one], index) => [
  [name, one, {}, 1, 1] as const,
  [`${name}, in steps`, one, inSteps, 1 + (index % stride), stride] as const,
])) {
  test(`${what}: at any moment of a copy, the copy has the change, or is not reported as complete`, async () => {
    let last = first;
    for (let moment = first; moment <= last; moment += every) {
      const secret = "a secret of the tests";
      const memory = openMemory();
      const other = await openSessions({ store: memory, sweep: false, secret });
      for (const [id, user] of [
        ["s1", "ada"],
        ["s2", "ada"],
        ["s3", "bob"],
        ["held", "bob"],
      ] as const) {
        const session = await other.create({ id, user });
        for (const input of ["one", "two", "three"]) await session.append({ input, output: "I see" });
      }
      await (await other.get("held")).setLegalHold("a lawsuit");
      await (await other.get("s2")).fork({ as: "s4" });
      await (await other.devices.open(phone)).append({ input: "from a device" });
      await other.devices.claim(phone, "ada");

      let [calls, isOn, lastLook] = [0, true, 0];
      const before = async (name: string): Promise<void> => {
        if (!isOn) return;
        calls++;
        if (name === "find") lastLook = calls;
        if (calls !== moment) return;
        isOn = false;
        await change(other);
        isOn = true;
      };
      const source = interrupted(memory, async (name) => await before(name === "commit" ? "of the source" : name));
      const from = await openSessions({ store: source, sweep: false, secret, limits });
      const target = openMemory();
      const to = await openSessions({
        store: interrupted(target, () => before("of the target")),
        sweep: false,
        secret,
        limits,
      });
      const report = await copySessions(from, to, { everything: true });
      isOn = false;
      last = calls;
      if (report.complete && moment <= lastLook) {
        assert.deepEqual(await linesOf(to), await linesOf(from), `at call ${moment} of ${calls}`);
        assert.deepEqual(await innerOf(target), await innerOf(memory), `at call ${moment} of ${calls}`);
      }
      // A change behind the last look is the next copy's: it brings it, or says what it left.
      const again = await copySessions(from, to, { everything: true });
      const isSame = JSON.stringify(await linesOf(to)) === JSON.stringify(await linesOf(from));
      assert.equal(again.complete, isSame, `at call ${moment} of ${calls}: ${JSON.stringify(again)}`);
      if (!isSame) assert(again.orphaned > 0 || again.skipped > 0);
      assert(report.complete || moment <= lastLook, `at call ${moment} of ${calls}: ${JSON.stringify(report)}`);
      await from.close();
      await to.close();
    }
  });
}

/** Devices and marks, as they would be exported. */
async function innerOf(store: Store): Promise<unknown[]> {
  const { records } = await store.find({ order: "key", now: 0, limit: 1000 });
  return records
    .filter(({ tenant }) => tenant !== "default")
    .map(({ tenant, id, user, metadata }) => ({ tenant, id, user, metadata }));
}

test("a session that was removed between two copies is reported by its id, and is not removed from the target", async () => {
  await using from = inMemory();
  await using to = inMemory();
  for (const id of ["a", "b", "c"]) await (await from.sessions.create({ id })).append({ input: id });
  await to.sessions.create({ id: "its own" });
  assert((await copySessions(from.sessions, to.sessions)).complete);
  await removeSession(from.sessions, "b");
  const { orphaned, orphans, removed, complete } = await copySessions(from.sessions, to.sessions);
  assert.deepEqual([orphaned, orphans, removed, complete], [1, ["b"], 0, false]);
  await removeSession(to.sessions, "b");
  assert((await copySessions(from.sessions, to.sessions)).complete);
});

test("link codes are not copied, and expired records do not make a copy incomplete", async () => {
  const secret = "a secret of the tests";
  await using from = inMemory({ secret });
  await using to = inMemory({ secret });
  const [one, two] = [randomUUID(), randomUUID()];
  await from.sessions.devices.open(one);
  const { code } = await from.sessions.devices.linkCode(one);
  assert((await copySessions(from.sessions, to.sessions)).complete);
  await assert.rejects(to.sessions.devices.link(two, code), { code: "link_code_invalid" });
  await from.sessions.devices.link(two, code);
  assert((await copySessions(from.sessions, to.sessions)).complete);
  assert.equal((await to.sessions.devices.open(two)).id, (await from.sessions.devices.open(one)).id);
});

test("a copied session that was changed in the target stays as it is, and is reported", async () => {
  for (const write of ["append", "hold", "end"] as const) {
    await using from = inMemory();
    await using to = inMemory();
    const session = await from.sessions.create({ id: "s" });
    for (const input of ["one", "two"]) await session.append({ input });
    await copySessions(from.sessions, to.sessions);
    await to.clock.advance(1000);
    const copy = await to.sessions.get("s");
    if (write === "append") await copy.append({ input: "written there" });
    if (write === "hold") await copy.setLegalHold("a lawsuit there");
    if (write === "end") await copy.end();
    await session.truncate(1);
    const { skipped, complete } = await copySessions(from.sessions, to.sessions);
    assert.deepEqual([skipped, complete], [1, false], write);
    assert.equal((await to.sessions.get("s")).info.turn, write === "append" ? 3 : 2);
  }
});

test("two sources with a session of the same id do not write over each other", async () => {
  await using one = inMemory();
  await using other = inMemory();
  await using to = inMemory();
  await (await one.sessions.create({ id: "s" })).append({ input: "of the one" });
  await other.clock.advance(60_000);
  await (await other.sessions.create({ id: "s" })).append({ input: "of the other" });
  await copySessions(one.sessions, to.sessions);
  const report = await copySessions(other.sessions, to.sessions);
  assert.deepEqual([report.skipped, report.complete], [1, false]);
  assert.deepEqual(await to.sessions.snapshot("s"), await one.sessions.snapshot("s"));
});

test("a copy of many sessions has a few pages of them in memory, and reads no session that is copied already", async () => {
  const memory = openMemory();
  const source = await openSessions({ store: memory, sweep: false });
  await Promise.all(Array.from({ length: 1500 }, (_, index) => source.create({ id: `s${index}` })));
  let [largest, loaded] = [0, 0];
  const counting = new Proxy(memory, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name !== "load") return typeof value === "function" ? value.bind(target) : value;
      return async (requests: Parameters<Store["load"]>[0]) => {
        largest = Math.max(largest, requests.length);
        loaded += requests.filter(({ tails }) => tails.length > 0).length;
        return await target.load(requests);
      };
    },
  });
  const from = await openSessions({ store: counting, sweep: false });
  await using to = inMemory();
  const first = await copySessions(from, to.sessions);
  assert.deepEqual([first.restored, first.complete], [1500, true]);
  assert.deepEqual([loaded, largest <= 200], [1500, true]);
  const again = await copySessions(from, to.sessions);
  assert.deepEqual([again.present, again.complete, loaded], [1500, true, 1500]);
  await from.close();
});

test("a session of any size is copied in steps: no read and no commit is larger than one, also over the limit of a snapshot", async () => {
  const limits = { readBytesMax: 1000, snapshotBytesMax: 20_000 };
  const stepBytes = 4 * limits.readBytesMax;
  await using from = inMemory({ limits });
  await using to = inMemory({ limits });
  const session = await from.sessions.create({ id: "s", instructions: "Be brief." });
  for (let turn = 1; turn <= 100; turn++)
    await session.append({ input: `${turn} ${"x".repeat(500)}` }, { key: `k${turn}` });
  await session.setLegalHold("a lawsuit");
  const sizes: number[] = [];
  for (const { store } of [from, to]) {
    const [load, read] = [store.load.bind(store), store.read.bind(store)];
    const bytesOf = (entries: readonly Entry[]): number => entries.reduce((sum, { data }) => sum + data.length, 0);
    store.load = async (requests) => {
      const loaded = await load(requests);
      sizes.push(...loaded.sessions.flatMap((one) => one?.tails ?? []).map(bytesOf));
      return loaded;
    };
    store.read = async (key, range) => {
      const entries = await read(key, range);
      sizes.push(bytesOf(entries));
      return entries;
    };
  }
  to.store.plan((_, batch) => {
    sizes.push(bytesIn(batch));
    return undefined;
  });
  const report = await copySessions(from.sessions, to.sessions);
  assert.deepEqual([report.restored, report.skipped, report.complete], [1, 0, true], JSON.stringify(report.reasons));
  assert.ok(Math.max(...sizes) <= stepBytes, `${Math.max(...sizes)} bytes in one go`);
  to.store.plan({});
  await session.append({ input: "more" });
  assert.deepEqual([(await copySessions(from.sessions, to.sessions)).replaced], [1]);
  const copy = await to.sessions.get("s");
  assert.deepEqual(await Array.fromAsync(copy.turns()), await Array.fromAsync(session.turns()));
  assert.equal(copy.info.legalHold?.reason, "a lawsuit");
  assert.equal(await to.store.count({ tenant: stagedScope("default"), now: to.clock.now() }), 0);
});

function bytesIn(batch: readonly Transaction[]): number {
  const entries = batch.flatMap(sessionChanges).flatMap(({ splices }) => splices.flatMap((splice) => splice.entries));
  return entries.reduce((sum, { data }) => sum + data.length, 0);
}

test("a session that is written to without a pause is copied in one load; over the limit of a snapshot it is skipped and named", async () => {
  for (const isLarge of [false, true]) {
    const limits = { readBytesMax: 500, snapshotBytesMax: isLarge ? 5000 : 1_000_000 };
    await using from = inMemory({ limits });
    await using to = inMemory({ limits });
    const session = await from.sessions.create({ id: "s" });
    for (let turn = 1; turn <= 50; turn++) await session.append({ input: "x".repeat(200) });
    let isWriting = false;
    const read = from.store.read.bind(from.store);
    from.store.read = async (key, range) => {
      if (!isWriting && (isLarge || session.info.turn < 70)) {
        isWriting = true;
        await session.append({ input: "meanwhile" });
        isWriting = false;
      }
      return await read(key, range);
    };
    const { restored, reasons } = await copySessions(from.sessions, to.sessions);
    if (!isLarge) assert.equal(restored, 1);
    else
      assert.deepEqual(
        reasons.map(({ source, code }) => [source, code]),
        [["s", "snapshot_too_large"]],
      );
  }
});
