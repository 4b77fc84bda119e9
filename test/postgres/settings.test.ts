/** Settings of the role or of the database that change how the server reads SQL, and poolers before it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { doctor, stats } from "../../src/admin.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { layoutOf, stepSql } from "../../src/store/postgres/schema/migrate.ts";
import { migrations } from "../../src/store/postgres/schema/schema.ts";
import { quoteBody } from "../../src/store/postgres/connection/names.ts";
import { missingPgBouncer, PgBouncer } from "./pgbouncer.ts";
import { serverOfFile } from "./of-file.ts";
import { query, user } from "./server.ts";

const server = await serverOfFile();

const odd = "a\u0000b \\u0000 \\\u0000 \ud83d\ude00 \udead \\";
const shown = "a\ufffdb \\u0000 \\\ufffd \ud83d\ude00 \ufffd \\";

/** Uses the store at `url`, then compares what SQL sees there. */
async function worksAt(url: string): Promise<void> {
  await using sessions = await openSessions({ store: url, sweep: false });
  const session = await sessions.create({ metadata: { odd }, user: "ann" });
  await session.append({ input: odd, output: "\u0001", usage: { inputTokens: 2, outputTokens: 1, totalTokens: 3 } });
  await session.handOff("billing", { note: odd });
  assert.equal((await stats(sessions)).turns.totalTokens, 3);
  assert.equal((await stats(sessions, { by: "user" })).groups.user?.[0]?.key, "ann");
  assert.equal((await doctor(sessions)).findings, 0);
  assert.equal((await sessions.listEvents()).items.length, 2);
  const texts = await query(url, "select text from perdure.readable_messages order by part");
  assert.deepEqual(texts, [{ text: shown }, { text: "\u0001" }]);
  const [row] = await query(url, "select metadata from perdure.readable_sessions where id = $1", [session.id]);
  assert.deepEqual(row?.["metadata"], { odd: shown });
}

for (const owner of ["role", "database"] as const) {
  test(`a store works where its ${owner} has standard_conforming_strings off`, async () => {
    const name = `conforming_${owner}`;
    const url = await server.createDatabase(name);
    const which = owner === "role" ? `role ${user} in database ${name}` : `database ${name}`;
    await query(server.url(), `alter ${which} set standard_conforming_strings = off`);
    assert.deepEqual(await query(url, "show standard_conforming_strings"), [{ standard_conforming_strings: "off" }]);
    await worksAt(url);
  });
}

test("a store works behind PgBouncer where its database has standard_conforming_strings off", async (context) => {
  const missing = missingPgBouncer();
  if (missing !== undefined) return context.skip(missing);
  await using bouncer = await PgBouncer.start(server);
  await server.createDatabase("bounced");
  await query(server.url(), "alter database bounced set standard_conforming_strings = off");
  await worksAt(bouncer.url("bounced"));
});

test("a store whose pooler loses prepared statements goes on without them", async (context) => {
  const missing = missingPgBouncer();
  if (missing !== undefined) return context.skip(missing);
  await using bouncer = await PgBouncer.start(server, { poolSize: 2 });
  const url = bouncer.url(new URL(await server.createDatabase("losing")).pathname.slice(1));
  const from = server.log.length;
  const lost = (): number => [...server.log.slice(from).matchAll(/ERROR: .*prepared statement "perdure_/g)].length;
  await using first = await openSessions({ store: url, sweep: false });
  await using second = await openSessions({ store: url, sweep: false });
  const grown = async (sessions: Sessions): Promise<number> => {
    const session = await sessions.create();
    for (let turn = 0; turn < 20; turn++) await session.append({ input: `${turn}` });
    return (await Array.fromAsync(session.turns())).length;
  };
  const counts = await Promise.all([first, second, first, second, first, second].map(grown));
  assert.deepEqual(counts, [20, 20, 20, 20, 20, 20]);
  const connections = 4;
  assert.ok(lost() >= 1 && lost() <= 2 * connections, `${lost()} statements were lost`);
});

test("a store of step 7, whose function depends on the setting, is migrated where it is off", async () => {
  const url = await server.createDatabase("earlier");
  const layout = layoutOf({ schema: "perdure", partitions: 1 });
  for (const step of migrations.slice(0, 7)) await query(url, stepSql(step, layout));
  const body = String.raw`
  select case
    when _data ~ '\\u(0000|d[89a-f])'
    then regexp_replace(_data, '(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})', '\1\\ufffd', 'g')
    else _data
  end::jsonb`;
  await query(
    url,
    `create function perdure.readable(_data text) returns jsonb language sql immutable strict parallel safe
as ${quoteBody(body)}`,
  );
  await query(server.url(), "alter database earlier set standard_conforming_strings = off");
  await worksAt(url);
});
