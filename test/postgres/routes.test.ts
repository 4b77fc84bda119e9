/** Documents, named logs and streams over HTTP on PostgreSQL, through two servers of one store. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, hasCode, type RemoteSessions } from "../../src/client/index.ts";
import type { ErrorCode, Value } from "../../src/index.ts";
import { openPostgres } from "../../src/store/postgres/index.ts";
import { serve, type Serving } from "../server/serving.ts";
import { serverOfFile } from "./of-file.ts";

const server = await serverOfFile();

interface Servers extends AsyncDisposable {
  readonly one: RemoteSessions;
  readonly other: RemoteSessions;
}

/** Clients of two servers of the store, with a key of the right to write. */
async function servers(schema: string): Promise<Servers> {
  const stack = new AsyncDisposableStack();
  const here: Serving[] = [];
  for (let count = 0; count < 2; count++)
    here.push(stack.use(serve({ store: await openPostgres({ url: server.url(), schema }) })));
  const key = await here[0]?.key("write");
  const [one, other] = here.map((serving) =>
    connect({
      url: "http://server.test",
      key: key ?? "",
      fetch: async (url, init) => await serving.server.fetch(new Request(url, init)),
    }),
  );
  assert.ok(one !== undefined && other !== undefined);
  return { one, other, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const refused = (code: ErrorCode) => (error: unknown) => hasCode(error, code);

test("documents are written through one server and read through the other", async () => {
  await using here = await servers("routes_documents");
  const [one, other] = [here.one.documents("state"), here.other.documents("state")];
  const value: Value = { at: new Date(7), big: 12n, bytes: new Uint8Array([1]), text: "a'\\\u{10ffff}", none: null };
  const version = await one.put("k", value, { user: "ada" });
  assert.deepEqual([(await other.get("k"))?.value, (await other.get("k"))?.version], [value, version]);
  await assert.rejects(other.put("k", 1, { if: "absent" }), refused("document_conflict"));
  await assert.rejects(other.put("k", 1, { if: version + 1 }), refused("document_conflict"));
  assert.ok((await other.put("k", 1, { if: version })) > version);
  await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      (n % 2 === 0 ? one : other).update("count", (known) => Number(known ?? 0) + 1),
    ),
  );
  assert.equal((await one.get("count"))?.value, 10);
  for (const key of ["a/1", "a/\u{10000}", "a/\uffff", "b"]) await one.put(key, key);
  const first = await other.list({ prefix: "a/", limit: 2 });
  const rest = await other.list({ prefix: "a/", limit: 2, after: first.next ?? "" });
  assert.deepEqual(
    [...first.items, ...rest.items].map(({ key }) => key),
    ["a/1", "a/\uffff", "a/\u{10000}"],
  );
  assert.equal(await other.count({ prefix: "a/" }), 3);
  assert.deepEqual([...(await other.getMany(["b", "none"])).keys()], ["b"]);
  const stale = [
    { key: "new", value: 1 },
    { key: "b", value: 2, if: "absent" as const },
  ];
  await assert.rejects(other.write(stale), refused("document_conflict"));
  assert.equal(await one.get("new"), null, "all or none");
  assert.equal(await other.delete("b"), true);
  assert.equal(await one.get("b"), null);
});

test("named logs are written and rewritten through one server, and read and followed through the other", async () => {
  await using here = await servers("routes_logs");
  const session = await here.one.create({ id: "s" });
  const same = await here.other.get("s");
  const following = same.log("notes").follow()[Symbol.asyncIterator]();
  const keys = ["a", "b", "b\u{10000}", "b\uffff", "c"];
  const written = await session.write({
    turns: { turns: [{ input: "q", output: "a" }] },
    logs: { notes: { entries: keys.map((key) => ({ key, value: { key } })) } },
    documents: [{ scope: "state", key: "k", value: 1 }],
  });
  assert.ok(written.status === "ok");
  assert.deepEqual(written.logs["notes"]?.seqs, [1, 2, 3, 4, 5]);
  const followed: unknown[] = [];
  for (const key of keys) followed.push(await following.next().then(({ value }) => [key, value?.key]));
  assert.deepEqual(
    followed,
    keys.map((key) => [key, key]),
  );
  await following.return?.();
  const found = await Array.fromAsync(same.log("notes").between({ prefix: "b" }));
  assert.deepEqual(
    found.map(({ key }) => key),
    ["b", "b\uffff", "b\u{10000}"],
  );
  const look = await same.look([{ log: "notes", last: 2 }]);
  assert.deepEqual(
    look.tails[0]?.map(({ key }) => key),
    ["b\uffff", "c"],
  );
  assert.equal((await session.write({ logs: { notes: { entries: [{ key: "c", value: 1 }] } } })).status, "duplicate");
  const rewritten = await same.write({ logs: { notes: { from: 4, entries: [{ key: "d", value: 4 }] } }, onto: look });
  assert.equal(rewritten.status, "ok");
  await assert.rejects(session.write({ logs: { notes: { from: 4, entries: [] } }, onto: look }), refused("conflict"));
  const entries = await Array.fromAsync(session.log("notes").entries({ order: "descending" }));
  assert.deepEqual(
    entries.map(({ seq, key }) => [seq, key]),
    [
      [4, "d"],
      [3, "b\u{10000}"],
      [2, "b"],
      [1, "a"],
    ],
  );
  assert.equal((await here.other.documents("state").get("k"))?.value, 1);
});

test("a stream is produced through both servers and read through each", async () => {
  await using here = await servers("routes_streams");
  await here.one.create({ id: "chat" });
  const acquired = await here.one.streams.acquire("run", { session: "chat", flush: { ms: 0 } });
  assert.ok(acquired.role === "producer");
  const reading = [here.one, here.other].map((sessions) => Array.fromAsync(sessions.streams.read("run")));
  const parts = Array.from({ length: 30 }, (_, part) => ({ part }));
  for (const part of parts) await acquired.stream.write(part, { said: "." });
  assert.equal(await here.other.streams.active("chat"), "run");
  await acquired.stream.end({ append: { input: "q", output: "a" } });
  for (const read of await Promise.all(reading))
    assert.deepEqual(
      read.map(({ part }) => part),
      parts,
    );
  const session = await here.other.get("chat");
  assert.equal((await Array.fromAsync(session.turns())).length, 1);
});
