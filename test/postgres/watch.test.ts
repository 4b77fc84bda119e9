/** A watch sees the changes of other instances: at once if the store listens, at the next poll otherwise. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { promisify } from "node:util";
import { openSessions, type SessionNews } from "../../src/index.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import { creationOf, samplePut, sampleRecord, stepOf } from "../../src/testing/samples.ts";
import { serverOfFile } from "./of-file.ts";
import { query } from "./server.ts";

const server = await serverOfFile();

/** Resolves at the first wake after `work`. */
async function wakes(watch: (wake: () => void) => () => void, work: () => Promise<unknown>): Promise<void> {
  const events = new EventTarget();
  const stop = watch(() => events.dispatchEvent(new Event("wake")));
  const woken = once(events, "wake", { signal: AbortSignal.timeout(120_000) });
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
  // The names of so many sessions do not fit into one notification.
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

test("a store that listens is woken for the news of a tenant by what another instance commits", async () => {
  const schema = "hinted_news";
  const ours = await openPostgres({ url: server.url(), schema, listen: true });
  const theirs = await openPostgres({ url: server.url(), schema, listen: true });
  const key = { tenant: "default", id: "" };
  const stop = ours.watch(key, () => undefined);
  await listening(1);
  const watch = (wake: () => void): (() => void) => ours.watch(key, wake);
  await wakes(watch, () => theirs.commit([[creationOf(sampleRecord({ id: "of news" }))]]));
  const document = { tenant: "default", scope: "news", key: "k" };
  await wakes(watch, () => theirs.commit([[samplePut(document, { version: 1 })]]));
  stop();
  await ours.close();
  await theirs.close();
});

test("a program that watched a store which listens closes it and ends", async () => {
  const program = `
    import { openSessions } from ${JSON.stringify(import.meta.resolve("../../src/index.ts"))};
    const sessions = await openSessions({ store: process.argv[1], sweep: false });
    const session = await sessions.ensure("closed");
    const watching = session.watch()[Symbol.asyncIterator]();
    const news = watching.next();
    await session.append({ input: "q" });
    await news;
    await watching.return();
    if (process.argv[2] === "later") await new Promise((resolve) => setTimeout(resolve, 300));
    await sessions.close();
    console.log("closed");`;
  // At once, the connection that listens is still being opened.
  for (const moment of ["at once", "later"]) {
    const args = ["--input-type=module", "-e", program, `${server.url()}?listen=true`, moment];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    assert.equal(stdout.trim(), "closed", moment);
  }
});

test("closing gives up a connection that no longer answers", async () => {
  const store = await openPostgres({ url: server.url(), listen: true });
  store.watch(sampleRecord({ id: "hanging" }), () => undefined)();
  const [pid] = await listening(1);
  process.kill(Number(pid), "SIGSTOP");
  try {
    await store.close();
  } finally {
    process.kill(Number(pid), "SIGCONT");
  }
});

test("a notification names no session to other programs that listen in the database", async () => {
  const store = await openPostgres({ url: server.url(), listen: true });
  let listeners: unknown[] = [];
  // The server shows the last statement of a connection until the next one.
  for (let attempt = 0; listeners.length === 0; attempt++) {
    await store.commit([[creationOf(sampleRecord({ id: `secret-name ${attempt}` }))]]);
    listeners = await query(
      server.url(),
      "select query from pg_stat_activity where query like '%pg_notify%' and pid <> pg_backend_pid()",
    );
  }
  assert.ok(!JSON.stringify(listeners).includes("secret-name"));
  await store.close();
});

test("a watch of a store that does not listen sees every change by polling, across a restart of the server", async () => {
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
