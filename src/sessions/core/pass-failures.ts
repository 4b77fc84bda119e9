/** Which errors end a pass over many sessions, and which are about the one session at hand. */
import { SessionError, type ErrorCode } from "../../errors.ts";

/** Errors of the store as a whole: the next session would meet them too. */
const ofTheStore: ReadonlySet<string> = new Set([
  "store_unavailable",
  "store_busy",
  "store_full",
  "store_read_only",
  "store_access_denied",
  "store_schema_newer",
  "closed",
] satisfies ErrorCode[]);

/** True if the pass must end: the store failed as a whole, or the caller stopped it. */
export function endsPass(error: unknown): boolean {
  if (error instanceof SessionError) return ofTheStore.has(error.code);
  return error instanceof Error && error.name === "AbortError";
}

/** The code to report for an item; `internal` for an error that is not Perdure's. */
export function codeOfFailure(error: unknown): ErrorCode {
  return error instanceof SessionError ? error.code : "internal";
}

export function messageOfFailure(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The error of one session for a report that holds typed errors. */
export function typedFailure(
  { tenant, id }: { readonly tenant: string; readonly id: string },
  error: unknown,
): SessionError {
  if (error instanceof SessionError) return error;
  const details = { sessionId: id, tenant, problem: "session_failed" } as const;
  return new SessionError("store_invalid", details, { cause: error, reported: messageOfFailure(error) });
}
