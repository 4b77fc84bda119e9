import type { Attachment } from "../../domain/attachments/attachment.ts";
import type { AttachmentStore } from "../../domain/attachments/attachment-store.ts";
import { systemClock, type Clock } from "../../clock.ts";
import { parseBudget } from "../../domain/record/budget.ts";
import { parseDailyBudgets, type DailyBudgets } from "../../domain/record/daily-usage.ts";
import { parseDuration, parseLifetime, type Duration, type Lifetime } from "../../domain/values/duration.ts";
import { parseId, parseNewId } from "../../domain/values/ids.ts";
import { defaultLimits, type Limits } from "../../domain/values/limits.ts";
import type { Policy } from "../../domain/record/retention.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import type { SettledState, Budget } from "../../domain/record/record.ts";
import { defined } from "../../domain/values/defined.ts";
import type { DeviceIds } from "../../domain/values/device.ts";
import { SessionError } from "../../errors.ts";
import { parseCompaction, type Compaction } from "./compaction.ts";
import type { Model, ModelSettings } from "./model.ts";
import { parseTitles, type ResolvedTitles, type Titles } from "./titles.ts";
import { parseModelSettings } from "./model-settings.ts";
import { defaultWindow, parseWindow, type Window, type WindowBounds } from "../../domain/request/window.ts";
import { parseOneOf } from "./arguments.ts";
import { guardNames, guardObject, guardSwitch, type OptionNames } from "../../domain/values/option-names.ts";
import { invalidArgument, invalidText, parseArray, parseFunction } from "../../domain/values/invalid-argument.ts";

/** A named role that sessions are opened for. */
export interface Agent {
  /** The startup context, which precedes every window. */
  readonly instructions?: string;
  /** The name of its model, as the provider knows it. */
  readonly model?: string;
  /** The past turns that its model is shown. @default the last 20 turns within 32 000 tokens */
  readonly window?: Window;
  /** When summaries take the place of its past turns. @default that of `openSessions` */
  readonly compaction?: Compaction;
  /** How its model answers. @default the model's own settings */
  readonly settings?: ModelSettings;
  /** Its purpose; routers that choose among agents read it. */
  readonly description?: string;
  /** Words of a message that select it. */
  readonly keywords?: readonly string[];
  /**
   * The agent of sessions that name none, and the one that answers in place of an unknown agent. At most one is marked.
   * @default true for the only agent, and for an agent called "assistant" if none is marked
   */
  readonly default?: boolean;
  /** Devices may name it in a message or hand off to it. @default true for the default agent only */
  readonly openToDevices?: boolean;
  /** The time to live of its sessions after their last activity. */
  readonly ttl?: Lifetime;
  /** The time of a handoff to it that names none. @default that of `openSessions` */
  readonly handoffTtl?: Duration;
  /** The budget of each of its sessions. @default that of `openSessions` */
  readonly budget?: Budget;
  /** Its live sessions are passivated after this time without a message. @default that of `startHost` */
  readonly idleTimeout?: Duration;
  /** Retention policies for its sessions, before the policies for all agents. */
  readonly retention?: readonly Omit<RetentionPolicy, "agent">[];
}

/**
 * An action of the sweep on sessions that have been in a state for a while. The first policy that matches a session
 * decides.
 */
export interface RetentionPolicy {
  /** Only sessions of this agent. */
  readonly agent?: string;
  /** Only sessions of this user. */
  readonly user?: string;
  readonly state: SettledState;
  /** The time since the change to this state. */
  readonly after: Duration;
  /** Archive the session, or remove it. A session under legal hold is not removed. */
  readonly do: "archive" | "purge";
}

/**
 * The policy for a message during a running answer: `reject` it, `queue` it, `interrupt` the answer, or `take-over`
 * from its writer.
 */
export type BusyPolicy = "reject" | "queue" | "interrupt" | "take-over";

/** Options of sessions; every field is optional. */
export interface SessionsOptions {
  /** The outermost scope of every key. @default "default" */
  readonly tenant?: string;
  /** The known agents; if given, other names are refused. */
  readonly agents?: Readonly<Record<string, Agent>>;
  /** The model that `consult` calls. */
  readonly model?: Model;
  /**
   * The key for the hashes of device ids, users and link codes, at least 16 characters. Keep it outside of the store,
   * and the same in all instances. The store has a check value of it, and another key is refused: `secret_mismatch`.
   * @default none, and devices are refused
   */
  readonly secret?: string;
  /**
   * Earlier values of `secret`, the last one first. Devices, link codes, cookies and receipts that were made under them stay
   * valid; a device that returns becomes known under the new secret. The doctor says when none is needed any more.
   * @default none
   */
  readonly previousSecrets?: readonly string[];
  /**
   * The ids that devices may have: `"uuid"`, which a client makes at random and keeps secret, or `"any"`: also the ids of a
   * channel, as a phone number. A client that can guess such an id gets the session of its device, so pass only ids that a
   * trusted component has checked.
   * @default "uuid"
   */
  readonly deviceIds?: DeviceIds;
  /** How long a session lives after its last activity, such as "30d"; "never": it does not expire. @default "never" */
  readonly ttl?: Lifetime;
  /** The time to live after creation, independent of activity. @default no limit */
  readonly maxAge?: Duration;
  /** The time to live of a user's sessions after their last activity; undefined: that of the agent, or the default. */
  readonly ttlOfUser?: (user: string) => Lifetime | undefined;
  /** The time of a handoff. @default "24h" */
  readonly handoffTtl?: Duration;
  /** The time of a handoff in a user's sessions; undefined: that of the agent, or the default. */
  readonly handoffTtlOfUser?: (user: string) => Duration | undefined;
  /** The budget of each session. @default no limit */
  readonly budget?: Budget;
  /**
   * The past turns that a model is shown, for agents without a window of their own.
   * @default the last 20 turns within 32 000 tokens
   */
  readonly window?: Window;
  /**
   * When summaries take the place of past turns, for agents without a compaction of their own.
   * @default never: the oldest turns fall out of the window
   */
  readonly compaction?: Compaction;
  /**
   * Titles by a model, for sessions that have none, after their first exchange.
   * @default none: sessions have the titles that are set
   */
  readonly titles?: Titles;
  /** The budgets of each user and each tenant for a day, beside those of the sessions. @default no limit */
  readonly budgets?: DailyBudgets;
  /**
   * The policy for a message during a running answer.
   * @default "reject"; "interrupt" for sessions that are opened by a device
   */
  readonly busy?: BusyPolicy;
  /** How long a message waits under `queue`, `interrupt` and `take-over`. @default "60s" */
  readonly wait?: Duration;
  /** An instance without a heartbeat for this time loses its leases. @default "10s" */
  readonly staleAfter?: Duration;
  /** The sweep of long-lived processes; false for none. @default every 15 minutes, removing nothing */
  readonly sweep?: SweepOptions | false;
  /** Policies by which the sweep archives and removes sessions. @default none */
  readonly retention?: readonly RetentionPolicy[];
  /**
   * The URL at which a model finds an attachment; undefined: the model gets its bytes, as a data URL.
   * @default models get the bytes
   */
  readonly attachmentUrl?: AttachmentUrl;
  /** Where the bytes of attachments are, and the data inside messages. @default in the store, and in the messages */
  readonly attachments?: AttachmentOptions;
  /** @default the limits of `defaultLimits` */
  readonly limits?: Partial<Limits>;
  /** The clock and the source of randomness, for tests. @default the machine's */
  readonly clock?: Clock;
}

/** Where the bytes of attachments are, and the data inside messages. */
export interface AttachmentOptions {
  /**
   * The bytes of new attachments go into this store: `folder("./files")`, or an object store of your own. It belongs to one store
   * of sessions. Attachments that the store of sessions has stay there, and can be read. @default the store of sessions
   */
  readonly in?: AttachmentStore;
  /**
   * The store has data of more bytes beside the entries of turns and named logs, once for each tenant: data URLs, base64, and bytes.
   * Callers, models and exports get the data where it was. False: entries keep their data. At least 128. @default false
   */
  readonly inlineBytesMax?: number | false;
}

const attachmentNames: OptionNames<AttachmentOptions> = { in: true, inlineBytesMax: true };

/** Data that is hardly larger than the mark in its place stays in its entry. */
const inlineBytesLeast = 128;

function parseInlineBytes(attachments: AttachmentOptions): number {
  guardNames(attachments, "attachments", attachmentNames);
  const { inlineBytesMax = false } = attachments;
  if (inlineBytesMax === false) return Number.MAX_SAFE_INTEGER;
  if (Number.isSafeInteger(inlineBytesMax) && inlineBytesMax >= inlineBytesLeast) return inlineBytesMax;
  const name = "attachments.inlineBytesMax";
  throw invalidArgument(name, inlineBytesMax, { expected: "whole_number", min: inlineBytesLeast });
}

/** @throws SessionError `argument_invalid` for what lacks a method of an attachment store */
export function parseAttachmentStore(given: AttachmentStore, name: string): AttachmentStore {
  guardObject(given, name);
  for (const method of ["put", "get", "delete", "list"] as const) parseFunction(given[method], `${name}.${method}`);
  return given;
}

/** Gives the URL at which a model finds an attachment of a session. It must be one that the provider of the model can open. */
export type AttachmentUrl = (
  attachment: Attachment,
  of: { readonly session: string; readonly tenant: string },
) => string | undefined | Promise<string | undefined>;

const agentNames: OptionNames<Agent> = {
  instructions: true,
  model: true,
  window: true,
  compaction: true,
  settings: true,
  description: true,
  keywords: true,
  default: true,
  openToDevices: true,
  ttl: true,
  handoffTtl: true,
  budget: true,
  idleTimeout: true,
  retention: true,
};

/** The sweep of a long-lived process. */
export interface SweepOptions {
  /** The interval; the first sweep comes at a random time within it. @default "15m" */
  readonly every?: Duration;
  /** Remove sessions this long after they expired or ended, unless a policy of `retention` decides. @default never */
  readonly retention?: Duration;
  /** Delete events this long after they happened. @default never, but with their session */
  readonly eventRetention?: Duration;
}

const sweepNames: OptionNames<SweepOptions> = { every: true, retention: true, eventRetention: true };

/** The checked options, with their defaults, in milliseconds. */
export interface ResolvedOptions {
  readonly agents: ReadonlyMap<string, Agent> | undefined;
  readonly model: Model | undefined;
  readonly secret: string | undefined;
  readonly previousSecrets: readonly string[];
  readonly deviceIds: DeviceIds;
  readonly ttlMs: number;
  readonly maxAgeMs: number | null;
  readonly ttlOfUser: (user: string) => Lifetime | undefined;
  readonly handoffTtlMs: number;
  readonly handoffTtlOfUser: (user: string) => Duration | undefined;
  readonly budget: Budget | null;
  readonly window: WindowBounds;
  readonly compaction: Compaction | undefined;
  readonly titles: ResolvedTitles | undefined;
  readonly budgets: DailyBudgets;
  readonly busy: BusyPolicy;
  /** The policy of sessions that are opened by a device. */
  readonly busyOfDevices: BusyPolicy;
  readonly waitMs: number;
  readonly staleAfterMs: number;
  readonly sweep: {
    readonly everyMs: number;
    readonly retentionMs: number | null;
    readonly eventRetentionMs: number | null;
  } | null;
  /** The policies of agents first, then the others. */
  readonly retention: readonly Policy[];
  readonly attachmentUrl: AttachmentUrl | undefined;
  /** Takes the bytes of new attachments; undefined: the store of sessions does. */
  readonly attachmentStore: AttachmentStore | undefined;
  /** Entries keep data of at most so many bytes. */
  readonly inlineBytesMax: number;
  readonly limits: Limits;
  readonly clock: Clock;
}

const optionNames: OptionNames<SessionsOptions> = {
  tenant: true,
  agents: true,
  model: true,
  secret: true,
  previousSecrets: true,
  deviceIds: true,
  ttl: true,
  maxAge: true,
  ttlOfUser: true,
  handoffTtl: true,
  handoffTtlOfUser: true,
  budget: true,
  budgets: true,
  window: true,
  compaction: true,
  titles: true,
  busy: true,
  wait: true,
  staleAfter: true,
  sweep: true,
  retention: true,
  attachmentUrl: true,
  attachments: true,
  limits: true,
  clock: true,
};

/** The options, once their tenant is a valid id too. @throws SessionError as {@link resolveOptions} */
export function checkedOptions(options: SessionsOptions): ResolvedOptions {
  parseId(options.tenant ?? "default", "tenant");
  return resolveOptions(options);
}

/** @throws SessionError `argument_invalid`, `duration_invalid` or `id_invalid`, before any I/O */
export function resolveOptions(options: SessionsOptions): ResolvedOptions {
  guardNames(options, "options", optionNames);
  if (options.sweep !== undefined && options.sweep !== false) guardNames(options.sweep, "sweep", sweepNames);
  const { ttl = "never", wait = "60s", staleAfter = "10s", sweep = {}, busy = "reject", budgets = {} } = options;
  return Object.freeze({
    agents: options.agents === undefined ? undefined : parseAgents(options.agents),
    model: options.model === undefined ? undefined : parseFunction(options.model, "model"),
    secret: options.secret === undefined ? undefined : parseSecret(options.secret),
    previousSecrets: Array.from(parseArray(options.previousSecrets ?? [], "previousSecrets"))
      .map((secret, index) => parseSecret(secret, `previousSecrets[${index}]`))
      .filter((secret) => secret !== options.secret),
    deviceIds: parseOneOf(options.deviceIds ?? "uuid", "deviceIds", ["uuid", "any"]),
    ttlMs: parseLifetime(ttl, "ttl"),
    maxAgeMs: options.maxAge === undefined ? null : parseDuration(options.maxAge, "maxAge"),
    ttlOfUser: parseFunction(options.ttlOfUser ?? (() => undefined), "ttlOfUser"),
    handoffTtlMs: parseDuration(options.handoffTtl ?? "24h", "handoffTtl"),
    handoffTtlOfUser: parseFunction(options.handoffTtlOfUser ?? (() => undefined), "handoffTtlOfUser"),
    budget: options.budget === undefined ? null : parseBudget(options.budget),
    window: parseWindow(options.window ?? defaultWindow),
    compaction: options.compaction === undefined ? undefined : parseCompaction(options.compaction, "compaction"),
    titles: options.titles === undefined ? undefined : parseTitles(options.titles, options.model),
    budgets: parseDailyBudgets(budgets),
    busy: parseBusyPolicy(busy),
    busyOfDevices: parseBusyPolicy(options.busy ?? "interrupt"),
    waitMs: parseDuration(wait, "wait"),
    staleAfterMs: parseDuration(staleAfter, "staleAfter"),
    sweep:
      sweep === false
        ? null
        : {
            everyMs: parseDuration(sweep.every ?? "15m", "sweep.every"),
            retentionMs: sweep.retention === undefined ? null : parseDuration(sweep.retention, "sweep.retention"),
            eventRetentionMs:
              sweep.eventRetention === undefined ? null : parseDuration(sweep.eventRetention, "sweep.eventRetention"),
          },
    retention: [...retentionOfAgents(options.agents ?? {}), ...parsePolicies(options.retention ?? [], "retention")],
    attachmentUrl:
      options.attachmentUrl === undefined ? undefined : parseFunction(options.attachmentUrl, "attachmentUrl"),
    attachmentStore:
      options.attachments?.in === undefined
        ? undefined
        : parseAttachmentStore(options.attachments.in, "attachments.in"),
    inlineBytesMax: parseInlineBytes(options.attachments ?? {}),
    limits: parseLimits(options.limits ?? {}),
    clock: options.clock === undefined ? systemClock : parseClock(options.clock),
  } satisfies ResolvedOptions);
}

function parseAgents(agents: Readonly<Record<string, Agent>>): ReadonlyMap<string, Agent> {
  guardObject(agents, "agents");
  const entries = Object.entries(agents);
  for (const [name, agent] of entries) {
    parseNewId(name, "agent");
    guardNames(agent, `agents.${name}`, agentNames);
    guardSwitch(agent, "default");
    if (agent.ttl !== undefined) parseLifetime(agent.ttl, `agents.${name}.ttl`);
    if (agent.budget !== undefined) parseBudget(agent.budget, `agents.${name}.budget`);
    if (agent.window !== undefined) parseWindow(agent.window, `agents.${name}.window`);
    if (agent.compaction !== undefined) parseCompaction(agent.compaction, `agents.${name}.compaction`);
    if (agent.settings !== undefined) parseModelSettings(agent.settings, `agents.${name}.settings`);
    if (agent.idleTimeout !== undefined) parseDuration(agent.idleTimeout, `agents.${name}.idleTimeout`);
    if (agent.handoffTtl !== undefined) parseDuration(agent.handoffTtl, `agents.${name}.handoffTtl`);
  }
  const defaults = entries.filter(([, agent]) => agent.default === true).map(([name]) => name);
  if (defaults.length <= 1) return new Map(entries);
  const value = defaults.map(formatValue).join(", ");
  throw new SessionError("argument_invalid", { name: "agents.default", value, expected: "one_default_agent" });
}

function retentionOfAgents(agents: Readonly<Record<string, Agent>>): readonly Policy[] {
  return Object.entries(agents).flatMap(([agent, { retention = [] }]) =>
    parsePolicies(retention, `agents.${agent}.retention`, { agent }),
  );
}

function parsePolicies(
  policies: readonly RetentionPolicy[],
  name: string,
  of: { readonly agent?: string } = {},
): readonly Policy[] {
  return Array.from(parseArray(policies, name), (policy, index) => {
    guardObject(policy, `${name}[${index}]`);
    return parsePolicy({ ...policy, ...of }, `${name}[${index}]`);
  });
}

function parseClock(clock: Clock): Clock {
  guardObject(clock, "clock");
  for (const name of ["now", "sleep", "random"] as const) parseFunction(clock[name], `clock.${name}`);
  return clock;
}

const settledStates: readonly SettledState[] = ["expired", "ended", "archived"];

/** @throws SessionError `argument_invalid`, `duration_invalid`, `id_invalid` */
export function parsePolicy({ agent, user, state, after, do: action }: RetentionPolicy, name = "retention"): Policy {
  parseOneOf(state, `${name}.state`, settledStates);
  parseOneOf(action, `${name}.do`, ["archive", "purge"]);
  return defined({
    agent: agent === undefined ? undefined : parseId(agent, "agent"),
    user: user === undefined ? undefined : parseId(user, "user"),
    state,
    afterMs: parseDuration(after, `${name}.after`),
    action,
  });
}

function parseSecret(secret: string, name = "secret"): string {
  if (typeof secret === "string" && secret.length >= 16) return secret;
  throw invalidText(name, secret, { min: 16 });
}

export function parseBusyPolicy(policy: BusyPolicy): BusyPolicy {
  return parseOneOf(policy, "busy", ["reject", "queue", "interrupt", "take-over"]);
}

function parseLimits(limits: Partial<Limits>): Limits {
  guardObject(limits, "limits");
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(defaultLimits, name))
      throw invalidArgument("limits", name, { expected: "one_of", known: Object.keys(defaultLimits) });
    if (!Number.isSafeInteger(value) || value < 1)
      throw invalidArgument(`limits.${name}`, value, { expected: "whole_number", min: 1 });
  }
  return Object.freeze({ ...defaultLimits, ...limits });
}
