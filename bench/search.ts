/**
 * What search costs on both engines: the index of so many messages, searches of several kinds in it beside the processor time of
 * client and server, and an append with and without search and attachments. `PERDURE_BENCH_MESSAGES` sets the number of messages,
 * and `PERDURE_BENCH_ENGINE` (`sqlite` or `postgres`) takes one engine alone: a million messages are a few minutes on each.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSessions, type SearchQuery, type Session, type Sessions } from "../src/index.ts";
import { encode, type Value } from "../src/domain/values/codec.ts";
import { openStore } from "../src/open.ts";
import type { Store } from "../src/store/store.ts";
import { creationOf, sampleAt, sampleRecord } from "../src/testing/samples.ts";
import { PostgresServer } from "../test/postgres/server.ts";
import { alternate, median, type Bench, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";

const messages = Number(process.env["PERDURE_BENCH_MESSAGES"] ?? 20_000);
const turnsOfSession = 10;
const vocabulary = 50_000;
const wordsOfMessage = 25;
const users = 500;
const topics = 20;
/** Of so many messages one has a text in Chinese, and one has a text of a program. */
const otherTextEvery = 40;

export const bench: Bench = async (report) => {
  const engine = process.env["PERDURE_BENCH_ENGINE"];
  if (engine !== "postgres") await onSqlite(report);
  if (engine !== "sqlite") await onPostgres(report);
};

async function onSqlite(report: (measure: Measure) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const urlOf = (name: string): string => `sqlite:${join(folder, `${name}.db`)}`;
    await measure({ engine: "SQLite", urlOf, processorMs: ownMs }, report);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function onPostgres(report: (measure: Measure) => void): Promise<void> {
  await using server = await PostgresServer.start({ fsync: true });
  const urlOf = (name: string): string => `${server.url()}?schema=${name}`;
  await measure({ engine: "PostgreSQL", urlOf, processorMs: () => ownMs() + serverMs(server.pid) }, report);
}

/** The processor time of this process so far, ms. */
function ownMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The processor time of a server and of its processes so far, ms; NaN where the system has no `/proc`. */
function serverMs(server: number): number {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .reduce((sum, pid) => sum + timeOf(pid, server), 0);
  } catch {
    return Number.NaN;
  }
}

/** The part of a process, ms: its own time by the scheduler, and of the server that of the processes which have ended. */
function timeOf(pid: string, server: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
    const [, parent] = fields;
    if (Number(pid) !== server && parent !== server) return 0;
    const own = Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
    // A tick of the kernel is 10 ms.
    return own + (Number(pid) === server ? ((fields[13] ?? 0) + (fields[14] ?? 0)) * 10 : 0);
  } catch {
    return 0; // it has ended meanwhile
  }
}

/** Frequent words are the first ones, about as in a language. */
function wordAt(chance: number): string {
  return `w${Math.floor(vocabulary * chance ** 4).toString(36)}`;
}

/** One of some 2 000 Chinese characters. */
function characterAt(chance: number): string {
  return String.fromCodePoint(0x4e00 + Math.floor(2000 * chance ** 2));
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
  let made = 0;
  const text = (): string => {
    const words = Array.from({ length: wordsOfMessage }, () => wordAt(chance())).join(" ");
    const other = made++ % otherTextEvery;
    if (other === 0) return `${words} ${Array.from({ length: 8 }, () => characterAt(chance())).join("")}`;
    return other === 1 ? `${words} call${wordAt(chance()).toUpperCase()}ById(src/index.ts)` : words;
  };
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
      const labels = { topic: `t${n % topics}` };
      const record = sampleRecord({ id: `s${n}`, user: `u${n % users}`, labels, createdAt: at });
      return [creationOf(record, { splices: [{ log: "turns", from: 1, entries }] })];
    });
    await store.commit(batch);
  }
}

interface Place {
  readonly engine: string;
  readonly urlOf: (name: string) => string;
  /** The processor time of client and server so far, ms. */
  readonly processorMs: () => number;
}

async function measure({ engine, urlOf, processorMs }: Place, report: (measure: Measure) => void): Promise<void> {
  const store = await openStore(urlOf("searched"));
  await fill(store);
  await using sessions = await openSessions({ store, sweep: false });
  const [startedAt, begun] = [performance.now(), processorMs()];
  await sessions.search({ text: "nothing", waitMs: 3_600_000 });
  const perSecond = (ms: number): number => messages / (ms / 1000);
  const [byProcessor, byClock] = [perSecond(processorMs() - begun), perSecond(performance.now() - startedAt)];
  report({
    name: `${engine}: index of ${messages} messages, by processor time`,
    unit: "messages/s",
    ours: byProcessor,
    limit: byClock,
    limitName: "by the clock",
    value: byProcessor,
    valueUnit: "messages/s",
    bar: { atLeast: 20_000 },
  });
  for (const [name, queries] of Object.entries(kinds)) {
    const { clockMs, processor } = await searchMs(sessions, queries, processorMs);
    report({
      name: `${engine}: search of ${name}, p50`,
      unit: "ms",
      ours: clockMs,
      limit: processor,
      limitName: "its processor time",
      value: clockMs,
      valueUnit: "ms",
      bar: { atMost: 50 },
    });
  }
  await measureAppend({ engine, urlOf, processorMs }, report);
}

/**
 * An append to a session of a store that was searched, with attachments, beside one without both: two small stores, in turns. The
 * search before each round puts the session into the index, so the first append of the round takes it out. It stands before the rounds
 * of both, which then begin alike. The cost is processor time: a wait for the disk is twice as long in one round as in the next.
 */
async function measureAppend({ engine, urlOf, processorMs }: Place, report: (measure: Measure) => void): Promise<void> {
  const attachments = { inlineBytesMax: 64 * 1024 };
  await using searched = await openSessions({ store: urlOf("with"), sweep: false, attachments });
  await using plain = await openSessions({ store: urlOf("without"), sweep: false });
  const [ours, limit] = [await searched.create({ id: "a" }), await plain.create({ id: "a" })];
  const appends = 40;
  const costOf = async (session: Session): Promise<number> => {
    await searched.search({ text: "refund" });
    const begun = processorMs();
    for (let count = 0; count < appends; count++) await session.append(turn);
    return ((processorMs() - begun) * 1000) / appends;
  };
  for (const session of [ours, limit]) for (let round = 0; round < 5; round++) await costOf(session);
  const compared = await alternate(41, { ours: () => costOf(ours), limit: () => costOf(limit) });
  report({
    name: `${engine}: append with search and attachments, by processor time`,
    unit: "µs",
    ...compared,
    limitName: "without both",
    value: compared.ratio,
    valueUnit: "times",
    bar: { atMost: 1.03 },
  });
}

/** Queries of one kind, each for a number from 0 to 1. */
const kinds: Readonly<Record<string, (chance: number) => SearchQuery>> = {
  "a rare word": (chance) => ({ text: wordAt(0.7 + chance * 0.3) }),
  "a word of few messages": (chance) => ({ text: wordAt(0.3 + chance * 0.2) }),
  "a frequent word": (chance) => ({ text: wordAt(chance * 0.1) }),
  "a word of no message": (chance) => ({ text: `nothing${wordAt(chance)}` }),
  "two words": (chance) => ({ text: `${wordAt(chance * 0.2)} ${wordAt(0.2 + chance * 0.3)}` }),
  "a phrase": (chance) => ({ text: `"${wordAt(chance * 0.2)} ${wordAt(0.2 + chance * 0.3)}"` }),
  "a Chinese word": (chance) => ({ text: characterAt(chance) + characterAt(1 - chance) }),
  "a name of a program": (chance) => ({ text: `call${wordAt(chance)}byid` }),
  "a word of one user": (chance) => ({ text: wordAt(chance * 0.3), user: `u${Math.floor(chance * users)}` }),
  "a word with a label": (chance) => {
    return { text: wordAt(chance * 0.5), labels: { topic: `t${Math.floor(chance * topics)}` } };
  },
  "a word of one agent": (chance) => ({ text: wordAt(chance * 0.5), agent: "ceo" }),
  "a word in the first tenth": (chance) => {
    return { text: wordAt(chance * 0.5), before: new Date(sampleAt + messages * 5) };
  },
  "the beginning of a word": (chance) => ({ text: `${wordAt(0.5 + chance * 0.4)}*` }),
};

const searchesOfKind = 30;

/** The median of searches of a kind, and the mean of their processor time. */
async function searchMs(
  sessions: Sessions,
  query: (chance: number) => SearchQuery,
  processorMs: () => number,
): Promise<{ readonly clockMs: number; readonly processor: number }> {
  const chance = chances();
  const queries = Array.from({ length: searchesOfKind }, () => query(chance()));
  const times: number[] = [];
  const begun = processorMs();
  for (const asked of queries) {
    const startedAt = performance.now();
    await sessions.search(asked);
    times.push(performance.now() - startedAt);
  }
  return { clockMs: median(times), processor: (processorMs() - begun) / searchesOfKind };
}
