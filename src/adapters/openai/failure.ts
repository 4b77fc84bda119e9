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
  const { reported, cause } = withoutKey(typeof message === "string" ? message : "unknown", error, client);
  // Within a stream the HTTP status was 200; vLLM and others put the real status into `code`.
  const isStatus = (value: unknown): value is number => isCount(value) && value >= 400 && value <= 599;
  const httpStatus = [status, code].find(isStatus);
  const tooLong =
    code === "context_length_exceeded" || (httpStatus !== 429 && httpStatus !== 401 && contextExceeded.test(reported));
  if (httpStatus === undefined && tooLong)
    return new SessionError("model_refused", { reported, contextExceeded: true }, { cause });
  if (httpStatus === undefined && begun) return failure({ problem: "stream_broken", reported }, cause);
  if (httpStatus === undefined) {
    const { code: systemCode } = ((error as { cause?: { cause?: unknown } }).cause?.cause ?? {}) as { code?: unknown };
    // No response at all: name the host, so that it can be checked.
    return typeof systemCode === "string"
      ? failure({ problem: "unreachable", reported, systemCode, ...hostOf(client) }, cause)
      : failure({ reported }, cause);
  }
  if (httpStatus === 413 || (httpStatus < 500 && tooLong))
    return new SessionError("model_refused", { reported, httpStatus, contextExceeded: true }, { cause });
  const passing = httpStatus >= 500 || [408, 409, 425, 429].includes(httpStatus);
  return new SessionError(passing ? "model_failed" : "model_refused", { reported, httpStatus }, { cause });
}

/** A short text on one line. An endpoint that echoes its key must not bring it into a log. */
function withoutKey(message: string, error: unknown, client: OpenaiClient): { reported: string; cause: unknown } {
  const { apiKey } = client as { apiKey?: unknown };
  const isSecret = typeof apiKey === "string" && apiKey.length >= 8;
  const safe = isSecret ? message.replaceAll(apiKey, "[key]") : message;
  const reported = safe.replace(/[\s\p{Cc}]+/gu, " ").slice(0, 300);
  return { reported, cause: safe === message ? error : undefined };
}

/** The host that the client calls, without the rest of its URL. */
function hostOf(client: OpenaiClient): { readonly host?: string } {
  const { baseURL } = client as { baseURL?: unknown };
  return typeof baseURL === "string" && URL.canParse(baseURL) ? { host: new URL(baseURL).host } : {};
}
