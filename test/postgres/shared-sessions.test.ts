/** Shared sessions on PostgreSQL: one pool for all parts of a process. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sharedSessions } from "../../src/index.ts";
import { PostgresServer, query } from "./server.ts";

test("ten shared sessions of one URL use one pool of connections", async () => {
  await using server = await PostgresServer.start();
  const url = server.url();
  const all = await Promise.all(Array.from({ length: 10 }, () => sharedSessions({ store: url, sweep: false })));
  await Promise.all(all.map(async (sessions, index) => await sessions.create({ id: `s${index}` })));
  const [row] = await query(
    url,
    "select count(*) as count from pg_stat_activity where application_name = 'perdure' and datname = current_database()",
  );
  const count = Number(row?.["count"]);
  assert.ok(count >= 1 && count <= 4, `${count} connections`);
  for (const sessions of all.slice(1)) await sessions.close();
  assert.equal(await all[0]?.count(), 10);
  await all[0]?.close();
});
