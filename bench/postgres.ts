/**
 * PostgreSQL, beside the same work by hand on the same server: one table `turns (session, seq, data)` with the primary
 * key that anybody would give it, through `pg`, the same bytes. The server is a throwaway one with its default
 * durability; client and server share the machine.
 */
import { defined } from "../src/domain/values/defined.ts";
import type { Store } from "../src/store/index.ts";
import { openSessions, type Session, type Sessions } from "../src/index.ts";
import { openPostgres } from "../src/store/postgres/index.ts";
import { Pool, PostgresServer } from "../test/postgres/server.ts";
import { alternate, median, p50Of, rateOf, type Bench, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

const connections = 4;
const writers = 1000;
/** The batches by hand: about as many rows as the store puts into one, and as many at once as it has in flight. */
const batchRows = 250;
const batchesAtOnce = 2;
const longTurns = 5000;
const longSessions = 8;

export const bench: Bench = async (report) => {
  // A checkpoint in the middle would make the next pages cost more write-ahead log in either way of writing.
  const settings = { checkpoint_timeout: "1h", max_wal_size: "16GB" };
  await using server = await PostgresServer.start({ fsync: true, settings });
  const byHand = await ByHand.on(server.url());
  const store = await openPostgres({ url: server.url(), max: connections });
  const sessions = await openSessions({ store, sweep: false });
  byHand.data = await storedText(sessions);
  for (const measure of await oneWriter(sessions, byHand)) report(measure);
  for (const measure of await manyWriters(sessions, byHand)) report(measure);
  const long = await growLong(sessions, byHand);
  report(await flatTime(sessions, long));
  for (const measure of await flatBytes(sessions, long, byHand)) report(measure);
  report(await openLong(store, byHand));
  for (const measure of await rewrites(long, byHand)) report(measure);
  await sessions.close();
  await byHand.close();
};

/** The work without Perdure. */
class ByHand {
  readonly pool: Pool;
  /** The text of one turn, byte for byte what Perdure stores for it. */
  data = "";
  #seq = 0;
  /** The versions of the rows of `heads`. */
  readonly #versions = new Map<string, number>();

  private constructor(pool: Pool) {
    this.pool = pool;
  }

  static async on(url: string): Promise<ByHand> {
    const pool = new Pool({ connectionString: url, max: connections });
    await pool.query("create table turns (session text, seq bigint, data text, primary key (session, seq))");
    await pool.query("create table heads (id text primary key, version bigint not null) with (fillfactor = 70)");
    await pool.query("create table arrays (session text primary key, turns jsonb not null)");
    return new ByHand(pool);
  }

  async insert(session: string): Promise<void> {
    await this.pool.query("insert into turns (session, seq, data) values ($1, $2, $3)", [
      session,
      ++this.#seq,
      this.data,
    ]);
  }

  /** One row for each of these in one statement. */
  async insertMany(sessions: readonly string[]): Promise<void> {
    await this.pool.query(
      "insert into turns (session, seq, data) select * from unnest($1::text[], $2::bigint[], $3::text[])",
      [[...sessions], sessions.map(() => ++this.#seq), sessions.map(() => this.data)],
    );
  }

  /** Make rows of `heads` for these sessions. */
  async createHeads(sessions: readonly string[]): Promise<void> {
    await this.pool.query("insert into heads (id, version) select id, 0 from unnest($1::text[]) id", [[...sessions]]);
    for (const session of sessions) this.#versions.set(session, 0);
  }

  /** One row, if the session still has the version that its writer knows. */
  async compareAndInsert(session: string): Promise<void> {
    await this.pool.query(
      `with moved as (update heads set version = version + 1 where id = $1 and version = $2 returning version)
       insert into turns (session, seq, data) select $1 || ' compared', version, $3 from moved`,
      [session, this.#nextVersion(session), this.data],
    );
  }

  /** As {@link compareAndInsert}, for each of these sessions in one statement. */
  async compareAndInsertMany(sessions: readonly string[]): Promise<void> {
    const { rowCount } = (await this.pool.query(
      `with moved as (
         update heads set version = heads.version + 1
         from unnest($1::text[], $2::bigint[], $3::text[]) as given(id, version, data)
         where heads.id = given.id and heads.version = given.version
         returning heads.id, heads.version, given.data
       )
       insert into turns (session, seq, data) select id || ' compared', version, data from moved`,
      [[...sessions], sessions.map((session) => this.#nextVersion(session)), sessions.map(() => this.data)],
    )) as unknown as { readonly rowCount: number };
    if (rowCount !== sessions.length) throw new Error("no other writer is at work");
  }

  #nextVersion(session: string): number {
    const version = this.#versions.get(session) ?? 0;
    this.#versions.set(session, version + 1);
    return version;
  }

  /** The last turns of a session, as values: a text is not a turn yet. */
  async last(session: string, count: number): Promise<unknown[]> {
    const text = "select seq, data from turns where session = $1 order by seq desc limit $2";
    const { rows } = await this.pool.query(text, [session, count]);
    return rows.map(({ seq, data }) => ({ seq, ...(JSON.parse(String(data)) as object) }));
  }

  /** How far the server's log has come, bytes. */
  async logged(): Promise<number> {
    const { rows } = await this.pool.query("select (pg_current_wal_insert_lsn() - '0/0')::text as bytes");
    return Number(rows[0]?.["bytes"]);
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

/** The rows that Perdure stores for the turn of the workload. */
async function storedText(sessions: Sessions): Promise<string> {
  const session = await sessions.create();
  const { seq: _seq, key: _key, at: _at, ...data } = await session.append(turn);
  return JSON.stringify(data);
}

async function oneWriter(sessions: Sessions, byHand: ByHand): Promise<Measure[]> {
  const session = await sessions.create();
  const keyed = await sessions.create();
  let keys = 0;
  const append = (): Promise<unknown> => session.append(turn);
  const appendKeyed = (): Promise<unknown> => keyed.append(turn, { key: `key ${keys++}` });
  const insert = (): Promise<unknown> => byHand.insert("one writer");
  await byHand.createHeads(["one writer"]);
  const compareAndInsert = (): Promise<unknown> => byHand.compareAndInsert("one writer");
  for (const work of [append, appendKeyed, insert, compareAndInsert]) await p50Of(200, work);
  const measures: Measure[] = [];
  for (const [name, work, [limitName, byHandWork], bar] of [
    ["", append, ["one bare insert", insert], { atMost: 1.45 }],
    ["", append, ["compare and insert", compareAndInsert], { atMost: 1.2 }],
    [" with a key", appendKeyed, ["one bare insert", insert], undefined],
  ] as const) {
    const { ours, limit, ratio } = await alternate(30, {
      ours: () => p50Of(25, work),
      limit: () => p50Of(25, byHandWork),
    });
    measures.push({
      name: `one writer: durable append${name}, p50`,
      unit: "µs",
      ours,
      limit,
      limitName,
      value: ratio,
      valueUnit: "times",
      ...defined({ bar }),
    });
  }
  return measures;
}

async function manyWriters(sessions: Sessions, byHand: ByHand): Promise<Measure[]> {
  const opened = await Promise.all(
    Array.from({ length: writers }, (_, index) => sessions.create({ id: `w_${index}` })),
  );
  const ids = opened.map(({ id }) => id);
  const batches = Array.from({ length: writers / batchRows }, (_, index) =>
    ids.slice(index * batchRows, (index + 1) * batchRows),
  );
  const each = 10;
  const appendAll = (): Promise<number> =>
    rateOf(writers * each, () => Promise.all(opened.map((session) => appendTimes(session, each))));
  const inBatches = (lanes: number, work: (batch: readonly string[]) => Promise<void>): Promise<number> =>
    rateOf(writers * each, () => {
      const queue = Array.from({ length: each }, () => batches).flat();
      return inLanes(lanes, queue, work);
    });
  await byHand.createHeads(ids);
  const insertMany = (batch: readonly string[]): Promise<void> => byHand.insertMany(batch);
  const compareAndInsertMany = (batch: readonly string[]): Promise<void> => byHand.compareAndInsertMany(batch);
  const oneByOne = (): Promise<number> => rateOf(writers, () => inLanes(connections, ids, (id) => byHand.insert(id)));
  const limits: readonly [string, () => Promise<number>, Measure["bar"]][] = [
    [
      `insert … select from unnest, ${batchRows} rows, ${batchesAtOnce} at once`,
      () => inBatches(batchesAtOnce, insertMany),
      { atLeast: 0.55 },
    ],
    [
      `compare and insert, ${batchRows} rows, ${batchesAtOnce} at once`,
      () => inBatches(batchesAtOnce, compareAndInsertMany),
      { atLeast: 0.8 },
    ],
    [`insert … select from unnest, ${batchRows} rows, one after another`, () => inBatches(1, insertMany), undefined],
    [`bare inserts, ${connections} at once`, oneByOne, { atLeast: 3 }],
  ];
  await appendAll();
  const measures: Measure[] = [];
  for (const [limitName, limitOf, bar] of limits) {
    await limitOf();
    const { ours, limit, ratio } = await alternate(6, { ours: appendAll, limit: limitOf });
    measures.push({
      name: `${writers} sessions at once`,
      unit: "turns/s",
      ours,
      limit,
      limitName,
      value: ratio,
      valueUnit: "times",
      ...defined({ bar }),
    });
  }
  return measures;
}

/** Work off a list, so many at a time. */
async function inLanes<Item>(
  lanes: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

async function appendTimes(session: Session, times: number): Promise<void> {
  for (let index = 0; index < times; index++) await session.append(turn);
}

/** Sessions that grew side by side to a few turns less than {@link longTurns}, and the same rows by hand. */
async function growLong(sessions: Sessions, byHand: ByHand): Promise<Session[]> {
  const long = await Promise.all(
    Array.from({ length: longSessions }, (_, index) => sessions.create({ id: `long_${index}` })),
  );
  await Promise.all(long.map((session) => appendTimes(session, longTurns - 60)));
  const ids = long.map(({ id }) => id);
  for (let times = 0; times < longTurns / 20; times++)
    await byHand.insertMany(Array.from({ length: 20 }, () => ids).flat());
  return long;
}

async function flatTime(sessions: Sessions, long: readonly Session[]): Promise<Measure> {
  const { ours, limit, ratio } = await alternate(32, {
    ours: (round) => p50Of(12, () => (long[round % longSessions] as Session).append(turn)),
    async limit() {
      const short = await sessions.create();
      return await p50Of(12, () => short.append(turn));
    },
  });
  return {
    name: "append 5 000 of a session, p50",
    unit: "µs",
    ours,
    limit,
    limitName: "its append 10",
    value: ratio,
    valueUnit: "times",
    bar: { atMost: 1.1 },
  };
}

async function flatBytes(sessions: Sessions, long: readonly Session[], byHand: ByHand): Promise<Measure[]> {
  const count = 12;
  const bytesOf = async (work: () => Promise<unknown>): Promise<number> => {
    const before = await byHand.logged();
    for (let times = 0; times < count; times++) await work();
    return ((await byHand.logged()) - before) / count;
  };
  const { ours, limit, ratio } = await alternate(longSessions, {
    ours: (round) => bytesOf(() => (long[round] as Session).append(turn)),
    async limit() {
      const short = await sessions.create();
      await appendTimes(short, 4);
      return await bytesOf(() => short.append(turn));
    },
  });
  const bare = await bytesOf(() => byHand.insert("long_0"));
  const both = { name: "bytes of log for that append", unit: "bytes", ours, valueUnit: "times" } as const;
  return [
    { ...both, limit, limitName: "its append 10", value: ratio, bar: { atMost: 1.1 } },
    { ...both, limit: bare, limitName: "one bare insert", value: ours / bare },
  ];
}

async function openLong(store: Store, byHand: ByHand): Promise<Measure> {
  const last = 20;
  const check = (found: readonly unknown[] | undefined): void => {
    if (found?.length !== last) throw new Error(`read ${found?.length} turns`);
  };
  const { ours, limit, ratio } = await alternate(30, {
    ours: (round) =>
      p50Of(20, async () => {
        const key = { tenant: "default", id: `long_${round % longSessions}` };
        const {
          sessions: [loaded],
        } = await store.load([{ key, tails: [{ log: "turns", last }] }]);
        check(loaded?.tails[0]?.map(({ seq, data }) => ({ seq, ...(JSON.parse(data) as object) })));
      }),
    limit: (round) => p50Of(20, async () => check(await byHand.last(`long_${round % longSessions}`, last))),
  });
  return {
    name: `load a session of 5 000 turns with its last ${last}, p50`,
    unit: "µs",
    ours,
    limit,
    limitName: "the one indexed query, parsed",
    value: ratio,
    valueUnit: "times",
    bar: { atMost: 1.5 },
  };
}

/** The common way: one row a session with all its turns in an array, which each turn rewrites. */
async function rewrites(long: readonly Session[], byHand: ByHand): Promise<Measure[]> {
  const measures: Measure[] = [];
  for (const turns of [10, 100, 1000, 5000]) {
    const session = `array of ${turns}`;
    await byHand.pool.query(
      `insert into arrays (session, turns)
       select $1, jsonb_agg(jsonb_set($2::jsonb, '{input,0,content}', to_jsonb(md5(n::text)))) from generate_series(1, $3) n`,
      [session, byHand.data, turns],
    );
    const rewrite = (): Promise<unknown> =>
      byHand.pool.query("update arrays set turns = turns || $2::jsonb where session = $1", [session, byHand.data]);
    const append = (): Promise<unknown> => (long[turns % longSessions] as Session).append(turn);
    const times: number[] = [];
    const logs: number[] = [];
    for (let count = 0; count < 9; count++) {
      const before = await byHand.logged();
      times.push(await p50Of(1, rewrite));
      logs.push((await byHand.logged()) - before);
    }
    const before = await byHand.logged();
    const ours = await p50Of(9, append);
    const ourLog = ((await byHand.logged()) - before) / 9;
    const name = `append ${turns.toLocaleString("en").replace(",", " ")}`;
    const limitName = "an array in one row, rewritten";
    measures.push(
      {
        name: `${name}, p50`,
        unit: "µs",
        ours,
        limit: median(times),
        limitName,
        value: ours / median(times),
        valueUnit: "times",
      },
      {
        name: `${name}, bytes of log`,
        unit: "bytes",
        ours: ourLog,
        limit: median(logs),
        limitName,
        value: ourLog / median(logs),
        valueUnit: "times",
      },
    );
  }
  return measures;
}
