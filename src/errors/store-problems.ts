/**
 * The problems of a store. An error carries the code of the problem and its ids and numbers; the words for its message
 * are made here. `reported` is the text of a driver, of the file system or of a server.
 */
import { counted } from "./counted.ts";

/** Codes of the problems of a store that is damaged, or that is not a store. */
export type InvalidProblem =
  | "archive_damaged"
  | "archive_method_unknown"
  | "attachment_damaged"
  | "changed_elsewhere"
  | "copy_differs"
  | "damaged"
  | "document_invalid"
  | "entries_missing"
  | "entry_invalid"
  | "folder"
  | "foreign_file"
  | "foreign_schema"
  | "method_missing"
  | "migration_pending"
  | "no_sessions"
  | "not_sqlite"
  | "open_turn_missing"
  | "refused"
  | "schema_incomplete"
  | "schema_missing"
  | "session_failed";

/** The place of a problem in a store. */
export interface InvalidStore {
  /** The store's URL without credentials, or its file; absent if the problem is of one session. */
  readonly store?: string;
  readonly problem: InvalidProblem;
  readonly sessionId?: string;
  readonly log?: string;
  readonly seq?: number;
  /** The scope and the key of a document; the key alone: the hash of an attachment. */
  readonly scope?: string;
  readonly key?: string;
  /** The number that was found, and the one that was expected: of entries, of sessions, of a version. */
  readonly found?: number;
  readonly known?: number;
  readonly schema?: string;
  /** The method that the store does not have. */
  readonly method?: string;
  /** True if programs of an older version cannot work on the store after its migration. */
  readonly breaking?: boolean;
}

type Words<Details> = (details: Details, reported: string) => string;

const backup = "restore the session from a backup";

const invalid: { readonly [Problem in InvalidProblem]: Words<InvalidStore> } = {
  archive_damaged: (d) => `part ${d.seq} of the archive of session ${d.sessionId} is damaged; ${backup}`,
  archive_method_unknown: (d) =>
    `part ${d.seq} of the archive of session ${d.sessionId} was packed by a newer version; upgrade Perdure`,
  attachment_damaged: (d) =>
    `the bytes of attachment ${d.key}${d.sessionId === undefined ? "" : ` of session ${d.sessionId}`} are missing, or are not those that were put; a backup may have them`,
  changed_elsewhere: (d) =>
    `session ${d.sessionId} was changed by another program: entry ${d.seq} of its log ${d.log} is missing; ${backup}`,
  copy_differs: (d, reported) =>
    `the copy of the store ${d.store} differs from it: ${d.found} of ${d.known} sessions (${reported}); check the store with "perdure doctor"`,
  damaged: (d, reported) => `the file of the store ${d.store} is damaged: ${reported}; restore a backup`,
  entries_missing: (d) =>
    d.found === undefined
      ? `the record of session ${d.sessionId} names entries${ofLog(d)} that are not stored; ${backup}`
      : `the record of session ${d.sessionId} names ${counted(d.known ?? 0, "entry")}${ofLog(d)}, the store has ${d.found}; ${backup}`,
  document_invalid: (d) =>
    `document ${d.key} of scope ${d.scope} cannot be read; put it again, delete it, or restore the store from a backup`,
  entry_invalid: (d) => `entry ${d.seq} of the log ${d.log} cannot be read; ${backup}`,
  folder: (d) => `the store ${d.store} is a folder; name a file in it`,
  foreign_file: (d) => `the database ${d.store} belongs to another program; name another file`,
  foreign_schema: (d, reported) =>
    `the schema ${d.schema} of the store ${d.store} has objects of another program: ${reported}; name another schema`,
  method_missing: (d) =>
    `the store was written for an earlier version of Perdure: it has no method ${d.method}; use a version of the store for this one`,
  migration_pending: (d) =>
    `the store ${d.store} is at version ${d.found} of the schema, this version of Perdure needs ${d.known}: make a backup${d.schema === undefined ? "" : " with the older version or pg_dump"}, then run "perdure migrate"; afterwards programs of an older version ${d.breaking === true ? "fail with store_schema_newer" : "still work"}`,
  no_sessions: (d) => `the store ${d.store} is not a store of Perdure; name another file`,
  not_sqlite: (d) => `the file ${d.store} is not an SQLite database; name another file`,
  open_turn_missing: (d) =>
    `the record of session ${d.sessionId} names the open turn ${d.seq}, which is missing or cannot be read; run "perdure doctor --repair"`,
  refused: (d, reported) => `the store ${d.store} refused a statement: ${reported}`,
  schema_incomplete: (d, reported) =>
    `the schema of the store ${d.store} is incomplete: ${reported}; "perdure doctor" finds what is missing`,
  schema_missing: (d) =>
    `there is no store at ${d.store}: it has no schema ${d.schema}; correct the name, or run "perdure migrate" to create the store`,
  session_failed: (d, reported) => `session ${d.sessionId} cannot be processed: ${reported}`,
};

function ofLog({ log }: InvalidStore): string {
  return log === undefined ? "" : ` of the log ${log}`;
}

/** The message of a store that is damaged, or that is not a store. */
export function describeInvalidStore(details: InvalidStore, reported: string): string {
  return invalid[details.problem](details, reported);
}

/** Codes of the reasons why a store is unavailable. */
export type UnavailableProblem =
  | "breaker_open"
  | "driver_missing"
  | "fallback"
  | "file_missing"
  | "folder_missing"
  | "locked"
  | "no_folder"
  | "node_too_old"
  | "outcome_unknown"
  | "planned"
  | "pool_exhausted"
  | "response_unknown"
  | "server_closing"
  | "stream_broken"
  | "unreachable";

/** A store, or a server in its place, that is unavailable. */
export interface UnavailableStore {
  /** The store's URL without credentials, its file, or the address of a server. */
  readonly store?: string;
  /** A file that is no store: a snapshot, an export, a backup. */
  readonly file?: string;
  readonly problem: UnavailableProblem;
  readonly folder?: string;
  /** The version of Node that runs. */
  readonly node?: string;
  readonly httpStatus?: number;
  readonly retryAfterMs?: number;
  /** The processes of the database server that hold the lock. */
  readonly lockedBy?: readonly string[];
  /** The number of a commit that was planned to fail. */
  readonly commit?: number;
}

const unavailable: { readonly [Problem in UnavailableProblem]: Words<UnavailableStore> } = {
  breaker_open: (d, reported) =>
    `the circuit breaker is open, the next attempt is in ${d.retryAfterMs} ms; the request was not sent; the last failure: ${reported}`,
  driver_missing: () => 'the package "pg" is not installed; run "npm install pg", or pass a pool of your own',
  fallback: () =>
    "the session was opened in the fallback, which does not replay this operation; open the session again when the store is back",
  file_missing: (d) => `there is no store at ${d.store}; correct its name`,
  folder_missing: (d) =>
    `the store ${d.store} cannot be opened: the folder ${d.folder} does not exist; create it first`,
  locked: (d) =>
    `the store ${d.store} can be reached, but a lock of another session of the database delayed the statement too long${d.lockedBy === undefined || d.lockedBy.length === 0 ? "" : `, held by process ${d.lockedBy.join(", ")}`}; find the holder in pg_stat_activity and pg_locks, and try again when it is done`,
  no_folder: (d) => `the store ${d.store} cannot be opened: ${d.folder} is not a folder; correct the name of the store`,
  node_too_old: (d) => `SQLite needs Node 22.18 or newer; this is Node ${d.node}; upgrade Node`,
  outcome_unknown: (_, reported) =>
    `${reported}; it is unknown whether the change was written: read the session before you write it again`,
  planned: (d) => `commit ${d.commit} failed as planned`,
  pool_exhausted: (d, reported) => `no connection of the store ${d.store} became free in time: ${reported}`,
  response_unknown: (d) => `the server ${d.store} answered with status ${d.httpStatus} and no error of Perdure`,
  server_closing: () => "the server is closing; try again",
  stream_broken: (_, reported) =>
    `the stream of the server ended before the answer did${reported === "" ? "" : `: ${reported}`}`,
  unreachable: (d, reported) =>
    d.file === undefined
      ? `the store ${d.store} cannot be reached: ${reported}`
      : `the file ${d.file} cannot be opened: ${reported}; correct its name`,
};

/** The message of a store that is unavailable. */
export function describeUnavailable(details: UnavailableStore, reported: string): string {
  return unavailable[details.problem](details, reported);
}
