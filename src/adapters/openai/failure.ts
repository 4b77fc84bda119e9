import type { SessionError } from "../../index.ts";
import { endpointError, isFailedStatus } from "../model/failure.ts";
import type { OpenaiClient } from "./client.ts";

/** The typed error for an error of the client. */
export function modelError(error: unknown, { client, begun }: { client: OpenaiClient; begun: boolean }): SessionError {
  const { status, code, message, cause } = error as {
    readonly status?: unknown;
    readonly code?: unknown;
    readonly message?: unknown;
    readonly cause?: { readonly cause?: { readonly code?: unknown } };
  };
  const systemCode = cause?.cause?.code;
  return endpointError({
    error,
    message: typeof message === "string" ? message : "unknown",
    // Within a stream the HTTP status was 200; vLLM and others put the real status into `code`.
    httpStatus: [status, code].find(isFailedStatus),
    code,
    systemCode: typeof systemCode === "string" ? systemCode : undefined,
    host: hostOf(client),
    apiKey: (client as { readonly apiKey?: unknown }).apiKey,
    begun,
  });
}

/** The host that the client calls, without the rest of its URL. */
function hostOf(client: OpenaiClient): string | undefined {
  const { baseURL } = client as { readonly baseURL?: unknown };
  return typeof baseURL === "string" && URL.canParse(baseURL) ? new URL(baseURL).host : undefined;
}
