import { arch, availableParallelism, cpus, loadavg, platform, release, tmpdir, totalmem } from "node:os";
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { p50OfSync, passes, type Measure, type Unit } from "./measure.ts";

/** The machine and the versions behind the numbers. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** Work of other programs, over the last minute, in cores. */
  readonly load: number;
  readonly folder: string;
  /** One small write with its sync to the disk, p50: the lower bound of a durable commit. */
  readonly syncUs: number;
  readonly node: string;
  readonly sqlite: string;
  readonly perdure: string;
}

export function machine(): Machine {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return {
    cpu: cpus()[0]?.model.trim() ?? arch(),
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    folder: tmpdir(),
    syncUs: Math.round(syncTime()),
    node: process.version,
    sqlite: process.versions.sqlite ?? "none",
    perdure: manifest.version,
  };
}

function syncTime(): number {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  const file = openSync(join(folder, "sync"), "w");
  const page = Buffer.alloc(4096);
  const time = p50OfSync(50, () => {
    writeSync(file, page, 0, page.length, 0);
    fdatasyncSync(file);
  });
  closeSync(file);
  rmSync(folder, { recursive: true });
  return time;
}

export function headingOf(engine: string, machine: Machine): string {
  const { cpu, cores, memoryGiB, system, load, folder, syncUs, node, sqlite, perdure } = machine;
  return [
    `perdure ${perdure} on ${engine}, node ${node}, SQLite ${sqlite}`,
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}, load ${load} at the start`,
    `files in ${folder}, where a write of 4 KiB with its sync takes ${syncUs} µs`,
  ].join("\n");
}

export function tableOf(measures: readonly Measure[]): string {
  const rows = [["measure", "Perdure", "limit", "", "value", "bar", ""], ...measures.map(rowOf)];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const isNumber = (column: number): boolean => [1, 2, 4, 5].includes(column);
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function rowOf(measure: Measure): string[] {
  const { name, unit, ours, limit, limitName = "", value, valueUnit, bar } = measure;
  const kept = passes(measure);
  return [
    name,
    show(ours, unit),
    limit === undefined ? "" : show(limit, unit),
    limitName,
    show(value, valueUnit),
    bar === undefined ? "" : "atMost" in bar ? `≤ ${show(bar.atMost, valueUnit)}` : `≥ ${show(bar.atLeast, valueUnit)}`,
    kept === undefined ? "" : kept ? "pass" : "MISS",
  ];
}

function show(value: number, unit: Unit): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toLocaleString("en", { maximumFractionDigits: digits }).replaceAll(",", " ");
  return unit === "times" ? `${text}×` : unit === "bytes" ? `${text} B` : `${text} ${unit}`;
}
