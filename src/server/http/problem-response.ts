import { HTTPException } from "hono/http-exception";
import { hasCode, SessionError } from "../../errors.ts";
import { problemOf, problemType } from "../../protocol/problem.ts";
import { asSessionError as thrownError } from "../../serving/thrown.ts";
import type { RequestContext } from "./route.ts";

/** A thrown value as a SessionError; one of Hono about the request is `request_invalid`. */
export function asSessionError(error: unknown, requestId: string): SessionError {
  if (error instanceof HTTPException && error.status < 500) {
    return new SessionError(
      "request_invalid",
      { path: "request" },
      { reported: error.message || `HTTP ${error.status}` },
    );
  }
  return thrownError(error, requestId);
}

/** The response of an error, with the status of its code or another one. */
export function problemResponse(c: RequestContext, error: SessionError, status: number = error.status): Response {
  const requestId = c.get("requestId");
  const problem = { ...problemOf(error, { requestId, audience: c.get("audience") }), status };
  if (
    hasCode(error, "rate_limited") ||
    hasCode(error, "device_budget_exceeded") ||
    hasCode(error, "daily_budget_exceeded")
  ) {
    const { retryAfterMs } = error.details;
    c.header("retry-after", String(Math.ceil(retryAfterMs / 1000)));
  }
  if (hasCode(error, "method_not_allowed")) c.header("allow", error.details.allowed.join(", "));
  if (error.code === "key_missing") c.header("www-authenticate", "Bearer");
  if (error.code === "key_expired") c.header("www-authenticate", 'Bearer error="invalid_token"');
  return c.body(JSON.stringify(problem), problem.status as 400, { "content-type": problemType });
}
