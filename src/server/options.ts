import { version } from "../files/version.ts";
import { defaultAgent } from "../domain/turns/agent-choice.ts";
import { parseDuration } from "../domain/values/duration.ts";
import { parseArray } from "../domain/values/invalid-argument.ts";
import { guardNames, guardSwitch, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import type { Host } from "../host/index.ts";
import type { Agent, Duration, Sessions } from "../index.ts";
import { KeyRing, type ConfiguredKey } from "../serving/configured-keys.ts";
import type { ClientAddress } from "./http/client-address.ts";
import type { DeviceBudgets } from "./http/device-budgets.ts";
import type { StreamLimits } from "./http/open-streams.ts";
import type { Rates } from "../serving/rate-limits.ts";
import type { Approve, Converse } from "../serving/converse.ts";
import type { LogEntry } from "./request-log.ts";

/** Options of a server; all but `sessions` are optional. */
export interface ServerOptions {
  /** The served sessions: devices belong to its tenant, keys to their own tenants. The caller closes it. */
  readonly sessions: Sessions;
  /**
   * Answers a message, such as a manager's `send`.
   * @default `session.consult`
   */
  readonly converse?: Converse;
  /**
   * Decides on the tool calls for which a turn waits, such as a manager's `approve`: it has the tools.
   * @default `session.approve`
   */
  readonly approve?: Approve;
  /**
   * True: devices may decide on the tool calls of their own sessions. Without it only keys may.
   * @default false
   */
  readonly deviceApprovals?: boolean;
  /**
   * True: a device of a user lists, reads, writes and removes all live sessions that name the user, those that programs made and
   * those of agents that are not open to devices included. Without it such a device has the current one alone, and a device
   * without a user has the conversations that it began.
   * @default false
   */
  readonly deviceConversations?: boolean;
  /**
   * Host of live sessions on `sessions`; the caller closes it.
   * @default none
   */
  readonly host?: Host;
  /**
   * Keys beside those of the store, such as the first key of a container.
   * @default none
   */
  readonly keys?: readonly ConfiguredKey[];
  /**
   * Origins whose pages may call the server.
   * @default none
   */
  readonly cors?: readonly string[];
  /**
   * Maximum size of a body, bytes.
   * @default 8 MiB
   */
  readonly bodyBytesMax?: number;
  /**
   * Maximum size of a device's body, bytes: each later question may show it to the model again.
   * @default 256 KiB
   */
  readonly deviceBodyBytesMax?: number;
  /**
   * Time limit of a request that is not a stream.
   * @default "2m"
   */
  readonly deadline?: Duration;
  readonly rates?: Rates;
  /**
   * Limits of concurrent streams.
   * @default the limits of `StreamLimits`
   */
  readonly streams?: StreamLimits;
  /**
   * Usage limits of devices per 24 hours, counted by this server.
   * @default 1 GiB of attachments for a device or a user, no limits of questions and tokens
   */
  readonly deviceBudgets?: DeviceBudgets;
  /**
   * `connection`, or the header in which the proxy sets the client's address.
   * @default the public address of a connection without headers of a proxy; other addresses are unknown
   */
  readonly clientAddress?: ClientAddress;
  /**
   * Send cookies over HTTPS only, even if the request came without.
   * @default true
   */
  readonly secureCookies?: boolean;
  /**
   * True: `/metrics` needs no key.
   * @default false
   */
  readonly openMetrics?: boolean;
  /**
   * Called for each request, and for each internal error.
   * @default no log
   */
  readonly log?: (entry: LogEntry) => void;
  /**
   * Version of the program, for the OpenAPI document.
   * @default that of Perdure
   */
  readonly version?: string;
}

/** The options of a server, checked, with their defaults. */
export interface ServerSettings {
  readonly sessions: Sessions;
  readonly converse: Converse;
  readonly approve: Approve;
  readonly deviceApprovals: boolean;
  readonly deviceConversations: boolean;
  readonly host: Host | undefined;
  readonly keys: KeyRing;
  readonly origins: readonly string[];
  readonly bodyBytesMax: number;
  readonly deviceBodyBytesMax: number;
  readonly deadlineMs: number;
  readonly rates: Rates;
  readonly streams: StreamLimits;
  readonly deviceBudgets: DeviceBudgets;
  readonly clientAddress: ClientAddress | undefined;
  readonly secureCookies: boolean;
  readonly openMetrics: boolean;
  readonly log: ((entry: LogEntry) => void) | undefined;
  readonly version: string;
}

const optionNames: OptionNames<ServerOptions> = {
  sessions: true,
  converse: true,
  approve: true,
  deviceApprovals: true,
  deviceConversations: true,
  host: true,
  keys: true,
  cors: true,
  bodyBytesMax: true,
  deviceBodyBytesMax: true,
  deadline: true,
  rates: true,
  streams: true,
  deviceBudgets: true,
  clientAddress: true,
  secureCookies: true,
  openMetrics: true,
  log: true,
  version: true,
};

/** @throws SessionError `argument_invalid`, `duration_invalid`, `id_invalid` */
export function resolveOptions(options: ServerOptions): ServerSettings {
  guardNames(options, "options", optionNames);
  guardSwitch(options, "deviceConversations");
  const { sessions, cors = [], bodyBytesMax = 8 * 1024 * 1024, deviceBodyBytesMax = 256 * 1024 } = options;
  for (const origin of parseArray(cors, "cors")) guardOrigin(origin);
  guardDefaultAgent(sessions);
  return Object.freeze({
    sessions,
    converse: options.converse ?? ((session, message, how) => session.consult(message, how)),
    approve: options.approve ?? ((session, token, decided) => session.approve(token, decided)),
    deviceApprovals: options.deviceApprovals ?? false,
    deviceConversations: options.deviceConversations ?? false,
    host: options.host,
    keys: new KeyRing(sessions, options.keys ?? []),
    origins: cors,
    bodyBytesMax,
    deviceBodyBytesMax: Math.min(bodyBytesMax, deviceBodyBytesMax),
    deadlineMs: parseDuration(options.deadline ?? "2m", "deadline"),
    rates: options.rates ?? {},
    streams: options.streams ?? {},
    deviceBudgets: options.deviceBudgets ?? {},
    clientAddress: options.clientAddress,
    secureCookies: options.secureCookies ?? true,
    openMetrics: options.openMetrics ?? false,
    log: options.log,
    version: options.version ?? version(),
  } satisfies ServerSettings);
}

/**
 * Refuses an origin that no browser sends, as it would silently match no page.
 * @throws SessionError `argument_invalid`
 */
function guardOrigin(origin: string): void {
  if (URL.canParse(origin) && new URL(origin).origin === origin) return;
  throw new SessionError("argument_invalid", { name: "cors", value: JSON.stringify(origin), expected: "origin" });
}

/**
 * Refuses several agents without a default one: devices and most programs name no agent, so their sessions would fail.
 * @throws SessionError `argument_invalid`
 */
function guardDefaultAgent(sessions: Sessions): void {
  guardObject(sessions, "sessions");
  const { agents = new Map<string, Agent>() } = sessions;
  if (agents.size === 0 || defaultAgent(agents) !== undefined) return;
  const known = [...agents.keys()];
  throw new SessionError("argument_invalid", { name: "agents.default", expected: "default_agent", known });
}
