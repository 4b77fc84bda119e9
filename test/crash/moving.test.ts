/** Kills commands that move sessions, or disturbs their server, at any point. Running the command again completes it. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { restoreStore, SnapshotDirectory } from "../../src/admin.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { linesOf } from "../support/backup-cases.ts";
import { chanceOf } from "../support/chance.ts";
import { finish, Workplace, type Finished } from "../cli/command-line.ts";
import { createNasty } from "../support/nasty-sessions.ts";
import { assertSound, engineNames, Engines, enginesOfRun, type Engine, type EngineName } from "./engines.ts";
import { isThorough, rounds } from "../support/rounds.ts";

const engines = new Engines();
let place: Workplace;
before(async () => {
  place = await Workplace.open();
});
after(async () => {
  await engines[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

/** A store that no test changes, and its sessions as an export writes them. */
interface Source {
  readonly store: string;
  readonly lines: readonly string[];
}

const sources = new Map<string, Promise<Source>>();

/** A store with sessions of every kind, and so many bytes in plain sessions. */
async function source(name: EngineName, { bytes = 3_000_000 } = {}): Promise<Source> {
  const id = `${name} ${bytes}`;
  const made = sources.get(id) ?? stock(await (await engines.get(name)).fresh(), bytes);
  sources.set(id, made);
  return await made;
}

async function stock(store: string, bytes: number): Promise<Source> {
  await using sessions = await openSessions({ store, sweep: false });
  await createNasty(sessions);
  const input = "x".repeat(40_000);
  const more = Array.from({ length: bytes / input.length }, async (_, index) => {
    await (await sessions.create({ id: `s${index}` })).append({ input });
  });
  await Promise.all(more);
  return { store, lines: await linesOf(sessions) };
}

interface Rounds {
  /** True where the command writes a file, and reads its store alone. */
  readonly writesFile?: boolean;
  readonly chance: () => number;
  readonly engine: Engine;
  /** The progress of the command; it has begun when the value changes. */
  readonly sign: () => Promise<string> | string;
  /** Called after each round. */
  readonly check?: () => Promise<void>;
  /** Called before each round. */
  readonly prepare?: () => Promise<void>;
  /** Called after a round that came too late, where the command has nothing left to do. */
  readonly startAnew?: () => Promise<void>;
}

/** How many commands were disturbed. */
let disturbed = 0;

/**
 * Run a command several times, and kill it at a random moment after it has begun; then once for each disturbance of the engine,
 * which it survives or reports. A command that writes a file writes it in the same way from each engine: it is killed on SQLite.
 */
async function disturb(args: () => readonly string[], how: Rounds): Promise<void> {
  const { chance, engine, sign, check, prepare, startAnew, writesFile = false } = how;
  const isKilled = !writesFile || engine.blows.length === 0;
  const kills = Array.from({ length: isKilled ? rounds(4 - engine.blows.length, 1) : 0 }, () => undefined);
  // A quick run takes one disturbance, and another one in the next test.
  const blows = isThorough
    ? engine.blows
    : engine.blows.filter((_, index) => index === disturbed % engine.blows.length);
  disturbed++;
  const all = [...kills, ...blows];
  let caught = 0;
  // A command may be complete before a busy machine disturbs it. The rounds go on until one is caught at work.
  for (let round = 0; round < all.length || caught === 0; round++) {
    const blow = all[Math.min(round, all.length - 1)];
    await prepare?.();
    const before = await sign();
    const child = place.start(args());
    const finished = finish(child);
    while (child.exitCode === null && (await sign()) === before) await sleep(1);
    // Few disturbances must not all come too late.
    await Promise.race([sleep(chance() * (isKilled ? 40 : 5)), finished]);
    if (child.exitCode === null) caught++;
    if (blow === undefined) child.kill("SIGKILL");
    else await blow();
    const { code, stderr } = await finished;
    if (blow !== undefined && code !== 0) assert.match(stderr, /\[store_(unavailable|busy)\]/);
    await check?.();
    if (caught === 0) await startAnew?.();
  }
}

/** The files of a folder, hidden ones included, and when they were changed last; without those that end so. */
function filesIn(folder: string, without?: string): string {
  const names = readdirSync(folder).filter((name) => without === undefined || !name.endsWith(without));
  return names.map((name) => `${name} ${statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs}`).join("\n");
}

/** A store that a command fills, and the number of its sessions as the progress of the command. */
class Target implements AsyncDisposable {
  readonly #engine: Engine;
  #sessions: Sessions | undefined;
  store = "";

  private constructor(engine: Engine) {
    this.#engine = engine;
  }

  static async on(engine: Engine): Promise<Target> {
    const target = new Target(engine);
    await target.startAnew();
    return target;
  }

  /** Takes another store, with nothing in it. */
  readonly startAnew = async (): Promise<void> => {
    await this.#sessions?.close();
    this.store = await this.#engine.fresh();
    this.#sessions = await openSessions({ store: this.store, sweep: false });
  };

  readonly sign = async (): Promise<string> => {
    // The command takes most of the time to start, and each count costs the store time.
    await sleep(4);
    return String(await this.#sessions?.count().catch(() => -1));
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sessions?.close();
  }
}

async function run(args: readonly string[]): Promise<Finished> {
  const done = await place.run(args);
  assert.equal(done.code, 0, done.stderr);
  return done;
}

/** The store holds these sessions, byte for byte, and the doctor finds nothing. */
async function assertWhole(store: string, lines: readonly string[]): Promise<void> {
  await using sessions = await openSessions({ store, sweep: false });
  assertSame(await linesOf(sessions), lines);
  await assertSound(sessions);
}

function assertSame(found: readonly string[], expected: readonly string[]): void {
  // Not by deepEqual, which would show megabytes.
  assert.equal(found.length, expected.length);
  const other = found.findIndex((line, index) => line !== expected[index]);
  assert.equal(other, -1, `line ${other} is another: ${found[other]?.slice(0, 200)}`);
}

for (const name of enginesOfRun("SQLite")) {
  test(`a killed save leaves the old file or the new one whole: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const store = await engine.fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "Chat 7/8" });
    const input = "x".repeat(3_000_000);
    await session.append({ input });
    const folder = join(place.folder, `saved-${name}`);
    const directory = new SnapshotDirectory(folder, sessions);
    await directory.save(session.id);
    let turns = 1;
    await disturb(() => ["snapshot", "save", session.id, "--store", store, "--dir", folder], {
      writesFile: true,
      chance: chanceOf(context),
      engine,
      sign: () => filesIn(folder),
      prepare: async () => void (await session.append({ input })),
      async check() {
        const { counters } = (await directory.load(session.id)).session;
        assert(counters.turns === turns || counters.turns === session.info.turn, `${counters.turns} turns`);
        turns = counters.turns;
        assert.equal((await Array.fromAsync(directory.each())).length, 1);
      },
    });
    await run(["snapshot", "save", session.id, "--store", store, "--dir", folder]);
    assert.deepEqual(await directory.load(session.id), await sessions.snapshot(session.id));
  });

  test(`a killed export to a file continues when it is run again, and has each session once: ${name}`, async (context) => {
    // An export has a checkpoint every 16 MB. On PostgreSQL it is not killed, and continues from none.
    const { store, lines } = await source(name, { bytes: name === "SQLite" ? 20_000_000 : 6_000_000 });
    const folder = join(place.folder, `export-${name}`);
    mkdirSync(folder);
    const file = join(folder, "all.ndjson");
    const check = (): void => assertSame(readFileSync(file, "utf8").trimEnd().split("\n"), lines);
    const args = ["export", "--out", file, "--store", store];
    const chance = chanceOf(context);
    let afterCheckpoint = true;
    await disturb(() => args, {
      writesFile: true,
      chance,
      engine: await engines.get(name),
      async prepare() {
        afterCheckpoint = !afterCheckpoint && name === "SQLite";
      },
      sign: () => filesIn(folder, afterCheckpoint ? ".part" : undefined),
      async check() {
        if (existsSync(file)) check();
      },
    });
    await run(args);
    check();
    // What a killed one had not finished goes with a write an hour later.
    const left = readdirSync(folder).filter((name) => !name.endsWith(".tmp"));
    assert.deepEqual(left, ["all.ndjson"]);
  });

  test(`an import killed at any point is complete after another run, with each session once: ${name}`, async (context) => {
    const { lines } = await source("SQLite");
    const file = join(place.folder, `import-${name}.ndjson`);
    writeFileSync(file, `${lines.join("\n")}\n`);
    const engine = await engines.get(name);
    await using target = await Target.on(engine);
    const args = (): readonly string[] => ["import", file, "--store", target.store];
    const { sign, startAnew } = target;
    await disturb(args, { chance: chanceOf(context), engine, sign, startAnew });
    await run(args());
    await assertWhole(target.store, lines);
  });

  test(`a killed backup leaves the old file or the new one whole, and no partial file that passes for a backup: ${name}`, async (context) => {
    const { store, lines } = await source(name);
    const file = join(place.folder, `backups-${name}`, "monday");
    mkdirSync(dirname(file));
    await run(["backup", "create", file, "--store", store]);
    let known = readFileSync(file);
    await disturb(() => ["backup", "create", file, "--store", store], {
      writesFile: true,
      chance: chanceOf(context),
      engine: await engines.get(name),
      sign: () => filesIn(dirname(file)),
      async check() {
        const names = readdirSync(dirname(file)).filter((one) => !one.startsWith("."));
        assert.deepEqual(names, ["monday"]);
        const now = readFileSync(file);
        if (now.equals(known)) return;
        known = now;
        await restoreStore(file, "memory:");
      },
    });
    await run(["backup", "create", file, "--store", store]);
    const restored = await (await engines.get("SQLite")).fresh();
    await restoreStore(file, restored);
    await assertWhole(restored, lines);
  });

  test(`a restore killed at any point is complete after another run, with each session once: ${name}`, async (context) => {
    const { store, lines } = await source(name);
    const engine = await engines.get(name);
    const file = join(place.folder, `restore-${name}`);
    await run(["backup", "create", file, "--store", store]);
    await using target = await Target.on(engine);
    const args = (): readonly string[] => ["backup", "restore", file, "--store", target.store];
    const { sign, startAnew } = target;
    await disturb(args, { chance: chanceOf(context), engine, sign, startAnew });
    await run(args());
    await assertWhole(target.store, lines);
  });

  // A quick run copies from each engine to the other one, a thorough run to itself, too.
  for (const target of engineNames.filter((target) => isThorough || target !== name)) {
    test(`a copy killed at any point is complete after another run, with each session once: ${name} to ${target}`, async (context) => {
      const { store, lines } = await source(name);
      const engine = await engines.get(name === "SQLite" ? target : name);
      await using to = await Target.on(await engines.get(target));
      const args = (): readonly string[] => ["copy", "--from", store, "--to", to.store];
      const { sign, startAnew } = to;
      await disturb(args, { chance: chanceOf(context), engine, sign, startAnew });
      const { stderr } = await run(args());
      assert.match(
        stderr,
        /^copied and checked: \d+ new sessions?, 0 new attachments, \d+ other new records? \(.*\), 0 updated, \d+ unchanged, 0 skipped\n$/,
      );
      await assertWhole(to.store, lines);
    });
  }
}
