import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { parseSchemaName } from "./connection/names.ts";
import type { PostgresPool } from "./connection/pool.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";

/** The database and its connections. Either `url` or `pool`. */
export interface PostgresOptions {
  /**
   * `postgres://user:password@host:port/database`, with the parameters of `pg`, such as those of SSL. Options may follow a question mark:
   * `?schema=agents&max=8&prepare=false&serverless=true&listen=true&deadline=10s&attempt=3s&connectTimeout=2s`.
   */
  readonly url?: string;
  /** A pool of your own: `pg.Pool`, Neon's, Vercel's, PGlite. It is not closed with the store. */
  readonly pool?: PostgresPool;
  /** The schema that holds Perdure's tables. @default "perdure" */
  readonly schema?: string;
  /** Creates or updates the schema if needed; false: its owner runs `perdure migrate`. @default true */
  readonly migrate?: boolean;
  /** The number of partitions of the table of entries when it is created. @default 1 */
  readonly partitions?: number;
  /** The most connections. @default 4, with `serverless` 1 */
  readonly max?: number;
  /**
   * For functions that live for one request: one connection, opened by the first statement, and no timer.
   * @default false
   */
  readonly serverless?: boolean;
  /**
   * Prepares frequent statements on each connection, so the server parses them once. A store stops to do so if a pooler loses
   * them. False for a pooler that gives such a connection to no other client, as RDS Proxy does.
   * @default true, with `serverless` false
   */
  readonly prepare?: boolean;
  /**
   * Notifies other instances of changes by `notify`, and receives their notifications by `listen` on a connection of its own:
   * watchers see changes at once instead of within a quarter of a second. It receives nothing behind a pooler in transaction
   * mode.
   * @default false
   */
  readonly listen?: boolean;
  /** The deadline of a call, over restarts and broken connections. @default "30s" */
  readonly deadline?: Duration;
  /** The longest time of one try. @default "10s" */
  readonly attempt?: Duration;
  /** The longest wait for a connection within a try. @default "5s" */
  readonly connectTimeout?: Duration;
  /** The time after which the server cancels a statement. Not set if a pooler refuses the setting. @default "20s" */
  readonly statementTimeout?: Duration;
  /** The time after which an idle connection is closed. @default "30s", with `serverless` never */
  readonly idleTimeout?: Duration;
  /** The name of this program in the connection lists of the server. @default "perdure" */
  readonly applicationName?: string;
}

/** The checked options, with defaults. */
export interface ResolvedOptions {
  readonly source: { readonly url: string } | { readonly pool: PostgresPool };
  /** The address without its password, for error messages. */
  readonly name: string;
  readonly schema: string;
  readonly migrate: boolean;
  readonly partitions: number;
  readonly max: number;
  readonly lazy: boolean;
  readonly prepare: boolean;
  readonly listen: boolean;
  readonly deadlineMs: number;
  readonly attemptMs: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly idleTimeoutMs: number | undefined;
  readonly applicationName: string;
}

const defaults = {
  schema: "perdure",
  max: 4,
  partitions: 1,
  deadline: "30s",
  attempt: "10s",
  connectTimeout: "5s",
  statementTimeout: "20s",
  idleTimeout: "30s",
  applicationName: "perdure",
} as const satisfies PostgresOptions;

const partitionsMax = 1024;
const connectionsMax = 1000;

const optionNames: OptionNames<PostgresOptions> = {
  url: true,
  pool: true,
  schema: true,
  migrate: true,
  partitions: true,
  max: true,
  serverless: true,
  prepare: true,
  listen: true,
  deadline: true,
  attempt: true,
  connectTimeout: true,
  statementTimeout: true,
  idleTimeout: true,
  applicationName: true,
};

/** @throws SessionError `argument_invalid`, `duration_invalid` */
export function resolveOptions(given: PostgresOptions): ResolvedOptions {
  guardNames(given, "options", optionNames);
  const { url, ...ofUrl }: OfUrl = parseUrl(given.url);
  const options = { ...defaults, ...ofUrl, ...defined(given) };
  const serverless = options.serverless ?? false;
  const schema = parseSchemaName(options.schema);
  const max = parseCount(given.max ?? ofUrl.max ?? (serverless ? 1 : defaults.max), {
    name: "max",
    most: connectionsMax,
  });
  return {
    source: sourceOf(url, given.pool),
    name: `${url === undefined ? "behind the given pool" : redact(url)}${schema === defaults.schema ? "" : ` (schema ${schema})`}`,
    schema,
    migrate: options.migrate ?? true,
    partitions: parsePartitions(options.partitions),
    max,
    lazy: serverless,
    prepare: options.prepare ?? !serverless,
    listen: parseListen(options.listen ?? false, given.pool),
    deadlineMs: parseDuration(options.deadline, "deadline"),
    attemptMs: parseDuration(options.attempt, "attempt"),
    connectTimeoutMs: parseDuration(options.connectTimeout, "connectTimeout"),
    statementTimeoutMs: parseDuration(options.statementTimeout, "statementTimeout"),
    idleTimeoutMs:
      serverless && given.idleTimeout === undefined ? undefined : parseDuration(options.idleTimeout, "idleTimeout"),
    applicationName: options.applicationName,
  };
}

/** @throws SessionError `argument_invalid` */
export function parsePartitions(partitions: number): number {
  return parseCount(partitions, { name: "partitions", most: partitionsMax });
}

function sourceOf(url: string | undefined, pool: PostgresPool | undefined): ResolvedOptions["source"] {
  if (url !== undefined && pool === undefined) return { url };
  if (pool !== undefined && url === undefined && typeof pool.query === "function") return { pool };
  throw invalidArgument("pool", pool, { expected: "url_or_pool" });
}

function parseListen(listen: boolean, pool: PostgresPool | undefined): boolean {
  if (!listen || pool === undefined) return listen;
  throw invalidArgument("listen", listen, { expected: "url_without_pool" });
}

type OfUrl = Pick<
  PostgresOptions,
  "url" | "schema" | "max" | "prepare" | "serverless" | "listen" | "deadline" | "attempt" | "connectTimeout"
>;

/** The options of Perdure in a URL; the other parameters are for `pg`. */
function parseUrl(text: string | undefined): OfUrl {
  if (text === undefined) return {};
  if (typeof text !== "string") throw invalidArgument("url", text, { expected: "database_url" });
  const [address = "", query = ""] = text.split(/\?(.*)/s);
  const parameters = new URLSearchParams(query);
  const take = (name: string): string | undefined => {
    const value = parameters.get(name) ?? undefined;
    parameters.delete(name);
    return value;
  };
  const schema = take("schema");
  const max = take("max");
  const prepare = parseFlag(take("prepare"), "prepare");
  const serverless = parseFlag(take("serverless"), "serverless");
  const listen = parseFlag(take("listen"), "listen");
  const [deadline, attempt, connectTimeout] = [take("deadline"), take("attempt"), take("connectTimeout")];
  return {
    url: parameters.size === 0 ? address : `${address}?${parameters.toString()}`,
    ...defined({ schema, max: max === undefined ? undefined : Number(max), prepare, serverless, listen }),
    ...defined({ deadline, attempt, connectTimeout }),
  };
}

function parseFlag(value: string | undefined, name: string): boolean | undefined {
  if (value === undefined || value === "true" || value === "false") return value && value === "true";
  throw invalidArgument(name, value, { expected: "boolean" });
}

function parseCount(value: number, { name, most }: { name: string; most: number }): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw invalidArgument(name, value, { expected: "whole_number", min: 1, max: most });
}

/** A URL for an error message: without user, password and parameters. */
function redact(url: string): string {
  return url.replace(/\?.*$/s, "").replace(/\/\/.*@/s, "//");
}
