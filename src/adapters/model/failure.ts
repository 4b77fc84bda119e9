/** The failures of model endpoints as typed errors. All adapters of models share these rules. */
import { SessionError, type ModelFailure } from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";

/** A failure as the client of an endpoint reports it. */
export interface EndpointFailure {
  /** The error of the client. */
  readonly error: unknown;
  readonly message: string;
  /** The HTTP status, or undefined where the failure has none. */
  readonly httpStatus: number | undefined;
  /** The code of the provider, such as `context_length_exceeded`. */
  readonly code?: unknown;
  /** The code of the operating system, such as `ECONNREFUSED`. */
  readonly systemCode?: string | undefined;
  /** Name and port of the endpoint. */
  readonly host?: string | undefined;
  /** The key that the client sends, if it is known. */
  readonly apiKey?: unknown;
  /** True once the answer has begun. */
  readonly begun: boolean;
}

/** How endpoints say that a request is longer than the model's context. */
const contextExceeded =
  /context[ _-]?(?:length|window|size)|maximum context|too many (?:input )?tokens|(?:prompt|input|request|conversation)\b.{0,40}\btoo (?:long|large)|exceeds?\b.{0,60}\b(?:token|context)|reduce the (?:length|number)|maximum.{0,20}\btokens\b/i;

/**
 * The typed error for a failure. 408, 409, 425, 429 and 5xx are temporary (`model_failed`); any other 4xx refuses this
 * request for good (`model_refused`).
 */
export function endpointError(failed: EndpointFailure): SessionError {
  const { httpStatus, code, systemCode, host, begun } = failed;
  const { reported, cause } = withoutKey(failed);
  const tooLong =
    code === "context_length_exceeded" || (httpStatus !== 429 && httpStatus !== 401 && contextExceeded.test(reported));
  if (httpStatus === undefined && tooLong)
    return new SessionError("model_refused", { reported, contextExceeded: true }, { cause });
  if (httpStatus === undefined && begun) return failure({ problem: "stream_broken", reported }, cause);
  if (httpStatus === undefined) {
    // No response at all: name the host, so that it can be checked.
    return systemCode === undefined
      ? failure({ reported }, cause)
      : failure({ problem: "unreachable", reported, systemCode, ...defined({ host }) }, cause);
  }
  if (httpStatus === 413 || (httpStatus < 500 && tooLong))
    return new SessionError("model_refused", { reported, httpStatus, contextExceeded: true }, { cause });
  const passing = httpStatus >= 500 || [408, 409, 425, 429].includes(httpStatus);
  return new SessionError(passing ? "model_failed" : "model_refused", { reported, httpStatus }, { cause });
}

/** A short text on one line. An endpoint that echoes its key must not bring it into a log. */
function withoutKey({ message, error, apiKey }: EndpointFailure): { reported: string; cause: unknown } {
  const isSecret = typeof apiKey === "string" && apiKey.length >= 8;
  const safe = isSecret ? message.replaceAll(apiKey, "[key]") : message;
  return { reported: onOneLine(safe), cause: safe === message ? error : undefined };
}

/** The beginning of a text, on one line. */
export function onOneLine(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, " ").slice(0, 300);
}

/** True for an HTTP status of a failure. */
export function isFailedStatus(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 400 && (value as number) <= 599;
}

export function failure(details: ModelFailure, cause?: unknown): SessionError {
  return new SessionError("model_failed", details, { cause });
}
