/** Errors that the callers of a live session get. */
import type { SessionKey } from "../../domain/record/entry.ts";
import { SessionError } from "../../errors.ts";
import type { SessionStop } from "../../errors/host-problems.ts";
import { RuntimeEnd } from "../workers/worker-slot.ts";

/** An error as the sender of a message gets it. */
export function errorForCaller(key: SessionKey, error: Error): Error {
  if (!(error instanceof RuntimeEnd)) return error;
  const details = { ...idsOf(key), ...error.failure };
  return new SessionError("runtime_failed", details, { cause: error.cause ?? error });
}

/** The session failed too often: its runtime is not restarted after the last failure. */
export function failedError(
  key: SessionKey,
  { failures, last }: { readonly failures: number; readonly last: RuntimeEnd | undefined },
): SessionError {
  return new SessionError("session_failed", { ...idsOf(key), failures, ...last?.failure });
}

export function stoppedError(key: SessionKey, how: SessionStop): SessionError {
  return new SessionError("session_stopped", { ...idsOf(key), how });
}

export function idsOf({ tenant, id }: SessionKey): { sessionId: string; tenant: string } {
  return { sessionId: id, tenant };
}
