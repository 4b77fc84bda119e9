/** Long logs are moved and truncated in bounded statements, which may end at any point. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../src/errors.ts";
import { removeSession } from "../../src/domain/record/lifecycle.ts";
import type { Change, Transaction } from "../../src/domain/record/change.ts";
import type { SessionRecord } from "../../src/domain/record/record.ts";
import { openPostgres } from "../../src/store/postgres/index.ts";
import type { Store } from "../../src/store/store.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import { boundedPlace, openBounded, rowsMax, until } from "./bounded-statements.ts";
import { serverOfFile } from "./of-file.ts";
import { Pool, query } from "./server.ts";
import { isThorough } from "../support/rounds.ts";

const server = await serverOfFile();

/** A session with this many turns, which the server itself adds. */
async function fill(
  store: Store,
  { url, id, turns }: { url: string; id: string; turns: number },
): Promise<SessionRecord> {
  const schema = new URL(url).searchParams.get("schema");
  const made = creationOf(sampleRecord({ id }), { splices: [sampleSplice("events", 1, ["an event"])] });
  assert.deepEqual(await store.commit([[made]]), [{ status: "ok" }]);
  const heads = { ...made.record!.heads, turns };
  const filled = stepOf(made.record!, { fields: { heads } });
  assert.deepEqual(await store.commit([[filled]]), [{ status: "ok" }]);
  await query(
    server.url(),
    `set session_replication_role = replica;
     insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data)
     select tenant, id, logs, 'turns', seq, 'k' || seq, 1, seq::text
     from ${schema}.sessions, generate_series(1, ${turns}) as seq where id = '${id}'`,
  );
  return filled.record!;
}

async function seqs(store: Store, key: { tenant: string; id: string }, log = "turns"): Promise<string> {
  const range = { log, from: 1, to: 1e9, limit: 1e6, order: "ascending" } as const;
  const entries = await store.read({ tenant: key.tenant, id: key.id }, range);
  return entries.length === 0 ? "none" : `${entries[0]?.seq} to ${entries.at(-1)?.seq}, ${entries.length}`;
}

/** The change that a new session takes the logs over in. */
function taker(from: SessionRecord, id: string): Change {
  const created = creationOf(sampleRecord({ id }));
  return {
    ...created,
    record: { ...created.record!, heads: from.heads },
    logsOf: { tenant: from.tenant, id: from.id },
  };
}

function emptied(record: SessionRecord): Change {
  return stepOf({ ...record, heads: {} }, { splices: [sampleSplice("turns", 1, ["new"])] });
}

const moves: Readonly<Record<string, (record: SessionRecord) => Transaction>> = {
  "of a session that is removed": (record) => [taker(record, "takes"), removeSession(record)],
  "of a session that begins with empty logs": (record) => [taker(record, "takes"), emptied(record)],
};

for (const [index, [which, transaction]] of Object.entries(moves).entries()) {
  // A quick run has the first one.
  if (!isThorough && index > 0) break;
  test(`a session takes over the long logs ${which} in bounded statements`, async () => {
    const { url, count } = await boundedPlace(server, `moved_${index}`);
    await using store = await openBounded({ url });
    const record = await fill(store, { url, id: "gives", turns: 55_000 });
    assert.deepEqual(await store.commit([transaction(record)]), [{ status: "ok" }]);
    assert.equal(await seqs(store, { tenant: "default", id: "takes" }), "1 to 55000, 55000");
    assert.equal(await seqs(store, { tenant: "default", id: "takes" }, "events"), "1 to 1, 1");
    assert.equal(await seqs(store, record), index === 0 ? "none" : "1 to 1, 1");
    await until(async () => (await count("removed")) === 0);
    assert.equal(await count("entries"), 55_001 + index);
  });

  test(`readers see the long logs ${which} while they are copied, and a conflict discards the copy`, async () => {
    const { url, count } = await boundedPlace(server, `copied_${index}`);
    await using reader = await openBounded({ url });
    const record = await fill(reader, { url, id: "gives", turns: 55_000 });
    const pool = new Pool({ connectionString: server.url(), max: 2 });
    let steps = 0;
    const store = await openPostgres({
      pool: {
        query: async (text, values) => {
          const result = await pool.query(text, values);
          if (!text.includes("copy_logs(")) return result;
          if (++steps % 8 !== 3) return result;
          assert.equal(await seqs(reader, record), "1 to 55000, 55000");
          assert.equal(await seqs(reader, { tenant: "default", id: "takes" }), "none");
          assert.equal(await count("readable_turns"), 55_000);
          const { logs } = await reader.stats({ tenant: "default", now: 0, by: [], limit: 1 });
          assert.deepEqual(
            logs.map(({ log, entries }) => [log, entries]),
            [
              ["events", 1],
              ["turns", 55_000],
            ],
          );
          assert.deepEqual(
            (await reader.inspect()).filter(({ kind }) => kind === "orphans"),
            [],
          );
          if (steps === 3) assert.deepEqual(await reader.commit([[stepOf(record)]]), [{ status: "ok" }]);
          return result;
        },
      },
      schema: `copied_${index}`,
    });
    const [outcome] = await store.commit([transaction(record)]);
    assert.equal(outcome?.status, "conflict");
    assert.ok(steps > 25, `${steps} steps`);
    await until(async () => (await count("removed")) === 0);
    assert.equal(await count("entries"), 55_001);
    assert.equal(await seqs(reader, record), "1 to 55000, 55000");
    await store.close();
    await pool.end();
  });
}

test("a process that is killed between the steps of a move leaves the session as it was, and its copy is deleted", async () => {
  const { url, count } = await boundedPlace(server, "killed");
  await using living = await openBounded({ url });
  const record = await fill(living, { url, id: "gives", turns: 55_000 });
  const pool = new Pool({ connectionString: server.url(), max: 2 });
  const killed = Promise.withResolvers<void>();
  let steps = 0;
  const store = await openPostgres({
    pool: {
      query: async (text, values) => {
        if (text.includes("copy_logs(") && ++steps > 3) {
          killed.resolve();
          return await new Promise<never>(() => undefined);
        }
        return await pool.query(text, values);
      },
    },
    schema: "killed",
  });
  const committing = store.commit([[taker(record, "takes"), emptied(record)]]);
  await Promise.race([killed.promise, committing.then(() => assert.fail("it was not killed"))]);
  await pool.end();
  assert.equal(await count("entries"), 55_001 + 3 * rowsMax);
  assert.equal(await seqs(living, record), "1 to 55000, 55000");
  // The next process makes a copy of its own.
  assert.deepEqual(await living.commit([[taker(record, "takes"), emptied(record)]]), [{ status: "ok" }]);
  // A minute passes.
  await query(server.url(), "update killed.removed set due_at = now()");
  await living.scrub();
  assert.equal(await count("entries"), 55_002);
  assert.equal(await seqs(living, { tenant: "default", id: "takes" }), "1 to 55000, 55000");
});

test("a copy that was deleted meanwhile is not taken", async () => {
  const { url, count } = await boundedPlace(server, "late");
  await using living = await openBounded({ url });
  const record = await fill(living, { url, id: "gives", turns: 55_000 });
  const pool = new Pool({ connectionString: server.url(), max: 2 });
  let steps = 0;
  const store = await openPostgres({
    pool: {
      query: async (text, values) => {
        if (text.includes("copy_logs(") && ++steps === 4) {
          await query(server.url(), "update late.removed set due_at = now()");
          await query(server.url(), "select late.delete_removed(0)");
        }
        return await pool.query(text, values);
      },
    },
    schema: "late",
    deadline: "3s",
  });
  await assert.rejects(
    store.commit([[taker(record, "takes"), emptied(record)]]),
    (error) => hasCode(error, "store_unavailable") && error.message.includes("not continued in time"),
  );
  assert.equal(await seqs(living, record), "1 to 55000, 55000");
  await living.scrub();
  assert.equal(await count("entries"), 55_001);
  await store.close();
  await pool.end();
});

for (const batch of ["alone", "in a batch"])
  test(`a truncation that cuts many entries, ${batch}, deletes them in bounded statements`, async () => {
    const { url, count } = await boundedPlace(server, batch === "alone" ? "cut_alone" : "cut_batch");
    await using store = await openBounded({ url });
    const record = await fill(store, { url, id: "long", turns: 55_000 });
    const cut = stepOf(record, {
      fields: { heads: { events: 1, turns: 4001 } },
      splices: [sampleSplice("turns", 4001, [{ key: "k4001", value: "instead" }])],
    });
    const beside = batch === "alone" ? [] : [[creationOf(sampleRecord({ id: "beside" }))]];
    const outcomes = await store.commit([[cut], ...beside]);
    assert.deepEqual(outcomes, [{ status: "ok" }, ...beside.map(() => ({ status: "ok" }))]);
    assert.equal(await seqs(store, record), "1 to 4001, 4001");
    assert.equal(await seqs(store, record, "events"), "1 to 1, 1");
    const [last] = await store.read(record, { log: "turns", keys: ["k4001"] });
    assert.equal(last?.data, '"instead"');
    await until(async () => (await count("removed")) === 0);
    assert.equal(await count("entries"), 4002);
    const stale = await store.commit([[stepOf(record, { splices: [sampleSplice("turns", 1, [])] })]]);
    assert.equal(stale[0]?.status, "conflict");
  });
