/** Documents on the command line: list, get, put, delete, count. */
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { test } from "node:test";
import { encodeValue } from "../../src/index.ts";
import { Workplace, workplaceOfFile, jsonLines, type Finished } from "./command-line.ts";

const { place, sessions } = await workplaceOfFile();

async function run(command: string, ...args: string[]): Promise<Finished> {
  return await place.run(["documents", command, ...args]);
}

async function put(scope: string, key: string, json: string, ...args: string[]): Promise<Finished> {
  return await place.run(["documents", "put", scope, key, "-", ...args], { input: json });
}

test("put stores the JSON of stdin or a file, and get prints it", async () => {
  const documents = sessions.documents("own");
  const json = encodeValue({ at: new Date(7), ["__proto__"]: 1 });
  const first = await put("own", "k", json, "--user", "ada", "--ttl", "1h");
  assert.equal(first.code, 0, first.stderr);
  const stored = await documents.get("k");
  assert.equal(first.stderr, `document k of scope own has version ${stored?.version}\n`);
  assert.equal(stored?.user, "ada");
  assert.equal(encodeValue(stored.value), json);
  assert.equal(Number(stored.expiresAt) - stored.updatedAt.getTime(), 3_600_000);
  assert.match((await run("get", "own", "k")).stdout, /"__proto__":1/);
  const [whole] = jsonLines(await run("get", "own", "k", "--json"));
  assert.deepEqual([whole?.["key"], whole?.["version"], whole?.["user"]], ["k", stored.version, "ada"]);
  assert.match(String(whole?.["expiresAt"]), /^\d{4}-.*Z$/);
  writeFileSync(join(place.folder, "value.json"), '"a text"\n');
  const [second] = jsonLines(await run("put", "own", "k", join(place.folder, "value.json"), "--json"));
  const replaced = await documents.get("k");
  assert.deepEqual(second, { scope: "own", key: "k", version: replaced?.version });
  assert.deepEqual([replaced?.value, replaced?.user, replaced?.expiresAt], ["a text", null, null]);
  assert.equal((await run("get", "own", "k")).stdout, "a text\n");
  assert.equal((await put("own", "n", "null")).code, 0);
  assert.equal((await documents.get("n"))?.value, null);
});

test("list prints the documents by key with a prefix and a limit, and count counts them", async () => {
  const documents = sessions.documents("many");
  for (let index = 0; index < 60; index++)
    await documents.put(`${index < 55 ? "a" : "b"}/${String(index).padStart(2, "0")}`, `value\u001b${index}`);
  const keysOf = (finished: Finished) => jsonLines(finished).map(({ key }) => key);
  const first = await run("list", "many", "--json");
  assert.deepEqual([keysOf(first).length, first.stderr], [50, "more: --after a/49\n"]);
  const rest = await run("list", "many", "--after", "a/49", "--json");
  assert.deepEqual([keysOf(rest).at(0), keysOf(rest).length, rest.stderr], ["a/50", 10, ""]);
  assert.deepEqual(keysOf(await run("list", "many", "--prefix", "b/", "--limit", "2", "--json")), ["b/55", "b/56"]);
  const shown = await run("list", "many", "--limit", "1");
  assert.match(shown.stdout, /^a\/00 {2}version \d+ {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}value\\u001b0\n$/);
  const none = await run("list", "none");
  assert.deepEqual([none.code, none.stdout, none.stderr], [0, "", "no documents in the scope none\n"]);
  assert.equal((await run("count", "many")).stdout, "60\n");
  assert.deepEqual(jsonLines(await run("count", "many", "--prefix", "b/", "--json")), [{ scope: "many", count: 5 }]);
});

test("list names a document that cannot be read, and prints the others", async () => {
  const documents = sessions.documents("damaged");
  for (const key of ["a", "b", "c"]) await documents.put(key, key);
  const database = new DatabaseSync(join(place.folder, "perdure.db"));
  database.exec("update documents set data = '{' where scope = 'damaged' and key = 'b'");
  database.close();
  const listed = await run("list", "damaged", "--json");
  assert.deepEqual([listed.code, jsonLines(listed).map(({ key }) => key)], [0, ["a", "c"]]);
  assert.equal(listed.stderr, "document b is not listed: its data cannot be read\n");
  assert.equal((await run("get", "damaged", "b")).code, 1);
});

test("another document than --if names is exit code 4, a missing one is 3, and nothing is written", async () => {
  const documents = sessions.documents("compared");
  const version = await documents.put("k", "old");
  const stale = String(version - 1);
  for (const finished of [
    await put("compared", "k", "1", "--if", "absent"),
    await put("compared", "k", "1", "--if", stale),
    await run("delete", "compared", "k", "--if", stale),
  ]) {
    assert.equal(finished.code, 4, finished.stderr);
    assert.match(finished.stderr, /\[document_conflict\]\n$/);
  }
  assert.equal((await documents.get("k"))?.value, "old");
  for (const command of ["get", "delete"]) {
    const { code, stdout, stderr } = await run(command, "compared", "none", "--json");
    assert.deepEqual([code, stdout], [3, ""]);
    assert.match(stderr, /"code":"document_not_found"/);
  }
  const [deleted] = jsonLines(await run("delete", "compared", "k", "--if", String(version), "--json"));
  assert.deepEqual(deleted, { scope: "compared", key: "k", deleted: true });
  assert.equal(await documents.get("k"), null);
});

test("wrong arguments are exit code 2, and nothing is written", async () => {
  const cases: readonly (readonly [json: string | undefined, args: string[]])[] = [
    ["{", ["put", "wrong", "k", "-"]],
    ["", ["put", "wrong", "k", "-"]],
    ["1", ["put", "wrong", "k", "-", "--if", "any"]],
    ["1", ["put", "wrong", "k", "-", "--if", "0"]],
    ["1", ["put", "wrong", "k", "-", "--ttl", "soon"]],
    ["1", ["put", "wrong", "k", "-", "--user", ""]],
    ["1", ["put", "wrong", "..", "-"]],
    ["1", ["put", "", "k", "-"]],
    ["1", ["put", "wrong", "k"]],
    [JSON.stringify("x".repeat(1024 * 1024)), ["put", "wrong", "k", "-"]],
    [undefined, ["list", "wrong", "--limit", "x"]],
    [undefined, ["list", "wrong", "--after", ""]],
    [undefined, ["list", "wrong", "--prefx", "a"]],
    [undefined, ["list"]],
    [undefined, ["get", "wrong"]],
    [undefined, ["get", "wrong", "k".repeat(257)]],
    [undefined, ["delete", "wrong", "k", "--if", "absent"]],
    [undefined, ["count", "wrong", "--prefix", "\u0001"]],
  ];
  for (const [input, args] of cases) {
    const { code, stdout, stderr } = await place.run(["documents", ...args], input === undefined ? {} : { input });
    assert.deepEqual([code, stdout], [2, ""], `${args.join(" ").slice(0, 100)}: ${stderr}`);
  }
  assert.equal(await sessions.documents("wrong").count(), 0);
});

test("a command that reads or deletes creates no store, and put creates one", async () => {
  await using empty = await Workplace.open();
  for (const args of [
    ["list", "s"],
    ["get", "s", "k"],
    ["count", "s"],
    ["delete", "s", "k"],
  ]) {
    assert.equal((await empty.run(["documents", ...args])).code, 1, args.join(" "));
    assert.ok(!readdirSync(empty.folder).some((name) => name.includes(".db")), args.join(" "));
  }
  assert.equal((await empty.run(["documents", "put", "s", "k", "-"], { input: "1" })).code, 0);
  assert.equal((await empty.run(["documents", "count", "s", "--tenant", "other"])).stdout, "0\n");
  assert.equal((await empty.run(["documents", "count", "s"])).stdout, "1\n");
});

test("write takes documents into the commit of a session", async () => {
  await sessions.create({ id: "s" });
  const write = {
    turns: { turns: [{ input: "I moved to Rome." }] },
    documents: [{ scope: "profile", key: "ada", value: { city: "Rome" } }],
  };
  const { code, stderr } = await place.run(["write", "s", "-"], { input: JSON.stringify(write) });
  assert.deepEqual([code, /turn 1 \(done\), 1 document of session s/.test(stderr)], [0, true], stderr);
  assert.deepEqual((await sessions.documents("profile").get("ada"))?.value, { city: "Rome" });
});
