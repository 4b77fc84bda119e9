/**
 * Sums over a million turns in one SQLite file, beside the least work of any sum: read each of them and take one number
 * out of its JSON.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { DatabaseSync } from "node:sqlite";
import { sessionsOn } from "../src/sessions/sessions.ts";
import { entryOfTurn, parseMessages, type Turn } from "../src/domain/turns/turn.ts";
import { noCounters } from "../src/domain/record/record.ts";
import { openSqlite } from "../src/store/sqlite/open.ts";
import { creationOf, sampleRecord } from "../src/testing/samples.ts";
import { alternate, median, type Bench } from "./measure.ts";
import { turn } from "./workload.ts";
import { stats } from "../src/admin.ts";

const sessionsCount = 20_000;
const turnsEach = 50;
const rounds = 5;
const mebibyte = 1024 * 1024;

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const file = join(folder, "perdure.db");
    await grow(file);
    const sessions = sessionsOn(await openSqlite({ url: `sqlite:${file}` }), { sweep: false });
    const byHand = new DatabaseSync(file, { readOnly: true });
    const scan = byHand.prepare(
      "select count(*), sum(json_extract(data, '$.usage.totalTokens')) from entries where log = 'turns'",
    );
    const took = (startedAt: number): number => performance.now() - startedAt;
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const before = process.memoryUsage.rss();
    let most = before;
    const { ours, limit } = await alternate(rounds, {
      async ours() {
        const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 5);
        delay.enable();
        const startedAt = performance.now();
        const { turns } = await stats(sessions, { by: "day" });
        const ms = took(startedAt);
        delay.disable();
        clearInterval(watch);
        if (turns.turns !== sessionsCount * turnsEach) throw new Error(`summed up ${turns.turns} turns`);
        return ms;
      },
      limit() {
        const startedAt = performance.now();
        scan.get();
        return took(startedAt);
      },
    });
    const about = { unit: "ms", limit, limitName: "one number of each, by SQL", valueUnit: "ms" } as const;
    report({ ...about, name: "stats by day, 1 000 000 turns", ours, value: ours, bar: { atMost: 3000 } });
    const wide = await p50(async () => void (await stats(sessions, { by: ["agent", "user", "model", "day", "hour"] })));
    report({ ...about, name: "stats by all there is", ours: wide, value: wide });
    const held = delay.percentile(99) / 1e6;
    report({ name: "stats: event loop held, p99", unit: "ms", ours: held, value: held, valueUnit: "ms" });
    const grown = most - before;
    report({
      name: "stats: memory above idle",
      unit: "bytes",
      ours: grown,
      value: grown,
      valueUnit: "bytes",
      bar: { atMost: 128 * mebibyte },
    });
    byHand.close();
    await sessions.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
};

async function p50(work: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const startedAt = performance.now();
    await work();
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

/** A month of 20 000 sessions with 50 turns each, entries in the order they came, as they lie in a file that grew. */
async function grow(file: string): Promise<void> {
  const store = await openSqlite({ url: `sqlite:${file}?synchronous=normal` });
  const startedAt = Date.now() - 30 * 86_400_000;
  const batch = 100;
  for (let first = 0; first < sessionsCount; first += batch) {
    const creations = Array.from({ length: batch }, (_, index) => {
      const number = first + index;
      const at = startedAt + number * 120_000;
      const entries = Array.from({ length: turnsEach }, (__, place) => entryOfTurn(turnOf(number, place, at)));
      const counters = { ...noCounters, turns: turnsEach, totalTokens: turnsEach * 398 };
      const record = sampleRecord({
        id: `s${number}`,
        user: `u${number % 1000}`,
        createdAt: at,
        lastActivityAt: at,
        counters,
      });
      return [creationOf(record, { splices: [{ log: "turns", from: 1, entries }] })];
    });
    await store.commit(creations);
  }
  await store.close();
}

function turnOf(session: number, place: number, startedAt: number): Turn {
  return {
    seq: place + 1,
    key: null,
    at: new Date(startedAt + place * 60_000),
    status: "done",
    agent: `agent${session % 5}`,
    model: `model${place % 3}`,
    input: parseMessages(turn.input, "user", "input"),
    output: parseMessages(turn.output, "assistant", "output"),
    usage: { inputTokens: 212, outputTokens: 186, totalTokens: 398 },
    requests: 1,
    durationMs: (session * 7919 + place * 104_729) % 9000,
  };
}
