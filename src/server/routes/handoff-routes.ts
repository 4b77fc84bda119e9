/** The active agent of a session: shows it, hands off, ends the handoff. */
import { activeAgentAnswer, handoffBody, idInPath } from "../../protocol/schemas.ts";
import { addRoute } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { activeAgentReply, handOffReply } from "../replies/reply.ts";

export function addHandoffRoutes(shared: Shared): void {
  const path = "/v1/sessions/{id}/active-agent";
  const alias = "/v1/sessions/{id}/lock";

  addRoute(
    shared,
    {
      method: "get",
      path,
      alias,
      summary: "Get the active agent",
      scope: "read",
      params: idInPath,
      answers: {
        200: { description: "the agent", schema: activeAgentAnswer },
        204: { description: "no handoff is in force; the default agent answers" },
      },
    },
    async (c, { params }) => await activeAgentReply(c, await c.get("sessions").get(params.id)),
  );

  addRoute(
    shared,
    {
      method: "put",
      path,
      alias,
      summary: "Hand off to an agent for a limited time",
      scope: "write",
      params: idInPath,
      body: handoffBody,
      answers: { 200: { description: "the agent", schema: activeAgentAnswer } },
    },
    async (c, { params, body }) => await handOffReply(c, await c.get("sessions").get(params.id), body),
  );

  addRoute(
    shared,
    {
      method: "delete",
      path,
      alias,
      summary: "End the handoff",
      scope: "write",
      params: idInPath,
      answers: { 204: { description: "no handoff is in force" } },
    },
    async (c, { params }) => {
      await (await c.get("sessions").get(params.id)).endHandoff();
      return c.body(null, 204);
    },
  );
}
