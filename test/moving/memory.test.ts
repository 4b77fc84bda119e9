import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { finish, Workplace } from "../cli/command-line.ts";

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

test("10 000 sessions are exported, imported and copied in less than 200 MB", async (context) => {
  if (!existsSync("/proc/self/status")) {
    context.skip("only Linux tells what a process ever needed");
    return;
  }
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: `${place.storeUrl}?synchronous=normal`, sweep: false });
  const [input, output] = ["x".repeat(300), "y".repeat(700)];
  for (let from = 0; from < 10_000; from += 500) {
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
