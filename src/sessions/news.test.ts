/** News of a tenant: positions of its sessions, streams and documents, for any number of readers, resumed by a cursor. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { backupStore, erase } from "../admin.ts";
import { hasCode } from "../errors.ts";
import { callStore, storeBefore, type StoreResult } from "../store/calls/forwarding-store.ts";
import { newsDeletedMax } from "../store/news.ts";
import { openSqlite } from "../store/sqlite/open.ts";
import type { Store } from "../store/store.ts";
import { scriptedClock, type ScriptedClock } from "../testing/scripted-clock.ts";
import type { News } from "./polling/news-feed.ts";
import type { NewsItem } from "./polling/news-item.ts";
import { coreOf, sessionsOn, type Sessions } from "./sessions.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-news-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const minute = 60_000;

/** A reader whose clock is moved until its next news come. */
class Reader {
  readonly #clock: ScriptedClock;
  readonly news: AsyncGenerator<News, void, undefined>;
  cursor: string | undefined;

  constructor(sessions: Sessions, clock: ScriptedClock, cursor?: string) {
    this.#clock = clock;
    this.news = sessions.news(cursor === undefined ? {} : { after: cursor });
  }

  async next(): Promise<readonly NewsItem[]> {
    let isThere = false;
    const coming = this.news.next().finally(() => (isThere = true));
    coming.catch(() => undefined);
    while (!isThere) await this.#clock.advance(50);
    const { value } = await coming;
    assert(value, "the news go on");
    this.cursor = value.cursor;
    return value.items;
  }
}

/** The first news of the reader with an item that fits. A commit is read at once, and those that follow it later. */
async function newsWith(reader: Reader, fits: (item: NewsItem) => boolean): Promise<readonly NewsItem[]> {
  return (await newsUntil(reader, fits)).at(-1) ?? [];
}

/** The news of the reader up to those with an item that fits. */
async function newsUntil(reader: Reader, fits: (item: NewsItem) => boolean): Promise<readonly (readonly NewsItem[])[]> {
  const news: (readonly NewsItem[])[] = [];
  while (!(news.at(-1) ?? []).some(fits)) news.push(await reader.next());
  return news;
}

/** Counts the calls of `news`. */
function counting(store: Store): { readonly store: Store; calls: number } {
  const counted = {
    calls: 0,
    store: storeBefore(store, (method, args) => {
      if (method === "news") counted.calls++;
      return callStore(store, method, args);
    }),
  };
  return counted;
}

test("a reader gets a reset, then the positions of what changes: turns, parts, logs, state, documents, streams", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const reader = new Reader(sessions, clock);
  assert.deepEqual(await reader.next(), [{ reset: true }]);

  const session = await sessions.create({ id: "s", metadata: { secret: "not told" } });
  assert.deepEqual(await reader.next(), [positionOf(await sessions.get("s"), {})]);
  await session.append({ input: "question", output: "answer" });
  await session.write({ logs: { ops: { entries: [{ value: 1 }, { value: 2 }] } } });
  const isWritten = (item: NewsItem): boolean => "logs" in item && item.logs["ops"] === 2;
  assert.deepEqual(await newsWith(reader, isWritten), [
    positionOf(await sessions.get("s"), { turns: 1, logs: { ops: 2 } }),
  ]);

  const turn = await session.begin("more");
  await turn.write({ text: "so much that it is written at once".repeat(1000) });
  const [open] = (await newsWith(reader, (item) => "parts" in item && item.parts === 1)).slice(-1);
  assert.partialDeepStrictEqual(open, { session: "s", turns: 2, open: 2, waits: false, parts: 1 });
  await turn.wait({ reason: "approval", state: null });
  assert.partialDeepStrictEqual(await reader.next(), [{ session: "s", open: 2, waits: true }]);
  await (await sessions.get("s")).end();
  assert.partialDeepStrictEqual(await reader.next(), [{ session: "s", state: "ended", open: null }]);

  const documents = sessions.documents("state");
  const version = await documents.put("k", { large: "value" });
  const acquired = await sessions.streams.acquire("run", { session: "s" });
  assert(acquired.role === "producer");
  await acquired.stream.write({ any: "part" });
  await acquired.stream.end();
  const items = (await newsUntil(reader, (item) => "stream" in item && "open" in item && !item.open)).flat();
  assert.deepEqual(items[0], { document: { scope: "state", key: "k", version } });
  assert.partialDeepStrictEqual(items.at(-1), { stream: "run", of: "s", open: false, parts: 1 });

  await documents.delete("k");
  await sessions.streams.delete("run");
  await (await sessions.get("s")).remove();
  assert.deepEqual((await newsUntil(reader, (item) => "session" in item)).flat(), [
    { document: { scope: "state", key: "k", removed: true } },
    { stream: "run", removed: true },
    { session: "s", removed: true },
  ]);
});

function positionOf(
  { info }: { readonly info: { readonly id: string; readonly version: number } },
  { turns = 0, logs = {} }: { readonly turns?: number; readonly logs?: object },
): object {
  const turnsVersion = turns === 0 ? info.version : info.version - 1;
  const { id: session, version } = info;
  return { session, version, state: "active", turns, turnsVersion, open: null, waits: false, parts: 0, logs };
}

test("a reader continues in another process from its cursor, and gets what changed meanwhile, each session once", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const first = new Reader(sessions, clock);
  await first.next();
  const session = await sessions.create({ id: "s" });
  await first.next();
  await first.news.return();
  for (const input of ["one", "two", "three"]) await session.append({ input });
  await sessions.create({ id: "other" });
  await clock.advance(10 * minute);
  const again = new Reader(place.another(), clock, first.cursor);
  const items = await again.next();
  assert.partialDeepStrictEqual(items, [{ session: "s", turns: 3 }, { session: "other" }]);
  const last = new Reader(sessions, clock, again.cursor);
  assert.deepEqual(await last.next(), [], "a reader that has all gets a newer cursor");
  await Promise.all([again.news.return(), last.news.return()]);
  await clock.advance(20 * minute);
  assert.deepEqual(await new Reader(place.another(), clock, again.cursor).next(), [{ reset: true }]);
});

test("a hundred readers of a tenant cost one call of the store a poll, and all get all", async () => {
  await using place = inMemory();
  const counted = counting(place.shared);
  const sessions = sessionsOn(counted.store, { clock: place.clock, sweep: false });
  const got: NewsItem[][] = [];
  const over = new AbortController();
  const follow = async (): Promise<void> => {
    const mine: NewsItem[] = [];
    got.push(mine);
    for await (const { items } of sessions.news({ signal: over.signal })) mine.push(...items);
  };
  const readers = Array.from({ length: 100 }, follow);
  await place.clock.advance(300);
  const before = counted.calls;
  await sessions.create({ id: "s" });
  await place.clock.advance(10 * 250);
  assert.equal(counted.calls - before, 11, "one for the commit, and ten polls");
  for (const mine of got) {
    assert.deepEqual(mine[0], { reset: true });
    assert.partialDeepStrictEqual(mine[1], { session: "s" });
  }
  over.abort();
  await Promise.all(readers);
  assert.equal(coreOf(sessions).newsFeeds.size, 0);
  const after = counted.calls;
  await place.clock.advance(5000);
  assert.equal(counted.calls, after, "without readers the store is not asked");
});

test("news of sessions, documents and streams of the same process come without a poll, those of other tenants do not", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const counted = counting(place.shared);
  const own = sessionsOn(counted.store, { clock, sweep: false });
  const news = own.news();
  assert.deepEqual((await news.next()).value?.items, [{ reset: true }]);
  // The pause after a read; the clock stands still for each commit.
  const read = async (work: () => Promise<unknown>): Promise<readonly NewsItem[]> => {
    const coming = news.next();
    await clock.advance(40);
    await work();
    return (await coming).value?.items ?? [];
  };
  assert.partialDeepStrictEqual(await read(() => own.create({ id: "s" })), [{ session: "s" }]);
  assert.partialDeepStrictEqual(await read(() => own.documents("d").put("k", 1)), [{ document: { key: "k" } }]);
  assert.partialDeepStrictEqual(await read(() => own.streams.acquireToken("run")), [{ stream: "run" }]);
  const before = counted.calls;
  await clock.advance(40);
  await own.for("other").create({ id: "s" });
  await clock.advance(10);
  assert.equal(counted.calls, before, "a commit of another tenant is no hint");
  await news.return();
  await own.close();
  await sessions.close();
});

test("a slow reader has the last position of each session waiting, and reads from the store if too many wait", async () => {
  await using place = inMemory();
  const { sessions, clock } = place;
  const reader = new Reader(sessions, clock);
  await reader.next();
  const session = await sessions.create({ id: "s" });
  for (let n = 1; n <= 5; n++) {
    await session.append({ input: `${n}` });
    await clock.advance(300);
  }
  assert.partialDeepStrictEqual(await reader.next(), [{ session: "s", turns: 5 }]);

  const documents = sessions.documents("many");
  const keys = Array.from({ length: 10_500 }, (_, n) => `${n}`);
  for (let from = 0; from < keys.length; from += 100) {
    await documents.write(keys.slice(from, from + 100).map((key) => ({ key, value: 0 })));
    if (from % 1000 === 0) await clock.advance(300);
  }
  const got = new Set<string>();
  while (got.size < keys.length)
    for (const item of await reader.next()) {
      assert("document" in item, "no reset");
      got.add(item.document.key);
    }
  await session.append({ input: "later" });
  assert.partialDeepStrictEqual(await reader.next(), [{ session: "s", turns: 6 }]);
});

test("a reader that catches up beside others gets what is committed while its page is on the way", async () => {
  await using place = inMemory();
  const { clock, shared } = place;
  const arrives = Promise.withResolvers<void>();
  let held = "none yet";
  const store = storeBefore(shared, async (method, args) => {
    const result: StoreResult<typeof method> = await callStore(shared, method, args);
    const [query] = args as [{ after?: string }];
    if (method === "news" && query.after === held) await arrives.promise;
    return result;
  });
  const sessions = sessionsOn(store, { clock, sweep: false });
  const one = new Reader(sessions, clock);
  await one.next();
  const old = one.cursor ?? assert.fail();
  await sessions.create({ id: "a" });
  await one.next();
  held = old;
  const other = new Reader(sessions, clock, old);
  const first = other.news.next();
  await clock.advance(300);
  await sessions.create({ id: "b" });
  assert.partialDeepStrictEqual(await one.next(), [{ session: "b" }]);
  held = "none more";
  arrives.resolve();
  assert.partialDeepStrictEqual((await first).value?.items, [{ session: "a" }]);
  assert.partialDeepStrictEqual(await other.next(), [{ session: "b" }]);
  await Promise.all([one.news.return(), other.news.return()]);
  await sessions.close();
});

test("a reader without changes gets a newer cursor each minute", async () => {
  await using place = inMemory();
  const reader = new Reader(place.sessions, place.clock);
  await reader.next();
  const began = place.clock.now();
  assert.deepEqual(await reader.next(), []);
  assert(place.clock.now() - began > minute - 1000);
});

test("wrong cursors and unknown options are refused before the store is asked", async () => {
  await using place = inMemory();
  const counted = counting(place.shared);
  const sessions = sessionsOn(counted.store, { clock: place.clock, sweep: false });
  for (const cursor of ["", "no cursor", 17, null, Buffer.from('["a",1]').toString("base64url")])
    assert.throws(
      () => sessions.news({ after: cursor as string }),
      (error) => hasCode(error, "argument_invalid"),
    );
  assert.throws(
    () => sessions.news({ follow: true } as object),
    (error) => hasCode(error, "argument_invalid"),
  );
  assert.equal(counted.calls, 0);
});

test("a store of an earlier version without news fails with a typed error", async () => {
  await using place = inMemory();
  const earlier = Object.assign(storeBefore(place.shared), { news: undefined }) as unknown as Store;
  const sessions = sessionsOn(earlier, { clock: place.clock, sweep: false });
  await assert.rejects(sessions.news().next(), (error) => {
    assert(hasCode(error, "store_invalid"));
    assert.deepEqual(error.details, { problem: "method_missing", method: "news" });
    return true;
  });
});

test("news end with the signal, and with the error closed when the sessions close", async () => {
  await using place = inMemory();
  const over = new AbortController();
  const ended = Array.fromAsync(place.sessions.news({ signal: over.signal }));
  await place.clock.advance(1000);
  over.abort();
  assert.deepEqual(
    (await ended).map(({ items }) => items),
    [[{ reset: true }]],
  );
  const another = place.another();
  const open = Array.fromAsync(another.news());
  open.catch(() => undefined);
  await place.clock.advance(1000);
  await another.close();
  await assert.rejects(open, (error) => hasCode(error, "closed"));
});

test("a failure of the store ends the news, and the cursor continues them", async () => {
  await using place = inMemory();
  let fails = false;
  const store = storeBefore(place.shared, (method, args) =>
    method === "news" && fails ? Promise.reject(new Error("away")) : callStore(place.shared, method, args),
  );
  const sessions = sessionsOn(store, { clock: place.clock, sweep: false });
  const reader = new Reader(sessions, place.clock);
  await reader.next();
  fails = true;
  await assert.rejects(reader.next(), /away/);
  fails = false;
  await sessions.create({ id: "s" });
  assert.partialDeepStrictEqual(await new Reader(sessions, place.clock, reader.cursor).next(), [{ session: "s" }]);
});

async function onFile(): Promise<{
  sessions: Sessions;
  clock: ScriptedClock;
  file: string;
  rows: (sql: string) => number;
}> {
  const file = join(folder, `${files++}.db`);
  const clock = scriptedClock();
  const sessions = sessionsOn(await openSqlite({ url: `sqlite:${file}`, clock }), {
    clock,
    sweep: false,
    secret: "a secret for tests",
  });
  const rows = (table: string): number => {
    using database = new DatabaseSync(file, { readOnly: true });
    return Number(database.prepare(`select count(*) as count from ${table}`).get()?.["count"]);
  };
  return { sessions, clock, file, rows };
}

test("a file without a subscription gets no rows of news, and none once the subscription has expired", async () => {
  const { sessions, clock, rows } = await onFile();
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "unread" });
  assert.equal(rows("news") + rows("news_subscriptions"), 0);
  const reader = new Reader(sessions, clock);
  await reader.next();
  await session.append({ input: "read" });
  assert.equal(rows("news"), 1);
  await reader.next();
  await reader.news.return();
  clock.set(clock.now() + 20 * minute);
  await session.append({ input: "unread again" });
  assert.equal(rows("news"), 1);
  await coreOf(sessions).store.heartbeat({ ...instance, id: "another" });
  assert.equal(rows("news") + rows("news_subscriptions"), 0, "a heartbeat deletes the rest");
  await sessions.close();
});

const instance = { host: "h", pid: 1, machine: "m", startedAt: "1", address: null, staleAfterMs: null };

test("old news are deleted in steps while a reader reads on", async () => {
  const { sessions, clock, rows } = await onFile();
  const reader = new Reader(sessions, clock);
  await reader.next();
  const documents = sessions.documents("many");
  const keys = Array.from({ length: newsDeletedMax + 500 }, (_, n) => `${n}`);
  for (let from = 0; from < keys.length; from += 100)
    await documents.write(keys.slice(from, from + 100).map((key) => ({ key, value: 0 })));
  assert.equal(rows("news"), keys.length);
  const poll = (): Promise<unknown> => coreOf(sessions).store.news({ tenant: "default", limit: 1 });
  for (let minutes = 0; minutes < 13; minutes++, clock.set(clock.now() + minute)) await poll();
  assert.equal(rows("news"), keys.length, "they are marked");
  for (let minutes = 0; minutes < 13; minutes++, clock.set(clock.now() + minute)) {
    await poll();
    if (rows("news") < keys.length) break;
  }
  assert.equal(rows("news"), 500, "one step");
  await poll();
  assert.equal(rows("news"), 0);
  await reader.news.return();
  await sessions.close();
});

test("an erasure leaves no key of a removed session or document in the news of a file", async () => {
  const { sessions, clock, file } = await onFile();
  const reader = new Reader(sessions, clock);
  await reader.next();
  await sessions.create({ id: "ada-at-example-org", user: "ada" });
  await sessions.documents("profiles").put("ada-at-example-org-too", 1, { user: "ada" });
  await reader.next();
  await erase(sessions, { user: "ada" });
  assert.deepEqual((await newsWith(reader, (item) => "reset" in item))[0], { reset: true });
  await reader.news.return();
  await sessions.close();
  assert(!readFileSync(file).includes("ada-at-example-org"));
});

test("a backup has no news, so a cursor of the store is a reset in its copy", async () => {
  const { sessions, clock, file } = await onFile();
  const reader = new Reader(sessions, clock);
  await reader.next();
  await sessions.create({ id: "s" });
  await reader.next();
  const copy = `${file}.copy`;
  await backupStore(`sqlite:${file}`, copy);
  await reader.news.return();
  await sessions.close();
  const again = sessionsOn(await openSqlite({ url: `sqlite:${copy}`, clock }), { clock, sweep: false });
  assert.deepEqual(await new Reader(again, clock, reader.cursor).next(), [{ reset: true }]);
  await again.close();
});
