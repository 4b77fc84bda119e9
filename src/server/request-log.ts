/** The log of a server: one entry for each request, each internal error, and failures in the background. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { routePath } from "hono/route";
import { defined } from "../domain/values/defined.ts";
import type { SessionError } from "../errors.ts";
import type { FallbackNews, ReplayNews, StoreNews, SweepNews } from "../index.ts";
import type { RequestContext } from "./http/route.ts";

/** One line of the server's log. It contains no message and no device id. */
export interface LogEntry {
  readonly level: "info" | "warn" | "error";
  /**
   * `request`: the server answered a request. `failure`: an internal error. `fallback`: a session was opened without the store.
   * `replayed`: its turns were replayed to the store. `parked`: the store refused them. `replay_failed`: the replay failed and
   * is retried. `session_sweep_failed`: a sweep failed on a session. `sweep_failed`: a store error ended a sweep early.
   * `store_away`: a call did not reach the store. `store_back`: a call reached it again, after `ms`. `store_retrying`:
   * PostgreSQL is absent and statements are retried, no call has failed yet. `store_answering`: it answers again, after `ms`.
   * `store_unwritable`: the store refused a write. `store_writable`: it took a write again, after `ms`. `started`,
   * `stopping`, `stopped`: the server of the command line.
   */
  readonly event:
    | "request"
    | "failure"
    | "fallback"
    | "replayed"
    | "parked"
    | "replay_failed"
    | "session_sweep_failed"
    | "sweep_failed"
    | "store_away"
    | "store_back"
    | "store_retrying"
    | "store_answering"
    | "store_unwritable"
    | "store_writable"
    | "started"
    | "stopping"
    | "stopped";
  readonly requestId?: string;
  readonly method?: string;
  readonly route?: string;
  readonly status?: number;
  readonly ms?: number;
  readonly code?: string;
  readonly session?: string;
  readonly reason?: string;
  /** Of `started`: the version of Perdure, and where the server listens. */
  readonly version?: string;
  readonly url?: string;
  /** The internal error. */
  readonly error?: unknown;
}

/** The path of the route, never of the request, so that logs and labels contain no ids. */
export function routeOf(c: RequestContext): string {
  const path = routePath(c, -1);
  return path === "" || path === "/*" || path === "*" ? "unknown" : path;
}

/** Logs a store that goes away and comes back, sessions opened without it, and failed replays and sweeps. */
export function logBackgroundEvents(log: (entry: LogEntry) => void): () => void {
  const onFallback = (message: unknown): void => {
    const { session, reason } = message as FallbackNews;
    log({ level: "warn", event: "fallback", session, reason });
  };
  const onReplay = (message: unknown): void => {
    const { session, parked, failing } = message as ReplayNews;
    if (failing !== undefined) log({ level: "error", event: "replay_failed", session, code: failing });
    else if (parked === undefined) log({ level: "info", event: "replayed", session });
    else log({ level: "error", event: "parked", session, code: parked });
  };
  const onSweep = (message: unknown): void => {
    const { failures, error } = message as SweepNews;
    for (const { session, code } of failures) log({ level: "error", event: "session_sweep_failed", session, code });
    if (error !== undefined) log({ level: "error", event: "sweep_failed", code: error });
  };
  const onStore = (message: unknown): void => {
    const { state, ...rest } = message as StoreNews;
    const level = state === "away" || state === "unwritable" ? "error" : state === "retrying" ? "warn" : "info";
    log({ level, event: `store_${state}`, ...rest });
  };
  subscribe("perdure:store-state", onStore);
  subscribe("perdure:sweep", onSweep);
  subscribe("perdure:fallback", onFallback);
  subscribe("perdure:replay", onReplay);
  return () => {
    unsubscribe("perdure:store-state", onStore);
    unsubscribe("perdure:sweep", onSweep);
    unsubscribe("perdure:fallback", onFallback);
    unsubscribe("perdure:replay", onReplay);
  };
}

/** The parts of a request that the log of its errors names. */
export type FailedRequest = Pick<LogEntry, "requestId" | "method" | "route">;

export function failedRequest(c: RequestContext): FailedRequest {
  return { requestId: c.get("requestId"), method: c.req.method, route: routeOf(c) };
}

/** The entry of an internal error. */
export function failureEntry(request: FailedRequest, error: SessionError): LogEntry {
  const details = error.details as { sessionId?: string };
  return {
    level: "error",
    event: "failure",
    ...request,
    status: error.status,
    code: error.code,
    ...defined({ session: details.sessionId }),
    // The message names the next step; its cause names what failed.
    reason: error.message,
    error: error.cause ?? error,
  };
}
