import { formatValue } from "../domain/values/format-value.ts";
import type { Agent } from "../sessions/options/options.ts";
import type { Session } from "../sessions/session/session.ts";
import type { Tool } from "./tool.ts";
import { invalidText } from "../domain/values/invalid-argument.ts";

/**
 * The tools with which a model hands off to another agent, or ends the handoff. The active agent changes at once, in a
 * commit of its own: the current agent finishes its answer, and the next message goes to the new one.
 */
export function handoffTools(agents: ReadonlyMap<string, Agent>): readonly Tool[] {
  const described = [...agents].map(([name, { description }]) =>
    description === undefined ? formatValue(name) : `${formatValue(name)} (${description})`,
  );
  return [
    {
      name: "hand_off",
      description: `Hand the conversation to another agent, which answers from the next message on. Agents: ${described.join("; ")}`,
      parameters: {
        type: "object",
        properties: {
          agent: {
            type: "string",
            enum: [...agents.keys()],
            description: "The agent that answers from the next message on",
          },
          note: { type: "string", description: "Information for that agent" },
        },
        required: ["agent"],
        additionalProperties: false,
      },
      run: async ({ agent, note }, { session }) => await handOff(session, agent, note),
    },
    {
      name: "release",
      description: "End the handoff: the agent that fits the next message best answers it.",
      parameters: { type: "object", properties: {}, additionalProperties: false },
      run: async (_args, { session }) => ((await session.endHandoff()) ? "released" : "no handoff to end"),
    },
  ];
}

async function handOff(session: Session, agent: unknown, note: unknown): Promise<string> {
  if (typeof agent !== "string") throw invalidText("agent", agent, {});
  // Models write null for fields that they omit.
  if (note !== undefined && note !== null && typeof note !== "string") throw invalidText("note", note, {});
  await session.handOff(agent, typeof note === "string" && note !== "" ? { note, noteFrom: "model" } : {});
  return `${formatValue(agent)} answers from the next message on`;
}
