/** Errors of streams: the names of a stream and its tenant take the place of those of the record that stores it. */
import { isStreamScope, tenantOfScope } from "../../domain/values/internal-scope.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { interruptionOf } from "../../errors/answer-problems.ts";
import { defined } from "../../domain/values/defined.ts";

/** The error as the caller of a stream gets it; errors about anything else stay as they are. */
export function streamError(error: unknown): unknown {
  if (!(error instanceof SessionError)) return error;
  const { tenant: scope, sessionId: stream = "", command } = error.details;
  if (scope === undefined || !isStreamScope(scope)) return error;
  const tenant = tenantOfScope(scope);
  const about = { stream, tenant, ...defined({ command }) };
  if (hasCode(error, "session_not_found")) return new SessionError("stream_not_found", about);
  if (hasCode(error, "turn_not_open")) return new SessionError("stream_ended", about);
  if (hasCode(error, "interrupted")) {
    const how = error.details.how === "cancelled" ? "stopped" : "lost";
    return new SessionError("stream_failed", { ...about, how });
  }
  const message = wordsOf(stream, error) ?? error.message;
  return new SessionError(error.code, { ...error.details, tenant }, { cause: error.cause, message });
}

/** The message of an error that speaks of a turn or a session otherwise: a stream is stored as a session with one turn. */
function wordsOf(stream: string, error: SessionError): string | undefined {
  if (hasCode(error, "fenced"))
    return `another producer has taken the place of this one in stream ${stream}; nothing was written; acquire another id`;
  if (hasCode(error, "turn_too_large")) {
    const { bytes, bytesMax } = error.details;
    return `stream ${stream} would have ${bytes} bytes of parts, the limit is ${bytesMax}; nothing was written; store large data elsewhere and write a reference, or raise limits.turnBytesMax`;
  }
  if (hasCode(error, "turn_parts_exceeded")) {
    const { count, countMax } = error.details;
    return `stream ${stream} would have ${count} parts, the limit is ${countMax}; write fewer and larger parts, or raise limits.chunksMax`;
  }
  if (hasCode(error, "range_invalid"))
    return `after is ${error.details.from}, but stream ${stream} has ${error.details.to} parts; send the parts before these first`;
  if (hasCode(error, "contended"))
    return `other writers changed stream ${stream} during each of ${error.details.attempts} attempts; try again`;
  if (hasCode(error, "session_unreadable"))
    return `the record of stream ${stream} cannot be read: its field ${error.details.field} is damaged; delete it with streams.delete()`;
  return undefined;
}

/** Runs a step of a stream, and throws its errors as {@link streamError} says. */
export async function withStreamErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw streamError(error);
  }
}

/** Why a stream that was sealed did not finish; undefined for one that did. */
export function failureOf({ status, error }: Turn, ids: { stream: string; tenant: string }): SessionError | undefined {
  if (status === "done") return undefined;
  if (status === "failed")
    return new SessionError("stream_failed", { ...ids, how: "failed", ...defined({ reported: error?.message }) });
  const isStopped = interruptionOf(error?.message).how === "cancelled";
  return new SessionError("stream_failed", { ...ids, how: isStopped ? "stopped" : "lost" });
}
