/** A question for a model: its options, and the steps before the model is asked. `consult` takes them in order. */
import { haveSameTurns, headOf } from "../../domain/record/change.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { truncatedUsageLog, type Entry } from "../../domain/record/entry.ts";
import { handoffAt, startHandoff } from "../../domain/record/handoff.ts";
import { storedInstructions } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { SmallerRequests } from "./within-limits.ts";
import { halfWindow, requestMessages, showsMedia } from "../../domain/request/model-request.ts";
import { parseMessages, readableTurns, type Message, type MessageInput } from "../../domain/turns/turn.ts";
import { parseWindow, type Window, type WindowBounds } from "../../domain/request/window.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseId } from "../../domain/values/ids.ts";
import { SessionError } from "../../errors.ts";
import type { Loaded, LoadRequest } from "../../store/store.ts";
import { recordLost } from "../attachments/lost.ts";
import { useReferences } from "../attachments/put.ts";
import { resolvedMessages } from "../attachments/resolved.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";
import type { Model, ModelRequest, ModelSettings } from "../options/model.ts";
import { parseModelSettings } from "../options/model-settings.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { parseFlush, type Flush } from "../../domain/writes/flush.ts";
import { parseAfter, parseKeep } from "../options/arguments.ts";
import { parseBusyPolicy, type BusyPolicy } from "../options/options.ts";
import { dueSummary, type DueSummary } from "../memory/compact.ts";
import { traceStep } from "../tracing/operation.ts";
import { rememberedTurns, tailFor } from "./past-turns.ts";
import { acquire, type Attempt, type Patience } from "./acquire.ts";
import { beginOn, type BeginOptions, type BeginResult } from "./begin.ts";

/** How a question is asked. */
export interface ConsultOptions {
  /**
   * The model that answers, or the name that the model of `openSessions` gets.
   * @default the agent's
   */
  readonly model?: Model | string;
  /**
   * How the model answers, ahead of the agent's settings.
   * @default the agent's, else the model's own
   */
  readonly settings?: ModelSettings;
  /**
   * The past turns that the model is shown, within `limits.windowBytesMax`.
   * @default the agent's, else that of `openSessions`
   */
  readonly window?: Window;
  /** Stops the answer; the turn keeps the output received so far. Before the turn begins, the call rejects with `aborted`. */
  readonly signal?: AbortSignal;
  /**
   * Withdraws the question while it waits for a busy session: the call rejects with `aborted`. A turn that began is not
   * stopped.
   */
  readonly withdraw?: AbortSignal;
  /** Idempotency key: a retry of the same question is the same turn. */
  readonly key?: string;
  /**
   * Replace the turns after this one by the question, in one commit: to ask differently, or again. 0 replaces all. If the
   * answer fails or is stopped before its first word, the turns are put back, and the question is not kept. A turn of another
   * writer that the caller has not seen is a `conflict`, under every busy policy.
   * @default no turn is replaced
   */
  readonly after?: number;
  /** A branch keeps the turns that `after` replaces, and `Session.switchTo` shows it again. @default false */
  readonly keep?: boolean;
  /**
   * The agent that answers; the active agent does not change.
   * @default the active agent, else the session's agent; the default agent if that one is unknown
   */
  readonly agent?: string;
  /**
   * The policy if the session is already answering.
   * @default that of `openSessions`, else "interrupt" in a session that was opened by a device, "reject" in others
   */
  readonly busy?: BusyPolicy;
  /**
   * Chooses the agent that answers. Called if the call names no agent, no known agent is active, and no earlier try with
   * the same key is stored. If it throws, `consult` throws the same error and writes nothing.
   * @default the session's agent answers
   */
  readonly route?: () => Promise<Routed>;
  /** When the chunks of the answer are written, for its readers in other processes. @default after 50 ms or 8192 characters */
  readonly flush?: Flush;
}

/** The agent that a router chose. */
export interface Routed {
  readonly agent: string;
  /** Make it the active agent, in the same commit as the question, unless another agent is active by then. */
  readonly becomesActive: boolean;
}

const optionNames: OptionNames<ConsultOptions> = {
  model: true,
  settings: true,
  window: true,
  signal: true,
  withdraw: true,
  key: true,
  after: true,
  keep: true,
  agent: true,
  busy: true,
  route: true,
  flush: true,
};

/** A question whose options are checked. */
export interface Question {
  readonly input: readonly Message[];
  readonly key: string | null;
  readonly after: number | undefined;
  readonly keep: boolean;
  /** The agent that the caller names. */
  readonly named: string | undefined;
  readonly model: Model;
  /** The name of the model that the caller names. */
  readonly modelName: string | undefined;
  readonly settings: ModelSettings | undefined;
  /** The window of the call, else the default one, for an agent that has none. */
  readonly window: WindowBounds;
  readonly isWindowNamed: boolean;
  readonly patience: Patience;
  readonly route: ConsultOptions["route"];
  readonly flush: Required<Flush>;
}

/** A question as its caller gives it. */
export interface Asked {
  readonly message: MessageInput;
  readonly options: ConsultOptions;
  /** The busy policy where the options name none. */
  readonly busy: BusyPolicy;
}

/** @throws SessionError `message_invalid`, `argument_invalid`, `agent_unknown`, `id_invalid`, `model_missing` */
export function parseQuestion(handle: Handle, { message, options, ...asked }: Asked): Question {
  const { core, record } = handle;
  guardNames(options, "consult", optionNames);
  const { agent: named } = options;
  const input = parseMessages(message, "user", "question");
  if (options.after !== undefined) core.guardStore();
  const window = options.window === undefined ? core.options.window : parseWindow(options.window);
  if (named !== undefined) core.agent(parseId(named, "agent"));
  const model = typeof options.model === "function" ? options.model : core.options.model;
  if (model === undefined) throw new SessionError("model_missing", sessionIds(record));
  if (options.settings !== undefined) parseModelSettings(options.settings, "settings");
  const busy = options.busy === undefined ? asked.busy : parseBusyPolicy(options.busy);
  const key = core.turnKey(options.key);
  return {
    input,
    key,
    after: options.after === undefined ? undefined : parseAfter(options.after),
    keep: parseKeep(options.keep, options.after),
    named,
    model: withResolvedAttachments(handle, model),
    modelName: typeof options.model === "string" ? options.model : undefined,
    settings: options.settings,
    window,
    isWindowNamed: options.window !== undefined,
    patience: { busy, waitMs: core.options.waitMs, signal: waitSignal(options), key },
    route: options.route,
    flush: parseFlush(options.flush),
  };
}

/** The model, which gets the bytes of attachments in place of references to them, and texts where they are lost. */
function withResolvedAttachments(handle: Handle, model: Model): Model {
  const { core, record: session } = handle;
  // The answer goes on where the event cannot be written; the tracing channel reports why.
  const onLost = async (hashes: ReadonlySet<string>): Promise<void> => {
    const view = handle.freshView();
    await traceStep(view.about("record"), () => recordLost(view, hashes)).catch(() => undefined);
  };
  const resolved = async <Request extends Pick<ModelRequest, "messages">>(request: Request): Promise<Request> => {
    const messages = await resolvedMessages(core, session, request.messages, onLost);
    return messages === request.messages ? request : { ...request, messages };
  };
  const answer: Model = async function* (request, context) {
    const others = context && {
      ...context,
      requestTo: async (agent: string) => resolved(await context.requestTo(agent)),
    };
    yield* model(await resolved(request), others);
  };
  const { runsTools, withoutTools } = model;
  return Object.assign(answer, defined({ runsTools, withoutTools }));
}

/** The signal that ends the wait for a busy session. */
export function waitSignal({ signal, withdraw }: ConsultOptions): AbortSignal | undefined {
  return signal !== undefined && withdraw !== undefined ? AbortSignal.any([signal, withdraw]) : (signal ?? withdraw);
}

/** A turn that began, and the logs as loaded before it. */
export interface BegunQuestion {
  readonly begun: BeginResult;
  readonly loaded: Loaded;
}

/**
 * Begin the turn of a question: it is durable when this resolves.
 * @throws SessionError `busy`, `queue_full`, `conflict`, `turn_open`, `key_reused`, `range_invalid`,
 *   `replaced_too_large`, the errors of `route` and of the store
 */
export async function beginQuestion(handle: Handle, question: Question): Promise<BegunQuestion> {
  const { input, key, after, keep, named, patience, flush } = question;
  const used = useReferences(handle, input);
  if (used !== undefined) await used;
  const seen = { turn: handle.seenTurn, record: handle.seenRecord };
  let routed: Routed | undefined;
  const attempt: Attempt<BegunQuestion | SessionError> = async (ticket, writeOptions) => {
    // Under the policies that wait or interrupt, the caller accepts turns written meanwhile: the model sees the newest.
    const tails = tailsOf(handle.core, question);
    const loaded = patience.busy === "reject" ? await handle.peek(tails) : await handle.refresh(tails);
    const stale = after === undefined ? undefined : conflictOver(loaded.record, seen);
    // An earlier try of this question may have written that turn.
    if (stale !== undefined && !(await isStored(handle, key))) return stale;
    const found = handle.core.chooseAgent(loaded.record, { named });
    const isSettled = found.by === "named" || found.by === "handoff";
    if (!isSettled && question.route !== undefined && !(await isStored(handle, key))) routed ??= await question.route();
    // A handoff that expires between this load and the write still decides this question.
    const proposed = found.by === "handoff" ? { agent: found.agent, becomesActive: false } : routed;
    const choose = chooser(handle.core, question, proposed);
    const open = {
      key,
      input,
      agent: handle.core.chooseAgent(loaded.record, { named, routed: proposed?.agent }).agent,
    };
    const how = { ticket, named: named !== undefined, choose, after, keep, flush };
    const begun = await beginOn(handle, open, { ...how, ...writeOptions });
    return { begun, loaded };
  };
  const begun = await acquire(handle, patience, attempt);
  if (begun instanceof SessionError) throw begun;
  return begun;
}

/** A question does not replace a turn that its caller has not seen, also where it waited for the end of that turn. */
function conflictOver(
  record: SessionRecord,
  seen: { readonly turn: number; readonly record: SessionRecord | undefined },
): SessionError | undefined {
  const storedTurn = headOf(record, "turns");
  const isSeen = seen.record === undefined || hasOnlySealed(seen.record, record);
  if (storedTurn <= seen.turn && isSeen) return undefined;
  return new SessionError("conflict", { ...sessionIds(record), seenTurn: seen.turn, storedTurn });
}

/**
 * True if no turn was written since but the end of the one that was open: another turn has a lease of its own, an
 * appended one a number of its own, and a truncation adds to the usage of truncated turns.
 */
function hasOnlySealed(before: SessionRecord, now: SessionRecord): boolean {
  if (haveSameTurns(before, now)) return true;
  const isSame = (log: string): boolean => headOf(before, log) === headOf(now, log);
  // The end of the turn may have granted the lease to the next in the queue.
  const fence = now.lease?.fenceBefore ?? now.fence;
  return before.openTurn !== null && before.fence === fence && isSame("turns") && isSame(truncatedUsageLog);
}

/** Chooses the agent on the record that is written: another process may have handed off since the load. */
function chooser(core: Core, question: Question, routed: Routed | undefined): NonNullable<BeginOptions["choose"]> {
  return (draft, context) => {
    const proposed = { named: question.named, routed: routed?.agent };
    const { agent, by } = core.chooseAgent(draft.record, proposed, context.now);
    if (by === "routed" && routed?.becomesActive === true) {
      const ttlMs = core.handoffTtlMs(agent, draft.record.user);
      startHandoff(draft, { agent, ttlMs, note: null }, context);
    }
    return { agent, ...modelNameOf(core, agent, question) };
  };
}

/** True if an earlier try with this key began its turn. */
async function isStored(handle: Handle, key: string | null): Promise<boolean> {
  return key !== null && (await handle.entryByKey(parseId(key, "key"))) !== undefined;
}

/** The ends of the logs from which the request is made. */
function tailsOf(core: Core, { window }: Question): LoadRequest["tails"] {
  return [tailFor(window, core.options.limits.windowBytesMax), { log: "instructions", last: 1 }];
}

/**
 * The summary to make before a question is answered. A question that replaces turns waits for none: where its answer fails, they are
 * put back, and what was counted since is lost. A window that the call names is the caller's choice.
 * @throws SessionError the store's
 */
export async function dueBefore(
  handle: Handle,
  question: Question,
  { seq, agent, turns }: { readonly seq: number; readonly agent: string; readonly turns: readonly Entry[] },
): Promise<DueSummary | undefined> {
  const { model, window, isWindowNamed, after } = question;
  if (isWindowNamed || after !== undefined) return undefined;
  const own = handle.core.agent(agent).window;
  const bounds = own === undefined ? window : parseWindow(own);
  return await dueSummary(handle, { agent, seq, window: bounds, model, loaded: readableTurns(turns) });
}

/** A request, and the same with less of the past turns, for a model that refuses it. */
export interface BuiltRequest {
  readonly request: Omit<ModelRequest, "signal">;
  readonly smaller: SmallerRequests;
}

/**
 * The request to the model, for a turn that began.
 * @throws SessionError `agent_unknown`, the store's
 */
export async function requestOf(
  handle: Handle,
  question: Question,
  { seq, agent }: { readonly seq: number; readonly agent: string },
  { record, tails }: Pick<Loaded, "record" | "tails">,
): Promise<BuiltRequest> {
  const { core } = handle;
  const [turnEntries = [], instructions = []] = tails;
  const own = question.isWindowNamed ? undefined : core.agent(agent).window;
  let window = own === undefined ? question.window : parseWindow(own);
  const tail = tailFor(question.window, core.options.limits.windowBytesMax);
  // The tail that was loaded may consist of turns that the question has replaced.
  const loaded = question.after === undefined ? readableTurns(turnEntries) : undefined;
  const past = await rememberedTurns(handle, { loaded, tail, window, before: seq });
  ({ window } = past);
  const handoff = handoffAt(record, core.now());
  const { turns, memory } = past;
  const content = {
    turns,
    memory,
    question: question.input,
    instructions: instructionsOf(core, record, agent, instructions[0]),
  };
  let showsPastMedia = true;
  const messages = (): readonly Message[] =>
    requestMessages(content, { window, showsPastMedia, handoff: handoff?.agent === agent ? handoff : null });
  const shorter = (): readonly Message[] | undefined => {
    const half = halfWindow(turns, window);
    if (half === undefined) return undefined;
    window = half;
    return messages();
  };
  const withoutMedia = (): readonly Message[] | undefined => {
    if (!showsPastMedia || !showsMedia(content, window)) return undefined;
    showsPastMedia = false;
    return messages();
  };
  const about = { agent, ...modelNameOf(core, agent, question), ...settingsOf(core, agent, question) };
  return { request: { messages: messages(), ...about }, smaller: { shorter, withoutMedia } };
}

/**
 * The request to another agent, for the same turn, as the session is now.
 * @throws SessionError `agent_unknown`, the store's
 */
export async function requestTo(
  handle: Handle,
  question: Question,
  turn: { readonly seq: number; readonly agent: string },
): Promise<BuiltRequest["request"]> {
  const loaded = await handle.peek(tailsOf(handle.core, question));
  return (await requestOf(handle, question, turn, loaded)).request;
}

/** The settings of the call, ahead of those of the agent. @throws SessionError `agent_unknown` */
function settingsOf(core: Core, agent: string, { settings }: Question): { settings?: ModelSettings } {
  const own = core.agent(agent).settings;
  return defined({ settings: own === undefined ? settings : { ...own, ...settings } });
}

/** The startup context of the agent that answers: the session stores that of its own agent. */
function instructionsOf(core: Core, record: SessionRecord, agent: string, stored?: Entry): string | undefined {
  return agent === record.agent && stored !== undefined ? storedInstructions(stored) : core.agent(agent).instructions;
}

/** The name of the model that the caller names, else that of the agent. @throws SessionError `agent_unknown` */
export function modelNameOf(core: Core, agent: string, { modelName }: Question): { model?: string } {
  return defined({ model: modelName ?? core.agent(agent).model });
}
