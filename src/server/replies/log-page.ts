/**
 * A page of a session's turns or events. It ends after a number of entries or bytes; `next` is the entry that follows,
 * and `unreadable` names the entries that cannot be read. `before` of a page of the last entries is its first one, if
 * there are entries before it.
 */
import { defined } from "../../domain/values/defined.ts";
import type { Session, SharedSession, SharedTurn, UnreadableEntry } from "../../index.ts";
import { wireEvent, wireTurnFor } from "../../protocol/wire.ts";
import type { RequestContext } from "../http/route.ts";
import { listReply, unreadableData, wireText, type PageItems } from "./list-reply.ts";

/** The range: the last entries, also before a number, or those between two numbers. */
export interface PageRange {
  readonly last?: number | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly before?: number | undefined;
}

const itemsMax = 500;
const bytesMax = 1024 * 1024;

/** @throws SessionError `range_invalid`, `argument_invalid`, and as `session.turns` for its first read */
export async function turnsReply(
  c: RequestContext,
  session: Session,
  { branch, ...range }: PageRange & { readonly branch?: string | undefined },
): Promise<Response> {
  const audience = c.get("audience");
  const bounds = boundsOf(range, { lastByDefault: 20 });
  const turns = pageOf((onUnreadable) => session.turns({ ...bounds, onUnreadable, ...defined({ branch }) }), {
    wire: (turn) => wireTurnFor(audience, turn),
    isOfLast: bounds.last !== undefined,
  });
  return await listReply(c, turns);
}

/** @throws SessionError `range_invalid`, `argument_invalid`, `share_not_found` */
export async function sharedTurnsReply(
  c: RequestContext,
  session: SharedSession,
  { range, wire }: { readonly range: PageRange; readonly wire: (turn: SharedTurn) => object },
): Promise<Response> {
  const bounds = boundsOf(range, { lastByDefault: 20 });
  const turns = pageOf((onUnreadable) => session.turns({ ...bounds, onUnreadable }), {
    wire,
    isOfLast: bounds.last !== undefined,
  });
  return await listReply(c, turns);
}

/** @throws SessionError `range_invalid`, `argument_invalid`, and as `session.events` for its first read */
export async function eventsReply(c: RequestContext, session: Session, range: PageRange): Promise<Response> {
  const bounds = boundsOf(range, { lastByDefault: 100 });
  const events = pageOf((onUnreadable) => session.events({ ...bounds, onUnreadable }), {
    wire: wireEvent,
    isOfLast: bounds.last !== undefined,
  });
  return await listReply(c, events);
}

function boundsOf(
  { last, from, to, before }: PageRange,
  { lastByDefault }: { readonly lastByDefault: number },
): { last?: number; from?: number; to?: number; before?: number } {
  const isRange = from !== undefined || to !== undefined;
  return defined({ last: last ?? (isRange ? undefined : lastByDefault), from, to, before });
}

/** Ends a page at an entry that cannot be read. */
class PageEnd extends Error {
  override readonly name = "PageEnd";
  readonly next: number;

  constructor(next: number) {
    super(`the page ends before entry ${next}`);
    this.next = next;
  }
}

/** The entries of a page as JSON, and the fields after them. */
async function* pageOf<Item extends { readonly seq: number }>(
  read: (onUnreadable: (entry: UnreadableEntry) => void) => AsyncIterable<Item>,
  { wire, isOfLast }: { readonly wire: (item: Item) => object; readonly isOfLast: boolean },
): PageItems {
  const unreadable: UnreadableEntry[] = [];
  let first: number | undefined;
  const rest = (next?: number): object =>
    defined({
      next,
      before: isOfLast && first !== undefined && first > 1 ? first : undefined,
      unreadable: unreadable.length === 0 ? undefined : unreadable,
    });
  let bytes = 0;
  let count = 0;
  const isFull = (): boolean => count + unreadable.length === itemsMax;
  const pass = (entry: UnreadableEntry): void => {
    if (isFull()) throw new PageEnd(entry.seq);
    first ??= entry.seq;
    unreadable.push(entry);
  };
  try {
    for await (const item of read(pass)) {
      if (isFull()) return rest(item.seq);
      first ??= item.seq;
      const text = wireText(item, wire);
      if (text === undefined) {
        pass({ seq: item.seq, reason: unreadableData });
        continue;
      }
      bytes += Buffer.byteLength(text);
      if (count > 0 && bytes > bytesMax) return rest(item.seq);
      yield text;
      count++;
    }
  } catch (end) {
    if (end instanceof PageEnd) return rest(end.next);
    throw end;
  }
  return rest();
}
