import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { backupPieces } from "../../src/files/backup-lines.ts";
import { openSessions } from "../../src/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { finish, Workplace } from "../cli/command-line.ts";
import { isThorough } from "../support/rounds.ts";

/** The most memory that a process ever had, in MB, as long as it can be asked. */
async function peakOf(place: Workplace, args: readonly string[]): Promise<number> {
  // A heap that may not grow shows what is held, not how lazily it is collected.
  const child = place.start(args, { env: { NODE_OPTIONS: "--max-old-space-size=64 --max-semi-space-size=8" } });
  let peak = 0;
  const timer = setInterval(() => {
    const status = `/proc/${child.pid}/status`;
    const [, kB] = (existsSync(status) && /VmHWM:\s+(\d+) kB/.exec(readFileSync(status, "utf8"))) || [];
    if (kB !== undefined) peak = Math.max(peak, Number(kB) / 1000);
  }, 5);
  const { code, stderr } = await finish(child);
  clearInterval(timer);
  assert.equal(code, 0, stderr);
  return peak;
}

/** About 20 MB in all. */
const many = isThorough
  ? { sessions: 10_000, input: 300, output: 700 }
  : { sessions: 2_500, input: 1_200, output: 2_800 };

test(`${many.sessions} sessions are exported, imported and copied in less than 200 MB`, async (context) => {
  if (!existsSync("/proc/self/status")) {
    context.skip("only Linux tells what a process ever needed");
    return;
  }
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: `${place.storeUrl}?synchronous=normal`, sweep: false });
  const [input, output] = ["x".repeat(many.input), "y".repeat(many.output)];
  for (let from = 0; from < many.sessions; from += 500) {
    await Promise.all(
      Array.from({ length: 500 }, async (_, index) => {
        const session = await sessions.create({ id: `s${from + index}` });
        for (let turn = 0; turn < 2; turn++) await session.append({ input, output });
      }),
    );
  }
  const file = join(place.folder, "all.ndjson");
  const other = `sqlite:${join(place.folder, "other.db")}`;
  const third = `sqlite:${join(place.folder, "third.db")}`;
  const ways = [
    ["export", "--out", file],
    ["import", file, "--store", other],
    ["import", file, "--store", other],
    ["copy", "--from", place.storeUrl, "--to", third],
  ];
  for (const args of ways) {
    const peak = await peakOf(place, args);
    assert(peak > 40 && peak < 200, `${args[0]} took ${peak} MB`);
    context.diagnostic(`${args[0]}: ${Math.round(peak)} MB`);
  }
});

const rare = isThorough ? false : "PERDURE_TEST_THOROUGH is not set";

test(
  "a session of 80 MB is archived, unarchived, copied, backed up and restored in less than 200 MB",
  { skip: rare },
  async (context) => {
    if (!existsSync("/proc/self/status")) {
      context.skip("only Linux tells what a process ever needed");
      return;
    }
    await using place = await Workplace.open();
    {
      await using sessions = await openSessions({ store: `${place.storeUrl}?synchronous=normal`, sweep: false });
      const session = await sessions.create({ id: "large" });
      for (let turn = 0; turn < 2000; turn++) await session.append({ input: `${turn} `.repeat(8000).slice(0, 40_000) });
    }
    const [backup, lines] = [join(place.folder, "backup.db"), join(place.folder, "lines.ndjson")];
    const to = (name: string): string[] => ["--store", `sqlite:${join(place.folder, name)}`];
    const ways = [
      ["copy", "--from", place.storeUrl, "--to", `sqlite:${join(place.folder, "copied.db")}`],
      ["backup", "create", backup],
      ["backup", "restore", backup, ...to("restored.db")],
      ["backup", "restore", lines, ...to("from-lines.db")],
      ["sessions", "archive", "large"],
      ["sessions", "unarchive", "large"],
    ];
    {
      await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
      await using file = await open(lines, "w");
      for await (const { text } of backupPieces(coreOf(sessions))) await file.writeFile(text);
    }
    for (const args of ways) {
      const peak = await peakOf(place, args);
      assert(peak < 200, `${args.join(" ")} took ${peak} MB`);
      context.diagnostic(`${args.slice(0, 2).join(" ")}: ${Math.round(peak)} MB`);
    }
    await using sessions = await openSessions({ store: `sqlite:${join(place.folder, "from-lines.db")}`, sweep: false });
    assert.equal((await sessions.get("large")).info.turn, 2000);
  },
);

test("files of 80 MB with many chats are imported in less than 200 MB: lines, and a list in an object", async (context) => {
  if (!existsSync("/proc/self/status") || !isThorough) {
    context.skip("only Linux tells what a process ever needed, and the import takes seconds");
    return;
  }
  await using place = await Workplace.open();
  const said = { role: "user", content: "x".repeat(1000) };
  const chats = Array.from({ length: 800 }, (_, number) =>
    JSON.stringify({ id: `c${number}`, messages: Array.from({ length: 100 }, () => said) }),
  );
  for (const [name, text] of Object.entries({
    "lines.jsonl": chats.join("\n"),
    "list.json": `{"conversations":[${chats.join()}]}`,
  })) {
    const file = join(place.folder, name);
    await writeFile(file, text);
    const peak = await peakOf(place, ["import", file, "--store", `sqlite:${join(place.folder, `${name}.db`)}`]);
    assert(peak < 200, `${name} took ${peak} MB`);
    context.diagnostic(`${name}: ${Math.round(peak)} MB`);
  }
});
