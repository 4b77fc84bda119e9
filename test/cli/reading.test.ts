/** Commands that only read neither create a store nor migrate one. */
import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { defined } from "../../src/domain/values/defined.ts";
import { openSessions } from "../../src/index.ts";
import { migrations } from "../../src/store/sqlite/schema/schema.ts";
import { Workplace } from "./command-line.ts";

/** A folder with a store of schema 4 in `perdure.db`. */
async function oldPlace(): Promise<Workplace> {
  const place = await Workplace.open();
  const database = new DatabaseSync(join(place.folder, "perdure.db"));
  database.exec(readFileSync(new URL("../migrations/schema-4.sqlite.sql", import.meta.url), "utf8"));
  database.close();
  return place;
}

/** The names in the folder, and the bytes of the store. */
function contentOf(place: Workplace): readonly unknown[] {
  return [readdirSync(place.folder).toSorted(), readFileSync(join(place.folder, "perdure.db")).toString("base64")];
}

const known = migrations.length;
const pending = new RegExp(
  `^perdure: the store .*perdure\\.db is at version 4 of the schema, this version of Perdure needs ${known}: .*"perdure migrate".*store_schema_newer \\[store_invalid\\]\\n$`,
);

test("commands that create no store refuse an SQLite store of an older schema, and leave each byte of it", async () => {
  await using place = await oldPlace();
  const before = contentOf(place);
  for (const args of [
    ["sessions", "list"],
    ["sessions", "show", "plain"],
    ["sessions", "sweep", "--dry-run"],
    ["sessions", "end", "plain"],
    ["sessions", "cancel", "plain"],
    ["sessions", "budget", "plain", "--clear"],
    ["stats"],
    ["events"],
    ["logs", "plain"],
    ["logs", "plain", "jobs", "--follow"],
    ["documents", "list", "state"],
    ["documents", "get", "state", "k"],
    ["documents", "count", "state"],
    ["documents", "delete", "state", "k"],
    ["snapshot", "save", "plain"],
    ["export"],
    ["keys", "list"],
    ["host", "status", "--key", "k"],
    ["erase", "--user", "ada", "--dry-run"],
    ["erase", "--user", "ada"],
    ["compact"],
    ["copy", "--from", "sqlite:perdure.db", "--to", "sqlite:other.db"],
  ]) {
    const { code, stderr } = await place.run(args);
    assert.match(stderr, pending, args.join(" "));
    assert.equal(code, 1, args.join(" "));
    assert.deepEqual(contentOf(place), before, args.join(" "));
  }
});

test("the doctor reports an older schema of an SQLite store without changing it, and migrates it on request", async () => {
  await using place = await oldPlace();
  const before = contentOf(place);
  const result = await place.run(["doctor"]);
  assert.match(
    result.stdout,
    new RegExp(`^schema {2}the store: the schema is at step 4, this version of perdure needs ${known} \\(--repair: `),
  );
  assert.match(result.stderr, /^0 sessions checked, 1 problem, no session can be read/);
  assert.equal(result.code, 1);
  assert.deepEqual(contentOf(place), before);
  const repaired = await place.run(["doctor", "--repair"]);
  assert.match(repaired.stdout, /^schema {2}.* \(repaired: "perdure migrate"/);
  assert.equal(repaired.code, 0);
  assert.equal((await place.run(["doctor"])).code, 0);
});

test("a backup of an older SQLite store is of its schema, and the store is migrated by perdure migrate", async () => {
  await using place = await oldPlace();
  const before = contentOf(place);
  const dry = await place.run(["migrate", "--dry-run"]);
  assert.match(dry.stderr, /at version 4 of \d+; \d+ steps missing:\n {2}5 .*\n.*make a backup first: perdure backup/s);
  assert.deepEqual(contentOf(place), before);
  assert.equal((await place.run(["backup", "create", "before.db"])).code, 0);
  const copy = new DatabaseSync(join(place.folder, "before.db"), { readOnly: true });
  assert.deepEqual({ ...copy.prepare("pragma user_version").get() }, { user_version: 4 });
  copy.close();
  assert.match((await place.run(["migrate"])).stderr, new RegExp(`from version 4 to ${known} in ${known - 4} steps`));
  assert.match((await place.run(["migrate"])).stderr, new RegExp(`up to date \\(version ${known}\\)`));
  const { code, stdout } = await place.run(["sessions", "show", "plain"]);
  assert.equal(code, 0);
  assert.match(stdout, /three/);
});

test("reading leaves no file beside an SQLite store, and no secret", async () => {
  await using place = await Workplace.open();
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await (await sessions.create({ id: "a" })).append({ input: "q", output: "a" });
  await sessions.close();
  const before = contentOf(place);
  for (const args of [["sessions", "show", "a"], ["export"], ["doctor"], ["erase", "--user", "ada", "--dry-run"]]) {
    const { code, stderr } = await place.run(args);
    assert.equal(code, 0, stderr);
    assert.deepEqual(contentOf(place), before, args.join(" "));
  }
});

test("a dry run of an import creates no store", async () => {
  await using place = await Workplace.open();
  writeFileSync(join(place.folder, "chats.jsonl"), '{"messages":[{"role":"user","content":"hi"}]}\n');
  const { code, stderr } = await place.run(["import", "chats.jsonl", "--dry-run"]);
  assert.match(stderr, /would import 1 session,/);
  assert.equal(code, 0);
  assert.deepEqual(readdirSync(place.folder), ["chats.jsonl"]);
});

test("a store that this user may not read is refused as such, with the path", async (t) => {
  await using place = await Workplace.open();
  // The superuser may read everything: there, the user nobody reads.
  const uid = process.getuid?.() === 0 ? 65534 : undefined;
  await (await openSessions({ store: place.storeUrl, sweep: false })).close();
  const file = join(place.folder, "perdure.db");
  for (const [path, mode] of [
    [file, 0o000],
    [place.folder, 0o700],
  ] as const) {
    chmodSync(path, mode);
    try {
      if ((await place.run(["--version"], defined({ uid }))).code !== 0)
        return t.skip("nobody may not read this checkout");
      for (const args of [["sessions", "list"], ["sessions", "end", "a"], ["doctor"]]) {
        const { code, stderr } = await place.run([...args, "--store", place.storeUrl], defined({ uid }));
        assert.match(stderr, new RegExp(`cannot be read: this user may not read ${file} .*\\[store_access_denied\\]`));
        assert.equal(code, 1);
      }
    } finally {
      chmodSync(path, 0o755);
    }
  }
});

test("a store that this user may not write can be listed, exported, examined and backed up", async (t) => {
  await using place = await Workplace.open();
  // Nothing is read-only to the superuser: there, the user nobody reads.
  const uid = process.getuid?.() === 0 ? 65534 : undefined;
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await (await sessions.create({ id: "a" })).append({ input: "q", output: "a" });
  await sessions.close();
  chmodSync(join(place.folder, "perdure.db"), 0o444);
  for (const mode of [0o777, 0o555]) {
    chmodSync(place.folder, mode);
    try {
      if ((await place.run(["--version"], defined({ uid }))).code !== 0)
        return t.skip("nobody may not read this checkout");
      for (const args of [["sessions", "list"], ["sessions", "show", "a"], ["export"], ["doctor"], ["stats"]]) {
        const { code, stdout, stderr } = await place.run(args, defined({ uid }));
        if (args[0] === "doctor") {
          assert.match(stdout, /^rights {2}the store: this user may read the store and not write it: .*perdure\.db/);
          assert.equal(code, 1);
          continue;
        }
        assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
        if (args[0] !== "doctor" && args[0] !== "stats") assert.match(stdout, /\ba\b/, args.join(" "));
      }
      assert.deepEqual(readdirSync(place.folder), ["perdure.db"]);
      const changed = await place.run(["sessions", "end", "a"], defined({ uid }));
      assert.match(changed.stderr, /\[store_read_only\]/);
    } finally {
      chmodSync(place.folder, 0o755);
    }
  }
  await using running = await openSessions({ store: place.storeUrl, sweep: false });
  if (process.getuid?.() !== 0) return;
  await (await running.get("a")).append({ input: "later", output: "a" });
  for (const name of readdirSync(place.folder)) chmodSync(join(place.folder, name), 0o444);
  chmodSync(place.folder, 0o555);
  const shown = await place.run(["sessions", "show", "a"], defined({ uid }));
  assert.match(shown.stdout, /later/, `${shown.stderr}: the log of a running program is read`);
});

test("a store that is a folder, no file, of another program, empty or of another scheme is one clear line", async () => {
  await using place = await Workplace.open();
  writeFileSync(join(place.folder, "empty.db"), "");
  writeFileSync(join(place.folder, "text.db"), "no database\n".repeat(100));
  const other = new DatabaseSync(join(place.folder, "other.db"));
  other.exec("create table dogs (name text)");
  other.close();
  for (const [store, says] of [
    ["sqlite:.", /is a folder; name a file in it \[store_invalid\]/],
    ["sqlite:none.db", /there is no store at .*none\.db; correct its name \[store_unavailable\]/],
    ["sqlite:none/x.db", /the folder .*none does not exist; create it first \[store_unavailable\]/],
    ["sqlite:empty.db", /empty\.db is not a store of Perdure; name another file \[store_invalid\]/],
    ["sqlite:text.db", /text\.db is not an SQLite database; name another file \[store_invalid\]/],
    ["sqlite:other.db", /other\.db belongs to another program; name another file \[store_invalid\]/],
    ["perdure.db", /no store opens perdure\.db; known schemes: sqlite:, postgres:, memory: \[store_scheme_unknown\]/],
  ] as const) {
    const { code, stdout, stderr } = await place.run(["sessions", "list", "--store", store]);
    assert.match(stderr, says);
    assert.match(stderr, /^perdure: [^\n]+\n$/);
    assert.deepEqual([code, stdout], [store === "perdure.db" ? 2 : 1, ""]);
  }
  assert.deepEqual(readdirSync(place.folder).toSorted(), ["empty.db", "other.db", "text.db"]);
});
