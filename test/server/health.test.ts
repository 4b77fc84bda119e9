/** Readiness, metrics and the log tell what a load balancer and an operator need: a store that refuses writes, a drain. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { SessionError } from "../../src/errors.ts";
import { listen, type LogEntry } from "../../src/server/index.ts";
import { storeBefore } from "../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../src/store/memory.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import type { Store } from "../../src/store/store.ts";
import { assertProblem, serve } from "./serving.ts";

/** A store whose writes fail with an error, while there is one. */
class FailingWrites {
  error: SessionError | undefined;
  readonly store: Store;

  constructor() {
    const inner = openMemory({ clock: systemClock });
    const guard = async <Result>(write: () => Promise<Result>): Promise<Result> => {
      if (this.error !== undefined) throw this.error;
      return await write();
    };
    this.store = Object.assign(storeBefore(inner), {
      commit: (...args: Parameters<Store["commit"]>) => guard(() => inner.commit(...args)),
      heartbeat: (...args: Parameters<Store["heartbeat"]>) => guard(() => inner.heartbeat(...args)),
    });
  }
}

const refusals = [
  new SessionError("store_full", { store: "sqlite:a.db" }),
  new SessionError("store_read_only", { store: "sqlite:a.db" }),
];

for (const refusal of refusals) {
  test(`a write that fails with ${refusal.code} makes the server not ready until a write succeeds`, async () => {
    const writes = new FailingWrites();
    const entries: LogEntry[] = [];
    await using here = serve({
      store: writes.store,
      server: { openMetrics: true, log: (entry) => void entries.push(entry) },
    });
    const logged = (): LogEntry[] => entries.filter(({ event }) => event.startsWith("store_"));
    const writable = async (): Promise<string | undefined> =>
      /^perdure_store_writable (\d)$/m.exec((await here.call("GET", "/metrics")).text)?.[1];
    const session = await here.sessions.create({ id: "s" });
    assert.equal((await here.call("GET", "/readyz")).status, 200);
    assert.equal(await writable(), "1");
    writes.error = refusal;
    const call = { device: randomUUID(), body: { message: "Hello" } };
    assertProblem(await here.call("POST", "/v1/chat", call), refusal.status, refusal.code);
    for (let look = 0; look < 2; look++) {
      const ready = await here.call("GET", "/readyz");
      assert.equal(ready.status, 503, "reading does not make it ready");
      assert.deepEqual([ready.json.ready, ready.json.store, ready.json.writes], [false, "up", refusal.code]);
    }
    assert.equal(await writable(), "0");
    assert.equal((await here.call("GET", "/healthz")).status, 200);
    await assert.rejects(session.append({ input: "x" }), { code: refusal.code });
    writes.error = undefined;
    await session.append({ input: "x" });
    const ready = await here.call("GET", "/readyz");
    assert.deepEqual([ready.status, ready.json.writes], [200, undefined]);
    assert.equal(await writable(), "1");
    assert.deepEqual(
      logged().map(({ event, level }) => [event, level]),
      [
        ["store_unwritable", "error"],
        ["store_writable", "info"],
      ],
    );
    assert.equal(logged()[0]?.reason, refusal.message);
  });
}

test("a server without traffic finds out by itself that its store takes writes again", async (t) => {
  const writes = new FailingWrites();
  await using here = serve({ store: writes.store });
  const session = await here.sessions.create({ id: "s" });
  t.mock.timers.enable({ apis: ["setInterval"] });
  writes.error = refusals[0];
  await assert.rejects(session.append({ input: "x" }), { code: "store_full" });
  assert.equal((await here.call("GET", "/readyz")).status, 503);
  writes.error = undefined;
  t.mock.timers.tick(60_000);
  while ((await here.sessions.health()).writes.since !== null) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await here.call("GET", "/readyz")).status, 200);
});

test("the log says when the store goes away and when it is back", async () => {
  const inner = openMemory({ clock: systemClock });
  let isAway = false;
  const store = Object.assign(storeBefore(inner), {
    load: async (...args: Parameters<Store["load"]>) => {
      if (isAway) throw new SessionError("store_unavailable", { store: "postgres://db", problem: "unreachable" });
      return await inner.load(...args);
    },
  });
  const entries: LogEntry[] = [];
  await using here = serve({ store, server: { log: (entry) => void entries.push(entry) } });
  await here.sessions.create({ id: "s" });
  isAway = true;
  for (let call = 0; call < 2; call++) await assert.rejects(here.sessions.get("s"), { code: "store_unavailable" });
  isAway = false;
  await here.sessions.get("s");
  const logged = entries.filter(({ event }) => event.startsWith("store_"));
  assert.deepEqual(
    logged.map(({ event, level }) => [event, level]),
    [
      ["store_away", "error"],
      ["store_back", "info"],
    ],
  );
  assert.match(logged[0]?.reason ?? "", /postgres:\/\/db/);
  assert.equal(typeof logged[1]?.ms, "number");
});

test("a server that drains is not ready, and answers requests until its port closes", async (t) => {
  await using here = serve();
  const listening = await listen(here.server, { port: 0, drainMs: 5000 });
  const status = async (path: string): Promise<number> => (await fetch(`${listening.url}${path}`)).status;
  assert.equal(await status("/readyz"), 200);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const closed = listening.close(1000);
  assert.equal(await status("/readyz"), 503);
  assert.equal(await status("/healthz"), 200);
  t.mock.timers.tick(5000);
  t.mock.timers.reset();
  await closed;
  await assert.rejects(fetch(`${listening.url}/readyz`));
});

test("metrics have the space of the disk of an SQLite store, and no such series for a store in memory", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-health-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const onDisk = await openSqlite({ url: `sqlite:${join(folder, "a.db")}` });
  const server = { openMetrics: true };
  await using here = serve({ store: onDisk, server });
  const size = async (): Promise<number> =>
    Number(/^perdure_store_disk_size_bytes (\S+)$/m.exec((await here.call("GET", "/metrics")).text)?.[1]);
  const { blocks, bsize } = statfsSync(folder);
  for (let look = 0; look < 2; look++) assert.equal(await size(), blocks * bsize);
  assert.match((await here.call("GET", "/metrics")).text, /^perdure_store_disk_free_bytes \d/m);
  await using inMemory = serve({ server });
  assert.doesNotMatch((await inMemory.call("GET", "/metrics")).text, /perdure_store_disk/);
});
