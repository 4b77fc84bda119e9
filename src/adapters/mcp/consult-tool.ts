/**
 * The tool that asks the model of a session. A client that knows tasks gets one once its question is durable; another client
 * waits for the answer, and stops it when it leaves.
 */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import type { Answer, Session, Turn } from "../../index.ts";
import { agentName, message } from "../../protocol/schemas.ts";
import { answerForm, answerResult, answerShape } from "./answer-result.ts";
import { approvalRequests, decisionsOf, showsForms } from "./approvals.ts";
import { creation, key, messagesOf, sessionId, sessionOf } from "./tools/session-tools.ts";
import { knowsTasks, newTask } from "./tasks.ts";
import {
  failed,
  sessionTool,
  type Consulting,
  type McpContext,
  type SessionTool,
  type ToolCall,
} from "./tools/tool.ts";

export function consultTool(consulting: Consulting): SessionTool {
  return sessionTool({
    name: "session_consult",
    title: "Ask the agent of a session",
    description:
      "Ask the agent of a session, which answers with the turns of the session as context. Question and answer are stored as a turn. With the same key again the result is the same answer; after a failure the agent is asked again in the same turn, unless tools may have run.",
    right: "write",
    annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
    input: z.strictObject({
      session: sessionId,
      message,
      key,
      agent: agentName.optional().describe("the agent that answers; the active agent is the default"),
      create: creation,
      busy: z
        .enum(["reject", "queue", "interrupt"])
        .optional()
        .describe("what happens if the session is answering: reject is the default"),
    }),
    output: answerShape,
    run: async ({ session: id, message: sent, key, agent, create, busy }, call) => {
      const session = await sessionOf(call.sessions, id, { create });
      const { signal } = call.context.mcpReq;
      const asTask = knowsTasks(call.client);
      // A client that leaves stops the answer that it waits for. It withdraws a task that has not begun, and stops no task.
      const ending = asTask ? { withdraw: signal } : { signal };
      const answer =
        (await decided(session, key, { call, consulting })) ??
        (await consulting.converse(session, messagesOf(sent), { key, ...ending, ...defined({ agent, busy }) }));
      if (!asTask) return await waitedFor(session, answer, { key, call, consulting });
      consulting.outlive(answer);
      call.waitUntil(answer.done);
      return await newTask(session, { turn: answer.seq, key });
    },
  });
}

/** The rest of the answer of a waiting turn, where the call brings the decisions on its tool calls. */
async function decided(
  session: Session,
  key: string,
  { call, consulting }: { readonly call: ToolCall; readonly consulting: Consulting },
): Promise<Answer | undefined> {
  const { inputResponses } = call.context.mcpReq;
  if (inputResponses === undefined) return undefined;
  const waiting = await session.waiting();
  if (waiting === null || (await session.turnByKey(key))?.seq !== waiting.turn) return undefined;
  const decisions = decisionsOf(waiting, inputResponses);
  return decisions && (await consulting.approve(session, waiting.token, decisions));
}

/** The whole answer. A failure has the part that arrived, and a turn that waits asks the client where that can answer. */
async function waitedFor(
  session: Session,
  answer: Answer,
  { key, call, consulting }: { readonly key: string; readonly call: ToolCall; readonly consulting: Consulting },
): Promise<object> {
  let turn: Turn;
  try {
    await showProgress(answer, call.context);
    turn = await answer.done;
  } catch (error) {
    const stored = await session.turnByKey(key).catch(() => undefined);
    return failed(error, consulting.report, stored && answerForm(session, stored));
  }
  const waiting = turn.status === "waiting" ? await session.waiting() : null;
  const isAsked = waiting !== null && waiting.calls.length > 0;
  if (isAsked && showsForms(call.client))
    return { resultType: "input_required", inputRequests: approvalRequests(waiting) };
  return answerResult(session, turn, waiting);
}

/** Notifies of the text as it arrives. A client that is slow gets longer pieces. */
async function showProgress(answer: Answer, { mcpReq }: McpContext): Promise<void> {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  let progress = 0;
  for await (const text of answer) {
    progress += text.length;
    const params = { progressToken, progress, message: text };
    // A client that has left reads nothing; its signal ends the answer.
    await mcpReq.notify({ method: "notifications/progress", params }).catch(() => undefined);
  }
}
