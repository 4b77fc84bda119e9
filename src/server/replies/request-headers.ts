/** Headers of requests that several routes read. */
import { markOfChange } from "../../domain/writes/named-logs.ts";
import { defined } from "../../domain/values/defined.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import type { Onto, Seen } from "../../index.ts";
import { parseEtag, parseNewsId, type Received, type SessionView } from "../../protocol/wire.ts";
import type { RequestContext } from "../http/route.ts";

/**
 * The idempotency key of a request. The header is percent-encoded, so that it can hold any text.
 * @throws SessionError `request_invalid` for a malformed header: unencoded, it could equal the key of another request
 */
export function idempotencyKey(c: RequestContext): { key?: string } {
  const sent = c.req.header("idempotency-key");
  if (sent === undefined) return {};
  try {
    return { key: decodeURIComponent(sent) };
  } catch (cause) {
    const details = { path: "header idempotency-key", value: formatValue(sent), expected: "percent_encoded" } as const;
    throw new SessionError("request_invalid", details, { cause });
  }
}

/**
 * The state of the session that the client has seen, if it sends one.
 * @throws SessionError `request_invalid`
 */
export function ifMatch(c: RequestContext): { seen?: Seen } {
  return defined({ seen: matched(c)?.seen });
}

/**
 * The state that the client has seen, as what a write is decided on: the turns of that state, and each log that is written.
 * @throws SessionError `request_invalid`, also where the body names another one
 */
export function ontoOf(c: RequestContext, named: Onto | undefined): { onto?: Onto } {
  const view = matched(c);
  if (view === undefined) return defined({ onto: named });
  if (named !== undefined)
    throw new SessionError("request_invalid", { path: "body.onto", expected: "beside", known: ["If-Match"] });
  return { onto: { version: view.version, marks: { turns: markOfChange(view.seen) } } };
}

function matched(c: RequestContext): SessionView | undefined {
  const tag = c.req.header("if-match");
  if (tag === undefined || tag.trim() === "*") return undefined;
  const view = parseEtag(tag);
  if (view !== null) return view;
  throw new SessionError("request_invalid", {
    path: "header if-match",
    value: formatValue(tag),
    expected: "etag",
  });
}

/**
 * The position of the last event that the client of a watch received, if it sends one.
 * @throws SessionError `request_invalid`
 */
export function lastReceived(c: RequestContext): Received | undefined {
  const id = c.req.header("last-event-id");
  if (id === undefined) return undefined;
  const received = parseNewsId(id);
  if (received !== null) return received;
  throw new SessionError("request_invalid", {
    path: "header last-event-id",
    value: formatValue(id),
    expected: "event_id",
  });
}
