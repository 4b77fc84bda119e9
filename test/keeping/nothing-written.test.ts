/** Refused calls and read-only stores: each row of the store is the same before and after. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { hasCode, openSessions, SessionError, type ErrorCode, type Sessions } from "../../src/index.ts";
import { openStore } from "../../src/open.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { engineNames, Engines } from "../crash/engines.ts";
import { query } from "../postgres/server.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** The tables that a process writes though no caller changes anything: heartbeats and counts of commits. */
const restless = ["instances", "lanes", "migrations"];

/** All rows of all tables, as text. */
async function rowsIn(store: string): Promise<string> {
  if (store.startsWith("sqlite:")) {
    using database = new DatabaseSync(store.slice("sqlite:".length), { readOnly: true });
    const all = database.prepare("select name from sqlite_schema where type = 'table' order by name").all();
    const rows = all
      .map(({ name }) => String(name))
      .filter((name) => !restless.includes(name))
      .map((name) => [name, database.prepare(`select * from ${name} order by 1`).all()]);
    return JSON.stringify(rows, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  }
  const [database = ""] = store.split("?");
  const schema = new URL(store).searchParams.get("schema") ?? "perdure";
  const named = `select table_name as name from information_schema.tables
    where table_schema = '${schema}' and table_type = 'BASE TABLE' order by 1`;
  tables[store] ??= (await query(database, named)).map(({ name }) => String(name));
  const texts = tables[store]
    .filter((name) => !restless.includes(name))
    .map(
      (name) => `select '${name}', (select string_agg(t::text, '|' order by t::text) from ${schema}.${name} t) as rows`,
    );
  return JSON.stringify(await query(database, texts.join(" union all ")));
}

/** The tables of each store on PostgreSQL. */
const tables: Record<string, readonly string[]> = {};

const limits = { turnBytesMax: 2000, entryBytesMax: 1000, documentBytesMax: 1000, chunksMax: 50, logsMax: 2 };

/** A store with something of each kind in it. */
async function stocked(store: string): Promise<void> {
  await using sessions = await openSessions({ store, sweep: false, limits });
  const session = await sessions.create({ id: "s", user: "ada", labels: { team: "ops" }, title: "One" });
  await session.write({
    turns: { turns: [{ input: "q", output: "a", key: "k" }] },
    logs: { notes: { entries: [{ key: "first", value: 1 }] }, other: { entries: [{ value: 1 }] } },
    documents: [{ scope: "d", key: "k", value: { n: 1 }, user: "ada" }],
  });
  for (const id of ["waits", "waits too"]) {
    const turn = await (await sessions.create({ id })).begin("may I?");
    await turn.write({ text: "so far" });
    await turn.wait({ state: { id }, reason: "approval" });
  }
  const acquired = await sessions.streams.acquire("over", { session: "s" });
  assert.ok(acquired.role === "producer");
  await acquired.stream.write("part");
  await acquired.stream.end();
}

type Refused = readonly [code: ErrorCode | readonly ErrorCode[], call: (sessions: Sessions) => Promise<unknown>];

async function tokenOf(sessions: Sessions, id: string): Promise<string> {
  return (await (await sessions.get(id)).waiting())?.token ?? assert.fail();
}

const manyLabels = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`label${n}`, "x"]));
const long = "x".repeat(257);
const large = "x".repeat(3000);

const refusals: readonly Refused[] = [
  // Labels and titles
  ["argument_invalid", (all) => all.create({ id: "new", labels: manyLabels })],
  ["argument_invalid", async (all) => await (await all.get("s")).update({ labels: manyLabels })],
  ["argument_invalid", async (all) => await (await all.get("s")).write({ set: { labels: manyLabels } })],
  ["argument_invalid", async (all) => await (await all.get("s")).update({ title: long })],
  ["argument_invalid", (all) => all.list({ labels: manyLabels })],
  // Named logs
  ["log_reserved", async (all) => await (await all.get("s")).write({ logs: { "perdure-x": { entries: [] } } })],
  ["log_reserved", async (all) => await (await all.get("s")).write({ logs: { chunks: { entries: [{ value: 1 }] } } })],
  ["id_invalid", async (all) => await (await all.get("s")).write({ logs: { "No Name": { entries: [] } } })],
  [
    "id_invalid",
    async (all) => await (await all.get("s")).write({ logs: { notes: { entries: [{ key: long, value: 1 }] } } }),
  ],
  [
    "write_too_large",
    async (all) => await (await all.get("s")).write({ logs: { third: { entries: [{ value: 1 }] } } }),
  ],
  [
    "write_too_large",
    async (all) => await (await all.get("s")).write({ logs: { notes: { entries: [{ value: large }] } } }),
  ],
  [
    "argument_invalid",
    async (all) =>
      await (await all.get("s")).write({ turns: { turns: [{ input: "x" }] }, onto: Number.MAX_SAFE_INTEGER }),
  ],
  ["conflict", async (all) => await (await all.get("s")).write({ turns: { turns: [{ input: "x" }] }, onto: 1 })],
  // One refused part refuses all of them
  [
    "document_conflict",
    async (all) =>
      await (
        await all.get("s")
      ).write({
        turns: { turns: [{ input: "x" }] },
        logs: { notes: { entries: [{ value: 2 }] } },
        documents: [
          { scope: "d", key: "new", value: 1 },
          { scope: "d", key: "k", value: 2, if: "absent" },
        ],
      }),
  ],
  [
    "session_not_found",
    async (all) =>
      await all.write([
        { id: "s", logs: { notes: { entries: [{ value: 2 }] } }, documents: [{ scope: "d", key: "new", value: 1 }] },
        { id: "nowhere", turns: { turns: [{ input: "x" }] } },
      ]),
  ],
  [
    "turn_waiting",
    async (all) =>
      await all.write([
        { id: "s", turns: { turns: [{ input: "x" }] } },
        { id: "waits", turns: { turns: [{ input: "x" }] } },
      ]),
  ],
  // Documents
  ["document_too_large", (all) => all.documents("d").put("k", large)],
  ["id_invalid", (all) => all.documents("d").put(long, 1)],
  ["id_invalid", async (all) => await all.documents(long).put("k", 1)],
  ["document_conflict", (all) => all.documents("d").put("k", 1, { if: 1 })],
  ["document_conflict", (all) => all.documents("d").delete("k", { if: 1 })],
  // Waiting turns
  ["turn_not_waiting", async (all) => await (await all.get("s")).resume(await tokenOf(all, "waits"))],
  ["turn_not_waiting", async (all) => await (await all.get("waits")).resume(await tokenOf(all, "waits too"))],
  ["turn_not_waiting", async (all) => await (await all.get("waits")).resume("guessed")],
  ["id_invalid", async (all) => await (await all.get("waits")).resume("")],
  ["turn_waiting", async (all) => await (await all.get("waits")).append({ input: "another" })],
  ["turn_waiting", async (all) => await (await all.get("waits")).begin("another")],
  ["argument_invalid", async (all) => await (await all.get("waits")).approve(await tokenOf(all, "waits"), {})],
  // Streams
  ["id_invalid", (all) => all.streams.acquire(long)],
  ["duration_invalid", (all) => all.streams.acquire("new", { ttl: -1 })],
  ["session_not_found", (all) => all.streams.acquire("new", { session: "nowhere" })],
  ["session_not_found", (all) => all.streams.acquireToken("new", { session: "nowhere" })],
  ["stream_ended", (all) => all.streams.append("over", { token: "1.x", after: 0, parts: [{ part: 1 }] })],
  ["stream_not_found", (all) => all.streams.finish("nowhere", { token: "1.x", after: 0 })],
  // Turns
  ["turn_too_large", async (all) => await (await all.get("s")).append({ input: large })],
  ["key_reused", async (all) => await (await all.get("s")).append({ input: "other" }, { key: "k" })],
  ["range_invalid", async (all) => await (await all.get("s")).truncate(9)],
  ["range_invalid", async (all) => await (await all.get("s")).fork({ as: "f", at: 9 })],
];

for (const name of engineNames) {
  test(`a refused call is a typed error and changes no row: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await stocked(store);
    const before = await rowsIn(store);
    await using sessions = await openSessions({ store, sweep: false, limits });
    for (const [index, [code, call]] of refusals.entries()) {
      const error = await Promise.resolve(sessions)
        .then(call)
        .then(
          () => assert.fail(`call ${index} (${String(code)}) was not refused`),
          (thrown: unknown) => thrown,
        );
      assert.ok(error instanceof SessionError && [code].flat().includes(error.code), `call ${index}: ${String(error)}`);
      assert.equal(await rowsIn(store), before, `call ${index}: ${error.code}`);
    }
  });

  test(`a read-only store gives documents, logs, streams and turns that wait, and refuses each write: ${name}`, async () => {
    const store = await (await engines.get(name)).fresh();
    await stocked(store);
    const before = await rowsIn(store);
    // A file is opened to read; a database is set so.
    const database = name === "PostgreSQL" ? store.split("?")[0] : undefined;
    const setting = `alter database ${new URL(database ?? "pg:/none").pathname.slice(1)}`;
    await using closing = new AsyncDisposableStack();
    if (database !== undefined) {
      await query(database, `${setting} set default_transaction_read_only = on`);
      closing.defer(async () => {
        const reset = `begin read write; ${setting} reset default_transaction_read_only; commit`;
        await query(database, reset);
      });
    }
    await using sessions = sessionsOn(await openStore(store, {}, { access: "read" }), { sweep: false, limits });
    const session = await sessions.get("s");
    assert.deepEqual(
      (await Array.fromAsync(session.log("notes").entries())).map(({ key, value }) => [key, value]),
      [["first", 1]],
    );
    assert.equal((await session.look([{ log: "turns", last: 1 }])).tails[0]?.length, 1);
    assert.deepEqual((await sessions.documents("d").get("k"))?.value, { n: 1 });
    assert.equal((await sessions.documents("d").list()).items.length, 1);
    assert.deepEqual(
      (await Array.fromAsync(sessions.streams.read("over"))).map(({ part }) => part),
      ["part"],
    );
    assert.equal(await sessions.streams.status("over"), "done");
    const waits = await sessions.get("waits");
    const token = await tokenOf(sessions, "waits");
    assert.equal((await sessions.list({ labels: { team: true } })).items.length, 1);
    const writes: readonly (() => Promise<unknown>)[] = [
      () => session.write({ logs: { notes: { entries: [{ value: 2 }] } } }),
      () => sessions.write([{ id: "s", turns: { turns: [{ input: "x" }] } }]),
      () => sessions.documents("d").put("k", 2),
      () => sessions.documents("d").delete("k"),
      () => sessions.documents("d").touch("k", "1h"),
      () => sessions.streams.acquire("new"),
      () => sessions.streams.acquireToken("new"),
      () => sessions.streams.delete("over"),
      () => session.update({ labels: { team: null } }),
      () => session.fork({ as: "f" }),
      () => waits.resume(token),
      () => waits.cancel(),
    ];
    for (const [index, write] of writes.entries()) {
      const failure = await write().then(
        () => undefined,
        (error: unknown) => error,
      );
      assert.ok(hasCode(failure, "store_read_only"), `write ${index}: ${String(failure)}`);
    }
    assert.equal(await rowsIn(store), before);
  });
}
