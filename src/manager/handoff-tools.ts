import { formatValue } from "../domain/values/format-value.ts";
import type { Agent } from "../sessions/options/options.ts";
import type { Session } from "../sessions/session/session.ts";
import type { Tool } from "./tool.ts";
import { invalidText } from "../domain/values/invalid-argument.ts";

/**
 * When the agent that a model handed off to answers: `next` from the next message on, `now` in the same turn.
 */
export type HandsOver = "now" | "next";

const moments: Readonly<Record<HandsOver, string>> = { now: "now", next: "from the next message on" };

/** The name of the tool that hands off. */
export const handOffTool = "hand_off";

/**
 * The tools with which a model hands off to another agent, or ends the handoff. The active agent changes at once, in a
 * commit of its own.
 */
export function handoffTools(agents: ReadonlyMap<string, Agent>, handsOver: HandsOver): readonly Tool[] {
  const moment = moments[handsOver];
  const described = [...agents].map(([name, { description }]) =>
    description === undefined ? formatValue(name) : `${formatValue(name)} (${description})`,
  );
  return [
    {
      name: handOffTool,
      description: `Hand the conversation to another agent, which answers ${moment}. Agents: ${described.join("; ")}`,
      parameters: {
        type: "object",
        properties: {
          agent: {
            type: "string",
            enum: [...agents.keys()],
            description: `The agent that answers ${moment}`,
          },
          note: { type: "string", description: "Information for that agent" },
        },
        required: ["agent"],
        additionalProperties: false,
      },
      run: async ({ agent, note }, { session }) => await handOff(session, { agent, note, moment }),
    },
    {
      name: "release",
      description: "End the handoff: the agent that fits the next message best answers it.",
      parameters: { type: "object", properties: {}, additionalProperties: false },
      run: async (_args, { session }) => ((await session.endHandoff()) ? "released" : "no handoff to end"),
    },
  ];
}

async function handOff(
  session: Session,
  { agent, note, moment }: { readonly agent: unknown; readonly note: unknown; readonly moment: string },
): Promise<string> {
  if (typeof agent !== "string") throw invalidText("agent", agent, {});
  // Models write null for fields that they omit.
  if (note !== undefined && note !== null && typeof note !== "string") throw invalidText("note", note, {});
  await session.handOff(agent, typeof note === "string" && note !== "" ? { note, noteFrom: "model" } : {});
  return `${formatValue(agent)} answers ${moment}`;
}
