/**
 * One entry for the messages of a chat with several agents. Whoever has the floor answers. Where nobody has it the
 * router chooses, and the chosen one is given the floor in the same commit that keeps the question, so that two instances
 * that route at once come to one floor. A message that cannot be routed is answered by the default agent, which does
 * not take the floor: the next message is routed again. Without a default agent it is an error, and nothing is written.
 */
import { parseDuration, type Duration } from "../domain/values/duration.ts";
import { parseMessages, type MessageInput } from "../domain/turns/turn.ts";
import { SessionError } from "../errors.ts";
import type { Answer } from "../domain/turns/answer.ts";
import type { ConsultOptions, Routed } from "../sessions/turns/consult.ts";
import type { Model } from "../sessions/options/model.ts";
import { perform } from "../sessions/tracing/operation.ts";
import { defaultAgent, type Agent } from "../sessions/options/options.ts";
import type { Session } from "../sessions/session/session.ts";
import type { Sessions } from "../sessions/sessions.ts";
import { floorTools } from "./floor-tools.ts";
import { routeByKeywords } from "./keyword-router.ts";
import { routedText, type Router } from "./router.ts";
import { parseTools, type Tool } from "./tool.ts";
import { parseStepsMax, withTools } from "./tool-loop.ts";
import { within } from "./within.ts";

/** What a manager is made of. */
export interface ManagerOptions {
  /** Opened with the agents to choose from. */
  readonly sessions: Sessions;
  /** Chooses where nobody has the floor. @default `routeByKeywords()` */
  readonly router?: Router;
  /** How long the router may take. @default "10s" */
  readonly routerTimeout?: Duration;
  /** Who answers where the router finds nobody, names nobody known, or fails. @default the agent with `default: true` */
  readonly default?: string;
  /** The tools of each agent, by its name. @default none of its own */
  readonly tools?: Readonly<Record<string, readonly Tool[]>>;
  /** Offer `hand_off` and `release` to the model; false for models that take no tools. @default true */
  readonly offersFloor?: boolean;
  /** Calls of the model within one answer. @default 10 */
  readonly stepsMax?: number;
}

/** How a message is sent: as by `consult`. */
export type SendOptions = Omit<ConsultOptions, "route">;

/** One entry for messages. */
export interface Manager {
  /**
   * Have a message answered: by the agent that is named, which changes nothing about the floor; else by who has the
   * floor; else by whom the router chooses, who has the floor from then on. A retry with the same key is the same turn,
   * whoever has the floor by then.
   * @throws SessionError `agent_not_routed`, `router_failed`, `agent_unknown`, `model_missing`, and as `session.consult`
   */
  readonly send: (session: Session, message: MessageInput, options?: SendOptions) => Promise<Answer>;
}

/** A manager of the agents that `sessions` knows. @throws SessionError `argument_invalid`, `agent_unknown`, `duration_invalid` */
export function createManager(options: ManagerOptions): Manager {
  const { sessions, router = routeByKeywords() } = options;
  const agents = parseAgents(sessions);
  const fallback = parseDefault(options.default, agents);
  const { offersFloor = true, stepsMax = 10 } = options;
  const toolsOf = toolsByAgent(options.tools ?? {}, agents, offersFloor ? floorTools(agents) : []);
  parseStepsMax(stepsMax);
  const routerTimeoutMs = parseDuration(options.routerTimeout ?? "10s", "routerTimeout");

  async function route(session: Session, text: string, model: Model, signal?: AbortSignal): Promise<Routed> {
    const ids = { sessionId: session.id, tenant: session.info.tenant };
    const known = [...agents.keys()];
    let error: SessionError;
    try {
      const work = (stop: AbortSignal): ReturnType<Router> => router(text, { agents, session, model, signal: stop });
      // A function of the caller's: it may answer anything.
      const agent: unknown = await within(work, { ms: routerTimeoutMs, signal });
      if (typeof agent === "string" && agents.has(agent)) return { agent, takesFloor: true };
      error =
        typeof agent === "string"
          ? new SessionError("agent_unknown", { agent, known })
          : new SessionError("agent_not_routed", { ...ids, known });
    } catch (cause) {
      signal?.throwIfAborted();
      const reason = cause instanceof Error ? cause.message : String(cause);
      error = new SessionError("router_failed", { ...ids, reason }, { cause });
    }
    if (fallback === undefined) throw error;
    return { agent: fallback, takesFloor: false };
  }

  /** The model, with the tools of whichever agent answers. */
  function equipped(model: Model, session: Session): Model {
    return (request) => {
      const tools = toolsOf.get(request.agent) ?? [];
      return (tools.length === 0 ? model : withTools(model, tools, { session, stepsMax }))(request);
    };
  }

  return {
    async send(session, message, sending = {}) {
      const { tenant, agent } = session.info;
      return await perform({ operation: "send", tenant, session: session.id, agent }, async () => {
        const text = routedText(parseMessages(message, "user", "message"));
        const model = modelOf(sending, sessions);
        if (model === undefined)
          throw new SessionError("model_missing", { sessionId: session.id, tenant: session.info.tenant });
        return await session.consult(message, {
          ...sending,
          model: equipped(model, session),
          route: () => route(session, text, model, sending.signal),
        });
      });
    },
  };
}

/** The model itself; a name is told to the one of `openSessions`. */
function modelOf({ model }: SendOptions, sessions: Sessions): Model | undefined {
  if (typeof model !== "string") return model ?? sessions.model;
  const { model: own } = sessions;
  if (own === undefined) return undefined;
  return async function* namedModel(request) {
    yield { type: "model", model };
    yield* own({ ...request, model });
  };
}

function parseAgents({ agents }: Sessions): ReadonlyMap<string, Agent> {
  if (agents !== undefined && agents.size > 0) return agents;
  const expected = "sessions opened with the agents to choose from: openSessions({ agents })";
  throw new SessionError("argument_invalid", { name: "sessions", value: "without agents", expected });
}

function parseDefault(name: string | undefined, agents: ReadonlyMap<string, Agent>): string | undefined {
  if (name === undefined) return defaultAgent(agents);
  if (agents.has(name)) return name;
  throw new SessionError("agent_unknown", { agent: name, known: [...agents.keys()] });
}

/** What each agent may call: the tools of the floor and its own. @throws SessionError `agent_unknown`, `argument_invalid` */
function toolsByAgent(
  own: Readonly<Record<string, readonly Tool[]>>,
  agents: ReadonlyMap<string, Agent>,
  common: readonly Tool[],
): ReadonlyMap<string, readonly Tool[]> {
  const given = new Map(Object.entries(own));
  for (const name of given.keys()) {
    if (!agents.has(name)) throw new SessionError("agent_unknown", { agent: name, known: [...agents.keys()] });
  }
  return new Map(
    [...agents.keys()].map((name) => {
      const tools = [...common, ...(given.get(name) ?? [])];
      parseTools(tools);
      return [name, tools] as const;
    }),
  );
}
