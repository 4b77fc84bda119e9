import { formatValue } from "../domain/values/format-value.ts";
import { SessionError } from "../errors.ts";
import type { Agent } from "../sessions/options/options.ts";
import type { Session } from "../sessions/session/session.ts";
import type { Tool } from "./tool.ts";

/**
 * The tools by which a model passes the floor on or gives it back. The floor changes at once, in a commit of its own;
 * who is answering finishes its answer, and the next message is the next one's.
 */
export function floorTools(agents: ReadonlyMap<string, Agent>): readonly Tool[] {
  const described = [...agents].map(([name, { description }]) =>
    description === undefined ? formatValue(name) : `${formatValue(name)} (${description})`,
  );
  return [
    {
      name: "hand_off",
      description: `Hand the conversation to another agent, who answers from the next message on. Agents: ${described.join("; ")}`,
      parameters: {
        type: "object",
        properties: {
          agent: { type: "string", enum: [...agents.keys()], description: "Who answers from the next message on" },
          note: { type: "string", description: "What that agent should know" },
        },
        required: ["agent"],
        additionalProperties: false,
      },
      run: async ({ agent, note }, { session }) => await handOff(session, agent, note),
    },
    {
      name: "release",
      description: "Give the conversation back: whoever fits the next message best answers it.",
      parameters: { type: "object", properties: {}, additionalProperties: false },
      run: async (_args, { session }) => ((await session.endHandoff()) ? "released" : "nobody had the floor"),
    },
  ];
}

async function handOff(session: Session, agent: unknown, note: unknown): Promise<string> {
  if (typeof agent !== "string") throw argumentInvalid("agent", agent);
  // Models write null for what they leave out.
  if (note !== undefined && note !== null && typeof note !== "string") throw argumentInvalid("note", note);
  await session.handOff(agent, typeof note === "string" && note !== "" ? { note, noteFrom: "model" } : {});
  return `${formatValue(agent)} answers from the next message on`;
}

function argumentInvalid(name: string, value: unknown): SessionError {
  return new SessionError("argument_invalid", { name, value: formatValue(value), expected: "a text" });
}
