import { defined } from "../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { unansweredReason } from "../../protocol/fetch-error.ts";
import type { OwnerProblem, OwnerWatch } from "./owner-watch.ts";
import type { RequestContext } from "../http/route.ts";

/** Marks a request forwarded by another host: it is not forwarded again. */
const forwardedHeader = "x-perdure-forwarded";
/** Request headers for the owner; the key is the caller's own. */
const passedOn = ["authorization", "accept", "content-type"] as const;
/** Response headers for the caller. */
const passedBack = ["cache-control", "content-type", "retry-after", "x-accel-buffering"] as const;

/** Path and limits of a forwarded request. */
export interface Forwarding {
  /** Path of the route, as in the request. */
  readonly path: string;
  /** Time limit until the response begins. */
  readonly deadlineMs: number;
  /** Reports an owner without heartbeat, also while its response streams. */
  readonly owners: OwnerWatch;
}

/**
 * Answers here or, if the session is live in another host, forwards the request to it. The store names the owner.
 * @throws SessionError `not_owner` if the request was already forwarded, `owner_unreachable`, `deadline_passed`
 */
export async function forwardToOwner(
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
  const ids = { sessionId, ...defined({ tenant }) };
  const unreachable = (problem: OwnerProblem, cause?: unknown): SessionError =>
    new SessionError("owner_unreachable", { ...ids, address, ...problem }, { cause });
  const unwatch = owners.watch(address, (problem) => gone.abort(unreachable(problem)));
  let response: Response;
  try {
    response = await fetch(urlAt(address, path), {
      method: c.req.method,
      headers: headersFor(c),
      // The caller's key goes only to the host that the store names.
      redirect: "error",
      signal: AbortSignal.any([late.signal, gone.signal]),
      ...(c.req.method === "GET" ? {} : { body: await c.req.arrayBuffer() }),
    });
  } catch (cause) {
    unwatch();
    if (gone.signal.aborted) throw gone.signal.reason;
    if (late.signal.aborted) throw new SessionError("deadline_passed", { deadlineMs }, { cause });
    throw unreachable({ problem: "no_response", reported: unansweredReason(cause) }, cause);
  } finally {
    clearTimeout(timer);
  }
  const headers = new Headers();
  copy(response.headers, headers, passedBack);
  return new Response(watchedBody(response, unwatch), { status: response.status, headers });
}

/** Passes the body on; calls `over` when it ends, breaks, or its reader leaves. */
function watchedBody({ body }: Response, over: () => void): ReadableStream | null {
  if (body === null) {
    over();
    return null;
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  // The reader of the body gets the error.
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
