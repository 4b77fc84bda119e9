/** Turns that wait to be resumed: shows the turn, decides on its tool calls, seals it. */
import { SessionError } from "../../errors.ts";
import type { Answer, Session } from "../../index.ts";
import { approveBody, idInPath, turnAnswer } from "../../protocol/schemas.ts";
import { wireEtag, wireTurn } from "../../protocol/wire.ts";
import { sealBody } from "../../protocol/write-schemas.ts";
import { deviceOf } from "../http/authority.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { answerReply } from "../replies/reply.ts";
import { approveAnswers, waitingAnswers, waitingReply } from "../replies/waiting-reply.ts";

export function addWaitingRoutes(shared: Shared): void {
  const { sessions, approve, deviceApprovals, deviceUsage, findDevice, outlive, stop } = shared;

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/waiting",
      summary: "Get the turn that waits to be resumed, with its token, its state and the tool calls to approve",
      scope: "write",
      params: idInPath,
      answers: waitingAnswers,
    },
    async (c, { params }) => await waitingReply(c, await c.get("sessions").get(params.id)),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/approve",
      summary: "Decide on the tool calls for which a turn waits; the rest of the answer as JSON or as a stream",
      scope: "write",
      headers: ["Last-Event-ID"],
      params: idInPath,
      body: approveBody,
      answers: approveAnswers,
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id);
      const ask = (): Promise<Answer> => approve(session, body.token, body.decisions);
      return await answerReply(c, session, { ask, outlive, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/seal",
      summary: "Seal the turn that waits, with the output so far or with another one",
      scope: "write",
      params: idInPath,
      body: sealBody,
      answers: { 200: { description: "the turn", schema: turnAnswer } },
    },
    async (c, { params, body: { token, ...seal } }) => {
      const session = await c.get("sessions").get(params.id);
      const turn = await session.sealWaiting(token, seal);
      c.header("etag", wireEtag(session.info));
      return jsonAnswer(c, wireTurn(turn));
    },
  );

  const foundForApproval = async (c: RequestContext): Promise<Session | undefined> => {
    const session = await findDevice(c, deviceOf(c, sessions));
    c.set("session", session?.id);
    // Behind the limits of rates.
    if (!deviceApprovals) throw new SessionError("key_forbidden", { right: "device", needed: "write" });
    return session;
  };

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/chat/waiting",
      summary: "Get the turn that waits, with its token and the tool calls to approve",
      scope: "device",
      answers: waitingAnswers,
    },
    async (c) => await waitingReply(c, await foundForApproval(c)),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/chat/approve",
      summary: "Decide on the tool calls for which a turn waits; the rest of the answer as JSON or as a stream",
      scope: "device",
      headers: ["Last-Event-ID"],
      body: approveBody,
      answers: approveAnswers,
    },
    async (c, { body }) => {
      const session = await foundForApproval(c);
      if (session === undefined) throw new SessionError("session_not_found", {});
      const device = deviceOf(c, sessions);
      const ask = (): Promise<Answer> =>
        deviceUsage.count({ device, session, key: undefined }, () => approve(session, body.token, body.decisions));
      return await answerReply(c, session, { ask, outlive, stop });
    },
  );
}
