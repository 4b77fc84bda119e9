/** Opening a store: many processes at once, few rights, schemas of other programs, wrong addresses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { removeSession } from "../../src/domain/record/lifecycle.ts";
import { hasCode, type ErrorCode } from "../../src/errors.ts";
import { migratePostgres, openPostgres, postgresSchemaScript } from "../../src/store/postgres/index.ts";
import type { PostgresOptions } from "../../src/store/postgres/options.ts";
import { creationOf, sampleEntries, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import { layoutOf, stepSql } from "../../src/store/postgres/schema/migrate.ts";
import { migrations } from "../../src/store/postgres/schema/schema.ts";
import { earlierRowOf } from "../support/earlier-row.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { Proxy } from "./proxy.ts";
import { serverOfFile } from "./of-file.ts";
import { isThorough } from "../support/rounds.ts";
import { freePort, query } from "./server.ts";

/** The newest version of the schema. */
const known = migrations.length;

const server = await serverOfFile();

let databases = 0;
/** The URL of an empty database. */
async function emptyDatabase(options = ""): Promise<string> {
  return await server.createDatabase(`empty_${databases++}`, options);
}

/** The URL for a new user who may log in and no more. */
async function strangerTo(url: string): Promise<{ url: string; user: string }> {
  const user = `stranger_${databases++}`;
  await query(url, `create user ${user} password 'secret'`);
  return { url: url.replace(/\/\/[^@]*@/, `//${user}:secret@`), user };
}

/** The store refuses to open, and does not try again until its deadline. */
async function failsWith(options: PostgresOptions, code: ErrorCode, text: RegExp): Promise<void> {
  const start = performance.now();
  const opening = openPostgres({ deadline: "5m", ...options });
  await assert.rejects(opening, (error: Error) => {
    assert.ok(hasCode(error, code), `${code}, not ${String(error)}`);
    assert.match(error.message, text);
    assert.doesNotMatch(error.message, /durable|secret/, "no password is told");
    return true;
  });
  assert.ok(performance.now() - start < 60_000, "the store does not wait for its deadline");
}

test("ten processes that start at once on an empty database all start, and each step is applied once", async () => {
  const store = await emptyDatabase();
  const starters = Array.from(
    { length: 10 },
    (_, index) => new WorkerProcess({ store, task: { kind: "race", session: `s${index}`, name: "first", times: 1 } }),
  );
  await Promise.all(starters.map((starter) => starter.ended()));
  const ofTenant = "select count(*)::int as n from perdure.sessions where tenant = 'default'";
  assert.deepEqual(await query(store, ofTenant), [{ n: 10 }]);
  assert.deepEqual(
    await query(store, "select version from perdure.migrations order by version"),
    migrations.map(({ version }) => ({ version })),
  );
});

test("a write to a database that is set read-only fails at once, reads go on, and writes succeed after the setting is gone", async () => {
  const url = await emptyDatabase();
  await migratePostgres({ url });
  const name = new URL(url).pathname.slice(1);
  const admin = server.url();
  const change = creationOf(sampleRecord({ id: "s" }));
  await query(admin, `alter database ${name} set default_transaction_read_only = on`);
  const store = await openPostgres({ url, deadline: "1h" });
  await assert.rejects(store.commit([[change]]), { code: "store_read_only" });
  assert.deepEqual((await store.load([{ key: { tenant: "default", id: "s" }, tails: [] }])).sessions, [undefined]);
  await store.close();
  await query(admin, `alter database ${name} reset default_transaction_read_only`);
  const next = await openPostgres({ url });
  assert.deepEqual(await next.commit([[change]]), [{ status: "ok" }]);
  await next.close();
});

test("a program without the right to change the schema runs on an existing schema", async () => {
  const owner = await emptyDatabase();
  const { url, user } = await strangerTo(owner);
  await failsWith({ url }, "store_read_only", /permission denied.*perdure migrate/s);
  await failsWith(
    { url, migrate: false },
    "store_invalid",
    /there is no store at .*it has no schema perdure.*perdure migrate/s,
  );
  await migratePostgres({ url: owner });
  const tables = "on all tables in schema perdure to";
  const all = `grant usage on schema perdure to ${user}; grant select, insert, update, delete ${tables} ${user}`;
  await failsWith({ url }, "store_access_denied", new RegExp(`cannot be read: permission denied.* runs: ${all}$`));
  await query(owner, `do $$ begin ${all}; end $$`);
  const store = await openPostgres({ url });
  const record = sampleRecord({ id: "s" });
  const change = creationOf(record, { splices: [sampleSplice("turns", 1, ["one"])] });
  const other = creationOf(sampleRecord({ id: "t" }));
  const outcomes = [
    ...(await store.commit([[change], [other]])),
    ...(await store.commit([[stepOf(change.record!)], [removeSession(other.record!)]])),
  ];
  assert.ok(outcomes.every(({ status }) => status === "ok"));
  const {
    sessions: [loaded],
  } = await store.load([{ key: record, tails: [{ log: "turns", last: 1 }] }]);
  assert.equal(loaded?.tails[0]?.length, 1);
  assert.equal((await store.find({ order: "recent", tenant: "default", now: 0, limit: 5 })).records.length, 1);
  await store.heartbeat({
    id: "i",
    host: "h",
    pid: 1,
    machine: "m",
    startedAt: "0",
    address: null,
    staleAfterMs: null,
  });
  assert.equal((await store.instances(["i"])).instances.length, 1);
  await store.close();
});

test("a role that may only read reads, and a refused write names the grant that helps", async () => {
  const owner = await emptyDatabase();
  const { url, user } = await strangerTo(owner);
  await migratePostgres({ url: owner });
  const kept = creationOf(sampleRecord({ id: "kept" }));
  const first = await openPostgres({ url: owner });
  await first.commit([[kept]]);
  assert.deepEqual(await first.inspect(), [], "the owner lacks no right");
  await first.close();
  await query(owner, `grant usage on schema perdure to ${user}`);
  const denied = { code: "store_access_denied", message: /permission denied for table/ };
  await assert.rejects(openPostgres({ url }), denied);
  await query(owner, `grant select on all tables in schema perdure to ${user}`);
  const store = await openPostgres({ url });
  const { sessions } = await store.load([{ key: kept.key, tails: [] }]);
  assert.equal(sessions[0]?.record.id, "kept");
  assert.equal((await store.stats({ tenant: "default", now: 0, by: [], limit: 1 })).sessions.states.active, 1);
  const grant = `grant insert, update, delete on all tables in schema perdure to ${user}`;
  await assert.rejects(store.commit([[creationOf(sampleRecord({ id: "s" }))]]), {
    code: "store_read_only",
    message: new RegExp(`cannot be written: permission denied for table .*; the owner of the schema runs: ${grant}$`),
    details: {
      store: url.replace(/\/\/[^@]*@/, "//"),
      schema: "perdure",
      role: user,
      rights: ["insert", "update", "delete"],
    },
  });
  const what = `the role ${user} lacks 3 rights: insert, update, delete; the owner of the schema runs: ${grant}`;
  assert.deepEqual(await store.inspect(), [{ kind: "rights", what, fix: null, repaired: false }]);
  await store.close();
  await query(owner, `revoke select on perdure.entries from ${user}`);
  const blind = await openPostgres({ url });
  await assert.rejects(blind.read(kept.key, { log: "turns", from: 1, to: 9, order: "ascending", limit: 5 }), {
    code: "store_access_denied",
    message: /grant select, insert, update, delete on all tables/,
  });
  await assert.rejects(blind.stats({ tenant: "default", now: 0, by: [], limit: 1 }), { code: "store_access_denied" });
  await blind.close();
});

test("a dry run lists the missing steps and changes nothing; a migration lists the steps that it applied", async () => {
  const url = await emptyDatabase();
  const steps = migrations.map(({ version, title, breaking }) => ({ version, title, breaking }));
  assert.deepEqual(await migratePostgres({ url }, { dryRun: true }), { found: 0, known, steps });
  assert.deepEqual(await query(url, "select to_regnamespace('perdure') as found"), [{ found: null }]);
  assert.deepEqual(await migratePostgres({ url }), { found: 0, known, steps });
  assert.deepEqual(await migratePostgres({ url }), { found: known, known, steps: [] });
});

test("each older schema is migrated with its data", async () => {
  for (const partitions of [1, 3]) {
    for (let from = 1; from < known; from++) {
      // A quick run takes every third step, and with partitions the first and the last one.
      const isTaken = from === 1 || from === known - 1 || (partitions === 1 && from % 3 === 0);
      if (!isThorough && !isTaken) continue;
      const url = await emptyDatabase();
      const layout = layoutOf({ schema: "perdure", partitions });
      for (const step of migrations.slice(0, from)) await query(url, stepSql(step, layout));
      const sample = sampleRecord({ id: "s" });
      const counters = { ...sample.counters, turns: 3 };
      const row = earlierRowOf({ ...sample, counters, heads: { events: 1 } });
      const [event] = sampleEntries(1, [{ type: "created" }]);
      assert.ok(event);
      await query(
        url,
        `insert into perdure.sessions (tenant, id, agent, state, created_at, state_since, sweep_at, active_minute, version,
           last_activity_at, expires_at, data) values ('default', 's', $1, $2, $3, 0, $3, 0, 1, 0, $3, $4)`,
        [row.agent, row.state, row.expiresAt, row.data],
      );
      await query(
        url,
        "insert into perdure.entries (tenant, session, log, seq, at, data) values ('default', 's', 'events', 1, $1, $2)",
        [event.at, event.data],
      );
      const store = await openPostgres({ url });
      const { events } = await store.events({ tenant: "default", order: "ascending", limit: 9 });
      assert.deepEqual(events, [{ session: "s", agent: row.agent, entry: event }]);
      const {
        sessions: [loaded],
      } = await store.load([{ key: { tenant: "default", id: "s" }, tails: [] }]);
      assert.ok(loaded);
      assert.deepEqual([loaded.record.title, loaded.record.labels], [null, {}]);
      const counted = async (): Promise<unknown> => [
        await query(url, "select turns from perdure.readable_sessions"),
        (await store.stats({ tenant: "default", now: 1, by: [], limit: 1 })).sessions.turns,
      ];
      const before = await counted();
      assert.deepEqual(before, [[{ turns: "3" }], [[3, 1]]]);
      const labelled = stepOf(loaded.record, { fields: { title: "The first", labels: { team: "ops" } } });
      assert.deepEqual(await store.commit([[labelled]]), [{ status: "ok" }]);
      assert.deepEqual(await counted(), before, "the record is shorter now");
      const filter = { tenant: "default", now: 0, labels: { team: "ops" } };
      assert.equal(await store.count(filter), 1);
      assert.deepEqual(await store.inspect(), [], "the doctor finds nothing");
      await store.close();
    }
  }
});

test("a table of the user that refers to sessions does not stop a migration", async () => {
  const url = await emptyDatabase();
  for (const step of migrations.slice(0, 15))
    await query(url, stepSql(step, layoutOf({ schema: "perdure", partitions: 1 })));
  await query(
    url,
    `create table mine (t text collate "C", i text collate "C", foreign key (t, i) references perdure.sessions (tenant, id))`,
  );
  const { steps } = await migratePostgres({ url });
  assert.equal(steps.at(-1)?.version, known);
  const store = await openPostgres({ url, migrate: false });
  assert.deepEqual(await store.commit([[creationOf(sampleRecord())]]), [{ status: "ok" }]);
  assert.deepEqual(await store.inspect(), []);
  await store.close();
});

test("the printed script makes the schema, run once or twice by hand", async () => {
  const url = await emptyDatabase();
  const schema = `it's "ours"; $body$`;
  const script = postgresSchemaScript({ schema, partitions: 3 });
  await query(url, script);
  await query(url, script);
  const store = await openPostgres({ url, schema, migrate: false });
  assert.deepEqual(await store.commit([[creationOf(sampleRecord())]]), [{ status: "ok" }]);
  await store.close();
  const parents = "select relkind from pg_class where relname like 'entries%' and relkind in ('p', 'I')";
  const divided = (await query(url, parents)).length;
  assert.deepEqual(await query(url, `select count(*)::int as n from pg_inherits`), [{ n: 3 * divided }]);
});

test("a schema of a newer version is refused where it breaks this one, and only there", async () => {
  const url = await emptyDatabase();
  const running = await openPostgres({ url });
  const newer = (version: number, breaking: boolean): Promise<unknown> =>
    query(url, "insert into perdure.migrations (version, title, breaking) values ($1, 'from the future', $2)", [
      version,
      breaking,
    ]);
  await newer(known + 1, false);
  const store = await openPostgres({ url });
  assert.deepEqual(await store.commit([[creationOf(sampleRecord())]]), [{ status: "ok" }]);
  await store.close();
  await newer(known + 2, true);
  await failsWith({ url }, "store_schema_newer", new RegExp(`schema ${known + 2}.*up to ${known}`));
  await assert.rejects(migratePostgres({ url }), (error) => hasCode(error, "store_schema_newer"));
  // A breaking step renames what older programs call: one that is running stops, and says why.
  await query(url, "alter function perdure.commit_batch rename to commit_batch_3");
  await assert.rejects(running.commit([[creationOf(sampleRecord({ id: "late" }))]]), (error) =>
    hasCode(error, "store_schema_newer"),
  );
  await running.close();
});

test("a store with a dropped function is refused, and the error names the function", async () => {
  const url = await emptyDatabase();
  const store = await openPostgres({ url });
  await query(url, "drop function perdure.load_one");
  await assert.rejects(
    store.load([{ key: sampleRecord(), tails: [] }]),
    (error: Error) => hasCode(error, "store_invalid") && error.message.includes("load_one"),
  );
  await store.close();
});

test("a schema dropped under a running program is created again, or is an error without the right to migrate", async () => {
  const url = await emptyDatabase();
  const store = await openPostgres({ url });
  const bound = await openPostgres({ url, migrate: false });
  await query(url, "drop schema perdure cascade");
  await assert.rejects(bound.commit([[creationOf(sampleRecord())]]), (error) => hasCode(error, "store_invalid"));
  assert.deepEqual(await store.commit([[creationOf(sampleRecord())]]), [{ status: "ok" }]);
  await store.close();
  await bound.close();
});

test("a schema with tables of another program is left alone", async () => {
  const url = await emptyDatabase();
  await query(url, "create table public.sessions (id integer)");
  await failsWith({ url, schema: "public" }, "store_invalid", /"sessions" already exists.*another schema/);
  assert.deepEqual(await query(url, "select to_regclass('public.migrations') as found"), [{ found: null }]);
});

test("a database of another encoding is refused", async () => {
  const url = await emptyDatabase("template template0 encoding 'LATIN1' locale_provider libc locale 'C'");
  await failsWith({ url }, "store_invalid", /UTF8/);
});

test("wrong address, user, password and database fail at once, named, without the password", async () => {
  const url = server.url();
  await failsWith({ url: url.replace("durable", "wrong") }, "store_unavailable", /password authentication failed/);
  await failsWith({ url: url.replace("perdure:", "nobody:") }, "store_unavailable", /nobody/);
  await failsWith({ url: server.url("nowhere") }, "store_unavailable", /nowhere/);
  await failsWith({ url: url.replace("127.0.0.1", "no-such-host.invalid") }, "store_unavailable", /no-such-host/);
  const closed = url.replace(String(server.port), String(await freePort()));
  await failsWith({ url: closed }, "store_unavailable", /ECONNREFUSED/);
  await failsWith({ url: `${url}?sslmode=require` }, "store_unavailable", /SSL/);
});

test("an address that swallows everything fails after the deadline", async () => {
  await using proxy = await Proxy.before(server.port);
  proxy.stall();
  const url = proxy.url();
  await failsWith({ url, deadline: "600ms", connectTimeout: "200ms", attempt: "300ms" }, "store_unavailable", /./);
});

test("invalid options are refused before a connection is opened", async () => {
  const url = server.url();
  const wrong: readonly PostgresOptions[] = [
    {},
    { url, pool: { query: async () => ({ rows: [] }) } },
    { pool: {} as never },
    { url, schema: "" },
    { url, schema: "x".repeat(64) },
    { url, schema: "pg_perdure" },
    { url, schema: "a\u0000b" },
    { url, partitions: 0 },
    { url, partitions: 1.5 },
    { url, max: 0 },
    { url: `${url}?max=many` },
    { url: `${url}?prepare=perhaps` },
  ];
  for (const options of wrong) await failsWith(options, "argument_invalid", /./);
  await failsWith({ url, deadline: -1 }, "duration_invalid", /deadline/);
});
