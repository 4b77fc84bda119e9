/**
 * The cost of many waiters and writers of one session: calls of the store, commits, and the time of eight processes that
 * append to one session, beside the same by hand in SQL in the same run.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSessions } from "../src/index.ts";
import { sessionsOn } from "../src/sessions/sessions.ts";
import { openMemory } from "../src/store/memory.ts";
import { Pool, PostgresServer } from "../test/postgres/server.ts";
import { countedStore } from "./counted-store.ts";
import { median, type Bench, type Measure } from "./measure.ts";
import type { Task, Told } from "./polling-child.ts";

const processes = 8;
const times = 25;

export const bench: Bench = async (report) => {
  report(await waiters());
  report(await silentAnswers());
  for (const measure of await onSqlite()) report(measure);
  for (const measure of await onPostgres()) report(measure);
};

async function perSecond(calls: () => number, seconds: number): Promise<number> {
  const before = calls();
  await sleep(seconds * 1000);
  return (calls() - before) / seconds;
}

function calls(name: string, ours: number, atMost: number): Measure {
  return { name, unit: "calls/s", ours, value: ours, valueUnit: "calls/s", bar: { atMost } };
}

async function waiters(): Promise<Measure> {
  const { store, calls: count } = countedStore({ on: openMemory() });
  const sessions = sessionsOn(store, { sweep: false });
  const session = await sessions.create({ id: "s" });
  const lease = await (await sessions.get("s")).lease();
  const waiting = Array.from({ length: 32 }, async () =>
    (await sessions.get("s")).exclusive(() => Promise.resolve(), { busy: "queue", wait: "5m" }),
  );
  await sleep(2000);
  const ours = await perSecond(count, 10);
  await lease.release();
  await Promise.all(waiting);
  await session.refresh();
  await sessions.close();
  return calls("32 waiters of one held session", ours, 8);
}

async function silentAnswers(): Promise<Measure> {
  const { store, calls: count } = countedStore({ on: openMemory() });
  const sessions = sessionsOn(store, { sweep: false });
  const turns = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => (await sessions.create({ id: `s${index}` })).begin("q")),
  );
  const ours = await perSecond(count, 10);
  await Promise.all(turns.map((one) => one.seal()));
  await sessions.close();
  return calls("200 silent answers", ours, 1.1);
}

async function onSqlite(): Promise<readonly Measure[]> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  const url = `sqlite:${join(folder, "s.db")}`;
  const file = join(folder, "hand.db");
  const database = new DatabaseSync(file);
  database.exec(`pragma journal_mode = wal; create table hand (id text primary key, version integer not null);
    create table hand_turns (session text, seq integer, data text, primary key (session, seq)); insert into hand values ('s', 0)`);
  database.close();
  try {
    const sessions = await openSessions({ store: url, sweep: false });
    await sessions.create({ id: "s" });
    await sessions.close();
    const hand = await race({ how: "hand", url, file, times });
    const ours = await race({ how: "perdure", url, times });
    const queue = await race({ how: "queue", url, times });
    return raced("SQLite", { ours, hand, queue, atMostMs: 500 });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function onPostgres(): Promise<readonly Measure[]> {
  await using server = await PostgresServer.start({ fsync: true });
  const url = server.url();
  const pool = new Pool({ connectionString: url, max: 1 });
  await pool.query("create table hand (id text primary key, version bigint not null)");
  await pool.query("create table hand_turns (session text, seq bigint, data text, primary key (session, seq))");
  await pool.query("insert into hand values ('s', 0)");
  const sessions = await openSessions({ store: url, sweep: false });
  await sessions.create({ id: "s" });
  const commits = async (): Promise<number> => {
    await sleep(1200); // the server's counters lag behind
    const { rows } = await pool.query("select version from perdure.sessions where id = 's'");
    return Number(rows[0]?.["version"]);
  };
  const hand = await race({ how: "hand", url, times });
  const before = await commits();
  const ours = await race({ how: "perdure", url, times });
  const written = (await commits()) - before;
  const queue = await race({ how: "queue", url, times });
  await sessions.close();
  await pool.end();
  return [
    ...raced("PostgreSQL", { ours, hand, queue, atMostMs: 1000 }),
    {
      name: "PostgreSQL: changes of the record for 200 turns",
      unit: "commits",
      ours: written,
      limit: processes * times,
      limitName: "one for each turn",
      value: written / (processes * times),
      valueUnit: "times",
      bar: { atMost: 1.2 },
    },
  ];
}

interface Raced {
  readonly ms: number;
  readonly median: number;
  readonly slowest: number;
  readonly refused: number;
}

function raced(
  engine: string,
  { ours, hand, queue, atMostMs }: { ours: Raced; hand: Raced; queue: Raced; atMostMs: number },
): readonly Measure[] {
  const name = `${engine}: ${processes} processes append ${times} turns each to one session`;
  return [
    {
      name,
      unit: "ms",
      ours: ours.ms,
      limit: hand.ms,
      limitName: `update … where version, ${hand.refused} refused`,
      value: ours.ms / hand.ms,
      valueUnit: "times",
      bar: { atMost: 4 },
    },
    {
      name: `${engine}: the same, in all`,
      unit: "ms",
      ours: ours.ms,
      value: ours.ms,
      valueUnit: "ms",
      bar: { atMost: atMostMs },
    },
    {
      name: `${engine}: the slowest turn of these, ${ours.refused} refused`,
      unit: "ms",
      ours: ours.slowest,
      limit: ours.median,
      limitName: `the median; by hand ${Math.round(hand.slowest / hand.median)}×`,
      value: ours.slowest / ours.median,
      valueUnit: "times",
      bar: { atMost: 20 },
    },
    {
      name: `${engine}: the same in exclusive({ busy: "queue" })`,
      unit: "ms",
      ours: queue.ms,
      limit: queue.slowest,
      limitName: "the slowest turn",
      value: queue.ms / (processes * times),
      valueUnit: "ms",
    },
  ];
}

async function race(task: Task): Promise<Raced> {
  const file = fileURLToPath(new URL("./polling-child.ts", import.meta.url));
  const children = Array.from({ length: processes }, () => fork(file, [JSON.stringify(task)]));
  // They close their stores before the server is stopped.
  const exits = children.map((child) => once(child, "exit"));
  await Promise.all(children.map((child) => once(child, "message")));
  const started = performance.now();
  const told = await Promise.all(
    children.map(async (child) => {
      const answer = toldBy(child);
      child.send("go");
      return await answer;
    }),
  );
  const ms = performance.now() - started;
  await Promise.all(exits);
  const all = told.flatMap((one) => one.ms);
  return {
    ms,
    median: median(all),
    slowest: Math.max(...all),
    refused: told.reduce((sum, { refused }) => sum + refused, 0),
  };
}

async function toldBy(child: ChildProcess): Promise<Told> {
  const [message] = (await once(child, "message")) as [Told];
  return message;
}
