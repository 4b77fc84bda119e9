import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../test/support/in-memory.ts";
import { inputsOf } from "../../test/support/inputs-of.ts";
import { doctor, erase } from "../admin.ts";
import type { ConversationOwner, Sessions } from "../index.ts";

const secret = "a secret for tests only";
const minute = 60_000;
const day = 24 * 60 * minute;

function place(options = {}): InMemory {
  return inMemory({ secret, ...options });
}

async function titlesOf(sessions: Sessions, owner: ConversationOwner): Promise<readonly (string | null)[]> {
  return (await Array.fromAsync(sessions.conversations(owner).each())).map(({ title }) => title);
}

/** Does something once, before the next commit of the store. */
function beforeCommit({ store }: InMemory, work: () => Promise<unknown>): void {
  const commit = store.commit.bind(store);
  let isDone = false;
  store.commit = async (changes) => {
    if (!isDone) {
      isDone = true;
      await work();
    }
    return await commit(changes);
  };
}

test("a list has the pinned conversations first, then the last active, and renaming is no activity", async () => {
  await using here = place();
  const mine = here.sessions.conversations({ user: "ada" });
  const made = new Map<string, string>();
  for (const title of ["one", "two", "three", "four"]) {
    made.set(title, (await mine.create({ title })).id);
    await here.clock.advance(minute);
  }
  const id = (title: string): string => made.get(title) ?? "";
  await mine.pin(id("one"));
  await mine.rename(id("two"), "second");
  assert.deepEqual(await titlesOf(here.sessions, { user: "ada" }), ["one", "four", "three", "second"]);
  await (await mine.open(id("two"))).append({ input: "news" });
  await mine.pin(id("four"));
  assert.deepEqual(await titlesOf(here.sessions, { user: "ada" }), ["four", "one", "second", "three"]);
  const [first] = (await mine.list({ limit: 1 })).items;
  assert.deepEqual(await mine.get(id("four")), first);
  assert.deepEqual([first?.isPinned, first?.turns, first?.agent], [true, 0, "assistant"]);
  await mine.unpin(id("four"));
  await mine.rename(id("two"), null);
  assert.deepEqual(await titlesOf(here.sessions, { user: "ada" }), ["one", null, "four", "three"]);
  assert.equal((await here.sessions.list({ user: "ada" })).items.length, 4);
});

test("another one's conversation is reported as a missing one is", async () => {
  await using here = place();
  const { sessions } = here;
  const [ours, theirs] = [randomUUID(), randomUUID()];
  const owners: ConversationOwner[] = [{ device: ours }, { device: theirs }, { user: "ada" }, { user: "Ada" }];
  const ids = await Promise.all(owners.map(async (owner) => (await sessions.conversations(owner).create()).id));
  const noOnes = (await sessions.create()).id;
  const messageOf = async (work: Promise<unknown>): Promise<string> => {
    const error = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert(error instanceof Error && "code" in error && error.code === "session_not_found", String(error));
    return error.message;
  };
  for (const [place, owner] of owners.entries()) {
    const mine = sessions.conversations(owner);
    const others = [...ids.filter((_, other) => other !== place), noOnes];
    for (const id of others) {
      const calls = [
        (one: string) => mine.open(one),
        (one: string) => mine.get(one),
        (one: string) => mine.rename(one, "mine now"),
        (one: string) => mine.pin(one),
        (one: string) => mine.unpin(one),
        (one: string) => mine.select(one),
        (one: string) => mine.remove(one),
      ];
      for (const call of calls) {
        const [found, missing] = [await messageOf(call(id)), await messageOf(call("missing"))];
        assert.equal(found.replaceAll(id, "ID"), missing.replaceAll("missing", "ID"));
      }
    }
    assert.deepEqual(await titlesOf(sessions, owner), [null]);
    await messageOf(
      here.sessions
        .for("another tenant")
        .conversations(owner)
        .open(ids[place] ?? ""),
    );
    assert.deepEqual(await titlesOf(sessions.for("another tenant"), owner), []);
  }
});

test("the current conversation of a device stays until another one is selected", async () => {
  await using here = place();
  const { sessions } = here;
  const device = randomUUID();
  const first = await sessions.devices.open(device);
  const mine = sessions.conversations({ device });
  const second = await mine.create({ title: "second" });
  assert.equal((await sessions.devices.open(device)).id, first.id);
  await mine.select(second.id);
  assert.equal((await sessions.devices.open(device)).id, second.id);
  await mine.remove(second.id);
  const next = await sessions.devices.open(device);
  assert.deepEqual([next.info.title, await inputsOf(next)], [null, []]);
  await mine.select(first.id);
  assert.equal((await sessions.devices.open(device)).id, first.id);
});

test("a user without devices needs no secret to list, create and open; select does", async () => {
  await using here = inMemory();
  const mine = here.sessions.conversations({ user: "ada" });
  const { id } = await mine.create();
  assert.equal((await mine.open(id)).info.user, "ada");
  await assert.rejects(mine.select(id), { code: "secret_missing" });
  await assert.rejects(here.sessions.conversations({ device: randomUUID() }).list(), { code: "secret_missing" });
});

test("a claim moves all live conversations of the guest, with their pins, and a logout leaves them to the user", async () => {
  await using here = place();
  const { sessions } = here;
  const [device, other] = [randomUUID(), randomUUID()];
  const guest = sessions.conversations({ device });
  await (await sessions.devices.open(device)).append({ input: "current" });
  const pinned = await guest.create({ title: "pinned" });
  await guest.pin(pinned.id);
  await here.clock.advance(minute);
  await guest.create({ title: "plain" });
  const lastActivityAt = (await guest.get(pinned.id)).updatedAt;
  await (await sessions.conversations({ user: "ada" }).create({ title: "hers" })).append({ input: "hers" });
  const current = await sessions.devices.claim(device, "ada");
  assert.deepEqual(await inputsOf(current), ["current"]);
  const [first, ...rest] = await Array.fromAsync(sessions.conversations({ user: "ada" }).each());
  assert.deepEqual([first?.title, first?.isPinned, first?.updatedAt], ["pinned", true, lastActivityAt]);
  assert.deepEqual(new Set(rest.map(({ title }) => title)), new Set(["hers", "plain", null]));
  const events = await Array.fromAsync((await sessions.get(pinned.id)).events());
  assert.equal(events.at(-1)?.type, "claimed");
  await sessions.devices.claim(other, "ada");
  assert.equal((await titlesOf(sessions, { device: other })).length, 4);
  await sessions.devices.unlink(device);
  assert.deepEqual(await titlesOf(sessions, { device }), []);
  assert.equal((await titlesOf(sessions, { device: other })).length, 4);
});

test("a claim keeps the conversations of both where it is asked to, and the user's continues", async () => {
  await using here = place();
  const { sessions } = here;
  const [first, second] = [randomUUID(), randomUUID()];
  await (await sessions.devices.open(first)).append({ input: "hers" });
  await sessions.devices.claim(first, "ada");
  await (await sessions.devices.open(second)).append({ input: "guest's" });
  await assert.rejects(sessions.devices.claim(second, "ada"), { code: "claim_undecided" });
  assert.deepEqual(await inputsOf(await sessions.devices.claim(second, "ada", { keep: "both" })), ["hers"]);
  const all = await Array.fromAsync(sessions.conversations({ user: "ada" }).each());
  const words = await Promise.all(all.map(async ({ id }) => await inputsOf(await sessions.get(id))));
  assert.deepEqual(new Set(words.flat()), new Set(["guest's", "hers"]));
});

test("a conversation that is shared by a link code comes first, is written to, and stays with its owner", async () => {
  await using here = place();
  const { sessions } = here;
  const [phone, laptop] = [randomUUID(), randomUUID()];
  const shared = await sessions.devices.open(phone);
  await sessions.conversations({ device: phone }).create({ title: "the phone's own" });
  const own = await sessions.conversations({ device: laptop }).create({ title: "the laptop's own" });
  await sessions.devices.link(laptop, (await sessions.devices.linkCode(phone)).code);
  const mine = sessions.conversations({ device: laptop });
  assert.deepEqual(
    (await Array.fromAsync(mine.each())).map(({ id }) => id),
    [shared.id, own.id],
  );
  await mine.rename(shared.id, "ours");
  assert.equal((await sessions.conversations({ device: phone }).get(shared.id)).title, "ours");
  await mine.remove(shared.id);
  assert.deepEqual(await titlesOf(sessions, { device: laptop }), ["the laptop's own"]);
  assert.equal((await sessions.conversations({ device: phone }).get(shared.id)).title, "ours");
  assert.notEqual((await sessions.devices.open(laptop)).id, shared.id);
});

test("an expired, ended or archived conversation is no conversation any more", async () => {
  await using here = place();
  const { sessions } = here;
  const device = randomUUID();
  const mine = sessions.conversations({ device });
  const [ended, archived, old] = [await mine.create(), await mine.create(), await mine.create()];
  await ended.end();
  await archived.archive();
  await here.clock.advance(2 * day);
  const live = await mine.create({ title: "live" });
  assert.deepEqual(await titlesOf(sessions, { device }), ["live"]);
  for (const { id } of [ended, archived, old]) await assert.rejects(mine.open(id), { code: "session_not_found" });
  assert.equal((await mine.open(live.id)).id, live.id);
});

test("a guest has a limited number of conversations, and a user as many as there are", async () => {
  await using here = place({ limits: { conversationsMax: 2 } });
  const device = randomUUID();
  const mine = here.sessions.conversations({ device });
  const first = await mine.create();
  await mine.create();
  await assert.rejects(mine.create(), { code: "conversations_exceeded" });
  await mine.remove(first.id);
  await mine.create();
  await here.sessions.devices.claim(device, "ada");
  for (let count = 0; count < 3; count++) await mine.create();
  assert.equal((await titlesOf(here.sessions, { user: "ada" })).length, 6);
});

test("an erasure of a user or of a device removes all of its conversations", async () => {
  await using here = place();
  const { sessions } = here;
  const [guest, device] = [randomUUID(), randomUUID()];
  await sessions.devices.open(device);
  await sessions.devices.claim(device, "ada");
  for (const owner of [{ device: guest }, { device }, { user: "ada" }, { user: "bob" }]) {
    const conversation = await sessions.conversations(owner).create();
    await conversation.append({ input: "words" });
  }
  await erase(sessions, { user: "ada" });
  await erase(sessions, { device: guest });
  assert.deepEqual(
    (await sessions.list()).items.map(({ user }) => user),
    ["bob"],
  );
});

test("a pin belongs to the user who set it", async () => {
  await using here = place();
  const mine = here.sessions.conversations({ user: "ada" });
  const session = await mine.create({ labels: { team: "ops" } });
  await mine.pin(session.id);
  await session.update({ user: "bob" });
  assert.deepEqual(session.info.labels, { team: "ops" });
  const [theirs] = (await here.sessions.conversations({ user: "bob" }).list()).items;
  assert.deepEqual([theirs?.id, theirs?.isPinned], [session.id, false]);
});

test("a search finds one's own conversations alone", async () => {
  await using here = place();
  const { sessions } = here;
  const [one, other] = [randomUUID(), randomUUID()];
  for (const owner of [{ device: one }, { device: other }, { user: "ada" }]) {
    const conversation = await sessions.conversations(owner).create({ title: `invoice of ${Object.keys(owner)[0]}` });
    await conversation.append({ input: "where is my invoice?" });
    const { items } = await sessions.conversations(owner).search("invoice");
    assert.deepEqual([...new Set(items.map(({ session }) => session))], [conversation.id]);
    assert.equal(items.length, 2);
  }
  await assert.rejects(sessions.conversations({ user: "ada" }).search("invoice", { user: "bob" } as object), {
    code: "argument_invalid",
  });
});

test("a list is paged, and refuses a cursor of another form and an unknown option", async () => {
  await using here = place();
  const mine = here.sessions.conversations({ user: "ada" });
  for (let count = 0; count < 7; count++) {
    const { id } = await mine.create({ title: String(count) });
    if (count % 3 === 0) await mine.pin(id);
    await here.clock.advance(minute);
  }
  const pages: (string | null)[][] = [];
  for (let after: string | undefined; ;) {
    const page = await mine.list({ limit: 2, ...(after !== undefined && { after }) });
    pages.push(page.items.map(({ title }) => title));
    after = page.next;
    if (after === undefined) break;
  }
  assert.deepEqual(pages.flat(), ["6", "3", "0", "5", "4", "2", "1"]);
  assert(pages.every((page) => page.length <= 2));
  await assert.rejects(mine.list({ after: "x" }), { code: "argument_invalid" });
  await assert.rejects(mine.list({ after: "pnonsense" }), { code: "argument_invalid" });
  await assert.rejects(mine.list({ limit: 0 }), { code: "argument_invalid" });
  await assert.rejects(mine.list({ sort: "title" } as object), { code: "argument_invalid" });
  assert.throws(() => here.sessions.conversations({} as ConversationOwner), { code: "argument_invalid" });
  assert.throws(
    () => here.sessions.conversations({ user: "ada", device: randomUUID() } as unknown as ConversationOwner),
    {
      code: "argument_invalid",
    },
  );
});

test("a device that created conversations alone keeps them under another secret, in a claim and in an erasure", async () => {
  await using here = place();
  const [device, other] = [randomUUID(), randomUUID()];
  for (const one of [device, other]) {
    const conversation = await here.sessions.conversations({ device: one }).create({ title: "kept" });
    await conversation.append({ input: "words" });
  }
  const rotated = here.another({ secret: "another secret for tests", previousSecrets: [secret] });
  assert.deepEqual(await titlesOf(rotated, { device }), ["kept"]);
  await rotated.devices.claim(device, "ada");
  assert.deepEqual(new Set(await titlesOf(rotated, { user: "ada" })), new Set(["kept", null]));
  await erase(rotated, { device: other });
  assert(!(await rotated.list()).items.some(({ user }) => user === null));
});

test("a device that opens conversations alone needs its earlier secret no more, and its pointers live on", async () => {
  await using here = place();
  const [guest, owner, idle] = [randomUUID(), randomUUID(), randomUUID()];
  const { id } = await here.sessions.conversations({ device: guest }).create({ title: "a guest's", ttl: "never" });
  await here.sessions.devices.claim(owner, "ada");
  const hers = await here.sessions.conversations({ device: owner }).create({ title: "hers", ttl: "never" });
  await here.sessions.conversations({ device: idle }).create({ ttl: "never" });
  const later = "another secret for tests";
  const rotated = here.another({ secret: later, previousSecrets: [secret] });
  await here.clock.advance(200 * 86_400_000);
  await rotated.conversations({ device: guest }).open(id);
  await rotated.conversations({ device: owner }).open(hers.id);
  assert.equal((await doctor(rotated)).underEarlierSecrets, 1, "the idle device");
  await here.clock.advance(200 * 86_400_000);
  const alone = here.another({ secret: later });
  assert.deepEqual(await titlesOf(alone, { device: guest }), ["a guest's"]);
  assert.ok((await titlesOf(alone, { device: owner })).includes("hers"));
  assert.deepEqual(await titlesOf(alone, { device: idle }), []);
});

test("a claim while a guest creates a conversation leaves the conversation to the user", async () => {
  await using here = place();
  const device = randomUUID();
  const mine = here.sessions.conversations({ device });
  await mine.list();
  beforeCommit(here, () => here.another({ secret }).devices.claim(device, "ada"));
  const made = await mine.create({ title: "hers" });
  assert.equal(made.info.user, "ada");
});

test("parallel calls create no more conversations of a guest than it may have", async () => {
  await using here = place({ limits: { conversationsMax: 3 } });
  const mine = here.sessions.conversations({ device: randomUUID() });
  const made = await Promise.allSettled(Array.from({ length: 8 }, () => mine.create()));
  assert.equal(made.filter(({ status }) => status === "fulfilled").length, 3);
  assert.equal((await mine.list()).items.length, 3);
});

test("a device opens no new session beside as many conversations as a guest may have", async () => {
  await using here = place({ limits: { conversationsMax: 2 } });
  const { devices } = here.sessions;
  const device = randomUUID();
  const mine = here.sessions.conversations({ device });
  const current = await devices.open(device);
  await mine.create();
  await mine.remove(current.id);
  const { id } = await mine.create();
  await assert.rejects(devices.open(device), { code: "conversations_exceeded" });
  await mine.remove(id);
  // Another process creates one between the count and the commit.
  const other = here.another({ secret, limits: { conversationsMax: 2 } });
  beforeCommit(here, () => other.conversations({ device }).create());
  await assert.rejects(devices.open(device), { code: "conversations_exceeded" });
  assert.equal((await mine.list()).items.length, 2);
  await mine.remove((await mine.list()).items[0]?.id ?? "");
  assert.equal((await devices.open(device)).id, current.id);
});

test("a device that shares a session begins it again only where its owner may have one more", async () => {
  await using here = place({ limits: { conversationsMax: 2 } });
  const { devices } = here.sessions;
  const [owner, friend] = [randomUUID(), randomUUID()];
  const shared = await devices.open(owner);
  await devices.link(friend, (await devices.linkCode(owner)).code);
  await shared.end();
  const theirs = here.sessions.conversations({ device: owner });
  const { id } = await theirs.create();
  const other = here.another({ secret, limits: { conversationsMax: 2 } });
  beforeCommit(here, () => other.conversations({ device: owner }).create());
  await assert.rejects(devices.open(friend), { code: "conversations_exceeded" });
  await theirs.remove(id);
  assert.equal((await devices.open(friend)).id, shared.id);
  await assert.rejects(theirs.create(), { code: "conversations_exceeded" });
});

test("an owner that is null is named as it was given", async () => {
  await using here = place();
  assert.throws(() => here.sessions.conversations({ user: null as never }), /user is null; expected/);
  assert.throws(() => here.sessions.conversations({ device: null as never }), /deviceId is null; expected/);
});

test("a title of spaces only is refused", async () => {
  await using here = place();
  const mine = here.sessions.conversations({ user: "ada" });
  await assert.rejects(mine.create({ title: "  " }), /title is " {2}"; expected a text with more than spaces/);
  const session = await mine.create({ title: "kept" });
  await assert.rejects(mine.rename(session.id, " "), { code: "argument_invalid" });
  await assert.rejects(session.update({ title: "\u3000" }), { code: "argument_invalid" });
  assert.deepEqual(await titlesOf(here.sessions, { user: "ada" }), ["kept"]);
});

test("a device names no user of a new conversation", async () => {
  await using here = place();
  const device = randomUUID();
  const options = { user: "victim" } as object;
  await assert.rejects(here.sessions.conversations({ device }).create(options), { code: "argument_invalid" });
  await assert.rejects(here.sessions.devices.open(device, options), { code: "argument_invalid" });
  assert.deepEqual(await titlesOf(here.sessions, { user: "victim" }), []);
});

test("a removal leaves a conversation that has got another user meanwhile", async () => {
  await using here = place();
  const mine = here.sessions.conversations({ user: "ada" });
  const { id } = await mine.create();
  beforeCommit(here, async () => await (await here.another({ secret }).get(id)).update({ user: "bob" }));
  await assert.rejects(mine.remove(id), { code: "session_not_found" });
  assert.equal((await here.sessions.get(id)).info.user, "bob");
});

test("a claim expires no older conversation where sessions of the user live shorter", async () => {
  await using here = place({ ttlOfUser: () => "1h" });
  const device = randomUUID();
  await here.sessions.conversations({ device }).create({ title: "older" });
  await here.clock.advance(10 * 60 * minute);
  await here.sessions.devices.claim(device, "ada");
  assert.deepEqual(new Set(await titlesOf(here.sessions, { user: "ada" })), new Set(["older", null]));
});
