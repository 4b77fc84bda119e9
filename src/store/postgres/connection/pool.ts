import { defined } from "../../../domain/values/defined.ts";
import { SessionError } from "../../../errors.ts";

/** What a statement gives back; drivers add more. */
export interface QueryResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/**
 * What Perdure calls of a pool: `pg.Pool`, the pools of Neon and Vercel and PGlite have it. Each query may go to another
 * connection.
 */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<QueryResult>;
  /** How a pool tells that an idle connection was ended; listened to where it is there, so that none is fatal. */
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
  /** Numbers for error messages. */
  readonly totalCount?: number;
  readonly idleCount?: number;
  readonly waitingCount?: number;
  readonly options?: { readonly max?: number };
}

/** A pool of our own, which takes more than a text and is closed with the store. */
export interface OwnPool extends PostgresPool {
  query(text: string | NamedQuery, values?: unknown[]): Promise<QueryResult>;
  end(): Promise<void>;
}

/** A statement that the server keeps under a name. */
export interface NamedQuery {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

/** The members of `pg` that are used here. */
interface Driver {
  readonly Pool: new (config: Readonly<Record<string, unknown>>) => OwnPool;
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

/** What the connections of a pool are to be like. */
export interface PoolSettings {
  readonly url: string;
  readonly max: number;
  readonly applicationName: string;
  /** Undefined: idle connections stay, and no timer runs. */
  readonly idleTimeoutMs: number | undefined;
  readonly connectTimeoutMs: number;
  /** After which a connection without an answer is given up. */
  readonly queryTimeoutMs: number;
  /** After which the server itself ends a statement; undefined where what stands between refuses to be told. */
  readonly statementTimeoutMs: number | undefined;
}

/** @throws SessionError `store_unavailable` where `pg` is not installed */
export async function importDriver(store: string): Promise<Driver> {
  try {
    // @ts-ignore -- pg brings no types of its own, and a user's project may have some; ours are the members above.
    const module = (await import("pg")) as { readonly default: Driver };
    return module.default;
  } catch (error) {
    throw new SessionError("store_unavailable", { store, problem: "driver_missing" }, { cause: error });
  }
}

export function openPool(driver: Driver, settings: PoolSettings): OwnPool {
  const { url, max, applicationName, idleTimeoutMs, connectTimeoutMs, queryTimeoutMs, statementTimeoutMs } = settings;
  return new driver.Pool({
    connectionString: url,
    max,
    application_name: applicationName,
    idleTimeoutMillis: idleTimeoutMs ?? 0,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    // A program that forgets to close its store can still end.
    allowExitOnIdle: true,
    ...defined({ statement_timeout: statementTimeoutMs }),
  });
}

/** The numbers of a pool, as an error message tells them; empty where it has none. */
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
