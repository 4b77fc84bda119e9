import assert from "node:assert/strict";
import { test } from "node:test";
import { openStore } from "../../open.ts";
import { storeBefore } from "../../store/calls/forwarding-store.ts";
import type { MessageQuery, Store } from "../../store/store.ts";
import { scriptedClock } from "../../testing/scripted-clock.ts";
import { sessionsOn, type Sessions } from "../sessions.ts";
import type { SearchQuery } from "./search.ts";

const urls = ["memory:", "sqlite::memory:"] as const;

async function place(
  url: string,
): Promise<{ sessions: Sessions; store: Store; clock: ReturnType<typeof scriptedClock> }> {
  const clock = scriptedClock();
  const store = await openStore(url, { clock });
  return { store, clock, sessions: sessionsOn(store, { clock, sweep: false }) };
}

/** The places of what is found, page by page, with work between the pages. */
async function found(
  sessions: Sessions,
  query: SearchQuery,
  between: () => Promise<unknown> = async () => undefined,
): Promise<readonly string[]> {
  const places: string[] = [];
  for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
    const page = await sessions.search({ ...query, ...(after === undefined ? {} : { after }) });
    places.push(...page.items.map(({ session, turn, message }) => `${session} ${turn} ${message}`));
    after = page.next;
    await between();
  }
  return places;
}

for (const url of urls) {
  test(`pages have each message once while others are appended (${url})`, async () => {
    const { sessions, clock } = await place(url);
    for (const id of ["a", "b"]) {
      const session = await sessions.create({ id });
      for (let n = 0; n < 10; n++) {
        await clock.advance(n % 3 === 0 ? 1000 : 0);
        await session.append({ input: `word ${n}`, output: "a word" });
      }
    }
    const [a, c] = [await sessions.get("a"), await sessions.create({ id: "c" })];
    const append = async (): Promise<void> => {
      await clock.advance(500);
      await a.append({ input: "a later word" });
      await c.append({ input: "another word" });
    };
    for (const session of [undefined, "a"]) {
      const query = { text: "word", limit: 3, ...(session === undefined ? {} : { session }) };
      const before = await found(sessions, query);
      const paged = await found(sessions, query, append);
      assert.equal(new Set(paged).size, paged.length);
      assert.deepEqual(
        before.filter((one) => !paged.includes(one)),
        [],
      );
    }
    await sessions.close();
  });

  test(`a search of one session finds what its branch, its fork and its archive show (${url})`, async () => {
    const { sessions } = await place(url);
    const session = await sessions.create({ id: "s", title: "words" });
    for (const input of ["one word", "two words", "another word"]) await session.append({ input });
    await session.fork({ at: 2, as: "fork" });
    assert.deepEqual(await found(sessions, { text: "word", session: "s", limit: 1 }), ["s 3 0", "s 1 0"]);
    assert.deepEqual(await found(sessions, { text: "word", session: "fork" }), ["fork 1 0"]);
    const all = await found(sessions, { text: "words" });
    assert.deepEqual(all.toSorted(), ["fork null 0", "s 2 0", "s null 0"], "a shared turn is found once");
    await session.archive();
    assert.deepEqual(await found(sessions, { text: "words", session: "s" }), ["s 2 0", "s null 0"]);
    await sessions.close();
  });

  test(`wrong queries are refused, and any text is searched (${url})`, async () => {
    const { sessions } = await place(url);
    await (await sessions.create({ id: "s" })).append({ input: `it's "quoted" \\ 🍣 \0 AND OR NOT NEAR` });
    const wrong: readonly object[] = [
      {},
      { text: "a".repeat(10_000) },
      { text: "a", limit: 0 },
      { text: "a", waitMs: -1 },
      { text: "a", since: "2020" },
      { text: "a", after: "x" },
      { text: "a", words: [] },
      { text: "a", session: "s", user: "u" },
    ];
    for (const query of wrong)
      await assert.rejects(sessions.search(query as SearchQuery), { code: "argument_invalid" }, JSON.stringify(query));
    await assert.rejects(sessions.search({ text: "a", session: "none" }), { code: "session_not_found" });
    const reason = new Error("enough");
    await assert.rejects(sessions.search({ text: "a", signal: AbortSignal.abort(reason) }), reason);
    for (const text of [
      '"',
      "'",
      "\\",
      "\0",
      "🍣",
      "*",
      "a*b",
      "NOT",
      "NEAR(a b)",
      "-quoted",
      "a:b",
      "'a' & !b",
      "\ud800",
    ])
      await sessions.search({ text });
    for (const text of ["it's", '"quoted"', "🍣", "not near", "NEA*"])
      assert.deepEqual(await found(sessions, { text }), ["s 1 0"], text);
    await sessions.close();
  });
}

test("a search that may not wait answers from what is indexed, and the next ones continue", async () => {
  const { sessions } = await place("sqlite::memory:");
  const session = await sessions.create({ id: "s" });
  const turns = Array.from({ length: 1000 }, () => ({ input: "word" }));
  await session.write({ turns: { turns } });
  const lefts: number[] = [];
  const first = await sessions.search({ text: "word", waitMs: 0, onProgress: ({ left }) => lefts.push(left) });
  assert.equal(first.isCurrent, false);
  assert.equal(lefts.length, 1);
  let isCurrent = false;
  for (let searches = 0; !isCurrent && searches < 100; searches++)
    ({ isCurrent } = await sessions.search({ text: "word", waitMs: 0 }));
  assert.equal(isCurrent, true);
  assert.equal((await found(sessions, { text: "word", limit: 400 })).length, 1000);
  await sessions.close();
});

test("a phrase is found among many messages with its words, page by page, in a few calls of the store", async () => {
  const { sessions, store, clock } = await place("sqlite::memory:");
  const session = await sessions.create({ id: "s" });
  for (let n = 0; n < 120; n++) {
    await clock.advance(1000);
    await session.append({ input: n % 10 === 0 ? `of the ${n}` : `the ${n} of` });
  }
  const expected = Array.from({ length: 12 }, (_, index) => `s ${120 - 9 - index * 10} 0`);
  for (const limit of [1, 2, 3, 5, 12, 20])
    assert.deepEqual(await found(sessions, { text: '"of the"', limit }), expected);
  let calls = 0;
  const counted = Object.assign(storeBefore(store), {
    search: async (query: MessageQuery) => {
      calls++;
      return await store.search(query);
    },
    read: async () => assert.fail("the store gives the entries"),
    close: async () => undefined,
  });
  const few = sessionsOn(counted, { clock, sweep: false });
  assert.equal((await few.search({ text: '"of the"', limit: 10 })).items.length, 10);
  assert.equal(calls, 2);
});

test("a turn of a message that the store gives no entry for is read", async () => {
  const { sessions, store, clock } = await place("sqlite::memory:");
  const session = await sessions.create({ id: "s" });
  for (const input of ["one word", "two words, a word"]) await session.append({ input });
  const withoutEntries = Object.assign(storeBefore(store), {
    search: async (query: MessageQuery) => await store.search({ ...query, bytesMax: -1 }),
    close: async () => undefined,
  });
  const reading = sessionsOn(withoutEntries, { clock, sweep: false });
  assert.deepEqual(await found(reading, { text: "word" }), await found(sessions, { text: "word" }));
});
