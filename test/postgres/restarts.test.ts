/** A server that is stopped as if by a power failure, again and again, under writers that go on: nothing acknowledged is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import { countAll } from "../../src/domain/turns/counters.ts";
import { openSessions, type StoreNews } from "../../src/index.ts";
import { WorkerProcess, type Report } from "../processes/worker-process.ts";
import { PostgresServer } from "./server.ts";
import { rounds } from "../support/rounds.ts";

const crashes = rounds(25);

test(`4 writers outlive ${crashes} crashes of the server: each acknowledged turn is stored once, in its place`, async () => {
  await using server = await PostgresServer.start({ fsync: true });
  const store = server.url();
  await (await openSessions({ store, sweep: false })).close();
  // Two write with keys, two without: those have only the store's word for what became of a commit without an answer.
  const writers = ["a", "b", "c", "d"].map(
    (session, index) =>
      new WorkerProcess({
        store,
        task:
          index < 2
            ? { kind: "append", session, from: 0 }
            : { kind: "race", session, name: session, times: Number.MAX_SAFE_INTEGER },
      }),
  );
  for (let round = 0; round < crashes; round++) {
    const before = writers.map(({ reports }) => reports.length);
    while (writers.some(({ reports }, index) => reports.length <= (before[index] ?? 0) + 2)) {
      for (const { child } of writers) assert.equal(child.exitCode, null, "no writer gives up");
      await sleep(5);
    }
    await sleep(Math.random() * 50);
    await server.stopImmediately();
    await server.start();
  }
  for (const writer of writers) await writer.kill();

  await using sessions = await openSessions({ store, sweep: false });
  for (const [index, id] of ["a", "b", "c", "d"].entries()) {
    const session = await sessions.get(id);
    const turns = await Array.fromAsync(session.turns());
    assert.deepEqual(
      turns.map(({ seq }) => seq),
      turns.map((_, place) => place + 1),
      "no gap",
    );
    assert.deepEqual(session.info.counters, countAll(turns), "the counters agree with the log");
    const named = turns.map(({ key, input }) => key ?? String(input[0]?.content));
    assert.equal(new Set(named).size, turns.length, `no turn of ${id} stands twice`);
    const reports: readonly Report[] = writers[index]?.reports ?? [];
    assert(reports.length > crashes * 2);
    for (const { seq, key, mark } of reports) assert.equal(named[Number(seq) - 1], key ?? mark);
    assert(turns.length <= reports.length + 1, "at most the last one landed unheard");
  }
});

test("an outage that fails no call is announced while statements are retried, and when the server answers again", async () => {
  await using server = await PostgresServer.start();
  await using sessions = await openSessions({ store: server.url(), sweep: false });
  const session = await sessions.create({ id: "s" });
  const news: StoreNews[] = [];
  const retrying = Promise.withResolvers<void>();
  const onNews = (message: unknown): void => {
    news.push(message as StoreNews);
    if (news.at(-1)?.state === "retrying") retrying.resolve();
  };
  subscribe("perdure:store-state", onNews);
  try {
    await server.stopImmediately();
    const appended = session.append({ input: "q", output: "a" });
    await retrying.promise;
    await server.start();
    assert.equal((await appended).seq, 1);
  } finally {
    unsubscribe("perdure:store-state", onNews);
  }
  assert.deepEqual(
    news.map(({ state }) => state),
    ["retrying", "answering"],
  );
  assert.match(news[0]?.reason ?? "", /cannot be reached/);
  assert((news[1]?.ms ?? -1) >= 0);
});
