import { hasCode, SessionError } from "../errors.ts";

/** A thrown value as a SessionError; an unexpected one becomes `internal`, without its text. */
export function asSessionError(error: unknown, requestId: string): SessionError {
  // The client should retry: another instance is available, or this one restarts soon.
  if (hasCode(error, "closed"))
    return new SessionError("store_unavailable", { problem: "server_closing" }, { cause: error });
  if (error instanceof SessionError) return error;
  return new SessionError("internal", { requestId }, { cause: error });
}
