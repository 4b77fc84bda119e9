/** Large sessions are removed and replaced in bounded statements, which any process continues. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { erase } from "../../src/admin.ts";
import { removeSession } from "../../src/domain/record/lifecycle.ts";
import type { SessionRecord } from "../../src/domain/record/record.ts";
import { openSessions } from "../../src/index.ts";
import { openPostgres } from "../../src/store/postgres/index.ts";
import type { Store } from "../../src/store/store.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import { Pool, PostgresServer, query } from "./server.ts";

let server: PostgresServer;
before(async () => {
  server = await PostgresServer.start();
});
after(async () => {
  await server[Symbol.asyncDispose]();
});

/** The most rows that a statement may delete. */
const rowsMax = 2000;
const turns = 9000;

interface Place {
  readonly url: string;
  readonly entries: () => Promise<number>;
  readonly removed: () => Promise<number>;
}

/** A store in which the server cancels a statement that deletes more rows, as it does after the statement timeout. */
async function place(schema: string): Promise<Place> {
  const url = `${server.url()}?schema=${schema}`;
  await (await openPostgres({ url })).close();
  await query(
    server.url(),
    `create function ${schema}.cancel() returns trigger language plpgsql as $$
     begin
       if (select count(*) from gone) > ${rowsMax} then raise query_canceled using message = 'too slow'; end if;
       return null;
     end $$;
     create trigger cancel after delete on ${schema}.entries referencing old table as gone
       for each statement execute function ${schema}.cancel()`,
  );
  const count = async (table: string): Promise<number> =>
    Number((await query(server.url(), `select count(*)::int as count from ${schema}.${table}`))[0]?.["count"]);
  return { url, entries: () => count("entries"), removed: () => count("removed") };
}

async function opened(url: string): Promise<Store & AsyncDisposable> {
  const store = await openPostgres({ url, deadline: "2s" });
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}

/** A store of a process that is killed before its deletion has run this many steps. */
async function mortal(url: string, steps: number): Promise<Store & AsyncDisposable> {
  const pool = new Pool({ connectionString: url.replace(/\?.*/, ""), max: 2 });
  let left = steps;
  const store = await openPostgres({
    pool: {
      query: async (text, values) => {
        if (text.includes("delete_removed()") && left-- <= 0) return await new Promise<never>(() => undefined);
        return await pool.query(text, values);
      },
    },
    schema: new URL(url).searchParams.get("schema") ?? "",
    deadline: "2s",
  });
  return Object.assign(store, { [Symbol.asyncDispose]: () => pool.end() });
}

async function fill(store: Store, id: string): Promise<SessionRecord> {
  const values = Array.from({ length: turns }, (_, index) => ({ key: `k${index}`, value: index }));
  const change = creationOf(sampleRecord({ id }), { splices: [sampleSplice("turns", 1, values)] });
  assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
  return change.record!;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(10);
}

test("a session is removed whose entries the server cannot delete within the statement timeout", async () => {
  const { url, entries, removed } = await place("removal");
  await using store = await opened(url);
  const record = await fill(store, "large");
  assert.deepEqual(await store.commit([[removeSession(record)]]), [{ status: "ok" }]);
  assert.deepEqual((await store.load([{ key: record, tails: [] }])).sessions, [undefined]);
  await until(async () => (await removed()) === 0);
  assert.equal(await entries(), 0);
});

for (const steps of [0, 1, 2, 3])
  test(`a process that is killed after ${steps} steps of a removal leaves the rest to the heartbeat of another one`, async () => {
    const { url, entries, removed } = await place(`killed_${steps}`);
    await using living = await opened(url);
    const record = await fill(living, "large");
    {
      await using store = await mortal(url, steps);
      assert.deepEqual(await store.commit([[removeSession(record)]]), [{ status: "ok" }]);
      await until(async () => (await entries()) <= turns - rowsMax * (steps + 1));
    }
    const left = await entries();
    assert.ok(left > 0, "some are left");
    // A lane of this store that has committed before looks for nothing.
    const again = creationOf(sampleRecord({ id: "large" }), {
      splices: [sampleSplice("turns", 1, [{ key: "k1", value: "new" }])],
    });
    assert.deepEqual(await living.commit([[again]]), [{ status: "ok" }]);
    const range = { log: "turns", from: 1, to: 9, limit: 9, order: "ascending" } as const;
    const read = async (): Promise<unknown[]> =>
      (await living.read(again.key, range)).map(({ data }) => JSON.parse(data));
    assert.deepEqual(await read(), ["new"]);
    const rows = await query(server.url(), `select count(*)::int as count from killed_${steps}.readable_turns`);
    assert.deepEqual(rows, [{ count: 1 }], "the views show no removed turns");
    await living.heartbeat({
      id: "i",
      host: "h",
      pid: 1,
      machine: "m",
      startedAt: "0",
      address: null,
      staleAfterMs: null,
    });
    await until(async () => (await removed()) === 0);
    assert.equal(await entries(), 1);
    assert.deepEqual(await read(), ["new"]);
    assert.deepEqual(
      (await living.inspect()).filter(({ kind }) => kind === "orphans"),
      [],
    );
  });

test("the first commit of the next process continues a removal", async () => {
  const { url, entries, removed } = await place("opener");
  {
    await using store = await mortal(url, 1);
    const record = await fill(store, "large");
    assert.deepEqual(await store.commit([[removeSession(record)]]), [{ status: "ok" }]);
    await until(async () => (await entries()) <= turns - rowsMax * 2);
  }
  await using next = await opened(url);
  assert.deepEqual(await next.commit([[creationOf(sampleRecord({ id: "other" }))]]), [{ status: "ok" }]);
  await until(async () => (await removed()) === 0);
  assert.equal(await entries(), 0);
});

test("logs that replace many entries leave them to be deleted in steps", async () => {
  const { url, entries, removed } = await place("replaced");
  await using store = await opened(url);
  const record = await fill(store, "large");
  const giver = creationOf(sampleRecord({ id: "gives" }), { splices: [sampleSplice("archive", 1, ["all"])] });
  assert.deepEqual(await store.commit([[giver]]), [{ status: "ok" }]);
  const taking = { ...stepOf(record, { fields: { heads: { archive: 1 } } }), logsOf: giver.key };
  assert.deepEqual(await store.commit([[taking, removeSession(giver.record!)]]), [{ status: "ok" }]);
  assert.equal(
    (await store.load([{ key: record, tails: [{ log: "turns", last: 9 }] }])).sessions[0]?.tails[0]?.length,
    0,
  );
  await until(async () => (await removed()) === 0);
  assert.equal(await entries(), 1);
});

test("an erasure ends once the entries that a killed process left are deleted", async () => {
  const { url, entries, removed } = await place("erased");
  {
    await using store = await mortal(url, 0);
    const record = await fill(store, "large");
    assert.deepEqual(await store.commit([[removeSession(record)]]), [{ status: "ok" }]);
  }
  assert.ok((await entries()) > rowsMax);
  await using sessions = await openSessions({ store: url, secret: "a secret of a test, long enough", sweep: false });
  await sessions.create({ id: "of ada", user: "ada" });
  const receipt = await erase(sessions, { user: "ada" });
  assert.equal(receipt.erased.sessions, 1);
  assert.deepEqual(
    [
      await removed(),
      (await query(server.url(), "select count(*)::int as count from erased.entries where session = 'large'"))[0]?.[
        "count"
      ],
    ],
    [0, 0],
  );
});
