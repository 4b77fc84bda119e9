import { SessionError } from "../../../errors.ts";
import { hasNoSpace, readOnlyErrorOf, unreadableErrorOf } from "./database-file.ts";

/** Primary result codes of https://sqlite.org/rescode.html. */
const wrongStatement = 1;
const busy = 5;
const locked = 6;
const readOnly = 8;
const ioError = 10;
const corrupt = 11;
const full = 13;
const cantOpen = 14;
const constraint = 19;
const notADatabase = 26;

/** The codes of a wrong statement or a broken constraint: faults of this program, not of the store. */
const ourFaults: readonly number[] = [wrongStatement, constraint, 20, 21, 25];

/** The primary result code of an error of node:sqlite; undefined for any other error. */
function resultCode(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: unknown };
  return error instanceof Error && typeof errcode === "number" ? errcode & 0xff : undefined;
}

/** True if another connection has a lock. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === busy || code === locked;
}

/** True if SQLite refuses the statement itself, because of its text, the schema or a constraint. */
export function isFault(error: unknown): boolean {
  const code = resultCode(error);
  return code !== undefined && ourFaults.includes(code);
}

/** True if stored rows break a constraint, such as a unique index. */
export function isRefused(error: unknown): error is Error {
  return resultCode(error) === constraint;
}

/** True if a statement names a missing table or column, which another program has removed. */
export function isMissing(error: unknown): error is Error {
  return (
    resultCode(error) === wrongStatement &&
    error instanceof Error &&
    /^(no such (table|column): |table \S+ has no column named )/.test(error.message)
  );
}

/** True if a row has an integer that is no exact number of JavaScript. */
export function isOutOfRange(error: unknown): boolean {
  return error instanceof RangeError && (error as { readonly code?: unknown }).code === "ERR_OUT_OF_RANGE";
}

/** The error for a lock that SQLite reports in a row instead of by an error. */
export function busyError(): Error {
  return Object.assign(new Error("another connection is reading"), { errcode: busy });
}

/** The error for the caller of an error of SQLite. Other errors are returned unchanged. */
export function sessionErrorOf(error: unknown, store: string): unknown {
  const code = resultCode(error);
  const cause = { cause: error };
  if (isMissing(error)) {
    return new SessionError("store_invalid", { store, problem: "schema_incomplete" }, cause);
  }
  if (code === undefined || ourFaults.includes(code)) return error;
  switch (code) {
    case full:
      return new SessionError("store_full", { store }, cause);
    case ioError:
      // On a full disk the shared memory of the log cannot grow, which SQLite reports as an I/O error.
      if (hasNoSpace(store)) return new SessionError("store_full", { store }, cause);
      return unreachable(error, store);
    case readOnly:
      return readOnlyErrorOf(store) ?? new SessionError("store_read_only", { store }, cause);
    case cantOpen:
      // SQLite reports only that it cannot open the file or the log beside it; the file system has the cause.
      return unreadableErrorOf(store) ?? readOnlyErrorOf(store) ?? unreachable(error, store);
    case notADatabase:
      return new SessionError("store_invalid", { store, problem: "not_sqlite" }, cause);
    case corrupt:
      return new SessionError("store_invalid", { store, problem: "damaged" }, cause);
    default:
      return unreachable(error, store);
  }
}

function unreachable(cause: unknown, store: string): SessionError {
  return new SessionError("store_unavailable", { store, problem: "unreachable" }, { cause });
}
