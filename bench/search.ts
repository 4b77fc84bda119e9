/**
 * What search costs on both engines: the index of so many messages, searches of rare and of frequent words in it, and an append
 * with and without the index. `PERDURE_BENCH_MESSAGES` sets the number of messages, and `PERDURE_BENCH_ENGINE` (`sqlite` or
 * `postgres`) takes one engine alone: a million messages are a few minutes on each.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSessions, type SearchQuery, type Sessions } from "../src/index.ts";
import { encode, type Value } from "../src/domain/values/codec.ts";
import { openStore } from "../src/open.ts";
import type { Store } from "../src/store/store.ts";
import { creationOf, sampleAt, sampleRecord } from "../src/testing/samples.ts";
import { PostgresServer } from "../test/postgres/server.ts";
import { alternate, median, p50Of, type Bench, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

const messages = Number(process.env["PERDURE_BENCH_MESSAGES"] ?? 20_000);
const turnsOfSession = 10;
const vocabulary = 50_000;
const wordsOfMessage = 25;
const users = 500;

export const bench: Bench = async (report) => {
  const engine = process.env["PERDURE_BENCH_ENGINE"];
  if (engine !== "postgres") await onSqlite(report);
  if (engine !== "sqlite") await onPostgres(report);
};

async function onSqlite(report: (measure: Measure) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const fileOf = (name: string): string => `sqlite:${join(folder, `${name}.db`)}`;
    await measure("SQLite", { quiet: fileOf("quiet"), searched: fileOf("searched") }, report);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function onPostgres(report: (measure: Measure) => void): Promise<void> {
  await using server = await PostgresServer.start({ fsync: true });
  const schemaOf = (name: string): string => `${server.url()}?schema=${name}`;
  await measure("PostgreSQL", { quiet: schemaOf("quiet"), searched: schemaOf("searched") }, report);
}

/** Frequent words are the first ones, about as in a language. */
function wordAt(chance: number): string {
  return `w${Math.floor(vocabulary * chance ** 4).toString(36)}`;
}

/** Numbers from 0 to 1, the same in each run (mulberry32). */
function chances(): () => number {
  let state = 7;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Fills a store with sessions of ten turns with a question and an answer each. */
async function fill(store: Store): Promise<void> {
  const chance = chances();
  const text = (): string => Array.from({ length: wordsOfMessage }, () => wordAt(chance())).join(" ");
  const said = (role: string): Value => [{ role, content: text() }];
  const sessions = Math.ceil(messages / (2 * turnsOfSession));
  for (let first = 0; first < sessions; first += 50) {
    const batch = Array.from({ length: Math.min(50, sessions - first) }, (_, index) => {
      const n = first + index;
      const at = sampleAt + n * 1000;
      const entries = Array.from({ length: turnsOfSession }, (_, turnIndex) => ({
        seq: turnIndex + 1,
        key: null,
        at,
        data: encode({ status: "done", agent: "ceo", requests: 1, input: said("user"), output: said("assistant") }),
      }));
      const record = sampleRecord({ id: `s${n}`, user: `u${n % users}`, createdAt: at });
      return [creationOf(record, { splices: [{ log: "turns", from: 1, entries }] })];
    });
    await store.commit(batch);
  }
}

interface Place {
  readonly quiet: string;
  readonly searched: string;
}

async function measure(engine: string, { quiet, searched }: Place, report: (measure: Measure) => void): Promise<void> {
  const store = await openStore(searched);
  await fill(store);
  await using sessions = await openSessions({ store, sweep: false });
  const startedAt = performance.now();
  await sessions.search({ text: "nothing", waitMs: 3_600_000 });
  const perSecond = messages / ((performance.now() - startedAt) / 1000);
  report({
    name: `${engine}: index of ${messages} messages`,
    unit: "messages/s",
    ours: perSecond,
    value: perSecond,
    valueUnit: "messages/s",
    bar: { atLeast: 20_000 },
  });
  for (const [name, queries] of Object.entries(kinds)) {
    const ms = await searchMs(sessions, queries);
    report({
      name: `${engine}: search of ${name}, p50`,
      unit: "ms",
      ours: ms,
      value: ms,
      valueUnit: "ms",
      bar: { atMost: 50 },
    });
  }
  await using others = await openSessions({ store: quiet, sweep: false });
  const [indexed, plain] = [await sessions.create({ id: "a" }), await others.create({ id: "a" })];
  const compared = await alternate(15, {
    ours: () => p50Of(60, () => indexed.append(turn)),
    limit: () => p50Of(60, () => plain.append(turn)),
  });
  report({
    name: `${engine}: append with an index of search`,
    unit: "µs",
    ...compared,
    limitName: "without one",
    value: compared.ratio,
    valueUnit: "times",
    bar: { atMost: 1.03 },
  });
}

/** Queries of one kind, each for a number from 0 to 1. */
const kinds: Readonly<Record<string, (chance: number) => SearchQuery>> = {
  "a rare word": (chance) => ({ text: wordAt(0.7 + chance * 0.3) }),
  "a frequent word": (chance) => ({ text: wordAt(chance * 0.1) }),
  "two words": (chance) => ({ text: `${wordAt(chance * 0.2)} ${wordAt(0.2 + chance * 0.3)}` }),
  "a word of one user": (chance) => ({ text: wordAt(chance * 0.3), user: `u${Math.floor(chance * users)}` }),
  "the beginning of a word": (chance) => ({ text: `${wordAt(0.5 + chance * 0.4)}*` }),
};

async function searchMs(sessions: Sessions, query: (chance: number) => SearchQuery): Promise<number> {
  const chance = chances();
  const times: number[] = [];
  for (let n = 0; n < 30; n++) {
    const asked = query(chance());
    const startedAt = performance.now();
    await sessions.search(asked);
    times.push(performance.now() - startedAt);
  }
  return median(times);
}
