import { describeAt, describeMismatch, type Expectation, type Mismatch } from "./expectations.ts";
import {
  describeInvalidStore,
  describeUnavailable,
  type InvalidStore,
  type UnavailableStore,
} from "./store-problems.ts";

/** The ids of the failed operation; any error may carry them beside the details of its code. */
export interface ErrorContext {
  readonly sessionId?: string;
  readonly tenant?: string;
  /** The agent that was asked, else the agent of the session. */
  readonly agent?: string;
  /** The operation, as `append` or `consult`. */
  readonly command?: string;
}

interface InSession {
  readonly sessionId: string;
}

/** A place in a document. Lines and columns count from 1. */
interface InDocument {
  readonly path?: string;
  readonly line?: number;
  readonly column?: number;
}

interface FromModel extends Partial<InSession> {
  readonly reason: string;
  /** Of the model's endpoint. */
  readonly httpStatus?: number;
  /** True if the request was longer than the model's context. */
  readonly contextExceeded?: boolean;
  readonly turn?: number;
}

/** How the code of a live session failed. */
export type RuntimeFailure = "threw" | "exited" | "memory" | "deadline";

/**
 * The details of each code: ids, numbers, codes, and values that the caller passed. They hold no sentences: the message
 * is made from them.
 */
export interface ErrorDetails {
  // Arguments of the caller
  readonly argument_invalid: { name: string } & Expectation;
  readonly id_invalid: { name: string } & Expectation;
  readonly duration_invalid: { name: string } & Expectation;
  readonly range_invalid: { from: number; to: number };
  readonly message_invalid: { path: string } & Mismatch;
  readonly value_unstorable: { path: string } & Mismatch;
  readonly turn_too_large: InSession & { bytes: number; bytesMax: number };
  readonly turn_parts_exceeded: InSession & { part: "toolCalls" | "chunks"; count: number; countMax: number };
  readonly metadata_too_large: InSession & { bytes: number; bytesMax: number };
  readonly agent_unknown: { agent: string; /** Absent in responses to devices. */ known?: readonly string[] };
  readonly agents_file_invalid: { file: string } & InDocument & Mismatch;

  // The session
  /** `sessionId`: absent if a device has no session. */
  readonly session_not_found: Partial<InSession>;
  readonly session_exists: InSession;
  readonly session_expired: InSession & { expiresAt: number };
  readonly session_ended: InSession;
  readonly session_archived: InSession;
  readonly legal_hold: InSession & { reason: string };
  readonly session_forked: InSession & { forkedAt: number };
  /** `field`: of the record, "data" if it has no column of its own; `version` and `commitId`: of the stored record. */
  readonly session_unreadable: InSession & {
    field: string;
    version: number;
    commitId: string;
    isUnderLegalHold: boolean;
    forkedAt: number;
  };

  // Snapshots
  readonly snapshot_invalid: { source?: string } & InDocument & Mismatch;
  readonly snapshot_newer: { source: string; found: string; known: string };
  /** `sessionId`: of a session that is to become a snapshot; `source`: of one that is read. */
  readonly snapshot_too_large: { sessionId?: string; source?: string; bytes: number; bytesMax: number };
  readonly snapshot_not_found: { sessionId: string; folder: string };

  // Devices
  /** `name`: the data that needs the secret. */
  readonly secret_missing: { name: "devices" | "erasures" };
  readonly link_code_invalid: { tenant: string };
  readonly claim_undecided: { tenant: string; userSession: string; deviceSession: string };

  // Concurrency
  readonly conflict: InSession & {
    seenTurn: number;
    storedTurn: number;
    /** The versions of the last change of the turns: the one that the writer has read, and the stored one. */
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
  readonly key_archived: InSession & { key: string; archive: string; seq: number };
  readonly busy: InSession & { holder: string; fence: number; heldForMs: number };
  readonly queue_full: InSession & { waiting: number; waitingMax: number };
  readonly fenced: InSession & {
    fence: number;
    storedFence: number;
    /** The instance that has the lease now; null: none. */
    holder?: string | null;
  };
  readonly turn_open: InSession & {
    turn: number;
    /** The instance that writes it, with its fencing token; null: its lease has ended. */
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
  readonly request_invalid: { path: string } & Mismatch;
  readonly route_unknown: { method: string; path: string };
  readonly method_not_allowed: { method: string; allowed: readonly string[] };
  readonly body_too_large: { bytesMax: number };
  readonly key_missing: { scheme: string };
  /** `tenantOf`: the key is not of the tenant of this server or host. */
  readonly key_forbidden: { right: string; needed: string; tenantOf?: "server" | "host" };
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
  readonly store_unavailable: UnavailableStore;
  readonly store_busy: { store: string; waitedMs: number };
  readonly store_full: { store: string };
  /** `path`: the file or folder that this user cannot write. */
  readonly store_read_only: { store: string; path?: string; schema?: string };
  readonly store_invalid: InvalidStore;
  readonly outbox_full: { bytes: number; bytesMax: number };
  readonly outbox_unsent: { turns: number };
  readonly store_schema_newer: { store: string; found: number; known: number };
  /** `name`: the closed object; `store`: the name of a closed store. */
  readonly closed: { name: "sessions" | "store" | "host"; store?: string };
}

/** One of the codes of the table. */
export type ErrorCode = keyof ErrorDetails;

/** Kinds of details; `text` is a value or a name that the caller passed. */
export type DetailKind<T> =
  NonNullable<T> extends number
    ? "number"
    : NonNullable<T> extends boolean
      ? "flag"
      : NonNullable<T> extends readonly string[]
        ? "ids"
        : string extends NonNullable<T>
          ? "id" | "text"
          : "code";

/** The meaning of a code to callers. */
export interface ErrorRule<Details> {
  /** The HTTP status of a response with this code. */
  readonly status: number;
  /** True if the same call may succeed later. */
  readonly retryable: boolean;
  /** The names of the details, each with its kind. */
  readonly details: { readonly [Name in keyof Required<Details>]: DetailKind<Details[Name]> };
  /**
   * The message: the failure, the id, the limit, the next step; `reported` is the text of another component, or empty.
   */
  readonly message: (details: Details, reported: string) => string;
}

const expectation = {
  value: "text",
  length: "number",
  expected: "code",
  min: "number",
  max: "number",
  known: "ids",
} as const;
const place = { path: "id", line: "number", column: "number" } as const;

/** The subject of a sentence about a place in a document. */
function placeOf({ path, line, column }: InDocument): string {
  if (path !== undefined) return path;
  return line === undefined ? "the document" : `line ${line}, column ${column}`;
}

/** The subject of the message of a closed object. */
function describeClosed({ name, store }: ErrorDetails["closed"]): string {
  if (name === "sessions") return "this Sessions object";
  if (name === "host") return "this host";
  return store === undefined ? "the store" : `the store ${store}`;
}

/** The table of error codes. docs/reference/errors.md explains each of them; a test compares the two. */
export const errorCodes: { readonly [Code in ErrorCode]: ErrorRule<ErrorDetails[Code]> } = {
  // Arguments of the caller
  argument_invalid: {
    status: 400,
    retryable: false,
    details: { name: "id", ...expectation },
    message: (d) => describeMismatch(d.name, d),
  },
  id_invalid: {
    status: 400,
    retryable: false,
    details: { name: "id", ...expectation },
    message: (d) => describeMismatch(d.name, d),
  },
  duration_invalid: {
    status: 400,
    retryable: false,
    details: { name: "id", ...expectation },
    message: (d) => describeMismatch(d.name, d),
  },
  range_invalid: {
    status: 400,
    retryable: false,
    details: { from: "number", to: "number" },
    message: (d) =>
      `the range from ${d.from} to ${d.to} is not valid; turns and events are numbered from 1, and "from" is at most "to"`,
  },
  message_invalid: {
    status: 400,
    retryable: false,
    details: { path: "id", ...expectation },
    message: (d, reported) => describeAt(d.path, d, reported),
  },
  value_unstorable: {
    status: 400,
    retryable: false,
    details: { path: "id", ...expectation },
    message: (d, reported) => `${describeAt(d.path, d, reported)}; it cannot be stored`,
  },
  turn_too_large: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", bytes: "number", bytesMax: "number" },
    message: (d) =>
      `the turn of session ${d.sessionId} has ${d.bytes} bytes, the limit is ${d.bytesMax}; store large files elsewhere and append a reference, or raise limits.turnBytesMax`,
  },
  turn_parts_exceeded: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", part: "code", count: "number", countMax: "number" },
    message: (d) =>
      `the turn of session ${d.sessionId} has ${d.count} ${d.part === "toolCalls" ? "tool calls" : "chunks"}, the limit is ${d.countMax}; spread them over several turns, or raise limits.${d.part}Max`,
  },
  metadata_too_large: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", bytes: "number", bytesMax: "number" },
    message: (d) =>
      `the metadata of session ${d.sessionId} would have ${d.bytes} bytes, the limit is ${d.bytesMax}; every turn rewrites the metadata, so store large data in turns`,
  },
  agent_unknown: {
    status: 404,
    retryable: false,
    details: { agent: "id", known: "ids" },
    message: (d) =>
      `agent ${JSON.stringify(d.agent)} is not configured${d.known === undefined ? "" : `; configured agents: ${d.known.join(", ") || "none"}`}`,
  },
  agents_file_invalid: {
    status: 400,
    retryable: false,
    details: { file: "id", ...place, ...expectation },
    message: (d, reported) => {
      const { file, line, column } = d;
      const at = line === undefined ? file : `${file}:${line}:${column}`;
      return `${at}: ${describeAt(d.path ?? "the file", d, reported)}`;
    },
  },

  // The session
  session_not_found: {
    status: 404,
    retryable: false,
    details: { sessionId: "id" },
    message: (d) =>
      d.sessionId === undefined
        ? "this device has no session; send a message first"
        : `session ${d.sessionId} does not exist; create it with sessions.create() or sessions.ensure()`,
  },
  session_exists: {
    status: 409,
    retryable: false,
    details: { sessionId: "id" },
    message: (d) => `session ${d.sessionId} already exists; open it with sessions.get() or sessions.ensure()`,
  },
  session_expired: {
    status: 410,
    retryable: false,
    details: { sessionId: "id", expiresAt: "number" },
    message: (d) =>
      `session ${d.sessionId} expired at ${new Date(d.expiresAt).toISOString()}; it can be read; to write to it, call sessions.ensure() with onExpired "revive" or "reset"`,
  },
  session_ended: {
    status: 409,
    retryable: false,
    details: { sessionId: "id" },
    message: (d) => `session ${d.sessionId} has ended; it can be read; create a new session to continue`,
  },
  session_archived: {
    status: 409,
    retryable: false,
    details: { sessionId: "id" },
    message: (d) => `session ${d.sessionId} is archived; it can be read; call unarchive() to make it writable`,
  },
  legal_hold: {
    status: 409,
    retryable: false,
    details: { sessionId: "id", reason: "text" },
    message: (d) =>
      `session ${d.sessionId} is under legal hold (${d.reason}); clear the legal hold before you remove, truncate or erase it`,
  },
  session_unreadable: {
    status: 500,
    retryable: false,
    details: {
      sessionId: "id",
      field: "id",
      version: "number",
      commitId: "id",
      isUnderLegalHold: "flag",
      forkedAt: "number",
    },
    message: (d) =>
      `the record of session ${d.sessionId} cannot be read: its field ${d.field} is damaged; restore the session from a backup, or remove it with "perdure sessions remove"`,
  },
  session_forked: {
    status: 409,
    retryable: true,
    details: { sessionId: "id", forkedAt: "number" },
    message: (d) =>
      `forks share the turns of session ${d.sessionId} up to ${d.forkedAt}, and new forks were created while those turns were copied to the forks; try again`,
  },

  // Snapshots
  snapshot_invalid: {
    status: 400,
    retryable: false,
    details: { source: "id", ...place, ...expectation },
    message: (d, reported) =>
      `${d.source ?? "the document"} is not a valid snapshot: ${describeAt(placeOf(d), d, reported)}`,
  },
  snapshot_newer: {
    status: 400,
    retryable: false,
    details: { source: "id", found: "id", known: "id" },
    message: (d) =>
      `${d.source} has format ${d.found}; this version of Perdure reads formats up to ${d.known}; upgrade Perdure`,
  },
  snapshot_too_large: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", source: "id", bytes: "number", bytesMax: "number" },
    message: (d) =>
      `${d.source ?? `the snapshot of session ${d.sessionId}`} has ${d.bytes} bytes, the limit is ${d.bytesMax}; raise limits.snapshotBytesMax if the process has the memory`,
  },
  snapshot_not_found: {
    status: 404,
    retryable: false,
    details: { sessionId: "id", folder: "id" },
    message: (d) =>
      `the folder ${d.folder} has no snapshot of session ${d.sessionId}; save one with "perdure snapshot save"`,
  },

  // Devices
  secret_missing: {
    status: 500,
    retryable: false,
    details: { name: "code" },
    message: (d) =>
      `${d.name} need a secret that is not in the store: set openSessions({ secret }) or PERDURE_SECRET to a random text of 16 characters or more`,
  },
  link_code_invalid: {
    status: 404,
    retryable: false,
    details: { tenant: "id" },
    message: () =>
      "the link code is not valid; a code works once, within ten minutes and five tries; request a new one on the other device",
  },
  claim_undecided: {
    status: 409,
    retryable: false,
    details: { tenant: "id", userSession: "id", deviceSession: "id" },
    message: (d) =>
      `the user has session ${d.userSession}, the device has session ${d.deviceSession}; choose the session to keep: keep: "user" or keep: "device"`,
  },

  // Concurrency
  conflict: {
    status: 409,
    retryable: false,
    details: {
      sessionId: "id",
      seenTurn: "number",
      storedTurn: "number",
      seenVersion: "number",
      storedVersion: "number",
    },
    message: (d) =>
      `another writer changed session ${d.sessionId}: this Session has read up to turn ${d.seenTurn}, the log is at turn ${d.storedTurn}; nothing was written; refresh, read the new turns, and decide`,
  },
  store_restored: {
    status: 409,
    retryable: false,
    details: {
      sessionId: "id",
      seenTurn: "number",
      storedTurn: "number",
      seenVersion: "number",
      storedVersion: "number",
    },
    message: (d) =>
      `the stored session ${d.sessionId} does not descend from the one that this Session has read: read were version ${d.seenVersion} and turn ${d.seenTurn}, stored are version ${d.storedVersion} and turn ${d.storedTurn}; the store was restored to an earlier state, so later turns may be lost; nothing was written; open the session again and compare`,
  },
  key_reused: {
    status: 422,
    retryable: false,
    details: { sessionId: "id", key: "id", seq: "number" },
    message: (d) =>
      `the idempotency key ${JSON.stringify(d.key)} belongs to turn ${d.seq} of session ${d.sessionId}, which has other content; repeat that turn exactly, or use a new key`,
  },
  key_archived: {
    status: 409,
    retryable: false,
    details: { sessionId: "id", key: "id", archive: "id", seq: "number" },
    message: (d) =>
      `the idempotency key ${JSON.stringify(d.key)} belongs to turn ${d.seq} of session ${d.archive}, which was session ${d.sessionId} before its reset; nothing was written; read that turn, or use a new key for a new one`,
  },
  busy: {
    status: 409,
    retryable: true,
    details: { sessionId: "id", holder: "id", fence: "number", heldForMs: "number" },
    message: (d) =>
      `instance ${d.holder} holds the lease of session ${d.sessionId} (fencing token ${d.fence}, for ${Math.round(d.heldForMs / 1000)} s); wait, use the busy policy "queue" or "interrupt", or break the lease with "perdure sessions break-lease"`,
  },
  queue_full: {
    status: 429,
    retryable: true,
    details: { sessionId: "id", waiting: "number", waitingMax: "number" },
    message: (d) =>
      `${d.waiting} callers already wait for session ${d.sessionId}, the limit is ${d.waitingMax}; try again later`,
  },
  fenced: {
    status: 409,
    retryable: false,
    details: { sessionId: "id", fence: "number", storedFence: "number", holder: "id" },
    message: (d) =>
      `the lease of session ${d.sessionId} with fencing token ${d.fence} was superseded by fencing token ${d.storedFence}; nothing was written; open the session again`,
  },
  turn_open: {
    status: 409,
    retryable: true,
    details: { sessionId: "id", turn: "number", holder: "id", fence: "number" },
    message: (d) => `turn ${d.turn} of session ${d.sessionId} is in progress; seal it before the next turn begins`,
  },
  turn_not_open: {
    status: 409,
    retryable: false,
    details: { sessionId: "id", turn: "number" },
    message: (d) =>
      `turn ${d.turn} of session ${d.sessionId} is not in progress; only a turn in progress accepts chunks and can be sealed`,
  },
  contended: {
    status: 503,
    retryable: true,
    details: { sessionId: "id", attempts: "number" },
    message: (d) => `other writers changed session ${d.sessionId} during each of ${d.attempts} attempts; try again`,
  },
  budget_exceeded: {
    status: 402,
    retryable: false,
    details: { sessionId: "id", unit: "code", spent: "number", max: "number" },
    message: (d) =>
      `session ${d.sessionId} has used ${d.spent} ${d.unit}, its budget is ${d.max}; raise the budget with session.update({ budget }), or continue in another session`,
  },

  // Answers
  aborted: {
    status: 499,
    retryable: false,
    details: { sessionId: "id", waitedMs: "number" },
    message: (d) =>
      `the caller's signal aborted the question to session ${d.sessionId} after ${d.waitedMs} ms, before its turn began; nothing was written; ask again if needed`,
  },
  interrupted: {
    status: 499,
    retryable: false,
    details: { sessionId: "id", turn: "number", reason: "text" },
    message: (d) =>
      `the answer in turn ${d.turn} of session ${d.sessionId} was interrupted (${d.reason}); the text received so far is stored`,
  },
  model_missing: {
    status: 400,
    retryable: false,
    details: { sessionId: "id" },
    message: (d) =>
      `session ${d.sessionId} has no model; pass one to consult() or openSessions(), or set OPENAI_BASE_URL or OPENAI_API_KEY for "perdure serve"`,
  },
  model_failed: {
    status: 502,
    retryable: true,
    details: { sessionId: "id", reason: "text", httpStatus: "number", contextExceeded: "flag", turn: "number" },
    message: (d) =>
      `the model failed: ${d.reason}${d.turn === undefined ? "" : ` (turn ${d.turn} of session ${d.sessionId})`}`,
  },
  model_refused: {
    status: 502,
    retryable: false,
    details: { sessionId: "id", reason: "text", httpStatus: "number", contextExceeded: "flag", turn: "number" },
    message: (d) =>
      `the model refused the request: ${d.reason}${d.turn === undefined ? "" : ` (turn ${d.turn} of session ${d.sessionId})`}; ${refusalAdvice(d)}`,
  },
  tool_steps_exceeded: {
    status: 502,
    retryable: false,
    details: { sessionId: "id", reason: "text", turn: "number" },
    message: (d) =>
      `the answer was stopped: ${d.reason}${d.turn === undefined ? "" : ` (turn ${d.turn} of session ${d.sessionId})`}; the text received so far is stored; raise stepsMax, or find out why the model keeps calling tools`,
  },
  agent_not_routed: {
    status: 422,
    retryable: false,
    details: { sessionId: "id", known: "ids" },
    message: (d) =>
      `the router found no agent for the message to session ${d.sessionId}; nothing was written; set a default agent, or name one of ${d.known.join(", ")}`,
  },
  router_failed: {
    status: 502,
    retryable: true,
    details: { sessionId: "id", reason: "text" },
    message: (d) =>
      `the router failed for session ${d.sessionId}: ${d.reason}; nothing was written; try again, or set a default agent`,
  },

  // Live sessions
  state_too_large: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", bytes: "number", bytesMax: "number" },
    message: (d) =>
      `the state of the runtime of session ${d.sessionId} has ${d.bytes} bytes, the limit is ${d.bytesMax}; store large data in turns or elsewhere`,
  },
  not_owner: {
    status: 421,
    retryable: true,
    details: { sessionId: "id", owner: "id", address: "id" },
    message: (d) => `session ${d.sessionId} is live in host ${d.owner}; send the message to ${d.address}`,
  },
  owner_unreachable: {
    status: 502,
    retryable: true,
    details: { sessionId: "id", address: "id", reason: "text" },
    message: (d) =>
      `the host at ${d.address}, in which session ${d.sessionId} is live, did not answer: ${d.reason}; it may have handled the message; try again`,
  },
  mailbox_full: {
    status: 429,
    retryable: true,
    details: { sessionId: "id", waiting: "number", waitingMax: "number", bytes: "number", bytesMax: "number" },
    message: (d) =>
      `${d.waiting} messages of ${d.bytes} bytes wait for session ${d.sessionId}, the limits are ${d.waitingMax} messages and ${d.bytesMax} bytes; wait for answers before you send more`,
  },
  host_full: {
    status: 503,
    retryable: true,
    details: { live: "number", liveMax: "number" },
    message: (d) =>
      `${d.live} sessions are live in this host, the limit is ${d.liveMax}; try again later, raise maxSessions, or let whenFull suspend idle sessions`,
  },
  runtime_invalid: {
    status: 500,
    retryable: false,
    details: { module: "id", reason: "text" },
    message: (d) => `${d.module} exports no runtime: ${d.reason}`,
  },
  runtime_failed: {
    status: 502,
    retryable: false,
    details: { sessionId: "id", how: "code", reason: "text" },
    message: (d) =>
      `the runtime of session ${d.sessionId} failed (${d.how}): ${d.reason}; the session restarts from its stored state, in which changes made by this message may be saved`,
  },
  session_failed: {
    status: 503,
    retryable: false,
    details: { sessionId: "id", failures: "number", reason: "text" },
    message: (d) =>
      `the runtime of session ${d.sessionId} failed ${d.failures} times and is not restarted; the last failure: ${d.reason}; remove the cause, then call host.start()`,
  },
  session_stopped: {
    status: 503,
    retryable: true,
    details: { sessionId: "id", reason: "text" },
    message: (d) => `session ${d.sessionId} ${d.reason} before the message was handled; send it again`,
  },

  // HTTP
  request_invalid: {
    status: 400,
    retryable: false,
    details: { path: "id", ...expectation },
    message: (d, reported) => describeAt(d.path, d, reported),
  },
  route_unknown: {
    status: 404,
    retryable: false,
    details: { method: "id", path: "id" },
    message: (d) => `no route matches ${d.method} ${d.path}; /openapi.json and /docs list the routes`,
  },
  method_not_allowed: {
    status: 405,
    retryable: false,
    details: { method: "id", allowed: "ids" },
    message: (d) => `this path does not accept ${d.method}; it accepts ${d.allowed.join(", ")}`,
  },
  body_too_large: {
    status: 413,
    retryable: false,
    details: { bytesMax: "number" },
    message: (d) => `the request body is larger than ${d.bytesMax} bytes; send less, or raise the limit of the server`,
  },
  key_missing: {
    status: 401,
    retryable: false,
    details: { scheme: "id" },
    message: (d) =>
      `this route needs a valid key: send "Authorization: ${d.scheme} pdk_…"; create a key with "perdure keys create"`,
  },
  key_forbidden: {
    status: 403,
    retryable: false,
    details: { right: "id", needed: "id", tenantOf: "code" },
    message: (d) =>
      `the key has the right "${d.right}", this route needs "${d.needed}"${d.tenantOf === undefined ? "" : ` in the tenant of the ${d.tenantOf}`}`,
  },
  device_missing: {
    status: 401,
    retryable: false,
    details: { header: "id" },
    message: (d) =>
      `this route needs a device: send a UUID in the header ${d.header}, or the unaltered cookie that POST /v1/chat set`,
  },
  streams_full: {
    status: 429,
    retryable: true,
    details: { scope: "code", open: "number", openMax: "number" },
    message: (d) =>
      `this ${d.scope} has ${d.open} open streams, the limit is ${d.openMax}; close one, or raise streams.${d.scope} of the server`,
  },
  rate_limited: {
    status: 429,
    retryable: true,
    details: { retryAfterMs: "number" },
    message: (d) => `too many requests; try again in ${Math.ceil(d.retryAfterMs / 1000)} s`,
  },
  device_budget_exceeded: {
    status: 429,
    retryable: true,
    details: { scope: "code", unit: "code", spent: "number", max: "number", retryAfterMs: "number" },
    message: (d) =>
      `${d.scope === "all" ? "all devices together have" : "the device has"} used ${d.spent} of ${d.max} ${d.unit} in 24 hours; no model was called; try again in ${Math.ceil(d.retryAfterMs / 1000)} s, or raise deviceBudgets of the server`,
  },
  deadline_passed: {
    status: 504,
    retryable: true,
    details: { deadlineMs: "number" },
    message: (d) =>
      `there was no response within ${d.deadlineMs} ms; an answer that has begun continues and is stored: read the turns, or follow the stream`,
  },
  internal: {
    status: 500,
    retryable: false,
    details: { requestId: "id" },
    message: (d) => `internal error; the server's log has the details under request ${d.requestId}`,
  },

  // The store
  store_scheme_unknown: {
    status: 400,
    retryable: false,
    details: { url: "id", known: "ids" },
    message: (d) => `no store opens ${d.url}; known schemes: ${d.known.join(", ")}`,
  },
  store_unavailable: {
    status: 503,
    retryable: true,
    details: {
      store: "id",
      problem: "code",
      folder: "id",
      httpStatus: "number",
      retryAfterMs: "number",
      commit: "number",
    },
    message: describeUnavailable,
  },
  store_busy: {
    status: 503,
    retryable: true,
    details: { store: "id", waitedMs: "number" },
    message: (d) =>
      `another process kept the store ${d.store} locked for ${d.waitedMs} ms; raise busyTimeout, or find the process that holds the lock`,
  },
  store_full: {
    status: 507,
    retryable: true,
    details: { store: "id" },
    message: (d) => `the disk of the store ${d.store} is full; the write was rolled back; free space and try again`,
  },
  store_read_only: {
    status: 503,
    retryable: false,
    details: { store: "id", path: "id", schema: "id" },
    message: (d, reported) => {
      if (d.path !== undefined)
        return `the store ${d.store} cannot be written: ${d.path} is read-only for this user (${reported})`;
      const next =
        d.schema === undefined
          ? ""
          : `; a user who may create schemas runs "perdure migrate", and grants usage on ${d.schema} and all in it`;
      return `the store ${d.store} cannot be written: ${reported}${next}`;
    },
  },
  store_invalid: {
    status: 500,
    retryable: false,
    details: {
      store: "id",
      problem: "code",
      sessionId: "id",
      log: "id",
      seq: "number",
      found: "number",
      known: "number",
      schema: "id",
    },
    message: describeInvalidStore,
  },
  outbox_full: {
    status: 503,
    retryable: true,
    details: { bytes: "number", bytesMax: "number" },
    message: (d) =>
      `the store is unavailable, and the outbox would have ${d.bytes} bytes, the limit is ${d.bytesMax}; nothing was written; try again when the store is back, or raise limits.outboxBytesMax`,
  },
  outbox_unsent: {
    status: 503,
    retryable: false,
    details: { turns: "number" },
    message: (d) =>
      `closed while the store was unavailable; ${d.turns} turns were in memory only and are lost; keep the outbox in a file: fallback: { outbox: "sqlite:outbox.db" }`,
  },
  store_schema_newer: {
    status: 500,
    retryable: false,
    details: { store: "id", found: "number", known: "number" },
    message: (d) =>
      `the store ${d.store} has schema ${d.found}; this version of Perdure reads schemas up to ${d.known}; upgrade Perdure`,
  },
  closed: {
    status: 409,
    retryable: false,
    details: { name: "code", store: "id" },
    message: (d) => `${describeClosed(d)} is closed; open it again`,
  },
};

/** Options of an error beside its code and details. */
export interface SessionErrorOptions extends ErrorOptions {
  /** Text of another component, such as a driver or a model endpoint, for the message. @default the message of `cause` */
  readonly reported?: string;
  /** The whole text, of an error that another process has sent. */
  readonly message?: string;
}

/**
 * The one error class of Perdure: every error that it throws on purpose. `code` says what failed, `details` hold the ids
 * and limits needed to act on it. Callers branch on `code`, never on the text.
 */
export class SessionError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = "SessionError";
  readonly code: Code;
  readonly details: ErrorDetails[Code] & ErrorContext;

  constructor(code: Code, details: ErrorDetails[Code] & ErrorContext, options: SessionErrorOptions = {}) {
    const { message: text, reported, ...rest } = options;
    const { message }: ErrorRule<ErrorDetails[Code]> = errorCodes[code];
    super(text ?? message(details, reported ?? textOf(options.cause)), rest);
    this.code = code;
    this.details = details;
  }

  /**
   * A copy with the ids of the operation: one failure of a store may fail many operations. Ids that the details have
   * already stay, except for the command.
   */
  withContext({ command, ...ids }: ErrorContext & { readonly command: string }): SessionError<Code> {
    const details = { ...ids, ...this.details, command };
    const cause = "cause" in this ? { cause: this.cause } : {};
    const copy = new SessionError(this.code, details, { ...cause, message: this.message });
    if (this.stack !== undefined) copy.stack = this.stack;
    return copy;
  }

  /** True if the same call may succeed later. */
  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }

  /** The HTTP status of a response with this code. */
  get status(): number {
    return errorCodes[this.code].status;
  }
}

function textOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message;
  return typeof cause === "string" ? cause : "";
}

/** True if `error` is a {@link SessionError} with this code. */
export function hasCode<Code extends ErrorCode>(error: unknown, code: Code): error is SessionError<Code> {
  return error instanceof SessionError && error.code === code;
}

/** The next step after a refusal of the model's endpoint. */
function refusalAdvice({ httpStatus, contextExceeded }: ErrorDetails["model_refused"]): string {
  if (contextExceeded === true)
    return "the request is longer than the model's context; ask for less or set a smaller window";
  if (httpStatus === 401 || httpStatus === 403) return "check the key and its rights";
  if (httpStatus === 404) return "check the model's name and the address";
  if (httpStatus === 400 || httpStatus === 422) return "check the question, the settings and the model's name";
  return "check the key, the model's name and the address";
}
