/** The ids of the failed operation; any error may carry them beside the details of its code. */
export interface ErrorContext {
  readonly sessionId?: string;
  readonly tenant?: string;
  /** The agent that was to answer, else the one that the session is for. */
  readonly agent?: string;
  /** What was called, as `append` or `consult`. */
  readonly command?: string;
}

/**
 * Every error Perdure throws on purpose is a {@link SessionError}; callers branch on its `code`, never on its text.
 * docs/reference/errors.md explains each code for people; a test compares it with the table here.
 */
interface InSession extends ErrorContext {
  readonly sessionId: string;
}

interface FromModel extends Partial<InSession> {
  readonly reason: string;
  /** Of the model's endpoint. */
  readonly httpStatus?: number;
  readonly turn?: number;
}

/** How the code of a live session came to its end. */
export type RuntimeFailure = "threw" | "exited" | "memory" | "deadline";

/** The details that an error with each code carries. */
export interface ErrorDetails {
  // What the caller passed
  readonly argument_invalid: { name: string; value: string; expected: string };
  readonly id_invalid: { name: string; value: string; reason: string };
  readonly duration_invalid: { name: string; value: string };
  readonly range_invalid: { from: number; to: number };
  readonly message_invalid: { path: string; reason: string };
  readonly value_unstorable: { path: string; reason: string };
  readonly turn_too_large: InSession & { bytes: number; bytesMax: number };
  readonly turn_parts_exceeded: InSession & { part: "toolCalls" | "pieces"; count: number; countMax: number };
  readonly metadata_too_large: InSession & { bytes: number; bytesMax: number };
  readonly agent_unknown: { agent: string; /** Not told to devices. */ known?: readonly string[] };
  readonly agents_file_invalid: { file: string; line?: number; reason: string };

  // The session
  readonly session_not_found: InSession;
  readonly session_exists: InSession;
  readonly session_expired: InSession & { expiresAt: number };
  readonly session_ended: InSession;
  readonly session_archived: InSession;
  readonly legal_hold: InSession & { reason: string };
  readonly session_forked: InSession & { forkedAt: number };
  /** `field`: of the record, "data" for all that has no column; `version` and `commitId`: of the record as it stands. */
  readonly session_unreadable: InSession & {
    field: string;
    version: number;
    commitId: string;
    isHeld: boolean;
    forkedAt: number;
  };

  // Snapshots
  readonly snapshot_invalid: { source: string; path: string; reason: string };
  readonly snapshot_newer: { source: string; found: string; known: string };
  readonly snapshot_too_large: { source: string; bytes: number; bytesMax: number };
  readonly snapshot_not_found: { sessionId: string; folder: string };

  // Devices
  readonly secret_missing: { name: string };
  readonly link_code_invalid: { tenant: string };
  readonly claim_undecided: { tenant: string; userSession: string; deviceSession: string };

  // Concurrency
  readonly conflict: InSession & {
    seenTurn: number;
    storedTurn: number;
    /** The versions of the last change of the turns that the writer had seen, and that stands. */
    seenVersion?: number;
    storedVersion?: number;
  };
  readonly store_restored: InSession & {
    seenTurn: number;
    storedTurn: number;
    seenVersion: number;
    storedVersion: number;
  };
  readonly key_reused: InSession & { key: string; seq: number };
  readonly busy: InSession & { holder: string; fence: number; heldForMs: number };
  readonly queue_full: InSession & { waiting: number; waitingMax: number };
  readonly fenced: InSession & {
    fence: number;
    storedFence: number;
    /** The instance that holds the lease now; null: none. */
    holder?: string | null;
  };
  readonly turn_open: InSession & {
    turn: number;
    /** The instance that answers it, and under which fencing token; null: none any more. */
    holder?: string | null;
    fence?: number;
  };
  readonly turn_not_open: InSession & { turn: number };
  readonly contended: InSession & { attempts: number };
  readonly budget_exceeded: InSession & { unit: "tokens" | "turns"; spent: number; max: number };

  // Answers
  readonly aborted: InSession & { waitedMs: number };
  readonly interrupted: InSession & { turn: number; reason: string };
  readonly model_missing: InSession;
  readonly model_failed: FromModel;
  readonly model_refused: FromModel;
  readonly tool_steps_exceeded: Partial<InSession> & { reason: string; turn?: number };
  readonly agent_not_routed: InSession & { known: readonly string[] };
  readonly router_failed: InSession & { reason: string };

  // Live sessions
  readonly state_too_large: InSession & { bytes: number; bytesMax: number };
  readonly not_owner: InSession & { owner: string; address: string };
  readonly owner_unreachable: InSession & { address: string; reason: string };
  readonly mailbox_full: InSession & { waiting: number; waitingMax: number; bytes: number; bytesMax: number };
  readonly host_full: { live: number; liveMax: number };
  readonly runtime_invalid: { module: string; reason: string };
  readonly runtime_failed: InSession & { how: RuntimeFailure; reason: string };
  readonly session_failed: InSession & { failures: number; reason: string };
  readonly session_stopped: InSession & { reason: string };

  // HTTP
  readonly request_invalid: { path: string; reason: string };
  readonly route_unknown: { method: string; path: string };
  readonly method_not_allowed: { method: string; allowed: readonly string[] };
  readonly body_too_large: { bytesMax: number };
  readonly key_missing: { scheme: string };
  readonly key_forbidden: { right: string; needed: string };
  readonly device_missing: { header: string };
  readonly streams_full: { scope: "device" | "key" | "session"; open: number; openMax: number };
  readonly rate_limited: { retryAfterMs: number };
  readonly device_budget_exceeded: {
    scope: "device" | "all";
    unit: "requests" | "tokens";
    spent: number;
    max: number;
    retryAfterMs: number;
  };
  readonly deadline_passed: { deadlineMs: number };
  readonly internal: { requestId: string };

  // The store
  readonly store_scheme_unknown: { url: string; known: readonly string[] };
  readonly store_unavailable: { store: string; reason: string };
  readonly store_busy: { store: string; waitedMs: number };
  readonly store_full: { store: string };
  readonly store_read_only: { store: string; reason: string };
  readonly store_invalid: { store: string; reason: string };
  readonly outbox_full: { bytes: number; bytesMax: number };
  readonly outbox_unsent: { turns: number };
  readonly store_schema_newer: { store: string; found: number; known: number };
  readonly closed: { name: string };
}

/** One of the codes of the table. */
export type ErrorCode = keyof ErrorDetails;

/** What a code means to callers. */
export interface ErrorRule<Details> {
  /** The HTTP status a server answers with. */
  readonly status: number;
  /** True where the very same call may succeed later. */
  readonly retryable: boolean;
  /** What went wrong, which, the limit, the next step. */
  readonly message: (details: Details) => string;
}

/** The table of error codes. */
export const errorCodes: { readonly [Code in ErrorCode]: ErrorRule<ErrorDetails[Code]> } = {
  // What the caller passed
  argument_invalid: {
    status: 400,
    retryable: false,
    message: (d) => `${d.name} is ${d.value}; expected ${d.expected}`,
  },
  id_invalid: {
    status: 400,
    retryable: false,
    message: (d) => `${d.name} ${d.value} ${d.reason}`,
  },
  duration_invalid: {
    status: 400,
    retryable: false,
    message: (d) =>
      `${d.name} is ${d.value}; expected a positive number of milliseconds or a text like "15m", "24h" or "7d"`,
  },
  range_invalid: {
    status: 400,
    retryable: false,
    message: (d) =>
      `the range from ${d.from} to ${d.to} is not a range of turns; both count from 1, and from is at most to`,
  },
  message_invalid: {
    status: 400,
    retryable: false,
    message: (d) => `the message at ${d.path} ${d.reason}`,
  },
  value_unstorable: {
    status: 400,
    retryable: false,
    message: (d) => `the value at ${d.path} cannot be kept: ${d.reason}`,
  },
  turn_too_large: {
    status: 413,
    retryable: false,
    message: (d) =>
      `the turn for session ${d.sessionId} is ${d.bytes} bytes, the limit is ${d.bytesMax}; keep large files elsewhere and store a reference`,
  },
  turn_parts_exceeded: {
    status: 413,
    retryable: false,
    message: (d) =>
      `the turn for session ${d.sessionId} has ${d.count} ${d.part === "toolCalls" ? "tool calls" : "pieces of an answer"}, the limit is ${d.countMax}; spread them over several turns, or raise limits.${d.part}Max`,
  },
  metadata_too_large: {
    status: 413,
    retryable: false,
    message: (d) =>
      `the metadata of session ${d.sessionId} would be ${d.bytes} bytes, the limit is ${d.bytesMax}; it is rewritten with every turn, so keep it small`,
  },
  agent_unknown: {
    status: 404,
    retryable: false,
    message: (d) =>
      `no agent is named ${JSON.stringify(d.agent)}${d.known === undefined ? "" : `; known: ${d.known.join(", ") || "none"}`}`,
  },
  agents_file_invalid: {
    status: 400,
    retryable: false,
    message: (d) => `${d.file}${d.line === undefined ? "" : `:${d.line}`}: ${d.reason}`,
  },

  // The session
  session_not_found: {
    status: 404,
    retryable: false,
    message: (d) => `there is no session ${d.sessionId}; create or ensure it first`,
  },
  session_exists: {
    status: 409,
    retryable: false,
    message: (d) => `session ${d.sessionId} already exists; use ensure to open or create it`,
  },
  session_expired: {
    status: 410,
    retryable: false,
    message: (d) =>
      `session ${d.sessionId} expired at ${new Date(d.expiresAt).toISOString()}; it can be read, and ensure with onExpired "revive" or "reset" goes on`,
  },
  session_ended: {
    status: 409,
    retryable: false,
    message: (d) => `session ${d.sessionId} has ended; it can be read, and a new one takes new turns`,
  },
  session_archived: {
    status: 409,
    retryable: false,
    message: (d) => `session ${d.sessionId} is archived; it can be read, and unarchive makes it one to write to`,
  },
  legal_hold: {
    status: 409,
    retryable: false,
    message: (d) =>
      `session ${d.sessionId} is under legal hold (${d.reason}); clear the hold before removing, truncating or erasing it`,
  },
  session_unreadable: {
    status: 500,
    retryable: false,
    message: (d) =>
      `the record of session ${d.sessionId} cannot be read: its ${d.field} is damaged; restore the session from a backup, or remove it with "perdure sessions remove"`,
  },
  session_forked: {
    status: 409,
    retryable: true,
    message: (d) =>
      `forks share the turns of session ${d.sessionId} up to ${d.forkedAt}, and new ones kept coming while they were given their own; try again`,
  },

  // Snapshots
  snapshot_invalid: {
    status: 400,
    retryable: false,
    message: (d) => `${d.source} is no snapshot that can be restored: ${d.path}: ${d.reason}`,
  },
  snapshot_newer: {
    status: 400,
    retryable: false,
    message: (d) =>
      `${d.source} has the format ${d.found}, this version of perdure knows up to ${d.known}; upgrade perdure`,
  },
  snapshot_too_large: {
    status: 413,
    retryable: false,
    message: (d) =>
      `the snapshot ${d.source} has ${d.bytes} bytes, the limit is ${d.bytesMax}; raise limits.snapshotBytesMax where there is memory for it`,
  },
  snapshot_not_found: {
    status: 404,
    retryable: false,
    message: (d) => `no snapshot of session ${d.sessionId} is kept in ${d.folder}; save it first`,
  },

  // Devices
  secret_missing: {
    status: 500,
    retryable: false,
    message: (d) =>
      `${d.name} need a secret that is not in the store; give openSessions({ secret }) a random text of 16 characters or more, or the server PERDURE_SECRET`,
  },
  link_code_invalid: {
    status: 404,
    retryable: false,
    message: () =>
      "this link code is not valid; codes work once, for ten minutes and five tries; ask the other device for a new one",
  },
  claim_undecided: {
    status: 409,
    retryable: false,
    message: (d) =>
      `the user already has session ${d.userSession}, and the device comes with session ${d.deviceSession}; say which goes on: keep "user" or "device"`,
  },

  // Concurrency
  conflict: {
    status: 409,
    retryable: false,
    message: (d) =>
      `session ${d.sessionId} changed elsewhere: this handle has seen turn ${d.seenTurn}, the log is at ${d.storedTurn}; refresh the handle, look at what came, and decide`,
  },
  store_restored: {
    status: 409,
    retryable: false,
    message: (d) =>
      `session ${d.sessionId} is not the one this handle has seen: it knew version ${d.seenVersion} with turn ${d.seenTurn}, and version ${d.storedVersion} with turn ${d.storedTurn} stands, which did not come from it; the store was put back to an earlier state, so what was written since may be lost; nothing was written; open the session again and decide`,
  },
  key_reused: {
    status: 422,
    retryable: false,
    message: (d) =>
      `the key ${JSON.stringify(d.key)} already stands for turn ${d.seq} of session ${d.sessionId} with other content; a retry must repeat it exactly`,
  },
  busy: {
    status: 409,
    retryable: true,
    message: (d) =>
      `session ${d.sessionId} is held by ${d.holder} (fence ${d.fence}, for ${Math.round(d.heldForMs / 1000)} s); wait, choose the busy policy "queue" or "interrupt", or break the lease with "perdure sessions break-lease"`,
  },
  queue_full: {
    status: 429,
    retryable: true,
    message: (d) =>
      `session ${d.sessionId} already has ${d.waiting} waiting, the limit is ${d.waitingMax}; try again later`,
  },
  fenced: {
    status: 409,
    retryable: false,
    message: (d) =>
      `the lease on session ${d.sessionId} with fence ${d.fence} was superseded by fence ${d.storedFence}; nothing was written; open the session anew`,
  },
  turn_open: {
    status: 409,
    retryable: true,
    message: (d) => `turn ${d.turn} of session ${d.sessionId} is still in progress; seal it before the next one begins`,
  },
  turn_not_open: {
    status: 409,
    retryable: false,
    message: (d) =>
      `turn ${d.turn} of session ${d.sessionId} is not in progress; only an open turn takes chunks and is sealed`,
  },
  contended: {
    status: 503,
    retryable: true,
    message: (d) => `session ${d.sessionId} changed under each of ${d.attempts} attempts; try again`,
  },
  budget_exceeded: {
    status: 402,
    retryable: false,
    message: (d) =>
      `session ${d.sessionId} has spent ${d.spent} ${d.unit}, its budget is ${d.max}; raise it with update, or go on in another session`,
  },

  // Answers
  aborted: {
    status: 499,
    retryable: false,
    message: (d) =>
      `the caller's signal aborted the question to session ${d.sessionId} after ${d.waitedMs} ms, before its turn began; nothing of it was written; ask again if you still want to know`,
  },
  interrupted: {
    status: 499,
    retryable: false,
    message: (d) =>
      `the answer in turn ${d.turn} of session ${d.sessionId} was interrupted (${d.reason}); what had arrived is kept`,
  },
  model_missing: {
    status: 400,
    retryable: false,
    message: (d) =>
      `session ${d.sessionId} has no model to consult; pass one to consult, name it in openSessions({ model }), or set OPENAI_BASE_URL or OPENAI_API_KEY for "perdure serve"`,
  },
  model_failed: {
    status: 502,
    retryable: true,
    message: (d) =>
      `the model failed: ${d.reason}${d.turn === undefined ? "" : ` (turn ${d.turn} of session ${d.sessionId})`}`,
  },
  model_refused: {
    status: 502,
    retryable: false,
    message: (d) =>
      `the model refused the request: ${d.reason}${d.turn === undefined ? "" : ` (turn ${d.turn} of session ${d.sessionId})`}; check the key, the model's name and the address`,
  },
  tool_steps_exceeded: {
    status: 502,
    retryable: false,
    message: (d) =>
      `the answer was given up: ${d.reason}${d.turn === undefined ? "" : ` (turn ${d.turn} of session ${d.sessionId})`}; what had arrived is kept; raise stepsMax, or see why the model keeps calling`,
  },
  agent_not_routed: {
    status: 422,
    retryable: false,
    message: (d) =>
      `no agent fits the message for session ${d.sessionId}; nothing was written; name a default agent or one of ${d.known.join(", ")}`,
  },
  router_failed: {
    status: 502,
    retryable: true,
    message: (d) =>
      `who answers in session ${d.sessionId} could not be decided: ${d.reason}; nothing was written; a default agent would answer here`,
  },

  // Live sessions
  state_too_large: {
    status: 413,
    retryable: false,
    message: (d) =>
      `the state that the runtime of session ${d.sessionId} leaves is ${d.bytes} bytes, the limit is ${d.bytesMax}; keep what is large in its turns or elsewhere`,
  },
  not_owner: {
    status: 421,
    retryable: true,
    message: (d) => `session ${d.sessionId} lives in ${d.owner}; send to ${d.address}`,
  },
  owner_unreachable: {
    status: 502,
    retryable: true,
    message: (d) =>
      `session ${d.sessionId} lives in another host, and ${d.address} did not answer: ${d.reason}; what the message did there before may be kept`,
  },
  mailbox_full: {
    status: 429,
    retryable: true,
    message: (d) =>
      `${d.waiting} messages of ${d.bytes} bytes wait for session ${d.sessionId}, the limits are ${d.waitingMax} messages and ${d.bytesMax} bytes; wait for answers before sending more`,
  },
  host_full: {
    status: 503,
    retryable: true,
    message: (d) =>
      `${d.live} sessions are live, the limit is ${d.liveMax}; try again later, raise maxSessions, or let whenFull put others to sleep`,
  },
  runtime_invalid: {
    status: 500,
    retryable: false,
    message: (d) => `${d.module} is no runtime: ${d.reason}`,
  },
  runtime_failed: {
    status: 502,
    retryable: false,
    message: (d) =>
      `the runtime of session ${d.sessionId} failed (${d.how}): ${d.reason}; it is started again from what is stored, where what the message did before it failed may be kept`,
  },
  session_failed: {
    status: 503,
    retryable: false,
    message: (d) =>
      `session ${d.sessionId} is left alone after ${d.failures} failures of its runtime, the last: ${d.reason}; start it once the cause is gone`,
  },
  session_stopped: {
    status: 503,
    retryable: true,
    message: (d) => `session ${d.sessionId} ${d.reason} before the message was handled; send it again`,
  },

  // HTTP
  request_invalid: {
    status: 400,
    retryable: false,
    message: (d) => `${d.path} ${d.reason}`,
  },
  route_unknown: {
    status: 404,
    retryable: false,
    message: (d) => `nothing answers ${d.method} ${d.path}; /openapi.json and /docs list what does`,
  },
  method_not_allowed: {
    status: 405,
    retryable: false,
    message: (d) => `this path does not answer ${d.method}, but ${d.allowed.join(", ")}`,
  },
  body_too_large: {
    status: 413,
    retryable: false,
    message: (d) => `the body is larger than ${d.bytesMax} bytes`,
  },
  key_missing: {
    status: 401,
    retryable: false,
    message: (d) => `this needs a valid key: send "Authorization: ${d.scheme} pdk_…"; "perdure keys create" makes one`,
  },
  key_forbidden: {
    status: 403,
    retryable: false,
    message: (d) => `the key has the right "${d.right}", this needs "${d.needed}"`,
  },
  device_missing: {
    status: 401,
    retryable: false,
    message: (d) =>
      `this needs a device: send ${d.header} with a UUID, or the cookie that POST /v1/chat gave out, unaltered`,
  },
  streams_full: {
    status: 429,
    retryable: true,
    message: (d) =>
      `this ${d.scope} has ${d.open} open streams, the limit is ${d.openMax}; close one, or let the server's operator raise streams.${d.scope}`,
  },
  rate_limited: {
    status: 429,
    retryable: true,
    message: (d) => `too many requests; try again in ${Math.ceil(d.retryAfterMs / 1000)} s`,
  },
  device_budget_exceeded: {
    status: 429,
    retryable: true,
    message: (d) =>
      `${d.scope === "all" ? "all devices have" : "the device has"} spent ${d.spent} of ${d.max} ${d.unit} in 24 hours; no model was asked; try again in ${Math.ceil(d.retryAfterMs / 1000)} s, or raise deviceBudgets`,
  },
  deadline_passed: {
    status: 504,
    retryable: true,
    message: (d) =>
      `there was no answer within ${d.deadlineMs} ms; an answer that was begun goes on and is kept: read it from the turns, or follow it as a stream`,
  },
  internal: {
    status: 500,
    retryable: false,
    message: (d) => `something went wrong that should not; the server's log tells more under request ${d.requestId}`,
  },

  // The store
  store_scheme_unknown: {
    status: 400,
    retryable: false,
    message: (d) => `no store opens ${d.url}; known schemes: ${d.known.join(", ")}`,
  },
  store_unavailable: {
    status: 503,
    retryable: true,
    message: (d) => `the store ${d.store} cannot be reached: ${d.reason}`,
  },
  store_busy: {
    status: 503,
    retryable: true,
    message: (d) =>
      `the store ${d.store} stayed locked by another process for ${d.waitedMs} ms; raise busyTimeout or find who holds it`,
  },
  store_full: {
    status: 507,
    retryable: true,
    message: (d) =>
      `the disk of the store ${d.store} is full; what found no room left nothing behind; free space and try again`,
  },
  store_read_only: {
    status: 503,
    retryable: false,
    message: (d) => `the store ${d.store} cannot be written: ${d.reason}`,
  },
  store_invalid: {
    status: 500,
    retryable: false,
    message: (d) => `the store ${d.store}: ${d.reason}`,
  },
  outbox_full: {
    status: 503,
    retryable: true,
    message: (d) =>
      `the store is away, and the outbox would hold ${d.bytes} bytes, the limit is ${d.bytesMax}; nothing was kept; try again once the store is there`,
  },
  outbox_unsent: {
    status: 503,
    retryable: false,
    message: (d) =>
      `closed while the store was away: ${d.turns} turns were in memory only and are lost; an outbox in a file keeps them`,
  },
  store_schema_newer: {
    status: 500,
    retryable: false,
    message: (d) =>
      `the store ${d.store} has schema ${d.found}, this version of perdure knows up to ${d.known}; upgrade perdure`,
  },
  closed: {
    status: 409,
    retryable: false,
    message: (d) => `${d.name} is closed; open it again`,
  },
};

/** The one error class of Perdure: `code` says what went wrong, `details` hold the ids and limits needed to act on it. */
export class SessionError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = "SessionError";
  readonly code: Code;
  readonly details: ErrorDetails[Code] & ErrorContext;

  constructor(code: Code, details: ErrorDetails[Code] & ErrorContext, options?: ErrorOptions) {
    const { message }: ErrorRule<ErrorDetails[Code]> = errorCodes[code];
    super(message(details), options);
    this.code = code;
    this.details = details;
  }

  /**
   * The error with the ids of the operation: a copy, as one failure of a store may fail many operations. What its details hold already
   * stands, but for the command.
   */
  within({ command, ...ids }: ErrorContext & { readonly command: string }): SessionError<Code> {
    const details = { ...ids, ...this.details, command };
    const copy = new SessionError(this.code, details, "cause" in this ? { cause: this.cause } : {});
    copy.message = this.message;
    if (this.stack !== undefined) copy.stack = this.stack;
    return copy;
  }

  /** True where the very same call may succeed later. */
  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }

  /** The HTTP status a server answers with. */
  get status(): number {
    return errorCodes[this.code].status;
  }
}

/** True if `error` is a {@link SessionError} with this code. */
export function hasCode<Code extends ErrorCode>(error: unknown, code: Code): error is SessionError<Code> {
  return error instanceof SessionError && error.code === code;
}
