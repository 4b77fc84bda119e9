/** Measures many watchers and streams of one session: calls of the store, time of an append, memory. */
import { fork, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSessions, type Model, type Session } from "../src/index.ts";
import { createServer, listen } from "../src/server/index.ts";
import { sessionsOn } from "../src/sessions/sessions.ts";
import { openMemory } from "../src/store/memory.ts";
import { countedStore } from "./counted-store.ts";
import { alternate, type Bench, type Measure } from "./measure.ts";
import type { Task } from "./watchers-child.ts";
import type { Command, Reply } from "./watchers-server.ts";
import { turn } from "./workload.ts";

const streams = 2000;
const secret = "for benches only, no secret";

export const bench: Bench = async (report) => {
  report(await callsOfStreams("200 streams of one answer", 20));
  report(await callsOfStreams("200 streams of one silent answer", 3_600_000));
  report(await watchedAppend());
  report(await memoryOfWatches());
  for (const measure of await memoryOfStreams()) report(measure);
};

/**
 * Half of the streams repeat the question's idempotency key, half resume the answer. Another process answers, with a word
 * each `wordMs`.
 */
async function callsOfStreams(name: string, wordMs: number): Promise<Measure> {
  const memory = openMemory();
  const model: Model = async function* ({ signal }) {
    for (;;) {
      yield { type: "text", text: "word " };
      await sleep(wordMs, undefined, { signal });
    }
  };
  const answering = sessionsOn(memory, { sweep: false, secret, model });
  const device = randomUUID();
  const answer = await (await answering.devices.open(device)).consult("q", { key: "k" });
  answer.done.catch(() => undefined);
  await sleep(500); // the first words are stored
  const { store, calls } = countedStore({ on: memory });
  const sessions = sessionsOn(store, { sweep: false, secret, model });
  const rates = { device: 1e9, newDevices: 1e9, key: 1e9 };
  const listening = await listen(createServer({ sessions, rates, streams: { device: 200 } }), { port: 0 });
  const head = `host: bench\r\nx-device-id: ${device}\r\naccept: text/event-stream\r\n`;
  const body = JSON.stringify({ message: "q" });
  const json = `content-type: application/json\r\ncontent-length: ${body.length}\r\n`;
  await using readers = await opened({
    port: Number(new URL(listening.url).port),
    requests: [
      { text: `POST /v1/chat HTTP/1.1\r\n${head}${json}idempotency-key: k\r\n\r\n${body}`, times: 100 },
      { text: `GET /v1/chat/stream HTTP/1.1\r\n${head}last-event-id: 1-0\r\n\r\n`, times: 100 },
    ],
    isSlow: false,
  });
  await sleep(2000);
  const before = calls();
  await sleep(10_000);
  const ours = (calls() - before) / 10;
  readers.end();
  await listening.close(0);
  await sessions.close();
  await answering.close();
  return { name, unit: "calls/s", ours, value: ours, valueUnit: "calls/s", bar: { atMost: 6 } };
}

async function watchedAppend(): Promise<Measure> {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  const sessions = await openSessions({ store: `sqlite:${join(folder, "s.db")}`, sweep: false });
  const [watched, alone] = [await sessions.create({ id: "watched" }), await sessions.create({ id: "alone" })];
  const stop = new AbortController();
  const watching = Array.from({ length: 500 }, () => drain(watched, stop.signal));
  await sleep(500);
  const { ours, limit } = await alternate(9, {
    ours: () => processorTime(100, () => watched.append(turn)),
    limit: () => processorTime(100, () => alone.append(turn)),
  });
  stop.abort();
  await Promise.all(watching);
  await sessions.close();
  rmSync(folder, { recursive: true });
  return {
    name: "append, watched by 500, processor time",
    unit: "µs",
    ours,
    limit,
    limitName: "the same, watched by none",
    value: (ours - limit) / 1000,
    valueUnit: "ms",
    bar: { atMost: 1 },
  };
}

/**
 * The processor time of one call and of all that follows from it, µs. Watchers take none of the call's own time, and the
 * time on the wall is the disk's.
 */
async function processorTime(count: number, work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (let index = 0; index < count; index++) await work();
  await new Promise((resolve) => setImmediate(resolve));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

async function drain(session: Session, signal: AbortSignal): Promise<void> {
  for await (const _ of session.watch({ signal }));
}

/** Watches of the library whose readers have read the turn and ask for nothing more. */
async function memoryOfWatches(): Promise<Measure> {
  const sessions = sessionsOn(openMemory(), { sweep: false });
  const session = await sessions.create({ id: "s" });
  const before = keptBytes();
  const reading = Array.from({ length: streams }, () => session.watch({ after: 0 })[Symbol.asyncIterator]());
  const first = reading.map((watch) => watch.next());
  await session.append({ input: "q", output: "x".repeat(100_000) });
  await Promise.all(first);
  const ours = keptBytes() - before;
  for (const watch of reading) await watch.return?.();
  await sessions.close();
  return mebibytes("2 000 watches of a turn of 100 KB, memory kept", ours);
}

function keptBytes(): number {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
  for (let pass = 0; pass < 4; pass++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function mebibytes(name: string, bytes: number): Measure & { readonly bar: { readonly atMost: number } } {
  const ours = bytes / 2 ** 20;
  return { name, unit: "MiB", ours, value: ours, valueUnit: "MiB", bar: { atMost: 60 } };
}

/** Memory of a server with 2 000 open watch streams of slow readers, to which a turn of 100 KB was sent. */
async function memoryOfStreams(): Promise<readonly Measure[]> {
  const [ours, limit] = [await addedBy("start perdure"), await addedBy("start node")];
  const limitName = "Node's own server, the same bytes";
  return [
    {
      ...mebibytes("2 000 HTTP watch streams of a turn of 100 KB, memory kept", ours.kept),
      limit: limit.kept / 2 ** 20,
      limitName,
    },
    {
      name: "the same, resident memory",
      unit: "MiB",
      ours: ours.resident / 2 ** 20,
      limit: limit.resident / 2 ** 20,
      limitName,
      value: ours.resident / limit.resident,
      valueUnit: "times",
    },
  ];
}

async function addedBy(start: "start perdure" | "start node"): Promise<NonNullable<Reply["memory"]>> {
  const server = forked("watchers-server.ts");
  const ask = async (command: Command): Promise<Reply> => {
    const replied = once(server, "message") as Promise<[Reply]>;
    server.send(command);
    return (await replied)[0];
  };
  try {
    const { port = 0, request = "" } = await ask(start);
    // A stream first, so that what is built once is built.
    await using _ = await opened({ port, requests: [{ text: request, times: 50 }], isSlow: true });
    const { memory: before } = await ask("memory");
    await using __ = await opened({ port, requests: [{ text: request, times: streams }], isSlow: true });
    await ask("send");
    await sleep(2000);
    const { memory: after } = await ask("memory");
    if (before === undefined || after === undefined) throw new Error("the server did not tell its memory");
    return { kept: after.kept - before.kept, resident: after.resident - before.resident };
  } finally {
    await ended(server);
  }
}

interface Readers extends AsyncDisposable {
  end(): void;
}

/** Readers in a process of their own; resolves when their streams are open. */
async function opened(task: Task): Promise<Readers> {
  const child = forked("watchers-child.ts");
  const open = once(child, "message");
  child.send(task);
  await open;
  return { end: () => void child.kill(), [Symbol.asyncDispose]: () => ended(child) };
}

function forked(file: string): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), { execArgv: ["--expose-gc"] });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill();
  await exit;
}
