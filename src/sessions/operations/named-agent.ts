import type { Patch } from "../../domain/record/lifecycle.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";

/**
 * The name of the agent that answers: the named one, else the active agent or the agent of the session.
 * @throws SessionError `agent_unknown`, `id_invalid`
 */
export function answeringAgent({ core, record }: Handle, name: string | undefined): string {
  return name === undefined ? core.chooseAgent(record, {}).agent : namedAgent(core, name);
}

/** The name of a known agent. @throws SessionError `agent_unknown`, `id_invalid` */
export function namedAgent(core: Core, name: string): string {
  core.agent(parseNewId(name, "agent"));
  return name;
}

/**
 * The agent that becomes the agent of the session, with its instructions.
 * @throws SessionError `agent_unknown`, `id_invalid`
 */
export function agentWithInstructions(core: Core, name: string): NonNullable<Patch["agent"]> {
  const { instructions = "" } = core.agent(parseNewId(name, "agent"));
  return { name, instructions };
}
