import { HTTPException } from "hono/http-exception";
import { hasCode, SessionError } from "../../errors.ts";
import { problemOf, problemType } from "../../protocol/problem.ts";
import type { RequestContext } from "./route.ts";

/** Whatever was thrown, as one of our errors; what should never be thrown is `internal`, and no text of it gets out. */
export function asSessionError(error: unknown, requestId: string): SessionError {
  // Another instance does not close, or this one is back soon: who asked should ask again.
  if (hasCode(error, "closed"))
    return new SessionError(
      "store_unavailable",
      { store: "of this server", reason: "it is closing" },
      { cause: error },
    );
  if (error instanceof SessionError) return error;
  if (error instanceof HTTPException && error.status < 500) {
    return new SessionError("request_invalid", { path: "request", reason: error.message || "is refused" });
  }
  return new SessionError("internal", { requestId }, { cause: error });
}

export function problemResponse(c: RequestContext, error: SessionError): Response {
  const requestId = c.get("requestId");
  const problem = problemOf(error, { requestId, audience: c.get("audience") });
  if (hasCode(error, "rate_limited") || hasCode(error, "device_budget_exceeded")) {
    const { retryAfterMs } = error.details;
    c.header("retry-after", String(Math.ceil(retryAfterMs / 1000)));
  }
  if (hasCode(error, "method_not_allowed")) c.header("allow", error.details.allowed.join(", "));
  if (error.code === "key_missing") c.header("www-authenticate", "Bearer");
  // 499 is what proxies write into their logs; an answer that was interrupted is a conflict to who asked.
  const status = problem.status === 499 ? 409 : problem.status;
  return c.body(JSON.stringify({ ...problem, status }), status as 400, { "content-type": problemType });
}
