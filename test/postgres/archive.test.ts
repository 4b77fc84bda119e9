/** Archives in the database: bytes, whoever wrote them, and texts of the time before there was a column for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { PostgresServer, query } from "./server.ts";

test("an archive is stored as bytes, and one that is stored as text is read and restored like any other", async () => {
  await using server = await PostgresServer.start();
  await using sessions = await openSessions({ store: server.url(), sweep: false });
  const session = await sessions.create({ id: "s" });
  for (let turn = 1; turn <= 9; turn++) await session.append({ input: `question ${turn}`, output: "an answer" });
  const turns = await Array.fromAsync(session.turns());
  await session.archive();
  const standing = `select data, octet_length(bytes) as bytes from perdure.entries where log = 'archive'`;
  const packed = session.info.archive?.packedBytes;
  assert.deepEqual(await query(server.url(), standing), [{ data: "{}", bytes: packed }]);
  assert.deepEqual(await Array.fromAsync(session.turns()), turns);

  await query(
    server.url(),
    "update perdure.entries set data = perdure.entry_text(data, bytes), bytes = null where log = 'archive'",
  );
  const [{ data, bytes } = {}] = await query(server.url(), standing);
  assert.match(String(data), /^\{"\$type":"bytes","value":"[A-Za-z0-9+/=]+"\}$/);
  assert.equal(bytes, null);
  assert.deepEqual(await Array.fromAsync(session.turns()), turns);
  await session.unarchive();
  assert.deepEqual(await Array.fromAsync(session.turns()), turns);
  assert.deepEqual(await query(server.url(), standing), []);
});
