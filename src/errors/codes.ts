/**
 * The table of error codes. To add an error code:
 *
 * 1. Add its details to `ErrorDetails` and its row to `errorCodes`, both in this file.
 * 2. Add its message to `messages.ts`.
 * 3. Add its row to docs/reference/errors.md, at the same place in the order.
 *
 * The compiler finds a missing part of 1 and 2, `npm run tidy` a missing row of the page. A code that has several causes
 * has a code for each in its details (`problem`, `how`); the words are in a file for the subject, such as
 * `store-problems.ts`.
 */
import type { ExceededSteps, InterruptedAnswer, ModelFailure, ReachedDailyBudget } from "./answer-problems.ts";
import type { Expectation, Mismatch } from "./expectations.ts";
import type { FailedRuntime, InvalidRuntime, SessionStop, UnreachableOwner } from "./host-problems.ts";
import type { InvalidStore, UnavailableStore } from "./store-problems.ts";

/**
 * How a stream failed: its producer reported a failure; a caller stopped it, and the producer did not end it; the producer is
 * gone, or closed without an end.
 */
export type StreamFailure = "failed" | "stopped" | "lost";

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
export interface InDocument {
  readonly path?: string;
  readonly line?: number;
  readonly column?: number;
}

/**
 * The details of each code: ids, numbers, codes, values that the caller passed, and as `reported` the text of another
 * component. They hold no sentences of Perdure: the message is made from them.
 */
export interface ErrorDetails {
  // Arguments of the caller
  readonly argument_invalid: { name: string } & Expectation;
  readonly id_invalid: { name: string } & Expectation;
  readonly duration_invalid: { name: string } & Expectation;
  /** `length`: the range is one of the bytes of an attachment, which has so many. */
  readonly range_invalid: { name?: string; from: number; to: number; length?: number };
  readonly message_invalid: { path: string } & Mismatch;
  readonly value_unstorable: { path: string } & Mismatch;
  readonly turn_too_large: InSession & { bytes: number; bytesMax: number };
  readonly replaced_too_large: InSession & {
    after: number;
    turns: number;
    turnsMax: number;
    bytes: number;
    bytesMax: number;
  };
  readonly branches_exceeded: InSession & { branches: number; branchesMax: number };
  readonly shares_exceeded: InSession & { shares: number; sharesMax: number };
  readonly conversations_exceeded: { conversations: number; conversationsMax: number };
  readonly turn_parts_exceeded: InSession & { part: "toolCalls" | "chunks"; count: number; countMax: number };
  readonly metadata_too_large: InSession & { bytes: number; bytesMax: number };
  readonly log_reserved: { log: string };
  /**
   * `part`: named logs of the session, entries of one write, bytes of one entry, bytes of one write; or turns of the session that are
   * pinned or left out, and its ratings.
   */
  readonly write_too_large: InSession & {
    part: "logs" | "entries" | "entryBytes" | "writeBytes" | "pinnedTurns" | "leftOutTurns" | "ratings";
    /** The named log; absent if the write as a whole is too large. */
    log?: string;
    count: number;
    countMax: number;
  };
  readonly document_not_found: { scope: string; key: string };
  readonly document_too_large: { scope: string; key: string; bytes: number; bytesMax: number };
  /** `sessionId`: absent for the reader of a share. */
  readonly attachment_not_found: Partial<InSession> & { hash: string };
  readonly attachment_too_large: InSession & { bytesMax: number };
  readonly attachments_exceeded: InSession & { attachments: number; attachmentsMax: number };
  /** `problem`: this process opens no attachment store, a call of the store failed, or its `get` returned no bytes. */
  /** `object`: the marker that the attachment store of another folder, or of other sessions, lacks. */
  readonly attachment_store_failed: {
    problem: "not_opened" | "failed" | "other_store" | "wrong_bytes";
    object?: string;
  };
  readonly agent_unknown: { agent: string; /** Absent in responses to devices. */ known?: readonly string[] };
  readonly agents_file_invalid: { file: string } & InDocument & Mismatch;

  // The session
  /** `sessionId`: absent if a device has no session. `problem`: the caller names a user, and the session has none. */
  readonly session_not_found: Partial<InSession> & { readonly problem?: "no_user" };
  /** `problem`: a session that arrives is not the one that stands under its id. */
  readonly session_exists: InSession & { readonly problem?: "differs" };
  readonly session_expired: InSession & { expiresAt: number };
  readonly session_ended: InSession;
  readonly session_archived: InSession;
  readonly legal_hold: InSession & {
    /** The reason passed to `setLegalHold`; absent if the record of the session cannot be read. */
    reason?: string;
  };
  readonly branch_not_found: InSession & { branch: string };
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
  /** `sessions`: those of devices that would be lost; `more`: there are more than were counted. */
  readonly secret_mismatch: { sessions: number; more: boolean };
  readonly link_code_invalid: { tenant: string };
  readonly claim_undecided: { tenant: string; userSession: string; deviceSession: string };

  // Concurrency
  readonly conflict: InSession & {
    /** The last turn that the writer has read, and the stored one; absent where a write is refused by its `onto`. */
    seenTurn?: number;
    storedTurn?: number;
    /** The log that changed; absent if it is `turns`, and the writer has read its last turns. */
    log?: string;
    /** The versions of the last change of the log: the one that the writer has read, and the stored one. */
    seenVersion?: number;
    storedVersion?: number;
  };
  readonly store_restored: InSession & {
    seenTurn: number;
    storedTurn: number;
    seenVersion: number;
    storedVersion: number;
  };
  readonly document_conflict: {
    scope: string;
    key: string;
    /** The version that the caller expected; absent if it expected no document, or any. */
    expectedVersion?: number;
    /** The stored version; absent if there is no document, or it has expired. */
    storedVersion?: number;
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
  /** `expiresAt`: absent if the turn waits as long as the session lives. */
  readonly turn_waiting: InSession & { turn: number; reason: string; since: number; expiresAt?: number };
  /** `turn`: the one that waits now; absent if none does. */
  readonly turn_not_waiting: InSession & { turn?: number };
  readonly turn_not_open: InSession & { turn: number };
  readonly contended: InSession & { attempts: number };
  readonly budget_exceeded: InSession & { unit: "tokens" | "turns"; used: number; max: number };
  readonly daily_budget_exceeded: InSession & ReachedDailyBudget & { retryAfterMs: number };

  // Answers
  readonly aborted: InSession & { waitedMs: number };
  readonly interrupted: InSession & InterruptedAnswer;
  readonly model_missing: InSession & { needs?: "tools" };
  readonly model_failed: ModelFailure;
  readonly model_refused: ModelFailure;
  readonly tool_steps_exceeded: ExceededSteps;
  readonly agent_not_routed: InSession & { known: readonly string[] };
  /** `reported`: the message of the error that the router threw. */
  readonly router_failed: InSession & { reported: string };
  /** Models are shown none of the turns from one number to another. */
  readonly summary_empty: InSession & { from: number; to: number };

  // Streams
  readonly stream_not_found: { stream: string };
  readonly stream_ended: { stream: string };
  /** `reported`: the message that the producer gave, of `failed`. */
  readonly stream_failed: { stream: string; how: StreamFailure; reported?: string };

  // Live sessions
  readonly state_too_large: InSession & { bytes: number; bytesMax: number };
  readonly not_owner: InSession & { owner: string; address: string };
  readonly owner_unreachable: UnreachableOwner;
  readonly mailbox_full: InSession & { waiting: number; waitingMax: number; bytes: number; bytesMax: number };
  readonly host_full: { live: number; liveMax: number };
  readonly runtime_invalid: InvalidRuntime;
  readonly runtime_failed: InSession & FailedRuntime;
  readonly session_failed: InSession & { failures: number } & Partial<FailedRuntime>;
  readonly session_stopped: InSession & { how: SessionStop };

  // HTTP
  readonly request_invalid: { path: string } & Mismatch;
  readonly route_unknown: { method: string; path: string };
  readonly method_not_allowed: { method: string; allowed: readonly string[] };
  readonly body_too_large: { bytesMax: number };
  readonly key_missing: { scheme: string };
  readonly share_not_found: object;
  /** `tenantOf`: the key is not of the tenant of this server or host. */
  readonly key_expired: { /** The id of the key. */ id: string; expiresAt: number };
  readonly key_forbidden: { right: string; needed: string; tenantOf?: "server" | "host" };
  readonly device_missing: { header: string };
  readonly streams_full: { scope: "device" | "key" | "session"; open: number; openMax: number };
  readonly rate_limited: { retryAfterMs: number };
  readonly device_budget_exceeded: {
    scope: "device" | "all";
    unit: "requests" | "tokens" | "attachmentBytes";
    used: number;
    max: number;
    retryAfterMs: number;
  };
  readonly deadline_passed: { deadlineMs: number };
  readonly internal: { requestId: string };

  // The store
  readonly store_scheme_unknown: { url: string; known: readonly string[] };
  readonly store_unavailable: UnavailableStore;
  readonly store_busy: { store: string; waitedMs: number };
  readonly store_full: { store?: string; file?: string };
  /** `path`: the file or folder that this user cannot write; `rights`: those that the role lacks on the schema. */
  readonly store_read_only: {
    store?: string;
    file?: string;
    path?: string;
    schema?: string;
    role?: string;
    rights?: readonly string[];
  };
  /** `path`: the file or folder that this user cannot read; `rights`: those that the role lacks on the schema. */
  readonly store_access_denied: {
    store: string;
    path?: string;
    schema?: string;
    role?: string;
    rights?: readonly string[];
  };
  readonly store_invalid: InvalidStore;
  readonly outbox_full: { bytes: number; bytesMax: number };
  readonly outbox_unsent: { turns: number };
  readonly store_schema_newer: { store: string; found: number; known: number };
  /** `name`: the closed object; `store`: the name of a closed store. */
  readonly closed: { name: "sessions" | "store" | "host"; store?: string };
}

/** One of the codes of the table. */
export type ErrorCode = keyof ErrorDetails;

/** Kinds of details; `text` is a value or a name that the caller passed, or the text of another component. */
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

const modelFailure = {
  sessionId: "id",
  problem: "code",
  reported: "text",
  httpStatus: "number",
  contextExceeded: "flag",
  turn: "number",
  lengthMax: "number",
  timeoutMs: "number",
  model: "id",
  conversation: "id",
  systemCode: "id",
  host: "id",
} as const;
const failedRuntime = {
  how: "code",
  reported: "text",
  step: "code",
  limitMs: "number",
  exit: "id",
  causedBy: "id",
} as const;
const seenAndStored = {
  sessionId: "id",
  seenTurn: "number",
  storedTurn: "number",
  seenVersion: "number",
  storedVersion: "number",
} as const;

/** The table of error codes. docs/reference/errors.md explains each of them; a test compares the two. */
export const errorCodes: { readonly [Code in ErrorCode]: ErrorRule<ErrorDetails[Code]> } = {
  // Arguments of the caller
  argument_invalid: { status: 400, retryable: false, details: { name: "id", ...expectation } },
  id_invalid: { status: 400, retryable: false, details: { name: "id", ...expectation } },
  duration_invalid: { status: 400, retryable: false, details: { name: "id", ...expectation } },
  range_invalid: {
    status: 400,
    retryable: false,
    details: { name: "id", from: "number", to: "number", length: "number" },
  },
  message_invalid: { status: 400, retryable: false, details: { path: "id", ...expectation } },
  value_unstorable: { status: 400, retryable: false, details: { path: "id", ...expectation } },
  turn_too_large: { status: 413, retryable: false, details: { sessionId: "id", bytes: "number", bytesMax: "number" } },
  replaced_too_large: {
    status: 413,
    retryable: false,
    details: {
      sessionId: "id",
      after: "number",
      turns: "number",
      turnsMax: "number",
      bytes: "number",
      bytesMax: "number",
    },
  },
  branches_exceeded: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", branches: "number", branchesMax: "number" },
  },
  shares_exceeded: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", shares: "number", sharesMax: "number" },
  },
  conversations_exceeded: {
    status: 413,
    retryable: false,
    details: { conversations: "number", conversationsMax: "number" },
  },
  turn_parts_exceeded: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", part: "code", count: "number", countMax: "number" },
  },
  metadata_too_large: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", bytes: "number", bytesMax: "number" },
  },
  log_reserved: { status: 400, retryable: false, details: { log: "id" } },
  write_too_large: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", part: "code", log: "id", count: "number", countMax: "number" },
  },
  document_not_found: { status: 404, retryable: false, details: { scope: "id", key: "id" } },
  document_too_large: {
    status: 413,
    retryable: false,
    details: { scope: "id", key: "id", bytes: "number", bytesMax: "number" },
  },
  attachment_not_found: { status: 404, retryable: false, details: { sessionId: "id", hash: "id" } },
  attachment_too_large: { status: 413, retryable: false, details: { sessionId: "id", bytesMax: "number" } },
  attachments_exceeded: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", attachments: "number", attachmentsMax: "number" },
  },
  attachment_store_failed: { status: 503, retryable: true, details: { problem: "code", object: "id" } },
  agent_unknown: { status: 404, retryable: false, details: { agent: "id", known: "ids" } },
  agents_file_invalid: { status: 400, retryable: false, details: { file: "id", ...place, ...expectation } },

  // The session
  session_not_found: { status: 404, retryable: false, details: { sessionId: "id", problem: "code" } },
  session_exists: { status: 409, retryable: false, details: { sessionId: "id", problem: "code" } },
  session_expired: { status: 410, retryable: false, details: { sessionId: "id", expiresAt: "number" } },
  session_ended: { status: 409, retryable: false, details: { sessionId: "id" } },
  session_archived: { status: 409, retryable: false, details: { sessionId: "id" } },
  legal_hold: { status: 409, retryable: false, details: { sessionId: "id", reason: "text" } },
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
  },
  branch_not_found: { status: 404, retryable: false, details: { sessionId: "id", branch: "id" } },
  session_forked: { status: 409, retryable: true, details: { sessionId: "id", forkedAt: "number" } },

  // Snapshots
  snapshot_invalid: { status: 400, retryable: false, details: { source: "id", ...place, ...expectation } },
  snapshot_newer: { status: 400, retryable: false, details: { source: "id", found: "id", known: "id" } },
  snapshot_too_large: {
    status: 413,
    retryable: false,
    details: { sessionId: "id", source: "id", bytes: "number", bytesMax: "number" },
  },
  snapshot_not_found: { status: 404, retryable: false, details: { sessionId: "id", folder: "id" } },

  // Devices
  secret_missing: { status: 500, retryable: false, details: { name: "code" } },
  secret_mismatch: { status: 500, retryable: false, details: { sessions: "number", more: "flag" } },
  link_code_invalid: { status: 404, retryable: false, details: { tenant: "id" } },
  claim_undecided: { status: 409, retryable: false, details: { tenant: "id", userSession: "id", deviceSession: "id" } },

  // Concurrency
  conflict: { status: 409, retryable: false, details: { ...seenAndStored, log: "id" } },
  store_restored: { status: 409, retryable: false, details: seenAndStored },
  document_conflict: {
    status: 409,
    retryable: false,
    details: { scope: "id", key: "id", expectedVersion: "number", storedVersion: "number" },
  },
  key_reused: { status: 422, retryable: false, details: { sessionId: "id", key: "id", seq: "number" } },
  key_archived: {
    status: 409,
    retryable: false,
    details: { sessionId: "id", key: "id", archive: "id", seq: "number" },
  },
  busy: {
    status: 409,
    retryable: true,
    details: { sessionId: "id", holder: "id", fence: "number", heldForMs: "number" },
  },
  queue_full: { status: 429, retryable: true, details: { sessionId: "id", waiting: "number", waitingMax: "number" } },
  fenced: {
    status: 409,
    retryable: false,
    details: { sessionId: "id", fence: "number", storedFence: "number", holder: "id" },
  },
  turn_open: {
    status: 409,
    retryable: true,
    details: { sessionId: "id", turn: "number", holder: "id", fence: "number" },
  },
  turn_waiting: {
    status: 409,
    retryable: false,
    details: { sessionId: "id", turn: "number", reason: "text", since: "number", expiresAt: "number" },
  },
  turn_not_waiting: { status: 409, retryable: false, details: { sessionId: "id", turn: "number" } },
  turn_not_open: { status: 409, retryable: false, details: { sessionId: "id", turn: "number" } },
  contended: { status: 503, retryable: true, details: { sessionId: "id", attempts: "number" } },
  budget_exceeded: {
    status: 402,
    retryable: false,
    details: { sessionId: "id", unit: "code", used: "number", max: "number" },
  },
  daily_budget_exceeded: {
    status: 429,
    retryable: true,
    details: {
      sessionId: "id",
      scope: "code",
      unit: "code",
      used: "number",
      max: "number",
      startsAgainAt: "number",
      retryAfterMs: "number",
    },
  },

  // Answers
  aborted: { status: 499, retryable: false, details: { sessionId: "id", waitedMs: "number" } },
  interrupted: {
    status: 499,
    retryable: false,
    details: { sessionId: "id", turn: "number", how: "code", reported: "text" },
  },
  model_missing: { status: 500, retryable: false, details: { sessionId: "id", needs: "code" } },
  model_failed: { status: 502, retryable: true, details: modelFailure },
  model_refused: { status: 502, retryable: false, details: modelFailure },
  tool_steps_exceeded: {
    status: 502,
    retryable: false,
    details: { sessionId: "id", turn: "number", stepsMax: "number", tools: "ids" },
  },
  agent_not_routed: { status: 422, retryable: false, details: { sessionId: "id", known: "ids" } },
  router_failed: { status: 502, retryable: true, details: { sessionId: "id", reported: "text" } },
  summary_empty: { status: 409, retryable: false, details: { sessionId: "id", from: "number", to: "number" } },

  // Streams
  stream_not_found: { status: 404, retryable: false, details: { stream: "id" } },
  stream_ended: { status: 409, retryable: false, details: { stream: "id" } },
  stream_failed: { status: 502, retryable: false, details: { stream: "id", how: "code", reported: "text" } },

  // Live sessions
  state_too_large: { status: 413, retryable: false, details: { sessionId: "id", bytes: "number", bytesMax: "number" } },
  not_owner: { status: 421, retryable: true, details: { sessionId: "id", owner: "id", address: "id" } },
  owner_unreachable: {
    status: 502,
    retryable: true,
    details: { sessionId: "id", address: "id", problem: "code", seenAt: "number", reported: "text" },
  },
  mailbox_full: {
    status: 429,
    retryable: true,
    details: { sessionId: "id", waiting: "number", waitingMax: "number", bytes: "number", bytesMax: "number" },
  },
  host_full: { status: 503, retryable: true, details: { live: "number", liveMax: "number" } },
  runtime_invalid: {
    status: 500,
    retryable: false,
    details: { module: "id", problem: "code", hook: "code", value: "text", reported: "text" },
  },
  runtime_failed: { status: 502, retryable: false, details: { sessionId: "id", ...failedRuntime } },
  session_failed: { status: 503, retryable: false, details: { sessionId: "id", failures: "number", ...failedRuntime } },
  session_stopped: { status: 503, retryable: true, details: { sessionId: "id", how: "code" } },

  // HTTP
  request_invalid: { status: 400, retryable: false, details: { path: "id", ...expectation } },
  route_unknown: { status: 404, retryable: false, details: { method: "id", path: "id" } },
  method_not_allowed: { status: 405, retryable: false, details: { method: "id", allowed: "ids" } },
  body_too_large: { status: 413, retryable: false, details: { bytesMax: "number" } },
  key_missing: { status: 401, retryable: false, details: { scheme: "id" } },
  share_not_found: { status: 404, retryable: false, details: {} },
  key_expired: { status: 401, retryable: false, details: { id: "id", expiresAt: "number" } },
  key_forbidden: { status: 403, retryable: false, details: { right: "id", needed: "id", tenantOf: "code" } },
  device_missing: { status: 401, retryable: false, details: { header: "id" } },
  streams_full: { status: 429, retryable: true, details: { scope: "code", open: "number", openMax: "number" } },
  rate_limited: { status: 429, retryable: true, details: { retryAfterMs: "number" } },
  device_budget_exceeded: {
    status: 429,
    retryable: true,
    details: { scope: "code", unit: "code", used: "number", max: "number", retryAfterMs: "number" },
  },
  deadline_passed: { status: 504, retryable: true, details: { deadlineMs: "number" } },
  internal: { status: 500, retryable: false, details: { requestId: "id" } },

  // The store
  store_scheme_unknown: { status: 400, retryable: false, details: { url: "id", known: "ids" } },
  store_unavailable: {
    status: 503,
    retryable: true,
    details: {
      store: "id",
      file: "id",
      problem: "code",
      folder: "id",
      node: "id",
      httpStatus: "number",
      retryAfterMs: "number",
      lockedBy: "ids",
      commit: "number",
    },
  },
  store_busy: { status: 503, retryable: true, details: { store: "id", waitedMs: "number" } },
  store_full: { status: 507, retryable: true, details: { store: "id", file: "id" } },
  store_read_only: {
    status: 503,
    retryable: false,
    details: { store: "id", file: "id", path: "id", schema: "id", role: "id", rights: "ids" },
  },
  store_access_denied: {
    status: 503,
    retryable: false,
    details: { store: "id", path: "id", schema: "id", role: "id", rights: "ids" },
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
      scope: "id",
      key: "id",
      found: "number",
      known: "number",
      schema: "id",
      method: "id",
      breaking: "flag",
    },
  },
  outbox_full: { status: 503, retryable: true, details: { bytes: "number", bytesMax: "number" } },
  outbox_unsent: { status: 503, retryable: false, details: { turns: "number" } },
  store_schema_newer: { status: 500, retryable: false, details: { store: "id", found: "number", known: "number" } },
  closed: { status: 409, retryable: false, details: { name: "code", store: "id" } },
};
