/** Pages of the messages of threads. */
import { invalidArgument, parseInstant } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import type { LogEntry, Session } from "../../index.ts";
import type { OpenThread } from "./open-thread.ts";
import type { MastraMessage, MastraMessagesRequest, MastraPage } from "./package-mastra.ts";
import { hasFields, messageOf, metadataOf, timeKey, timeOf } from "./stored-message.ts";
import { deletionsLog, messagesLog } from "./stored-thread.ts";

/** The most entries of one read. */
const entriesMax = 1000;

/** The bounds of a page. */
interface Bounds {
  readonly offset: number;
  readonly limit: number;
}

/** @throws SessionError `argument_invalid` */
export function boundsOf(
  { perPage, page = 0 }: { readonly perPage?: number | false; readonly page?: number },
  perPageDefault: number,
): Bounds {
  const limit = perPage === false ? Infinity : (perPage ?? perPageDefault);
  if (limit !== Infinity && (!Number.isSafeInteger(limit) || limit < 0))
    throw invalidArgument("perPage", perPage, { expected: "whole_number", min: 0 });
  if (!Number.isSafeInteger(page) || page < 0 || (limit === Infinity && page > 0))
    throw invalidArgument("page", page, { expected: "whole_number", min: 0 });
  return { offset: limit === Infinity ? 0 : page * limit, limit };
}

/** The messages of a page, those around it left out, and where it is. @throws SessionError `argument_invalid` */
export async function messagePage(
  threads: readonly OpenThread[],
  request: MastraMessagesRequest,
): Promise<MastraPage & { messages: MastraMessage[] }> {
  const { filter = {}, resourceId, includeTotal = true, page = 0 } = request;
  const { offset, limit } = boundsOf(request, 40);
  const range = rangeOf(filter.dateRange);
  const perPage = limit === Infinity ? false : limit;
  if (limit === 0) return { messages: [], total: 0, page, perPage, hasMore: false };
  const isWhole = filter.dateRange === undefined && filter.metadata === undefined && !isName(resourceId);
  // What is filtered is counted one by one.
  const enough = isWhole || !includeTotal ? offset + limit + 1 : Infinity;
  const found: MastraMessage[] = [];
  for (const open of threads) {
    let given = 0;
    for await (const message of matching(open, request, { range, enough })) {
      found.push(message);
      if (++given >= enough) break;
    }
  }
  const messages = inOrder(found, isDescending(request)).slice(offset, offset + limit);
  const total = isWhole ? await countOf(threads) : found.length;
  return { messages, total, page, perPage, hasMore: offset + messages.length < Math.max(total, found.length) };
}

/** The messages, from the first or from the last one on. */
export function inOrder(messages: readonly MastraMessage[], isDescending: boolean): MastraMessage[] {
  return messages.toSorted((a, b) => (isDescending ? timeOf(b) - timeOf(a) : timeOf(a) - timeOf(b)));
}

export function isDescending({ orderBy }: MastraMessagesRequest): boolean {
  return orderBy?.direction === "DESC";
}

/** An empty name stands for none, as in Mastra. */
export function isName(name: string | undefined): name is string {
  return name !== undefined && name !== "";
}

/** How many messages threads have. */
async function countOf(threads: readonly OpenThread[]): Promise<number> {
  let sum = 0;
  for (const open of threads) {
    const { logs } = open.session.info;
    const foreign = await open.foreign();
    sum +=
      (logs[messagesLog]?.end ?? 0) -
      (logs[deletionsLog]?.end ?? 0) +
      foreign.filter(({ isStored }) => !isStored).length;
  }
  return sum;
}

/** The keys of the messages in a range of times. @throws SessionError `argument_invalid` for a value that is no date */
function rangeOf(times: NonNullable<MastraMessagesRequest["filter"]>["dateRange"]): KeyRange {
  const { start, end, startExclusive = false, endExclusive = false } = times ?? {};
  return defined({
    from: start === undefined ? undefined : timeKey(parseInstant(start, "start") + (startExclusive ? 1 : 0)),
    to: end === undefined ? undefined : timeKey(parseInstant(end, "end") + (endExclusive ? 0 : 1)),
  });
}

/**
 * The messages of a thread that a request asks for, in its order.
 * @param enough about as many as are wanted
 */
async function* matching(
  open: OpenThread,
  request: MastraMessagesRequest,
  { range, enough }: { readonly range: KeyRange; readonly enough: number },
): AsyncGenerator<MastraMessage, void, undefined> {
  const { filter = {}, resourceId } = request;
  const order = isDescending(request) ? "descending" : "ascending";
  for await (const message of messagesIn(open, range, { order, enough })) {
    if (isName(resourceId) && message.resourceId !== resourceId) continue;
    if (filter.metadata === undefined || hasFields(metadataOf(message), filter.metadata)) yield message;
  }
}

/** The range of keys, the first one included. */
interface KeyRange {
  readonly from?: string;
  readonly to?: string;
}

interface Reading {
  readonly order: "ascending" | "descending";
  /** About as many messages as are wanted. */
  readonly enough: number;
}

/** The messages in a range of keys, those of other frameworks in their places. */
export async function* messagesIn(
  open: OpenThread,
  range: KeyRange,
  reading: Reading,
): AsyncGenerator<MastraMessage, void, undefined> {
  const { from = "", to } = range;
  const isAscending = reading.order === "ascending";
  const foreign = (await open.foreign()).filter(({ key }) => key >= from && (to === undefined || key < to));
  if (!isAscending) foreign.reverse();
  for await (const entry of entriesIn(open.session, range, reading)) {
    const key = entry.key ?? "";
    while (foreign[0] !== undefined && foreign[0].key !== key && foreign[0].key < key === isAscending)
      yield foreign.shift()!.message;
    const grown = foreign[0]?.key === key ? foreign.shift()?.message : undefined;
    const message = grown ?? messageOf(entry, open.thread);
    if (message !== undefined) yield message;
  }
  for (const { message } of foreign) yield message;
}

/** The entries in a range of keys, of which no more are read at a time than are wanted. */
async function* entriesIn(
  session: Session,
  range: KeyRange,
  { order, enough }: Reading,
): AsyncGenerator<LogEntry, void, undefined> {
  const limit = Math.min(enough, entriesMax);
  for (let { from, to } = range; ;) {
    const entries = await Array.fromAsync(session.log(messagesLog).between(defined({ from, to }), { order, limit }));
    yield* entries;
    const last = entries.at(-1)?.key;
    if (last == null || entries.length < limit) return;
    // No key begins with another one, so the next one is behind this.
    if (order === "ascending") from = `${last}~`;
    else to = last;
  }
}

/** The message with this key and those around it, of one resource if it is named. */
export async function messagesAround(
  open: OpenThread,
  key: string,
  { before, after, resourceId }: { readonly before: number; readonly after: number; readonly resourceId?: string },
): Promise<MastraMessage[]> {
  const take = async (order: "ascending" | "descending", count: number): Promise<MastraMessage[]> => {
    const taken: MastraMessage[] = [];
    if (count <= 0) return taken;
    const range = order === "ascending" ? { from: key } : { to: key };
    for await (const message of messagesIn(open, range, { order, enough: count })) {
      if (isName(resourceId) && message.resourceId !== resourceId) continue;
      if (taken.push(message) >= count) break;
    }
    return taken;
  };
  const [earlier, [target, ...later]] = await Promise.all([take("descending", before), take("ascending", after + 1)]);
  return target === undefined ? [] : [...earlier.toReversed(), target, ...later];
}
