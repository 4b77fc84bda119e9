import { defined } from "../domain/values/defined.ts";
import { errorCodes, SessionError, type ErrorCode } from "../errors.ts";

/** An error on the wire, in the format of RFC 9457. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The code that callers branch on. */
  readonly code: ErrorCode;
  /** Ids and limits needed to act on the error. */
  readonly details?: object;
  /** Id of the request, as in the server's log. */
  readonly instance?: string;
}

/** The media type of a {@link Problem}. */
export const problemType = "application/problem+json";

/** The reader of a problem or a turn: a program with a key, or a device. */
export type Audience = "operator" | "device";

/** Errors of the server that operators read: of live sessions, and of a missing setting. */
const forOperators: readonly ErrorCode[] = ["host_full", "session_failed", "session_stopped", "model_missing"];

/** Texts and remaining details for devices, of errors that name agents, instances or operators' texts. */
const textsForDevices: Partial<Record<ErrorCode, { readonly detail: string; readonly details: readonly string[] }>> = {
  agent_unknown: { detail: "no agent of this name is open to devices", details: ["agent"] },
  agent_not_routed: { detail: "no agent fits the message; nothing was written", details: ["sessionId"] },
  busy: {
    detail: 'the session is answering; wait, or choose the busy policy "queue" or "interrupt"',
    details: ["sessionId", "heldForMs"],
  },
  daily_budget_exceeded: {
    detail: "the budget of a day is used up; try again when it starts again",
    details: ["retryAfterMs", "startsAgainAt"],
  },
  device_budget_exceeded: { detail: "the budget for devices is used up; try again later", details: ["retryAfterMs"] },
  fenced: { detail: "another writer took over the session; nothing was written", details: ["sessionId"] },
  model_missing: { detail: "the service has no model to ask", details: ["sessionId"] },
  legal_hold: { detail: "nothing of the session may be deleted", details: ["sessionId"] },
  turn_waiting: {
    detail: 'a turn of the session waits for a decision; decide, or interrupt it with the busy policy "interrupt"',
    details: ["sessionId", "turn", "since", "expiresAt"],
  },
  turn_open: { detail: "a turn of the session is in progress; wait for its end", details: ["sessionId", "turn"] },
};

/** Details hidden from all callers over HTTP: addresses of hosts are for hosts, and for the log. */
const innerDetails: Partial<Record<ErrorCode, string>> = {
  not_owner: "the session lives in another host, to which this request cannot be forwarded; try again",
  owner_unreachable: "the host in which the session lives cannot be reached; try again",
};

/**
 * The problem of an error. Internal errors show only their code; the log has the rest. Errors of a model's endpoint or
 * a tool may contain addresses and credentials, so devices do not read them either.
 */
export function problemOf(
  error: SessionError,
  { requestId, audience }: { readonly requestId: string; readonly audience: Audience },
): Problem {
  const isInner =
    audience === "device"
      ? (isOfServer(error) || error.status === 502) && textsForDevices[error.code] === undefined
      : isOfServer(error) && !forOperators.includes(error.code);
  const { detail, details } = isInner
    ? { detail: `the service cannot do this now; see its log for request ${requestId}`, details: undefined }
    : visiblePart(error, audience);
  return {
    type: `urn:perdure:error:${error.code}`,
    title: error.code.replaceAll("_", " "),
    status: error.status,
    detail,
    code: error.code,
    ...defined({ details }),
    instance: requestId,
  };
}

function visiblePart(error: SessionError, audience: Audience): { readonly detail: string; readonly details: object } {
  const forDevice = audience === "device" ? textsForDevices[error.code] : undefined;
  const entries = Object.entries(error.details);
  if (forDevice !== undefined) {
    return {
      detail: forDevice.detail,
      details: Object.fromEntries(entries.filter(([name]) => forDevice.details.includes(name))),
    };
  }
  const detail = innerDetails[error.code];
  if (detail === undefined) return { detail: error.message, details: error.details };
  const outer = entries.filter(([name]) => ["sessionId", "tenant", "problem", "seenAt", "reported"].includes(name));
  return { detail, details: Object.fromEntries(outer) };
}

function isOfServer({ status }: SessionError): boolean {
  return [500, 503, 507].includes(status);
}

/** The error of a problem; undefined if it is not one of Perdure's. */
export function errorOf(problem: unknown): SessionError | undefined {
  if (typeof problem !== "object" || problem === null) return undefined;
  const { code, details = {}, detail = code } = problem as Partial<Problem>;
  if (code === undefined || !Object.hasOwn(errorCodes, code)) return undefined;
  // The text comes from the server: the details of the problem may lack those that the text needs.
  return new SessionError(code, details, { message: String(detail) });
}
