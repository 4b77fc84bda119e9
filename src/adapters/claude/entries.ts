/** Transcript lines as entries of a named log. A line that is larger than an entry may be is stored as several. */
import { decode, encode, slicesOf } from "../../domain/values/codec.ts";
import { parseArray } from "../../domain/values/invalid-argument.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Limits, LogEntry, LogEntryInput, Value } from "../../index.ts";
import { batchesOf, type BatchSize } from "../projection/batches.ts";
import { uuidKey } from "./keys.ts";

/** The log of the main transcript. */
export const mainLog = "claude";

/** One line of a transcript: the SDK defines its fields, and the store keeps all of them. */
export interface ClaudeEntry {
  type: string;
  /** The idempotency key of the line. */
  uuid?: string;
  timestamp?: string;
  [field: string]: unknown;
}

/** The value of an entry of the log: a line, or a part of the text of one. */
type Stored = { readonly subpath?: string } & (
  | { readonly entry: Value }
  | { readonly line: string; readonly text: string; readonly isLast: boolean }
);

/** An entry to write. */
export interface Piece {
  readonly input: LogEntryInput;
  /** The idempotency key of its line; undefined: the line has none. */
  readonly lineKey: string | undefined;
  /** The line that is whole with this entry. */
  readonly line: ClaudeEntry | undefined;
  readonly bytes: number;
}

/** The bytes of an entry beside the text of its line: the names of its fields, the subpath and the escapes of that. */
const frameBytes = 4096;

/**
 * The entries for these lines; of several lines with one uuid, the first.
 * @param place the subpath of a subagent's transcript, and the prefix of its keys
 * @throws SessionError `value_unstorable` with the path of the value, `argument_invalid`
 */
export function piecesOf(
  lines: readonly ClaudeEntry[],
  place: { readonly subpath: string; readonly prefix: string } | undefined,
  { entryBytesMax }: Limits,
): readonly Piece[] {
  const prefix = place?.prefix ?? "";
  const known = new Set<string>();
  // Unlike those of the array, the entries of a copy include its holes.
  return Array.from(parseArray(lines, "entries")).flatMap((line, index): readonly Piece[] => {
    guardObject(line, `entries[${index}]`);
    const { uuid } = line;
    const lineKey = typeof uuid === "string" && uuid !== "" ? prefix + uuidKey(uuid) : undefined;
    if (lineKey !== undefined && known.has(lineKey)) return [];
    if (lineKey !== undefined) known.add(lineKey);
    const text = encode(line, `entries[${index}]`);
    const bytes = Buffer.byteLength(text) + frameBytes;
    const own = defined({ subpath: place?.subpath });
    // The prefix finds the entries of a subagent, so each of them needs a key.
    const unnamed = (): string | undefined => (place === undefined ? undefined : `${prefix}n${crypto.randomUUID()}`);
    if (bytes <= entryBytesMax) {
      const value: Stored = { ...own, entry: line as Value };
      return [{ input: defined({ key: lineKey ?? unnamed(), value }), lineKey, line, bytes }];
    }
    const id = crypto.randomUUID();
    const texts = slicesOf(text, entryBytesMax - frameBytes);
    return texts.map((slice, at): Piece => {
      const isLast = at === texts.length - 1;
      const value: Stored = { ...own, line: id, text: slice, isLast };
      const key = (isLast ? lineKey : undefined) ?? unnamed();
      return { input: defined({ key, value }), lineKey, line: isLast ? line : undefined, bytes: entryBytesMax };
    });
  });
}

/** The pieces in groups that fit one write each, with a turn for each of them. */
export function groupsOf(pieces: readonly Piece[], limits: Limits): readonly (readonly Piece[])[] {
  const groups = batchesOf(pieces, ({ bytes }) => ({ count: 1, bytes }), groupMax(limits));
  return groups.length === 0 ? [[]] : groups;
}

/** The most entries of a write, beside as many turns. */
export function groupMax({ writeEntriesMax, readMax, writeBytesMax: bytes }: Limits): BatchSize {
  return { count: Math.max(1, Math.min(Math.floor(writeEntriesMax / 2), readMax)), bytes };
}

/** The lines of entries in the order of the log. A line of which a part is missing was never acknowledged, and is left out. */
export function linesOf(entries: readonly LogEntry[]): ClaudeEntry[] {
  const texts = new Map<string, string[]>();
  return entries.flatMap(({ value }): readonly ClaudeEntry[] => {
    const stored = value as Stored;
    if ("entry" in stored) return [stored.entry as unknown as ClaudeEntry];
    const parts = texts.get(stored.line) ?? [];
    texts.set(stored.line, parts);
    parts.push(stored.text);
    if (!stored.isLast) return [];
    texts.delete(stored.line);
    return [decode(parts.join("")) as unknown as ClaudeEntry];
  });
}

/** The subpath of an entry of a subagent's transcript. */
export function subpathOf({ value }: LogEntry): string {
  return (value as Stored).subpath ?? "";
}
