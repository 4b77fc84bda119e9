import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { watch } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import { gunzipSync } from "node:zlib";
import { exportSessions } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { createNasty } from "../support/nasty-sessions.ts";
import { finish, Workplace, type Finished } from "./command-line.ts";

async function stocked(more = 0): Promise<Workplace> {
  const place = await Workplace.open();
  await using sessions = await openSessions({ store: `${place.storeUrl}?synchronous=normal`, sweep: false });
  await createNasty(sessions);
  const input = "x".repeat(20_000);
  await Promise.all(
    Array.from(
      { length: more },
      async (_, index) => await (await sessions.create({ id: `s${index}` })).append({ input }),
    ),
  );
  return place;
}

/** The bytes of an export that nothing disturbs. */
async function wholeExport(place: Workplace, more: readonly string[] = []): Promise<Buffer> {
  const file = join(place.folder, `whole-${Math.random()}`);
  const { code, stderr } = await place.run(["export", "--out", file, ...more]);
  assert.equal(code, 0, stderr);
  return readFileSync(file);
}

function assertSame(found: Buffer, expected: Buffer): void {
  // Not by deepEqual, which would show megabytes.
  assert(found.equals(expected), `${found.length} bytes are not the ${expected.length} expected`);
}

test("SIGINT ends an import from a pipe that is silent after its first sessions", async () => {
  await using place = await Workplace.open();
  const made = (async () => {
    for await (const { filename } of watch(place.folder)) if (filename === "perdure.db") return;
  })();
  await using other = await openSessions({ store: "memory:", sweep: false });
  // A store is made once the first batch of 64 sessions can be imported.
  for (let count = 0; count < 130; count++) await (await other.create()).append({ input: "q", output: "a" });
  const child = place.start(["import", "-"]);
  const finished = finish(child);
  for await (const { text } of exportSessions(other)) child.stdin?.write(`${text}\n`);
  await made; // the command listens to signals before it opens its store
  child.kill("SIGINT");
  const { code, stderr } = await finished;
  assert.equal(code, 130);
  assert.match(stderr, /stopped before the end/);
});

test("all sessions go through a pipe into another store, and come out of it the same", async () => {
  await using place = await stocked();
  const exported = await place.run(["export"]);
  assert.equal(exported.code, 0, exported.stderr);
  assert.match(exported.stderr, /^exported \d+ sessions? with \d+ turns?\n$/);
  const other = ["--store", `sqlite:${join(place.folder, "other.db")}`];
  const imported = await place.run(["import", "-", ...other], { input: exported.stdout });
  assert.equal(imported.code, 0, imported.stderr);
  assert.match(imported.stderr, /^imported \d+ sessions?, \d+ turns?, 0 .*, 0 skipped\n$/);
  assert.equal((await place.run(["export", ...other])).stdout, exported.stdout);
});

test("an export in another format skips and names a session with a damaged turn", async () => {
  await using place = await Workplace.open();
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  for (const id of ["a", "bad", "z"]) await (await sessions.create({ id })).append({ input: `hello ${id}` });
  await sessions.close();
  const database = new DatabaseSync(join(place.folder, "perdure.db"));
  database.exec(`update entries set data = '{"status":"done"}' where log = 'turns' and data like '%hello bad%'`);
  database.close();
  for (const format of ["markdown", "openai"]) {
    const { code, stdout, stderr } = await place.run(["export", "--format", format]);
    assert.equal(code, 1, stderr);
    assert.match(stdout, /hello a[^]*hello z/);
    assert.match(stderr, /^skipped session bad: .*\nexported 2 sessions with 2 turns\n$/);
  }
});

test("an export says what its format leaves out", async () => {
  await using place = await Workplace.open();
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const question = { role: "user", name: "ada", content: "hi" } as const;
  await (await sessions.create({ id: "a" })).append({ input: question, output: "ho" });
  await sessions.close();
  const { stderr } = await place.run(["export", "--format", "anthropic"]);
  assert.equal(stderr, "exported 1 session with 1 turn; the format left out 1 name\n");
  const file = join(place.folder, "all.jsonl");
  const { stdout } = await place.run(["export", "--format", "anthropic", "--out", file, "--json"]);
  assert.deepEqual(JSON.parse(stdout), { file, sessions: 1, turns: 1, leftOut: { name: 1 } });
  assert.equal((await place.run(["export"])).stderr, "exported 1 session with 1 turn\n");
});

test("a compressed file, a dry run, a report for programs, and what was skipped with exit code 1", async () => {
  await using place = await stocked();
  const file = join(place.folder, "all.ndjson.gz");
  const exported = await place.run(["export", "--out", file, "--json"]);
  const { sessions, turns } = JSON.parse(exported.stdout) as { sessions: number; turns: number };
  const text = gunzipSync(readFileSync(file)).toString();
  assert.equal(text.trimEnd().split("\n").length, sessions);
  assert.deepEqual(
    readdirSync(place.folder).filter((name) => name.startsWith(".")),
    [],
  );
  const other = ["--store", `sqlite:${join(place.folder, "other.db")}`];
  const dry = await place.run(["import", file, "--dry-run", "--json", ...other]);
  const counts = {
    restored: sessions,
    present: 0,
    grown: 0,
    replaced: 0,
    turns,
    aside: 0,
    leftOut: {},
    incomplete: [],
    empty: 0,
    skipped: 0,
    reasons: [],
  };
  assert.deepEqual(JSON.parse(dry.stdout), { ...counts, files: [], dryRun: true, complete: true });
  assert.equal((await place.run(["export", ...other])).stdout, "");
  writeFileSync(join(place.folder, "half"), text.slice(0, -10));
  const half = await place.run(["import", join(place.folder, "half"), ...other]);
  assert.equal(half.code, 1);
  assert.match(
    half.stderr,
    new RegExp(
      `^skipped .*half:${sessions} cannot be read as JSON: column \\d+.*\\[snapshot_invalid\\]\nimported ${sessions - 1} `,
    ),
  );
});

test("a skipped item is reported with its place once", async () => {
  await using place = await Workplace.open();
  const file = join(place.folder, "bad.jsonl");
  const session = JSON.stringify({ format: "perdure.session/99" });
  writeFileSync(file, ['{"a"', '{"messages":[{"who":"knows"}]}', '{"messages":[]}', session, ""].join("\n"));
  const { code, stderr } = await place.run(["import", file]);
  assert.equal(code, 1);
  const lines = stderr.split("\n").filter((line) => line.startsWith("skipped "));
  assert.equal(lines.length, 4, stderr);
  for (const line of lines) assert.equal(line.split(file).length - 1, 1, line);
});

test("sessions are exported by agent, user, state and time, for other programs and for people", async () => {
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const session = await sessions.create({ id: "a", agent: "ceo", user: "ada", instructions: "Be brief." });
  await session.append({ input: "hi", output: "ho" });
  await sessions.create({ id: "b", agent: "cfo" });
  const line = {
    id: "a",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "hi" },
      { role: "assistant", content: "ho" },
    ],
    user: "ada",
  };
  const chosen = ["--agent", "ceo", "--user", "ada", "--state", "active", "--since", "1h"];
  const { metadata, ...exported } = JSON.parse((await place.run(["export", ...chosen, "--format", "openai"])).stdout);
  assert.deepEqual(exported, line);
  assert.deepEqual(Object.keys(metadata), ["agent", "created_at", "updated_at", "usage"]);
  assert.match(
    (await place.run(["export", "--user", "ada", "--format", "markdown"])).stdout,
    /\*\*user\*\*\n\n> hi\n\n\*\*assistant\*\*\n\n> ho/,
  );
  assert.equal(JSON.parse((await place.run(["export", "--after", "a"])).stdout).session.id, "b");
  await session.update({ labels: { team: "ops", draft: "yes" } });
  const labelled = await place.run(["export", "--label", "team=ops", "--label", "draft"]);
  assert.equal(JSON.parse(labelled.stdout).session.id, "a");
  assert.equal((await place.run(["export", "--label", "team=sales"])).stdout, "");
});

test("an export that is stopped by a signal keeps what it has, and the next run continues after it", async () => {
  await using place = await stocked(1500);
  const file = join(place.folder, "all.ndjson");
  /** Stops an export while it works. One that is complete before the signal comes is made again. */
  const stopped = async (): Promise<Finished> => {
    for (;;) {
      const child = place.start(["export", "--out", file]);
      const finished = finish(child);
      while (child.exitCode === null && !existsSync(join(place.folder, ".all.ndjson.part"))) await sleep(5);
      await sleep(60);
      child.kill("SIGINT");
      const done = await finished;
      if (done.code !== 0) return done;
      rmSync(file);
    }
  };
  const { code, stderr } = await stopped();
  assert.deepEqual([code, existsSync(file)], [130, false], stderr);
  assert.match(stderr, /stopped after \d+ sessions?/);
  const again = await place.run(["export", "--out", file]);
  assert.match(again.stderr, /^continuing after \d+ sessions?/);
  assertSame(readFileSync(file), await wholeExport(place));
});

test("a reader that closes the pipe of an export is no failure", async () => {
  await using place = await stocked(1500);
  const child = place.start(["export"]);
  child.stdout?.once("data", () => child.stdout?.destroy());
  const { code, stderr } = await finish(child);
  assert.equal(code, 0, stderr);
});

test("a bar is drawn on a terminal, and nowhere else", async (context) => {
  try {
    execFileSync("script", ["--version"]);
  } catch {
    context.skip("there is no program script to give it a terminal");
    return;
  }
  await using place = await stocked(1500);
  const child = place.startOnTerminal(["export", "--out", join(place.folder, "all.ndjson")]);
  let seen = "";
  child.stdout?.on("data", (data: Buffer) => (seen += data.toString()));
  await once(child, "close");
  assert.match(seen, /[█░]{24} \d+ % · [\d,]+ sessions · [\d.]+ MB\/s · .* left/);
});

test("an import of a truncated file reports the imported sessions, so that it can be continued", async () => {
  await using place = await stocked(200);
  const file = join(place.folder, "all.ndjson.gz");
  await place.run(["export", "--out", file]);
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, -10));
  const other = ["--store", `sqlite:${join(place.folder, "other.db")}`];
  const { code, stderr } = await place.run(["import", file, ...other]);
  assert.equal(code, 1);
  const [, imported = "0"] = /^imported (\d+) sessions/m.exec(stderr) ?? [];
  assert(Number(imported) > 0, stderr);
  assert.match(stderr, /^skipped .*all\.ndjson\.gz is damaged or cut off.* \[snapshot_invalid\]\n/);
  const { stdout } = await place.run(["export", ...other]);
  assert.equal(stdout.trimEnd().split("\n").length, Number(imported));
});

test("output that finds no room is one line and exit code 1", async () => {
  await using place = await stocked();
  const { code, stderr } = await place.run(["sessions", "list", "--json"], { stdout: "/dev/full" });
  assert.equal(code, 1);
  assert.match(stderr, /^perdure: the output cannot be written: ENOSPC[^\n]*\n$/m);
  assert.doesNotMatch(stderr, /^ +at /m);
});
