/** Named logs: two in one commit beside one, a range of keys beside its query, and the calls of a look. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openSessions, type LogEntryInput, type Session, type Sessions, type SessionWrite } from "../src/index.ts";
import { openStore } from "../src/open.ts";
import { Pool, PostgresServer } from "../test/postgres/server.ts";
import { countedStore } from "./counted-store.ts";
import { alternate, p50Of, type Bench, type Measure } from "./measure.ts";

const entriesInLog = 10_000;
const page = 20;
const value = { step: 1, text: "x".repeat(300) };

/** The same table of entries by hand: one row inserted, and the rows of a range of keys. */
interface ByHand {
  readonly insert: (key: string) => Promise<unknown>;
  readonly range: (low: string, high: string) => Promise<unknown>;
}

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const database = new DatabaseSync(join(folder, "by-hand.db"));
    for (const measure of await measuresOf("SQLite", `sqlite:${join(folder, "s.db")}`, sqliteByHand(database)))
      report(measure);
    database.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
  await using server = await PostgresServer.start({ fsync: true });
  const pool = new Pool({ connectionString: server.url(), max: 1 });
  for (const measure of await measuresOf("PostgreSQL", server.url(), await postgresByHand(pool))) report(measure);
  await pool.end();
};

function sqliteByHand(database: DatabaseSync): ByHand {
  database.exec("pragma journal_mode = wal; pragma synchronous = full");
  database.exec("create table entries (session text, seq integer, key text, data text, primary key (session, seq))");
  database.exec("create unique index by_key on entries (session, key)");
  const insert = database.prepare("insert into entries values ('s', ?, ?, ?)");
  const range = database.prepare(
    "select seq, key, data from entries where session = 's' and key >= ? and key < ? order by key limit ?",
  );
  let seq = 0;
  return {
    insert: async (key) => insert.run(++seq, key, JSON.stringify(value)),
    range: async (low, high) => range.all(low, high, page).map(({ data }) => JSON.parse(String(data)) as unknown),
  };
}

async function postgresByHand(pool: Pool): Promise<ByHand> {
  await pool.query(
    'create table hand_entries (session text, seq bigint, key text collate "C", data text, primary key (session, seq))',
  );
  await pool.query("create unique index by_key on hand_entries (session, key)");
  let seq = 0;
  return {
    insert: (key) =>
      pool.query("insert into hand_entries values ('s', $1, $2, $3)", [++seq, key, JSON.stringify(value)]),
    range: async (low, high) => {
      const text =
        "select seq, key, data from hand_entries where session = 's' and key >= $1 and key < $2 order by key limit $3";
      const { rows } = await pool.query(text, [low, high, page]);
      return rows.map(({ data }) => JSON.parse(String(data)) as unknown);
    },
  };
}

function keyOf(index: number): string {
  return `k${String(index).padStart(6, "0")}`;
}

async function measuresOf(engine: string, url: string, byHand: ByHand): Promise<readonly Measure[]> {
  const { store, calls } = countedStore({ on: await openStore(url) });
  await using sessions = await openSessions({ store, sweep: false });
  return [
    await oneEntry(engine, sessions, byHand),
    await twoLogs(engine, sessions),
    await keyRange(engine, sessions, byHand),
    await lookCalls(engine, sessions, calls),
  ];
}

async function written(session: Session, write: SessionWrite): Promise<void> {
  const { status } = await session.write(write);
  if (status !== "ok") throw new Error(`the write is a ${status}`);
}

async function oneEntry(engine: string, sessions: Sessions, byHand: ByHand): Promise<Measure> {
  const session = await sessions.create();
  let index = 0;
  const { ours, limit, ratio } = await alternate(40, {
    ours: () => p50Of(25, () => written(session, { logs: { a: { entries: [{ key: keyOf(index++), value }] } } })),
    limit: () => p50Of(25, () => byHand.insert(`own ${index++}`)),
  });
  const name = `${engine}: one keyed entry of a named log, p50`;
  return { name, unit: "µs", ours, limit, limitName: "one bare INSERT", value: ratio, valueUnit: "times" };
}

async function twoLogs(engine: string, sessions: Sessions): Promise<Measure> {
  const [one, two] = [await sessions.create(), await sessions.create()];
  const entries: readonly LogEntryInput[] = [{ value }];
  const { ours, limit, ratio } = await alternate(60, {
    ours: () => p50Of(25, () => written(two, { logs: { a: { entries }, b: { entries } } })),
    limit: () => p50Of(25, () => written(one, { logs: { a: { entries } } })),
  });
  const name = `${engine}: two logs in one commit, p50`;
  return {
    name,
    unit: "µs",
    ours,
    limit,
    limitName: "one log",
    value: ratio,
    valueUnit: "times",
    bar: { atMost: 1.15 },
  };
}

async function keyRange(engine: string, sessions: Sessions, byHand: ByHand): Promise<Measure> {
  const session = await sessions.create();
  for (let from = 0; from < entriesInLog; from += 500) {
    const entries = Array.from({ length: 500 }, (_, index) => ({ key: keyOf(from + index), value }));
    await written(session, { logs: { a: { entries } } });
    for (const { key } of entries) await byHand.insert(key);
  }
  const log = session.log("a");
  let at = 0;
  const next = (): string => keyOf((at = (at + 3571) % (entriesInLog - page)));
  const { ours, limit, ratio } = await alternate(60, {
    ours: () => p50Of(25, () => Array.fromAsync(log.between({ from: next() }, { limit: page }))),
    limit: () => p50Of(25, () => byHand.range(next(), "l")),
  });
  const name = `${engine}: ${page} of ${entriesInLog} entries by a range of keys, p50`;
  return {
    name,
    unit: "µs",
    ours,
    limit,
    limitName: "its query",
    value: ratio,
    valueUnit: "times",
    bar: { atMost: 1.5 },
  };
}

async function lookCalls(engine: string, sessions: Sessions, calls: () => number): Promise<Measure> {
  const session = await sessions.create();
  await written(session, {
    turns: { turns: [{ input: "one" }] },
    logs: { a: { entries: [{ value }] }, b: { entries: [] } },
  });
  const before = calls();
  await session.look([
    { log: "turns", last: 20 },
    { log: "a", last: 20 },
    { log: "b", last: 20 },
  ]);
  const made = calls() - before;
  const name = `${engine}: a look at three logs`;
  return { name, unit: "calls", ours: made, value: made, valueUnit: "calls", bar: { atMost: 1 } };
}
