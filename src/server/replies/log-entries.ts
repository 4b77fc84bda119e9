/**
 * A page of a named log: by number, by keys, or by a range of keys. It ends after a number of entries or bytes; `next` is the
 * number or the key of its last entry, and the page after it continues there. An entry that cannot be read ends its page, and
 * fails the next one.
 */
import { defined } from "../../domain/values/defined.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import type { LogEntry, Session, SessionLog } from "../../index.ts";
import { toJson } from "../../protocol/json.ts";
import { wireLogEntry } from "../../protocol/written.ts";
import type { RequestContext } from "../http/route.ts";
import { listReply, type PageItems } from "./list-reply.ts";

/** The entries of a request. */
export interface EntryQuery {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly last?: number | undefined;
  readonly key?: readonly string[] | undefined;
  readonly fromKey?: string | undefined;
  readonly toKey?: string | undefined;
  readonly prefix?: string | undefined;
  readonly order: "ascending" | "descending";
  readonly limit: number;
  /** The number or the key of the last entry of the page before. */
  readonly after?: string | undefined;
}

const bytesMax = 1024 * 1024;
/** Keys of one read: the entries of one read are in memory at once. */
const keysAtOnce = 20;

/** @throws SessionError `request_invalid`, `range_invalid`, `id_invalid`, `log_reserved`, and the store's */
export async function entriesReply(
  c: RequestContext,
  session: Session,
  { name, query }: { readonly name: string; readonly query: EntryQuery },
): Promise<Response> {
  const log = session.log(name);
  guardKinds(query);
  const { key, fromKey, toKey, prefix, limit } = query;
  if (key !== undefined) return await listReply(c, pageOf(entriesOfKeys(log, key, query), { limit, placeOf: keyOf }));
  if (fromKey !== undefined || toKey !== undefined || prefix !== undefined)
    return await listReply(c, pageOf(entriesBetween(log, query), { limit, placeOf: keyOf }));
  const { logs } = session.info;
  const end = Object.hasOwn(logs, name) ? (logs[name]?.end ?? 0) : 0;
  return await listReply(c, pageOf(entriesByNumber(log, end, query), { limit, placeOf: ({ seq }) => seq }));
}

const kinds = [["from", "to", "last"], ["key"], ["fromKey", "toKey"], ["prefix"]] as const;

/** @throws SessionError `request_invalid` for parameters of two kinds, and for `last` with `after` */
function guardKinds(query: EntryQuery): void {
  const given = kinds
    .map((kind) => kind.filter((name) => query[name] !== undefined))
    .filter(({ length }) => length > 0);
  const [first = [], other = []] = given;
  if (other[0] !== undefined) throw beside(other[0], first);
  if (query.last === undefined) return;
  const [bound] = (["from", "to", "after"] as const).filter((name) => query[name] !== undefined);
  if (bound !== undefined) throw beside("last", [bound]);
}

function beside(name: string, known: readonly string[]): SessionError {
  return new SessionError("request_invalid", { path: `query.${name}`, expected: "beside", known });
}

/** Entries by number, at most one more than a page has. */
function entriesByNumber(log: SessionLog, end: number, query: EntryQuery): AsyncIterable<LogEntry> {
  const { last, order, limit } = query;
  const after = query.after === undefined ? undefined : numberOf(query.after);
  const { from = last === undefined ? 1 : Math.max(1, end - last + 1), to = Math.max(from, end) } = query;
  if (from < 1 || to < from) throw new SessionError("range_invalid", { from, to });
  const isUp = order === "ascending";
  const low = isUp ? Math.max(from, (after ?? 0) + 1) : from;
  const high = Math.min(to, end, isUp ? Infinity : (after ?? Infinity) - 1);
  if (low > high) return none();
  const bounds = isUp
    ? { from: low, to: Math.min(high, low + limit) }
    : { from: Math.max(low, high - limit), to: high };
  return log.entries({ ...bounds, order });
}

/** @throws SessionError `request_invalid` */
function numberOf(after: string): number {
  if (/^\d{1,15}$/.test(after)) return Number(after);
  throw new SessionError("request_invalid", {
    path: "query.after",
    value: formatValue(after),
    expected: "whole_number",
    min: 1,
  });
}

/** The entries of keys, in the order of the keys. */
async function* entriesOfKeys(
  log: SessionLog,
  keys: readonly string[],
  { after }: EntryQuery,
): AsyncGenerator<LogEntry, void, undefined> {
  const all = [...new Set(keys)];
  const at = after === undefined ? -1 : all.indexOf(after);
  if (after !== undefined && at === -1)
    throw new SessionError("request_invalid", { path: "query.after", value: formatValue(after), expected: "cursor" });
  for (let index = at + 1; index < all.length; index += keysAtOnce) {
    const wanted = all.slice(index, index + keysAtOnce);
    const found = new Map((await log.get(wanted)).map((entry) => [entry.key, entry]));
    for (const key of wanted) {
      const entry = found.get(key);
      if (entry !== undefined) yield entry;
    }
  }
}

/** The entries of a range of keys, in the order of the keys, at most one more than a page has. */
async function* entriesBetween(
  log: SessionLog,
  { fromKey, toKey, prefix = "", order, limit, after }: EntryQuery,
): AsyncGenerator<LogEntry, void, undefined> {
  const low = order === "ascending" && after !== undefined ? after : (fromKey ?? (prefix === "" ? undefined : prefix));
  const high = order === "descending" && after !== undefined ? after : toKey;
  const isWhole = after === undefined && prefix !== "";
  const range = isWhole ? { prefix } : defined({ from: low, to: high });
  // The entry of `after` itself is read where keys ascend.
  for await (const entry of log.between(range, { order, limit: limit + 2 })) {
    if (entry.key === after) continue;
    if (entry.key?.startsWith(prefix) !== true) return;
    yield entry;
  }
}

function keyOf({ key }: LogEntry): string {
  return key ?? "";
}

async function* pageOf(
  entries: AsyncIterable<LogEntry>,
  { limit, placeOf }: { readonly limit: number; readonly placeOf: (entry: LogEntry) => number | string },
): PageItems {
  let count = 0;
  let bytes = 0;
  let next: number | string | undefined;
  try {
    for await (const entry of entries) {
      // Named logs only: no entry is a turn.
      const text = toJson(wireLogEntry("", entry));
      bytes += Buffer.byteLength(text);
      if (count === limit || (count > 0 && bytes > bytesMax)) return { next };
      yield text;
      next = placeOf(entry);
      count++;
    }
  } catch (error) {
    // The status of the response is sent with its first entry: the next page fails as a whole.
    if (next === undefined) throw error;
    return { next };
  }
  return {};
}

async function* none(): AsyncGenerator<never, void, undefined> {
  // A log without entries in the range.
}
