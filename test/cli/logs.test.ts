/** Named logs on the command line: writes, lists, entries, and entries as they are written. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { finish, outputUntil, workplaceOfFile, jsonLines, type Finished } from "./command-line.ts";

const { place, sessions } = await workplaceOfFile();

async function write(id: string, document: unknown, ...args: string[]): Promise<Finished> {
  const input = typeof document === "string" ? document : JSON.stringify(document);
  return await place.run(["write", id, "-", ...args], { input });
}

function errorOf({ stderr }: Finished): unknown {
  return (JSON.parse(stderr.split("\n").find((line) => line.startsWith("{")) ?? "{}") as { error?: { code?: unknown } })
    .error?.code;
}

test("a write from a file or stdin is one commit, and logs lists what was written", async () => {
  const session = await sessions.create({ id: "s", metadata: { old: 1 } });
  const value = { at: { $type: "date", value: "2026-11-20T12:00:00.000Z" }, big: { $type: "bigint", value: "12" } };
  writeFileSync(
    join(place.folder, "write.json"),
    JSON.stringify({
      turns: { turns: [{ input: "one", output: "two" }] },
      logs: {
        facts: { entries: [{ key: "main/2", value }, { key: "main/1", value: "\u001b[2J evil" }, { value: 3 }] },
        jobs: { entries: [] },
      },
      set: { metadata: { fresh: true }, removeMetadata: ["old"], title: "A" },
    }),
  );
  const written = await place.run(["write", "s", "write.json"]);
  assert.deepEqual([written.code, written.stdout], [0, ""]);
  assert.match(
    written.stderr,
    /^wrote turn 1 \(done\), 3 entries of facts, which ends at 3, 0 entries of jobs, which ends at 0 of session s, now at version \d+\n$/,
  );
  const { metadata, title, turn } = await session.refresh();
  assert.deepEqual([metadata, title, turn], [{ fresh: true }, "A", 1]);
  const [entry] = await session.log("facts").get(["main/2"]);
  assert.deepEqual(entry?.value, { at: new Date("2026-11-20T12:00:00.000Z"), big: 12n });

  assert.match((await place.run(["logs", "s"])).stdout, /^LOG +ENTRIES\nfacts +3\n$/);
  assert.deepEqual(jsonLines(await place.run(["logs", "s", "--json"])), [{ name: "facts", end: 3 }]);
  const shown = await place.run(["logs", "s", "facts"]);
  assert.match(shown.stdout, /^1 {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}main\/2 {2}\{"at"/);
  assert.ok(!shown.stdout.includes("\u001b"), "no text moves the terminal");
  const [first] = jsonLines(await place.run(["logs", "s", "facts", "--json", "--limit", "1"]));
  assert.deepEqual([first?.["seq"], first?.["key"], first?.["value"]], [1, "main/2", value]);
  assert.match(String(first?.["at"]), /^\d{4}-\d\d-\d\dT.*Z$/);
  const keys = async (...args: string[]): Promise<unknown[]> =>
    jsonLines(await place.run(["logs", "s", "facts", "--json", ...args])).map(({ seq }) => seq);
  assert.deepEqual(await keys("--prefix", "main/"), [2, 1]);
  assert.deepEqual(await keys("--prefix", "main/", "--order", "descending", "--limit", "1"), [1]);
  assert.deepEqual(await keys("--keys", "main/1", "absent", "main/2"), [1, 2]);
  assert.deepEqual(await keys("--from", "2"), [2, 3]);
  assert.deepEqual(await keys("--to", "2", "--order", "descending"), [2, 1]);
  assert.deepEqual(await keys("--last", "1"), [3]);
  const none = await place.run(["logs", "s", "other"]);
  assert.deepEqual([none.code, none.stdout, none.stderr], [0, "", "no entries in the log other\n"]);
});

test("logs shows the last 50 entries, and says that there are more", async () => {
  const session = await sessions.create({ id: "many" });
  const entries = Array.from({ length: 60 }, (_, index) => ({ value: index }));
  await session.write({ logs: { facts: { entries } } });
  const shown = await place.run(["logs", "many", "facts", "--json"]);
  assert.deepEqual(
    jsonLines(shown).map(({ seq }) => seq),
    Array.from({ length: 50 }, (_, index) => index + 11),
  );
  assert.match(shown.stderr, /only the last 50 entries of 60/);
  const all = await place.run(["logs", "many", "facts", "--json", "--from", "1"]);
  assert.deepEqual([jsonLines(all).length, all.stderr], [60, ""]);
});

test("--follow continues with later entries, until the session ends", async () => {
  const session = await sessions.create({ id: "live" });
  const add = (value: string) => session.write({ logs: { facts: { entries: [{ value }] } } });
  await add("one");
  await add("two");
  const child = place.start(["logs", "live", "facts", "--follow", "--last", "1", "--json"]);
  const ended = finish(child);
  await outputUntil(child, "two");
  const heard = outputUntil(child, "three");
  await add("three");
  await heard;
  await session.end();
  const finished = await ended;
  assert.deepEqual(
    jsonLines(finished).map(({ value }) => value),
    ["two", "three"],
  );
  assert.equal(finished.code, 0);
});

test("a write whose key stands, or whose log changed, is exit code 4 and writes nothing", async () => {
  const session = await sessions.create({ id: "keys" });
  const one = { logs: { facts: { entries: [{ key: "a", value: 1 }] } } };
  const [outcome] = jsonLines(await write("keys", one, "--json"));
  assert.deepEqual([outcome?.["status"], outcome?.["logs"]], ["ok", { facts: { seqs: [1], end: 1 } }]);
  const standing = await write("keys", one);
  assert.equal(standing.code, 4);
  assert.match(
    standing.stderr,
    /^nothing was written: the log facts of session keys has the key "a" already, as entry 1\n$/,
  );
  const again = await write("keys", one, "--json");
  assert.deepEqual([again.code, jsonLines(again)[0]?.["status"], again.stderr], [4, "duplicate", ""]);
  await session.write({ logs: { facts: { entries: [{ value: 2 }] } } });
  const stale = await write("keys", { ...one, onto: outcome?.["version"] }, "--json");
  assert.deepEqual([stale.code, stale.stdout], [4, JSON.stringify(jsonLines(again)[0]) + "\n"]);
  const other = { logs: { facts: { entries: [{ value: 3 }] } }, onto: outcome?.["version"] };
  const changed = await write("keys", other, "--json");
  assert.deepEqual([changed.code, changed.stdout, errorOf(changed)], [4, "", "conflict"]);
  assert.deepEqual((await session.refresh()).logs, { facts: { end: 2 } });
});

test("a bad write is a typed error with its exit code, and nothing is written", async () => {
  const session = await sessions.create({ id: "bad" });
  const { version } = session.info;
  const facts = (...entries: unknown[]) => ({ logs: { facts: { entries } } });
  const cases: readonly (readonly [document: unknown, code: number, error: string])[] = [
    ["{", 2, "usage"],
    ["", 2, "usage"],
    ["[]", 2, "usage"],
    ["null", 2, "usage"],
    ["7", 2, "usage"],
    [{ log: {} }, 2, "argument_invalid"],
    ['{"__proto__":{"logs":{}}}', 2, "argument_invalid"],
    ['{"logs":{"__proto__":{"entries":[]}}}', 2, "id_invalid"],
    [{ logs: { turns: { entries: [] } } }, 2, "log_reserved"],
    [{ logs: { "perdure-x": { entries: [] } } }, 2, "log_reserved"],
    [facts({ key: "k".repeat(257), value: 1 }), 2, "id_invalid"],
    [facts({ key: "a" }), 2, "value_unstorable"],
    [facts({ value: "x".repeat(1024 * 1024) }), 2, "write_too_large"],
    [facts(...Array.from({ length: 10_000 }, () => ({ value: 1 }))), 2, "write_too_large"],
    [{ ...facts({ value: 1 }), onto: version + 1 }, 2, "argument_invalid"],
    [{ logs: { facts: { from: 2, entries: [] } } }, 2, "argument_invalid"],
    [{ set: 7 }, 2, "argument_invalid"],
    [{ set: { metdata: {} } }, 2, "argument_invalid"],
    [{ set: null }, 2, "argument_invalid"],
    [{ turns: { turns: [{ input: "x", ouput: "y" }] } }, 2, "argument_invalid"],
  ];
  for (const [document, code, error] of cases) {
    const finished = await write("bad", document, "--json");
    const shown = JSON.stringify(document).slice(0, 100);
    assert.deepEqual([finished.code, finished.stdout, errorOf(finished)], [code, "", error], shown);
  }
  assert.equal((await session.refresh()).version, version);
  assert.equal(errorOf(await write("missing", facts(), "--json")), "session_not_found");
  const noFile = await place.run(["write", "bad", "no-such-file.json", "--json"]);
  assert.deepEqual([noFile.code, errorOf(noFile)], [3, "not_found"]);
});

test("bad options of logs are wrong usage, and a missing session is not found", async () => {
  await sessions.ensure("s");
  for (const [args, code, error] of [
    [["s", "turns"], 2, "log_reserved"],
    [["s", "Facts"], 2, "id_invalid"],
    [["s", "facts", "--from", "0"], 2, "range_invalid"],
    [["s", "facts", "--from", "3", "--to", "2"], 2, "range_invalid"],
    [["s", "facts", "--from", "x"], 2, "usage"],
    [["s", "facts", "--last", "1", "--from", "1"], 2, "usage"],
    [["s", "facts", "--keys", "a", "--prefix", "b"], 2, "usage"],
    [["s", "facts", "--keys", "k".repeat(257)], 2, "id_invalid"],
    [["s", "facts", "--follow", "--prefix", "a"], 2, "usage"],
    [["s", "facts", "--order", "up"], 2, "usage"],
    [["missing"], 3, "session_not_found"],
    [["missing", "facts"], 3, "session_not_found"],
  ] as const) {
    const finished = await place.run(["logs", ...args, "--json"]);
    assert.deepEqual([finished.code, finished.stdout, errorOf(finished)], [code, "", error], args.join(" "));
  }
});
