import { SessionError } from "../../../errors.ts";

/** The error code of PostgreSQL, of five characters: https://www.postgresql.org/docs/current/errcodes-appendix.html */
export function sqlState(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  // Codes such as EPIPE are those of Node; no state begins with an E.
  return typeof code === "string" && /^[0-9A-DF-Z][0-9A-Z]{4}$/.test(code) ? code : undefined;
}

function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(textOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

const passing = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "53300", // too_many_connections
  "55P03", // lock_not_available: past lock_timeout
  "57014", // query_canceled: past statement_timeout
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now: starting up
  "57P05", // idle_session_timeout
  "25006", // read_only_sql_transaction: a standby on its way to become the primary
]);

/**
 * True if the same statement may succeed in a moment: the connection broke, the server restarts, or another transaction held a
 * lock. Errors without a state are from the driver and concern the connection, except those of a wrong argument.
 */
export function isPassing(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return passing.has(state) || (state.startsWith("08") && !isRefusedParameter(error));
  if (error instanceof TypeError || error instanceof RangeError || error instanceof SessionError) return false;
  return !isEndedPool(error);
}

/**
 * True if the error is that of a server which was interrupted. A wrong address, certificate or setting does not change during
 * a wait.
 */
export function isInterruption(error: unknown): boolean {
  if (sqlState(error) !== undefined) return true;
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code === "string") return ["ECONNRESET", "EPIPE", "ETIMEDOUT"].includes(code);
  return /^(Connection terminated|timeout exceeded|Query read timeout|no answer)/.test(textOf(error));
}

/** True if no server answered: the connection broke, or the server starts, stops or has no connection left. */
export function isAbsence(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined || /^(08|57P|53300)/.test(state);
}

/** True if the transaction is read-only: the server is a standby, or a setting says so. */
export function isReadOnly(error: unknown): boolean {
  return sqlState(error) === "25006";
}

/** True if the role lacks a right. */
export function isDenied(error: unknown): boolean {
  return sqlState(error) === "42501";
}

/** True if a lock that another transaction holds is the reason. */
export function isLockTimeout(error: unknown): boolean {
  return sqlState(error) === "55P03";
}

/** True if a lock may be the reason: the statement was cancelled after its time, or has no answer yet. */
export function mayWaitForLock(error: unknown): boolean {
  return isLockTimeout(error) || sqlState(error) === "57014" || /^(Query read timeout|no answer)/.test(textOf(error));
}

/** PgBouncer refuses connections with a setting that it does not track. */
export function isRefusedParameter(error: unknown): boolean {
  return sqlState(error) === "08P01" && textOf(error).includes("startup parameter");
}

/**
 * True if a named statement is not on this connection of the server, or was prepared on it by another client: a pooler in transaction
 * mode gives each statement any of its connections. The statement was not executed.
 */
export function isLostName(error: unknown): boolean {
  const state = sqlState(error);
  return state === "26000" || state === "42P05";
}

function isEndedPool(error: unknown): boolean {
  return textOf(error).includes("after calling end on the pool");
}

/** True if no connection became free in time. */
export function isExhausted(error: unknown): boolean {
  return textOf(error) === "timeout exceeded when trying to connect";
}

/** True if the error, or its cause, is a missing schema, table or function. */
export function isMissing(error: unknown): boolean {
  const state = sqlState(error instanceof SessionError ? error.cause : error);
  return state === "3F000" || state === "42P01" || state === "42883";
}

/** The error of a store for an error of the driver or the server; those of Perdure stay as they are. */
export function sessionErrorOf(error: unknown, { store, pool }: { store: string; pool: string }): unknown {
  if (error instanceof SessionError) return error;
  const state = sqlState(error);
  const cause = { cause: error, reported: textOf(error) };
  if (state === undefined) {
    if (error instanceof TypeError || error instanceof RangeError) return error;
    if (isExhausted(error) && pool !== "")
      return new SessionError("store_unavailable", { store, problem: "pool_exhausted" }, { ...cause, reported: pool });
    return new SessionError("store_unavailable", { store, problem: "unreachable" }, cause);
  }
  if (state === "53100") return new SessionError("store_full", { store }, cause);
  if (state === "42501" || state === "25006") return new SessionError("store_read_only", { store }, cause);
  if (passing.has(state) || ["08", "28", "3D", "53", "57", "58"].includes(state.slice(0, 2)))
    return new SessionError("store_unavailable", { store, problem: "unreachable" }, cause);
  // Class 22, data exception: the server cannot store a value of the request. The store is not damaged.
  if (state.startsWith("22")) return new SessionError("value_unstorable", { path: "request" }, cause);
  return new SessionError("store_invalid", { store, problem: "refused" }, cause);
}
