/** Changes of other instances are seen: at once where the store listens, a moment later where it does not. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { openSessions, type SessionNews } from "../../src/index.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import { creationOf, sampleRecord, stepOf } from "../../src/testing/samples.ts";
import { PostgresServer, query } from "./server.ts";

let server: PostgresServer;
before(async () => {
  server = await PostgresServer.start();
});
after(async () => {
  await server[Symbol.asyncDispose]();
});

/** Resolves at the first wake after `work`. */
async function wakes(watch: (wake: () => void) => () => void, work: () => Promise<unknown>): Promise<void> {
  const events = new EventTarget();
  const stop = watch(() => events.dispatchEvent(new Event("wake")));
  const woken = once(events, "wake", { signal: AbortSignal.timeout(10_000) });
  await work();
  await woken;
  stop();
}

async function listening(count: number): Promise<readonly unknown[]> {
  for (;;) {
    const rows = await query(server.url(), "select pid from pg_stat_activity where query like 'listen perdure%'");
    if (rows.length === count) return rows.map(({ pid }) => pid);
  }
}

test("a store that listens is woken by what another instance commits, also after its connection was ended", async () => {
  const ours = await openPostgres({ url: `${server.url()}?listen=true` });
  const theirs = await openPostgres({ url: server.url(), listen: true });
  let record = sampleRecord({ id: "hinted" });
  await theirs.commit([[creationOf(record)]]);
  const step = async (): Promise<void> => {
    const change = stepOf(record);
    assert.deepEqual(await theirs.commit([[change]]), [{ status: "ok" }]);
    record = change.record!;
  };
  const stop = ours.watch(record, () => undefined);
  const [pid] = await listening(1);
  await wakes((wake) => ours.watch(record, wake), step);
  await query(server.url(), `select pg_terminate_backend(${String(pid)})`);
  await listening(1);
  await wakes((wake) => ours.watch(record, wake), step);
  // More sessions at once than the names of which fit into one notification.
  const many = Array.from({ length: 1000 }, (_, index) => sampleRecord({ id: `many ${index}` }));
  await wakes(
    (wake) => ours.watch(many.at(-1)!, wake),
    () =>
      Promise.all(
        Array.from({ length: 10 }, (_, page) =>
          theirs.commit(many.slice(page * 100, page * 100 + 100).map((one) => [creationOf(one)])),
        ),
      ),
  );
  stop();
  await ours.close();
  await theirs.close();
});

test("hints name no session to who else listens in the database", async () => {
  const store = await openPostgres({ url: server.url(), listen: true });
  let said: unknown[] = [];
  // What a connection asked last is seen until it asks something else.
  for (let attempt = 0; said.length === 0 && attempt < 100; attempt++) {
    await store.commit([[creationOf(sampleRecord({ id: `secret-name ${attempt}` }))]]);
    said = await query(
      server.url(),
      "select query from pg_stat_activity where query like '%pg_notify%' and pid <> pg_backend_pid()",
    );
  }
  assert.ok(said.length > 0);
  assert.ok(!JSON.stringify(said).includes("secret-name"));
  await store.close();
});

test("without listening everything is seen by looking, across a restart of the server", async () => {
  const ours = await openSessions({ store: server.url(), sweep: false });
  const theirs = await openSessions({ store: server.url(), sweep: false });
  const session = await theirs.create({ id: "seen" });
  const watching = (await ours.get("seen")).watch()[Symbol.asyncIterator]();
  const next = async (): Promise<SessionNews | undefined> => (await watching.next()).value as SessionNews | undefined;
  for (let turn = 1; turn <= 4; turn++) {
    const news = next();
    if (turn === 3) {
      await server.stopImmediately();
      await server.start();
    }
    await session.append({ input: `${turn}` });
    const seen = await news;
    assert.ok(seen?.type === "turn" && seen.turn.seq === turn);
  }
  await watching.return?.();
  await ours.close();
  await theirs.close();
});
