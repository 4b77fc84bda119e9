/** The answer to a question as the result of a call: at once, or of a task. */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import type { Session, Turn, WaitingTurn } from "../../index.ts";
import { textOf, type Plain } from "./tools/shown.ts";
import { result } from "./tools/tool.ts";

/** An answer, as a schema describes it. */
export const answerShape: z.ZodType = z.object({
  session: z.string(),
  turn: z.number().describe("the number of the turn"),
  status: z.enum(["open", "waiting", "done", "failed", "interrupted"]),
  agent: z.string().describe("the agent that answered"),
  text: z.string().describe("the answer, or the part of it that had arrived"),
  model: z.string().optional(),
  finish: z.string().optional(),
  usage: z.looseObject({}).optional(),
  waiting: z
    .object({
      reason: z.string(),
      calls: z.array(z.object({ id: z.string(), name: z.string(), arguments: z.string() })),
    })
    .optional()
    .describe("why the turn waits, and the tool calls that need an approval"),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});

/** The result of an answer that has ended, or of a turn that waits. */
export function answerResult(session: Session, turn: Turn, waiting: WaitingTurn | null = null): object {
  const form = answerForm(session, turn);
  const calls = waiting?.calls.map(({ id, function: call }) => ({ id, name: call.name, arguments: call.arguments }));
  if (waiting === null) return result(form, textOf(turn.output));
  return result({ ...form, waiting: { reason: waiting.reason, calls } });
}

/** An answer, or the part of it that stands. */
export function answerForm(session: Session, { seq, status, agent, output, model, finish, usage, error }: Turn): Plain {
  return {
    session: session.id,
    turn: seq,
    status,
    agent,
    text: textOf(output),
    ...defined({ model, finish, usage, error }),
  };
}
