/** Streams on PostgreSQL: with and without notifications, behind a pooler, and while connections end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { numbersUpTo, readInPieces } from "../streams/read-in-pieces.ts";
import { chanceOf } from "../support/chance.ts";
import { missingPgBouncer, PgBouncer } from "./pgbouncer.ts";
import { serverOfFile } from "./of-file.ts";
import { query } from "./server.ts";

const server = await serverOfFile();

const task = { kind: "produce", stream: "run", parts: 100, pauseMs: 10 } as const;

for (const listen of [true, false]) {
  test(`a reader with listen=${listen} gets each part once, in order, while its connections end`, async (context) => {
    const store = `${server.url()}?schema=streams_${listen}`;
    await using sessions = await openSessions({ store: `${store}&listen=${listen}`, sweep: false });
    const producer = new WorkerProcess({ store, task });
    await producer.hear("part");
    const reading = readInPieces(sessions, "run", chanceOf(context));
    const whole = Array.fromAsync(sessions.streams.read("run"));
    await producer.hear("part", 20);
    if (listen)
      await query(
        server.url(),
        "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen perdure%'",
      );
    await producer.ended();
    assert.deepEqual(await reading, numbersUpTo(100));
    assert.deepEqual(
      (await whole).map(({ part }) => part),
      numbersUpTo(100),
    );
  });
}

test("a producer and a reader behind a pooler in transaction mode", { skip: missingPgBouncer() }, async (context) => {
  await using pooler = await PgBouncer.start(server);
  const store = `${pooler.url()}?schema=streams_pooled`;
  await (await openSessions({ store: `${server.url()}?schema=streams_pooled`, sweep: false })).close();
  await using sessions = await openSessions({ store, sweep: false });
  const producer = new WorkerProcess({ store, task });
  await producer.hear("part");
  assert.deepEqual(await readInPieces(sessions, "run", chanceOf(context)), numbersUpTo(100));
  await producer.ended();
  const lost = new WorkerProcess({ store, task: { ...task, stream: "lost", parts: null } });
  await lost.hear("part", 20);
  const reading = readInPieces(sessions, "lost", chanceOf(context));
  await lost.kill();
  const parts = await reading;
  assert.deepEqual(parts, numbersUpTo(parts.length));
  assert.equal(await sessions.streams.status("lost"), "lost");
});

test("streams are in no view", async () => {
  const schema = "streams_seen";
  await using sessions = await openSessions({ store: `${server.url()}?schema=${schema}`, sweep: false });
  await sessions.create({ id: "chat" });
  const acquired = await sessions.streams.acquire("run", { session: "chat" });
  assert(acquired.role === "producer");
  await acquired.stream.write("part", { said: "word" });
  await acquired.stream.end({ append: { input: "q", output: "word" } });
  const views = ["readable_sessions", "readable_turns", "usage_by_day"];
  for (const view of views) {
    const rows = await query(server.url(), `select tenant from ${schema}.${view}`);
    assert.deepEqual(rows, [{ tenant: "default" }], view);
  }
});
