import { defined } from "../../../domain/values/defined.ts";
import { SessionError } from "../../../errors.ts";
import type { Answered, FunctionCall } from "./function-call.ts";

/** The result of a statement; drivers have more fields. */
export interface QueryResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/**
 * The methods of a pool that Perdure calls, which `pg.Pool`, the pools of Neon and Vercel, and PGlite have. Each query may
 * use another connection.
 */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<QueryResult>;
  /** The event of an idle connection that was ended. With a listener it does not end the process. */
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
  /** Numbers for error messages. */
  readonly totalCount?: number;
  readonly idleCount?: number;
  readonly waitingCount?: number;
  readonly options?: { readonly max?: number };
}

/** An own pool, which also takes named statements and is closed with the store. */
export interface OwnPool extends PostgresPool {
  query(text: string | NamedQuery, values?: unknown[]): Promise<QueryResult>;
  connect(taken: (error: unknown, client: PooledClient, release: (error?: unknown) => void) => void): void;
  end(): Promise<void>;
}

/** A connection of an own pool. */
interface PooledClient {
  query(call: FunctionCall, answered: Answered): unknown;
  on(event: "error", listener: () => void): unknown;
}

/** A named statement on the server. */
export interface NamedQuery {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

/** The members of `pg` that this module uses. */
interface Driver {
  readonly Pool: new (
    config: Readonly<Record<string, unknown>>,
  ) => OwnPool & { on(event: "connect", listener: (client: PooledClient) => void): unknown };
  readonly Client: new (config: Readonly<Record<string, unknown>>) => OwnClient;
}

/** A connection of its own: for notifications, or for one long transaction. */
export interface OwnClient {
  connect(): Promise<unknown>;
  query(text: string, values?: unknown[]): Promise<QueryResult>;
  on(event: "notification", listener: (message: { readonly payload?: string }) => void): unknown;
  on(event: "error" | "end", listener: () => void): unknown;
  /** Keep the process open while the connection is open. */
  ref(): void;
  /** Do not keep the process open. */
  unref(): void;
  end(): Promise<void>;
}

/** The settings of the connections of a pool. */
export interface PoolSettings {
  readonly url: string;
  readonly max: number;
  readonly applicationName: string;
  /** Undefined: idle connections stay, and no timer runs. */
  readonly idleTimeoutMs: number | undefined;
  readonly connectTimeoutMs: number;
  /** The time after which the client gives up a connection without an answer. */
  readonly queryTimeoutMs: number;
  /** The time after which the server cancels a statement; undefined if a pooler refuses this setting. */
  readonly statementTimeoutMs: number | undefined;
}

/** @throws SessionError `store_unavailable` if `pg` is not installed */
export async function importDriver(store: string): Promise<Driver> {
  try {
    // @ts-ignore -- `pg` has no types of its own, and a project may have some; this module declares the members above.
    const module = (await import("pg")) as { readonly default: Driver };
    return module.default;
  } catch (error) {
    throw new SessionError("store_unavailable", { store, problem: "driver_missing" }, { cause: error });
  }
}

export function openPool(driver: Driver, settings: PoolSettings): OwnPool {
  const { url, max, applicationName, idleTimeoutMs, connectTimeoutMs, queryTimeoutMs, statementTimeoutMs } = settings;
  const pool = new driver.Pool({
    connectionString: url,
    max,
    application_name: applicationName,
    idleTimeoutMillis: idleTimeoutMs ?? 0,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    // A program that does not close its store can end.
    allowExitOnIdle: true,
    ...defined({ statement_timeout: statementTimeoutMs }),
  });
  // A connection that breaks fails its statement too. Without a listener the event ends the process.
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** The answer of a function in the form of a row. `release` with an error removes the connection from the pool. */
export function answerOn(pool: OwnPool, call: FunctionCall): Promise<QueryResult> {
  return new Promise((resolve, reject) => {
    pool.connect((failure, client, release) => {
      if (failure) {
        reject(failure);
        return;
      }
      client.query(call, (error, answer) => {
        release(error);
        if (error) reject(error);
        else resolve({ rows: [{ answer }] });
      });
    });
  });
}

/** The numbers of a pool for an error message; empty if the pool has none. */
export function numbersOf({ totalCount, idleCount, waitingCount, options }: PostgresPool): string {
  if (totalCount === undefined || idleCount === undefined || waitingCount === undefined) return "";
  const max = options?.max === undefined ? "" : ` of at most ${options.max}`;
  return `${totalCount}${max} connections, ${idleCount} idle, ${waitingCount} waiting for one`;
}

/** Waits for a connection or a pool to end, but no longer than `ms`: a connection that hangs must not hang its caller. */
export async function untilLate(ended: Promise<void>, ms: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms).unref();
  try {
    await Promise.race([ended, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
