import { tracingChannel } from "node:diagnostics_channel";
import type { Draft } from "../../domain/record/change.ts";
import { saidIn } from "../../domain/turns/chunk.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { handoffAt, startHandoff } from "../../domain/record/handoff.ts";
import { parseId } from "../../domain/values/ids.ts";
import { storedInstructions } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { AgentChoice } from "../../domain/turns/agent-choice.ts";
import {
  parseMessages,
  summaryOf,
  turnOf,
  type MessageInput,
  type Turn,
  type TurnSummary,
} from "../../domain/turns/turn.ts";
import { clip } from "../../domain/values/format-value.ts";
import { requestMessages } from "../../domain/turns/model-request.ts";
import { parseWindow, turnsToLoad, type Window } from "../../domain/turns/window.ts";
import { estimateUsage } from "../../domain/turns/usage.ts";
import { sessionIds, type Context } from "../../domain/record/guards.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { LoadRequest } from "../../store/store.ts";
import type { Traced } from "../../store/calls/store-call.ts";
import { traced } from "../../store/calls/traced.ts";
import { acquire, type Attempt, type Patience } from "./acquire.ts";
import { Answer } from "../../domain/turns/answer.ts";
import { defined } from "../../domain/values/defined.ts";
import { beginOn, type Begun } from "./begin.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../core/handle.ts";
import type { Model, ModelRequest, ModelSettings } from "../options/model.ts";
import { parseModelSettings } from "../options/model-settings.ts";
import { addContext } from "../tracing/operation.ts";
import { parseBusyPolicy, type BusyPolicy } from "../options/options.ts";
import { ModelUsage, type Cost } from "./model-usage.ts";
import type { TurnInProgress } from "./turn-in-progress.ts";

/** How a question is asked. */
export interface ConsultOptions {
  /** What answers; a text is the name that the model of `openSessions` passes on. @default the agent's */
  readonly model?: Model | string;
  /** How the model answers, ahead of the agent's settings. @default the agent's, else the model's own */
  readonly settings?: ModelSettings;
  /** What of the past the model is shown, within `limits.windowBytesMax`. @default the last 20 turns */
  readonly window?: Window;
  /** Stops the answer; what had arrived is kept. Before the turn begins, the call rejects with `aborted`. */
  readonly signal?: AbortSignal;
  /** Makes a retry of the same question the same turn. */
  readonly key?: string;
  /**
   * The agent that answers; the active agent does not change.
   * @default the active agent, else the session's agent; the default agent if that one is unknown
   */
  readonly agent?: string;
  /** What to do where the session is already answering. @default that of `openSessions` */
  readonly busy?: BusyPolicy;
  /**
   * Chooses the agent that answers. Called if the call names no agent, no known agent is active, and no earlier try with
   * the same key is stored. If it throws, `consult` throws the same error and writes nothing.
   * @default the session's agent answers
   */
  readonly route?: () => Promise<Routed>;
}

/** The agent that a router chose. */
export interface Routed {
  readonly agent: string;
  /** Make it the active agent, in the same commit as the question, unless another agent is active by then. */
  readonly takesFloor: boolean;
}

/** What is published on the tracing channel `perdure:consult` around a question and its whole answer. */
export interface Consultation extends Traced {
  readonly tenant: string;
  readonly session: string;
  /** The agent that answers; before the question is durable, the agent that would answer now. */
  agent: string;
  /** The name of the model that was asked for. */
  model?: string;
  /** The number of the turn; there once the question is durable. */
  turn?: number;
  /** An earlier try with the same key was answered, and its answer is told again: no model was called. */
  repeated?: boolean;
  /** From the call of the model to its first word. */
  firstTextMs?: number;
  /** What the answer took; there once it is sealed. */
  answer?: TurnSummary;
}

const consults = tracingChannel<unknown, Consultation>("perdure:consult");

/** Ask, with the session's memory. `owner` is the handle of the caller; the answer is written through one of its own. */
export async function consult(owner: Handle, question: MessageInput, options: ConsultOptions): Promise<Answer> {
  const { tenant, id: session } = owner.record;
  const { agent } = owner.core.chooseAgent(owner.record, { named: options.agent });
  const consultation: Consultation = { tenant, session, agent };
  const asked = Promise.withResolvers<Answer>();
  const whole: Promise<Turn> = traced(consults, consultation, async () => {
    try {
      const { seq, run } = await ask(owner, question, { ...options, consultation });
      let say: Say = () => undefined;
      // Who asked goes on from here; the answer is done once who listens has been told of it.
      asked.resolve(
        new Answer(seq, (heard) => {
          say = heard;
          return whole;
        }),
      );
      return await run(say);
    } catch (error) {
      throw addContext(error, { command: "consult", ...consultation });
    }
  });
  whole.catch(asked.reject);
  return await asked.promise;
}

type Say = (text: string) => void;

/** A question that is durable, and what answers it. */
interface Asked {
  readonly seq: number;
  readonly run: (say: Say) => Promise<Turn>;
}

async function ask(
  owner: Handle,
  question: MessageInput,
  { consultation, ...options }: ConsultOptions & { consultation: Consultation },
): Promise<Asked> {
  const { core } = owner;
  const input = parseMessages(question, "user", "question");
  const window = parseWindow(options.window ?? 20);
  const named = options.agent;
  if (named !== undefined) core.agent(parseId(named, "agent"));
  const model = typeof options.model === "function" ? options.model : core.options.model;
  if (model === undefined) throw new SessionError("model_missing", sessionIds(owner.record));
  if (options.settings !== undefined) parseModelSettings(options.settings, "settings");
  const startedAt = core.options.clock.now();
  if (isAborted(options.signal)) throw aborted(owner, startedAt, options.signal?.reason);

  const key = core.turnKey(options.key);
  const patience: Patience = {
    busy: options.busy === undefined ? core.options.busy : parseBusyPolicy(options.busy),
    waitMs: core.options.waitMs,
    signal: options.signal,
  };
  const tails: LoadRequest["tails"] = [
    {
      log: "turns",
      last: window.turns === 0 ? 0 : turnsToLoad(window) + 1,
      bytesMax: core.options.limits.windowBytesMax,
    },
    { log: "instructions", last: 1 },
  ];

  // Behind what the caller asked for earlier, but not in front of what comes later: cancel must not wait for an answer.
  await owner.inOrder(() => Promise.resolve());
  const handle = owner.anotherView();
  handle.fence = owner.fence;
  let past: readonly Turn[] = [];
  let instructions: Entry | undefined;
  let routed: Routed | undefined;
  const begin: Attempt<Begun> = async (ticket, writeOptions) => {
    // Under the policies that wait or interrupt, the caller accepts turns written meanwhile: the model sees the newest.
    const loaded = patience.busy === "reject" ? await handle.peek(tails) : await handle.refresh(tails);
    const [turnEntries = [], instructionsEntries] = loaded.tails;
    past = turnEntries.map(turnOf);
    instructions = instructionsEntries?.[0];
    const found = core.chooseAgent(loaded.record, { named });
    if (isUnsettled(found) && options.route !== undefined && !(await isKept(handle, key)))
      routed ??= await options.route();
    // A handoff that expires between this load and the write still decides this question.
    const proposed = { named, routed: found.by === "handoff" ? found.agent : routed?.agent };
    // The record that is written decides: another process may have handed off since this load.
    const choose = (draft: Draft, context: Context): { agent: string; model?: string } => {
      const { agent, by } = core.chooseAgent(draft.record, proposed, context.now);
      if (by === "routed" && routed?.agent === agent && routed.takesFloor)
        startHandoff(draft, { agent, ttlMs: core.handoffTtlMs(agent, draft.record.user), note: null }, context);
      return { agent, ...modelOf(core, agent, options) };
    };
    const open = { key, input, agent: core.chooseAgent(loaded.record, proposed).agent };
    return await beginOn(handle, open, { ticket, named: named !== undefined, choose, ...writeOptions });
  };
  let turn: Begun;
  try {
    turn = await acquire(handle, patience, begin);
  } catch (error) {
    const untyped = isAborted(options.signal) && !(error instanceof SessionError);
    throw untyped ? aborted(owner, startedAt, error) : error;
  }
  owner.follow(handle);
  if (turn.status === "repeated") {
    const { seq, agent } = turn.turn;
    Object.assign(consultation, { turn: seq, agent, repeated: true, answer: summaryOf(turn.turn) });
    return { seq, run: (say) => repeat(owner, turn.turn, say) };
  }

  const { inProgress } = turn;
  const { agent } = inProgress.open;
  let request: Omit<ModelRequest, "signal">;
  try {
    if (past.some(({ status }) => status === "open")) {
      // It was a dead writer's, and has been sealed on the way in, with what had arrived.
      const [entries = []] = (await handle.peek(tails)).tails;
      past = entries.map(turnOf);
    }
    const handoff = handoffAt(handle.record, core.now());
    const messages = requestMessages(
      {
        turns: past.filter(({ seq }) => seq < inProgress.seq),
        question: input,
        instructions: instructionsFor(core, handle.record, agent, instructions),
      },
      { window, handoff: handoff?.agent === agent ? handoff : null },
    );
    request = { messages, agent, ...modelOf(core, agent, options), ...settingsOf(core, agent, options) };
  } catch (error) {
    // The question is durable: its turn is sealed here, or it would keep the session busy.
    const known = identified(error, consultation, inProgress.seq);
    throw await sealBroken(inProgress, known, { usage: estimateUsage(input, []), requests: 0 });
  }
  Object.assign(consultation, { turn: inProgress.seq, agent, ...modelOf(core, agent, options) });
  const answering = async (say: Say): Promise<Turn> => {
    try {
      const now = (): number => core.now();
      return await run(inProgress, { consultation, model, request, say, signal: options.signal, now });
    } finally {
      owner.follow(handle);
    }
  };
  return { seq: inProgress.seq, run: answering };
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function aborted(owner: Handle, startedAt: number, cause: unknown): SessionError<"aborted"> {
  const waitedMs = Math.max(0, owner.core.options.clock.now() - startedAt);
  return new SessionError("aborted", { ...sessionIds(owner.record), waitedMs }, { cause });
}

/** True where an earlier try with this key began its turn. */
async function isKept(handle: Handle, key: string | null): Promise<boolean> {
  return key !== null && (await handle.entryByKey(parseId(key, "key"))) !== undefined;
}

/** True if neither the caller nor a handoff decides which agent answers. */
function isUnsettled({ by }: AgentChoice): boolean {
  return by !== "named" && by !== "handoff";
}

/** The startup context of the agent that answers. @throws SessionError `agent_unknown` */
function instructionsFor(core: Core, record: SessionRecord, agent: string, stored?: Entry): string | undefined {
  // The session stores the startup context of its own agent.
  return agent === record.agent && stored !== undefined ? storedInstructions(stored) : core.agent(agent).instructions;
}

/** The name of the model that was asked for, else that of the agent. @throws SessionError `agent_unknown` */
function modelOf(core: Core, agent: string, { model }: ConsultOptions): { model?: string } {
  const name = typeof model === "string" ? model : core.agent(agent).model;
  return defined({ model: name });
}

/** The settings of the call, ahead of those of the agent. @throws SessionError `agent_unknown` */
function settingsOf(core: Core, agent: string, { settings }: ConsultOptions): { settings?: ModelSettings } {
  const own = core.agent(agent).settings;
  return own === undefined && settings === undefined ? {} : { settings: { ...own, ...settings } };
}

/** The answer of a turn that an earlier try with the same key brought to its end. */
async function repeat(owner: Handle, turn: Turn, say: Say): Promise<Turn> {
  for (const { role, content } of turn.output) {
    if (role === "assistant" && typeof content === "string") say(content);
  }
  if (turn.status === "done") return turn;
  const ids = { sessionId: owner.key.id, tenant: owner.key.tenant, agent: turn.agent, turn: turn.seq };
  const { code, message: reason } = turn.error ?? { code: turn.status, message: turn.status };
  if (turn.status === "interrupted") throw new SessionError("interrupted", { ...ids, reason });
  const known = modelCodes.find((one) => one === code) ?? "model_failed";
  throw new SessionError(known, { ...ids, reason });
}

interface Run {
  readonly consultation: Consultation;
  readonly model: Model;
  readonly request: Omit<ModelRequest, "signal">;
  readonly say: Say;
  readonly signal: AbortSignal | undefined;
  readonly now: () => number;
}

/** Call the model, write down what it says as it says it, and seal the turn whatever comes. */
async function run(turn: TurnInProgress, { consultation, model, request, say, signal, now }: Run): Promise<Turn> {
  const stop = signal === undefined ? turn.signal : AbortSignal.any([signal, turn.signal]);
  const began = performance.now();
  const spending = new ModelUsage({ asked: request.messages, model: request.model, now });
  const cost = (): Cost => spending.cost(turn.output);
  let finish: string | undefined;
  turn.cost = cost;
  try {
    for await (const event of untilAborted(model({ ...request, signal: stop }), stop)) {
      if (event.type === "text") {
        if (event.text === "") continue;
        consultation.firstTextMs ??= performance.now() - began;
        say(event.text);
        await turn.write({ text: event.text });
      } else if (event.type === "message") {
        const said = saidIn(event);
        if (said !== "") say(said);
        await turn.write({ message: event.message });
      } else if (event.type === "usage") {
        spending.report(event.usage);
      } else if (event.type === "requests") {
        spending.call(event.requests, turn.output);
      } else if (event.type === "step") {
        spending.step(event.usage, turn.output);
      } else if (event.type === "finish") {
        finish = event.reason;
      } else if (event.type === "model") {
        spending.answers(event.model);
      }
    }
  } catch (failure) {
    const error = turn.signal.aborted
      ? turn.signal.reason
      : stop.aborted
        ? turn.interruption("it was aborted")
        : failure;
    const known = identified(error, consultation, turn.seq);
    const { code, message } = known;
    consultation.answer = summaryOf({ ...turn.open, status: brokenStatus(known), ...cost(), error: { code, message } });
    throw await sealBroken(turn, known, cost());
  }
  const sealed = await turn.seal({ ...cost(), ...defined({ finish }) });
  consultation.answer = summaryOf(sealed);
  return sealed;
}

/** What a model throws, not knowing whom it answers. */
const modelCodes = ["model_failed", "model_refused", "tool_steps_exceeded"] as const;

/** The turn keeps no more of a failure's reason. */
const reasonLengthMax = 1000;

/** The error of a broken answer, with the ids needed to act on it. */
function identified(error: unknown, { session, tenant, agent }: Consultation, turn: number): SessionError {
  const ids = { sessionId: session, tenant, agent, turn };
  for (const code of modelCodes) {
    if (hasCode(error, code))
      return new SessionError(code, { ...error.details, ...ids }, { cause: error.cause ?? error });
  }
  if (error instanceof SessionError) return error;
  const reason = clip(error instanceof Error ? error.message : String(error), reasonLengthMax);
  return new SessionError("model_failed", { ...ids, reason }, { cause: error });
}

function brokenStatus({ code }: SessionError): "interrupted" | "failed" {
  return code === "interrupted" ? "interrupted" : "failed";
}

/** Seal what broke off, and answer with the error its caller is to see. */
async function sealBroken(turn: TurnInProgress, error: SessionError, cost: Cost): Promise<unknown> {
  // The code does not tell: a tool of the model may have thrown `fenced` about another session.
  if (turn.isLost) return error;
  const { code, details } = error;
  // The reason alone: the turn it stands in says the rest.
  const message = "reason" in details ? details.reason : error.message;
  try {
    await turn.seal({ status: brokenStatus(error), ...cost, error: { code, message } });
  } catch (failure) {
    return failure;
  }
  return error;
}

/** The events, until the signal aborts: a model that does not listen to its signal must not hold the session. */
async function* untilAborted<T>(events: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
  let interrupt = (): void => undefined;
  const onAbort = (): void => interrupt();
  signal.addEventListener("abort", onAbort, { once: true });
  const iterator = events[Symbol.asyncIterator]();
  try {
    for (;;) {
      signal.throwIfAborted();
      // Not a race with one promise of the abort: that would keep something for every event until the answer ends.
      const next = await new Promise<IteratorResult<T>>((resolve, reject) => {
        interrupt = () => reject(signal.reason);
        iterator.next().then(resolve, reject);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Not awaited: a model that hangs would hang its own cleaning up.
    iterator.return?.()?.catch(() => undefined);
  }
}
