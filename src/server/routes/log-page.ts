/**
 * A page of a session's turns or events as JSON, written as fast as its reader reads. A reader that reads nothing costs
 * one read of the log, not a page. A page ends after a number of entries or bytes; `next` is the entry that follows.
 */
import { defined } from "../../domain/values/defined.ts";
import type { Session } from "../../index.ts";
import { toJson } from "../../protocol/json.ts";
import { wireEvent, wireTurnFor } from "../../protocol/wire.ts";
import { asSessionError } from "../http/problem-response.ts";
import { textAnswer, type RequestContext } from "../http/route.ts";

/** The range: the last entries, or those between two numbers. */
export interface PageRange {
  readonly last?: number | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** An entry of the log: its number, and its form in the response. */
interface Item {
  readonly seq: number;
  readonly wire: unknown;
}

const itemsMax = 500;
const bytesMax = 1024 * 1024;

/** @throws SessionError `range_invalid`, `argument_invalid`, and as `session.turns` for its first read */
export async function turnsReply(c: RequestContext, session: Session, range: PageRange): Promise<Response> {
  const audience = c.get("audience");
  return await logReply(
    c,
    "turns",
    itemsOf(session.turns(boundsOf(range, { lastByDefault: 20 })), (turn) => wireTurnFor(audience, turn)),
  );
}

/** @throws SessionError `range_invalid`, `argument_invalid`, and as `session.events` for its first read */
export async function eventsReply(c: RequestContext, session: Session, range: PageRange): Promise<Response> {
  return await logReply(c, "events", itemsOf(session.events(boundsOf(range, { lastByDefault: 100 })), wireEvent));
}

async function* itemsOf<Entry extends { readonly seq: number }>(
  entries: AsyncIterable<Entry>,
  wire: (entry: Entry) => unknown,
): AsyncGenerator<Item, void, undefined> {
  for await (const entry of entries) yield { seq: entry.seq, wire: wire(entry) };
}

async function logReply(
  c: RequestContext,
  name: string,
  items: AsyncGenerator<Item, void, undefined>,
): Promise<Response> {
  // An error of the first read sets the status; a later error truncates the body.
  const first = await items.next();
  const texts = pageOf(name, first, items);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await texts.next();
          if (done === true) controller.close();
          else controller.enqueue(encoder.encode(value));
        } catch (thrown) {
          const error = asSessionError(thrown, c.get("requestId"));
          c.get("reporter")()(error);
          controller.error(error);
        }
      },
      async cancel() {
        await texts.return();
        await items.return();
      },
    },
    { highWaterMark: 0 },
  );
  return textAnswer(c, body);
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

async function* pageOf(
  name: string,
  first: IteratorResult<Item, void>,
  items: AsyncGenerator<Item, void, undefined>,
): AsyncGenerator<string, void, undefined> {
  let bytes = 0;
  let count = 0;
  yield `{"${name}":[`;
  for (let found = first; found.done !== true; found = await items.next()) {
    const text = toJson(found.value.wire);
    bytes += Buffer.byteLength(text);
    if (count === itemsMax || (count > 0 && bytes > bytesMax)) {
      await items.return();
      yield `],"next":${found.value.seq}}`;
      return;
    }
    yield count === 0 ? text : `,${text}`;
    count++;
  }
  yield "]}";
}
