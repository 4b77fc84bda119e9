/** Processes that append to one session at the same time. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSessions } from "../src/index.ts";
import { Pool, PostgresServer } from "../test/postgres/server.ts";
import { median } from "./measure.ts";
import type { RaceResult, RaceTask } from "./race-child.ts";

export type { RaceTask } from "./race-child.ts";

export interface Raced {
  readonly ms: number;
  readonly median: number;
  readonly slowest: number;
  readonly refused: number;
  /** Calls of the store. */
  readonly calls: number;
}

/** Let so many processes append at the same time, each with `task.writers` writers. */
export async function race(task: RaceTask, processes: number): Promise<Raced> {
  const file = fileURLToPath(new URL("./race-child.ts", import.meta.url));
  const children = Array.from({ length: processes }, () => fork(file, [JSON.stringify(task)]));
  // They close their stores before the server is stopped.
  const exits = children.map((child) => once(child, "exit"));
  await Promise.all(children.map((child) => once(child, "message")));
  const started = performance.now();
  const results = await Promise.all(
    children.map(async (child) => {
      const answer = resultOf(child);
      child.send("go");
      return await answer;
    }),
  );
  const ms = performance.now() - started;
  await Promise.all(exits);
  const all = results.flatMap((one) => one.ms);
  return {
    ms,
    median: median(all),
    slowest: Math.max(...all),
    refused: results.reduce((sum, { refused }) => sum + refused, 0),
    calls: results.reduce((sum, { calls }) => sum + calls, 0),
  };
}

async function resultOf(child: ChildProcess): Promise<RaceResult> {
  const [message] = (await once(child, "message")) as [RaceResult];
  return message;
}

/** A store with the session "s", and the tables of the same work by hand. */
interface SqlitePlace {
  readonly url: string;
  /** The file of the tables. */
  readonly file: string;
}

export async function onSqlitePlace<T>(work: (place: SqlitePlace) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  const url = `sqlite:${join(folder, "s.db")}`;
  const file = join(folder, "hand.db");
  const database = new DatabaseSync(file);
  database.exec(`pragma journal_mode = wal; create table hand (id text primary key, version integer not null);
    create table hand_turns (session text, seq integer, data text, primary key (session, seq)); insert into hand values ('s', 0)`);
  database.close();
  try {
    await createSession(url);
    return await work({ url, file });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface PostgresPlace {
  readonly url: string;
  /** The version of the session's record: the number of its changes. */
  readonly version: () => Promise<number>;
}

export async function onPostgresPlace<T>(work: (place: PostgresPlace) => Promise<T>): Promise<T> {
  await using server = await PostgresServer.start({ fsync: true });
  const url = server.url();
  const pool = new Pool({ connectionString: url, max: 1 });
  await pool.query("create table hand (id text primary key, version bigint not null)");
  await pool.query("create table hand_turns (session text, seq bigint, data text, primary key (session, seq))");
  await pool.query("insert into hand values ('s', 0)");
  await createSession(url);
  const version = async (): Promise<number> => {
    await sleep(1200); // the server's counters lag behind
    const { rows } = await pool.query("select version from perdure.sessions where id = 's'");
    return Number(rows[0]?.["version"]);
  };
  const result = await work({ url, version });
  await pool.end();
  return result;
}

async function createSession(store: string): Promise<void> {
  const sessions = await openSessions({ store, sweep: false });
  await sessions.create({ id: "s" });
  await sessions.close();
}
