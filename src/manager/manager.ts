/**
 * One entry for the messages of a chat with several agents. The active agent answers. Without one the router chooses;
 * the same commit stores the question and makes the chosen agent the active one, so that two instances that route at
 * the same time agree. The default agent answers a message that cannot be routed and does not become active, so the
 * next message is routed again. Without a default agent this is an error, and nothing is written.
 */
import { invalidArgument, parseArray, parseFunction } from "../domain/values/invalid-argument.ts";
import { parseDuration, type Duration } from "../domain/values/duration.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import { parseMessages, type MessageInput } from "../domain/turns/turn.ts";
import { SessionError } from "../errors.ts";
import type { Answer } from "../domain/turns/answer.ts";
import type { ApproveOptions, Decisions } from "../sessions/operations/approve.ts";
import type { ConsultOptions, Routed } from "../sessions/turns/question.ts";
import type { Model } from "../sessions/options/model.ts";
import { traceCall } from "../sessions/tracing/operation.ts";
import { defaultAgent } from "../domain/turns/agent-choice.ts";
import type { Agent } from "../sessions/options/options.ts";
import type { Session } from "../sessions/session/session.ts";
import type { Sessions } from "../sessions/sessions.ts";
import { handOffTool, handoffTools, type HandsOver } from "./handoff-tools.ts";
import { routeByKeywords } from "./keyword-router.ts";
import { routedText, type Router } from "./router.ts";
import { parseTools, type Tool } from "./tool.ts";
import { answerWithTools, parseStepsMax } from "./tool-loop.ts";
import type { RanTools } from "./tool-steps.ts";
import { withTimeout } from "./timeout.ts";

/** With `handsOver: "now"`: the handoffs of one turn, so that agents do not pass a question back and forth. */
const handoffsMax = 3;

/** Options of a manager. */
export interface ManagerOptions {
  /** Sessions opened with the agents to choose from. */
  readonly sessions: Sessions;
  /**
   * Chooses an agent when none is active.
   * @default `routeByKeywords()`
   */
  readonly router?: Router;
  /**
   * Time limit of the router.
   * @default "10s"
   */
  readonly routerTimeout?: Duration;
  /**
   * The agent that answers if the router finds none, names an unknown one, or fails.
   * @default the agent with `default: true`, else the only agent, else "assistant"
   */
  readonly default?: string;
  /**
   * Tools by agent name.
   * @default none
   */
  readonly tools?: Readonly<Record<string, readonly Tool[]>>;
  /**
   * Offer `hand_off` and `release` to the model; false for models without tools.
   * @default true
   */
  readonly offersHandoffs?: boolean;
  /**
   * When the agent that a model handed off to with `hand_off` answers: `next` from the next message on, `now` in the same
   * turn, at most three handoffs a turn.
   * @default "next"
   */
  readonly handsOver?: "now" | "next";
  /**
   * Maximum number of model calls within one answer.
   * @default 10
   */
  readonly stepsMax?: number;
}

const optionNames: OptionNames<ManagerOptions> = {
  sessions: true,
  router: true,
  routerTimeout: true,
  default: true,
  tools: true,
  offersHandoffs: true,
  handsOver: true,
  stepsMax: true,
};

/** How to send a message: as `consult`. */
export type SendOptions = Omit<ConsultOptions, "route">;

/** The entry for messages. */
export interface Manager {
  /**
   * Answers a message: the named agent does, without becoming active; else the active agent; else the agent that the
   * router chooses, which becomes the active one. A retry with the same key is the same turn, whichever agent is active
   * by then.
   * @throws SessionError `agent_not_routed`, `router_failed`, `agent_unknown`, `model_missing`, and as
   *   `session.consult`
   */
  readonly send: (session: Session, message: MessageInput, options?: SendOptions) => Promise<Answer>;
  /**
   * Decides on the tool calls for which a turn waits, as `session.approve`, with the tools of the agent that answers.
   * @throws SessionError as `session.approve`
   */
  readonly approve: (
    session: Session,
    token: string,
    decisions: Decisions,
    options?: ApproveOptions,
  ) => Promise<Answer>;
}

/**
 * Creates a manager of the agents that `sessions` knows.
 * @throws SessionError `argument_invalid`, `agent_unknown`, `duration_invalid`
 */
export function createManager(options: ManagerOptions): Manager {
  guardNames(options, "options", optionNames);
  const { sessions, router = routeByKeywords() } = options;
  const agents = parseAgents(sessions);
  parseFunction(router, "router");
  const fallback = parseDefault(options.default, agents);
  const { offersHandoffs = true, stepsMax = 10 } = options;
  const handsOver = parseHandsOver(options.handsOver ?? "next");
  const toolsOf = toolsByAgent(options.tools ?? {}, agents, offersHandoffs ? handoffTools(agents, handsOver) : []);
  parseStepsMax(stepsMax);
  const routerTimeoutMs = parseDuration(options.routerTimeout ?? "10s", "routerTimeout");

  async function route(session: Session, text: string, model: Model, signal?: AbortSignal): Promise<Routed> {
    const ids = { sessionId: session.id, tenant: session.info.tenant };
    const known = [...agents.keys()];
    let error: SessionError;
    try {
      const work = (stop: AbortSignal): ReturnType<Router> => router(text, { agents, session, model, signal: stop });
      // The router is the caller's function: its result is unchecked.
      const agent: unknown = await withTimeout(work, { ms: routerTimeoutMs, signal });
      if (typeof agent === "string" && agents.has(agent)) return { agent, becomesActive: true };
      error =
        typeof agent === "string"
          ? new SessionError("agent_unknown", { agent, known })
          : new SessionError("agent_not_routed", { ...ids, known });
    } catch (cause) {
      signal?.throwIfAborted();
      const reported = cause instanceof Error ? cause.message : String(cause);
      error = new SessionError("router_failed", { ...ids, reported }, { cause });
    }
    if (fallback === undefined) throw error;
    return { agent: fallback, becomesActive: false };
  }

  /** The model, with the tools of the answering agent. */
  function withAgentTools(model: Model, session: Session): Model {
    const answering: Model = (request, context) => {
      // Calls that were decided on have results, also where the agent has no tools any more.
      if ((toolsOf.get(request.agent) ?? []).length === 0 && request.decided === undefined) return model(request);
      let handoffs = 0;
      const isLast = (): boolean => handsOver === "now" && handoffs >= handoffsMax;
      return answerWithTools(model, request, {
        session,
        stepsMax,
        toolsOf(agent) {
          const tools = toolsOf.get(agent) ?? [];
          return isLast() ? tools.filter(({ name }) => name !== handOffTool) : tools;
        },
        async handOver(agent, ran) {
          if (handsOver !== "now" || context === undefined || isLast() || !hasHandedOff(ran)) return undefined;
          const active = await session.activeAgent();
          if (active === null || active.agent === agent || !agents.has(active.agent)) return undefined;
          handoffs++;
          return await context.requestTo(active.agent);
        },
      });
    };
    return Object.assign(answering, { runsTools: true, withoutTools: model });
  }

  return {
    async approve(session, token, decisions, options = {}) {
      const model = modelOf(options, sessions);
      if (model === undefined)
        throw new SessionError("model_missing", { sessionId: session.id, tenant: session.info.tenant });
      return await session.approve(token, decisions, { ...options, model: withAgentTools(model, session) });
    },
    async send(session, message, sending = {}) {
      const { tenant, agent } = session.info;
      return await traceCall({ operation: "send", tenant, session: session.id, agent }, async () => {
        const text = routedText(parseMessages(message, "user", "message"));
        const model = modelOf(sending, sessions);
        if (model === undefined)
          throw new SessionError("model_missing", { sessionId: session.id, tenant: session.info.tenant });
        return await session.consult(message, {
          ...sending,
          model: withAgentTools(model, session),
          route: () => route(session, text, model, sending.signal),
        });
      });
    },
  };
}

/** True if a call of `hand_off` succeeded. */
function hasHandedOff({ calls, results }: RanTools): boolean {
  return calls.some(({ function: { name } }, index) => name === handOffTool && results[index]?.["is_error"] !== true);
}

/** @throws SessionError `argument_invalid` */
function parseHandsOver(handsOver: unknown): HandsOver {
  if (handsOver === "now" || handsOver === "next") return handsOver;
  throw invalidArgument("handsOver", handsOver, { expected: "one_of", known: ["now", "next"] });
}

/** The model itself; a model name goes to the model of `openSessions`. */
function modelOf({ model }: Pick<SendOptions, "model">, sessions: Sessions): Model | undefined {
  if (typeof model !== "string") return model ?? sessions.model;
  const { model: own } = sessions;
  if (own === undefined) return undefined;
  return async function* namedModel(request) {
    yield { type: "model", model };
    yield* own({ ...request, model });
  };
}

function parseAgents(sessions: Sessions): ReadonlyMap<string, Agent> {
  guardObject(sessions, "sessions");
  const { agents } = sessions;
  if (agents !== undefined && agents.size > 0) return agents;
  throw new SessionError("argument_invalid", { name: "sessions.agents", expected: "agents" });
}

function parseDefault(name: string | undefined, agents: ReadonlyMap<string, Agent>): string | undefined {
  if (name === undefined) return defaultAgent(agents);
  if (agents.has(name)) return name;
  throw new SessionError("agent_unknown", { agent: name, known: [...agents.keys()] });
}

/**
 * Tools by agent: the handoff tools and its own.
 * @throws SessionError `agent_unknown`, `argument_invalid`
 */
function toolsByAgent(
  own: Readonly<Record<string, readonly Tool[]>>,
  agents: ReadonlyMap<string, Agent>,
  common: readonly Tool[],
): ReadonlyMap<string, readonly Tool[]> {
  guardObject(own, "tools");
  const given = new Map(Object.entries(own));
  for (const name of given.keys()) {
    if (!agents.has(name)) throw new SessionError("agent_unknown", { agent: name, known: [...agents.keys()] });
  }
  return new Map(
    [...agents.keys()].map((name) => {
      const tools = [...common, ...parseArray(given.get(name) ?? [], `tools.${name}`)];
      parseTools(tools);
      return [name, tools] as const;
    }),
  );
}
