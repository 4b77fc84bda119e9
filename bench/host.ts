/**
 * Live sessions: what the host adds to the work of their own code, beside that work alone. On SQLite; the heap of idle
 * ones in a process of its own.
 */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { startHost } from "../src/host/index.ts";
import { openSessions, type Sessions } from "../src/index.ts";
import { abandon } from "../test/host/abandoned.ts";
import { p99Of, Traffic } from "../test/host/traffic.ts";
import runtime from "./host-runtime.ts";
import { alternate, median, p50Of, type Bench, type Measure } from "./measure.ts";

const known = { many: 100_000, few: 1000 };

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const sessions = await openSessions({ store: `sqlite:${join(folder, "s.db")}`, sweep: false });
    report(await sendInline(sessions));
    report(await sendPooled(sessions));
    report(await activation(sessions));
    for (const death of deaths) report(await besideDeath(death));
    await sessions.close();
    report(await firstAnswer(folder));
    report(await idleBytes(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
};

async function sendInline(sessions: Sessions): Promise<Measure> {
  await using host = await startHost(sessions, { runtime });
  await host.ensure("s");
  const { ours, limit } = await alternate(15, {
    ours: () => p50Of(2000, () => host.send("s", "x")),
    limit: () => p50Of(2000, async () => runtime.onMessage()),
  });
  return {
    name: "a message to a live session, in the host's thread",
    unit: "µs",
    ours,
    limit,
    limitName: "its code alone",
    value: ours - limit,
    valueUnit: "µs",
    bar: { atMost: 20 },
  };
}

async function sendPooled(sessions: Sessions): Promise<Measure> {
  const module = new URL("host-runtime.ts", import.meta.url);
  await using host = await startHost(sessions, { runtime: module, isolation: "pool", workers: 1 });
  await host.ensure("s");
  const echo = new Worker(
    `const { parentPort: p } = require("node:worker_threads"); p.on("message", (m) => p.postMessage(m))`,
    {
      eval: true,
    },
  );
  const { ours, limit } = await alternate(15, {
    ours: () => p50Of(500, () => host.send("s", "x")),
    limit: () =>
      p50Of(500, async () => {
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
        echo.postMessage("x");
        await once(echo, "message");
      }),
  });
  await echo.terminate();
  return {
    name: "a message to a live session, in a pool, p50",
    unit: "µs",
    ours,
    limit,
    limitName: "a message to a bare thread and back",
    value: ours,
    valueUnit: "µs",
    bar: { atMost: 150 },
  };
}

/** A message that activates its session, beside loading a session and taking its lease. */
async function activation(sessions: Sessions): Promise<Measure> {
  await using host = await startHost(sessions, { runtime });
  for (const id of ["asleep", "opened"]) await sessions.create({ id });
  const wake = await alternate(15, {
    ours: () => timeOf(30, { work: () => host.send("asleep", "x"), after: () => host.stop("asleep") }),
    limit: () =>
      timeOf(30, {
        work: async () => await (await sessions.get("opened")).lease(),
        after: (lease) => lease.release(),
      }),
  });
  return {
    name: "a message to a session that sleeps",
    unit: "µs",
    ours: wake.ours,
    limit: wake.limit,
    limitName: "sessions.get and session.lease",
    value: wake.ratio,
    valueUnit: "times",
    bar: { atMost: 3 },
  };
}

/** The median time of the work, µs, without what puts things back after it. */
async function timeOf<T>(
  count: number,
  { work, after }: { work: () => Promise<T>; after: (done: T) => Promise<unknown> },
): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const start = performance.now();
    const done = await work();
    times.push((performance.now() - start) * 1000);
    await after(done);
  }
  return median(times);
}

/** From opening the store to the first answer of a session whose host is gone. */
async function firstAnswer(folder: string): Promise<Measure> {
  const stores = { many: `sqlite:${join(folder, "many.db")}`, few: `sqlite:${join(folder, "few.db")}` };
  for (const size of ["many", "few"] as const) {
    await using sessions = await openSessions({ store: stores[size], sweep: false });
    await abandon(sessions, known[size]);
  }
  const answerMs = async (store: string, round: number): Promise<number> => {
    const started = performance.now();
    await using sessions = await openSessions({ store, sweep: false });
    await using host = await startHost(sessions, { runtime });
    await host.recover();
    await host.send(`s${round}`, "x");
    return performance.now() - started;
  };
  const { ours, limit } = await alternate(15, {
    ours: (round) => answerMs(stores.many, round),
    limit: (round) => answerMs(stores.few, round),
  });
  return {
    name: `first answer of a host that took over from one with ${known.many} sessions`,
    unit: "ms",
    ours,
    limit,
    limitName: `from one with ${known.few}`,
    value: ours,
    valueUnit: "ms",
    bar: { atMost: 50 },
  };
}

/** The ways in which one of many sessions ends, and whether its thread ends with it. */
const deaths = [
  { message: "throw", endsThread: false },
  { message: "later", endsThread: false },
  { message: "exit", endsThread: false },
  { message: "hoard", endsThread: true },
  { message: "loop", endsThread: true },
] as const;

/** A thousand sessions in a pool of two threads, each asked once a second, while one ends, and while none does. */
async function besideDeath({ message, endsThread }: (typeof deaths)[number]): Promise<Measure> {
  await using sessions = await openSessions({ store: "memory:", sweep: false });
  const module = new URL("../test/host/keyed.ts", import.meta.url);
  await using host = await startHost(sessions, {
    runtime: module,
    isolation: "pool",
    workers: 2,
    memoryMax: 64,
    stallTimeout: "1s",
    restart: { max: 100, backoff: "10ms" },
  });
  const ids = Array.from({ length: 1000 }, (_, index) => `s${index}`);
  await Promise.all(ids.map((id) => host.ensure(id)));
  const p99 = async (meanwhile: () => Promise<unknown>): Promise<number> => {
    const [mortal = "", ...others] = ids;
    const doomed = await host.send(mortal, "thread");
    const threads = new Map(await Promise.all(others.map(async (id) => [id, await host.send(id, "thread")] as const)));
    await using traffic = new Traffic(host, others, 1000);
    await sleep(1500); // the first second sends them off one after another
    await meanwhile();
    await sleep(1500);
    const talks = [...(await traffic.stop())];
    // Sessions on the thread that ends wait for another thread: they are not measured here.
    return p99Of(talks.flatMap(([id, talk]) => (endsThread && threads.get(id) === doomed ? [] : [talk])));
  };
  await p99(async () => undefined); // warm
  const { ours, limit, ratio } = await alternate(3, {
    ours: () => p99(async () => await host.send(ids[0] ?? "", message).catch(() => undefined)),
    limit: () => p99(async () => undefined),
  });
  return {
    name: `answers of the others in a pool while one of 1 000 does "${message}", p99`,
    unit: "ms",
    ours,
    limit,
    limitName: "while none does",
    value: ratio,
    valueUnit: "times",
    bar: { atMost: 2 },
  };
}

async function idleBytes(folder: string): Promise<Measure> {
  const script = fileURLToPath(new URL("host-idle-child.ts", import.meta.url));
  const url = `sqlite:${join(folder, "idle.db")}?synchronous=normal`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", script, url]);
  const bytes = Number(stdout);
  return {
    name: "an idle live session in the host's thread, heap, of 100 000",
    unit: "bytes",
    ours: bytes,
    value: bytes,
    valueUnit: "bytes",
    bar: { atMost: 4096 },
  };
}
