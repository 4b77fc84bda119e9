/** Documents over HTTP: versions as ETags, expiry, pages, batches; and the client of them. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { connect, hasCode, type RemoteDocuments, type RemoteSessions } from "../../src/client/index.ts";
import { encodeValue, type DocumentWrite, type IfVersion } from "../../src/index.ts";
import { openMemory } from "../../src/store/memory.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { assertProblem, serve, type Serving } from "./serving.ts";

async function remoteOf(here: Serving, right: "read" | "write" = "write", tenant?: string): Promise<RemoteSessions> {
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  return connect({ url: "http://server.test", key: await here.key(right, tenant), fetch, retries: 0 });
}

const path = "/v1/documents/state/k";

test("a document comes back as it was put, with its version as ETag", async () => {
  await using here = serve();
  const key = await here.key("write");
  assertProblem(await here.call("GET", path, { key }), 404, "document_not_found");
  const value = { at: new Date(7), big: 12n, bytes: new Uint8Array([1, 2]), ["__proto__"]: 1, none: null };
  const put = await here.call("PUT", path, { key, body: encodeValue({ value, ttl: "1h", user: "ada" }) });
  assert.equal(put.status, 200);
  assert.equal(put.headers.get("etag"), `"${put.json.version}"`);
  const got = await here.call("GET", path, { key });
  assert.deepEqual([got.status, got.headers.get("etag")], [200, put.headers.get("etag")]);
  const { key: named, version, user, createdAt, updatedAt, expiresAt } = got.json;
  assert.deepEqual([named, version, user, createdAt], ["k", put.json.version, "ada", updatedAt]);
  assert.equal(Date.parse(expiresAt) - Date.parse(createdAt), 3_600_000);
  assert.deepEqual((await here.sessions.documents("state").get("k"))?.value, value);
  assert.match(got.text, /"__proto__":1/);
  const nothing = await here.call("PUT", path, { key, body: { value: null } });
  assert.equal(nothing.status, 200);
  const stored = await here.sessions.documents("state").get("k");
  assert.deepEqual([stored?.value, stored?.user, stored?.expiresAt], [null, null, null]);
});

test("If-Match and If-None-Match: * refuse a write that finds another document, and nothing is written", async () => {
  await using here = serve();
  const key = await here.key("write");
  const write = (method: string, headers: Record<string, string>, body?: object) =>
    here.call(method, path, { key, headers, body });
  assertProblem(await write("PUT", { "if-match": '"5"' }, { value: 1 }), 409, "document_conflict");
  const first = await write("PUT", { "if-none-match": "*" }, { value: 1 });
  const tag = first.headers.get("etag") ?? "";
  for (const method of ["PUT", "PATCH"])
    assertProblem(await write(method, { "if-none-match": "*" }, { value: 2 }), 409, "document_conflict");
  const second = await write("PUT", { "if-match": tag }, { value: 2 });
  assert.equal(second.status, 200);
  for (const method of ["PUT", "PATCH", "DELETE"]) {
    const refused = await write(method, { "if-match": tag }, method === "DELETE" ? undefined : { value: 3 });
    assertProblem(refused, 409, "document_conflict");
    const { expectedVersion, storedVersion } = refused.json.details;
    assert.deepEqual([expectedVersion, storedVersion], [first.json.version, second.json.version]);
  }
  assert.equal((await here.sessions.documents("state").get("k"))?.value, 2);
  // A proxy that compresses makes the tag weak.
  const weak = await write("DELETE", { "if-match": `W/${second.headers.get("etag")}` });
  assert.deepEqual([weak.status, weak.text], [204, ""]);
  assertProblem(await write("DELETE", {}), 404, "document_not_found");
});

test("PATCH keeps the user and the time of expiry, and touch sets that time", async () => {
  const clock = scriptedClock();
  await using here = serve({ clock, store: openMemory({ clock }) });
  const key = await here.key("write");
  const documents = here.sessions.documents("state");
  const version = await documents.put("k", 1, { ttl: "1h", user: "ada" });
  const before = await documents.get("k");
  await clock.advance(60_000);
  const patched = await here.call("PATCH", path, { key, body: { value: 2 }, headers: { "if-match": `"${version}"` } });
  const after = await documents.get("k");
  assert.deepEqual([after?.value, after?.user, after?.expiresAt], [2, "ada", before?.expiresAt]);
  assert.equal(patched.json.version, after?.version);
  assert.equal((await here.call("POST", `${path}/touch`, { key, body: { ttl: "10m" } })).status, 204);
  const touched = await documents.get("k");
  assert.deepEqual([touched?.version, touched?.expiresAt], [after?.version, new Date(clock.now() + 600_000)]);
  await clock.advance(600_000);
  assertProblem(await here.call("GET", path, { key }), 404, "document_not_found");
  assertProblem(await here.call("POST", `${path}/touch`, { key, body: { ttl: "10m" } }), 404, "document_not_found");
});

test("documents are listed by page and prefix, counted, and got by their keys", async () => {
  await using here = serve();
  const key = await here.key("read");
  const documents = here.sessions.documents("a b/é");
  const scope = `/v1/documents/${encodeURIComponent("a b/é")}`;
  await documents.write(["b/2", "a/1", "a/3", "a/2", "count"].map((name) => ({ key: name, value: name })));
  const keysOf = ({ json }: { json: { items: { key: string }[] } }) => json.items.map((one) => one.key);
  const first = await here.call("GET", `${scope}?prefix=a/&limit=2`, { key });
  assert.deepEqual([keysOf(first), first.json.next], [["a/1", "a/2"], "a/2"]);
  const second = await here.call("GET", `${scope}?prefix=a/&limit=2&after=a/2`, { key });
  assert.deepEqual([keysOf(second), "next" in second.json], [["a/3"], false]);
  const named = await here.call("GET", `${scope}?key=b/2&key=none&key=a/1&key=b/2`, { key });
  assert.deepEqual([keysOf(named), "next" in named.json], [["b/2", "a/1"], false]);
  const count = (body: object) => here.call("POST", `${scope}/count`, { key, body });
  assert.deepEqual([(await count({})).json, (await count({ prefix: "a/" })).json], [{ count: 5 }, { count: 3 }]);
  // A document may have a key that is the last part of another route.
  assert.equal((await here.call("GET", `${scope}/count`, { key })).json.value, "count");
});

test("a page of large documents ends at 1 MiB, by prefix and by keys", async () => {
  await using here = serve();
  const documents = here.sessions.documents("large");
  const keys = Array.from({ length: 15 }, (_, index) => `k${index + 10}`);
  for (const name of keys) await documents.put(name, name.repeat(60_000));
  const remote = (await remoteOf(here, "read")).documents("large");
  const all = await Array.fromAsync(remote.each());
  assert.deepEqual(
    all.map(({ key }) => key),
    keys,
  );
  const key = await here.key("read");
  const query = keys.map((name) => `key=${name}`).join("&");
  const page = await here.call("GET", `/v1/documents/large?${query}`, { key });
  assert.ok(page.text.length < 1_200_000 && page.json.items.length >= 5);
  assert.equal(page.json.next, page.json.items.at(-1).key);
  const many = await remote.getMany([...keys, "none"]);
  assert.deepEqual([...many.keys()], keys);
  assert.equal(many.get("k24")?.value, "k24".repeat(60_000));
});

test("a page names the documents that cannot be read, and so does the client", async () => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-documents-"));
  try {
    const file = join(folder, "documents.db");
    await using here = serve({ store: await openSqlite({ url: `sqlite:${file}`, clock: systemClock }) });
    const documents = here.sessions.documents("state");
    await documents.write(["a", "b", "c"].map((key) => ({ key, value: key })));
    const database = new DatabaseSync(file);
    database.exec("update documents set data = '{' where key = 'b'");
    database.close();
    const key = await here.key("read");
    const page = await here.call("GET", "/v1/documents/state?limit=2", { key });
    assert.deepEqual(page.json.unreadable, [{ key: "b", reason: "its data cannot be read" }]);
    assert.deepEqual([page.json.items.length, page.json.next], [1, "b"]);
    const remote = (await remoteOf(here, "read")).documents("state");
    assert.deepEqual(await remote.list(), await documents.list());
    assert.deepEqual((await remote.list()).unreadable, ["b"]);
    assert.deepEqual(
      (await Array.fromAsync(remote.each())).map((one) => one.key),
      ["a", "c"],
    );
    assertProblem(await here.call("GET", "/v1/documents/state/b", { key }), 500, "store_invalid");
    assertProblem(await here.call("GET", "/v1/documents/state?key=a&key=b", { key }), 500, "store_invalid");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a batch of documents is one commit, and so is a write of a session with documents", async () => {
  await using here = serve();
  const key = await here.key("write");
  const documents = here.sessions.documents("state");
  const old = await documents.put("old", 1);
  const batch = (writes: unknown) =>
    here.call("POST", "/v1/documents/state/write", { key, body: { documents: writes } });
  const { status, json } = await batch([
    { key: "a", value: { n: 1 }, if: "absent", ttl: "1d", user: "ada" },
    { key: "old", delete: true, if: old },
  ]);
  assert.equal(status, 200);
  assert.deepEqual(json.versions, [(await documents.get("a"))?.version, null]);
  assertProblem(
    await batch([
      { key: "b", value: 1 },
      { key: "a", value: 2, if: "absent" },
    ]),
    409,
    "document_conflict",
  );
  assert.equal(await documents.count(), 1);
  const session = await here.sessions.create({ id: "s" });
  const both = {
    turns: { turns: [{ input: "I moved to Rome." }] },
    documents: [
      { scope: "profile", key: "ada", value: { city: "Rome" }, user: "ada", if: "absent" },
      { scope: "state", key: "a", delete: true },
    ],
  };
  const written = await here.call("POST", "/v1/sessions/s/write", { key, body: both });
  const profile = await here.sessions.documents("profile").get("ada");
  assert.deepEqual([written.status, written.json.documents], [200, [profile?.version, null]]);
  assert.deepEqual(profile?.value, { city: "Rome" });
  const before = (await session.refresh()).version;
  assertProblem(await here.call("POST", "/v1/sessions/s/write", { key, body: both }), 409, "document_conflict");
  const many = { writes: [{ id: "s", ...both }] };
  assertProblem(await here.call("POST", "/v1/write", { key, body: many }), 409, "document_conflict");
  assert.equal((await session.refresh()).version, before);
});

test("requests that are invalid are refused before anything is written", async () => {
  await using here = serve();
  const key = await here.key("write");
  const documents = here.sessions.documents("state");
  await documents.put("k", "old");
  const cases: readonly [string, string, object | string | undefined, string, Record<string, string>?][] = [
    ["GET", "/v1/documents/state?prefx=a", undefined, "request_invalid"],
    ["GET", "/v1/documents/state?limit=0", undefined, "request_invalid"],
    ["GET", "/v1/documents/state?limit=100000", undefined, "argument_invalid"],
    ["GET", "/v1/documents/state?limit=x", undefined, "request_invalid"],
    ["GET", "/v1/documents/state?after=", undefined, "id_invalid"],
    ["GET", "/v1/documents/state?key=k&prefix=a", undefined, "request_invalid"],
    ["GET", "/v1/documents/state?key=k&limit=5", undefined, "request_invalid"],
    ["GET", "/v1/documents/state?key=k&after=other", undefined, "request_invalid"],
    ["GET", `/v1/documents/state?${"key=k&".repeat(101)}`, undefined, "request_invalid"],
    ["GET", "/v1/documents/st%00te", undefined, "id_invalid"],
    ["GET", `/v1/documents/state/${"k".repeat(257)}`, undefined, "id_invalid"],
    ["GET", `${path}?version=1`, undefined, "request_invalid"],
    ["PUT", path, {}, "request_invalid"],
    ["PUT", path, [], "request_invalid"],
    ["PUT", path, "{", "request_invalid"],
    ["PUT", path, { value: 1, tttl: "1h" }, "request_invalid"],
    ["PUT", path, { value: 1, if: 5 }, "request_invalid"],
    ["PUT", path, { value: 1, ttl: "soon" }, "duration_invalid"],
    ["PUT", path, { value: 1, ttl: null }, "request_invalid"],
    ["PUT", path, { value: 1, user: "" }, "id_invalid"],
    ["PUT", path, { value: "x".repeat(1024 * 1024) }, "document_too_large"],
    ["PUT", path, { value: 1 }, "request_invalid", { "if-match": "*" }],
    ["PUT", path, { value: 1 }, "request_invalid", { "if-match": "5" }],
    ["PUT", path, { value: 1 }, "request_invalid", { "if-match": '"0"' }],
    ["PUT", path, { value: 1 }, "request_invalid", { "if-match": '"5", "6"' }],
    ["PUT", path, { value: 1 }, "request_invalid", { "if-none-match": '"5"' }],
    ["PUT", path, { value: 1 }, "request_invalid", { "if-none-match": "*", "if-match": '"5"' }],
    ["PATCH", path, {}, "request_invalid"],
    ["PATCH", path, { value: 1, user: "ada" }, "request_invalid"],
    ["DELETE", path, undefined, "request_invalid", { "if-match": "*" }],
    ["DELETE", path, { if: 5 }, "request_invalid"],
    ["POST", `${path}/touch`, {}, "request_invalid"],
    ["POST", `${path}/touch`, { ttl: "1h", key: "k" }, "request_invalid"],
    ["POST", `${path}/touch`, { ttl: -1 }, "duration_invalid"],
    ["POST", "/v1/documents/state/count", { prefx: "a" }, "request_invalid"],
    ["POST", "/v1/documents/state/count", { prefix: 1 }, "request_invalid"],
    ["POST", "/v1/documents/state/write", [], "request_invalid"],
    ["POST", "/v1/documents/state/write", {}, "request_invalid"],
    ["POST", "/v1/documents/state/write", { documents: {} }, "argument_invalid"],
    ["POST", "/v1/documents/state/write", { documents: [null] }, "argument_invalid"],
    ["POST", "/v1/documents/state/write", { documents: [{ key: "k", value: 1, vlue: 1 }] }, "argument_invalid"],
    ["POST", "/v1/documents/state/write", { documents: [{ key: "k", value: 1, scope: "other" }] }, "argument_invalid"],
    ["POST", "/v1/documents/state/write", { documents: [{ key: "k", delete: false }] }, "argument_invalid"],
    ["POST", "/v1/documents/state/write", { documents: [{ key: "k", value: 1, if: "any" }] }, "argument_invalid"],
    ["POST", "/v1/documents/state/write", { documents: [{ key: "k" }] }, "value_unstorable"],
    ["POST", "/v1/documents/state/write", '{"documents":[{"key":"k","value":1,"__proto__":1}]}', "argument_invalid"],
  ];
  for (const [method, to, body, code, headers] of cases) {
    const answered = await here.call(method, to, { key, body, ...(headers === undefined ? {} : { headers }) });
    const label = `${method} ${to} ${JSON.stringify(body)} ${JSON.stringify(headers)}: ${answered.text}`.slice(0, 500);
    assert.deepEqual([answered.status, answered.json?.code], [code === "document_too_large" ? 413 : 400, code], label);
  }
  assert.equal((await documents.get("k"))?.value, "old");
  assert.equal(await documents.count(), 1);
  assertProblem(await here.call("POST", path, { key, body: {} }), 405, "method_not_allowed");
});

test("a key opens the documents of its tenant, with its right; a device opens none", async () => {
  await using here = serve();
  const read = await here.key("read");
  const foreign = await here.key("write", "other");
  await here.sessions.documents("state").put("k", 1);
  for (const [method, to, body] of [
    ["PUT", path, { value: 2 }],
    ["PATCH", path, { value: 2 }],
    ["DELETE", path, undefined],
    ["POST", `${path}/touch`, { ttl: "1h" }],
    ["POST", "/v1/documents/state/write", { documents: [] }],
  ] as const)
    assertProblem(await here.call(method, to, { key: read, body }), 403, "key_forbidden");
  assertProblem(await here.call("GET", path, { key: foreign }), 404, "document_not_found");
  assertProblem(await here.call("DELETE", path, { key: foreign }), 404, "document_not_found");
  assert.equal((await here.call("PUT", path, { key: foreign, body: { value: 2 } })).status, 200);
  assert.deepEqual((await here.call("POST", "/v1/documents/state/count", { key: read, body: {} })).json, { count: 1 });
  assertProblem(await here.call("GET", path, { device: crypto.randomUUID() }), 401, "key_missing");
  assert.equal((await here.sessions.documents("state").get("k"))?.value, 1);
});

test("the client has the methods of the library, with the same results", async () => {
  await using here = serve();
  const remote = (await remoteOf(here)).documents("a/b");
  const local = here.sessions.documents("a/b");
  assert.deepEqual(
    [await remote.get("k"), await remote.delete("k"), await remote.touch("k", "1h")],
    [null, false, false],
  );
  const value = { at: new Date(0), bytes: new Uint8Array([1]), big: 1n };
  const version = await remote.put("ü/1", value, { if: "absent", ttl: "1h", user: "ada" });
  assert.deepEqual(await remote.get("ü/1"), await local.get("ü/1"));
  assert.equal((await remote.get("ü/1"))?.version, version);
  await assert.rejects(remote.put("ü/1", 1, { if: "absent" }), { code: "document_conflict" });
  await assert.rejects(remote.delete("ü/1", { if: version + 1 }), { code: "document_conflict" });
  const next = await remote.put("ü/1", 1, { if: version });
  assert.ok(next > version);
  assert.equal(await remote.touch("ü/1", "2h"), true);
  assert.deepEqual(
    await remote.write([
      { key: "x", value: 1 },
      { key: "ü/1", delete: true },
    ]),
    [(await local.get("x"))?.version, null],
  );
  await remote.put("y", 2);
  assert.deepEqual([await remote.count(), await remote.count({ prefix: "y" })], [2, 1]);
  assert.deepEqual(await remote.list({ limit: 1 }), await local.list({ limit: 1 }));
  assert.deepEqual(await Array.fromAsync(remote.each({ prefix: "" })), await Array.fromAsync(local.each()));
  assert.deepEqual(await remote.getMany(["y", "none"]), await local.getMany(["y", "none"]));
  assert.equal(await remote.delete("y", { if: (await local.get("y"))?.version ?? 0 }), true);
});

test("an update of the client loses no change of another writer, and keeps user and expiry", async () => {
  await using here = serve();
  const remote = (await remoteOf(here)).documents("state");
  const local = here.sessions.documents("state");
  await local.put("n", 0, { ttl: "1h", user: "ada" });
  const before = await local.get("n");
  await Promise.all(Array.from({ length: 8 }, async () => await remote.update("n", (value) => Number(value) + 1)));
  const after = await local.get("n");
  assert.deepEqual([after?.value, after?.user, after?.expiresAt], [8, "ada", before?.expiresAt]);
  assert.equal(await remote.update("n", () => undefined), null);
  assert.equal((await local.get("n"))?.version, after?.version);
  const version = await remote.update("fresh", (value) => (value === undefined ? 1 : 2), { if: "absent", ttl: "1h" });
  for (const documents of [remote, local]) {
    const never = (): never => assert.fail("called");
    await assert.rejects(documents.update("fresh", never, { if: "absent" }), (error) => {
      assert.ok(hasCode(error, "document_conflict"), String(error));
      assert.partialDeepStrictEqual(error.details, { scope: "state", key: "fresh", storedVersion: version });
      return true;
    });
    await assert.rejects(documents.update("none", never, { if: 5 }), { code: "document_conflict" });
    await assert.rejects(documents.update("fresh", never, { if: 1.5 }), { code: "argument_invalid" });
  }
  // The document changes between the read of an update and its write.
  let calls = 0;
  const racing = local.update(
    "fresh",
    () => {
      calls++;
      void local.put("fresh", "other");
      return "mine";
    },
    { if: version ?? 0 },
  );
  await assert.rejects(racing, { code: "document_conflict" });
  assert.equal(calls, 1);
});

test("the client refuses wrong arguments as the library does", async () => {
  await using here = serve();
  const sessions = await remoteOf(here);
  assert.throws(() => sessions.documents(""), { code: "id_invalid" });
  assert.throws(() => sessions.documents(".."), { code: "id_invalid" });
  const remote: RemoteDocuments = sessions.documents("state");
  const wrong = (value: unknown) => value as never;
  await assert.rejects(remote.get(""), { code: "id_invalid" });
  await assert.rejects(remote.put("..", 1), { code: "id_invalid" });
  await assert.rejects(remote.put("k", 1, wrong({ tttl: 1 })), { code: "argument_invalid" });
  for (const bad of [0, -1, 1.5, "any", null])
    await assert.rejects(remote.put("k", 1, { if: wrong(bad) as IfVersion }), { code: "argument_invalid" });
  await assert.rejects(remote.put("k", wrong(undefined)), { code: "request_invalid" });
  await assert.rejects(remote.delete("k", wrong({ ttl: 1 })), { code: "argument_invalid" });
  await assert.rejects(remote.touch("k", "soon"), { code: "duration_invalid" });
  await assert.rejects(remote.list(wrong({ prefx: "a" })), { code: "argument_invalid" });
  await assert.rejects(remote.count(wrong({ limit: 1 })), { code: "argument_invalid" });
  await assert.rejects(remote.getMany([""]), { code: "id_invalid" });
  const log = (await sessions.create({ id: "s" })).log("facts");
  for (const keys of [null, undefined, "k", 1, {}]) {
    await assert.rejects(remote.getMany(wrong(keys)), { code: "argument_invalid" });
    await assert.rejects(log.get(wrong(keys)), { code: "argument_invalid" });
  }
  const scoped: readonly DocumentWrite[] = wrong([{ scope: "other", key: "k", value: 1 }]);
  await assert.rejects(remote.write(scoped), { code: "argument_invalid" });
  await assert.rejects(here.sessions.documents("state").write(scoped), { code: "argument_invalid" });
  const reader = (await remoteOf(here, "read")).documents("state");
  await assert.rejects(reader.put("k", 1), { code: "key_forbidden" });
  assert.equal(await here.sessions.documents("state").count(), 0);
});

test("the document of the routes names the parameters, headers and bodies of documents", async () => {
  await using here = serve();
  const { paths, components } = (await here.call("GET", "/openapi.json")).json;
  const { get, put, patch } = paths["/v1/documents/{scope}/{key}"];
  const namesOf = ({ parameters }: { parameters: { name: string }[] }) => parameters.map(({ name }) => name);
  assert.deepEqual(namesOf(get), ["scope", "key"]);
  assert.deepEqual(namesOf(put), ["scope", "key", "If-Match", "If-None-Match"]);
  const bodyOf = (route: typeof put) => route.requestBody.content["application/json"].schema;
  assert.deepEqual(
    [put, patch].map((route) => Object.keys(bodyOf(route).properties)),
    [
      ["value", "ttl", "user"],
      ["value", "ttl"],
    ],
  );
  assert.deepEqual(bodyOf(put).required, ["value"]);
  assert.deepEqual(namesOf(paths["/v1/documents/{scope}"].get), ["scope", "prefix", "after", "limit", "key"]);
  const { documents } = bodyOf(paths["/v1/documents/{scope}/write"].post).properties;
  assert.deepEqual(Object.keys(documents.items.properties), ["key", "value", "delete", "if", "ttl", "user"]);
  assert.ok("expiresAt" in components.schemas.Document.properties);
});
