/**
 * What a second viewer feels, in a process of its own, and what that costs: the time from a token to its reader, and the commits
 * for 600 tokens in 6 s, beside the same by hand in SQL in the same run.
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
import { callStore, storeBefore } from "../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../src/store/postgres/open.ts";
import { openSqlite } from "../src/store/sqlite/open.ts";
import type { Store } from "../src/store/store.ts";
import { Client, PostgresServer } from "../test/postgres/server.ts";
import { median, type Bench, type Measure } from "./measure.ts";
import { momentNow, type Task, type Told } from "./streams-child.ts";

const tokens = 600;
const everyMs = 10;
/** As the default of `flush`. */
const gatherMs = 50;

export const bench: Bench = async (report) => {
  for (const measure of await onSqlite()) report(measure);
  for (const measure of await onPostgres()) report(measure);
};

async function onSqlite(): Promise<readonly Measure[]> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  const url = `sqlite:${join(folder, "s.db")}`;
  const file = join(folder, "hand.db");
  try {
    const hand = await byHandOnSqlite(file);
    const ours = await streamed(await openSqlite({ url }), url);
    return measured("SQLite", { ours, hand });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function onPostgres(): Promise<readonly Measure[]> {
  await using server = await PostgresServer.start({ fsync: true });
  const url = server.url();
  const hand = await byHandOnPostgres(url);
  const listening = `${url}?listen=true`;
  const ours = await streamed(await openPostgres({ url: listening }), listening);
  const polling = await streamed(await openPostgres({ url }), url);
  return [
    ...measured("PostgreSQL, listen=true", { ours, hand }),
    {
      name: "PostgreSQL without listen: from a token to a second viewer, p50",
      unit: "ms",
      ours: median(polling.lagsMs),
      value: median(polling.lagsMs),
      valueUnit: "ms",
      bar: { atMost: 60 },
    },
  ];
}

interface Streamed {
  readonly lagsMs: readonly number[];
  readonly commits: number;
}

function measured(engine: string, { ours, hand }: { readonly ours: Streamed; readonly hand: Streamed }): Measure[] {
  const limitName = `one insert each ${gatherMs} ms, by hand`;
  const lag = (of: string, at: (lagsMs: readonly number[]) => number): Measure => ({
    name: `${engine}: from a token to a second viewer, ${of}`,
    unit: "ms",
    ours: at(ours.lagsMs),
    limit: at(hand.lagsMs),
    limitName,
    value: at(ours.lagsMs),
    valueUnit: "ms",
  });
  return [
    { ...lag("p50", median), bar: { atMost: 60 } },
    lag("p95", (lagsMs) => lagsMs.toSorted((a, b) => a - b)[Math.floor(lagsMs.length * 0.95)] ?? Number.NaN),
    {
      name: `${engine}: ${tokens} tokens in ${(tokens * everyMs) / 1000} s`,
      unit: "commits",
      ours: ours.commits,
      limit: hand.commits,
      limitName,
      value: ours.commits,
      valueUnit: "commits",
      bar: { atMost: 130 },
    },
  ];
}

/** A stream at the default flush, and its reader in another process. */
async function streamed(store: Store, readerUrl: string): Promise<Streamed> {
  let commits = 0;
  const counted = storeBefore(store, (method, args) => {
    if (method === "commit") commits++;
    return callStore(store, method, args);
  });
  const sessions = await openSessions({ store: counted, sweep: false });
  const id = `run ${momentNow()}`;
  const acquired = await sessions.streams.acquire(id);
  if (acquired.role === "consumer") throw new Error("the stream is new");
  const { stream } = acquired;
  const viewer = await viewing({ how: "perdure", url: readerUrl, stream: id });
  commits = 0;
  await eachToken((at) => stream.write({ type: "text-delta", delta: "word ", at }));
  await stream.end();
  const written = commits;
  const lagsMs = await viewer();
  await sessions.close();
  return { lagsMs, commits: written };
}

async function byHandOnSqlite(file: string): Promise<Streamed> {
  const database = new DatabaseSync(file);
  database.exec(`pragma journal_mode = wal; pragma synchronous = full;
    create table hand (seq integer primary key, data text not null)`);
  const insert = database.prepare("insert into hand (data) select value from json_each(?)");
  const viewer = await viewing({ how: "hand", file });
  const written = await gathered(async (parts) => void insert.run(JSON.stringify(parts)));
  const lagsMs = await viewer();
  database.close();
  return { lagsMs, commits: written };
}

async function byHandOnPostgres(url: string): Promise<Streamed> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query("create table hand (seq bigserial primary key, data text not null)");
  const viewer = await viewing({ how: "hand", url });
  const written = await gathered(async (parts) => {
    const insert = "with added as (insert into hand (data) select value from json_array_elements_text($1) returning 1)";
    await client.query(`${insert} select pg_notify('hand', '') from (select count(*) from added) one`, [
      JSON.stringify(parts),
    ]);
  });
  const lagsMs = await viewer();
  await client.end();
  return { lagsMs, commits: written };
}

/** Gathers the tokens of {@link gatherMs} into one write; resolves with the number of writes. */
async function gathered(write: (parts: readonly string[]) => Promise<void>): Promise<number> {
  let parts: string[] = [];
  let writes = 0;
  let writing = Promise.resolve();
  const flush = (): void => {
    const taken = parts;
    parts = [];
    writes++;
    writing = writing.then(() => write(taken));
  };
  await eachToken(async (at) => {
    if (parts.push(JSON.stringify({ type: "text-delta", delta: "word ", at })) === 1) setTimeout(flush, gatherMs);
  });
  while (parts.length > 0) await sleep(gatherMs);
  await writing;
  return writes;
}

/** Calls `write` for each token at its time. */
async function eachToken(write: (at: number) => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  for (let token = 0; token < tokens; token++) {
    const waitMs = begun + token * everyMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    await write(momentNow());
  }
}

/** Starts a viewer; resolves once it reads, with a function that resolves with its lags. */
async function viewing(task: Omit<Task, "tokens">): Promise<() => Promise<readonly number[]>> {
  const file = fileURLToPath(new URL("./streams-child.ts", import.meta.url));
  const child: ChildProcess = fork(file, [JSON.stringify({ ...task, tokens })]);
  await once(child, "message");
  const told = once(child, "message") as Promise<[Told]>;
  const exit = once(child, "exit");
  return async () => {
    const [{ lagsMs }] = await told;
    await exit;
    return lagsMs;
  };
}
