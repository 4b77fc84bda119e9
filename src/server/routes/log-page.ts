/**
 * A page of a session's turns or events. It ends after a number of entries or bytes; `next` is the entry that follows,
 * and `unreadable` names the entries that cannot be read.
 */
import { defined } from "../../domain/values/defined.ts";
import type { Session, UnreadableEntry } from "../../index.ts";
import { wireEvent, wireTurnFor } from "../../protocol/wire.ts";
import type { RequestContext } from "../http/route.ts";
import { listReply, unreadableData, wireText, type PageItems } from "./list-reply.ts";

/** The range: the last entries, or those between two numbers. */
export interface PageRange {
  readonly last?: number | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

const itemsMax = 500;
const bytesMax = 1024 * 1024;

/** @throws SessionError `range_invalid`, `argument_invalid`, and as `session.turns` for its first read */
export async function turnsReply(c: RequestContext, session: Session, range: PageRange): Promise<Response> {
  const audience = c.get("audience");
  const bounds = boundsOf(range, { lastByDefault: 20 });
  const turns = pageOf(
    (onUnreadable) => session.turns({ ...bounds, onUnreadable }),
    (turn) => wireTurnFor(audience, turn),
  );
  return await listReply(c, "turns", turns);
}

/** @throws SessionError `range_invalid`, `argument_invalid`, and as `session.events` for its first read */
export async function eventsReply(c: RequestContext, session: Session, range: PageRange): Promise<Response> {
  const bounds = boundsOf(range, { lastByDefault: 100 });
  const events = pageOf((onUnreadable) => session.events({ ...bounds, onUnreadable }), wireEvent);
  return await listReply(c, "events", events);
}

function boundsOf(
  { last, from, to }: PageRange,
  { lastByDefault }: { readonly lastByDefault: number },
): { last?: number; from?: number; to?: number } {
  if (last === undefined && from === undefined && to === undefined) return { last: lastByDefault };
  return defined({
    last,
    from: from ?? (last === undefined && to !== undefined ? 1 : undefined),
    to,
  });
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
  wire: (item: Item) => object,
): PageItems {
  const unreadable: UnreadableEntry[] = [];
  const rest = (next?: number): object =>
    defined({ next, unreadable: unreadable.length === 0 ? undefined : unreadable });
  let bytes = 0;
  let count = 0;
  const isFull = (): boolean => count + unreadable.length === itemsMax;
  const pass = (entry: UnreadableEntry): void => {
    if (isFull()) throw new PageEnd(entry.seq);
    unreadable.push(entry);
  };
  try {
    for await (const item of read(pass)) {
      if (isFull()) return rest(item.seq);
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
