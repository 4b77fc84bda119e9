/** How far a command is, as a person at a terminal sees it, and as a program that reads stderr does not. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { openSessions } from "../../src/index.ts";
import { finish, outputUntil, Workplace, type Finished } from "./command-line.ts";

/** A store of this many sessions, in two tenants, large enough that a command takes a moment. */
async function stocked(count: number): Promise<Workplace> {
  const place = await Workplace.open();
  await using sessions = await openSessions({ store: `${place.storeUrl}?synchronous=normal`, sweep: false });
  const input = "x".repeat(20_000);
  for (const tenant of ["default", "shop"]) {
    const own = sessions.for(tenant);
    await Promise.all(
      Array.from({ length: count / 2 }, async (_, index) => {
        await (await own.create({ id: `s${index}` })).append({ input });
      }),
    );
  }
  return place;
}

/** The line as it was drawn, time after time, and what stayed. */
async function onTerminal(
  place: Workplace,
  args: readonly string[],
): Promise<{ drawn: string[]; stayed: string; code: number | null }> {
  const { stdout, code } = await finish(place.startOnTerminal(args));
  return { ...seen(stdout), code };
}

function seen(output: string): { drawn: string[]; stayed: string } {
  const parts = output.replaceAll("\u001b[1G", "\r").split("\r");
  const drawn = parts.filter((part) => part.includes(" MB/s")).map(stripVTControlCharacters);
  const stayed = parts.map(stripVTControlCharacters).filter((part) => !part.includes(" MB/s"));
  return { drawn, stayed: stayed.join("").replaceAll("\u001b8", "").replaceAll("\u001b7", "").trim() };
}

const whole = /^█*░* \d+ % · ([\d,]+ sessions · )?\d+\.\d MB\/s · (\d+(\.\d)? (ms|s|min)|\?) left$/;

test("commands over many sessions show total, rate and time left on a terminal, and remove the line at the end", async () => {
  await using place = await stocked(600);
  const to = (name: string): string => `sqlite:${join(place.folder, name)}`;
  const commands: readonly (readonly string[])[] = [
    ["copy", "--from", place.storeUrl, "--to", to("all.db")],
    ["copy", "--from", place.storeUrl, "--to", to("shop.db"), "--tenant", "shop"],
    ["export", "--store", place.storeUrl, "--out", join(place.folder, "all.ndjson")],
    ["import", join(place.folder, "all.ndjson"), "--store", to("imported.db")],
    ["backup", "create", join(place.folder, "backup.db"), "--store", place.storeUrl],
    ["backup", "restore", join(place.folder, "backup.db"), "--store", to("restored.db")],
  ];
  for (const args of commands) {
    const { drawn, stayed, code } = await onTerminal(place, args);
    assert.equal(code, 0, stayed);
    assert.ok(drawn.length > 0, `${args[0]} draws`);
    for (const line of drawn) assert.match(line.trim(), whole, args.join(" "));
    // SQLite's own backup tells of each step but the last.
    const end = args[0] === "backup" ? / (9\d|100) % / : / 100 % · 6\d\d sessions | 100 % · 300 sessions /;
    assert.match(drawn.at(-1) ?? "", end, `${args.join(" ")}: what it counts to is what there is`);
    assert.match(stayed, /^(copied|exported|imported|backed up|restored)[^\n]*$/, "nothing of it stays");
  }
});

test("where stderr is no terminal, nothing is drawn", async () => {
  await using place = await stocked(20);
  const file = join(place.folder, "all.ndjson");
  const commands: readonly (readonly string[])[] = [
    ["copy", "--from", place.storeUrl, "--to", `sqlite:${join(place.folder, "other.db")}`],
    ["export", "--out", file],
    ["import", file, "--on-exists", "replace"],
    ["backup", "create", join(place.folder, "backup.db")],
    ["backup", "restore", join(place.folder, "backup.db")],
  ];
  for (const args of commands) {
    const { stderr } = await place.run([...args, ...(args[0] === "copy" ? [] : ["--store", place.storeUrl])]);
    assert.match(stderr, /^[^\n\r%]*\n$/, args.join(" "));
    assert.equal(stderr, stripVTControlCharacters(stderr));
  }
});

test("the progress line is removed before an error is printed", async () => {
  await using place = await stocked(600);
  const file = join(place.folder, "all.ndjson");
  await place.run(["export", "--out", file, "--store", place.storeUrl]);
  const broken = join(place.folder, "broken.ndjson");
  const lines = readFileSync(file, "utf8").split("\n");
  writeFileSync(broken, [...lines.slice(0, 250), "{", ""].join("\n"));
  const { drawn, stayed, code } = await onTerminal(place, [
    "import",
    broken,
    "--store",
    `sqlite:${join(place.folder, "o.db")}`,
  ]);
  assert.equal(code, 1);
  assert.ok(drawn.length > 0);
  assert.match(stayed, /^skipped .*broken\.ndjson:251.*\n\s*imported 250 sessions/);
});

test("Ctrl-C removes the progress line, leaves the terminal as it was, and exits with 130", async () => {
  await using place = await stocked(4000);
  const backup = join(place.folder, "backup.db");
  await place.run(["backup", "create", backup, "--store", place.storeUrl]);
  const to = (name: string): string => `sqlite:${join(place.folder, name)}`;
  const second = join(place.folder, "second.db");
  /** Stops a command while it works. One that is complete before the signal comes is started again, on another target. */
  const stopped = async (args: (target: number) => readonly string[]): Promise<Finished> => {
    for (let target = 0; ; target++) {
      const child = place.startOnTerminal(args(target));
      const finished = finish(child);
      await outputUntil(child, " MB/s");
      child.stdin?.write("\u0003");
      const done = await finished;
      if (done.code !== 0) return done;
      rmSync(second, { force: true });
    }
  };
  const commands: readonly (readonly [(target: number) => readonly string[], RegExp])[] = [
    [(n) => ["copy", "--from", place.storeUrl, "--to", to(`o${n}.db`)], /^copied and checked: .*\n\s*not complete/],
    [(n) => ["backup", "restore", backup, "--store", to(`r${n}.db`)], /^restored and checked: .*\n\s*not complete/],
    [() => ["backup", "create", second, "--store", place.storeUrl], /^$/],
  ];
  for (const [args, says] of commands) {
    const { code, stdout } = await stopped(args);
    assert.equal(code, 130, stdout);
    assert.match(seen(stdout).stayed.replaceAll("^C", "").trim(), says, args(0).join(" "));
    const clearsLine = "\u001b[2K";
    assert.ok(stdout.lastIndexOf(clearsLine) > stdout.lastIndexOf(" MB/s"), "the line is taken away");
    assert.ok(!stdout.includes("\u001b[?7l") && !stdout.includes("\u001b[?25l"), "the terminal is left as it was");
  }
  assert.equal(existsSync(second), false, "a backup that was stopped is none");
});
