/** A store at work: its pool, connections that end, tables that somebody touched, what SQL sees, what appends cost. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "../../src/errors.ts";
import { openSessions, type Labels, type Value } from "../../src/index.ts";
import { openPostgres } from "../../src/store/postgres/index.ts";
import type { Store } from "../../src/store/store.ts";
import { creationOf, sampleEntries, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import { until } from "../support/until.ts";
import { Proxy } from "./proxy.ts";
import { Pool, PostgresServer, query } from "./server.ts";
import { stats } from "../../src/admin.ts";

let server: PostgresServer;
let store: Store;
before(async () => {
  server = await PostgresServer.start({ settings: { autovacuum: "off" } });
  store = await openPostgres({ url: server.url() });
});
after(async () => {
  await store.close();
  await server[Symbol.asyncDispose]();
});

let names = 0;
/** A session of five turns, with keys. */
async function five(on: Store = store, labels: Labels = {}): Promise<ReturnType<typeof sampleRecord>> {
  const turns = Array.from({ length: 5 }, (_, index) => ({ key: `k${index + 1}`, value: index + 1 }));
  const change = creationOf(sampleRecord({ id: `s${names++}`, labels }), {
    splices: [sampleSplice("turns", 1, turns)],
  });
  assert.deepEqual(await on.commit([[change]]), [{ status: "ok" }]);
  return change.record!;
}

test("a pool of the caller's serves, and is left open", async () => {
  const pool = new Pool({ connectionString: server.url(), max: 2 });
  const own = await openPostgres({ pool });
  assert.equal(own.capabilities.lanes, 1);
  const record = await five(own);
  const {
    sessions: [loaded],
  } = await own.load([{ key: record, tails: [] }]);
  assert.deepEqual(loaded?.record, record);
  await own.close();
  assert.equal((await pool.query("select 1 as one")).rows[0]?.["one"], 1);
  await pool.end();
});

test("a hundred sums at once share a few connections, and none of them fails", async () => {
  const name = "sums";
  const sums = await openPostgres({ url: server.url(), applicationName: name });
  await using sessions = await openSessions({ store: sums, tenant: name, sweep: false });
  await (await sessions.create({ id: "s" })).append({ input: "one" });
  const connections = async (): Promise<number> => {
    const counted = "select count(*)::int as number from pg_stat_activity where application_name = $1";
    return Number((await query(server.url(), counted, [name]))[0]?.["number"]);
  };
  let isOver = false;
  const all = Promise.all(
    Array.from({ length: 100 }, async (_, index) =>
      index % 2 === 0 ? (await stats(sessions)).turns.turns : await sessions.count(),
    ),
  ).finally(() => (isOver = true));
  let most = 0;
  while (!isOver) most = Math.max(most, await connections());
  assert.deepEqual(
    await all,
    Array.from({ length: 100 }, () => 1),
  );
  // Four of the pool and two for sums.
  assert.ok(most <= 6, `${most} connections`);
  while ((await connections()) > 4) await sleep(20);
});

/** Texts of all lengths in bytes go to the server in one batch and come back. */
async function appendSixth(on: Store, records: readonly ReturnType<typeof sampleRecord>[]): Promise<void> {
  const values = ["a€\u{1f600}\u0000\u001e\u001f", ""];
  const steps = records.map((record, index) => [
    stepOf(record, { splices: [sampleSplice("turns", 6, [values[index] as string])] }),
  ]);
  assert.deepEqual(
    await on.commit(steps),
    records.map(() => ({ status: "ok" })),
  );
  for (const [index, record] of records.entries()) {
    const [entry] = await on.read(record, { log: "turns", from: 6, to: 6, order: "ascending", limit: 1 });
    assert.deepEqual(entry, sampleEntries(6, [values[index] as string])[0]);
  }
}

test("a batch of appends keeps every character", async () => {
  await appendSixth(store, [await five(), await five()]);
});

test("a pool with only the method query is enough, with any numbers, and gets no bytes", async () => {
  const pool = new Pool({ connectionString: server.url(), max: 1 });
  const own = await openPostgres({
    pool: {
      async query(text, values) {
        for (const value of values ?? []) assert.ok(value === null || typeof value !== "object", text);
        const { rows } = await pool.query(text, values);
        // As a driver of another kind may give bigints.
        return {
          rows: rows.map((row) =>
            Object.fromEntries(
              Object.entries(row).map(([name, value]) =>
                typeof value === "string" && /^\d{10,}$/.test(value) ? [name, BigInt(value)] : [name, value],
              ),
            ),
          ),
        };
      },
    },
  });
  const record = await five(own);
  const entries = await own.read(record, { log: "turns", from: 1, to: 5, order: "ascending", limit: 9 });
  assert.deepEqual(
    entries,
    sampleEntries(
      1,
      [1, 2, 3, 4, 5].map((value) => ({ key: `k${value}`, value })),
    ),
  );
  await appendSixth(own, [record, await five(own)]);
  await own.close();
  await pool.end();
});

test("a pool whose connections are all taken is an error after the deadline, with the pool's numbers", async () => {
  const pool = new Pool({ connectionString: server.url(), max: 1, connectionTimeoutMillis: 500 });
  const own = await openPostgres({ pool, deadline: "2500ms" });
  const taken = await pool.connect();
  const start = performance.now();
  await assert.rejects(
    own.load([{ key: sampleRecord(), tails: [] }]),
    (error: Error) =>
      hasCode(error, "store_unavailable") && /1 of at most 1 connections, 0 idle, \d+ waiting/.test(error.message),
  );
  // A try takes 500 ms. The last one begins before the deadline, or is left out if its pause would pass it.
  assert.ok(performance.now() - start >= 1250, "the store tries again for a connection");
  taken.release();
  assert.deepEqual((await own.load([{ key: sampleRecord({ id: "none" }), tails: [] }])).sessions, [undefined]);
  await own.close();
  await pool.end();
});

test("an error names the lock that delayed a statement, and its holder, and not a server that is away", async () => {
  const record = await five();
  const own = await openPostgres({ url: server.url(), deadline: "4s", attempt: "2s" });
  const pool = new Pool({ connectionString: server.url(), max: 1 });
  try {
    await own.load([{ key: record, tails: [] }]);
    await pool.query("begin");
    await pool.query("lock table perdure.sessions in access exclusive mode");
    const holder = String((await pool.query("select pg_backend_pid() as pid")).rows[0]?.["pid"]);
    await assert.rejects(own.load([{ key: record, tails: [] }]), (error) => {
      assert.ok(hasCode(error, "store_unavailable"), String(error));
      assert.deepEqual([error.details.problem, error.details.lockedBy], ["locked", [holder]]);
      assert.match(error.message, new RegExp(`can be reached.*process ${holder}.*pg_locks`));
      return true;
    });
    await pool.query("rollback");
    await own.load([{ key: record, tails: [] }]);
  } finally {
    await pool.end();
    await own.close();
  }
});

test("idle connections that the server ends fail neither the process nor the next call", async () => {
  const pool = new Pool({ connectionString: server.url(), max: 2 });
  for (const options of [{ url: server.url() }, { pool }]) {
    const one = await openPostgres(options);
    const record = await five(one);
    await query(
      server.url(),
      "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
    );
    await sleep(50); // an unhandled error event would end this process
    const {
      sessions: [loaded],
    } = await one.load([{ key: record, tails: [] }]);
    assert.deepEqual(loaded?.record, record);
    await one.close();
  }
  await pool.end();
});

test("connections have an application name and a statement timeout of the server", async () => {
  const own = await openPostgres({ url: server.url(), applicationName: "the shop", statementTimeout: "7s" });
  await five(own);
  const connections = async (): Promise<number> =>
    (await query(server.url(), "select pid from pg_stat_activity where application_name = 'the shop'")).length;
  assert.equal(await connections(), 1);
  await own.close();
  await until(async () => (await connections()) === 0);
});

test("a log with a gap is refused with its missing entry", async () => {
  const damage: readonly [string, number][] = [
    ["delete from perdure.entries where session = $1 and seq = 3", 3],
    ["delete from perdure.entries where session = $1 and seq = 5", 5],
    ["delete from perdure.entries where session = $1", 5],
    ["update perdure.entries set seq = 6 where session = $1 and seq = 5", 5],
  ];
  for (const [statement, seq] of damage) {
    const record = await five();
    await query(server.url(), statement, [record.id]);
    await assert.rejects(store.load([{ key: record, tails: [{ log: "turns", last: 4 }] }]), (error: Error) => {
      assert.ok(hasCode(error, "store_invalid"));
      const place = { sessionId: record.id, tenant: "default", problem: "changed_elsewhere", log: "turns", seq };
      assert.partialDeepStrictEqual(error.details, place);
      return true;
    });
  }
  const record = await five();
  await query(server.url(), "delete from perdure.entries where session = $1 and seq = 3", [record.id]);
  for (const order of ["ascending", "descending"] as const) {
    const reading = store.read(record, { log: "turns", from: 1, to: 9, order, limit: 9 });
    await assert.rejects(reading, (error) => hasCode(error, "store_invalid"));
  }
  const reading = store.read(record, { log: "turns", from: 3, to: 9, order: "ascending", limit: 9 });
  await assert.rejects(reading, (error) => hasCode(error, "store_invalid") && error.details.seq === 3);
});

test("an error names a record that was restored to an older version, and nothing is written to it", async () => {
  await using sessions = await openSessions({ store: server.url(), sweep: false });
  const session = await sessions.create({ id: "back" });
  await session.append({ input: "one" });
  await query(server.url(), "update perdure.sessions set version = version - 1 where id = 'back'");
  await assert.rejects(session.append({ input: "two" }), { code: "store_restored" });
  assert.equal((await Array.fromAsync(session.turns())).length, 1);
});

test("instances and lanes that ended long ago are forgotten", async () => {
  const beat = (id: string): Promise<void> =>
    store.heartbeat({ id, host: "h", pid: 1, machine: "m", startedAt: "0", address: null, staleAfterMs: null });
  for (const id of ["dead", "drowsy"]) await beat(id);
  await query(server.url(), "update perdure.instances set seen_at = seen_at - 86401000 where id = 'dead'");
  await query(server.url(), "update perdure.instances set seen_at = seen_at - 86000000 where id = 'drowsy'");
  await beat("alive");
  const { instances } = await store.instances(["dead", "drowsy", "alive"]);
  assert.deepEqual(instances.map(({ id }) => id).toSorted(), ["alive", "drowsy"]);

  await query(
    server.url(),
    `insert into perdure.lanes (id, number, born_at, used_at)
     select gen_random_uuid(), 5, now() - interval '2 days', now() - (n || ' hours')::interval
     from generate_series(20, 30) n`,
  );
  for (let index = 0; index < 4; index++) {
    const another = await openPostgres({ url: server.url() });
    await five(another);
    await another.close();
  }
  const [old] = await query(
    server.url(),
    "select count(*)::int as n, max(now() - used_at) < interval '25 hours' as recent from perdure.lanes where born_at < now() - interval '1 day'",
  );
  assert.deepEqual(old, { n: 4, recent: true });
});

for (const labels of [{}, { team: "ops", tier: "1", region: "eu-central" }]) {
  const has = Object.keys(labels).length === 0 ? "no labels" : "labels";
  test(`an append to a session with ${has} updates the record in place and no other row`, async () => {
    // A schema of its own: another connection tells its numbers later than it has written.
    const schema = `places_of_${has.replace(" ", "_")}`;
    const place = { url: server.url(), schema, max: 1 };
    const labelled = (): Promise<unknown> =>
      query(server.url(), `select xmin::text, name from ${schema}.labels where session = $1 order by name`, [
        record.id,
      ]);
    type Counts = Readonly<Record<string, { readonly ins: number; readonly upd: number; readonly hot: number }>>;
    const counts = async (): Promise<Counts> => {
      const rows = await query(
        server.url(),
        `select relname, n_tup_ins::int as ins, n_tup_upd::int as upd, n_tup_hot_upd::int as hot
       from pg_stat_user_tables where schemaname = $1`,
        [schema],
      );
      return Object.fromEntries(rows.map(({ relname, ...row }) => [relname, row])) as Counts;
    };
    // A connection tells its numbers when it is closed, or a moment later.
    const maker = await openPostgres(place);
    let record = await five(maker, labels);
    await maker.close();
    const rows = await labelled();
    let before = await counts();
    await until(async () => ((before = await counts())["entries"]?.ins ?? 0) >= 5);
    const own = await openPostgres(place);
    for (let seq = 6; seq <= 305; seq++) {
      const change = stepOf(record, {
        fields: { lastActivityAt: record.lastActivityAt + 1, expiresAt: record.expiresAt + 1 },
        splices: [sampleSplice("turns", seq, [{ text: "x".repeat(500) }])],
      });
      assert.deepEqual(await own.commit([[change]]), [{ status: "ok" }]);
      record = change.record!;
    }
    await own.close();
    let grown = before;
    const by = (table: string, field: "ins" | "upd" | "hot"): number => grown[table]![field] - before[table]![field];
    await until(async () => {
      grown = await counts();
      return by("entries", "ins") >= 300;
    });
    assert.equal(by("sessions", "upd"), 300);
    // On a busy machine a few updates find their page full of versions that a statement of another one may still see.
    assert.ok(by("sessions", "hot") >= 270, `${by("sessions", "hot")} of 300 in place`);
    assert.equal(by("entries", "ins"), 300);
    assert.equal(by("entries", "upd"), 0);
    assert.deepEqual(await labelled(), rows, "no row of labels is written again");
    assert.ok(by("lanes", "hot") >= by("lanes", "upd") - 2);
  });
}

test("views show all stored data, also values that jsonb cannot hold", async () => {
  await using sessions = await openSessions({ store: server.url(), tenant: "views", sweep: false });
  const session = await sessions.create({
    id: "v",
    agent: "ceo",
    user: "ann",
    metadata: { mood: "calm\u0000", lone: "\ud800" },
  });
  const odd = "a\u0000b \\u0000 \\\u0000 \ud83d\ude00 \udead \\";
  await session.append({
    input: odd,
    output: [
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "look", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c1", content: "found" },
      { role: "assistant", content: "done" },
    ],
    usage: { inputTokens: 3, outputTokens: 4, totalTokens: 7 },
    durationMs: 20,
  });
  await session.append({ input: "more", output: "less", usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 } });
  const ask = (text: string): Promise<Record<string, unknown>[]> => query(server.url(), text);
  assert.deepEqual(
    await ask(
      "select id, agent, user_id, metadata, turns, messages, total_tokens from perdure.readable_sessions where tenant = 'views'",
    ),
    [
      {
        id: "v",
        agent: "ceo",
        user_id: "ann",
        metadata: { mood: "calm\ufffd", lone: "\ufffd" } as Value,
        turns: "2",
        messages: "6",
        total_tokens: "9",
      },
    ],
  );
  assert.deepEqual(
    await ask(
      "select turn, part, place, role, text, tool_call_id from perdure.readable_messages where tenant = 'views' order by turn, part, place",
    ),
    [
      {
        turn: "1",
        part: "input",
        place: "1",
        role: "user",
        text: "a\ufffdb \\u0000 \\\ufffd \ud83d\ude00 \ufffd \\",
        tool_call_id: null,
      },
      { turn: "1", part: "output", place: "1", role: "assistant", text: null, tool_call_id: null },
      { turn: "1", part: "output", place: "2", role: "tool", text: "found", tool_call_id: "c1" },
      { turn: "1", part: "output", place: "3", role: "assistant", text: "done", tool_call_id: null },
      { turn: "2", part: "input", place: "1", role: "user", text: "more", tool_call_id: null },
      { turn: "2", part: "output", place: "1", role: "assistant", text: "less", tool_call_id: null },
    ],
  );
  assert.deepEqual(
    await ask(
      "select agent, turns, input_tokens, output_tokens, total_tokens, estimated_turns, day = current_date as today from perdure.usage_by_day where tenant = 'views'",
    ),
    [
      {
        agent: "ceo",
        turns: "2",
        input_tokens: "4",
        output_tokens: "5",
        total_tokens: "9",
        estimated_turns: "0",
        today: true,
      },
    ],
  );
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.input[0]?.content, odd, "what is kept is exact");
});

/** Values that no program of this version writes, as a damaged page or another program may leave them. */
const damaged = [
  "no json",
  '"text"',
  "[1]",
  `{"depth":${"[".repeat(100_000)}`,
  '{"input":{"no":"list"},"output":"none","requests":1.5e300,"usage":{"inputTokens":"many","estimated":"yes"}}',
  '{"counters":{"turns":"many","messages":1e400},"metadata":3,"lease":[],"type":{},"requests":true,"input":[1,null]}',
];

test("a damaged value is null in the views, and fails no other row", async () => {
  await using sessions = await openSessions({ store: server.url(), tenant: "damaged", sweep: false });
  const logs = ["turns", "events"];
  for (const [index] of damaged.entries()) {
    const session = await sessions.create({ id: `d${index}` });
    await session.append({ input: "fine", output: "fine", model: "m" });
  }
  const ask = (text: string): Promise<Record<string, unknown>[]> => query(server.url(), text);
  for (const [index, data] of damaged.entries()) {
    await ask(
      `update perdure.sessions set created_at = -9e15, data = $$${data}$$ where tenant = 'damaged' and id = 'd${index}'`,
    );
    for (const log of logs)
      await ask(
        `insert into perdure.entries (tenant, session, log, seq, at, data, logs)
          select tenant, id, '${log}', 50, -9e15, $$${data}$$, logs from perdure.sessions where tenant = 'damaged' and id = 'd${index}'`,
      );
  }
  const views = ["readable_sessions", "readable_turns", "readable_messages", "readable_events", "usage_by_day"];
  const rows = new Map<string, readonly Record<string, unknown>[]>();
  for (const view of views) rows.set(view, await ask(`select * from perdure.${view} where tenant = 'damaged'`));
  assert.equal(rows.get("readable_sessions")?.length, damaged.length);
  for (const { created_at: created, turns } of rows.get("readable_sessions") ?? [])
    assert.deepEqual([created, turns], [null, null]);
  const turns = rows.get("readable_turns") ?? [];
  assert.equal(turns.length, 2 * damaged.length);
  for (const { seq, at, requests, input_tokens: tokens } of turns) {
    if (seq === "50") assert.deepEqual([at, requests, tokens], [null, null, null]);
    else assert.equal(requests, "1");
  }
  assert.equal(rows.get("readable_messages")?.length, 2 * damaged.length + 2, "the list of two odd messages is shown");
  assert.equal(rows.get("readable_events")?.filter(({ seq }) => seq === "50").length, damaged.length);
  assert.equal(
    rows.get("usage_by_day")?.reduce((sum, { turns: count }) => sum + Number(count), 0),
    2 * damaged.length,
  );
  await ask(
    "delete from perdure.entries where tenant = 'damaged'; delete from perdure.sessions where tenant = 'damaged'",
  );
});

test("a function that lives for one request makes at most three round trips after it connected", async () => {
  await using proxy = await Proxy.before(server.port);
  const prepared = await openSessions({ store: server.url(), sweep: false });
  const session = await prepared.create({ id: "cold" });
  for (let index = 0; index < 30; index++) await session.append({ input: `${index}` });
  await prepared.close();

  const program = `
    const { openSessions } = await import(${JSON.stringify(new URL("../../src/index.ts", import.meta.url).href)});
    const sessions = await openSessions({ store: process.argv[1], sweep: false });
    const session = await sessions.get("cold");
    const turns = await Array.fromAsync(session.turns({ last: 20 }));
    if (turns.length !== 20) throw new Error("read " + turns.length);
    await session.append({ input: "more" });
    await sessions.close();`;
  await run(program, `${proxy.url()}?serverless=true`);
  assert.equal(proxy.connections, 1);
  const connected = 1; // the server is ready once when a connection begins
  assert.ok(proxy.roundTrips - connected <= 3, `${proxy.roundTrips - connected} round trips`);
});

/** Run a program in a process of its own to its end, which must be a good one. */
async function run(program: string, ...args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, ...args], { stdio: "inherit" });
  assert.deepEqual((await once(child, "exit"))[0], 0);
}

test("an open store does not keep its process alive, nor does a closed one", async () => {
  const program = `
    const { openPostgres } = await import(${JSON.stringify(new URL("../../src/store/postgres/index.ts", import.meta.url).href)});
    const store = await openPostgres({ url: process.argv[1] });
    await store.instances([]);
    if (process.argv[2] === "close") await store.close();
    const end = performance.now();
    process.on("exit", () => void (process.exitCode = performance.now() - end < 5000 ? 0 : 7));`;
  for (const ending of ["close", "forget"]) await run(program, server.url(), ending);
});
