import { SessionError } from "../../../errors.ts";
import { hasNoSpace, readOnlyErrorOf } from "./database-file.ts";

/** Primary result codes, as https://sqlite.org/rescode.html numbers them. */
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

/** What SQLite answers to a wrong statement or a broken constraint: a fault in this program, not of the store. */
const ourFaults: readonly number[] = [wrongStatement, constraint, 20, 21, 25];

/** The primary result code of an error of node:sqlite; undefined for any other error. */
function resultCode(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: unknown };
  return error instanceof Error && typeof errcode === "number" ? errcode & 0xff : undefined;
}

/** True where another connection is in the way for a moment. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === busy || code === locked;
}

/** True where what stands breaks a rule, such as that of a unique index. */
export function isRefused(error: unknown): error is Error {
  return resultCode(error) === constraint;
}

/** True where a statement names a table or a column that there is not: what of the schema somebody has taken away. */
export function isMissing(error: unknown): error is Error {
  return (
    resultCode(error) === wrongStatement &&
    error instanceof Error &&
    /^(no such (table|column): |table \S+ has no column named )/.test(error.message)
  );
}

/** True where a row holds an integer that is no exact number of JavaScript. */
export function isOutOfRange(error: unknown): boolean {
  return error instanceof RangeError && (error as { readonly code?: unknown }).code === "ERR_OUT_OF_RANGE";
}

/** Said by us where SQLite says in a row, not by an error, that another connection is in the way. */
export function busyError(): Error {
  return Object.assign(new Error("another connection is reading"), { errcode: busy });
}

/** What an error of SQLite means to a caller; anything else comes back as it is. */
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
      // The shared memory of the log cannot grow on a full disk; SQLite calls that an I/O error.
      if (hasNoSpace(store)) return new SessionError("store_full", { store }, cause);
      return unreachable(error, store);
    case readOnly:
      return readOnlyErrorOf(store) ?? new SessionError("store_read_only", { store }, cause);
    case cantOpen:
      // SQLite reports only that it cannot open the file or the log beside it; the file system has the cause.
      return readOnlyErrorOf(store) ?? unreachable(error, store);
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
