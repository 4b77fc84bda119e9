import { SessionError } from "../../index.ts";
import { failure, isCount } from "./answer.ts";
import type { OpenaiClient } from "./client.ts";

/** How endpoints say that a request is longer than the model's context. */
const contextExceeded =
  /context[ _-]?(?:length|window|size)|maximum context|too many (?:input )?tokens|(?:prompt|input|request|conversation)\b.{0,40}\btoo (?:long|large)|exceeds?\b.{0,60}\b(?:token|context)|reduce the (?:length|number)|maximum.{0,20}\btokens\b/i;

/**
 * The typed error for an error of the client. 408, 409, 425, 429 and 5xx are temporary (`model_failed`); any other 4xx
 * refuses this request for good (`model_refused`).
 */
export function modelError(error: unknown, { client, begun }: { client: OpenaiClient; begun: boolean }): SessionError {
  const { status, code, message } = error as { status?: unknown; code?: unknown; message?: unknown };
  const { reason, cause } = withoutKey(typeof message === "string" ? message : "unknown", error, client);
  // Within a stream the HTTP status was 200; vLLM and others put the real status into `code`.
  const isStatus = (value: unknown): value is number => isCount(value) && value >= 400 && value <= 599;
  const httpStatus = [status, code].find(isStatus);
  const tooLong =
    code === "context_length_exceeded" || (httpStatus !== 429 && httpStatus !== 401 && contextExceeded.test(reason));
  if (httpStatus === undefined && tooLong)
    return new SessionError("model_refused", { reason, contextExceeded: true }, { cause });
  if (httpStatus === undefined && begun) return failure(`the stream broke off: ${reason}`, cause);
  if (httpStatus === undefined) {
    const { code } = ((error as { cause?: { cause?: unknown } }).cause?.cause ?? {}) as { code?: unknown };
    // No response at all: name the host, so that it can be checked.
    return failure(typeof code === "string" ? `${reason} (${code}${hostOf(client)})` : reason, cause);
  }
  if (httpStatus === 413 || (httpStatus < 500 && tooLong))
    return new SessionError("model_refused", { reason, httpStatus, contextExceeded: true }, { cause });
  const passing = httpStatus >= 500 || [408, 409, 425, 429].includes(httpStatus);
  return new SessionError(passing ? "model_failed" : "model_refused", { reason, httpStatus }, { cause });
}

/** A short reason on one line. An endpoint that echoes its key must not bring it into a log. */
function withoutKey(message: string, error: unknown, client: OpenaiClient): { reason: string; cause: unknown } {
  const { apiKey } = client as { apiKey?: unknown };
  const isSecret = typeof apiKey === "string" && apiKey.length >= 8;
  const safe = isSecret ? message.replaceAll(apiKey, "[key]") : message;
  const reason = safe.replace(/[\s\p{Cc}]+/gu, " ").slice(0, 300);
  return { reason, cause: safe === message ? error : undefined };
}

/** The host that the client calls, without the rest of its URL. */
function hostOf(client: OpenaiClient): string {
  const { baseURL } = client as { baseURL?: unknown };
  return typeof baseURL === "string" && URL.canParse(baseURL) ? ` at ${new URL(baseURL).host}` : "";
}
