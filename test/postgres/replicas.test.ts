/** A replica takes no write: sessions are read from it as the page on replicas says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stats } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { PostgresServer, query } from "./server.ts";

test("a server that takes no writes is read as a replica, and a write to it fails with store_read_only", async () => {
  await using server = await PostgresServer.start();
  const primary = await openSessions({ store: server.url(), sweep: false });
  const session = await primary.create({ id: "s", agent: "ceo" });
  await session.append({ input: "hi", output: "there" });
  await primary.close();
  const [row] = await query(server.url(), "select current_database() as name");
  await query(server.url(), `alter database "${String(row?.["name"])}" set default_transaction_read_only = on`);
  await using replica = await openSessions({ store: server.url(), sweep: false });
  const read = await replica.get("s");
  assert.equal((await Array.fromAsync(read.turns())).length, 1);
  assert.equal((await replica.list({ agent: "ceo" })).items.length, 1);
  assert.equal(await replica.count(), 1);
  assert.equal((await replica.listEvents()).items.length, 1);
  assert.equal((await stats(replica)).sessions.total, 1);
  await assert.rejects(read.append({ input: "no" }), { code: "store_read_only" });
});
