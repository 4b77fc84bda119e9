import { SessionError } from "../../index.ts";
import { endpointError, isFailedStatus, onOneLine } from "../model/failure.ts";

/** Errors that the AI SDK throws before it sends a request: the same request fails again. */
const refusing = new Set([
  "AI_InvalidArgumentError",
  "AI_InvalidPromptError",
  "AI_LoadAPIKeyError",
  "AI_LoadSettingError",
  "AI_NoSuchModelError",
  "AI_NoSuchProviderError",
  "AI_NoSuchProviderReferenceError",
  "AI_UnsupportedFunctionalityError",
]);

/** The keys of known providers. An endpoint that echoes its key must not bring it into a log. */
const keys = /\b(?:sk|rk|gsk|xai|csk|hf|pplx|nvapi|fw|r8)[-_][\w-]{6,}|\bAIza[\w-]{6,}|(?<=\bBearer )\S{8,}/;

/** The typed error for an error that a model of the AI SDK throws, or reports as a part of its stream. */
export function modelError(error: unknown, { begun }: { readonly begun: boolean }): SessionError {
  const { name, message, statusCode, url, data, code } = Object(error) as {
    readonly [field in "name" | "message" | "statusCode" | "url" | "data" | "code"]?: unknown;
  };
  const text = typeof error === "string" ? error : typeof message === "string" ? message : JSON.stringify(error);
  if (typeof name === "string" && refusing.has(name))
    return new SessionError("model_refused", { reported: onOneLine(text) }, { cause: error });
  hideRequest(error);
  const { error: sent } = Object(data) as { readonly error?: { readonly code?: unknown } | null };
  return endpointError({
    error,
    message: text ?? "unknown",
    httpStatus: isFailedStatus(statusCode) ? statusCode : undefined,
    code: sent?.code ?? code,
    systemCode: systemCodeOf(error),
    host: typeof url === "string" && URL.canParse(url) ? new URL(url).host : undefined,
    apiKey: keys.exec(text ?? "")?.[0],
    begun,
  });
}

/** The error keeps the conversation that it was about, and Node no longer prints it with the error. */
function hideRequest(error: unknown): void {
  if (typeof error === "object" && error !== null && "requestBodyValues" in error)
    Reflect.defineProperty(error, "requestBodyValues", { enumerable: false });
}

/** The code of the operating system, or of Node's `fetch`, in the chain of causes. */
function systemCodeOf(error: unknown): string | undefined {
  for (let [cause, depth] = [error, 0]; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    const { code } = cause as { readonly code?: unknown };
    if (typeof code === "string" && /^(?:E[A-Z]|UND_ERR_)/.test(code)) return code;
  }
  return undefined;
}
