import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { sessionsOn } from "../../../sessions/sessions.ts";
import type { StoreProblem } from "../../store.ts";
import { creationOf, sampleRecord, sampleSplice } from "../../../testing/samples.ts";
import { openSqlite } from "../open.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-inspect-"));
after(() => rmSync(root, { recursive: true }));

const unrepairable = { fix: null, repaired: false } as const;
/** The problem as it is reported without a repair, from one whose repair failed. */
const unrepaired = (problem: StoreProblem): StoreProblem => ({
  ...problem,
  what: problem.what.replace(/; the repair failed.*/, ""),
});

/** The problems of a store of two sessions on whose file these statements ran. */
async function inspected(
  sql: string,
  { harm = () => undefined, repair = false }: { harm?: (file: string) => void; repair?: boolean } = {},
): Promise<readonly StoreProblem[]> {
  const file = join(mkdtempSync(join(root, "t-")), "store.db");
  const url = `sqlite:${file}`;
  const sessions = sessionsOn(await openSqlite({ url }), { sweep: false });
  for (const id of ["a", "b"]) {
    const session = await sessions.create({ id });
    for (let turn = 0; turn < 3; turn++) await session.append({ input: "q", output: "a" });
  }
  await sessions.close();
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
  harm(file);
  const store = await openSqlite({ url });
  try {
    const found = await store.inspect({ repair });
    if (repair) assert.deepEqual(await store.inspect(), found.filter(({ repaired }) => !repaired).map(unrepaired));
    return found;
  } finally {
    await store.close();
  }
}

test("an unaltered file is sound", async () => {
  assert.deepEqual(await inspected(""), []);
  assert.deepEqual(await inspected("vacuum"), []);
});

test("entries of no session are found", async () => {
  assert.deepEqual(await inspected("delete from sessions where id = 'b'"), [
    { kind: "orphans", what: "4 entries of a session number 2, which there is not", ...unrepairable },
  ]);
});

test("of more than 100 sessions with a problem, the last finding says how many more there are, and a repair looks at all", async () => {
  const file = join(mkdtempSync(join(root, "t-")), "store.db");
  const store = await openSqlite({ url: `sqlite:${file}` });
  const first = sampleRecord({ id: "s", labels: { team: "ops" } });
  await store.commit([[creationOf(first, { splices: [sampleSplice("notes", 1, ["a", "b"])] })]]);
  const database = new DatabaseSync(file);
  const copied = (table: string, values: Readonly<Record<string, string>>): string => {
    const columns = database
      .prepare(`select name from pragma_table_info('${table}')`)
      .all()
      .map(({ name }) => String(name));
    const of = columns.map((name) => values[name] ?? name).join(", ");
    return `insert into ${table} (${columns.join(", ")})
      with numbers (number) as (select 1 union all select number + 1 from numbers where number < 203)
      select ${of} from ${table}, numbers where ${table === "sessions" ? "no" : "session"} = 1`;
  };
  const problems = async (repair: boolean): Promise<readonly unknown[]> => {
    const found = await store.inspect({ repair });
    return [found.length, found.at(-1)?.what, found.every(({ repaired }) => repaired)];
  };
  database.exec(copied("sessions", { no: "1 + number", id: "'s' || number" }));
  database.exec("delete from labels where session = 1");
  assert.deepEqual(await problems(false), [101, "lists do not find 104 more sessions by their labels", false]);
  assert.deepEqual(await problems(true), [101, "lists do not find 104 more sessions by their labels", true]);
  assert.deepEqual(await store.inspect(), []);
  assert.equal(await store.count({ tenant: "default", now: 0, labels: { team: "ops" } }), 204);
  database.exec(copied("entries", { session: "1000 + number" }));
  assert.deepEqual(await problems(true), [101, "206 entries of 103 more sessions, which there are not", false]);
  database.exec("delete from entries where session > 1000; update sessions set data = '{' where no > 102");
  assert.deepEqual(await problems(true), [101, "the records of 2 more sessions cannot be read", false]);
  database.close();
  await store.close();
});

test("an index that is missing or another is found", async () => {
  const found = await inspected(`
    drop index entries_by_key; drop index sessions_due; create index sessions_due on sessions (sweep_at)`);
  assert.deepEqual(
    found.map(({ kind, what }) => [kind, what.replace(/:.*/s, "")]),
    [
      ["schema", "index sessions_due is not as this version makes it"],
      ["schema", "index entries_by_key is missing"],
    ],
  );
});

test("a missing index is built on request, unless rows of the table prevent it", async () => {
  const repair = { repair: true };
  const [repaired] = await inspected("drop index entries_by_key", repair);
  assert.deepEqual(repaired, {
    kind: "schema",
    what: "index entries_by_key is missing",
    fix: "it is built",
    repaired: true,
  });
  const twice = "drop index entries_by_seq; insert into entries select * from entries where session = 1 and seq = 3";
  const found = await inspected(twice, repair);
  const [left] = found.filter(({ kind }) => kind === "schema");
  assert.match(left?.what ?? "", /^index entries_by_seq is missing; the repair failed: UNIQUE constraint failed/);
  assert.equal(left?.repaired, false);
});

test("a missing trigger of the search is built on request, and the index begins anew", async () => {
  const damage = "insert into search_state values (1, 3); drop trigger search_entry_deleted";
  for (const repair of [false, true]) {
    assert.deepEqual(await inspected(damage, { repair }), [
      { kind: "schema", what: "trigger search_entry_deleted is missing", fix: "it is built", repaired: repair },
    ]);
  }
});

test("a view that is missing or another is found, and made again on request", async () => {
  const damage = "drop view readable_turns; drop view usage_by_day; create view usage_by_day as select 1 as turns";
  for (const repair of [false, true]) {
    assert.deepEqual(await inspected(damage, { repair }), [
      { kind: "schema", what: "view readable_turns is missing", fix: "it is built", repaired: repair },
      {
        kind: "schema",
        what: "view usage_by_day is not as this version makes it",
        fix: "it is built",
        repaired: repair,
      },
    ]);
  }
});

test("missing tables and columns are found, and not created", async () => {
  for (const [sql, what] of [
    ["drop table entries", "table entries is missing"],
    ["drop table sessions", "table sessions is missing"],
    ["drop table instances", "table instances is missing"],
    ["alter table entries drop column bytes", "table entries is not as this version makes it"],
    ["drop index sessions_due; alter table sessions drop column sweep_at", "table sessions is not as"],
    ["alter table instances drop column address", "table instances is not as this version makes it"],
  ] as const) {
    for (const repair of [false, true]) {
      const found = await inspected(sql, { repair });
      assert.ok(found[0]?.what.startsWith(what), `${sql}: ${JSON.stringify(found)}`);
      assert.ok(
        found.every(({ kind, repaired }) => kind === "schema" && !repaired),
        sql,
      );
    }
  }
});

test("a store that lacks a table is refused with the next step", async () => {
  const file = join(mkdtempSync(join(root, "t-")), "store.db");
  await (await openSqlite({ url: `sqlite:${file}` })).close();
  const database = new DatabaseSync(file);
  database.exec("drop table entries");
  database.close();
  const store = await openSqlite({ url: `sqlite:${file}` });
  const [tenant, id] = ["default", "a"];
  const message = /no such table: (main\.)?entries; "perdure doctor" finds what is missing/;
  const refused = { code: "store_invalid", message };
  await assert.rejects(store.load([{ key: { tenant, id }, tails: [] }]), refused);
  await assert.rejects(
    store.commit([]).then(() => store.commit([[creationOf(sampleRecord({ id }))]])),
    refused,
  );
  await assert.rejects(store.stats({ tenant, now: 0, by: [], limit: 1 }), refused);
  await store.close();
});

test("a record that cannot be read is found, and named", async () => {
  assert.deepEqual(await inspected("update sessions set data = '{' where id = 'a'"), [
    { kind: "damage", what: "the record of session a of tenant default cannot be read", ...unrepairable },
  ]);
});

test("the problems of SQLite's own check are reported", async () => {
  const found = await inspected("", {
    harm: (file) => {
      const database = new DatabaseSync(file);
      const [root, size] = [
        "rootpage from sqlite_schema where name = 'sessions_due'",
        "page_size from pragma_page_size",
      ].map((what) => Number(Object.values(database.prepare(`select ${what}`).get() ?? {})[0]));
      database.close();
      // The count of cells of the index's page: none.
      const descriptor = openSync(file, "r+");
      writeSync(descriptor, Buffer.alloc(2), 0, 2, ((root ?? 0) - 1) * (size ?? 0) + 3);
      closeSync(descriptor);
    },
  });
  assert.ok(
    found.some(({ kind, what }) => kind === "damage" && what.includes("sessions_due")),
    JSON.stringify(found),
  );
});

for (const [what, sql] of [
  ["a row of another value", "update labels set value = 'sales' where name = 'team'"],
  ["a missing row", "delete from labels where name = 'team'"],
  [
    "a row too many",
    "insert into labels select session, 'more', value, tenant, created_at from labels where name = 'team'",
  ],
  ["a row of another tenant", "update labels set tenant = 'other'"],
  ["rows of a session without labels", "update sessions set labels = null where id = 'labelled'"],
] as const) {
  test(`labels that lists do not find are reported and repaired: ${what}`, async () => {
    const file = join(mkdtempSync(join(root, "t-")), "store.db");
    const url = `sqlite:${file}`;
    const first = await openSqlite({ url });
    const labels = { team: "ops", tier: "1" };
    await first.commit([
      [creationOf(sampleRecord({ id: "labelled", labels }))],
      [creationOf(sampleRecord({ id: "bare" }))],
    ]);
    assert.deepEqual(await first.inspect(), []);
    await first.close();
    const database = new DatabaseSync(file);
    database.exec(sql);
    database.close();
    const store = await openSqlite({ url });
    const problem = {
      kind: "damage",
      what: "lists do not find session labelled of tenant default by its labels",
      fix: "the rows of its labels are written again",
    } as const;
    assert.deepEqual(await store.inspect(), [{ ...problem, repaired: false }]);
    assert.deepEqual(await store.inspect({ repair: true }), [{ ...problem, repaired: true }]);
    assert.deepEqual(await store.inspect(), []);
    const counted = await store.count({ tenant: "default", now: 0, labels: { team: "ops" } });
    assert.equal(counted, what === "rows of a session without labels" ? 0 : 1);
    await store.close();
  });
}
