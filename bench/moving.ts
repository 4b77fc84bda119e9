/** Export and import of many sessions with SQLite, beside plain `JSON.stringify` of the same sessions to a file. */
import { createReadStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSessions, type Sessions, type SessionSnapshot } from "../src/index.ts";
import { unpacked } from "../src/files/bytes.ts";
import { ExportFile, Piece } from "../src/files/export-file.ts";
import { importItems } from "../src/imports/import-items.ts";
import { alternate, median, type Bench, type Comparison, type Measure } from "./measure.ts";
import { turn } from "./workload.ts";
import { importSessions, exportSessions } from "../src/admin.ts";

const sessionsCount = 1500;
const turnsEach = 20;
const turnsCount = sessionsCount * turnsEach;
const rounds = 7;
const pieceLength = 1024 * 1024;

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const sessions = await openSessions({
      store: `sqlite:${join(folder, "source.db")}?synchronous=normal`,
      sweep: false,
    });
    await fill(sessions);
    const lines = await Array.fromAsync(exportSessions(sessions));
    const snapshots = lines.map(({ text }) => JSON.parse(text) as SessionSnapshot);
    const file = join(folder, "all.ndjson");
    const plain = (): Promise<number> => secondsOf(() => stringifyTo(join(folder, "plain.ndjson"), snapshots));
    const outCpu: number[] = [];
    const out = await alternate(rounds, {
      ours: () => secondsOf(() => exportTo(file, sessions), outCpu),
      limit: plain,
    });
    const bytes = statSync(file).size;
    for (const measure of ratesOf("export", { ...out, bytes, cpu: median(outCpu) })) report(measure);
    const intoCpu: number[] = [];
    let round = 0;
    const into = await alternate(rounds, {
      async ours() {
        const store = `sqlite:${join(folder, `target-${round++}.db`)}`;
        const target = await openSessions({ store, sweep: false });
        const seconds = await secondsOf(() => importFrom(file, target), intoCpu);
        await target.close();
        return seconds;
      },
      limit: plain,
    });
    for (const measure of ratesOf("import", { ...into, bytes, cpu: median(intoCpu) })) report(measure);
    await sessions.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
};

async function fill(sessions: Sessions): Promise<void> {
  for (let from = 0; from < sessionsCount; from += 100) {
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const session = await sessions.create({ id: `s${from + index}`, agent: "ceo", user: `u${index}` });
        for (let each = 0; each < turnsEach; each++) await session.append(turn);
      }),
    );
  }
}

/** Notes the seconds of the processor in `cpu`: on a busy machine they say more than those of the clock. */
async function secondsOf(work: () => Promise<void>, cpu: number[] = []): Promise<number> {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  cpu.push((user + system) / 1e6);
  return (performance.now() - start) / 1000;
}

/** As `perdure export --out` does it. */
async function exportTo(path: string, sessions: Sessions): Promise<void> {
  await using file = await ExportFile.open(path, "bench");
  const piece = new Piece();
  for await (const { text } of exportSessions(sessions)) {
    if (piece.add(`${text}\n`)) await file.write(piece.take(), nowhere);
  }
  await file.write(piece.take(), nowhere);
  await file.finish();
}

const nowhere = { after: undefined, sessions: 0, turns: 0 };

async function stringifyTo(path: string, snapshots: readonly SessionSnapshot[]): Promise<void> {
  await using file = await open(path, "w");
  let parts: string[] = [];
  let length = 0;
  for (const snapshot of snapshots) {
    const text = JSON.stringify(snapshot);
    parts.push(text, "\n");
    length += text.length;
    if (length < pieceLength) continue;
    await file.write(parts.join(""));
    [parts, length] = [[], 0];
  }
  await file.write(parts.join(""));
  await file.sync();
}

async function importFrom(path: string, target: Sessions): Promise<void> {
  const bytesMax = target.limits.snapshotBytesMax;
  const stream = createReadStream(path, { highWaterMark: 128 * 1024 });
  const { restored } = await importSessions(target, importItems(unpacked(stream, path), { file: path, bytesMax }));
  if (restored !== sessionsCount) throw new Error(`${restored} sessions were imported`);
}

function ratesOf(
  what: string,
  { ours, limit, ratio, bytes, cpu }: Comparison & { readonly bytes: number; readonly cpu: number },
): Measure[] {
  const limitName = "JSON.stringify to a file";
  const inMegabytes = (seconds: number): number => bytes / 1e6 / seconds;
  const inTurns = (seconds: number): number => turnsCount / seconds;
  return [
    {
      name: `${what}, SQLite`,
      unit: "MB/s",
      ours: inMegabytes(ours),
      limit: inMegabytes(limit),
      limitName,
      value: inMegabytes(ours),
      valueUnit: "MB/s",
      bar: { atLeast: 50 },
    },
    {
      name: `${what}, SQLite`,
      unit: "turns/s",
      ours: inTurns(ours),
      limit: inTurns(limit),
      limitName,
      value: inTurns(ours),
      valueUnit: "turns/s",
      bar: { atLeast: 10_000 },
    },
    {
      name: `${what}, by time of the processor`,
      unit: "MB/s",
      ours: inMegabytes(cpu),
      value: inMegabytes(cpu),
      valueUnit: "MB/s",
    },
    {
      name: `time of ${what}`,
      unit: "ms",
      ours: ours * 1000,
      limit: limit * 1000,
      limitName,
      value: ratio,
      valueUnit: "times",
    },
  ];
}
