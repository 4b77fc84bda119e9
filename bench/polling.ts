/**
 * What happens where many look at, wait for and write to one session: calls of the store, commits, memory, and the time of
 * eight processes that append to one session, beside the same by hand in SQL in the same run.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSessions, type Session, type Sessions } from "../src/index.ts";
import { sessionsOn } from "../src/sessions/sessions.ts";
import { openMemory } from "../src/store/memory.ts";
import type { Store } from "../src/store/store.ts";
import { Pool, PostgresServer } from "../test/postgres/server.ts";
import { median, p50Of, type Bench, type Measure } from "./measure.ts";
import type { Task, Told } from "./polling-child.ts";
import { turn } from "./workload.ts";

const processes = 8;
const times = 25;

export const bench: Bench = async (report) => {
  report(await waiters());
  report(await silentAnswers());
  report(await watchers());
  report(await memoryOfWatchers());
  for (const measure of await onSqlite()) report(measure);
  for (const measure of await onPostgres()) report(measure);
};

/** A store whose calls are counted, and that gives no hints. */
function counted(): { store: Store; calls: () => number } {
  const memory = openMemory();
  let calls = 0;
  const store: Store = {
    capabilities: memory.capabilities,
    commit: (batch) => (calls++, memory.commit(batch)),
    load: (requests) => (calls++, memory.load(requests)),
    read: (key, range) => (calls++, memory.read(key, range)),
    find: (query) => memory.find(query),
    count: (query) => memory.count(query),
    stats: (query) => memory.stats(query),
    inspect: (options) => memory.inspect(options),
    events: (scan) => (calls++, memory.events(scan)),
    forgetEvents: (past) => memory.forgetEvents(past),
    heartbeat: (instance, how) => memory.heartbeat(instance, how),
    instances: (ids) => (calls++, memory.instances(ids)),
    watch: () => () => undefined,
    scrub: () => memory.scrub(),
    close: () => memory.close(),
  };
  return { store, calls: () => calls };
}

async function perSecond(calls: () => number, seconds: number): Promise<number> {
  const before = calls();
  await sleep(seconds * 1000);
  return (calls() - before) / seconds;
}

function calls(name: string, ours: number, atMost: number): Measure {
  return { name, unit: "calls/s", ours, value: ours, valueUnit: "calls/s", bar: { atMost } };
}

async function waiters(): Promise<Measure> {
  const { store, calls: count } = counted();
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
  const { store, calls: count } = counted();
  const sessions = sessionsOn(store, { sweep: false });
  const turns = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => (await sessions.create({ id: `s${index}` })).begin("q")),
  );
  const ours = await perSecond(count, 10);
  await Promise.all(turns.map((one) => one.seal()));
  await sessions.close();
  return calls("200 silent answers", ours, 1.1);
}

async function watchers(): Promise<Measure> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  const sessions = await openSessions({ store: `sqlite:${join(folder, "s.db")}`, sweep: false });
  const session = await sessions.create({ id: "s" });
  const append = async (): Promise<void> => void (await session.append(turn));
  const alone = await p50Of(100, append);
  const stop = new AbortController();
  const watching = Array.from({ length: 500 }, () => drain(session, stop.signal));
  await sleep(500);
  const watched = await p50Of(100, append);
  stop.abort();
  await Promise.all(watching);
  await sessions.close();
  rmSync(folder, { recursive: true });
  return {
    name: "append, watched by 500",
    unit: "µs",
    ours: watched,
    limit: alone,
    limitName: "the same, watched by none",
    value: (watched - alone) / 1000,
    valueUnit: "ms",
    bar: { atMost: 1 },
  };
}

async function drain(session: Session, signal: AbortSignal): Promise<void> {
  for await (const _ of session.watch({ signal }));
}

async function memoryOfWatchers(): Promise<Measure> {
  const sessions: Sessions = sessionsOn(openMemory(), { sweep: false });
  const session = await sessions.create({ id: "s" });
  const stop = new AbortController();
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  // Slow readers: each has the turn in its hands and asks for nothing more.
  const watches = Array.from({ length: 2000 }, () => session.watch({ after: 0, signal: stop.signal }));
  const reading = watches.map((watch) => watch[Symbol.asyncIterator]());
  const first = reading.map((watch) => watch.next());
  await session.append({ input: "q", output: "x".repeat(100_000) });
  await Promise.all(first);
  globalThis.gc?.();
  const ours = (process.memoryUsage().rss - before) / 2 ** 20;
  stop.abort();
  for (const watch of reading) await watch.return?.();
  await sessions.close();
  return {
    name: "2 000 watches of a turn of 100 KB, memory",
    unit: "MiB",
    ours,
    value: ours,
    valueUnit: "MiB",
    bar: { atMost: 60 },
  };
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
