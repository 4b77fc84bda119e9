import { resolve } from "node:path";
import { Option, type Command } from "commander";
import type { Sessions } from "../../index.ts";
import { printable } from "../../domain/values/format-value.ts";
import { defined } from "../../domain/values/defined.ts";
import { writeDurably } from "../../files/durable-file.ts";
import { statsKinds } from "../../sessions/stats.ts";
import { guardTarget } from "../../files/target-file.ts";
import { sumNames } from "../../store/stats.ts";
import { instant, wholeNumber } from "../terminal/arguments.ts";
import { CliError } from "../terminal/cli-error.ts";
import { examples, jsonOption, storeCommand, type JsonOption } from "../program/command.ts";
import { openToRead, storeUrl, type StoreOptions } from "../program/environment.ts";
import { bytes, note, number, span, writeJson, writeTable } from "../terminal/output.ts";
import { daysOf } from "./stats-days.ts";
import { statsReport } from "./stats-report.ts";
import { fileOfStore } from "../program/store-file.ts";
import {
  stats as statsOf,
  type Percentiles,
  type Stats,
  type StatsDay,
  type StatsGroup,
  type StatsKind,
} from "../../admin.ts";
import { counted } from "../../errors/counted.ts";

interface StatsOptions extends StoreOptions, JsonOption {
  readonly by: StatsKind;
  readonly since?: Date;
  readonly limit: number;
  readonly csv?: boolean;
  readonly html?: string;
}

export function statsCommand(): Command {
  return storeCommand("stats", "Show the number of sessions, turns and tokens")
    .addOption(
      new Option("--by <kind>", "how to group turns; days and hours are in UTC").choices(statsKinds).default("day"),
    )
    .option(
      "--since <instant>",
      "only turns from this instant on: 2026-11-20, 2026-11-20T18:00, or 30d for a month ago",
      instant,
    )
    .option("--limit <n>", "the most groups to show", wholeNumber, 100)
    .option(...jsonOption)
    .addOption(new Option("--csv", "print comma-separated values, for spreadsheets").conflicts("json"))
    .option("--html <file>", "write a report with plots to this file, which needs no others")
    .addHelpText(
      "after",
      examples([
        "perdure stats --by agent --since 30d",
        "perdure stats --by hour --since 24h --csv > hours.csv",
        "perdure stats --html report.html",
      ]),
    )
    .action(stats);
}

async function stats({ by, since, limit, json, csv, html, ...options }: StatsOptions): Promise<void> {
  if (html !== undefined) guardTarget(resolve(html), await fileOfStore(storeUrl(options)));
  await using sessions = await openToRead(options);
  const query = { limit, ...defined({ since }) };
  if (html !== undefined) {
    await writeReport(sessions, html, query);
    return;
  }
  const found = await statsOf(sessions, { ...query, by });
  if (json === true) {
    writeJson(found);
    return;
  }
  const lines = linesOf(found, by).slice(0, limit);
  if (csv === true) writeCsv(by, lines);
  else describe(found, by, lines);
  if (lines.length === limit) note(`the first ${limit}; --limit shows more`);
}

async function writeReport(sessions: Sessions, file: string, query: { readonly since?: Date }): Promise<void> {
  const found = await statsOf(sessions, { ...query, by: ["day", "agent", "model", "user"], limit: 366 });
  const report = statsReport(found);
  if (report === undefined) throw new CliError("usage", "the report is not built in this checkout; run: npm run build");
  await writeDurably(resolve(file), (handle) => handle.writeFile(report));
  note(`written to ${resolve(file)}`);
}

/** A line of the table: the sums of a group of turns, and for a day also the counts of its sessions. */
type Line = StatsGroup & Partial<Omit<StatsDay, "day">>;

function linesOf(stats: Stats, by: StatsKind): readonly Line[] {
  return by === "day" ? daysOf(stats).map(({ day, ...sums }) => ({ key: day, ...sums })) : (stats.groups[by] ?? []);
}

const dayCounts = ["created", "ended", "expired"] as const;

function describe(stats: Stats, by: StatsKind, lines: readonly Line[]): void {
  const { sessions, turns, handoffs, storage } = stats;
  const { attachments } = storage;
  const states = Object.entries(sessions.states).map(([state, count]) => `${number(count)} ${state}`);
  const truncated = turns.truncated === 0 ? "" : `, ${number(turns.truncated)} truncated since`;
  writeTable(
    ["SESSIONS", number(sessions.total)],
    [
      ["states", states.join(", ")],
      ["turns of each", percentilesText(sessions.turns, number)],
      ["life", percentilesText(sessions.lifeMs, span)],
      [
        "turns",
        `${number(turns.turns)} (${number(turns.failed)} failed, ${number(turns.interrupted)} interrupted${truncated})`,
      ],
      [
        "tokens",
        `${number(turns.totalTokens)} (${number(turns.inputTokens)} in, ${number(turns.outputTokens)} out)${estimates(stats)}`,
      ],
      ["duration", percentilesText(turns.durationPercentilesMs, span)],
      ["conflicts", number(turns.conflicts)],
      [
        "handoffs",
        `${number(handoffs.active)} active, ${number(handoffs.expired)} expired; active for ${percentilesText(handoffs.activeMs, span)}`,
      ],
      ["ratings", ratingsText(stats)],
      ["storage", `${bytes(storage.bytes)}, ${bytes(storage.bytesPerSession)} a session`],
      ["attachments", `${number(attachments.count)}, ${bytes(attachments.bytes)}`],
    ],
  );
  if (lines.length === 0) return;
  process.stdout.write("\n");
  const most = lines.reduce((most, { totalTokens }) => Math.max(most, totalTokens), 0);
  writeTable(
    [
      by.toUpperCase(),
      "TURNS",
      "FAILED",
      "CALLS",
      "TOKENS",
      "MEAN TIME",
      "TEXT",
      ...(by === "model" ? [] : ["CONFLICTS"]),
      ...(by === "day" ? ["CREATED", "ENDED", "EXPIRED"] : []),
      "",
    ],
    lines.map((group) => [
      group.key ?? "-",
      number(group.turns),
      number(group.failed + group.interrupted),
      number(group.requests),
      number(group.totalTokens),
      group.turns === 0 ? "-" : span(group.durationMs / group.turns),
      bytes(group.bytes),
      ...(by === "model" ? [] : [number(group.conflicts)]),
      ...(by === "day" ? dayCounts.map((name) => number(group[name] ?? 0)) : []),
      process.stdout.isTTY ? bar(group.totalTokens, most) : "",
    ]),
  );
}

function estimates({ turns }: Stats): string {
  return turns.estimated === 0 ? "" : `, an estimate for ${counted(turns.estimated, "turn", number)}`;
}

function ratingsText({ ratings: { up, down, scores, meanScore } }: Stats): string {
  const mean =
    meanScore === null ? "" : `, ${counted(scores, "score", number)} of mean ${Number(meanScore.toPrecision(3))}`;
  return `${number(up)} up, ${number(down)} down${mean}`;
}

function percentilesText(percentiles: Percentiles | null, show: (value: number) => string): string {
  if (percentiles === null) return "-";
  return `mean ${show(percentiles.mean)}, p50 ${show(percentiles.p50)}, p95 ${show(percentiles.p95)}, max ${show(percentiles.max)}`;
}

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of at most 24 columns, to an eighth of one. */
function bar(value: number, most: number): string {
  const length = most === 0 ? 0 : Math.round((value / most) * 24 * 8);
  return "█".repeat(length >> 3) + (eighths[length & 7] ?? "");
}

function writeCsv(by: StatsKind, lines: readonly Line[]): void {
  // A conflict belongs to no model: the turn was not written.
  const sums = by === "model" ? sumNames.filter((name) => name !== "conflicts") : sumNames;
  const names = by === "day" ? [...sums, ...dayCounts] : sums;
  const rows = lines.map((line) => [line.key ?? "", ...names.map((name) => String(line[name] ?? 0))]);
  // A file gets the exact names; on a terminal control characters are escaped.
  const toCell = (text: string): string => cell(process.stdout.isTTY ? printable(text) : text);
  for (const row of [[by, ...names], ...rows]) process.stdout.write(`${row.map(toCell).join(",")}\r\n`);
}

/** A cell of RFC 4180. A quote in front keeps a spreadsheet from running a user's name as a formula. */
function cell(text: string): string {
  const tame = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(tame) ? `"${tame.replaceAll('"', '""')}"` : tame;
}
