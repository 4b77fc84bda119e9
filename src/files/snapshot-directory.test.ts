import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import type { SessionError } from "../errors.ts";
import { createNasty } from "../../test/support/nasty-sessions.ts";
import { fileNameOf } from "./file-name.ts";
import { SnapshotDirectory } from "./snapshot-directory.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-saved-"));
after(() => rmSync(root, { recursive: true }));

test("every id maps to one file in the folder, and back", async () => {
  await using place = inMemory();
  const folder = join(root, "odd", "inside");
  const directory = new SnapshotDirectory(folder, place.sessions);
  assert.deepEqual(await Array.fromAsync(directory.each()), []);
  const more = [
    "../../etc/passwd",
    "...",
    "con",
    "CON",
    "nul.json",
    "a.",
    "a ",
    "COM1",
    "~",
    "-rf",
    "a\\b",
    "A:",
    "a~b",
  ];
  const ids = await createNasty(place.sessions);
  for (const id of more) if (!ids.includes(id)) ids.push((await place.sessions.create({ id })).id);
  for (const id of ids) await directory.save(id);
  assert.deepEqual(readdirSync(root), ["odd"]);
  const names = readdirSync(folder);
  assert.equal(names.length, ids.length);
  assert.equal(new Set(names.map((name) => name.toLowerCase())).size, ids.length, "no two where case is ignored");
  for (const name of names) {
    assert.match(name, /^[a-z0-9_~-]+\.json$/);
    assert.doesNotMatch(name, /^(con|prn|aux|nul|com\d|lpt\d)\./);
    assert(name.length < 120);
  }
  assert.deepEqual(new Set((await Array.fromAsync(directory.each())).map(({ id }) => id)), new Set(ids));
  for (const id of ids) assert.deepEqual(await directory.load(id), await place.sessions.snapshot(id));
});

test("short plain ids are their own file names", () => {
  assert.equal(fileNameOf("ceo_01m7xjt6y3j1fvq2vg32v9j0fg"), "ceo_01m7xjt6y3j1fvq2vg32v9j0fg");
  assert.match(fileNameOf("Chat 7/8"), /^chat-7-8~[0-9a-f]{32}$/);
});

test("the newest snapshot is kept, other files are left alone, and deleted ones are gone", async () => {
  await using place = inMemory();
  const folder = join(root, "newest");
  const directory = new SnapshotDirectory(folder, place.sessions);
  const session = await place.sessions.create({ id: "s" });
  await directory.save("s");
  await session.append({ input: "one" });
  const { bytes, file } = await directory.save("s");
  assert.equal(readFileSync(file).length, bytes);
  writeFileSync(join(folder, "package.json"), "{}");
  writeFileSync(join(folder, "copy.json"), readFileSync(file));
  assert.deepEqual(
    (await Array.fromAsync(directory.each())).map(({ id }) => id),
    ["s"],
  );
  await place.sessions.create({ id: "t" });
  await directory.save("t");
  const first = await directory.list({ limit: 1 });
  const rest = await directory.list({ limit: 1, after: first.next ?? "" });
  assert.deepEqual([...first.items, ...rest.items], await Array.fromAsync(directory.each()));
  assert.equal(rest.next, undefined);
  await directory.delete("t");
  assert.equal((await directory.load("s")).session.counters.turns, 1);
  await directory.delete("s");
  for (const look of [() => directory.load("s"), () => directory.delete("s")]) {
    await assert.rejects(look, { code: "snapshot_not_found", details: { sessionId: "s", folder } });
  }
  await assert.rejects(directory.save("none"), { code: "session_not_found" });
});

test("tenants do not see each other's files", async () => {
  await using place = inMemory();
  const folder = join(root, "tenants");
  const other = place.sessions.for("Other/..");
  await place.sessions.create({ id: "s", agent: "ceo" });
  await other.create({ id: "s", agent: "cfo" });
  const [mine, theirs] = [new SnapshotDirectory(folder, place.sessions), new SnapshotDirectory(folder, other)];
  await mine.save("s");
  await theirs.save("s");
  assert.deepEqual([(await mine.load("s")).session.agent, (await theirs.load("s")).session.agent], ["ceo", "cfo"]);
  assert.deepEqual(
    [(await Array.fromAsync(mine.each())).length, (await Array.fromAsync(theirs.each())).length],
    [1, 1],
  );
});

test("a snapshot that was altered, truncated or padded to 500 MB is refused with its file name", async () => {
  await using place = inMemory();
  const directory = new SnapshotDirectory(join(root, "damaged"), place.sessions);
  await place.sessions.create({ id: "s" });
  const { file } = await directory.save("s");
  appendFileSync(file, "x");
  await assert.rejects(directory.load("s"), { code: "snapshot_invalid" });
  truncateSync(file, 100);
  await assert.rejects(directory.load("s"), { code: "snapshot_invalid" });
  truncateSync(file, 500_000_000);
  await assert.rejects(directory.load("s"), { code: "snapshot_too_large" });
});

test("temporary files of a killed writer are never listed, and are removed an hour later", async () => {
  await using place = inMemory();
  const folder = join(root, "left");
  const directory = new SnapshotDirectory(folder, place.sessions);
  await place.sessions.create({ id: "s" });
  await directory.save("s");
  const [fresh, old] = ["0123456789abcdef", "fedcba9876543210"].map((random) => `.s.json.${random}.tmp`) as [
    string,
    string,
  ];
  for (const name of [fresh, old]) writeFileSync(join(folder, name), "half");
  utimesSync(join(folder, old), new Date(0), new Date(0));
  assert.deepEqual((await Array.fromAsync(directory.each())).length, 1);
  await directory.save("s");
  assert.deepEqual(readdirSync(folder).toSorted(), [fresh, "s.json"]);
});

test("a file carries the time of the save, and the list shows that time, whatever the file system says", async () => {
  await using place = inMemory();
  const folder = join(root, "times");
  const directory = new SnapshotDirectory(folder, place.sessions);
  await place.sessions.create({ id: "s" });
  const at = place.clock.now();
  const { file, savedAt } = await directory.save("s");
  assert.equal(savedAt.getTime(), at);
  assert.equal((JSON.parse(readFileSync(file, "utf8")) as { savedAt: number }).savedAt, at);
  utimesSync(file, new Date(0), new Date(0));
  const [listed] = await Array.fromAsync(directory.each());
  assert.equal(listed?.savedAt.getTime(), at, "a copy of the file has the same time");
  assert.deepEqual(await directory.load("s"), await place.sessions.snapshot("s"));
  writeFileSync(file, `${JSON.stringify(await place.sessions.snapshot("s"))}\n`);
  utimesSync(file, new Date(5000), new Date(5000));
  const [old] = await Array.fromAsync(directory.each());
  assert.equal(old?.savedAt.getTime(), 5000, "a file without a time has that of the file system");
  writeFileSync(file, JSON.stringify({ ...(await place.sessions.snapshot("s")), savedAt: "soon" }));
  await assert.rejects(directory.load("s"), { code: "snapshot_invalid" });
  await assert.rejects(directory.save("s", { formt: "plain" } as object), { code: "argument_invalid" });
});

test("a plain file has session_id, state and saved_at, and is restored with its messages, instructions and names", async () => {
  await using place = inMemory();
  const directory = new SnapshotDirectory(join(root, "plain"), place.sessions);
  const fields = { agent: "ceo", user: "ada", title: "Ovens", labels: { team: "ops" }, metadata: { n: 1 } };
  const session = await place.sessions.create({ id: "Chat 7", instructions: "Be brief.", ...fields });
  await session.append({ input: "one", output: "1" });
  await session.append({ input: "two", output: [{ role: "assistant", content: "2" }] });
  const { file, savedAt } = await directory.save("Chat 7", { format: "plain" });
  const text = readFileSync(file, "utf8");
  const plain = JSON.parse(text) as { session_id: string; state: Record<string, unknown>; saved_at: string };
  assert.deepEqual(Object.keys(plain), ["session_id", "state", "saved_at"]);
  assert.equal(plain.saved_at, savedAt.toISOString());
  assert.deepEqual(plain.state, {
    ...fields,
    created_at: session.info.createdAt.toISOString(),
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "one" },
      { role: "assistant", content: "1" },
      { role: "user", content: "two" },
      { role: "assistant", content: "2" },
    ],
  });
  assert.deepEqual(await Array.fromAsync(directory.each()), [{ id: "Chat 7", file, bytes: text.length, savedAt }]);
  const restored = await place.sessions.restore(await directory.load("Chat 7"), { as: "copy" });
  assert.partialDeepStrictEqual(restored.info, { ...fields, createdAt: session.info.createdAt });
  assert.equal(await restored.instructions(), "Be brief.");
  const turns = await Array.fromAsync(restored.turns());
  assert.deepEqual(
    turns.map(({ input, output }) => [input[0]?.content, output[0]?.content]),
    [
      ["one", "1"],
      ["two", "2"],
    ],
  );
  const refused: readonly (readonly [change: (plain: Record<string, unknown>) => unknown, place: object])[] = [
    [(file) => ({ ...file, more: 1 }), { path: "more" }],
    [(file) => ({ ...file, saved_at: "yesterday" }), { path: "saved_at" }],
    [(file) => ({ ...file, session_id: "" }), { path: "session_id" }],
    [(file) => ({ ...file, state: [] }), { path: "state" }],
    [(file) => ({ ...file, state: {} }), { path: "state.messages" }],
    [(file) => ({ ...file, state: { messages: [], context: {} } }), { path: "state.context" }],
    [(file) => ({ ...file, state: { messages: [{ role: "boss" }] } }), { path: "state.messages[0].role" }],
    [(file) => ({ ...file, state: { messages: [], labels: { a: 1 } } }), { path: "state.labels" }],
  ];
  for (const [change, place] of refused) {
    writeFileSync(file, JSON.stringify(change(plain)));
    await assert.rejects(directory.load("Chat 7"), (error: SessionError<"snapshot_invalid">) => {
      assert.equal(error.code, "snapshot_invalid");
      assert.ok(error.details.path?.startsWith((place as { path: string }).path), JSON.stringify(error.details));
      return true;
    });
  }
  writeFileSync(
    file,
    '{"session_id":"Chat 7","session_id":"b","state":{"messages":[]},"saved_at":"2026-01-01T00:00:00Z"}',
  );
  await assert.rejects(directory.load("Chat 7"), { code: "snapshot_invalid" });
});

test(
  "a folder that cannot be made is refused at once, and the error names the file",
  { timeout: 10_000 },
  async (t) => {
    if (process.platform !== "linux") t.skip("needs /proc");
    else {
      await using place = inMemory();
      await place.sessions.create({ id: "s" });
      await assert.rejects(new SnapshotDirectory("/proc/perdure/inside", place.sessions).save("s"), (error: Error) => {
        assert.match(error.message, /^(the file|this user has no right to the file) \/proc\/perdure\/inside\/s\.json /);
        return true;
      });
    }
  },
);
