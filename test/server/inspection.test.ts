import assert from "node:assert/strict";
import { test } from "node:test";
import { assertProblem, serve } from "./serving.ts";

test("the key of a request is shown without its secret", async () => {
  await using here = serve();
  const key = await here.key("write");
  const { json } = await here.call("GET", "/v1/key", { key });
  assert.deepEqual(Object.keys(json), ["id", "name", "tenant", "right"]);
  assert.equal(json.right, "write");
  assert(!JSON.stringify(json).includes(key));
  assertProblem(await here.call("GET", "/v1/key"), 401, "key_missing");
});

test("keys of the tenant are listed without their secrets and revoked, by admins alone", async () => {
  await using here = serve();
  const theirs = await here.sessions.keys.create({ name: "theirs", right: "admin", tenant: "other" });
  const old = await here.sessions.keys.create({ name: "old", right: "read", ttl: "90d" });
  const [key, writer] = [await here.key("admin"), await here.key("write")];
  assertProblem(await here.call("GET", "/v1/keys", { key: writer }), 403, "key_forbidden");
  const { json, text } = await here.call("GET", "/v1/keys", { key });
  const listed = json.items as { id: string; name: string; right: string; expiresAt: string | null }[];
  assert.deepEqual(listed.map(({ right }) => right).toSorted(), ["admin", "read", "write"]);
  assert.deepEqual(listed.find(({ id }) => id === old.id)?.expiresAt, old.expiresAt?.toISOString());
  assert(![key, writer, old.token].some((secret) => text.includes(secret.slice(-20))) && !text.includes("theirs"));
  assert.deepEqual((await here.call("GET", "/v1/keys", { key: theirs.token })).json.items.length, 1);
  assertProblem(await here.call("DELETE", `/v1/keys/${old.id}`, { key: writer }), 403, "key_forbidden");
  const revoke = async (id: string, held = key): Promise<unknown> =>
    (await here.call("DELETE", `/v1/keys/${id}`, { key: held })).json;
  assert.deepEqual(await revoke(old.id, theirs.token), { revoked: false });
  assert.deepEqual(await revoke(theirs.id), { revoked: false });
  assert.deepEqual(await revoke("none"), { revoked: false });
  assert.equal((await here.call("GET", "/v1/key", { key: old.token })).status, 200);
  assert.deepEqual(await revoke(old.id), { revoked: true });
  assertProblem(await here.call("GET", "/v1/key", { key: old.token }), 401, "key_missing");
  assert.equal((await here.call("GET", "/v1/key", { key: theirs.token })).status, 200);
});

test("a lease shows its holder and its end, is broken by an admin alone, and its holder is fenced", async () => {
  await using here = serve();
  const [reader, writer, admin] = [await here.key("read"), await here.key("write"), await here.key("admin")];
  const session = await here.sessions.create({ id: "s" });
  const path = "/v1/sessions/s/lease";
  assert.equal((await here.call("GET", path, { key: reader })).status, 204);
  const lease = await session.lease({ ttl: "1h" });
  const { json } = await here.call("GET", path, { key: reader });
  assert.equal(json.fence, lease.fence);
  assert.equal(json.alive, true);
  assert.equal(Date.parse(json.expiresAt) - Date.parse(json.acquiredAt), 3_600_000);
  assert.equal("address" in json, false);
  assertProblem(await here.call("DELETE", path, { key: writer }), 403, "key_forbidden");
  assert.deepEqual((await here.call("DELETE", path, { key: admin })).json, { broken: true });
  assert.deepEqual((await here.call("DELETE", path, { key: admin })).json, { broken: false });
  await assert.rejects(session.append({ input: "too late" }), { code: "fenced" });
  assert.deepEqual((await here.call("POST", "/v1/sessions/s/recover", { key: writer })).json, { recovered: false });
});

test("stored entries of every log come as they are stored, the last ones first, page by page", async () => {
  await using here = serve();
  const key = await here.key("read");
  const session = await here.sessions.create({ id: "s" });
  for (const input of ["one", "two", "three"]) await session.append({ input, output: "é" }, { key: `key of ${input}` });
  await session.write({ logs: { facts: { entries: [{ key: "k", value: { a: 1 } }] } } });
  const logs = (await here.call("GET", "/v1/sessions/s/stored", { key })).json.items as { name: string; end: number }[];
  assert.deepEqual(Object.fromEntries(logs.map(({ name, end }) => [name, end])), { turns: 3, events: 1, facts: 1 });
  const first = (await here.call("GET", "/v1/sessions/s/stored/turns?limit=2", { key })).json;
  assert.deepEqual(
    first.items.map(({ seq, key: known }: { seq: number; key: string }) => [seq, known]),
    [
      [3, "key of three"],
      [2, "key of two"],
    ],
  );
  const [{ data, bytes }] = first.items;
  assert.equal(Buffer.byteLength(data), bytes);
  assert.equal(JSON.parse(data).input[0].content, "three");
  const rest = (await here.call("GET", `/v1/sessions/s/stored/turns?limit=2&before=${first.next}`, { key })).json;
  assert.deepEqual([rest.items.length, rest.items[0].seq, rest.next], [1, 1, undefined]);
  assert.deepEqual((await here.call("GET", "/v1/sessions/s/stored/none", { key })).json.items, []);
  for (const path of ["/v1/sessions/%00/stored", "/v1/sessions/%00/stored/turns"])
    assertProblem(await here.call("GET", path, { key }), 400, "id_invalid");
  await session.archive();
  assert.equal((await here.call("GET", "/v1/sessions/s/stored/turns", { key })).json.items.length, 3, "of an archive");
  const fork = await session.fork({ at: 2, as: "f" });
  assert.equal((await here.call("GET", "/v1/sessions/f/stored/turns", { key })).json.items.length, fork.info.turn);
});

test("a snapshot over HTTP restores", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s", title: "Snapshot" });
  await session.append({ input: "hello", output: "again" });
  const { json } = await here.call("GET", "/v1/sessions/s/snapshot", { key: await here.key("read") });
  await session.remove();
  const restored = await here.sessions.restore(JSON.stringify(json));
  assert.deepEqual([restored.id, restored.info.title, restored.info.turn], ["s", "Snapshot", 1]);
});

test("a key that may only read gets neither the token nor the state of a waiting turn", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  await session.append({ input: "hello", output: "again" });
  const turn = await session.begin("pay");
  const waiting = await turn.wait({ state: { run: "the state" }, reason: "approval" });
  const [reader, writer] = [await here.key("read"), await here.key("write")];
  const stored = "/v1/sessions/s/stored/turns";
  const snapshot = "/v1/sessions/s/snapshot";
  const given = await here.call("GET", stored, { key: reader });
  assert.deepEqual(
    given.json.items.map(({ seq, data }: { seq: number; data: string }) => [seq, JSON.parse(data).status]),
    [
      [2, "waiting"],
      [1, "done"],
    ],
  );
  assert.equal(JSON.stringify(given.json).includes("the state"), false);
  assertProblem(await here.call("GET", snapshot, { key: reader }), 403, "key_forbidden");
  assert.ok(JSON.stringify((await here.call("GET", stored, { key: writer })).json).includes("the state"));
  assert.ok(JSON.stringify((await here.call("GET", snapshot, { key: writer })).json).includes(waiting.token));
  await session.resume(waiting.token).then((resumed) => resumed.seal());
  assert.equal((await here.call("GET", snapshot, { key: reader })).json.session.id, "s");
});

test("a snapshot is restored over HTTP into the tenant of the key, by admins alone", async () => {
  await using here = serve({ server: { bodyBytesMax: 20_000 } });
  const session = await here.sessions.create({ id: "s", title: "Snapshot", user: "ada" });
  await session.append({ input: "hello", output: "again" });
  const key = await here.key("admin");
  const { json: body } = await here.call("GET", "/v1/sessions/s/snapshot", { key });
  const restore = async (query = "", given: unknown = body, held = key): ReturnType<typeof here.call> =>
    await here.call("POST", `/v1/snapshots${query}`, { key: held, body: given });
  assertProblem(await restore("", body, await here.key("write")), 403, "key_forbidden");
  assertProblem(await restore(), 409, "session_exists");
  const beside = await restore("?as=copy");
  assert.deepEqual([beside.status, beside.json.id, beside.json.title], [201, "copy", "Snapshot"]);
  assert.notEqual((await restore("?onExists=new-id")).json.id, "s");
  await session.append({ input: "later" });
  const replaced = await restore("?onExists=replace");
  assert.deepEqual([replaced.status, replaced.json.id, replaced.json.turn], [201, "s", 1]);
  const theirs = await here.sessions.keys.create({ name: "theirs", right: "admin", tenant: "other" });
  assert.equal((await restore("", body, theirs.token)).status, 201);
  const other = await here.sessions.for("other").get("s");
  assert.equal((await Array.fromAsync(other.turns())).length, 1);
  for (const damaged of [{}, [], "text", null, { ...body, checksum: "0".repeat(64) }])
    assertProblem(await restore("?as=damaged", damaged), 400, "snapshot_invalid");
  assertProblem(await restore("?as=damaged&onExists=keep"), 400, "request_invalid");
  assertProblem(await restore(`?as=${encodeURIComponent("a\u0000")}`), 400, "id_invalid");
  assertProblem(await restore("?as=large", { ...body, more: "x".repeat(20_000) }), 413, "body_too_large");
  await assert.rejects(here.sessions.get("damaged"), { code: "session_not_found" });
});

test("routes of inspection open the tenant of the key alone", async () => {
  await using here = serve();
  await (await here.sessions.for("other").create({ id: "theirs" })).append({ input: "a secret" });
  const key = await here.key("admin");
  for (const path of ["lease", "stored", "stored/turns", "snapshot"])
    assertProblem(await here.call("GET", `/v1/sessions/theirs/${path}`, { key }), 404, "session_not_found");
});

test("the doctor over HTTP reports and repairs, for admins alone", async () => {
  await using here = serve();
  const [key, writer] = [await here.key("admin"), await here.key("write")];
  await here.sessions.create({ id: "s" });
  assertProblem(await here.call("POST", "/v1/doctor", { key: writer, body: {} }), 403, "key_forbidden");
  const { json } = await here.call("POST", "/v1/doctor", { key, body: {} });
  assert.deepEqual([json.sessions > 0, json.findings, json.items, json.complete], [true, 0, [], true]);
  assert.equal((await here.call("POST", "/v1/doctor", { key, body: { repair: true } })).json.repaired, 0);
});

test("references of a user are counted without a change, for admins alone", async () => {
  await using here = serve();
  const [key, reader] = [await here.key("admin"), await here.key("read")];
  await here.sessions.create({ id: "s", user: "ada" });
  assertProblem(
    await here.call("POST", "/v1/references", { key: reader, body: { user: "ada" } }),
    403,
    "key_forbidden",
  );
  assert.equal((await here.call("POST", "/v1/references", { key, body: { user: "ada" } })).json.sessions, 1);
  assert.equal((await here.call("POST", "/v1/references", { key, body: { user: "grace" } })).json.sessions, 0);
  assert.equal((await here.call("POST", "/v1/references", { key, body: {} })).status, 400);
  assert.equal((await here.sessions.list({ user: "ada" })).items.length, 1);
});

test("hosts of live sessions are listed", async () => {
  await using here = serve();
  assert.deepEqual((await here.call("GET", "/v1/hosts", { key: await here.key("read") })).json, { items: [] });
});
