import assert from "node:assert/strict";
import { removeSession } from "../../../domain/record/lifecycle.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { FoundMessage, MessageQuery, Store } from "../../../store/store.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../samples.ts";
import { commitOne, keyOf, land, type Check } from "../bench.ts";

/** The value of a turn with a question and an answer. */
function turn(question: string, answer = "yes"): Value {
  const messages = (role: string, content: string): Value => [{ role, content }];
  const input = messages("user", question);
  return { status: "done", agent: "ceo", requests: 1, input, output: messages("assistant", answer) };
}

/** Brings the index up to date, in any number of steps. */
async function bringForward(store: Store): Promise<void> {
  while (!(await store.index()).isCurrent);
}

async function found(
  store: Store,
  tenant: string,
  words: string,
  query: Partial<MessageQuery> = {},
): Promise<readonly FoundMessage[]> {
  const all: FoundMessage[] = [];
  const searched = words.split(" ").map((word) => ({ word: word.replace("*", ""), isPrefix: word.endsWith("*") }));
  let after: string | undefined;
  do {
    const page = await store.search({ tenant, words: searched, now: 0, limit: 2, ...query, ...defined({ after }) });
    assert.ok(page.messages.length <= 2);
    all.push(...page.messages);
    after = page.next;
  } while (after !== undefined);
  return all;
}

function placesOf(list: readonly FoundMessage[]): readonly Pick<FoundMessage, "session" | "log" | "seq" | "message">[] {
  return list.map(({ session, log, seq, message }) => ({ session, log, seq, message }));
}

export function searchCases(check: Check): void {
  check(
    "index-is-built-when-asked: search finds what was committed before, or nothing without an index",
    async (bench) => {
      const { store, tenant } = bench;
      const { searches } = store.capabilities;
      const splices = [sampleSplice("turns", 1, [turn("One word"), turn("another", "a wordy answer")])];
      const first = await land(store, creationOf(bench.record({ id: "s", title: "A word of title" }), { splices }));
      await bringForward(store);
      const expected = [
        { session: "s", log: "turns", seq: 1, message: 0 },
        { session: "s", log: "turns", seq: 0, message: 0 },
      ];
      const byTurn = (list: readonly FoundMessage[]): ReturnType<typeof placesOf> =>
        placesOf(list).toSorted((a, b) => b.seq - a.seq);
      assert.deepEqual(byTurn(await found(store, tenant, "word")), searches ? expected : []);
      assert.deepEqual(
        byTurn(await found(store, tenant, "wordy answ*")),
        searches ? [{ session: "s", log: "turns", seq: 2, message: 1 }] : [],
      );
      assert.deepEqual(await found(store, tenant, "one answer"), []);
      if (!searches) return;
      await using another = await bench
        .openAnother()
        .then((opened) => ({ store: opened, [Symbol.asyncDispose]: () => opened.close() }));
      const writer = store.capabilities.shared ? another.store : store;
      await land(writer, stepOf(first, { splices: [sampleSplice("turns", 3, [turn("a later word")])] }));
      await bringForward(store);
      assert.equal((await found(store, tenant, "word")).length, 3);
    },
  );

  check("indexed-is-found: each message is on one page, by filters and times", async (bench) => {
    const { store, tenant } = bench;
    if (!store.capabilities.searches) return;
    for (const [id, user] of [
      ["a", "ada"],
      ["b", "bob"],
      ["c", null],
    ] as const) {
      const values = Array.from({ length: 3 }, (_, index) => turn(`word ${id} ${index}`));
      const labels = user === null ? {} : { topic: id };
      await land(
        store,
        creationOf(bench.record({ id, user, labels }), { splices: [sampleSplice("turns", 1, values)] }),
      );
    }
    await bringForward(store);
    const places = (list: readonly FoundMessage[]): readonly string[] =>
      list.map(({ session, seq }) => `${session}${seq}`).toSorted();
    assert.deepEqual(places(await found(store, tenant, "word")), [
      "a1",
      "a2",
      "a3",
      "b1",
      "b2",
      "b3",
      "c1",
      "c2",
      "c3",
    ]);
    assert.deepEqual(places(await found(store, tenant, "word", { user: "ada" })), ["a1", "a2", "a3"]);
    assert.deepEqual(places(await found(store, tenant, "word", { labels: { topic: true } })).length, 6);
    assert.deepEqual(places(await found(store, tenant, "word", { labels: { topic: "b" }, user: "ada" })), []);
    assert.deepEqual(places(await found(store, tenant, "word", { agent: "ceo" })).length, 9);
    const all = await store.read({ tenant, id: "a" }, { log: "turns", from: 1, to: 9, limit: 9, order: "ascending" });
    const [since, before] = [all[1]?.at ?? 0, all[2]?.at ?? 0];
    assert.deepEqual(places(await found(store, tenant, "word", { since, before })), ["a2", "b2", "c2"]);
  });

  check("entries-are-those-of-the-store: a found message has the entry of its turn, or none", async (bench) => {
    const { store, tenant } = bench;
    if (!store.capabilities.searches) return;
    const values = Array.from({ length: 5 }, (_, index) => turn(`word ${index}`, "x".repeat(1000)));
    const splices = [sampleSplice("turns", 1, values)];
    const { id } = await land(store, creationOf(bench.record({ id: "s", title: "word" }), { splices }));
    await bringForward(store);
    const stored = await store.read({ tenant, id }, { log: "turns", from: 1, to: 9, limit: 9, order: "ascending" });
    const all = await found(store, tenant, "word");
    for (const { seq, entry } of all)
      if (entry !== undefined || seq === 0) assert.deepEqual(entry, seq === 0 ? undefined : stored[seq - 1]);
    const query = { tenant, words: [{ word: "word", isPrefix: false }], now: 0, limit: 6 };
    const { messages } = await store.search({ ...query, bytesMax: 2500 });
    assert.deepEqual(placesOf(messages), placesOf(all));
    assert.ok(messages.filter(({ entry }) => entry !== undefined).length <= 3);
    for (const [index, { cursor }] of messages.entries()) {
      const behind = await store.search({ ...query, after: cursor });
      assert.deepEqual(placesOf(behind.messages), placesOf(messages.slice(index + 1)));
    }
  });

  check("removed-is-not-found: replaced turns, changed titles and removed sessions", async (bench) => {
    const { store, tenant } = bench;
    if (!store.capabilities.searches) return;
    const splices = [sampleSplice("turns", 1, [turn("kept"), turn("gone")])];
    const first = await land(store, creationOf(bench.record({ id: "s", title: "gone title" }), { splices }));
    const removed = await land(store, creationOf(bench.record({ id: "r", title: "gone" }), { splices }));
    await bringForward(store);
    assert.equal((await found(store, tenant, "gone")).length, 4);
    await land(store, stepOf({ ...first, title: "new title" }, { splices: [sampleSplice("turns", 2, [turn("new")])] }));
    await commitOne(store, removeSession(removed));
    await bringForward(store);
    assert.deepEqual(await found(store, tenant, "gone"), []);
    assert.deepEqual(new Set((await found(store, tenant, "new")).map(({ seq }) => seq)), new Set([0, 2]));
    assert.deepEqual(
      (await found(store, tenant, "kept")).map(({ session }) => session),
      ["s"],
    );
    await store.scrub();
    assert.deepEqual(
      (await found(store, tenant, "kept")).map(({ session }) => session),
      ["s"],
    );
    const again = creationOf(bench.record({ id: "r" }), { splices: [sampleSplice("turns", 1, [turn("again")])] });
    await land(store, again);
    await bringForward(store);
    assert.deepEqual(
      (await found(store, tenant, "again")).map(({ session }) => session),
      ["r"],
    );
  });

  check("scope-is-in-the-key: a search never returns a message of another tenant", async (bench) => {
    const { store, tenant } = bench;
    const splices = [sampleSplice("turns", 1, [turn("secret")])];
    const foreign = sampleRecord({ tenant: `${tenant} `, id: "same" });
    await land(store, creationOf(foreign, { splices }));
    await land(store, creationOf(bench.record({ id: "same" })));
    await bringForward(store);
    assert.deepEqual(await found(store, tenant, "secret"), []);
    assert.equal((await found(store, keyOf(foreign).tenant, "secret")).length, store.capabilities.searches ? 1 : 0);
  });

  check("indexers-share-the-work: two handles that index at once find each message once", async (bench) => {
    const { store, tenant } = bench;
    if (!store.capabilities.searches || !store.capabilities.shared) return;
    const another = await bench.openAnother();
    for (let session = 0; session < 30; session++) {
      const values = Array.from({ length: 20 }, () => turn("word"));
      await land(
        store,
        creationOf(bench.record({ id: `s${session}` }), { splices: [sampleSplice("turns", 1, values)] }),
      );
    }
    await Promise.all([bringForward(store), bringForward(another)]);
    const all = await found(another, tenant, "word", { limit: 2 });
    assert.equal(all.length, 600);
    assert.equal(new Set(all.map(({ session, seq }) => `${session} ${seq}`)).size, 600);
  });
}
