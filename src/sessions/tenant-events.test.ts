import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../test/support/in-memory.ts";
import {
  eventBeginning,
  eventKinds,
  eventOverlapMs,
  appendEvent,
  type EventData,
  type OwnEventType,
} from "../domain/record/event.ts";
import type { Clock } from "../clock.ts";
import { draftOf } from "../domain/record/change.ts";
import { defaultLimits } from "../domain/values/limits.ts";
import { sampleAt, sampleRecord } from "../testing/samples.ts";
import { coreOf, sessionsOn } from "./sessions.ts";
import type { EventQuery, EventWalk } from "./tenant-events.ts";

const hour = 3_600_000;

function linesOf(events: readonly { session: string; type: string }[]): string[] {
  return events.map(({ session, type }) => `${session} ${type}`);
}

test("events are found across the sessions of a tenant, by type, category, severity, agent, session and time", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const a = await sessions.create({ id: "a" });
  const began = new Date(clock.now());
  await clock.advance(hour);
  await (await sessions.create({ id: "b", agent: "cfo" })).end({ reason: "done" });
  await a.lease();
  await (await place.another().get("a")).breakLease();
  await clock.advance(hour);
  await a.handOff("cto");
  await sessions.for("other").create({ id: "a" });
  const queries: readonly [EventQuery, readonly string[]][] = [
    [{}, ["a created", "a taken_over", "b created", "b ended", "a handed_off"]],
    [{ type: "created" }, ["a created", "b created"]],
    [{ type: ["ended", "handed_off"] }, ["b ended", "a handed_off"]],
    [{ category: "handoff" }, ["a handed_off"]],
    [{ severity: "warning" }, ["a taken_over"]],
    [{ severity: "error" }, []],
    [{ type: "created", severity: "warning" }, []],
    [{ agent: "cfo" }, ["b created", "b ended"]],
    [{ session: "b" }, ["b created", "b ended"]],
    [{ since: new Date(began.getTime() + hour) }, ["a taken_over", "b created", "b ended", "a handed_off"]],
    [{ before: new Date(began.getTime() + hour) }, ["a created"]],
    [{ order: "descending", limit: 1 }, ["a handed_off"]],
  ];
  for (const [query, expected] of queries)
    assert.deepEqual(linesOf((await sessions.listEvents(query)).items), expected, JSON.stringify(query));

  const first = await sessions.listEvents({ limit: 2 });
  assert.ok(first.next);
  const rest = await sessions.listEvents({ limit: 3, after: first.next });
  assert.deepEqual(linesOf([...first.items, ...rest.items]), queries[0]?.[1]);
  assert.equal(rest.next, undefined);
  assert.deepEqual(linesOf(await Array.fromAsync(sessions.eachEvent())), queries[0]?.[1], "or one by one");
  const [event] = (await sessions.listEvents({ type: "ended" })).items;
  assert.deepEqual(
    [event?.sessionAgent, event?.severity, event?.at.getTime()],
    ["cfo", "info", began.getTime() + hour],
  );
});

test("internal records have no events, and a tenant never sees events of another", async () => {
  await using place = inMemory({ secret: "a secret for tests only" });
  const { sessions } = place;
  const device = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10";
  const session = await sessions.devices.open(device);
  await sessions.devices.linkCode(device);
  await sessions.keys.create({ name: "k", right: "read", tenant: "default" });
  assert.deepEqual(linesOf((await sessions.listEvents()).items), [`${session.id} created`]);
  const scopes = ["default\u0001devices", "default\u0001codes", "\u0001keys"];
  for (const tenant of scopes)
    assert.deepEqual((await place.store.events({ tenant, order: "ascending", limit: 9 })).events, []);
  assert.deepEqual((await sessions.for("other").listEvents()).items, []);
});

test("an invalid type, category, severity, order, limit, date or page is refused", async () => {
  await using place = inMemory();
  const wrong = [
    { type: "born" },
    { type: ["created", "born"] },
    { category: "weather" },
    { severity: "fatal" },
    { order: "random" },
    { limit: 0 },
    { limit: 1001 },
    { since: new Date(Number.NaN) },
    { after: "nowhere" },
  ] as unknown as EventQuery[];
  for (const query of wrong) await assert.rejects(place.sessions.listEvents(query), { code: "argument_invalid" });
  await assert.rejects(place.sessions.listEvents({ session: "" }), { code: "id_invalid" });
  await assert.rejects(Array.fromAsync(place.sessions.eachEvent(wrong[0] as EventWalk)), { code: "argument_invalid" });
});

test("the text of an event begins as the store is asked for it, whatever else the event holds", () => {
  const context = { now: sampleAt, chance: 0, limits: defaultLimits, correlation: "r" };
  for (const type of Object.keys(eventKinds) as OwnEventType[]) {
    const draft = draftOf(sampleRecord());
    appendEvent(draft, { agent: "a", type } as unknown as EventData, context);
    assert.ok(draft.splices[0]?.entries[0]?.data.startsWith(eventBeginning(type)));
  }
});

test("a follower gets each event once, also one that is committed after newer ones, until it stops", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  await sessions.create({ id: "before" });
  const received: string[] = [];
  const stop = new AbortController();
  const begun: Date[] = [];
  const began = new Date(clock.now());
  const following = follow(place, received, { signal: stop.signal, begun: (since) => begun.push(since) });
  await clock.advance(1000);
  assert.deepEqual(received, [], "what was before is not told");
  assert.deepEqual(begun, [began]);
  const elsewhere = place.another();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  place.store.plan({ [place.store.commits + 1]: { hold: held } });
  const slow = elsewhere.create({ id: "slow" });
  await clock.advance(2000);
  await sessions.create({ id: "fast" });
  await clock.advance(1000);
  assert.deepEqual(received, ["fast created"]);
  release();
  await slow;
  await clock.advance(1000);
  for (let index = 0; index < 30; index++) {
    await (await sessions.get("fast")).handOff("cto");
    await clock.advance(1000);
  }
  assert.deepEqual(received.slice(0, 2), ["fast created", "slow created"]);
  assert.deepEqual(
    received.slice(2),
    Array.from({ length: 30 }, () => "fast handed_off"),
  );
  stop.abort();
  await clock.advance(1000);
  await following;
  assert.equal(clock.sleeping, 0, "no timer is left");
});

test("a follower since a time gets the earlier events first, and closing ends it", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  await sessions.create({ id: "a" });
  await clock.advance(hour);
  const since = new Date(clock.now());
  await sessions.create({ id: "b" });
  await clock.advance(hour);
  const received: string[] = [];
  const other = place.another();
  const following = follow({ ...place, sessions: other }, received, { since });
  await clock.advance(1000);
  assert.deepEqual(received, ["b created"]);
  await sessions.create({ id: "c" });
  await clock.advance(1000);
  assert.deepEqual(received, ["b created", "c created"]);
  const ended = assert.rejects(following, { code: "closed" });
  await other.close();
  await clock.advance(1000);
  await ended;
});

async function follow({ sessions }: Pick<InMemory, "sessions">, received: string[], walk: EventWalk): Promise<void> {
  for await (const { session, type } of sessions.eachEvent({ ...walk, follow: true }))
    received.push(`${session} ${type}`);
}

test("followers get an event from the future once, and go on after it", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const received: string[] = [];
  const reached: number[] = [];
  const stop = new AbortController();
  const following = follow(place, received, { signal: stop.signal, reached: (since) => reached.push(since.getTime()) });
  await clock.advance(1000);
  const days = 2 * 24 * hour;
  const now = clock.now();
  const ahead = place.another({ clock: { ...clockOf(clock), now: () => clock.now() + days } });
  await sessions.create({ id: "before" });
  await (await ahead.create({ id: "future" })).handOff("cto");
  await clock.advance(1000);
  for (let index = 0; index < 40; index++) {
    await sessions.create({ id: `after${index}` });
    await clock.advance(1000);
  }
  assert.deepEqual(
    received.filter((line) => line.startsWith("after")),
    Array.from({ length: 40 }, (_, index) => `after${index} created`),
  );
  assert.equal(received.filter((line) => line.startsWith("future")).length, 2, "each once");
  assert.ok(
    reached.every((since) => since <= clock.now() - eventOverlapMs),
    "no cursor is beyond the store's time less the overlap",
  );
  assert.ok((reached.at(-1) ?? 0) > now, "and it moves on");
  stop.abort();
  await clock.advance(1000);
  await following;
});

/** The methods of a scripted clock, which are its class's. */
function clockOf(clock: InMemory["clock"]): Clock {
  return {
    now: () => clock.now(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    random: (count) => clock.random(count),
  };
}

test("all followers of a tenant in one process share one scan, each with its own filter, and a slow one misses nothing", async () => {
  await using place = inMemory();
  const { clock } = place;
  let scans = 0;
  const counting = sessionsOn(
    { ...place.shared, events: (scan) => (scans++, place.store.events(scan)) },
    { clock, sweep: false },
  );
  const stop = new AbortController();
  const received = Array.from({ length: 100 }, (): string[] => []);
  const followers = received.map((list, index) =>
    follow({ sessions: counting }, list, {
      signal: stop.signal,
      ...(index === 0 ? { type: "created" } : index === 1 ? { session: "b" } : {}),
    }),
  );
  const slow = counting.eachEvent({ follow: true, signal: stop.signal })[Symbol.asyncIterator]();
  const first = slow.next();
  await clock.advance(600);
  scans = 0;
  await (await counting.create({ id: "a" })).handOff("cto");
  await counting.create({ id: "b" });
  await clock.advance(10_000);
  assert.equal(scans, 20, "two a second, whatever the number of followers");
  assert.deepEqual(received[0], ["a created", "b created"]);
  assert.deepEqual(received[1], ["b created"]);
  assert.ok(received.slice(2).every((list) => list.join() === "a created,a handed_off,b created"));
  for (let index = 0; index < 30; index++) {
    await (await counting.get("a")).handOff("cto");
    await clock.advance(1000);
  }
  const events = [(await first).value];
  for (let index = 0; index < 32; index++) {
    const next = slow.next();
    await clock.advance(1000);
    events.push((await next).value);
  }
  assert.equal(new Set(events.map((event) => `${event?.session} ${event?.seq}`)).size, 33);
  stop.abort();
  await clock.advance(1000);
  await Promise.all([...followers, slow.return?.()]);
  assert.deepEqual([coreOf(counting).eventFeeds.size, clock.sleeping], [0, 0], "and leave nothing behind");
});

test("pages and followers read events within the bytes of a page, and a round keeps no more than its limit", async () => {
  const limits = { noteLengthMax: 2_000_000 };
  await using place = inMemory({ limits });
  const { clock, sessions } = place;
  const sizes: number[] = [];
  const measuring = sessionsOn(
    {
      ...place.shared,
      async events(scan) {
        const page = await place.shared.events(scan);
        sizes.push(page.events.length);
        return page;
      },
    },
    { clock, sweep: false, limits },
  );
  const stop = new AbortController();
  const received: string[] = [];
  const following = follow({ sessions: measuring }, received, { signal: stop.signal });
  await clock.advance(600);
  const session = await sessions.create({ id: "a" });
  for (let index = 0; index < 5; index++) await session.handOff("cto", { note: "x".repeat(1_500_000) });
  await sessions.create({ id: "b" });
  sizes.length = 0;
  await clock.advance(3000);
  const expected = ["a created", ...Array.from({ length: 5 }, () => "a handed_off"), "b created"];
  assert.deepEqual(received, expected);
  assert.ok(sizes.length > 0 && sizes.every((size) => size <= 2), `pages of ${sizes.join()}`);
  sizes.length = 0;
  const types: string[] = [];
  for await (const { type } of measuring.eachEvent({})) types.push(type);
  assert.equal(types.length, 7);
  assert.ok(
    sizes.every((size) => size <= 2),
    `pages of ${sizes.join()}`,
  );
  stop.abort();
  await clock.advance(1000);
  await following;
  await measuring.close();
});
