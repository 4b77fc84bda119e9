import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { Workplace } from "./command-line.ts";

async function stocked(): Promise<Workplace> {
  const place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const session = await sessions.create({ id: "Chat 7/8", agent: "ceo" });
  await session.append({ input: "one", output: "1" });
  return place;
}

test("a session is saved, listed, restored elsewhere by id and by file, and deleted", async () => {
  await using place = await stocked();
  const saved = await place.run(["snapshot", "save", "Chat 7/8", "--json"]);
  assert.equal(saved.code, 0, saved.stderr);
  const { file, bytes } = JSON.parse(saved.stdout) as { file: string; bytes: number };
  assert.match(file, /\/sessions\/chat-7-8~[0-9a-f]{32}\.json$/);
  assert.equal(readFileSync(file).length, bytes);
  assert.match((await place.run(["snapshot", "list"])).stdout, /^Chat 7\/8 +\d+ +\d{4}-/m);
  assert.equal(JSON.parse((await place.run(["snapshot", "list", "--json"])).stdout).id, "Chat 7/8");

  const elsewhere = ["--store", `sqlite:${join(place.folder, "other.db")}`];
  assert.match((await place.run(["snapshot", "restore", "Chat 7/8", ...elsewhere])).stderr, /is restored with 1 turn;/);
  assert.equal((await place.run(["snapshot", "restore", file, ...elsewhere])).code, 4, "it exists");
  const beside = await place.run(["snapshot", "restore", file, ...elsewhere, "--as", "debug", "--json"]);
  assert.deepEqual(JSON.parse(beside.stdout), { session: "debug", turns: 1, state: "active" });
  assert.equal((await place.run(["snapshot", "restore", file, ...elsewhere, "--on-exists", "replace"])).code, 0);
  const fresh = await place.run(["snapshot", "restore", file, ...elsewhere, "--on-exists", "new-id", "--json"]);
  assert.match(JSON.parse(fresh.stdout).session as string, /^ceo_/);

  assert.equal((await place.run(["snapshot", "delete", "Chat 7/8"])).code, 0);
  assert(!existsSync(file));
  assert.equal((await place.run(["snapshot", "restore", "Chat 7/8"])).code, 3);
  assert.equal((await place.run(["snapshot", "delete", "Chat 7/8"])).code, 3);
});

test("the folder is the one of --dir, PERDURE_SNAPSHOTS or ./sessions", async () => {
  await using place = await stocked();
  const [a, b] = [join(place.folder, "a"), join(place.folder, "b")];
  assert.equal((await place.run(["snapshot", "save", "Chat 7/8"], { env: { PERDURE_SNAPSHOTS: a } })).code, 0);
  assert.equal(
    (await place.run(["snapshot", "save", "Chat 7/8", "--dir", b], { env: { PERDURE_SNAPSHOTS: a } })).code,
    0,
  );
  assert(existsSync(a) && existsSync(b) && !existsSync(join(place.folder, "sessions")));
});

test("a file that is none of ours, or was altered, is wrong usage that says where; a newer one is exit code 5", async () => {
  await using place = await stocked();
  await place.run(["snapshot", "save", "Chat 7/8", "--dir", place.folder]);
  const { file } = JSON.parse((await place.run(["snapshot", "list", "--dir", place.folder, "--json"])).stdout) as {
    file: string;
  };
  const text = readFileSync(file, "utf8");
  const bad = join(place.folder, "bad.json");
  const write = (content: string): void => writeFileSync(bad, content);
  write(text.replace('"one"', '"two"'));
  const altered = await place.run(["snapshot", "restore", bad, "--as", "x"]);
  assert.equal(altered.code, 2);
  assert.match(altered.stderr, /bad\.json is not a valid snapshot: checksum.*\[snapshot_invalid\]/);
  write(text.slice(0, 60));
  assert.match((await place.run(["snapshot", "restore", bad])).stderr, /line 1, column 58/);
  write(text.replace("perdure.session/1", "perdure.session/7"));
  assert.equal((await place.run(["snapshot", "restore", bad])).code, 5);
  const { stdout } = await place.run(["sessions", "list", "--json"]);
  assert.equal(stdout.trim().split("\n").length, 1, "nothing was written");
});

test("a plain file is saved with --format plain, and restored like any other", async () => {
  await using place = await stocked();
  const saved = await place.run(["snapshot", "save", "Chat 7/8", "--format", "plain", "--json"]);
  assert.equal(saved.code, 0, saved.stderr);
  const { file, savedAt } = JSON.parse(saved.stdout) as { file: string; savedAt: string };
  const plain = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  assert.deepEqual([plain["session_id"], plain["saved_at"]], ["Chat 7/8", savedAt]);
  const [listed] = (await place.run(["snapshot", "list", "--json"])).stdout.split("\n");
  assert.equal((JSON.parse(listed ?? "") as { savedAt: string }).savedAt, savedAt);
  const restored = await place.run(["snapshot", "restore", file, "--as", "copy"]);
  assert.match(restored.stderr, /session copy is restored with 1 turn;/);
  const broken = join(place.folder, "broken.json");
  writeFileSync(broken, '{"session_id":"a","state":{"messages":{}},"saved_at":"2026-01-01T00:00:00Z"}');
  const refused = await place.run(["snapshot", "restore", broken]);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /state\.messages/);
});
