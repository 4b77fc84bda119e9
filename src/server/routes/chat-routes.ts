/** The chat of a device: the device id is the secret that opens its session. */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Answer, Session } from "../../index.ts";
import {
  agentName,
  busyPolicy,
  chatAnswer,
  deviceHandoffBody,
  activeAgentAnswer,
  message,
  sessionAnswer,
  streamAnswers,
  streamQuery,
  turnsAnswer,
  rangeQuery,
} from "../../protocol/schemas.ts";
import { deviceOf, deviceOrNew } from "../http/authority.ts";
import { guardOpenAgent, guardUserRole } from "../http/device-guards.ts";
import { answerReply, activeAgentReply, handOffReply, sessionReply, streamReply } from "../replies/reply.ts";
import { idempotencyKey } from "../replies/request-headers.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { turnsReply } from "../replies/log-page.ts";

export function addChatRoutes(shared: Shared): void {
  const { sessions, converse, outlive, stop, deviceUsage, openDevice, findDevice } = shared;
  const found = async (c: RequestContext): Promise<Session | undefined> => {
    const session = await findDevice(c, deviceOf(c, sessions));
    c.set("session", session?.id);
    return session;
  };

  /** Opens the session of a device; with the key of an earlier question it also opens an expired session. */
  const opened = async (
    c: RequestContext,
    { device, agent, key }: { device: string; agent: string | undefined; key: string | undefined },
  ): Promise<Session> => {
    try {
      return await openDevice(c, device, agent);
    } catch (error) {
      if (key === undefined || !hasCode(error, "busy")) throw error;
      const answering = await findDevice(c, device);
      if (answering === undefined || (await answering.turnByKey(key)) === undefined) throw error;
      return answering;
    }
  };

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/chat",
      summary: "Send a message; the answer as JSON or as a stream",
      scope: "device",
      headers: ["Idempotency-Key", "Last-Event-ID"],
      body: z.strictObject({ message, agent: agentName.optional(), busy: busyPolicy.optional() }),
      answers: { 200: { description: "the answer", schema: chatAnswer, streams: true } },
    },
    async (c, { body: { message: question, agent, busy } }) => {
      guardUserRole(question);
      if (agent !== undefined) guardOpenAgent(sessions, agent);
      const device = deviceOrNew(c, sessions);
      const { key } = idempotencyKey(c);
      const session = await opened(c, { device, agent, key });
      c.set("session", session.id);
      const ask = (withdraw: AbortSignal): Promise<Answer> =>
        deviceUsage.count({ device, session, key }, () =>
          converse(session, question, defined({ agent, busy, key, withdraw })),
        );
      return await answerReply(c, session, { ask, outlive, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/chat/stream",
      summary: "Stream the running answer from its beginning, or a broken stream after Last-Event-ID",
      scope: "device",
      headers: ["Last-Event-ID"],
      query: streamQuery,
      answers: streamAnswers,
    },
    async (c, { query: { lastEventId } }) => {
      const lost = c.req.header("last-event-id") ?? lastEventId;
      return await streamReply(c, await found(c), { lost, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/chat/session",
      summary: "Get the session of the device",
      scope: "device",
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c) => {
      const session = await found(c);
      if (session === undefined) throw new SessionError("session_not_found", {});
      return sessionReply(c, session.info);
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/chat/turns",
      summary:
        "Get turns, oldest first: the last 20 or n, also before a number, or a range; at most 500 turns or 1 MiB",
      scope: "device",
      query: rangeQuery,
      answers: { 200: { description: "a page of turns", schema: turnsAnswer } },
    },
    async (c, { query }) => {
      const session = await found(c);
      return session === undefined ? jsonAnswer(c, { items: [] }) : await turnsReply(c, session, query);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/chat/cancel",
      summary: "Cancel the running answer, on any instance; with a key, only its question, also while that waits",
      scope: "device",
      headers: ["Idempotency-Key"],
      answers: { 200: { description: "true if an answer was running", schema: z.object({ cancelled: z.boolean() }) } },
    },
    async (c) => jsonAnswer(c, { cancelled: (await (await found(c))?.cancel(idempotencyKey(c))) ?? false }),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/chat/active-agent",
      alias: "/v1/chat/lock",
      summary: "Get the active agent",
      scope: "device",
      answers: {
        200: { description: "the agent", schema: activeAgentAnswer },
        204: { description: "no handoff is in force; the default agent answers" },
      },
    },
    async (c) => await activeAgentReply(c, await found(c)),
  );

  addRoute(
    shared,
    {
      method: "put",
      path: "/v1/chat/active-agent",
      alias: "/v1/chat/lock",
      summary: "Hand off to an agent for a limited time",
      scope: "device",
      body: deviceHandoffBody,
      answers: { 200: { description: "the agent", schema: activeAgentAnswer } },
    },
    async (c, { body }) => {
      guardOpenAgent(sessions, body.agent);
      const session = await openDevice(c, deviceOf(c, sessions));
      c.set("session", session.id);
      return await handOffReply(c, session, body);
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/chat/active-agent",
      alias: "/v1/chat/lock",
      summary: "End the handoff",
      scope: "device",
      answers: { 204: { description: "no handoff is in force" } },
    },
    async (c) => {
      await (await found(c))?.endHandoff();
      return c.body(null, 204);
    },
  );
}
