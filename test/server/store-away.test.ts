/** Servers with a fallback, whose PostgreSQL server stops and starts again. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PostgresServer } from "../postgres/server.ts";
import { rounds } from "../support/rounds.ts";
import { InstanceProcess } from "./instance-process.ts";

interface Answered {
  readonly status: number;
  readonly ms: number;
  readonly body: { readonly durable?: boolean; readonly text?: string; readonly code?: string };
}

async function say(url: string, device: string, message: string): Promise<Answered> {
  const started = performance.now();
  const response = await fetch(`${url}/v1/chat`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-device-id": device, "idempotency-key": message },
    body: JSON.stringify({ message }),
  });
  const body = (await response.json()) as Answered["body"];
  return { status: response.status, ms: performance.now() - started, body };
}

interface Ready {
  readonly ready: boolean;
  readonly degraded: boolean;
  readonly waiting: number;
}

async function ready(url: string): Promise<Ready> {
  return (await (await fetch(`${url}/readyz`)).json()) as Ready;
}

async function untilReplayed(url: string): Promise<void> {
  for (;;) {
    const { degraded, waiting } = await ready(url);
    if (!degraded && waiting === 0) return;
    await sleep(50);
  }
}

async function saidTo(url: string, device: string): Promise<string[]> {
  const response = await fetch(`${url}/v1/chat/turns?last=100`, { headers: { "x-device-id": device } });
  const { items } = (await response.json()) as { items: { input: { content: string }[] }[] };
  return items.map(({ input }) => input[0]?.content ?? "");
}

test("while the database is down chats continue without memory, and are replayed later", async () => {
  await using postgres = await PostgresServer.start();
  const store = postgres.url();
  // A call of the store ends at its deadline, 30 s.
  const beforeDeadlineMs = 25_000;
  const [here, plain] = await Promise.all([
    InstanceProcess.start({ store, fallback: "stateless" }),
    InstanceProcess.start({ store }),
  ]);
  try {
    const device = randomUUID();
    assert.equal((await say(here.url, device, "1")).body.durable, true);
    await postgres.stopImmediately();
    const first = await say(here.url, device, "2");
    assert.deepEqual([first.status, first.body.durable, first.body.text], [200, false, "1 2"]);
    assert(first.ms < beforeDeadlineMs, `the first took ${first.ms} ms`);
    const later: number[] = [];
    for (const message of ["3", "4", "5", "6", "7"]) {
      const { ms, body } = await say(here.url, device, message);
      assert.equal(body.durable, false);
      later.push(ms);
    }
    assert(Math.max(...later) < beforeDeadlineMs, `no request waits for the deadline: ${later.join(", ")}`);
    const { ready: isReady, degraded, waiting } = await ready(here.url);
    assert.deepEqual([isReady, degraded, waiting], [true, true, 6]);

    await postgres.start();
    await untilReplayed(here.url);
    assert.equal((await say(here.url, device, "8")).body.text, "8 8", "the whole conversation is there again");
    assert.deepEqual(await saidTo(plain.url, device), ["1", "2", "3", "4", "5", "6", "7", "8"]);
  } finally {
    await Promise.all([here.stop("SIGTERM"), plain.stop("SIGTERM")]);
  }
});

test("an instance killed again and again while it replays an outbox file writes each turn once", async () => {
  await using postgres = await PostgresServer.start();
  const store = postgres.url();
  const folder = await mkdtemp(join(tmpdir(), "perdure-outbox-"));
  const options = { store, fallback: { outbox: `sqlite:${join(folder, "outbox.db")}` } } as const;
  const devices = Array.from({ length: 20 }, () => randomUUID());
  const messages = Array.from({ length: 10 }, (_, index) => `${index + 1}`);
  await (await InstanceProcess.start({ store })).stop("SIGTERM"); // the schema
  await postgres.stopImmediately();
  let instance = await InstanceProcess.start(options);
  try {
    await Promise.all(
      devices.map(async (device) => {
        for (const message of messages) assert.equal((await say(instance.url, device, message)).body.durable, false);
      }),
    );
    await instance.stop("SIGKILL");
    await postgres.start();
    for (let kill = 0; kill < rounds(6, 3); kill++) {
      instance = await InstanceProcess.start(options);
      await sleep(900 + Math.random() * 300);
      await instance.stop("SIGKILL");
    }
    instance = await InstanceProcess.start(options);
    await untilReplayed(instance.url);
    for (const device of devices) assert.deepEqual(await saidTo(instance.url, device), messages);
  } finally {
    await instance.stop("SIGTERM");
    await rm(folder, { recursive: true });
  }
});
