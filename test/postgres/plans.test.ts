/** How the server goes about each hot statement: one session's rows by their key, whatever it knows of the tables. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionRecord } from "../../src/domain/record/record.ts";
import { removeSession } from "../../src/domain/record/lifecycle.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import type { SessionFilter, Store } from "../../src/store/store.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import { serverOfFile } from "./of-file.ts";
import { query } from "./server.ts";

const server = await serverOfFile({
  settings: {
    session_preload_libraries: "auto_explain",
    "auto_explain.log_min_duration": 0,
    "auto_explain.log_nested_statements": "on",
  },
});

/** The plans of everything that the server runs while `work` does. */
async function plansOf(work: () => Promise<void>): Promise<string[]> {
  const from = server.log.length;
  await work();
  const end = `end of ${from}`;
  await query(server.url(), `select '${end}'`);
  while (!server.log.slice(from).includes(end)) await sleep(10);
  return server.log
    .slice(from)
    .split(/^.*LOG: {2}duration: .*plan:$/m)
    .slice(1);
}

/** Every row of sessions and entries is found by a condition on an index that begins with tenant and session. */
function assertByKey(plans: readonly string[]): void {
  let looked = 0;
  for (const plan of plans) {
    assert.doesNotMatch(plan, /(Seq|Bitmap Heap) Scan on (?:\w+\.)?(sessions|entries)/, plan);
    const scans = plan.matchAll(/Index (?:Only )?Scan (?:Backward )?using (\w+) on (\w+)[^\n]*\n\s+(.*)/g);
    for (const [, index = "", table = "", condition = ""] of scans) {
      if (!/^(sessions|entries)/.test(table)) continue;
      looked++;
      // A removal takes all logs; everything else is about one.
      const removes = plan.includes("(_after_log, _after_seq)");
      const [second, bound] = table === "sessions" ? ["id", 2] : ["session", removes ? 3 : 4];
      assert.match(condition, /^Index Cond:.*\(tenant = /, plan);
      assert.match(condition, new RegExp(`\\(${second} = `), plan);
      assert(condition.split(" AND ").length >= bound, plan);
      // The index of agents has the id too, behind other columns: by it, the rows of the whole tenant would be read.
      if (table === "sessions") assert.equal(index, "sessions_pkey", plan);
      // A key is looked up by the index of keys: by the other one, the whole log would be read.
      if (/\(?key (=|>=) /.test(condition)) assert.match(index, /key/, plan);
      assert.doesNotMatch(plan, /Filter: \(?.*key (=|>=) /, plan);
    }
  }
  assert(looked > 0, "the plans show scans");
}

/** Everything that a commit can be about, and loading. */
async function commitsAndLoads(store: Store, id: string): Promise<void> {
  const [grown, other, gone] = ["", " other", " gone"].map((rest) =>
    creationOf(sampleRecord({ id: `${id}${rest}` }), { splices: [sampleSplice("turns", 1, [{ key: "a", value: 1 }])] }),
  );
  assert(grown && other && gone);
  await store.commit([[grown], [other], [gone]]);
  const append = stepOf(grown.record!, {
    splices: [sampleSplice("turns", 2, [{ key: "b", value: 2 }])],
    claims: [{ log: "turns", key: "b" }],
  });
  const [one, two] = [" one", " two"].map((rest) =>
    creationOf(sampleRecord({ id: `${id}${rest}` }), { splices: [sampleSplice("turns", 1, ["first"])] }),
  );
  assert(one && two);
  await store.commit([[one], [two]]);
  const appends = [one, two].map(({ record }) => [
    stepOf(record!, { splices: [sampleSplice("turns", 2, ["second"])] }),
  ]);
  assert.deepEqual(await store.commit(appends), [{ status: "ok" }, { status: "ok" }]);
  const pair = [stepOf(other.record!), removeSession(gone.record!)];
  assert.deepEqual(
    (await store.commit([[append], pair])).map(({ status }) => status),
    ["ok", "ok"],
  );
  assert.deepEqual(
    (await store.commit([[append], pair])).map(({ status }) => status),
    ["duplicate", "conflict"],
  );
  const tails = [{ log: "turns", last: 20 }];
  await store.load([
    { key: grown.key, tails },
    { key: other.key, tails },
  ]);
}

/** As {@link commitsAndLoads}, and reading. */
async function everything(store: Store, id: string): Promise<void> {
  await commitsAndLoads(store, id);
  const key = sampleRecord({ id });
  await store.read(key, { log: "turns", from: 1, to: 9, order: "descending", limit: 5 });
  await store.read(key, { log: "turns", keys: ["a", "b"] });
  for (const order of ["ascending", "descending"] as const)
    await store.read(key, { log: "turns", between: ["a", "b"], order, limit: 5, bytesMax: 1000 });
}

for (const partitions of [1, 8]) {
  describe(`with entries in ${partitions} part${partitions === 1 ? "" : "s"}`, () => {
    const schema = `parts_${partitions}`;
    let store: Store;
    before(async () => {
      store = await openPostgres({ url: server.url(), schema, partitions, max: 1 });
    });
    after(async () => {
      await store.close();
    });

    test("the plans of a connection on empty tables look up keys", async () => {
      assertByKey(await plansOf(() => everything(store, "first")));
    });

    test("cached plans still look up keys on grown tables", async () => {
      const turns = Array.from({ length: 3000 }, (_, index) => ({ key: `k${index}`, value: index }));
      for (const id of ["long", "longer"])
        await store.commit([[creationOf(sampleRecord({ id }), { splices: [sampleSplice("turns", 1, turns)] })]]);
      assertByKey(await plansOf(() => everything(store, "second")));
    });

    test("the plans of a new connection look up keys on grown tables, before and after analyze", async () => {
      for (const prepare of ["select 1", "analyze"]) {
        await query(server.url(), prepare);
        const another = await openPostgres({ url: server.url(), schema, max: 1 });
        assertByKey(await plansOf(() => everything(another, `after ${prepare}`)));
        await another.close();
      }
    });

    test("cached plans made on nearly empty tables still look up keys", async () => {
      for (const count of [1, 2, 3]) {
        const small = `small_${partitions}_${count}`;
        const first = await openPostgres({ url: server.url(), schema: small, partitions, max: 1 });
        for (let index = 0; index < count; index++) {
          const creation = creationOf(sampleRecord({ id: `only ${index}` }), {
            splices: [sampleSplice("turns", 1, [{ key: "k", value: 1 }])],
          });
          await first.commit([[creation]]);
        }
        await query(server.url(), `vacuum (analyze) ${small}.sessions, ${small}.entries`);
        await first.close();
        const another = await openPostgres({ url: server.url(), schema: small, max: 1 });
        assertByKey(await plansOf(() => commitsAndLoads(another, "small")));
        await another.close();
      }
    });

    test("a page of events and a page of events to delete are read along their index, at any number of events", async () => {
      for (const tenant of ["many", "few"]) {
        const sessions = tenant === "many" ? 2000 : 3;
        await query(
          server.url(),
          `insert into ${schema}.sessions
           select '${tenant}', 's' || n, 'ceo', null, 'active', 0, 0, 0, 0, 1, 0, 0, '{}' from generate_series(1, ${sessions}) n`,
        );
        await query(
          server.url(),
          `insert into ${schema}.entries
           select '${tenant}', 's' || n, 'events', seq, null, 1000 * seq + n, '{"type":"created"}'
           from generate_series(1, ${sessions}) n, generate_series(1, 10) seq`,
        );
      }
      for (const prepare of ["select 1", "analyze"]) {
        await query(server.url(), prepare);
        const plans = await plansOf(async () => {
          for (const tenant of ["many", "few"]) {
            for (const order of ["ascending", "descending"] as const) {
              const page = { tenant, order, limit: 50 } as const;
              const { next } = await store.events(page);
              for (const more of [
                { since: 5000 },
                { agent: "ceo" },
                { beginnings: ['{"type":'] },
                next && { after: next },
              ])
                if (more) await store.events({ ...page, ...more });
            }
          }
        });
        assert(plans.length >= 18, `${plans.length} plans`);
        for (const plan of plans.filter((one) => one.includes("entries"))) {
          assert.match(
            plan,
            /Index (?:Only )?Scan (?:Backward )?using \S*(entries_of_events|tenant_at_session_seq_idx)/,
            plan,
          );
          assert.doesNotMatch(plan, /(Seq|Bitmap Heap) Scan on (?:\w+\.)?(sessions|entries)/, plan);
          assert.doesNotMatch(plan, /(?:^|->)\s+Sort {2}\(/m, plan);
        }
        const deleting = await plansOf(async () => {
          await store.deleteEvents({ tenant: "many", before: 1010, limit: 5 });
          await store.deleteEvents({ before: 1020, limit: 5 });
        });
        for (const plan of deleting) assert.doesNotMatch(plan, /Seq Scan on (?:\w+\.)?entries/, plan);
      }
    });
  });
}

test("a list of a rare agent, or of a short time of creation, reads its index, and a common one walks its order", async () => {
  const store = await openPostgres({ url: server.url(), schema: "lists", max: 1 });
  await query(
    server.url(),
    `insert into lists.sessions
     select 'default', 's' || n, case when n % 1000 = 0 then 'rare' else 'common' end, null, 'active', n * 60000, 0, 0,
       n * 7919 % 20000, 1, n * 7919 % 20000 * 60000, 0, '{}'
     from generate_series(1, 20000) n`,
  );
  await query(server.url(), "analyze lists.sessions");
  const planOf = async (by: Partial<SessionFilter>, order: "recent" | "created" | "key"): Promise<string> => {
    const found = await plansOf(async () => {
      await store.find({ order, tenant: "default", now: 0, limit: 50, ...by });
    });
    return found.find((plan) => plan.includes("sessions")) ?? "";
  };
  const short = { createdSince: 60_000, createdBefore: 600_000 };
  for (const order of ["recent", "created", "key"] as const) {
    assert.match(await planOf({ agent: "rare" }, order), /sessions_of_agent/);
    assert.match(await planOf(short, order), /sessions_created/);
    assert.doesNotMatch(await planOf({ agent: "common" }, order), /Seq Scan|Bitmap/);
  }
  assert.match(await planOf({ agent: "common" }, "recent"), /sessions_recent/);
  await store.close();
});

test("a page of the conversations of a user and of a guest reads an index of theirs, among ten thousand and many", async () => {
  const store = await openPostgres({ url: server.url(), schema: "conversations", max: 1 });
  await query(
    server.url(),
    `insert into conversations.sessions
     select 'default', case when n % 200 = 0 then 'device_' || n / 4000 || '_' || n else 's' || n end, 'ceo',
       case when n % 200 = 0 then null when n % 4 = 0 then 'ann' else 'u' || n end, 'active', 1, 0, 0,
       n * 7919 % 40000, 1, n * 7919 % 40000 * 60000, 4000000000000000, '{}'
     from generate_series(1, 40000::bigint) n`,
  );
  await query(server.url(), "analyze conversations.sessions");
  const planOf = async (by: Partial<SessionFilter>): Promise<string> => {
    const found = await plansOf(async () => {
      const states = ["active", "inactive"] as const;
      await store.find({ order: "recent", tenant: "default", now: 0, limit: 20, states, ...by });
    });
    return found.find((plan) => plan.includes("sessions")) ?? "";
  };
  assert.match(await planOf({ user: "ann" }), /Incremental Sort[^]*Index Scan using sessions_of_user/);
  const guest = await planOf({ guest: "device_3" });
  assert.match(guest, /sessions_pkey/);
  assert.match(guest, /Index Cond: \(\(tenant = [^)]*\) AND \(id >= /);
  await store.close();
});

test("an append names no column that a trigger watches, alone and in a batch, and a change of labels does", async () => {
  const store = await openPostgres({ url: server.url(), schema: "watched", max: 1 });
  await query(
    server.url(),
    `create function watched.refuse() returns trigger language plpgsql as $$ begin raise 'a trigger ran'; end $$;
     create trigger refuse after update of labels, created_at on watched.sessions for each row execute function watched.refuse();`,
  );
  const born = ["a", "b", "c"].map((id) => creationOf(sampleRecord({ id })));
  await store.commit(born.map((change) => [change]));
  const grow = (turn: number) => (record: SessionRecord) =>
    stepOf(record, { splices: [sampleSplice("turns", turn, [turn])] });
  const records = born.map(({ record }) => record as SessionRecord);
  const lone = grow(1)(records[0] as SessionRecord);
  assert.deepEqual(await store.commit([[lone]]), [{ status: "ok" }]);
  const batch = [grow(2)(lone.record as SessionRecord), ...records.slice(1).map(grow(1))];
  assert.deepEqual(
    (await store.commit(batch.map((change) => [change]))).map(({ status }) => status),
    ["ok", "ok", "ok"],
  );
  const touch = stepOf(batch[0]?.record as SessionRecord, { fields: { lastActivityAt: 9 } });
  assert.deepEqual(await store.commit([[touch]]), [{ status: "ok" }]);
  const labelled = stepOf(touch.record as SessionRecord, { fields: { labels: { team: "ops" } } });
  await assert.rejects(store.commit([[labelled]]), (error: Error) => String(error.cause).includes("a trigger ran"));
  await store.close();
});

test("the view of turns reads the record of a session once, and its entries by their key", async () => {
  const url = await server.createDatabase("turns_view");
  const store = await openPostgres({ url });
  const entries = Array.from({ length: 50 }, (_, index) => ({ value: index }));
  await store.commit([
    [creationOf(sampleRecord({ id: "s" }), { splices: [sampleSplice("turns", 1, entries)] })],
    [creationOf(sampleRecord({ id: "other" }))],
  ]);
  for (const condition of ["", " and seq = 40"]) {
    const rows = await query(
      url,
      `explain (analyze, timing off) select count(*) from perdure.readable_turns
       where tenant = 'default' and session = 's'${condition}`,
    );
    const plan = rows.map((row) => String(row["QUERY PLAN"])).join("\n");
    assert.match(plan, /Function Scan on jsonb_array_elements .*loops=1\)/);
    assert.match(plan, /on entries entry\b[^]*Cond: .*\(session = 's'/, plan);
  }
  await store.close();
});
