import { styleText } from "node:util";
import { jsonOf } from "../../domain/turns/known-parts.ts";
import { printable, printableLines } from "../../domain/values/format-value.ts";

/** Print data for programs: one object a line, instants in ISO 8601. */
export function writeJson(value: unknown): void {
  process.stdout.write(`${jsonLine(value)}\n`);
}

/** JSON that is safe on a terminal: control characters are escaped, and the value stays the same. */
export function jsonLine(value: unknown): string {
  return printable(jsonOf(value));
}

/** Print a line for people; control characters in it are escaped. */
export function writeLine(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** Print a note for people on stderr; it may have several lines, and control characters in it are escaped. */
export function note(text: string): void {
  process.stderr.write(`${printableLines(text)}\n`);
}

/** Whether an error of stdout says that its reader has closed the pipe (`| head`) or the terminal. */
export function isClosedReader(error: unknown): boolean {
  const { code } = Object(error) as { readonly code?: unknown };
  return code === "EPIPE" || code === "EIO";
}

/** Report the change that a command made: data for programs, a note for people. */
export function report(data: object, text: string, { json }: { json: boolean | undefined }): void {
  if (json === true) writeJson(data);
  else note(text);
}

/** Print rows under a heading, each column as wide as its widest cell. Control characters are escaped. */
export function writeTable(heading: readonly string[], rows: readonly (readonly string[])[]): void {
  const [head = [], ...clean] = [heading, ...rows].map((row) => row.map(printable));
  const widths = head.map((name, column) =>
    clean.reduce((width, row) => Math.max(width, widthOf(row[column] ?? "")), widthOf(name)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell))))
      .join("  ")
      .trimEnd();
  process.stdout.write(`${styleText("bold", line(head), { stream: process.stdout })}\n`);
  for (const row of clean) process.stdout.write(`${line(row)}\n`);
}

const graphemes = new Intl.Segmenter();
const wide =
  /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|[\uff01-\uff60]/u;

/** The approximate number of columns that a text takes on a terminal. */
function widthOf(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : 1;
  return width;
}

/** An instant in local time: `2026-11-20 23:05:12`. */
export function localTime(date: Date | null): string {
  if (date === null) return "never";
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A duration in its largest unit: `340 ms`, `12 s`, `3 min`, `2 h`, `5 d`. */
export function span(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 86_400_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`;
}

/** A rounded number with separators of thousands. */
export function number(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** A size in its largest unit: `512 B`, `1.2 MiB`. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${(value / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}
