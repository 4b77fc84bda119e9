import { hasCode, SessionError } from "../../errors.ts";
import { unansweredReason } from "../../protocol/fetch-error.ts";
import type { OwnerWatch } from "./owner-watch.ts";
import type { RequestContext } from "../http/route.ts";

/** Marks a request that comes from another host: it is not sent on a second time. */
const forwardedHeader = "x-perdure-forwarded";
/** What of a request concerns the host that answers it; the key is the caller's own. */
const passedOn = ["authorization", "accept", "content-type"] as const;
/** What of an answer concerns the caller. */
const passedBack = ["cache-control", "content-type", "retry-after", "x-accel-buffering"] as const;

/** Where and how long a request may go on to another host. */
export interface Forwarding {
  /** The path of the route there, as a request has it. */
  readonly path: string;
  /** Until the answer begins. */
  readonly deadlineMs: number;
  /** Tells of a host that is not heard of any more, also while its answer comes. */
  readonly owners: OwnerWatch;
}

/**
 * Answer here, or, where the session lives in another host, let that one answer. Only the store says where it lives.
 * @throws SessionError `not_owner` where the request was sent on already, `owner_unreachable`, `deadline_passed`
 */
export async function atItsHost(
  c: RequestContext,
  forwarding: Forwarding,
  answer: () => Promise<Response>,
): Promise<Response> {
  try {
    return await answer();
  } catch (error) {
    if (!hasCode(error, "not_owner") || c.req.header(forwardedHeader) !== undefined) throw error;
    return await forward(c, error.details, forwarding);
  }
}

async function forward(
  c: RequestContext,
  { sessionId, tenant, address }: SessionError<"not_owner">["details"],
  { path, deadlineMs, owners }: Forwarding,
): Promise<Response> {
  const gone = new AbortController();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), deadlineMs);
  const ids = { sessionId, ...(tenant === undefined ? {} : { tenant }) };
  const unreachable = (reason: string, cause?: unknown): SessionError =>
    new SessionError("owner_unreachable", { ...ids, address, reason }, { cause });
  const unwatch = owners.watch(address, (reason) => gone.abort(unreachable(reason)));
  let response: Response;
  try {
    response = await fetch(urlAt(address, path), {
      method: c.req.method,
      headers: headersFor(c),
      // The caller's key goes to the host that the store names, and nowhere else.
      redirect: "error",
      signal: AbortSignal.any([late.signal, gone.signal]),
      ...(c.req.method === "GET" ? {} : { body: await c.req.arrayBuffer() }),
    });
  } catch (cause) {
    unwatch();
    if (gone.signal.aborted) throw gone.signal.reason;
    if (late.signal.aborted) throw new SessionError("deadline_passed", { deadlineMs }, { cause });
    throw unreachable(unansweredReason(cause), cause);
  } finally {
    clearTimeout(timer);
  }
  const headers = new Headers();
  copy(response.headers, headers, passedBack);
  return new Response(watchedBody(response, unwatch), { status: response.status, headers });
}

/** The body as it comes; `over` is called when it has come to its end, was broken off, or nobody reads it any more. */
function watchedBody({ body }: Response, over: () => void): ReadableStream | null {
  if (body === null) {
    over();
    return null;
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  // What breaks it off is told to its reader.
  void body.pipeTo(writable).then(over, over);
  return readable;
}

function urlAt(address: string, path: string): URL {
  const url = new URL(address);
  url.pathname = url.pathname.replace(/\/$/, "") + path;
  return url;
}

function headersFor(c: RequestContext): Headers {
  const headers = new Headers({ [forwardedHeader]: "1", "x-request-id": c.get("requestId") });
  copy(c.req.raw.headers, headers, passedOn);
  return headers;
}

function copy(from: Headers, to: Headers, names: readonly string[]): void {
  for (const name of names) {
    const value = from.get(name);
    if (value !== null) to.set(name, value);
  }
}
