/** The tools of memory: the summaries, the marks and the ratings of a session. */
import { z } from "zod";
import { defined } from "../../../domain/values/defined.ts";
import type { Session, Summary } from "../../../index.ts";
import { agentName } from "../../../protocol/schemas.ts";
import { wireRating, wireSummary } from "../../../protocol/wire-memory.ts";
import { sessionId } from "./session-tools.ts";
import { plain, type Plain } from "./shown.ts";
import { result, sessionTool, type SessionTool } from "./tool.ts";

const turnNumber = z.number().int().min(1).describe("the number of the turn");
const value = z.union([z.enum(["up", "down"]), z.number()]);

const summaryShape = z
  .object({
    from: z.number(),
    to: z.number().describe("the last turn that it covers"),
    text: z.string(),
    at: z.string(),
    agent: z.string(),
    model: z.string().optional(),
    usage: z.looseObject({}).optional(),
  })
  .nullable();

const marksShape = {
  pinned: z.array(z.number()).describe("models are shown these turns however old they are"),
  leftOut: z.array(z.number()).describe("models are not shown these turns"),
};

function summaryForm(summary: Summary | null): Plain | null {
  return summary && plain(wireSummary(summary));
}

const show = sessionTool({
  name: "session_memory",
  title: "Show the memory of a session",
  description:
    "Show what models are shown beside the last turns of a session: the newest summary, pinned turns, turns that are left out; and the ratings of turns.",
  right: "read",
  annotations: { readOnlyHint: true },
  input: z.strictObject({ session: sessionId }),
  output: z.object({
    summary: summaryShape.describe("null: no turn is summarized"),
    ...marksShape,
    ratings: z.array(
      z.object({
        turn: z.number(),
        rating: value,
        comment: z.string().optional(),
        by: z.string().nullable(),
        at: z.string(),
      }),
    ),
  }),
  run: async ({ session: id }, { sessions }) => {
    const session = await sessions.get(id);
    const ratings = (await session.ratings()).map(wireRating);
    return result({
      summary: summaryForm(await newestSummary(session)),
      ...(await session.memory()),
      ratings: plain({ ratings })["ratings"],
    });
  },
});

async function newestSummary(session: Session): Promise<Summary | null> {
  for await (const summary of session.summaries()) return summary;
  return null;
}

const summarize = sessionTool({
  name: "session_summarize",
  title: "Summarize a session",
  description:
    "Summarize the first turns of a session by the model of the server. Models are shown the summary in place of these turns, which stay. A second call for the same turns returns the same summary.",
  right: "write",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  input: z.strictObject({
    session: sessionId,
    to: turnNumber.optional().describe("the last turn that the summary covers; all but the last 4 is the default"),
    agent: agentName.optional().describe("the agent whose model and settings are used"),
  }),
  output: z.object({ summary: summaryShape.describe("null: the conversation is too short") }),
  run: async ({ session: id, ...options }, { sessions, context }) => {
    const session = await sessions.get(id);
    const summary = await session.summarize({ ...defined(options), signal: context.mcpReq.signal });
    return result({ summary: summaryForm(summary) });
  },
});

const mark = sessionTool({
  name: "session_mark",
  title: "Pin a turn, or leave it out",
  description:
    "Pin a turn, so that models are shown it however old it is, or leave it out, so that no model is shown it. Users still see the turn.",
  right: "write",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  input: z.strictObject({
    session: sessionId,
    turn: turnNumber,
    mark: z.enum(["pinned", "left_out", "none"]).describe("none removes the mark of the turn"),
  }),
  output: z.object(marksShape),
  run: async ({ session: id, turn, mark: wanted }, { sessions }) => {
    const session = await sessions.get(id);
    if (wanted === "pinned") await session.pin(turn);
    else if (wanted === "left_out") await session.leaveOut(turn);
    else {
      await session.unpin(turn);
      await session.takeIn(turn);
    }
    return result({ ...(await session.memory()) });
  },
});

const rate = sessionTool({
  name: "session_rate",
  title: "Rate a turn",
  description: "Rate a turn, as feedback on its answer. A later rating of the same rater replaces the earlier one.",
  right: "write",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  input: z.strictObject({
    session: sessionId,
    turn: turnNumber,
    rating: value.nullable().describe("approval, disapproval or a score; null removes the rating"),
    comment: z.string().max(2000).optional(),
    by: z.string().optional().describe("the rater; without it the rating has no name"),
  }),
  output: z.object({ turn: z.number(), rating: value.nullable() }),
  run: async ({ session: id, turn, rating, ...others }, { sessions }) => {
    const session = await sessions.get(id);
    await session.rate(turn, { rating, ...defined(others) });
    return result({ turn, rating });
  },
});

/** In order. */
export const memoryTools: readonly SessionTool[] = [show, summarize, mark, rate];
