import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Transaction } from "../../domain/record/change.ts";
import { entryOfTurn, type Turn } from "../../domain/turns/turn.ts";
import { creationOf, sampleAt, sampleRecord } from "../../testing/samples.ts";
import { openMemory } from "../memory.ts";
import type { Store } from "../store.ts";
import type { StoreStats, StoreStatsQuery } from "../stats.ts";
import { openSqlite } from "./open.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-tally-"));
after(() => rmSync(root, { recursive: true }));

/** Without the bytes of the records, which a file stores in a shorter form. */
function ofLogs({ sessions, ...stats }: StoreStats): object {
  return { ...stats, sessions: { ...sessions, bytes: undefined } };
}

/** The same sessions in a file and in memory, which is the reference. */
async function twice(sessions: readonly Transaction[]): Promise<{ file: Store; memory: Store }> {
  const file = await openSqlite({ url: `sqlite:${join(mkdtempSync(join(root, "t-")), "s.db")}` });
  const memory = openMemory();
  for (let from = 0; from < sessions.length; from += 100) {
    await file.commit(sessions.slice(from, from + 100));
    await memory.commit(sessions.slice(from, from + 100));
  }
  return { file, memory };
}

function session(
  id: string,
  turns: readonly (Omit<Partial<Turn>, "at"> & { readonly at?: number })[],
  fields: { tenant?: string; user?: string } = {},
): Transaction {
  const entries = turns.map(({ at = sampleAt, ...turn }, index) =>
    entryOfTurn({
      seq: index + 1,
      key: null,
      at: new Date(at),
      status: "done",
      agent: "a",
      input: [],
      output: [],
      requests: 1,
      ...turn,
    }),
  );
  return [creationOf(sampleRecord({ id, ...fields }), { splices: [{ log: "turns", from: 1, entries }] })];
}

const usage = (totalTokens: number): NonNullable<Turn["usage"]> => ({
  inputTokens: 0,
  outputTokens: totalTokens,
  totalTokens,
});
const query: StoreStatsQuery = {
  tenant: "default",
  now: sampleAt + 1,
  by: ["agent", "model", "user", "hour"],
  limit: 20,
};

test("more groups than fit into memory are summed up all the same", async () => {
  const turns = Array.from({ length: 60_000 }, (_, index) => ({
    // Most come twice, far apart: once before the groups are put away, once after.
    agent: `agent${index % 55_000}`,
    usage: usage((index * 7919) % 10_007),
    durationMs: index,
    at: sampleAt + index * 1000,
    ...(index % 3 === 0 ? { model: `m${index % 5}` } : {}),
  }));
  const { file, memory } = await twice([session("a", turns, { user: "ann" }), session("b", turns.slice(0, 9000))]);
  const sums = await file.stats(query);
  assert.deepEqual(ofLogs(sums), ofLogs(await memory.stats(query)));
  assert.deepEqual([sums.turns.turns, sums.groups.agent?.length], [69_000, 20]);
  assert.deepEqual(await file.stats(query), sums, "asked again, it says the same");
  await file.close();
});

test("a tenant with a small part of the sessions is summed up by itself", async () => {
  const sessions = Array.from({ length: 900 }, (_, index) =>
    session(`s${index}`, [{ usage: usage(index), agent: `a${index % 7}` }], {
      tenant: index % 3 === 0 ? "default" : "large",
    }),
  );
  const others = Array.from({ length: 700 }, (_, index) => session(`o${index}`, [{}, {}], { tenant: "large" }));
  const { file, memory } = await twice([...sessions, ...others]);
  const sums = await file.stats(query);
  assert.deepEqual(ofLogs(sums), ofLogs(await memory.stats(query)));
  assert.equal(sums.turns.turns, 300);
  const large = { ...query, tenant: "large" };
  assert.deepEqual(ofLogs(await file.stats(large)), ofLogs(await memory.stats(large)));
  await file.close();
});

test("a store in memory is summed up, too", async () => {
  const store = await openSqlite({ url: "sqlite::memory:" });
  await store.commit([session("a", [{ usage: usage(5) }])]);
  assert.equal((await store.stats(query)).turns.totalTokens, 5);
  await store.commit([session("b", [{ usage: usage(6) }])]);
  assert.equal((await store.stats(query)).turns.totalTokens, 11);
  await store.close();
});

test("stats of a store that is closed meanwhile fail with closed, and do not block the event loop", async () => {
  const turns = Array.from({ length: 40_000 }, () => ({}));
  const { file } = await twice([session("a", turns)]);
  const sums = file.stats(query);
  const refused = assert.rejects(sums, { code: "closed" });
  await new Promise((resolve) => setImmediate(resolve));
  await file.close();
  await refused;
});

test("an entry that cannot be read is counted as such, and fails no sum", async () => {
  const store = await openSqlite({ url: "sqlite::memory:" });
  const entry = { seq: 1, key: null, at: sampleAt, data: '{"status":"do' };
  await store.commit([
    [creationOf(sampleRecord({ id: "a" }), { splices: [{ log: "turns", from: 1, entries: [entry] }] })],
  ]);
  const { turns, unreadable } = await store.stats(query);
  assert.deepEqual([turns.turns, unreadable], [0, { sessions: 0, entries: 1 }]);
  await store.close();
});
