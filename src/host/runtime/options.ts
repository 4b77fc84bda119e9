import { availableParallelism } from "node:os";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { parseRestart, type RestartOptions, type RestartRule } from "./restarts.ts";
import { parseRuntime, runtimeAddress, type Runtime } from "./runtime.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { parseOneOf } from "../../sessions/options/arguments.ts";

/**
 * The place of the sessions' code: all in the host's thread; many in each of some worker threads; each in its own
 * worker thread; each in its own process.
 */
export type Isolation = "inline" | "pool" | "session" | "process";

/** How a host activates another session when `maxSessions` are live. */
export type WhenFull = "reject" | "passivate-least-recent" | "wait";

/** Options of a host; all but `runtime` are optional. */
export interface HostOptions {
  /** The runtime: the path or URL of its module; with `isolation: "inline"` also the object itself. */
  readonly runtime: Runtime | string | URL;
  /** @default "inline" */
  readonly isolation?: Isolation;
  /**
   * Worker threads of a pool.
   * @default one less than the machine's cores, at least one
   */
  readonly workers?: number;
  /**
   * Heap limit of each worker thread or process, in MiB, at least 16.
   * @default that of Node.js
   */
  readonly memoryMax?: number;
  /**
   * Maximum number of live sessions.
   * @default 10 000
   */
  readonly maxSessions?: number;
  /** @default "reject" */
  readonly whenFull?: WhenFull;
  /**
   * A session without messages for this time is passivated. The session's metadata (`timeoutMinutes`) or its agent
   * (`idleTimeout`) can override it.
   * @default "15m"
   */
  readonly idleTimeout?: Duration;
  /**
   * Time limit of an answer, including the activation before it.
   * @default "10m"
   */
  readonly turnTimeout?: Duration;
  /**
   * How long the code of one session may block a pool thread while others have work there, as an endless loop does.
   * Then the thread is ended, and the other sessions restart elsewhere.
   * @default "5s"
   */
  readonly stallTimeout?: Duration;
  /**
   * How long a session may take to finish when it is passivated, before it is killed.
   * @default "10s"
   */
  readonly stopTimeout?: Duration;
  /**
   * Messages that may wait for one session.
   * @default 100
   */
  readonly mailboxMax?: number;
  /**
   * Total size of the messages that may wait for one session, in bytes; a single waiting message may be larger.
   * @default 16 MiB
   */
  readonly mailboxBytesMax?: number;
  readonly restart?: RestartOptions;
  /**
   * This host's address for other hosts on the same store, such as `http://10.0.0.3:8080`; they return it with
   * `not_owner`.
   */
  readonly address?: string;
}

/** {@link HostOptions} with their defaults, in milliseconds. */
export interface ResolvedHostOptions {
  /** The object, or the URL of its module. */
  readonly runtime: Runtime | string;
  readonly isolation: Isolation;
  readonly workers: number;
  readonly memoryMax: number | undefined;
  readonly maxSessions: number;
  readonly whenFull: WhenFull;
  readonly idleTimeoutMs: number;
  readonly turnTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly mailboxMax: number;
  readonly mailboxBytesMax: number;
  readonly restart: RestartRule;
  readonly address: string | null;
}

const optionNames: OptionNames<HostOptions> = {
  runtime: true,
  isolation: true,
  workers: true,
  memoryMax: true,
  maxSessions: true,
  whenFull: true,
  idleTimeout: true,
  turnTimeout: true,
  stallTimeout: true,
  stopTimeout: true,
  mailboxMax: true,
  mailboxBytesMax: true,
  restart: true,
  address: true,
};
const restartNames: OptionNames<RestartOptions> = { max: true, within: true, backoff: true, backoffMax: true };

const isolations: readonly Isolation[] = ["inline", "pool", "session", "process"];
/** Below this, V8 may end the whole process instead of the thread, MiB. */
const memoryMin = 16;
const whenFullValues: readonly WhenFull[] = ["reject", "passivate-least-recent", "wait"];

/** @throws SessionError `argument_invalid`, `duration_invalid`, `runtime_invalid`, before anything is started */
export function resolveHostOptions(options: HostOptions): ResolvedHostOptions {
  guardNames(options, "options", optionNames);
  if (options.restart !== undefined) guardNames(options.restart, "restart", restartNames);
  const { isolation = "inline", whenFull = "reject", memoryMax } = options;
  return Object.freeze({
    runtime: parseRuntimeOption(options.runtime, parseOneOf(isolation, "isolation", isolations)),
    isolation,
    workers: wholeNumber(options.workers ?? Math.max(1, availableParallelism() - 1), "workers", 1024),
    memoryMax: memoryMax === undefined ? undefined : wholeNumber(memoryMax, "memoryMax", 1024 * 1024, memoryMin),
    maxSessions: wholeNumber(options.maxSessions ?? 10_000, "maxSessions", 10_000_000),
    whenFull: parseOneOf(whenFull, "whenFull", whenFullValues),
    idleTimeoutMs: parseDuration(options.idleTimeout ?? "15m", "idleTimeout"),
    turnTimeoutMs: parseDuration(options.turnTimeout ?? "10m", "turnTimeout"),
    stallTimeoutMs: parseDuration(options.stallTimeout ?? "5s", "stallTimeout"),
    stopTimeoutMs: parseDuration(options.stopTimeout ?? "10s", "stopTimeout"),
    mailboxMax: wholeNumber(options.mailboxMax ?? 100, "mailboxMax", 1_000_000),
    mailboxBytesMax: wholeNumber(options.mailboxBytesMax ?? 16 * 1024 * 1024, "mailboxBytesMax", 2 ** 40),
    restart: parseRestart(options.restart ?? {}),
    address: options.address === undefined ? null : parseAddress(options.address),
  } satisfies ResolvedHostOptions);
}

function parseRuntimeOption(runtime: HostOptions["runtime"], isolation: Isolation): Runtime | string {
  if (typeof runtime === "string" || runtime instanceof URL) return runtimeAddress(runtime);
  const parsed = parseRuntime(runtime, "the option runtime");
  if (isolation === "inline") return parsed;
  throw invalidArgument("runtime", runtime, { expected: "module_address" });
}

function parseAddress(address: string): string {
  if (typeof address === "string" && address.length <= 1000 && URL.canParse(address)) {
    const { protocol, username, password } = new URL(address);
    if (/^https?:$/.test(protocol) && username === "" && password === "") return address;
  }
  throw invalidArgument("address", address, { expected: "web_address" });
}

function wholeNumber(value: number, name: string, max: number, min = 1): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalidArgument(name, value, { expected: "whole_number", min, max });
}
