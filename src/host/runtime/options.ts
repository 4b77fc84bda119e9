import { availableParallelism } from "node:os";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import { parseRestart, type RestartOptions, type RestartRule } from "./restarts.ts";
import { parseRuntime, runtimeAddress, type Runtime } from "./runtime.ts";

/**
 * Where the code of sessions runs: all in the host's own thread; many in each of some worker threads; each in a worker
 * thread of its own; each in a process of its own.
 */
export type Isolation = "inline" | "pool" | "session" | "process";

/** What happens to a session that wakes up when as many are live as may be. */
export type WhenFull = "reject" | "passivate-least-recent" | "wait";

/** How a host runs its sessions; all but `runtime` is optional. */
export interface HostOptions {
  /** The code: a module's path or URL; with `isolation: "inline"` also the object itself. */
  readonly runtime: Runtime | string | URL;
  /** @default "inline" */
  readonly isolation?: Isolation;
  /** Worker threads of a pool. @default the machine's cores but one, at least one */
  readonly workers?: number;
  /** The heap that each worker thread or process may have, in MiB, 16 or more. @default that of Node.js */
  readonly memoryMax?: number;
  /** Sessions that may be live at once. @default 10 000 */
  readonly maxSessions?: number;
  /** @default "reject" */
  readonly whenFull?: WhenFull;
  /**
   * A session nobody speaks to for so long is put to sleep, where neither its metadata (`timeoutMinutes`) nor its agent
   * (`idleTimeout`) says otherwise. @default "15m"
   */
  readonly idleTimeout?: Duration;
  /** How long an answer may take, also the waking up before it. @default "10m" */
  readonly turnTimeout?: Duration;
  /**
   * How long the code of one session may keep a thread of a pool from others that have something to do there, without
   * awaiting anything: an endless loop does. The thread is ended then, and those others go on elsewhere. @default "5s"
   */
  readonly stallTimeout?: Duration;
  /** How long a session may take to finish when it is put to sleep, before it is killed. @default "10s" */
  readonly stopTimeout?: Duration;
  /** Messages that may wait for one session. @default 100 */
  readonly mailboxMax?: number;
  /** The bytes of the messages that may wait for one session; one that waits alone may be larger. @default 16 MiB */
  readonly mailboxBytesMax?: number;
  readonly restart?: RestartOptions;
  /** Where other hosts on the same store find this one, such as `http://10.0.0.3:8080`; they answer `not_owner` with it. */
  readonly address?: string;
}

/** {@link HostOptions} with their defaults, in milliseconds. */
export interface ResolvedHostOptions {
  /** The object, or the address of its module. */
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

const isolations: readonly Isolation[] = ["inline", "pool", "session", "process"];
/** With less, V8 may end the whole program rather than the thread, MiB. */
const memoryMin = 16;
const answersWhenFull: readonly WhenFull[] = ["reject", "passivate-least-recent", "wait"];

/** @throws SessionError `argument_invalid`, `duration_invalid`, `runtime_invalid`, before anything is started */
export function resolveHostOptions(options: HostOptions): ResolvedHostOptions {
  const { isolation = "inline", whenFull = "reject", memoryMax } = options;
  return Object.freeze({
    runtime: parseRuntimeOption(options.runtime, oneOf(isolations, isolation, "isolation")),
    isolation,
    workers: whole(options.workers ?? Math.max(1, availableParallelism() - 1), "workers", 1024),
    memoryMax: memoryMax === undefined ? undefined : whole(memoryMax, "memoryMax", 1024 * 1024, memoryMin),
    maxSessions: whole(options.maxSessions ?? 10_000, "maxSessions", 10_000_000),
    whenFull: oneOf(answersWhenFull, whenFull, "whenFull"),
    idleTimeoutMs: parseDuration(options.idleTimeout ?? "15m", "idleTimeout"),
    turnTimeoutMs: parseDuration(options.turnTimeout ?? "10m", "turnTimeout"),
    stallTimeoutMs: parseDuration(options.stallTimeout ?? "5s", "stallTimeout"),
    stopTimeoutMs: parseDuration(options.stopTimeout ?? "10s", "stopTimeout"),
    mailboxMax: whole(options.mailboxMax ?? 100, "mailboxMax", 1_000_000),
    mailboxBytesMax: whole(options.mailboxBytesMax ?? 16 * 1024 * 1024, "mailboxBytesMax", 2 ** 40),
    restart: parseRestart(options.restart ?? {}),
    address: options.address === undefined ? null : parseAddress(options.address),
  } satisfies ResolvedHostOptions);
}

function parseRuntimeOption(runtime: HostOptions["runtime"], isolation: Isolation): Runtime | string {
  if (typeof runtime === "string" || runtime instanceof URL) return runtimeAddress(runtime);
  const parsed = parseRuntime(runtime, "the option runtime");
  if (isolation === "inline") return parsed;
  const expected = "the path or URL of a module: other threads cannot be handed an object with functions";
  throw new SessionError("argument_invalid", { name: "runtime", value: "an object", expected });
}

function parseAddress(address: string): string {
  if (typeof address === "string" && address.length <= 1000 && URL.canParse(address)) {
    const { protocol, username, password } = new URL(address);
    if (/^https?:$/.test(protocol) && username === "" && password === "") return address;
  }
  const expected = "an http or https URL without credentials";
  throw new SessionError("argument_invalid", { name: "address", value: formatValue(address), expected });
}

function oneOf<T extends string>(known: readonly T[], value: T, name: string): T {
  if (known.includes(value)) return value;
  throw new SessionError("argument_invalid", { name, value: formatValue(value), expected: known.join(", ") });
}

function whole(value: number, name: string, max: number, min = 1): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const expected = `a whole number from ${min} to ${max}`;
  throw new SessionError("argument_invalid", { name, value: formatValue(value), expected });
}
