/** News on PostgreSQL: commits that land late, a first reader among writers, poolers, lost connections, deletion in steps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Sessions } from "../../src/index.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { newsDeletedMax } from "../../src/store/news.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import type { FoundNews, Store } from "../../src/store/store.ts";
import { creationOf, sampleInstance, sampleRecord } from "../../src/testing/samples.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { seededChanceOf } from "../support/chance.ts";
import { NewsFollower, sorted, versionsIn } from "../support/news-follower.ts";
import { missingPgBouncer, PgBouncer } from "./pgbouncer.ts";
import { serverOfFile } from "./of-file.ts";
import { Client, Pool, PostgresServer, query } from "./server.ts";

const server = await serverOfFile();

const tenant = "default";

/** A store whose statements are parts of one transaction. */
async function heldStore(
  schema: string,
): Promise<{ store: Store; end(statement: "commit" | "rollback"): Promise<void> }> {
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  const pool = { query: (text: string, values?: unknown[]) => client.query(text, values) };
  const store = await openPostgres({ pool, schema });
  await client.query("begin");
  return {
    store,
    async end(statement) {
      await client.query(statement);
      await store.close();
      await client.end();
    },
  };
}

function idsOf({ changes }: FoundNews): string[] {
  return changes.map((change) => ("session" in change ? change.session.id : change.document.key)).toSorted();
}

/** Ask until the page has a cursor. */
async function begun(store: Store): Promise<string> {
  for (;;) {
    const { next } = await store.news({ tenant, limit: 10 });
    if (next !== undefined) return next;
  }
}

test("a commit that lands late is in the news behind later ones, which do not wait for it", async () => {
  const schema = "late";
  await using store = closing(await openPostgres({ url: server.url(), schema }));
  let after = await begun(store.store);
  const held = [await heldStore(schema), await heldStore(schema), await heldStore(schema)];
  for (const [n, { store: one }] of held.entries()) await one.commit([[creationOf(sampleRecord({ id: `held ${n}` }))]]);
  await store.store.commit([[creationOf(sampleRecord({ id: "later" }))]]);
  const read = async (): Promise<FoundNews> => {
    const page = await store.store.news({ tenant, after, limit: 10 });
    assert.equal(page.isReset, false);
    after = page.next ?? assert.fail();
    return page;
  };
  const old = after;
  assert.deepEqual(idsOf(await read()), ["later"]);
  await held[1]?.end("commit");
  assert.deepEqual(idsOf(await read()), ["held 1"]);
  assert.deepEqual(idsOf(await read()), []);
  await held[0]?.end("commit");
  await held[2]?.end("rollback");
  await store.store.commit([[creationOf(sampleRecord({ id: "last" }))]]);
  assert.deepEqual(idsOf(await read()), ["held 0", "last"]);
  assert.deepEqual(idsOf(await store.store.news({ tenant, after: old, limit: 10 })), [
    "held 0",
    "held 1",
    "last",
    "later",
  ]);
});

test("pages that a limit cuts have each commit once; the last one has those that land between the pages", async () => {
  const schema = "pages";
  await using store = closing(await openPostgres({ url: server.url(), schema }));
  const first = await begun(store.store);
  const held = await heldStore(schema);
  await held.store.commit([[creationOf(sampleRecord({ id: "held" }))]]);
  for (const id of ["a", "b", "c"]) await store.store.commit([[creationOf(sampleRecord({ id }))]]);
  const found: string[] = [];
  let [after, hasMore] = [first, true];
  for (let page = 0; hasMore; page++) {
    const read = await store.store.news({ tenant, after, limit: 1 });
    found.push(...idsOf(read));
    [after, hasMore] = [read.next ?? assert.fail(), read.hasMore];
    if (page === 0) await held.end("commit");
    if (page === 1) await store.store.commit([[creationOf(sampleRecord({ id: "d" }))]]);
  }
  assert.deepEqual(found.toSorted(), ["a", "b", "c", "d", "held"]);
});

test("the first cursor waits for the commits that may not see the subscription, and for no other transaction", async () => {
  const schema = "begins";
  await using store = closing(await openPostgres({ url: server.url(), schema }));
  const stranger = new Client({ connectionString: server.url() });
  await stranger.connect();
  await stranger.query("create table if not exists strange (id int)");
  await stranger.query("begin");
  await stranger.query("insert into strange values (1)");
  const held = await heldStore(schema);
  await held.store.commit([[creationOf(sampleRecord({ id: "unseen" }))]]);
  for (let n = 0; n < 5; n++) assert.equal((await store.store.news({ tenant, limit: 10 })).next, undefined);
  const blind = await heldStore(schema);
  await blind.store.commit([[creationOf(sampleRecord({ id: "seen" }))]]);
  await held.end("commit");
  const after = await begun(store.store);
  const { records } = await store.store.find({ order: "key", tenant, limit: 10, now: 0 });
  assert.deepEqual(
    records.map(({ id }) => id),
    ["unseen"],
    "a reader that lists now has it",
  );
  await blind.end("commit");
  assert.deepEqual(idsOf(await store.store.news({ tenant, after, limit: 10 })), ["seen"]);
  await stranger.query("rollback");
  await stranger.end();
});

for (const listen of [true, false]) {
  test(`a reader with listen=${listen} misses nothing while its connections end`, async (context) => {
    const store = `${server.url()}?schema=lost_${listen}&listen=${listen}`;
    await using sessions = await openSessions({ store, sweep: false });
    await followTo(sessions, { store, chance: seededChanceOf(context), cuts: true });
  });
}

test("a reader behind a pooler in transaction mode misses nothing", { skip: missingPgBouncer() }, async (context) => {
  await using pooler = await PgBouncer.start(server);
  await (await openSessions({ store: `${server.url()}?schema=pooled`, sweep: false })).close();
  const store = `${pooler.url()}?schema=pooled`;
  await using sessions = await openSessions({ store, sweep: false });
  await followTo(sessions, { store, chance: seededChanceOf(context), cuts: false });
});

/** Follow the news of other processes to their end, and compare with the store. */
async function followTo(
  sessions: Sessions,
  { store, chance, cuts }: { readonly store: string; readonly chance: () => number; readonly cuts: boolean },
): Promise<void> {
  const following = new NewsFollower(() => sessions, chance).until("last");
  const seed = (): number => Math.floor(chance() * 2 ** 32);
  const workers = [1, 2].map(() => new WorkerProcess({ store, task: { kind: "changes", seed: seed(), changes: 150 } }));
  for (let cut = 1; cuts && cut <= 3; cut++) {
    await workers[0]?.hear("made", cut * 30);
    const others = "datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
    await query(server.url(), `select pg_terminate_backend(pid) from pg_stat_activity where ${others}`);
  }
  for (const worker of workers) await worker.ended();
  await sessions.create({ id: "last" });
  assert.deepEqual(sorted(await following), sorted(await versionsIn(sessions)));
}

test("a poll is one statement for any number of readers", async () => {
  const pool = new Pool({ connectionString: server.url() });
  let statements = 0;
  const counted = {
    query: (text: string, values?: unknown[]) => {
      if (text.includes("read_news")) statements++;
      return pool.query(text, values);
    },
  };
  const sessions = sessionsOn(await openPostgres({ pool: counted, schema: "counted" }), { sweep: false });
  const over = new AbortController();
  const begin = performance.now();
  let got = 0;
  const readers = Array.from({ length: 100 }, async () => {
    for await (const { items } of sessions.news({ signal: over.signal }))
      if (items.some((item) => "session" in item && item.session === "last")) got++;
  });
  await sessions.create({ id: "first" });
  while (statements < 8) await new Promise((resolve) => setImmediate(resolve));
  await sessions.create({ id: "last" });
  while (got < 100) await new Promise((resolve) => setImmediate(resolve));
  const polls = (performance.now() - begin) / 250;
  // The first ones follow each other sooner: a subscription begins with several.
  assert(statements < polls + 10, `${statements} statements in ${polls} polls`);
  over.abort();
  await Promise.all(readers);
  await sessions.close();
  await pool.end();
});

test("a read behind many news reads none of the earlier ones", async () => {
  const schema = "many";
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  let read: readonly [text: string, values: unknown[] | undefined] | undefined;
  const pool = {
    query: (text: string, values?: unknown[]) => {
      if (text.includes("read_news")) read = [text, values];
      return client.query(text, values);
    },
  };
  await using store = closing(await openPostgres({ pool, schema }));
  await begun(store.store);
  await client.query(
    `insert into ${schema}.news (tenant, kind, scope, id) select 'default', 'document', 's', n::text from generate_series(1, 50000) n`,
  );
  const { next: after = "" } = await store.store.news({ tenant, limit: 10 });
  assert.deepEqual((await store.store.news({ tenant, after, limit: 1000 })).changes, []);
  const [text, values] = read ?? assert.fail();
  const { rows } = await client.query(`explain (analyze, buffers, format json) ${text}`, values);
  const [row = assert.fail()] = rows;
  const [{ Plan: plan }] = row["QUERY PLAN"] as [{ Plan: Record<string, number> }];
  const pages = (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0);
  assert(pages < 100, `${pages} pages`);
  await client.end();
});

test("without a subscription a commit notes nothing; updates stay on their pages with and without one", async () => {
  const schema = "unread";
  const store = `${server.url()}?schema=${schema}`;
  const count = async (): Promise<number> =>
    Number((await query(server.url(), `select count(*) as count from ${schema}.news`))[0]?.["count"]);
  {
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "s" });
    for (let n = 0; n < 20; n++) await session.append({ input: `${n}` });
    await sessions.documents("state").put("k", 1);
    assert.equal(await count(), 0);
    const news = sessions.news();
    await news.next();
    for (let n = 0; n < 20; n++) await session.append({ input: `${n}` });
    assert.equal(await count(), 20);
    await sessions.documents("state").put("k", 2);
    assert.equal(await count(), 21);
    await news.return();
  }

  // A connection that ends reports its statistics, soon after it is closed.
  const stats = async (): Promise<Record<string, unknown>> => {
    for (;;) {
      const [row] = await query(
        server.url(),
        "select n_tup_upd as updates, n_tup_hot_upd as hot from pg_stat_user_tables where schemaname = $1 and relname = 'sessions'",
        [schema],
      );
      if (Number(row?.["updates"]) >= 40) return row ?? {};
      await sleep(10);
    }
  };
  const { updates, hot } = await stats();
  // A page is cleared of dead versions only once no statement can see them: on a busy machine a few updates find it full.
  assert(Number(hot) >= 0.9 * Number(updates), `${String(hot)} of ${String(updates)} updates stayed on their page`);

  await query(server.url(), `update ${schema}.news_subscriptions set expires_at = 1`);
  await using sessions = await openSessions({ store, sweep: false });
  await (await sessions.get("s")).append({ input: "unread" });
  assert.equal(await count(), 21);
});

test("old news are deleted in steps, and those without a subscription by a heartbeat", async () => {
  const schema = "old";
  await using store = closing(await openPostgres({ url: server.url(), schema }));
  const first = await begun(store.store);
  const run = (sql: string): Promise<Record<string, unknown>[]> => query(server.url(), sql);
  const count = async (): Promise<number> =>
    Number((await run(`select count(*) as count from ${schema}.news`))[0]?.["count"]);
  const filled = newsDeletedMax + 500;
  await run(
    `insert into ${schema}.news (tenant, kind, scope, id) select 'default', 'document', 's', n::text from generate_series(1, ${filled}) n`,
  );
  const age = `update ${schema}.news_subscriptions set marked_at = 0`;
  const read = (): Promise<FoundNews> => store.store.news({ tenant, after: first, limit: 1 });
  await run(age);
  await read();
  assert.equal(await count(), filled, "the mark is behind them now");
  await run(age);
  await read();
  await read();
  assert.equal(await count(), 500, "one step");
  assert.equal((await read()).isReset, true, "the cursor is before them");
  assert.equal(await count(), 0);

  await run(
    `insert into ${schema}.news (tenant, kind, scope, id) select 'default', 'document', 's', n::text from generate_series(1, ${filled}) n`,
  );
  await run(`update ${schema}.news_subscriptions set expires_at = 1`);
  const beat = (): Promise<void> => store.store.heartbeat(sampleInstance("any"));
  await beat();
  assert.equal(await count(), 500, "one step");
  await beat();
  await beat();
  assert.equal(await count(), 0);
  assert.deepEqual(await run(`select 1 from ${schema}.news_subscriptions`), []);
});

test("a scrub deletes all earlier news, also while a reader begins a subscription", async () => {
  const schema = "scrubbed";
  await using reader = closing(await openPostgres({ url: server.url(), schema }));
  const first = await begun(reader.store);
  const pool = new Pool({ connectionString: server.url() });
  let begins = false;
  const overtaken = {
    query: async (text: string, values?: unknown[]) => {
      const result = await pool.query(text, values);
      if (text.includes("expires_at = 0")) {
        begins = true;
        await reader.store.news({ tenant, limit: 10 });
        await reader.store.commit([[creationOf(sampleRecord({ id: "later" }))]]);
      }
      return result;
    },
  };
  await using store = closing(await openPostgres({ pool: overtaken, schema }));
  await store.store.commit([[creationOf(sampleRecord({ id: "erased" }))]]);
  await store.store.scrub();
  assert.equal(begins, true);
  assert.deepEqual(await query(server.url(), `select id from ${schema}.news`), [{ id: "later" }]);
  assert.equal((await reader.store.news({ tenant, after: first, limit: 10 })).isReset, true);
  await pool.end();
});

test("transactions that get ids again, after a crash of the server, are in the news", async () => {
  await using own = await PostgresServer.start();
  const open = (): Promise<Store> => openPostgres({ url: own.url(), schema: "again" });
  const before = await open();
  const after = await begun(before);
  const [id, place] = JSON.parse(Buffer.from(after, "base64url").toString()) as [string, string];
  await before.close();
  await own.stopImmediately();
  await own.start();
  // The snapshot of a reader that saw transactions rolled back whose ids the crash took back.
  const [snapshot = "", madeAt] = place.split(" ");
  const rolledBack = Number(snapshot.split(":")[1]) + 20;
  const seen = Buffer.from(JSON.stringify([id, `${rolledBack}:${rolledBack}: ${madeAt}`])).toString("base64url");
  await using store = closing(await open());
  const ids = Array.from({ length: 30 }, (_, n) => `session ${String(n).padStart(2, "0")}`);
  for (const one of ids) await store.store.commit([[creationOf(sampleRecord({ id: one }))]]);
  const page = await store.store.news({ tenant, after: seen, limit: 100 });
  assert.equal(page.isReset, false);
  assert.deepEqual(idsOf(page), ids);
  assert.deepEqual(idsOf(await store.store.news({ tenant, after: page.next ?? "", limit: 100 })), []);
});

test("cursors that no store has given are resets, and none fails the statement", async () => {
  await using store = closing(await openPostgres({ url: server.url(), schema: "forged" }));
  const after = await begun(store.store);
  const [id] = JSON.parse(Buffer.from(after, "base64url").toString()) as [string];
  const snapshot = "10:20:12,15";
  const places = [
    "",
    "17",
    "10:20",
    "20:10:",
    "10:20:30",
    "10:20:15,12",
    "10:20:12,12",
    "10:20:12,20",
    "10:20:9",
    "0:5:",
    "10:99999999999999999999:",
    `${2n ** 62n}:${2n ** 62n}:`,
    snapshot,
    `${snapshot} x`,
    `${snapshot} 1 ${snapshot} 11 1`,
    `${snapshot} 1 ${snapshot} 11 x`,
    `${snapshot} 1 ${snapshot} 11 1 1`,
    `${snapshot} 1 ${2n ** 62n}:${2n ** 62n}: 11 1`,
    `${snapshot} 1 ${2n ** 62n + 1n}:${2n ** 62n + 1n}: 11 1`,
    "' or true --",
  ];
  for (const place of places) {
    const forged = Buffer.from(JSON.stringify([id, place])).toString("base64url");
    const page = await store.store.news({ tenant, after: forged, limit: 10 });
    assert.equal(page.isReset, true, place);
    const next = await store.store.news({ tenant, after: page.next ?? "", limit: 10 });
    assert.equal(next.isReset, false, `the news go on after ${place}`);
  }
});

function closing(store: Store): AsyncDisposable & { readonly store: Store } {
  return { store, [Symbol.asyncDispose]: () => store.close() };
}
