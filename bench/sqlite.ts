/**
 * SQLite, beside the same work by hand: one table of turns with the obvious primary key, one prepared
 * statement, the same values, the same settings, a file of its own in the same folder.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { openSessions, type Session, type Sessions } from "../src/index.ts";
import { idleSession } from "./idle-session.ts";
import { buildPackage, importTime } from "./import-time.ts";
import { alternate, alternateAll, median, p50Of, p50OfSync, rateOf, type Bench, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

const writers = 1000;
/** The rows of one transaction by hand: as many as the store puts into one. */
const batchRows = 256;
const longTurns = 5000;
/** SQLite writes its log back to the file after so many pages; from then on the log file no longer grows, and syncs get cheaper. */
const warmPages = 1000;

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const byHand = new ByHand(join(folder, "by-hand.db"));
    const file = join(folder, "perdure.db");
    const sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
    byHand.data = await storedText(sessions);
    byHand.turn = JSON.parse(byHand.data);
    for (const measure of await oneWriter(sessions, byHand)) report(measure);
    for (const measure of await manyWriters(sessions, byHand)) report(measure);
    const long = await growLong(sessions, { file, byHand });
    report(await flatTime(sessions, long));
    for (const measure of await flatBytes(sessions, long, { file, byHand })) report(measure);
    report(await openLong(sessions, byHand));
    report(await hotRead(sessions));
    await sessions.close();
    byHand.close();
    report(await importTime(await buildPackage(folder), "perdure"));
    report(await idleSession(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** The work without Perdure. */
class ByHand {
  readonly file: string;
  readonly database: DatabaseSync;
  /** The text of one turn, byte for byte what Perdure stores for it. */
  data = "";
  /** The value of that text. */
  turn: unknown;
  readonly #insert: StatementSync;
  readonly #last: StatementSync;
  readonly #compare: StatementSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #heads = new Map<string, number>();
  /** The version of the record of each session. */
  readonly #versions = new Map<string, number>();

  constructor(file: string) {
    this.file = file;
    this.database = new DatabaseSync(file);
    this.database.exec("pragma journal_mode = wal; pragma synchronous = full");
    this.database.exec(`
      create table turns (session text, seq integer, key text, at integer, data text, primary key (session, seq));
      create table records (session text primary key, version integer not null)`);
    this.#insert = this.database.prepare("insert into turns (session, seq, key, at, data) values (?, ?, ?, ?, ?)");
    this.#last = this.database.prepare(`
      select seq, key, at, data from turns where session = ? order by seq desc limit ?`);
    this.#compare = this.database.prepare("update records set version = version + 1 where session = ? and version = ?");
    this.#begin = this.database.prepare("begin immediate");
    this.#commit = this.database.prepare("commit");
  }

  /** Make the record of a session, for {@link compareAndInsert}. */
  create(session: string): void {
    this.database.prepare("insert into records (session, version) values (?, 0)").run(session);
    this.#versions.set(session, 0);
  }

  /** One row, if the record still has the version that is known. A transaction is open. */
  compareAndInsert(session: string): void {
    const version = this.#versions.get(session) ?? 0;
    if (Number(this.#compare.run(session, version).changes) !== 1) throw new Error("no other writer is at work");
    this.insert(session);
    this.#versions.set(session, version + 1);
  }

  /** As {@link compareAndInsert}, of a turn that is a value: its text is made for each row, as each writer has another turn. */
  encodeAndInsert(session: string): void {
    this.data = JSON.stringify(this.turn);
    this.compareAndInsert(session);
  }

  /** One row, in a transaction of its own. */
  alone(work: () => void): void {
    this.#begin.run();
    work();
    this.#commit.run();
  }

  /** One row, in a transaction of its own unless one is open. */
  insert(session: string): void {
    const seq = (this.#heads.get(session) ?? 0) + 1;
    this.#heads.set(session, seq);
    this.#insert.run(session, seq, null, Date.now(), this.data);
  }

  /** One row for each session, in transactions of {@link batchRows}. */
  insertForEach(sessions: readonly string[]): void {
    this.#inBatches(sessions, (session) => this.insert(session));
  }

  /** As {@link insertForEach}, with the record of each compared. */
  compareAndInsertForEach(sessions: readonly string[]): void {
    this.#inBatches(sessions, (session) => this.compareAndInsert(session));
  }

  /** As {@link compareAndInsertForEach}, with each turn encoded. */
  encodeAndInsertForEach(sessions: readonly string[]): void {
    this.#inBatches(sessions, (session) => this.encodeAndInsert(session));
  }

  #inBatches(sessions: readonly string[], work: (session: string) => void): void {
    for (let from = 0; from < sessions.length; from += batchRows) {
      this.#begin.run();
      for (const session of sessions.slice(from, from + batchRows)) work(session);
      this.#commit.run();
    }
  }

  /** The last turns of a session, as values: a text is not a turn yet. */
  last(session: string, count: number): unknown[] {
    const rows = this.#last.all(session, count) as { seq: number; key: string | null; at: number; data: string }[];
    return rows
      .map(({ seq, key, at, data }) => Object.assign({ seq, key, at }, JSON.parse(data) as object))
      .toReversed();
  }

  close(): void {
    this.database.close();
  }
}

/** The rows that Perdure stores for the turn of the workload, read back from one open turn of the same content. */
async function storedText(sessions: Sessions): Promise<string> {
  const session = await sessions.create();
  const { seq: _seq, key: _key, at: _at, ...data } = await session.append(turn);
  return JSON.stringify(data);
}

async function oneWriter(sessions: Sessions, byHand: ByHand): Promise<Measure[]> {
  const session = await sessions.create();
  byHand.create("one comparing writer");
  byHand.create("one encoding writer");
  const append = (): Promise<unknown> => session.append(turn);
  const insert = (): void => byHand.insert("one writer");
  const compare = (): void => byHand.alone(() => byHand.compareAndInsert("one comparing writer"));
  const encode = (): void => byHand.alone(() => byHand.encodeAndInsert("one encoding writer"));
  await p50Of(warmPages / 2, append);
  p50OfSync(warmPages / 4, insert);
  p50OfSync(warmPages / 4, compare);
  const [bare, compared, encoded] = await alternateAll(60, {
    ours: () => p50Of(25, append),
    limits: [() => p50OfSync(25, insert), () => p50OfSync(25, compare), () => p50OfSync(25, encode)],
  });
  if (bare === undefined || compared === undefined || encoded === undefined)
    throw new Error("three limits have three comparisons");
  const both = { name: "one writer: durable append, p50", unit: "µs", valueUnit: "times" } as const;
  return [
    { ...both, ...bare, limitName: "one bare INSERT", value: bare.ratio, bar: { atMost: 1.35 } },
    { ...both, ...compared, limitName: "compare and insert by hand", value: compared.ratio, bar: { atMost: 1.2 } },
    { ...both, ...encoded, limitName: "encode, compare and insert by hand", value: encoded.ratio },
  ];
}

async function manyWriters(sessions: Sessions, byHand: ByHand): Promise<Measure[]> {
  const opened = await Promise.all(
    Array.from({ length: writers }, (_, index) => sessions.create({ id: `w_${index}` })),
  );
  const ids = opened.map(({ id }) => id);
  const single = await sessions.create();
  const each = 4;

  const appendAll = async (times = each): Promise<number> =>
    await rateOf(writers * times, () => Promise.all(opened.map((session) => appendTimes(session, times))));
  const insertAll = async (): Promise<number> =>
    await rateOf(writers * each, async () => {
      for (let times = 0; times < each; times++) byHand.insertForEach(ids);
    });
  const compareAll = async (): Promise<number> =>
    await rateOf(writers * each, async () => {
      for (let times = 0; times < each; times++) byHand.compareAndInsertForEach(ids);
    });
  const encodeAll = async (): Promise<number> =>
    await rateOf(writers * each, async () => {
      for (let times = 0; times < each; times++) byHand.encodeAndInsertForEach(ids);
    });
  for (const id of ids) byHand.create(id);
  await appendAll();
  await insertAll();
  await compareAll();
  await encodeAll();
  const singles: number[] = [];
  const [bare, compared, encoded] = await alternateAll(12, {
    async ours() {
      singles.push(await rateOf(100, () => appendTimes(single, 100)));
      return await appendAll();
    },
    limits: [insertAll, compareAll, encodeAll],
  });
  if (bare === undefined || compared === undefined || encoded === undefined)
    throw new Error("three limits have three comparisons");
  const { ours } = bare;
  const alone = median(singles);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await appendAll(each * 10);
  delay.disable();
  const delayMs = delay.percentile(99) / 1e6;
  return [
    {
      name: "1 000 sessions at once",
      unit: "turns/s",
      ours,
      limit: alone,
      limitName: "one writer",
      value: ours / alone,
      valueUnit: "times",
      bar: { atLeast: 10 },
    },
    {
      name: "1 000 sessions at once",
      unit: "turns/s",
      ours,
      limit: bare.limit,
      limitName: `bare rows, ${batchRows} a transaction`,
      value: bare.ratio,
      valueUnit: "times",
      bar: { atLeast: 0.45 },
    },
    {
      name: "1 000 sessions at once",
      unit: "turns/s",
      ours,
      limit: compared.limit,
      limitName: `compare and insert by hand, ${batchRows} a transaction`,
      value: compared.ratio,
      valueUnit: "times",
      bar: { atLeast: 0.8 },
    },
    {
      name: "1 000 sessions at once",
      unit: "turns/s",
      ours,
      limit: encoded.limit,
      limitName: `encode, compare and insert by hand, ${batchRows} a transaction`,
      value: encoded.ratio,
      valueUnit: "times",
    },
    {
      name: "event loop delay meanwhile, p99",
      unit: "ms",
      ours: delayMs,
      value: delayMs,
      valueUnit: "ms",
      bar: { atMost: 50 },
    },
  ];
}

async function appendTimes(session: Session, times: number): Promise<void> {
  for (let index = 0; index < times; index++) await session.append(turn);
}

/** Sessions that grew side by side to a few turns less than {@link longTurns}, and the same rows by hand. */
async function growLong(sessions: Sessions, { file, byHand }: { file: string; byHand: ByHand }): Promise<Session[]> {
  const ids = Array.from({ length: 20 }, (_, index) => `long_${index}`);
  // Without a sync at every commit: it is not measured here, and a slow disk would need minutes.
  const growing = await openSessions({ store: `sqlite:${file}?synchronous=normal`, sweep: false });
  const grown = await Promise.all(ids.map((id) => growing.create({ id })));
  await Promise.all(grown.map((session) => appendTimes(session, longTurns - 12)));
  await growing.close();
  byHand.database.exec("pragma synchronous = normal");
  for (let times = 0; times < longTurns; times++) byHand.insertForEach(ids);
  byHand.database.exec("pragma synchronous = full");
  return await Promise.all(ids.map((id) => sessions.get(id)));
}

/** Turn 10 and turn 5 000, give or take a dozen: one session of each kind a round. */
async function flatTime(sessions: Sessions, long: readonly Session[]): Promise<Measure> {
  const { ours, limit, ratio } = await alternate(long.length, {
    ours: (round) => p50Of(24, () => (long[round] as Session).append(turn)),
    async limit() {
      const short = await sessions.create();
      return await p50Of(24, () => short.append(turn));
    },
  });
  return {
    name: `append ${longTurns.toLocaleString("en").replace(",", " ")} of a session, p50`,
    unit: "µs",
    ours,
    limit,
    limitName: "its append 10",
    value: ratio,
    valueUnit: "times",
    bar: { atMost: 1.1 },
  };
}

/** The bytes that one append adds to the write-ahead log. */
async function flatBytes(
  sessions: Sessions,
  long: readonly Session[],
  { file, byHand }: { file: string; byHand: ByHand },
): Promise<Measure[]> {
  const checkpoints = new DatabaseSync(file);
  const count = 24; // far from the size at which SQLite empties the log by itself
  const ourBytes = async (session: Session): Promise<number> => {
    emptyLog(checkpoints);
    await appendTimes(session, count);
    return statSync(`${file}-wal`).size / count;
  };
  const { ours, limit, ratio } = await alternate(8, {
    ours: (round) => ourBytes(long[round] as Session),
    limit: async () => await ourBytes(await sessions.create()),
  });
  const bare: number[] = [];
  for (let round = 0; round < 8; round++) {
    emptyLog(byHand.database);
    for (let times = 0; times < count; times++) byHand.insert(`long_${round}`);
    bare.push(statSync(`${byHand.file}-wal`).size / count);
  }
  checkpoints.close();
  const both = { name: "bytes written by that append", unit: "bytes", ours, valueUnit: "times" } as const;
  return [
    { ...both, limit, limitName: "its append 10", value: ratio, bar: { atMost: 1.1 } },
    { ...both, limit: median(bare), limitName: "one bare INSERT", value: ours / median(bare) },
  ];
}

/** Write the log back to the file and cut it to nothing. */
function emptyLog(database: DatabaseSync): void {
  const { busy } = database.prepare("pragma wal_checkpoint(truncate)").get() as { busy: number };
  if (busy !== 0) throw new Error("another connection keeps the log from being emptied");
}

async function openLong(sessions: Sessions, byHand: ByHand): Promise<Measure> {
  const last = 20;
  const { ours, limit, ratio } = await alternate(40, {
    ours: (round) =>
      p50Of(20, async () => {
        const session = await sessions.get(`long_${round % 20}`);
        const turns = await Array.fromAsync(session.turns({ last }));
        if (turns.length !== last) throw new Error(`read ${turns.length} turns`);
      }),
    limit: (round) =>
      p50OfSync(20, () => {
        const turns = byHand.last(`long_${round % 20}`, last);
        if (turns.length !== last) throw new Error(`read ${turns.length} turns`);
      }),
  });
  return {
    name: `open a session of 5 000 turns with its last ${last}, p50`,
    unit: "µs",
    ours,
    limit,
    limitName: "the one indexed query, parsed",
    value: ratio,
    valueUnit: "times",
    bar: { atMost: 1.5 },
  };
}

async function hotRead(sessions: Sessions): Promise<Measure> {
  const count = 100_000;
  const session = await sessions.create();
  const map = new Map(Array.from({ length: writers }, (_, index) => [`s_${index}`, { turn: index }]));
  let sum = 0; // the compiler may leave out a result without a use
  const { ours, limit, ratio } = await alternate(15, {
    async ours() {
      const start = performance.now();
      for (let index = 0; index < count; index++) sum += session.info.turn;
      return ((performance.now() - start) / count) * 1e6;
    },
    limit() {
      const start = performance.now();
      for (let index = 0; index < count; index++) sum += map.get(`s_${index % writers}`)?.turn ?? 0;
      return ((performance.now() - start) / count) * 1e6;
    },
  });
  if (!Number.isFinite(sum)) throw new Error("the reads gave nothing");
  return {
    name: "hot read: session.info",
    unit: "ns",
    ours,
    limit,
    limitName: "a Map's get",
    value: ratio,
    valueUnit: "times",
  };
}
