/** Reads, appends and truncates the turns of a session. */
import { z } from "zod";
import { idInPath, rangeQuery, sessionAnswer, turnAnswer, turnsAnswer } from "../../protocol/schemas.ts";
import { wireEtag, wireTurn } from "../../protocol/wire.ts";
import { turnBody } from "../../protocol/write-schemas.ts";
import { addRoute, jsonAnswer } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { turnsReply } from "../replies/log-page.ts";
import { sessionReply } from "../replies/reply.ts";
import { idempotencyKey, ifMatch } from "../replies/request-headers.ts";

export function addTurnRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/turns",
      summary:
        "Get turns, oldest first: the last 20 or n, also before a number, or a range; at most 500 turns or 1 MiB",
      scope: "read",
      params: idInPath,
      query: rangeQuery,
      answers: { 200: { description: "a page of turns", schema: turnsAnswer } },
    },
    async (c, { params, query }) => await turnsReply(c, await c.get("sessions").get(params.id), query),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/turns",
      summary: "Append a finished turn; with If-Match, only if no turn was appended since",
      scope: "write",
      headers: ["Idempotency-Key", "If-Match"],
      params: idInPath,
      body: turnBody,
      answers: { 201: { description: "the turn", schema: turnAnswer } },
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id, ifMatch(c));
      const turn = await session.append(body, idempotencyKey(c));
      c.header("etag", wireEtag(session.info));
      return jsonAnswer(c, wireTurn(turn), 201);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/truncate",
      summary: "Truncate a session: delete the turns after a number",
      scope: "write",
      headers: ["If-Match"],
      params: idInPath,
      body: z.strictObject({ after: z.number() }),
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id, ifMatch(c));
      await session.truncate(body.after);
      return sessionReply(c, session.info);
    },
  );
}
