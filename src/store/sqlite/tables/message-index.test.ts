import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import type { SessionRecord } from "../../../domain/record/record.ts";
import { removeSession } from "../../../domain/record/lifecycle.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../../testing/samples.ts";
import type { Store } from "../../store.ts";
import { openSqlite } from "../open.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-message-index-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;

async function openFile(): Promise<{ file: string; store: Store } & AsyncDisposable> {
  const file = join(folder, `${++files}.db`);
  const store = await openSqlite({ url: `sqlite:${file}` });
  return { file, store, [Symbol.asyncDispose]: () => store.close() };
}

function turns(from: number, ...texts: readonly string[]): ReturnType<typeof sampleSplice> {
  const value = (content: string): Value => ({
    status: "done",
    agent: "ceo",
    requests: 1,
    input: [{ role: "user", content }],
    output: [],
  });
  return sampleSplice("turns", from, texts.map(value));
}

async function write(store: Store, change: ReturnType<typeof stepOf>): Promise<SessionRecord> {
  assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
  return change.record!;
}

async function bringForward(store: Store): Promise<number> {
  let steps = 0;
  while (!(await store.index()).isCurrent) steps++;
  return steps;
}

async function found(store: Store, word: string, tenant = "default"): Promise<readonly string[]> {
  const words = [{ word, isPrefix: false }];
  const { messages } = await store.search({ tenant, words, now: 0, limit: 1000 });
  return messages.map(({ session, seq }) => `${session} ${seq}`).toSorted();
}

test("a turn is found that has the row of a deleted entry", async () => {
  await using here = await openFile();
  const { store } = here;
  const splices = [turns(1, "one"), sampleSplice("chunks", 1, ["a part"])];
  const first = await write(store, creationOf(sampleRecord({ id: "s" }), { splices }));
  await bringForward(store);
  const cut = await write(store, stepOf(first, { splices: [sampleSplice("chunks", 1, [])] }));
  await write(store, stepOf(cut, { splices: [turns(2, "later")] }));
  await bringForward(store);
  assert.deepEqual(await found(store, "later"), ["s 2"]);
});

test("turns of a session are found under its new tenant, and not under the old one", async () => {
  await using here = await openFile();
  const { store } = here;
  const old = await write(
    store,
    creationOf(sampleRecord({ id: "s", tenant: "a", title: "name" }), { splices: [turns(1, "one")] }),
  );
  await bringForward(store);
  const moved = creationOf(sampleRecord({ id: "s", tenant: "b", title: "name", heads: old.heads }));
  const taking = { ...moved, logsOf: { tenant: "a", id: "s" } };
  assert.deepEqual(await store.commit([[taking, removeSession(old)]]), [{ status: "ok" }]);
  await bringForward(store);
  assert.deepEqual(await found(store, "one", "b"), ["s 1"]);
  assert.deepEqual(await found(store, "name", "b"), ["s 0"]);
  assert.deepEqual(await found(store, "one", "a"), []);
});

test("a scrub keeps the place up to which the file is indexed", async () => {
  await using here = await openFile();
  const { store } = here;
  const removed = await write(
    store,
    creationOf(sampleRecord({ id: "r" }), { splices: [turns(1, "one", "two", "three")] }),
  );
  const kept = await write(store, creationOf(sampleRecord({ id: "s" }), { splices: [turns(1, "kept")] }));
  await bringForward(store);
  await store.commit([[removeSession(removed)]]);
  await store.scrub();
  await write(store, stepOf(kept, { splices: [turns(2, "later")] }));
  await bringForward(store);
  assert.deepEqual([...(await found(store, "kept")), ...(await found(store, "later"))], ["s 1", "s 2"]);
});

test("nothing is written for search before the first call, and it works in bounded steps", async () => {
  await using here = await openFile();
  const { store, file } = here;
  const texts = Array.from({ length: 2000 }, (_, index) => `word ${index}`);
  const first = await write(
    store,
    creationOf(sampleRecord({ id: "s", title: "one" }), { splices: [turns(1, ...texts)] }),
  );
  await write(store, stepOf(first, { splices: [turns(2000, "changed")] }));
  using looking = new DatabaseSync(file);
  const rows = (): readonly unknown[] =>
    ["search_state", "search_changes", "search_messages", "search_words_data"].map(
      (table) => looking.prepare(`select count(*) as count from ${table}`).get()?.["count"],
    );
  // The engine makes two rows with the table of words.
  assert.deepEqual(rows(), [0, 0, 0, 2]);
  const { left } = await store.index();
  assert.ok(left > 0 && left < 2000, `${left}`);
  assert.ok((await bringForward(store)) >= 2);
  assert.deepEqual(rows().slice(0, 3), [1, 0, 2001]);
  assert.equal((await found(store, "word")).length, 1000);
  assert.deepEqual(await store.inspect(), []);
});

test("scrubbed-is-deleted: no file has a word of what was removed or replaced, indexed or not", async () => {
  await using here = await openFile();
  const { store, file } = here;
  const gone = { text: "bqzxvkone", title: "mqzxvktwo", removed: "xqzxvkthree" };
  const splices = [turns(1, `kept ${gone.text}`, gone.text)];
  const kept = await write(store, creationOf(sampleRecord({ id: "s", title: gone.title }), { splices }));
  const other = await write(store, creationOf(sampleRecord({ id: "r" }), { splices: [turns(1, gone.removed)] }));
  await bringForward(store);
  const holds = (text: string): boolean =>
    readdirSync(folder)
      .filter((name) => join(folder, name).startsWith(file))
      .some((name) => readFileSync(join(folder, name)).toString("latin1").includes(text));
  for (const text of Object.values(gone)) assert.ok(holds(text), text);
  await write(store, stepOf({ ...kept, title: null }, { splices: [turns(1, "kept", "new")] }));
  await store.commit([[removeSession(other)]]);
  await store.scrub();
  for (const text of Object.values(gone)) assert.ok(!holds(text), text);
  await bringForward(store);
  assert.deepEqual(await found(store, "kept"), ["s 1"]);
});

for (const [what, damage] of [
  ["damaged words", "update search_words_data set block = zeroblob(length(block)) where id > 10"],
  ["messages without words", "delete from search_words_docsize where id = (select min(id) from search_words_docsize)"],
  ["words without their message", "delete from search_messages where seq = 2"],
] as const) {
  test(`a repair empties an index with ${what}, and the next search makes it anew`, async () => {
    await using here = await openFile();
    const { store, file } = here;
    await write(store, creationOf(sampleRecord({ id: "s" }), { splices: [turns(1, "apples", "apples", "apples")] }));
    await bringForward(store);
    assert.deepEqual(await store.inspect(), []);
    const other = new DatabaseSync(file, { defensive: false });
    other.exec(damage);
    other.close();
    const before = await store.inspect();
    assert.ok(before.length > 0 && before.every(({ kind, repaired }) => kind === "damage" && !repaired));
    assert.ok((await store.inspect({ repair: true })).every(({ repaired }) => repaired));
    assert.deepEqual(await store.inspect(), []);
    await bringForward(store);
    assert.deepEqual(await found(store, "apples"), ["s 1", "s 2", "s 3"]);
  });
}
