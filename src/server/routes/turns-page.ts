/**
 * A page of turns as JSON, written as fast as its reader reads: without reading it costs one read of the log, not a
 * page. A page ends after a number of turns or bytes; `next` is the turn that follows.
 */
import { defined } from "../../domain/values/defined.ts";
import type { Session, Turn } from "../../index.ts";
import { toJson } from "../../protocol/json.ts";
import { wireTurnFor } from "../../protocol/wire.ts";
import { asSessionError } from "../http/problem-response.ts";
import { textAnswer, type RequestContext } from "../http/route.ts";

/** The range: the last turns, or those between two numbers. */
export interface PageRange {
  readonly last?: number | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

const turnsMax = 500;
const bytesMax = 1024 * 1024;
const lastByDefault = 20;

/** @throws SessionError `range_invalid`, `argument_invalid`, and as `session.turns` for its first read */
export async function turnsReply(c: RequestContext, session: Session, range: PageRange): Promise<Response> {
  const turns = session.turns(turnRange(range))[Symbol.asyncIterator]();
  // An error of the first read has a status; a later one breaks the body off.
  const first = await turns.next();
  const texts = pageOf(first, turns, c);
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
          c.get("report")(error);
          controller.error(error);
        }
      },
      async cancel() {
        await texts.return();
        await turns.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return textAnswer(c, body);
}

function turnRange({ last, from, to }: PageRange): { last?: number; from?: number; to?: number } {
  if (last === undefined && from === undefined && to === undefined) return { last: lastByDefault };
  return defined({
    last: last === undefined ? undefined : Math.min(last, turnsMax),
    from: from ?? (last === undefined && to !== undefined ? 1 : undefined),
    to,
  });
}

async function* pageOf(
  first: IteratorResult<Turn, void>,
  turns: AsyncIterator<Turn, void>,
  c: RequestContext,
): AsyncGenerator<string, void, undefined> {
  let bytes = 0;
  let count = 0;
  yield '{"turns":[';
  for (let found = first; found.done !== true; found = await turns.next()) {
    const text = toJson(wireTurnFor(c.get("audience"), found.value));
    bytes += Buffer.byteLength(text);
    if (count === turnsMax || (count > 0 && bytes > bytesMax)) {
      await turns.return?.();
      yield `],"next":${found.value.seq}}`;
      return;
    }
    yield count === 0 ? text : `,${text}`;
    count++;
  }
  yield "]}";
}
