/** The messages of errors: the failure, the id, the limit, the next step. */
import { grantsOf } from "./grants.ts";
import {
  describeExceededSteps,
  describeInterruption,
  describeModelFailure,
  describeReachedDailyBudget,
  type ModelFailure,
} from "./answer-problems.ts";
import type { ErrorCode, ErrorDetails, InDocument, StreamFailure } from "./codes.ts";
import { describeAt, describeMismatch, type Expectation } from "./expectations.ts";
import {
  describeFailedRuntime,
  describeInvalidRuntime,
  describeStop,
  describeUnreachableOwner,
} from "./host-problems.ts";
import { describeInvalidStore, describeUnavailable } from "./store-problems.ts";
import { counted } from "./counted.ts";

/** Makes the message from the details; `caused` is the text of the cause, or another text that was passed for it, or empty. */
type Message<Details> = (details: Details, caused: string) => string;

/** The message of each code, in the order of the table of codes. */
export const messages: { readonly [Code in ErrorCode]: Message<ErrorDetails[Code]> } = {
  // Arguments of the caller
  argument_invalid: (d, caused) => describeMismatch(d.name, d, d.expected === "readable_file" ? caused : ""),
  id_invalid: describeArgument,
  duration_invalid: describeArgument,
  range_invalid: (d) =>
    d.length !== undefined
      ? `bytes ${d.from} to ${d.to} are no range of an attachment of ${d.length} bytes; bytes are numbered from 0, "from" is at most "to", and "to" is less than ${d.length}`
      : d.name !== undefined && d.to < firstOf(d.name)
        ? `${d.name} is ${d.from}, and the session has no finished turn yet`
        : d.name !== undefined
          ? `${d.name} is ${d.from}, expected a whole number from ${firstOf(d.name)} to ${d.to}, the last turn of the session`
          : `the range from ${d.from} to ${d.to} is not valid; turns, events and entries are numbered from 1, bytes from 0, and "from" is at most "to"`,
  message_invalid: (d, caused) => describeAt(d.path, d, caused),
  value_unstorable: (d, caused) => `${describeAt(d.path, d, caused)}; it cannot be stored`,
  turn_too_large: (d) =>
    `the turn of session ${d.sessionId} has ${d.bytes} bytes, the limit is ${d.bytesMax}; store large files elsewhere and append a reference, or raise limits.turnBytesMax`,
  replaced_too_large: (d) =>
    `a question after turn ${d.after} of session ${d.sessionId} replaces ${d.turns} or more turns of ${d.bytes} bytes; one question replaces at most ${d.turnsMax} turns of ${d.bytesMax} bytes; truncate the session after turn ${d.after} first`,
  branches_exceeded: (d) =>
    `session ${d.sessionId} has ${counted(d.branches, "branch")}, the limit is ${d.branchesMax}; remove one with session.removeBranch(id), or raise limits.branchesMax`,
  shares_exceeded: (d) =>
    `session ${d.sessionId} has ${counted(d.shares, "share")}, the limit is ${d.sharesMax}; revoke one with sessions.unshare(id)`,
  conversations_exceeded: (d) =>
    `the device has ${counted(d.conversations, "conversation")}, the limit is ${d.conversationsMax}; remove one, link the device to a user, or raise limits.conversationsMax`,
  turn_parts_exceeded: (d) =>
    `the turn of session ${d.sessionId} has ${d.count} ${d.part === "toolCalls" ? "tool calls" : "chunks"}, the limit is ${d.countMax}; spread them over several turns, or raise limits.${d.part}Max`,
  metadata_too_large: (d) =>
    `the metadata of session ${d.sessionId} would have ${d.bytes} bytes, the limit is ${d.bytesMax}; every turn rewrites the metadata, so store large data in turns`,
  log_reserved: (d) =>
    `the log name ${JSON.stringify(d.log)} is reserved: Perdure has logs of its own, and names that begin with "perdure" are kept for later; use another name`,
  write_too_large: (d) => {
    const named = d.log === undefined ? "" : ` to the log ${d.log}`;
    switch (d.part) {
      case "logs":
        return `session ${d.sessionId} would have ${d.count} named logs, the limit is ${d.countMax}; use keys within a log, or raise limits.logsMax`;
      case "entries":
        return `the write${named} of session ${d.sessionId} writes ${d.count} entries, the limit is ${d.countMax}; write them in several writes, or raise limits.writeEntriesMax`;
      case "entryBytes":
        return `an entry of the write${named} of session ${d.sessionId} has ${d.count} bytes, the limit is ${d.countMax}; store large data elsewhere and a reference here, or raise limits.entryBytesMax`;
      case "writeBytes":
        return `the write${named} of session ${d.sessionId} has ${d.count} bytes, the limit is ${d.countMax}; write in several writes, or raise limits.writeBytesMax`;
      case "pinnedTurns":
        return `session ${d.sessionId} would have ${d.count} pinned turns, the limit is ${d.countMax}; unpin one`;
      case "leftOutTurns":
        return `session ${d.sessionId} would have ${d.count} turns that are left out, the limit is ${d.countMax}; take one in`;
      case "ratings":
        return `session ${d.sessionId} would have ${d.count} ratings, the limit is ${d.countMax}; remove some`;
    }
  },
  document_not_found: (d) =>
    `there is no document ${d.key} in scope ${d.scope}, or it has expired; list the documents of the scope`,
  document_too_large: (d) =>
    `document ${d.key} of scope ${d.scope} has ${d.bytes} bytes, the limit is ${d.bytesMax}; store large data elsewhere and a reference here, or raise limits.documentBytesMax`,
  attachment_not_found: (d) =>
    d.sessionId === undefined
      ? `the shared session shows no attachment ${d.hash}; open one that a message of its turns names`
      : `session ${d.sessionId} has no attachment ${d.hash}; put it with session.attachments.put, or list those of the session`,
  attachment_too_large: (d) =>
    `the attachment of session ${d.sessionId} has more than ${d.bytesMax} bytes; store it elsewhere and append its URL, or raise limits.attachmentBytesMax`,
  attachments_exceeded: (d) =>
    `session ${d.sessionId} has ${counted(d.attachments, "attachment")}, data of its messages that the store has beside them included, the limit is ${d.attachmentsMax}; begin another session, or raise limits.attachmentsMax`,
  attachment_store_failed: (d, caused) =>
    d.problem === "failed"
      ? `the attachment store failed: ${caused}; try again once it answers`
      : d.problem === "wrong_bytes"
        ? `get of the attachment store gave ${caused}; expected undefined, or an async iterable whose pieces are Uint8Array: correct the attachment store`
        : d.problem === "other_store"
          ? `the attachment store is not the one of these sessions: it lacks their marker, the object ${d.object}; name the right one by the option attachments.in, or its folder in PERDURE_ATTACHMENTS`
          : `this process opens no attachment store; name it by the option attachments.in, or its folder in PERDURE_ATTACHMENTS`,
  agent_unknown: (d) =>
    `agent ${JSON.stringify(d.agent)} is not configured${d.known === undefined ? "" : `; configured agents: ${d.known.join(", ") || "none"}`}`,
  agents_file_invalid: (d, caused) => {
    const { file, line, column } = d;
    const at = line === undefined ? file : `${file}:${line}:${column}`;
    return `${at}: ${describeAt(d.path ?? "the file", d, caused)}`;
  },

  // The session
  session_not_found: (d) =>
    d.sessionId === undefined
      ? "this device has no session; send a message first"
      : d.problem === "no_user"
        ? `session ${d.sessionId} belongs to no user; open it without a user, or give it one with session.update({ user })`
        : `session ${d.sessionId} does not exist; create it with sessions.create() or sessions.ensure()`,
  session_exists: (d) =>
    d.problem === "differs"
      ? `session ${d.sessionId} exists already, and differs from the one that arrives; it stays as it is: a copy never replaces it, an import does with --on-exists replace (onExists: "replace")`
      : `session ${d.sessionId} already exists; open it with sessions.get() or sessions.ensure()`,
  session_expired: (d) =>
    `session ${d.sessionId} expired at ${new Date(d.expiresAt).toISOString()}; it can be read; to write to it, call sessions.ensure() with onExpired "revive" or "reset"`,
  session_ended: (d) => `session ${d.sessionId} has ended; it can be read; create a new session to continue`,
  session_archived: (d) => `session ${d.sessionId} is archived; it can be read; call unarchive() to make it writable`,
  legal_hold: (d) =>
    `session ${d.sessionId} is under legal hold${d.reason === undefined ? "" : ` (${d.reason})`}; clear the legal hold before you remove, truncate or erase it`,
  session_unreadable: (d) =>
    `the record of session ${d.sessionId} cannot be read: its field ${d.field} is damaged; restore the session from a backup, or remove it with "perdure sessions remove"`,
  branch_not_found: (d) =>
    `session ${d.sessionId} has no branch ${JSON.stringify(d.branch)}; session.branches() lists those that it has`,
  session_forked: (d) =>
    `forks share the turns of session ${d.sessionId} up to ${d.forkedAt}, and new forks were created while those turns were copied to the forks; try again`,

  // Snapshots
  snapshot_invalid: (d, caused) => {
    const source = d.source ?? "the document";
    if (d.path !== undefined) return `${source} is not a valid snapshot: ${describeAt(d.path, d, caused)}`;
    if (d.line === undefined) return describeAt(source, d, caused);
    return `${source} cannot be read as JSON: ${describeAt(positionOf(d), d, caused)}`;
  },
  snapshot_newer: (d) =>
    `${d.source} has format ${d.found}; this version of Perdure reads formats up to ${d.known}; upgrade Perdure`,
  snapshot_too_large: (d) =>
    `${d.source ?? `the snapshot of session ${d.sessionId}`} has ${d.bytes} bytes, the limit is ${d.bytesMax}; split it, or open the sessions in a program with a larger limits.snapshotBytesMax`,
  snapshot_not_found: (d) =>
    `the folder ${d.folder} has no snapshot of session ${d.sessionId}; save one with "perdure snapshot save"`,

  // Devices
  secret_missing: (d) =>
    `${d.name} need a secret that is not in the store: set openSessions({ secret }) or PERDURE_SECRET to a random text of 16 characters or more`,
  secret_mismatch: (d) =>
    `the secret is not the one of this store; ${d.more ? "more than " : ""}${counted(d.sessions, "session")} of devices would be lost: give the right secret, or name it in previousSecrets or PERDURE_SECRET_PREVIOUS beside the new one; "perdure secret reset" gives the sessions up`,
  link_code_invalid: () =>
    "the link code is not valid; a code works once, within ten minutes and five tries; request a new one on the other device",
  claim_undecided: (d) =>
    `the user has session ${d.userSession}, the device has session ${d.deviceSession}; choose the session to keep: keep: "user" or keep: "device"`,

  // Concurrency
  conflict: (d) =>
    d.log !== undefined
      ? `another writer changed the log ${d.log} of session ${d.sessionId} after version ${d.seenVersion}; nothing was written; look at it again, and decide`
      : `another writer changed session ${d.sessionId}: this Session has read up to turn ${d.seenTurn}, the log is at turn ${d.storedTurn}; nothing was written; refresh, read the new turns, and decide`,
  store_restored: (d) =>
    `the stored session ${d.sessionId} does not descend from the one that this Session has read: read were version ${d.seenVersion} and turn ${d.seenTurn}, stored are version ${d.storedVersion} and turn ${d.storedTurn}; the store was restored to an earlier state, so later turns may be lost; nothing was written; open the session again and compare`,
  document_conflict: (d) => {
    const stored = d.storedVersion === undefined ? "is not stored" : `has version ${d.storedVersion}`;
    const expected = d.expectedVersion === undefined ? "" : `, the write expected version ${d.expectedVersion}`;
    return `document ${d.key} of scope ${d.scope} ${stored}${expected}; nothing was written; read the document again, or use update()`;
  },
  key_reused: (d) =>
    `the idempotency key ${JSON.stringify(d.key)} belongs to turn ${d.seq} of session ${d.sessionId}, which has other content; repeat that turn exactly, or use a new key`,
  key_archived: (d) =>
    `the idempotency key ${JSON.stringify(d.key)} belongs to turn ${d.seq} of session ${d.archive}, which was session ${d.sessionId} before its reset; nothing was written; read that turn, or use a new key for a new one`,
  busy: (d) =>
    `instance ${d.holder} holds the lease of session ${d.sessionId} (fencing token ${d.fence}, for ${Math.round(d.heldForMs / 1000)} s); wait, use the busy policy "queue" or "interrupt", or break the lease with "perdure sessions break-lease"`,
  queue_full: (d) =>
    `session ${d.sessionId} has ${counted(d.waiting, "waiting caller")}, the limit is ${d.waitingMax}; try again later`,
  fenced: (d) =>
    `the lease of session ${d.sessionId} with fencing token ${d.fence} was superseded by fencing token ${d.storedFence}; nothing was written; open the session again`,
  turn_open: (d) => `turn ${d.turn} of session ${d.sessionId} is in progress; seal it, cancel it or wait for its end`,
  turn_waiting: (d) =>
    `turn ${d.turn} of session ${d.sessionId} waits to be resumed (${d.reason})${d.expiresAt === undefined ? "" : `, until ${new Date(d.expiresAt).toISOString()}`}; resume it with the token from session.waiting(), or interrupt it with session.cancel() or the busy policy "interrupt"`,
  turn_not_waiting: (d) =>
    `no turn of session ${d.sessionId} waits under this token: the turn was resumed, sealed or interrupted, its time is up, or the token is of another session${d.turn === undefined ? "" : `; turn ${d.turn} waits under another token`}; session.waiting() shows the turn that waits`,
  turn_not_open: (d) =>
    `turn ${d.turn} of session ${d.sessionId} is not in progress; only a turn in progress accepts chunks and can be sealed`,
  contended: (d) => `other writers changed session ${d.sessionId} during each of ${d.attempts} attempts; try again`,
  budget_exceeded: (d) =>
    `session ${d.sessionId} has used ${counted(d.used, d.unit === "turns" ? "turn" : "token")}, its budget is ${d.max}; raise the budget with session.update({ budget }), or continue in another session`,
  daily_budget_exceeded: (d) =>
    `${describeReachedDailyBudget(d)}; wait until then, or raise budgets.${d.scope} of openSessions (session ${d.sessionId})`,

  // Answers
  aborted: (d) =>
    `the question to session ${d.sessionId} was aborted or withdrawn after ${d.waitedMs} ms, before its turn began; nothing was written; ask again if needed`,
  interrupted: (d) =>
    `the answer in turn ${d.turn} of session ${d.sessionId} was interrupted (${describeInterruption(d)}); the text received so far is stored`,
  model_missing: (d) =>
    d.needs === "tools"
      ? `the model for session ${d.sessionId} runs no tools: the approved calls would have no results; nothing was written, and the turn still waits; pass a model of withTools, or use manager.approve`
      : `session ${d.sessionId} has no model; pass one to consult() or openSessions(), or set OPENAI_BASE_URL or OPENAI_API_KEY for "perdure serve"`,
  model_failed: (d, caused) => `the model failed: ${describeModelFailure(d, caused)}${ofTurn(d)}`,
  model_refused: (d, caused) =>
    `the model refused the request: ${describeModelFailure(d, caused)}${ofTurn(d)}; ${refusalAdvice(d)}`,
  tool_steps_exceeded: (d) =>
    `the answer was stopped: ${describeExceededSteps(d)}${ofTurn(d)}; the text received so far is stored; raise stepsMax, or find out why the model keeps calling tools`,
  agent_not_routed: (d) =>
    `the router found no agent for the message to session ${d.sessionId}; nothing was written; set a default agent, or name one of ${d.known.join(", ")}`,
  router_failed: (d) =>
    `the router failed for session ${d.sessionId}: ${d.reported}; nothing was written; try again, or set a default agent`,
  summary_empty: (d) =>
    `models are shown none of the turns ${d.from} to ${d.to} of session ${d.sessionId}: they are left out, or have no text for a model; nothing was stored; take a turn in with takeIn, or summarize up to a later one`,

  // Streams
  stream_not_found: (d) =>
    `stream ${d.stream} does not exist: it was not acquired, was deleted, or its time to live has passed; acquire it with sessions.streams.acquire()`,
  stream_ended: (d) =>
    `stream ${d.stream} has ended; nothing was written; only the producer of a stream in progress writes parts; acquire another id`,
  stream_failed: (d) =>
    `stream ${d.stream} did not finish: ${streamEnds[d.how]}${d.reported === undefined ? "" : ` (${d.reported})`}; its parts up to there can be read`,

  // Live sessions
  state_too_large: (d) =>
    `the state of session ${d.sessionId}, of its runtime or of its waiting turn, has ${d.bytes} bytes, the limit is ${d.bytesMax}; store large data in turns or elsewhere`,
  not_owner: (d) => `session ${d.sessionId} is live in host ${d.owner}; send the message to ${d.address}`,
  owner_unreachable: (d) =>
    `the host at ${d.address}, in which session ${d.sessionId} is live, does not answer: ${describeUnreachableOwner(d)}; it may have handled the message; try again`,
  mailbox_full: (d) =>
    `session ${d.sessionId} has ${counted(d.waiting, "waiting message")} of ${counted(d.bytes, "byte")}, the limits are ${d.waitingMax} messages and ${d.bytesMax} bytes; wait for answers before you send more`,
  host_full: (d) =>
    `this host has ${counted(d.live, "live session")}, the limit is ${d.liveMax}; try again later, raise maxSessions, or let whenFull suspend idle sessions`,
  runtime_invalid: describeInvalidRuntime,
  runtime_failed: (d) =>
    `${d.causedBy === undefined ? `the runtime of session ${d.sessionId} failed` : `the message to session ${d.sessionId} was interrupted`} (${d.how}): ${describeFailedRuntime(d)}; the session restarts from its stored state, in which changes made by this message may be saved`,
  session_failed: (d) =>
    `the runtime of session ${d.sessionId} failed ${counted(d.failures, "time")} and is not restarted; the last failure: ${describeFailedRuntime({ how: "threw", ...d })}; remove the cause, then call host.start()`,
  session_stopped: (d) => `session ${d.sessionId} ${describeStop(d.how)} before the message was handled; send it again`,

  // HTTP
  request_invalid: (d, caused) => describeAt(d.path, d, caused),
  route_unknown: (d) => `no route matches ${d.method} ${d.path}; /openapi.json and /docs list the routes`,
  method_not_allowed: (d) => `this path does not accept ${d.method}; it accepts ${d.allowed.join(", ")}`,
  body_too_large: (d) =>
    `the request body is larger than ${d.bytesMax} bytes; send less, or raise the limit of the server`,
  share_not_found: () =>
    "no share has this token: it was revoked, it has expired, or its session was removed; ask its owner for a new link",
  key_missing: (d) =>
    `this route needs a valid key: send "Authorization: ${d.scheme} pdk_…"; create a key with "perdure keys create"`,
  key_expired: (d) =>
    `the key ${d.id} expired at ${new Date(d.expiresAt).toISOString()}; create another one with "perdure keys create"`,
  key_forbidden: (d) =>
    `the key has the right "${d.right}", this route needs "${d.needed}"${d.tenantOf === undefined ? "" : ` in the tenant of the ${d.tenantOf}`}`,
  device_missing: (d) =>
    `this route needs a device: send a UUID in the header ${d.header}, or the unaltered cookie that POST /v1/chat set`,
  streams_full: (d) =>
    `this ${d.scope} has ${counted(d.open, "open stream")}, the limit is ${d.openMax}; close one, or raise streams.${d.scope} of the server`,
  rate_limited: (d) => `too many requests; try again in ${Math.ceil(d.retryAfterMs / 1000)} s`,
  device_budget_exceeded: (d) =>
    `${d.scope === "all" ? "all devices together have" : "the device has"} used ${d.used} of ${d.max} ${d.unit === "attachmentBytes" ? "bytes of attachments" : d.unit} in 24 hours; ${d.unit === "attachmentBytes" ? "this one does not fit, and is not stored" : "no model was called"}; try again in ${Math.ceil(d.retryAfterMs / 1000)} s, or raise deviceBudgets of the server`,
  deadline_passed: (d) =>
    `there was no response within ${d.deadlineMs} ms; an answer that has begun continues and is stored: read the turns, or follow the stream`,
  internal: (d) => `internal error; the server's log has the details under request ${d.requestId}`,

  // The store
  store_scheme_unknown: (d) => `no store opens ${d.url}; known schemes: ${d.known.join(", ")}`,
  store_unavailable: describeUnavailable,
  store_busy: (d) =>
    `another process kept the store ${d.store} locked for ${d.waitedMs} ms; raise busyTimeout, or find the process that holds the lock`,
  store_full: (d) =>
    d.file === undefined
      ? `the disk of the store ${d.store} is full; the write was rolled back; free space and try again`
      : `the disk of the file ${d.file} is full; the file was not written; free space and try again`,
  store_read_only: (d, caused) => {
    if (d.file !== undefined) return `this user has no right to the file ${d.file}: ${caused}; grant the right`;
    if (d.path !== undefined)
      return `the store ${d.store} cannot be written: ${d.path} is read-only for this user (${caused})`;
    if (d.rights !== undefined) return `the store ${d.store} cannot be written: ${caused}; ${grantAdvice(d)}`;
    const next =
      d.schema === undefined
        ? ""
        : `; a role that may create schemas runs "perdure migrate", and grants usage on ${d.schema} and all in it`;
    return `the store ${d.store} cannot be written: ${caused}${next}`;
  },
  store_access_denied: (d, caused) =>
    d.path === undefined
      ? `the store ${d.store} cannot be read: ${caused}; ${grantAdvice(d)}`
      : `the store ${d.store} cannot be read: this user may not read ${d.path} (${caused}); its owner grants the right`,
  store_invalid: describeInvalidStore,
  outbox_full: (d) =>
    `the store is unavailable, and the outbox would have ${d.bytes} bytes, the limit is ${d.bytesMax}; nothing was written; try again when the store is back, or raise limits.outboxBytesMax`,
  outbox_unsent: (d) =>
    `closed while the store was unavailable, with ${counted(d.turns, "turn")} in memory only, now lost; keep the outbox in a file: fallback: { outbox: "sqlite:outbox.db" }`,
  store_schema_newer: (d) =>
    `the store ${d.store} has schema ${d.found}; this version of Perdure reads schemas up to ${d.known}; upgrade Perdure`,
  closed: (d) => `${describeClosed(d)} is closed; open it again`,
};

function grantAdvice({
  schema = "",
  role = "",
  rights = [],
}: {
  readonly schema?: string;
  readonly role?: string;
  readonly rights?: readonly string[];
}): string {
  return `the owner of the schema runs: ${grantsOf({ schema, role, rights })}`;
}

/** A wrong argument, in the words of what was expected. */
function describeArgument(details: { readonly name: string } & Expectation): string {
  return describeMismatch(details.name, details);
}

const streamEnds: Readonly<Record<StreamFailure, string>> = {
  failed: "its producer failed",
  stopped: "it was stopped",
  lost: "its producer is no longer alive",
};

/** The subject of a sentence about a place in a document. */
function positionOf({ source = "", line, column }: InDocument & { readonly source?: string }): string {
  // A source that is a line of a file names the line itself.
  return line === 1 && /:\d+$/.test(source) ? `column ${column}` : `line ${line}, column ${column}`;
}

/** The subject of the message of a closed object. */
function describeClosed({ name, store }: ErrorDetails["closed"]): string {
  if (name === "sessions") return "this Sessions object";
  if (name === "host") return "this host";
  return store === undefined ? "the store" : `the store ${store}`;
}

/** The least number that an option may name: 1 for that of a turn, 0 for `after` and the `at` of a fork, which name the turn before others. */
function firstOf(name: string): 0 | 1 {
  return name === "after" || name === "at" ? 0 : 1;
}

/** The turn of a failed answer, if it has one. */
function ofTurn({ turn, sessionId }: { readonly turn?: number; readonly sessionId?: string }): string {
  return turn === undefined ? "" : ` (turn ${turn} of session ${sessionId})`;
}

/** The next step after a refusal of the model's endpoint. */
function refusalAdvice({ httpStatus, contextExceeded }: ModelFailure): string {
  if (contextExceeded === true)
    return "the request is longer than the model's context; ask for less or set a smaller window";
  if (httpStatus === 401 || httpStatus === 403) return "check the key and its rights";
  if (httpStatus === 404) return "check the model's name and the address";
  if (httpStatus === 400 || httpStatus === 422) return "check the question, the settings and the model's name";
  return "check the key, the model's name and the address";
}
