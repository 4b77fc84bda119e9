/**
 * Which agent answers. `consult`, the manager, live sessions, the command line, HTTP and devices use this one rule. The
 * first agent of the list answers:
 *
 * 1. `named`: the agent that the caller names. Its caller checks that the name is known.
 * 2. `handoff`: the active agent, until its time is up, if it is known.
 * 3. `routed`: the agent that a router chose for this question.
 * 4. `session`: the session's own agent, if it is known.
 * 5. `default`: the default agent, see {@link defaultAgent}.
 *
 * An agent that was renamed or removed is not known any more, so its sessions and handoffs fall through to the next rule.
 * Without a default agent the unknown agent of the session is returned, and asking it fails with `agent_unknown`.
 */
import { handoffAt } from "../record/handoff.ts";
import type { SessionRecord } from "../record/record.ts";

/** The agents that a process knows, by name; undefined: none are configured, and every name is known. */
export type KnownAgents = ReadonlyMap<string, { readonly default?: boolean }> | undefined;

/** The agents that callers and routers propose for one question. */
export interface ProposedAgents {
  readonly named?: string | undefined;
  readonly routed?: string | undefined;
}

/** The agent that answers, and the rule that chose it. */
export interface AgentChoice {
  readonly agent: string;
  readonly by: "named" | "handoff" | "routed" | "session" | "default";
}

export function chooseAgent(
  { agent, handoff }: Pick<SessionRecord, "agent" | "handoff">,
  { named, routed }: ProposedAgents,
  known: KnownAgents,
  now: number,
): AgentChoice {
  if (named !== undefined) return { agent: named, by: "named" };
  const active = handoffAt({ handoff }, now);
  if (active !== null && isKnown(active.agent, known)) return { agent: active.agent, by: "handoff" };
  if (routed !== undefined) return { agent: routed, by: "routed" };
  if (isKnown(agent, known)) return { agent, by: "session" };
  const fallback = defaultAgent(known);
  return fallback === undefined ? { agent, by: "session" } : { agent: fallback, by: "default" };
}

/** The name of the default agent where no agents are configured, or several without a mark. */
const unmarkedDefault = "assistant";

/**
 * The agent of sessions that name none: the agent with `default: true`, else the only agent, else "assistant". Undefined:
 * there are several agents, none is marked, and none is called "assistant".
 */
export function defaultAgent(known: KnownAgents): string | undefined {
  if (known === undefined) return unmarkedDefault;
  const marked = [...known].find(([, agent]) => agent.default === true)?.[0];
  if (marked !== undefined) return marked;
  if (known.size === 1) return [...known.keys()][0];
  return known.has(unmarkedDefault) ? unmarkedDefault : undefined;
}

export function isKnown(agent: string, known: KnownAgents): boolean {
  return known?.has(agent) !== false;
}
