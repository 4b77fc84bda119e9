/**
 * What news cost on both engines: calls of the store for one and for a hundred readers, an append with and without a reader
 * beside a bare insert in the same run, and the time from a commit to a reader on another connection.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Sessions } from "../src/index.ts";
import { openStore } from "../src/open.ts";
import { callStore, storeBefore } from "../src/store/calls/forwarding-store.ts";
import { Client, PostgresServer } from "../test/postgres/server.ts";
import { alternate, median, p50Of, type Bench, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

const rounds = 9;
const appends = 60;
const lags = 40;
const pollsSeconds = 5;

/** Two stores with nothing in them, and a bare insert of the same bytes. */
interface Place {
  readonly quiet: string;
  readonly followed: string;
  readonly insert: (n: number) => unknown;
}

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    using database = new DatabaseSync(join(folder, "by-hand.db"));
    database.exec("pragma journal_mode = wal; pragma synchronous = full");
    database.exec("create table turns (session text, seq integer, data text, primary key (session, seq))");
    const insert = database.prepare("insert into turns values ('s', ?, ?)");
    const fileOf = (name: string): string => `sqlite:${join(folder, `${name}.db`)}`;
    const place = { quiet: fileOf("quiet"), followed: fileOf("followed"), insert: (n: number) => insert.run(n, data) };
    for (const measure of await measured("SQLite", place)) report(measure);
  } finally {
    rmSync(folder, { recursive: true });
  }
  await using server = await PostgresServer.start({ fsync: true });
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  await client.query("create table turns (session text, seq bigint, data text, primary key (session, seq))");
  const insert = (n: number): Promise<unknown> => client.query("insert into turns values ('s', $1, $2)", [n, data]);
  const schemaOf = (name: string): string => `${server.url()}?schema=${name}`;
  const place = { quiet: schemaOf("quiet"), followed: schemaOf("followed"), insert };
  for (const measure of await measured("PostgreSQL", place)) report(measure);
  await client.end();
};

const data = JSON.stringify(turn);

async function measured(engine: string, { quiet, followed, insert }: Place): Promise<readonly Measure[]> {
  await using quietly = await openSessions({ store: quiet, sweep: false });
  const { sessions, calls } = await counted(followed);
  const over = new AbortController();
  const one = follow(sessions, over.signal);
  const [unread, read] = await Promise.all([quietly, sessions].map((place) => place.create({ id: "s" })));
  if (unread === undefined || read === undefined) throw new Error("two sessions");
  await one.begun;
  const ofOne = await perSecond(calls);

  let n = 0;
  const limit = (): Promise<number> => p50Of(appends, async () => await insert(++n));
  const alone = await alternate(rounds, { ours: () => p50Of(appends, () => unread.append(turn)), limit });
  const withReader = await alternate(rounds, { ours: () => p50Of(appends, () => read.append(turn)), limit });
  const price = await alternate(rounds, {
    ours: () => p50Of(appends, () => read.append(turn)),
    limit: () => p50Of(appends, () => unread.append(turn)),
  });

  const lagMs = await lagOf(followed, sessions);
  const many = Array.from({ length: 99 }, () => follow(sessions, over.signal));
  await Promise.all(many.map(({ begun }) => begun));
  const ofMany = await perSecond(calls);
  over.abort();
  await Promise.all([one, ...many].map(({ ended }) => ended));
  await sessions.close();

  const compared = (name: string, { ratio, ...both }: typeof alone, limitName: string): Measure => ({
    name: `${engine}: ${name}`,
    unit: "µs",
    ...both,
    limitName,
    value: ratio,
    valueUnit: "times",
  });
  const polled = (name: string, ours: number): Measure => ({
    name: `${engine}: calls of the store for the news of ${name}`,
    unit: "calls/s",
    ours,
    value: ours,
    valueUnit: "calls/s",
    bar: { atMost: 4.4 },
  });
  return [
    polled("one reader", ofOne),
    polled("100 readers", ofMany),
    compared("append without a reader of news", alone, "a bare insert"),
    compared("append while a reader follows", withReader, "a bare insert"),
    compared("append while a reader follows", price, "without a reader"),
    {
      name: `${engine}: from a commit to a reader, p50`,
      unit: "ms",
      ours: lagMs,
      value: lagMs,
      valueUnit: "ms",
      bar: { atMost: 250 },
    },
  ];
}

/** Sessions whose store counts the reads of news. */
async function counted(url: string): Promise<{ sessions: Sessions; calls: () => number }> {
  const store = await openStore(url);
  let calls = 0;
  const counting = storeBefore(store, (method, args) => {
    if (method === "news") calls++;
    return callStore(store, method, args);
  });
  return { sessions: await openSessions({ store: counting, sweep: false }), calls: () => calls };
}

function follow(sessions: Sessions, signal: AbortSignal): { begun: Promise<void>; ended: Promise<void> } {
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const ended = (async () => {
    for await (const _ of sessions.news({ signal })) resolve();
  })();
  return { begun, ended };
}

async function perSecond(calls: () => number): Promise<number> {
  const before = calls();
  await sleep(pollsSeconds * 1000);
  return (calls() - before) / pollsSeconds;
}

/** The time from the commit of another connection to a reader of these sessions. */
async function lagOf(url: string, sessions: Sessions): Promise<number> {
  await using writer = await openSessions({ store: url, sweep: false });
  const documents = writer.documents("bench");
  const news = sessions.news();
  await news.next();
  const times: number[] = [];
  for (let n = 0; n < lags; n++) {
    const version = await documents.put("k", n);
    const committed = performance.now();
    for (let isThere = false; !isThere;) {
      const { value } = await news.next();
      isThere =
        value?.items.some(
          (item) => "document" in item && "version" in item.document && item.document.version === version,
        ) ?? true;
    }
    times.push(performance.now() - committed);
    // Commits at moments that are independent of the polls.
    await sleep(Math.random() * 250);
  }
  await news.return();
  return median(times);
}
