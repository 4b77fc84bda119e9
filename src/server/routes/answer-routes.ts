/** Asks the model, stops its answer, and streams the answer in progress. */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import {
  agentName,
  busyPolicy,
  chatAnswer,
  count,
  idInPath,
  message,
  streamAnswers,
  streamQuery,
} from "../../protocol/schemas.ts";
import { keyCheck } from "../http/authority.ts";
import { addRoute, jsonAnswer } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { answerReply, streamReply } from "../replies/reply.ts";
import { idempotencyKey, ifMatch } from "../replies/request-headers.ts";

const shownTurns = z.number().int().min(0).max(1000);

export function addAnswerRoutes(shared: Shared): void {
  const { outlive, stop } = shared;

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/consult",
      summary: "Ask the model, with the turns of the session as context; the answer as JSON or as a stream",
      scope: "write",
      headers: ["Idempotency-Key", "Last-Event-ID", "If-Match"],
      params: idInPath,
      body: z.strictObject({
        message,
        agent: agentName.optional(),
        busy: busyPolicy.optional(),
        model: z.string().max(256).optional(),
        window: z
          .union([
            shownTurns,
            z.strictObject({ turns: shownTurns.optional(), tokens: z.number().int().min(0).optional() }),
          ])
          .optional()
          .meta({ description: "the past turns that the model is shown: a number of turns, or bounds of both" }),
        settings: z.record(z.string(), z.unknown()).optional().meta({
          description:
            "temperature, maxTokens, effort, timeoutMs, and body with more fields of the model's request; ahead of those of the agent",
        }),
        after: count
          .optional()
          .meta({ description: "replace the turns after this one; they are put back if no answer begins" }),
        keep: z.boolean().optional().meta({ description: "with after: a branch keeps the turns that are replaced" }),
        flush: z
          .strictObject({ ms: count.optional(), length: count.optional() })
          .optional()
          .meta({ description: "when the chunks of the answer are written: after a time in ms, or a length" }),
      }),
      answers: { 200: { description: "the answer", schema: chatAnswer, streams: true } },
    },
    async (c, { params, body: { message: question, window, settings, flush, ...options } }) => {
      const session = await c.get("sessions").get(params.id, ifMatch(c));
      const ask = (withdraw: AbortSignal) =>
        session.consult(question, {
          withdraw,
          ...defined({ ...options, window: typeof window === "object" ? defined(window) : window }),
          // `consult` checks them.
          ...defined({ settings, flush: flush && defined(flush) }),
          ...idempotencyKey(c),
        });
      return await answerReply(c, session, { ask, outlive, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/cancel",
      summary: "Cancel the running answer, on any instance; with a key, only its question, also while that waits",
      scope: "write",
      headers: ["Idempotency-Key"],
      params: idInPath,
      answers: { 200: { description: "true if an answer was running", schema: z.object({ cancelled: z.boolean() }) } },
    },
    async (c, { params }) => {
      const session = await c.get("sessions").get(params.id);
      return jsonAnswer(c, { cancelled: await session.cancel(idempotencyKey(c)) });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/stream",
      summary: "Stream the running answer from its beginning, or a broken stream after Last-Event-ID",
      scope: "read",
      headers: ["Last-Event-ID"],
      params: idInPath,
      query: streamQuery,
      answers: streamAnswers,
    },
    async (c, { params, query: { lastEventId } }) => {
      const lost = c.req.header("last-event-id") ?? lastEventId;
      const session = await c.get("sessions").get(params.id);
      return await streamReply(c, session, { lost, stop, admitted: keyCheck(c, shared.keys) });
    },
  );
}
