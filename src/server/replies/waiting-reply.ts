/** A turn that waits for the approval of tool calls, for sessions, chats and conversations. */
import type { Session } from "../../index.ts";
import { chatAnswer, waitingAnswer } from "../../protocol/schemas.ts";
import { wireWaitingFor } from "../../protocol/wire.ts";
import { jsonAnswer, type Answered, type RequestContext } from "../http/route.ts";

export const waitingAnswers: Readonly<Record<number, Answered>> = {
  200: { description: "the turn that waits, with its token", schema: waitingAnswer },
  204: { description: "no turn waits" },
};

export const approveAnswers: Readonly<Record<number, Answered>> = {
  200: { description: "the rest of the answer", schema: chatAnswer, streams: true },
};

/** The turn that waits, or 204. */
export async function waitingReply(c: RequestContext, session: Session | undefined): Promise<Response> {
  const waiting = (await session?.waiting()) ?? null;
  return waiting === null ? c.body(null, 204) : jsonAnswer(c, wireWaitingFor(c.get("audience"), waiting));
}
