/** Agents as prompts: their instructions, with the message of the user. */
import { defined } from "../../domain/values/defined.ts";
import type { Agent, Sessions } from "../../index.ts";

/** The known agents, in their order. */
export function listPrompts({ agents }: Sessions): readonly object[] {
  return [...(agents ?? [])].map(([name, { description }]) => ({
    name,
    title: name,
    description: description ?? `The instructions of the agent ${name}`,
    arguments: [{ name: "message", description: "the message to the agent", required: false }],
  }));
}

/** The prompt of this name; undefined where no agent has it. */
export function promptOf(
  { agents }: Sessions,
  { name, arguments: args }: { readonly name: string; readonly arguments?: { readonly [name: string]: unknown } },
): object | undefined {
  const agent = agents?.get(name);
  if (agent === undefined) return undefined;
  const message = args !== undefined && Object.hasOwn(args, "message") ? args["message"] : undefined;
  const texts = [instructionsOf(name, agent), ...(typeof message === "string" && message !== "" ? [message] : [])];
  const messages = texts.map((text) => ({ role: "user", content: { type: "text", text } }));
  return { ...defined({ description: agent.description }), messages };
}

function instructionsOf(name: string, { instructions }: Agent): string {
  return instructions ?? `Answer as the agent ${name}.`;
}
