/** The doctor on a PostgreSQL store that somebody else has written to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../src/errors.ts";
import type { Finding } from "../../src/sessions/doctor.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { migratePostgres, openPostgres } from "../../src/store/postgres/index.ts";
import { layoutOf, stepSql } from "../../src/store/postgres/schema/migrate.ts";
import { migrations } from "../../src/store/postgres/schema/schema.ts";
import { findMessages } from "../../src/store/postgres/tables/message-search.ts";
import type { MessageQuery, StoreProblem } from "../../src/store/store.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { creationOf, sampleRecord, sampleSplice } from "../../src/testing/samples.ts";
import { Workplace } from "../cli/command-line.ts";
import { serverOfFile } from "./of-file.ts";
import { query } from "./server.ts";
import { doctor, stats, removeSession, exportSessions, sweep } from "../../src/admin.ts";

/** The newest version of the schema. */
const known = migrations.length;

const server = await serverOfFile();

test("the doctor finds gaps, lost ends and entries without a session, and repairs what it can on request", async () => {
  const url = server.url();
  const sessions = sessionsOn(await openPostgres({ url }), { sweep: false });
  try {
    for (const id of ["a", "b", "c", "d"]) {
      const session = await sessions.create({ id });
      for (let turn = 0; turn < 3; turn++) await session.append({ input: "q", output: "a" });
    }
    assert.equal((await doctor(sessions)).findings, 0);
    await query(url, "delete from perdure.entries where session = 'a' and seq = 3");
    await query(url, "delete from perdure.entries where session = 'b' and seq = 2");
    await query(url, "delete from perdure.sessions where id = 'c'");
    const found: Finding[] = [];
    const report = await doctor(sessions, { repair: true, onFinding: (finding) => found.push(finding) });
    assert.deepEqual(
      found.map(({ kind, session, repaired }) => [kind, session, repaired]),
      [
        ["orphans", null, false],
        ["head", "a", true],
        ["counters", "a", true],
        ["gap", "b", false],
      ],
    );
    assert.match(found[0]?.what ?? "", /^4 entries of session c of tenant default/);
    assert.deepEqual([report.sessions, report.complete], [3, true]);
    assert.equal((await (await sessions.get("a")).append({ input: "on" })).seq, 3);
  } finally {
    await sessions.close();
  }
});

test("a damaged row fails no pass on PostgreSQL, is named, and its session can be removed", async () => {
  const url = new URL(await server.createDatabase("damaged"));
  const harms = [
    ...["created_at", "last_activity_at", "active_minute", "state_since", "expires_at", "sweep_at"].map(
      (column) => `update perdure.sessions set ${column} = 9223372036854775807 where id = $1`,
    ),
    "update perdure.sessions set data = '{' where id = $1",
    "update perdure.sessions set data = '{}' where id = $1",
    'update perdure.sessions set data = replace(data, \'"counters":[1\', \'"counters":["x"\') where id = $1',
    "update perdure.entries set at = 9223372036854775807 where session = $1 and log = 'events'",
    "update perdure.entries set data = '{' where session = $1 and log in ('events', 'turns')",
  ];
  const sessions = sessionsOn(await openPostgres({ url: String(url) }), { sweep: false });
  try {
    for (const id of ["a", "z"]) await (await sessions.create({ id })).append({ input: "q", output: "a" });
    for (const harm of harms) {
      await (await sessions.create({ id: "bad" })).append({ input: "q", output: "a" });
      await query(String(url), harm, ["bad"]);
      const page = await sessions.list();
      const named = [...(page.unreadable ?? []), ...page.items].map(({ id }) => id);
      assert.deepEqual(named.toSorted(), ["a", "bad", "z"], harm);
      const { turns, unreadable } = await stats(sessions, { by: ["agent", "day"] });
      const isRead = harm.includes("active_minute") || harm.includes("sweep_at");
      assert(turns.turns >= 2 && (isRead || unreadable.sessions + unreadable.entries > 0), harm);
      await sessions.listEvents();
      await sweep(sessions);
      const skipped: string[] = [];
      const exported = await Array.fromAsync(exportSessions(sessions, { onSkipped: (id) => skipped.push(id) }));
      assert.equal(exported.length + skipped.length, 3, harm);
      const found: (string | null)[] = [];
      await doctor(sessions, { onFinding: ({ session }) => found.push(session) });
      assert(isRead || found.includes("bad") || skipped.includes("bad") || harm.includes(" at = "), harm);
      await removeSession(sessions, "bad");
      assert.deepEqual((await stats(sessions)).unreadable, { sessions: 0, entries: 0 });
    }
  } finally {
    await sessions.close();
  }
});

let databases = 0;
/** The URL of a database with a schema of this many steps, and some sessions where it is whole. */
async function database({ schema = "perdure", partitions = 1, steps = known } = {}): Promise<string> {
  const url = await server.createDatabase(`looked_at_${databases++}`);
  const layout = layoutOf({ schema, partitions });
  const script = migrations.slice(0, steps).map((step) => stepSql(step, layout));
  await query(url, script.join(";\n"));
  if (steps < known) return url;
  const sessions = sessionsOn(await openPostgres({ url, schema }), { sweep: false });
  await (await sessions.create({ id: "a" })).append({ input: "q", output: "a" });
  await sessions.close();
  return url;
}

async function inspected(
  url: string,
  { repair = false, schema = "perdure" }: { repair?: boolean; schema?: string } = {},
): Promise<readonly StoreProblem[]> {
  const store = await openPostgres({ url, schema, migrate: false, serverless: true });
  try {
    return await store.inspect({ repair });
  } finally {
    await store.close();
  }
}

test("the doctor finds nothing in an unaltered schema: fresh, partitioned, of another name, one of several", async () => {
  for (const partitions of [1, 3]) assert.deepEqual(await inspected(await database({ partitions })), []);
  const odd = `it's; "ours" $body$`;
  const url = await database({ schema: odd });
  await migratePostgres({ url, schema: "perdure" });
  await query(url, "create table public.sessions (id integer); create unique index on public.sessions (id)");
  assert.deepEqual(await inspected(url, { schema: odd }), []);
  assert.deepEqual(await inspected(url), []);
  await query(url, "drop index perdure.sessions_due");
  assert.deepEqual(await inspected(url, { schema: odd }), [], "another schema's problems are not its own");
  assert.equal((await inspected(url)).length, 1);
});

/** A statement that harms the schema, the problem that is reported, and whether it can be repaired. */
const harms: readonly (readonly [sql: string, what: RegExp, repaired: boolean])[] = [
  ["drop index perdure.sessions_due", /^index sessions_due is missing$/, true],
  ["drop index perdure.entries_by_key", /^index entries_by_key is missing$/, true],
  ["drop function perdure.load_many", /^function load_many is missing$/, true],
  ["drop function perdure.entry_text", /^function entry_text is missing$/, true],
  [
    "alter function perdure.commit_session reset lock_timeout",
    /^function commit_session is not as this version makes it$/,
    true,
  ],
  [
    "create or replace function perdure.instant(_ms bigint) returns timestamptz language sql immutable strict parallel safe as 'select now()'",
    /^function instant is not as/,
    true,
  ],
  ["drop trigger labels_of_changed on perdure.sessions", /^trigger labels_of_changed is missing$/, true],
  [
    "alter table perdure.sessions disable trigger labels_of_changed",
    /^trigger labels_of_changed is switched off$/,
    true,
  ],
  [
    "create trigger mine before update on perdure.lanes for each row execute function suppress_redundant_updates_trigger()",
    /^trigger mine of lanes is not Perdure's, and may change/,
    false,
  ],
  ["drop view perdure.usage_by_day", /^view usage_by_day is missing$/, true],
  ["alter table perdure.instances drop column address", /^column address of instances is missing$/, true],
  ["drop table perdure.instances", /^table instances is missing$/, true],
  ["drop table perdure.lanes", /^table lanes is missing$/, true],
  [
    "update pg_index set indisvalid = false where indexrelid = 'perdure.entries_by_key'::regclass",
    /^index entries_by_key is invalid/,
    true,
  ],
  [
    "drop index perdure.sessions_due; create index sessions_due on perdure.sessions (sweep_at)",
    /^index sessions_due is not as this version makes it: on sessions \(sweep_at\)$/,
    false,
  ],
  ["alter table perdure.lanes drop column refused", /^column refused of lanes is missing$/, false],
  [
    "alter table perdure.lanes alter column number type integer",
    /^column number of lanes is not as .*: number integer not null$/,
    false,
  ],
  [
    "alter table perdure.sessions add column extra text not null default ''",
    /^column extra of sessions is not Perdure's: extra text/,
    false,
  ],
  ["alter table perdure.entries drop constraint entries_pkey", /^index entries_pkey is missing$/, false],
  [
    "alter table perdure.sessions add constraint odd check (version < 1e18)",
    /^constraint odd of sessions is not Perdure's, .*: CHECK/,
    false,
  ],
  [
    "create unique index mine on perdure.entries (tenant, session, log, seq, at)",
    /^index mine is not Perdure's, and may refuse/,
    false,
  ],
  ["drop table perdure.entries cascade", /^table entries is missing$/, false],
  ["delete from perdure.migrations where version = 2", /^step 2 of the schema is not recorded/, false],
];

test("the doctor names each missing or different part of the schema, and adds missing parts on request only", async () => {
  const whole = new URL(await database()).pathname.slice(1);
  const fresh = (): Promise<string> => server.createDatabase(`looked_at_${databases++}`, `template ${whole}`);
  let url = await fresh();
  for (const [sql, what, isRepaired] of harms) {
    await query(url, sql);
    const found = (await inspected(url)).filter((problem) => what.test(problem.what));
    assert.deepEqual(
      found.map(({ kind, fix, repaired }) => [kind, fix !== null, repaired]),
      [["schema", isRepaired, false]],
      sql,
    );
    assert.ok(
      (await inspected(url)).some((problem) => what.test(problem.what)),
      `${sql}: looking changes nothing`,
    );
    const repaired = await inspected(url, { repair: true });
    assert.equal(repaired.find((problem) => what.test(problem.what))?.repaired, isRepaired, sql);
    const left = await inspected(url);
    if (isRepaired) assert.deepEqual(left, [], sql);
    else
      assert.ok(
        left.some((problem) => what.test(problem.what)),
        sql,
      );
    const rows = await query(url, "select count(*)::int as count from perdure.sessions");
    assert.deepEqual(rows, [{ count: 1 }], "nothing is deleted");
    if (!isRepaired) url = await fresh();
  }
});

test("the doctor does not build a unique index over duplicate rows, and reports the reason", async () => {
  const url = await database();
  await query(url, "drop index perdure.entries_by_key");
  await query(
    url,
    `insert into perdure.entries (tenant, session, log, seq, key, at, data)
     values ('default', 'a', 'chunks', 1, 'twice', 0, '{}'), ('default', 'a', 'chunks', 2, 'twice', 0, '{}')`,
  );
  const [problem] = await inspected(url, { repair: true });
  assert.match(
    problem?.what ?? "",
    /^index entries_by_key is missing; the repair failed: .*could not create unique index/,
  );
  assert.equal(problem?.repaired, false);
  // What the server leaves behind of it is seen, too.
  assert.match((await inspected(url))[0]?.what ?? "", /^index entries_by_key is invalid/);
});

test("the doctor examines a partitioned table as a whole: a missing partition, an index of all partitions", async () => {
  const url = await database({ partitions: 3 });
  await query(url, "alter table perdure.entries detach partition perdure.entries_1");
  await query(url, "drop index perdure.entries_of_events");
  const whats = (await inspected(url, { repair: true })).filter(({ kind }) => kind === "schema");
  assert.deepEqual(
    whats.map(({ what, repaired }) => [what, repaired]),
    [
      ["index entries_of_events is missing", true],
      ["entries lacks the part 1 of its 3", false],
    ],
  );
});

test("the doctor reports an older schema and migrates it on request; it reports a newer one, and refuses a breaking one", async () => {
  for (let steps = 0; steps < known; steps++) {
    const url = await database({ steps });
    const needs = `the schema is at step ${steps}, this version of perdure needs ${known}`;
    const [problem, ...others] = await inspected(url);
    assert.deepEqual([problem?.kind, problem?.what, problem?.repaired, others], ["schema", needs, false, []]);
    for (const { title } of migrations.slice(steps)) assert.ok(problem?.fix?.includes(title), problem?.fix ?? "none");
    assert.match(problem?.fix ?? "", /perdure migrate/);
    assert.equal((await migratePostgres({ url }, { dryRun: true })).found, steps, "looking changes nothing");
    assert.deepEqual(
      (await inspected(url, { repair: true })).map(({ repaired }) => repaired),
      [true],
    );
    assert.deepEqual(await inspected(url), []);
  }
  const url = await database();
  const newer = "insert into perdure.migrations (version, title, breaking) values ($1, 'from the future', $2)";
  await query(url, newer, [known + 1, false]);
  await query(url, "alter table perdure.sessions add column later text");
  const [problem, ...others] = await inspected(url);
  assert.match(problem?.what ?? "", new RegExp(`at step ${known + 1}, .* knows them up to ${known}`));
  assert.deepEqual([problem?.fix, others], [null, []], "what a newer version adds is not a problem");
  await query(url, newer, [known + 2, true]);
  await assert.rejects(inspected(url), (error) => hasCode(error, "store_schema_newer"));
});

test("a role that may only read and write rows examines the schema as well as its owner", async () => {
  const url = await database();
  const user = `looker_${databases++}`;
  await query(url, `create user ${user} password 'secret'`);
  await query(url, `grant usage on schema perdure to ${user}`);
  await query(url, `grant select, insert, update, delete on all tables in schema perdure to ${user}`);
  const own = url.replace(/\/\/[^@]*@/, `//${user}:secret@`);
  assert.deepEqual(await inspected(own), []);
  await query(url, "drop index perdure.sessions_due");
  const [problem] = await inspected(own, { repair: true });
  assert.match(problem?.what ?? "", /^index sessions_due is missing; the repair failed: .*must be owner/);
  assert.equal(problem?.repaired, false);
});

/** The line about the space of the disk. */
const space = "free disk space: not known here; watch the disk of the database server\n";

test("perdure doctor reports the schema without changing it, and repairs it on request", async () => {
  const url = await database({ steps: 1 });
  await using place = await Workplace.open({ PERDURE_STORE: url });
  const result = await place.run(["doctor"]);
  assert.match(
    result.stdout,
    /^schema {2}the store: the schema is at step 1, .* \(--repair: "perdure migrate" takes it there: /,
  );
  const nothing = "0 sessions checked, 1 problem, no session can be read until the schema is repaired";
  assert.deepEqual([result.code, result.stderr], [1, `${nothing}\n${space}`]);
  const repaired = await place.run(["doctor", "--repair"]);
  assert.match(repaired.stdout, /\(repaired: "perdure migrate"/);
  assert.deepEqual([repaired.code, repaired.stderr], [0, `0 sessions checked, 1 problem, 1 repaired\n${space}`]);
  const json = await place.run(["doctor", "--json"]);
  assert.deepEqual([json.code, JSON.parse(json.stdout).disk], [0, null]);
});

test("a schema in which no session can be read is one finding, not one of each session", async () => {
  for (const sql of [
    "drop function perdure.load_many",
    "drop function perdure.load_one",
    "drop function perdure.entry_text cascade",
    "alter table perdure.entries drop column bytes cascade",
    "drop table perdure.instances",
  ]) {
    const url = await database();
    await query(url, sql);
    const sessions = sessionsOn(await openPostgres({ url, migrate: false, serverless: true }), { sweep: false });
    try {
      const found: Finding[] = [];
      const onFinding = (finding: Finding): void => void found.push(finding);
      const report = await doctor(sessions, { onFinding });
      assert.ok(found.length > 0 && found.every(({ kind }) => kind === "schema"), sql);
      assert.deepEqual([report.sessions, report.complete], [0, false], sql);
      assert.match(report.unreadable ?? "", /does not exist/, sql);
      const repaired = await doctor(sessions, { repair: true });
      assert.deepEqual([repaired.sessions, repaired.complete, repaired.unreadable], [1, true, null], sql);
    } finally {
      await sessions.close();
    }
  }
  // What reading does not need keeps nobody from it.
  const url = await database();
  await query(
    url,
    "drop view perdure.usage_by_day; drop index perdure.sessions_due; drop function perdure.commit_session",
  );
  await using place = await Workplace.open({ PERDURE_STORE: url });
  const looked = await place.run(["doctor"]);
  assert.deepEqual([looked.code, looked.stderr], [1, `1 session checked, 3 problems\n${space}`]);
  await query(url, "drop function perdure.load_many");
  const result = await place.run(["doctor"]);
  assert.match(result.stderr, /^0 sessions checked, 4 problems, no session can be read until /);
});

test("labels that lists do not find are reported and repaired", async () => {
  const url = await server.createDatabase("labelled");
  const store = await openPostgres({ url });
  const labels = { team: "ops", tier: "1" };
  await store.commit([[creationOf(sampleRecord({ id: "s", labels }))], [creationOf(sampleRecord({ id: "bare" }))]]);
  assert.deepEqual(await store.inspect(), []);
  for (const sql of [
    "update perdure.labels set value = 'sales' where name = 'team'",
    "delete from perdure.labels where name = 'team'",
    "insert into perdure.labels values ('default', 'bare', 'team', 'ops', 0)",
    "insert into perdure.labels values ('default', 'absent', 'team', 'ops', 0)",
    "drop table perdure.labels",
  ]) {
    await query(url, sql);
    assert.notDeepEqual(await store.inspect(), [], sql);
    const problems = await store.inspect({ repair: true });
    assert.ok(problems.length > 0 && problems.every(({ repaired }) => repaired), sql);
    assert.deepEqual(await store.inspect(), [], sql);
    for (const [name, value] of Object.entries(labels))
      assert.equal(await store.count({ tenant: "default", now: 0, labels: { [name]: value } }), 1, sql);
  }
  await store.close();
});

/** The sessions that an answer of `due_messages` has, as `put_words` takes them. */
function givenOf(due: Record<string, unknown> | undefined): string {
  const { sessions } = JSON.parse(String(due?.["due"])) as { readonly sessions: readonly Record<string, unknown>[] };
  return JSON.stringify(sessions.map((session) => ({ ...session, title_mark: session["titleMark"], is_whole: true })));
}

/** A call of `put_words` with one row: the first turn of the first session. */
function putWords(holder: string, due: Record<string, unknown> | undefined): string {
  return `select perdure.put_words('${holder}', $$${givenOf(due)}$$, '["turns"]', '{1}', '{1}', '{1}', '{0}', '{0}', '{0}', 'late', true) as marked`;
}

const apples = { status: "done", agent: "ceo", requests: 1, input: [{ role: "user", content: "apples" }], output: [] };

test("a process that lost the lease of the index writes no message a second time, and takes none away", async () => {
  const url = await server.createDatabase("indexed_twice");
  const store = await openPostgres({ url });
  const created = creationOf(sampleRecord({ id: "s" }), { splices: [sampleSplice("turns", 1, [apples, apples])] });
  await store.commit([[created]]);
  const [late] = await query(url, "select perdure.due_messages('late')::text as due");
  // The session is removed and created again, with a title.
  await query(url, "update perdure.search_state set until = 0");
  await query(url, "update perdure.sessions set logs = 7, title = 'apples', version = version + 1");
  await query(url, "update perdure.entries set logs = 7");
  while (!(await store.index()).isCurrent);
  const rows = async (): Promise<readonly unknown[]> =>
    await query(url, "select seq, logs, words::text as words from perdure.search_messages order by seq");
  const indexed = await rows();
  assert.deepEqual(
    indexed,
    ["0", "1", "2"].map((seq) => ({ seq, logs: "7", words: "'apples'" })),
  );
  assert.deepEqual(await query(url, putWords("late", late)), [{ marked: -1 }]);
  assert.deepEqual(await rows(), indexed);
  // A program of schema step 14 does not say which process it is.
  const sent = `select json_agg(json_build_object('tenant', tenant, 'id', session, 'logs', logs, 'log', log, 'seq', seq,
    'message', message, 'at', at, 'xid', xid, 'words', 'late')) from perdure.search_messages`;
  await query(
    url,
    `select perdure.put_messages($$${givenOf(late).replace(/"logs":"\d+"/, '"logs":"7"')}$$, (${sent}), true)`,
  );
  await query(url, `select perdure.put_messages($$${givenOf(late)}$$, null, true)`);
  assert.deepEqual(await rows(), indexed);
  await store.close();
});

test("a program of schema step 14 indexes beside programs of this version", async () => {
  const url = await server.createDatabase("indexed_by_earlier");
  const store = await openPostgres({ url });
  await store.commit(
    ["a", "b"].map((id) => [creationOf(sampleRecord({ id }), { splices: [sampleSplice("turns", 1, [apples])] })]),
  );
  const [due] = await query(url, "select perdure.due_messages('earlier')::text as due");
  const { sessions } = JSON.parse(String(due?.["due"])) as {
    readonly sessions: readonly { id: string; logs: string }[];
  };
  const sent = sessions.toReversed().map(({ id, logs }) => {
    return { tenant: "default", id, logs, log: "turns", seq: 1, message: 0, at: 0, xid: 1, words: `of ${id}` };
  });
  const put = `select perdure.put_messages($$${givenOf(due)}$$, $$${JSON.stringify(sent)}$$, true) as marked`;
  assert.deepEqual(await query(url, put), [{ marked: 2 }]);
  assert.deepEqual(
    await query(url, "select session, words::text as words from perdure.search_messages order by session"),
    ["a", "b"].map((session) => ({ session, words: `'${session}' 'of'` })),
  );
  assert.deepEqual(await store.index(), { isCurrent: true, left: 0 });
  await store.close();
});

test("the index takes no words of a session that was removed after it was read", async () => {
  const url = await server.createDatabase("removed_words");
  const store = await openPostgres({ url });
  await store.commit([[creationOf(sampleRecord({ id: "s" }), { splices: [sampleSplice("turns", 1, [apples])] })]]);
  const [due] = await query(url, "select perdure.due_messages('me')::text as due");
  await query(url, "delete from perdure.sessions");
  await query(url, "create table perdure.written (words tsvector)");
  await query(
    url,
    `create rule written as on insert to perdure.search_messages do also insert into perdure.written values (new.words)`,
  );
  assert.deepEqual(await query(url, putWords("me", due)), [{ marked: 0 }]);
  assert.deepEqual(await query(url, "select from perdure.written"), []);
  await store.close();
});

test("an index that reads ahead is current with what was committed before the call that says so", async () => {
  const url = await server.createDatabase("read_ahead");
  const store = await openPostgres({ url });
  await using sessions = sessionsOn(store, { sweep: false });
  // Three steps, each of 500 turns at most.
  const ids = ["a", "b", "c"];
  for (const id of ids) {
    const turns = Array.from({ length: 300 }, () => ({ input: "apples" }));
    await (await sessions.create({ id })).write({ turns: { turns } });
  }
  const first = await store.index();
  assert.equal(first.isCurrent, false);
  // It has read the next session already.
  for (const id of ids) await (await sessions.get(id)).append({ input: "plums" });
  const callers = Array.from({ length: 3 }, async () => {
    while (!(await store.index()).isCurrent);
    return await store.search({ tenant: "default", words: [{ word: "plums", isPrefix: false }], limit: 10, now: 0 });
  });
  for (const { messages } of await Promise.all(callers))
    assert.deepEqual(messages.map(({ session, seq }) => `${session} ${seq}`).toSorted(), ["a 301", "b 301", "c 301"]);
  const [counted] = await query(
    url,
    "select count(*)::int as all, count(distinct (session, seq))::int as turns from perdure.search_messages",
  );
  assert.deepEqual(counted, { all: 903, turns: 903 });
});

test("a search finds the messages behind the newest ones that it checks first, page by page", async () => {
  const url = await server.createDatabase("old_words");
  const clock = scriptedClock();
  const store = await openPostgres({ url });
  await using sessions = sessionsOn(store, { sweep: false, clock });
  const session = await sessions.create({ id: "s", user: "ada" });
  for (let n = 0; n < 6; n++) {
    await clock.advance(1000);
    await session.append({ input: "apples" });
  }
  await sessions.search({ text: "apples" });
  // Between the third turn and the fourth.
  await query(
    url,
    `insert into perdure.search_messages
     select tenant, session, logs, log, 1000 + n, 0, at, xid, array_to_tsvector(array['plums', 'w' || n])
     from perdure.search_messages, generate_series(1, 5000) n where seq = 3`,
  );
  const expected = [6, 5, 4, 3, 2, 1];
  for (const filter of [{}, { user: "ada" }, { since: new Date(0) }, { before: new Date(8.64e15) }])
    for (const limit of [1, 2, 3, 4, 6, 7]) {
      const turns: (number | null)[] = [];
      for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
        const page = await sessions.search({
          text: "apples",
          limit,
          ...filter,
          ...(after === undefined ? {} : { after }),
        });
        turns.push(...page.items.map(({ turn }) => turn));
        after = page.next;
      }
      assert.deepEqual(turns, expected, JSON.stringify({ filter, limit }));
    }
});

test("a search finds the same in each way that it takes, page by page", async () => {
  const url = await server.createDatabase("ways_to_search");
  const store = await openPostgres({ url });
  await using _ = { [Symbol.asyncDispose]: () => store.close() };
  const users = ["ada", "bob", "cyd", "dan"];
  // No message of these is new.
  await store.commit(
    Array.from({ length: 250 }, (_, n) => [creationOf(sampleRecord({ id: `o${n}`, labels: { age: "old" } }))]),
  );
  await store.commit(
    Array.from({ length: 808 }, (_, n) => {
      const user = users[n % 4] ?? null;
      return [
        creationOf(sampleRecord({ id: `s${n}`, user, labels: user === "ada" ? { of: "ada", first: "yes" } : {} })),
      ];
    }),
  );
  // Half of 12 000 messages have the first word. Four of 200 have the second, one of them of Ada. The newest ones have the third.
  await query(
    url,
    `insert into perdure.search_messages
     select tenant, id, logs, 'turns', n, 0, n / 2, 0, array_to_tsvector(array_remove(array[
       'w' || n, case when n % 8 < 4 then 'half' end, case when n % 200 in (1, 3, 5, 52) then 'some' end,
       case when n > 8000 and n % 200 in (1, 3, 5, 52) then 'late' end,
       case when n % 1000 < 2 then 'few' end
     ], null)) from generate_series(1, 12000) n join perdure.sessions on id = 's' || n % 808`,
  );
  await query(
    url,
    `insert into perdure.search_messages
     select tenant, id, logs, 'turns', 1, 0, 0, 0, array_to_tsvector(array['half']) from perdure.sessions where id like 'o%'`,
  );
  // The server has not counted the rows: it does so a minute later.
  const ask = async (text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> => {
    if (text.includes("reached")) asked.add(text.includes("limit 4000") ? "checked" : "newest");
    else if (text.includes("session = any")) asked.add("sessions");
    else if (text.includes("matched")) asked.add(text.includes("message.at >=") ? "since" : "all");
    return await query(url, text, [...values]);
  };
  const asked = new Set<string>();
  const filters: Partial<MessageQuery>[] = [
    { user: "ada" },
    { labels: { of: "ada" } },
    { labels: { of: true, first: "yes" } },
  ];
  for (const [word, limit, ways] of [
    ["half", 600, ["checked", "newest"]],
    ["some", 20, ["checked", "since"]],
    ["late", 20, ["checked", "since", "all"]],
    ["few", 20, ["checked", "all"]],
  ] as const) {
    const words = [{ word, isPrefix: false }];
    const expected = await query(
      url,
      `select session || ' ' || seq as place from perdure.search_messages message join perdure.sessions on id = session and user_id = 'ada'
       where words @@ '${word}' order by at desc, session desc, seq desc`,
    );
    for (const filter of filters) {
      const found: unknown[] = [];
      asked.clear();
      for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
        const search = {
          tenant: "default",
          words,
          ...filter,
          limit,
          now: 0,
          ...(after === undefined ? {} : { after }),
        };
        const page = await findMessages(ask, "perdure", search);
        if (isFirst) assert.deepEqual([...asked], ways, word);
        found.push(...page.messages.map(({ session, seq }) => `${session} ${seq}`));
        after = page.next;
      }
      assert.deepEqual(
        found,
        expected.map(({ place }) => place),
        `${word} ${JSON.stringify(filter)}`,
      );
    }
  }
  asked.clear();
  const words = [{ word: "half", isPrefix: false }];
  const old = { tenant: "default", words, labels: { age: "old" }, limit: 300, now: 0 };
  const { messages } = await findMessages(ask, "perdure", old);
  assert.deepEqual([...asked], ["checked", "sessions"]);
  assert.deepEqual(
    messages.map(({ session }) => session),
    Array.from({ length: 250 }, (_, n) => `o${n}`)
      .toSorted()
      .toReversed(),
  );
});

test("a last step of the index without a row merges the words that a killed process left, where the role owns the index", async () => {
  const url = await server.createDatabase("pending_words");
  const store = await openPostgres({ url });
  for (const sql of [
    "create extension pgstattuple",
    "create role indexer login password 'indexer'",
    "grant usage on schema perdure to indexer",
    "grant select, insert, update, delete on all tables in schema perdure to indexer",
    `insert into perdure.search_messages
     select 'other', 'killed', 0, 'turns', n, 0, 0, 0, array_to_tsvector(array['word', 'w' || n]) from generate_series(1, 2000) n`,
  ])
    await query(url, sql);
  const pendingPages = async (): Promise<number> => {
    const [row] = await query(url, "select pending_pages from pgstatginindex('perdure.search_messages_words')");
    return Number(row?.["pending_pages"]);
  };
  const asIndexer = new URL(url);
  [asIndexer.username, asIndexer.password] = ["indexer", "indexer"];
  const other = await openPostgres({ url: asIndexer.href, migrate: false });
  for (const [index, by] of [other, store].entries()) {
    await store.commit([[creationOf(sampleRecord({ id: `s${index}` }))]]);
    assert.deepEqual(await by.index(), { isCurrent: true, left: 0 });
    assert.equal((await pendingPages()) > 0, by === other);
  }
  await other.close();
  await store.close();
});

test("a step of the index of search writes no row for a title that stands", async () => {
  const url = await server.createDatabase("titled_steps");
  const store = await openPostgres({ url });
  await using sessions = sessionsOn(store, { sweep: false });
  const session = await sessions.create({ id: "s", title: "plums" });
  const places: string[] = [];
  for (const input of ["apples", "pears", "figs"]) {
    await session.append({ input });
    await sessions.search({ text: "plums" });
    places.push(
      ...(await query(url, "select ctid::text as ctid from perdure.search_messages order by seq")).map((row) =>
        String(row["ctid"]),
      ),
    );
  }
  // A refused row would keep a place of the table.
  assert.deepEqual(places.slice(-4), ["(0,1)", "(0,2)", "(0,3)", "(0,4)"]);
});

test("turns that the index of search has lost are reported, and found again after a repair", async () => {
  const url = await server.createDatabase("lost_words");
  const store = await openPostgres({ url });
  await using sessions = sessionsOn(store, { sweep: false });
  const session = await sessions.create({ id: "s" });
  for (const input of ["apples", "pears", "?"]) await session.append({ input, output: input });
  const found = async (): Promise<number> => (await sessions.search({ text: "pears" })).items.length;
  assert.equal(await found(), 2);
  assert.deepEqual(await store.inspect(), []);
  await query(url, "delete from perdure.search_messages where seq = 2");
  assert.equal(await found(), 0);
  const [problem] = await store.inspect();
  assert.deepEqual([problem?.kind, problem?.repaired], ["damage", false]);
  assert.equal((await store.inspect({ repair: true }))[0]?.repaired, true);
  assert.equal(await found(), 2);
  assert.deepEqual(await store.inspect(), []);
});

test("a repair looks at all sessions whose turns the index of search has lost, and says how many more than it lists", async () => {
  const url = await server.createDatabase("many_lost_words");
  const store = await openPostgres({ url });
  await using sessions = sessionsOn(store, { sweep: false });
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "pears" });
  assert.equal((await sessions.search({ text: "pears" })).items.length, 1);
  const columns = `agent, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, logs`;
  await query(
    url,
    `insert into perdure.sessions (tenant, id, ${columns}, is_indexed)
     select tenant, 'lost ' || number, ${columns}, true from perdure.sessions, generate_series(1, 203) number where id = 's'`,
  );
  await query(
    url,
    `insert into perdure.entries (tenant, session, logs, log, seq, at, data)
     select tenant, 'lost ' || number, logs, log, seq, at, data from perdure.entries, generate_series(1, 203) number
     where session = 's' and log = 'turns'`,
  );
  for (const repair of [false, true]) {
    const found = await store.inspect({ repair });
    assert.equal(found.length, 101);
    const last = found.at(-1);
    assert.deepEqual([last?.what, last?.repaired], ["a search does not find turns of 103 more sessions", repair]);
  }
  assert.deepEqual(await store.inspect(), []);
});

test("of more than 100 sessions with a problem, the last finding says how many more there are, and a repair looks at all", async () => {
  const url = await server.createDatabase("many_problems");
  const store = await openPostgres({ url });
  const first = sampleRecord({ id: "s", labels: { team: "ops" } });
  await store.commit([[creationOf(first, { splices: [sampleSplice("notes", 1, ["a", "b"])] })]]);
  const columns =
    "agent, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data";
  await query(
    url,
    `insert into perdure.sessions (tenant, id, labels, ${columns})
     select tenant, 's' || number, labels, ${columns} from perdure.sessions, generate_series(1, 203) number`,
  );
  await query(url, "delete from perdure.labels");
  const problems = async (repair: boolean): Promise<readonly unknown[]> => {
    const found = await store.inspect({ repair });
    return [found.length, found.at(-1)?.what, found.every(({ repaired }) => repaired)];
  };
  assert.deepEqual(await problems(false), [101, "lists do not find 104 more sessions by their labels", false]);
  assert.deepEqual(await problems(true), [101, "lists do not find 104 more sessions by their labels", true]);
  assert.deepEqual(await store.inspect(), []);
  await query(
    url,
    `insert into perdure.entries (tenant, session, logs, log, seq, at, data)
     select tenant, 'gone ' || number, logs, log, seq, at, data from perdure.entries, generate_series(1, 203) number`,
  );
  assert.deepEqual(await problems(true), [101, "206 entries of 103 more sessions, which there are not", false]);
  await store.close();
});
