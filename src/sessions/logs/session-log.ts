/** Reads a named log: by number, by key, by a range of keys, and as it grows. */
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { parseId } from "../../domain/values/ids.ts";
import { guardNumber, invalidArgument } from "../../domain/values/invalid-argument.ts";
import { SessionError } from "../../errors.ts";
import type { LogRange } from "../../store/store.ts";
import type { Handle } from "../handle/handle.ts";
import { readLog } from "../core/log-reader.ts";
import { parseOneOf, parseWholeNumber } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { traceCall } from "../tracing/operation.ts";
import { followLog, type FollowOptions } from "./follow-log.ts";
import { boundsOf, keyAfter, type KeyRange } from "./key-range.ts";
import { logEntryOf, type LogEntry } from "./log-entry.ts";
import { pageBehind, type LogPageQuery } from "./page-behind.ts";

/** Entries by number: from one to another, bounds included, or the last so many. Without bounds, all entries. */
export interface LogEntryRange {
  readonly from?: number;
  readonly to?: number;
  /** The last so many, instead of `from` and `to`. */
  readonly last?: number;
  /** @default "ascending" */
  readonly order?: "ascending" | "descending";
}

/** How entries are read by a range of keys. */
export interface KeyRangeOptions {
  /** Of the keys, by code point. @default "ascending" */
  readonly order?: "ascending" | "descending";
  /** The most entries. @default no limit */
  readonly limit?: number;
}

const rangeNames: OptionNames<LogEntryRange> = { from: true, to: true, last: true, order: true };
const keyRangeNames: OptionNames<KeyRangeOptions> = { order: true, limit: true };
const orders = ["ascending", "descending"] as const;

/** A named log of a session. It is empty until it is written to. */
export class SessionLog {
  readonly name: string;
  readonly #handle: Handle;

  /** Made by `session.log`. @internal */
  constructor(handle: Handle, name: LogName) {
    this.#handle = handle;
    this.name = name;
  }

  /**
   * The entries by their numbers, one page in memory at a time.
   * @throws SessionError `range_invalid`, `argument_invalid`, `session_not_found`; `conflict` where the log is rewritten between two
   *   pages
   */
  entries(range: LogEntryRange = {}): AsyncIterable<LogEntry> {
    return readEntries(this.#handle, this.name, range);
  }

  /** The entries with these keys, by number; at most `limits.readMax` keys. @throws SessionError `id_invalid`, `argument_invalid` */
  async get(keys: readonly string[]): Promise<readonly LogEntry[]> {
    const { core } = this.#handle;
    const { readMax: max } = core.options.limits;
    if (!Array.isArray(keys)) throw invalidArgument("keys", keys, { expected: "array" });
    if (keys.length > max)
      throw new SessionError("argument_invalid", { name: "keys", length: keys.length, expected: "list", max });
    const wanted = (keys as readonly string[]).map((key) => parseId(key, "key"));
    return await traceCall(this.#handle.about("log"), async () => {
      const entries = await readPage(this.#handle, { log: this.name, keys: wanted });
      return entries.map((entry) => logEntryOf(this.name, entry));
    });
  }

  /**
   * The entries by a range of their keys, in the order of the keys, one page in memory at a time. An entry that is in the log all the time
   * comes once, whatever is written meanwhile.
   * @throws SessionError `id_invalid`, `argument_invalid`, `session_not_found`
   */
  between(range: KeyRange, options: KeyRangeOptions = {}): AsyncIterable<LogEntry> {
    return readBetween(this.#handle, this.name, range, options);
  }

  /**
   * The entries after number `after`, also those that any process writes later, in order. It ends with the session's life, or by
   * `signal`.
   * @throws SessionError `conflict` where entries that it has given are no longer in the log, `session_not_found` once the session
   *   is removed, `argument_invalid`, `closed`
   */
  follow(options: FollowOptions = {}): AsyncIterable<LogEntry> {
    return followLog(this.#handle, this.name, options);
  }
}

async function* readEntries(
  handle: Handle,
  log: LogName,
  range: LogEntryRange,
): AsyncGenerator<LogEntry, void, undefined> {
  guardNames(range, "range", rangeNames);
  const { last, from = 1, to = Number.MAX_SAFE_INTEGER, order = "ascending" } = range;
  parseOneOf(order, "order", orders);
  guardNumber(from, "from");
  guardNumber(to, "to");
  const isWhole = Number.isSafeInteger(from) && Number.isSafeInteger(to);
  if (!isWhole || from < 1 || to < from) throw new SessionError("range_invalid", { from, to });
  if (last !== undefined && (range.from !== undefined || range.to !== undefined))
    throw invalidArgument("last", last, { expected: "without_range" });
  const wanted = last === undefined ? Infinity : parseWholeNumber(last, "last", 0);
  const pages = pagesOf(handle, { log, from, to, order: last === undefined ? order : "descending", limit: wanted });
  if (last === undefined || order === "descending") {
    // `yield*` of a list takes twice the time.
    for await (const page of pages) for (const entry of page) yield logEntryOf(log, entry);
    return;
  }
  const tail = (await Array.fromAsync(pages)).flat().toReversed();
  for (const entry of tail) yield logEntryOf(log, entry);
}

/** Pages of entries by number, each of which is behind the same entry as before. */
async function* pagesOf(
  handle: Handle,
  { limit, ...range }: Omit<LogPageQuery, "bytesMax">,
): AsyncGenerator<readonly Entry[], void, undefined> {
  const { readMax, readBytesMax: bytesMax } = handle.core.options.limits;
  const end = range.order === "ascending" ? range.to : range.from;
  let before: Entry | undefined;
  for (let given = 0; given < limit;) {
    const query = { ...range, limit: Math.min(readMax, limit - given), bytesMax };
    const page = await traceCall(handle.about("log"), () =>
      pageBehind(before, query, (wanted) => readPage(handle, wanted)),
    );
    if (page === undefined) {
      const { record } = handle;
      throw new SessionError("conflict", { ...sessionIds(record), log: range.log, seenVersion: record.version });
    }
    yield page;
    before = page.at(-1);
    if (before === undefined || before.seq === end) return;
    given += page.length;
  }
}

async function* readBetween(
  handle: Handle,
  log: LogName,
  range: KeyRange,
  options: KeyRangeOptions,
): AsyncGenerator<LogEntry, void, undefined> {
  guardNames(options, "options", keyRangeNames);
  const { order = "ascending", limit } = options;
  parseOneOf(order, "order", orders);
  const wanted = limit === undefined ? Infinity : parseWholeNumber(limit, "limit", 1);
  let [low, high] = boundsOf(range);
  const { readMax, readBytesMax: bytesMax } = handle.core.options.limits;
  for (let given = 0; given < wanted;) {
    const most = Math.min(readMax, wanted - given);
    const between = [low, high] as const;
    const page = await traceCall(handle.about("log"), () =>
      readPage(handle, { log, between, order, limit: most, bytesMax }),
    );
    for (const entry of page) yield logEntryOf(log, entry);
    const last = page.at(-1)?.key;
    if (last == null) return;
    if (order === "ascending") low = keyAfter(last);
    else high = last;
    given += page.length;
  }
}

/**
 * Entries of a log in one round trip. Rows prove that the session is not archived; without rows the newest record says where the
 * entries are.
 * @throws SessionError `session_not_found`, and as `readLog`
 */
async function readPage(handle: Handle, range: LogRange): Promise<readonly Entry[]> {
  const { core, record } = handle;
  const entries = await readLog(core, record, range);
  if (entries.length > 0) return entries;
  const { record: newest } = await handle.peek();
  return isElsewhere(record.archive, newest.archive) ? await readLog(core, newest, range) : entries;
}

function isElsewhere(before: object | null, now: object | null): boolean {
  return (before === null) !== (now === null);
}
