import { errorCodes, SessionError, type ErrorCode, type ErrorDetails } from "../errors.ts";

/** An error as it travels, after RFC 9457. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** What callers branch on. */
  readonly code: ErrorCode;
  /** The ids and limits needed to act on it. */
  readonly details?: object;
  /** The request that met it, as the server's log names it. */
  readonly instance?: string;
}

/** The media type of a {@link Problem}. */
export const problemType = "application/problem+json";

/** Who reads a problem or a turn: a program with a key, or whoever has a device. */
export type Audience = "operator" | "device";

/** What befell a live session is its operator's business, also where it is the server that cannot do it now. */
const ofLiveSessions: readonly ErrorCode[] = ["host_full", "session_failed", "session_stopped"];

/**
 * What goes wrong inside is for the log: outside, only its code tells of it. What a model's endpoint or a tool said when it
 * failed may hold addresses and credentials of theirs, so that devices are not told it either.
 */
export function problemOf(
  error: SessionError,
  { requestId, audience }: { readonly requestId: string; readonly audience: Audience },
): Problem {
  const isInner =
    audience === "device"
      ? isOfServer(error) || error.status === 502
      : isOfServer(error) && !ofLiveSessions.includes(error.code);
  return {
    type: `urn:perdure:error:${error.code}`,
    title: error.code.replaceAll("_", " "),
    status: error.status,
    detail: isInner ? `the service cannot do this now; its log tells more under request ${requestId}` : error.message,
    code: error.code,
    ...(isInner ? {} : { details: error.details }),
    instance: requestId,
  };
}

function isOfServer({ status }: SessionError): boolean {
  return [500, 503, 507].includes(status);
}

/** The error that a problem tells of; undefined where it is none of ours. */
export function errorOf(problem: unknown): SessionError | undefined {
  if (typeof problem !== "object" || problem === null) return undefined;
  const { code, details = {}, detail } = problem as Partial<Problem>;
  if (code === undefined || !Object.hasOwn(errorCodes, code)) return undefined;
  const error = new SessionError(code, details as ErrorDetails[ErrorCode]);
  // The server knew more than its details tell.
  if (detail !== undefined) error.message = detail;
  return error;
}
