/** Large sessions are removed and replaced in bounded statements, which any process continues. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { erase } from "../../src/admin.ts";
import { removeSession } from "../../src/domain/record/lifecycle.ts";
import type { SessionRecord } from "../../src/domain/record/record.ts";
import { openSessions } from "../../src/index.ts";
import { openPostgres } from "../../src/store/postgres/index.ts";
import type { Store } from "../../src/store/store.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import { boundedPlace, openBounded, rowsMax, until } from "./bounded-statements.ts";
import { serverOfFile } from "./of-file.ts";
import { Pool, query } from "./server.ts";

const server = await serverOfFile();

const turns = 9000;

/** A store of a process that is killed before its deletion has run this many steps. */
async function mortal(url: string, steps: number): Promise<Store & AsyncDisposable> {
  const pool = new Pool({ connectionString: url.replace(/\?.*/, ""), max: 2 });
  let left = steps;
  const store = await openPostgres({
    pool: {
      query: async (text, values) => {
        if (text.includes("delete_removed(") && left-- <= 0) return await new Promise<never>(() => undefined);
        return await pool.query(text, values);
      },
    },
    schema: new URL(url).searchParams.get("schema") ?? "",
    deadline: "2s",
  });
  return Object.assign(store, { [Symbol.asyncDispose]: () => pool.end() });
}

async function fill(store: Store, id: string): Promise<SessionRecord> {
  let record: SessionRecord | undefined;
  for (let from = 1; from <= turns; from += rowsMax) {
    const length = Math.min(rowsMax, turns - from + 1);
    const values = Array.from({ length }, (_, index) => ({ key: `k${from + index}`, value: index }));
    const splices = [sampleSplice("turns", from, values)];
    const change = record === undefined ? creationOf(sampleRecord({ id }), { splices }) : stepOf(record, { splices });
    assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
    record = change.record!;
  }
  assert.ok(record);
  return record;
}

test("a session is removed whose entries the server cannot delete within the statement timeout", async () => {
  const { url, count } = await boundedPlace(server, "removal");
  await using store = await openBounded({ url });
  const record = await fill(store, "large");
  assert.deepEqual(await store.commit([[removeSession(record)]]), [{ status: "ok" }]);
  assert.deepEqual((await store.load([{ key: record, tails: [] }])).sessions, [undefined]);
  await until(async () => (await count("removed")) === 0);
  assert.equal(await count("entries"), 0);
});

for (const steps of [0, 1, 2, 3])
  test(`a process that is killed after ${steps} steps of a removal leaves the rest to the heartbeat of another one`, async () => {
    const { url, count } = await boundedPlace(server, `killed_${steps}`);
    await using living = await openBounded({ url });
    const record = await fill(living, "large");
    {
      await using store = await mortal(url, steps);
      assert.deepEqual(await store.commit([[removeSession(record)]]), [{ status: "ok" }]);
      await until(async () => (await count("entries")) <= turns - rowsMax * (steps + 1));
    }
    const left = await count("entries");
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
    await until(async () => (await count("removed")) === 0);
    assert.equal(await count("entries"), 1);
    assert.deepEqual(await read(), ["new"]);
    assert.deepEqual(
      (await living.inspect()).filter(({ kind }) => kind === "orphans"),
      [],
    );
  });

test("the first commit of the next process continues a removal", async () => {
  const { url, count } = await boundedPlace(server, "opener");
  {
    await using store = await mortal(url, 1);
    const record = await fill(store, "large");
    assert.deepEqual(await store.commit([[removeSession(record)]]), [{ status: "ok" }]);
    await until(async () => (await count("entries")) <= turns - rowsMax * 2);
  }
  await using next = await openBounded({ url });
  assert.deepEqual(await next.commit([[creationOf(sampleRecord({ id: "other" }))]]), [{ status: "ok" }]);
  await until(async () => (await count("removed")) === 0);
  assert.equal(await count("entries"), 0);
});

test("logs that replace many entries leave them to be deleted in steps", async () => {
  const { url, count } = await boundedPlace(server, "replaced");
  await using store = await openBounded({ url });
  const record = await fill(store, "large");
  const giver = creationOf(sampleRecord({ id: "gives" }), { splices: [sampleSplice("archive", 1, ["all"])] });
  assert.deepEqual(await store.commit([[giver]]), [{ status: "ok" }]);
  const taking = { ...stepOf(record, { fields: { heads: { archive: 1 } } }), logsOf: giver.key };
  assert.deepEqual(await store.commit([[taking, removeSession(giver.record!)]]), [{ status: "ok" }]);
  assert.equal(
    (await store.load([{ key: record, tails: [{ log: "turns", last: 9 }] }])).sessions[0]?.tails[0]?.length,
    0,
  );
  await until(async () => (await count("removed")) === 0);
  assert.equal(await count("entries"), 1);
});

test("removed logs with damaged entries keep no other ones, and an erasure reports them", async () => {
  const { url, count } = await boundedPlace(server, "damaged");
  await using sessions = await openSessions({ store: url, secret: "a secret of a test, long enough", sweep: false });
  await sessions.create({ id: "of ada", user: "ada" });
  // The server reports a damaged page of a table by this code.
  await query(
    server.url(),
    `insert into damaged.entries (tenant, session, logs, log, seq, at, data)
       select 'default', session, 1, 'turns', seq, 1, '{}'
       from unnest(array['a', 'b damaged', 'c', 'd damaged', 'e']) session, generate_series(1, 300) seq;
     insert into damaged.removed (tenant, session, logs)
       select distinct 'default', session, 1 from damaged.entries where log = 'turns';
     create function damaged.fails() returns trigger language plpgsql as
       $$ begin raise exception using errcode = 'XX001', message = 'invalid page in block 7'; end $$;
     create trigger fails before delete on damaged.entries for each row
       when (old.session like '% damaged') execute function damaged.fails();`,
  );
  await assert.rejects(erase(sessions, { user: "ada" }), { code: "store_invalid" });
  // The instance deletes removed logs too, and may be in the middle of one.
  await until(async () => (await count("removed")) === 2);
  assert.equal(await count("entries"), 600);
  await query(server.url(), "drop trigger fails on damaged.entries");
  assert.equal((await erase(sessions, { user: "ada" })).erased.sessions, 1);
  assert.deepEqual([await count("removed"), await count("entries")], [0, 0]);
});

test("an erasure ends once the entries that a killed process left are deleted", async () => {
  const { url, count } = await boundedPlace(server, "erased");
  {
    await using store = await mortal(url, 0);
    const record = await fill(store, "large");
    assert.deepEqual(await store.commit([[removeSession(record)]]), [{ status: "ok" }]);
  }
  assert.ok((await count("entries")) > rowsMax);
  await using sessions = await openSessions({ store: url, secret: "a secret of a test, long enough", sweep: false });
  await sessions.create({ id: "of ada", user: "ada" });
  const receipt = await erase(sessions, { user: "ada" });
  assert.equal(receipt.erased.sessions, 1);
  assert.deepEqual(
    [
      await count("removed"),
      (await query(server.url(), "select count(*)::int as count from erased.entries where session = 'large'"))[0]?.[
        "count"
      ],
    ],
    [0, 0],
  );
});
