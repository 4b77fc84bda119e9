/** Reads, appends and truncates the turns of a session, and changes its branches. */
import { z } from "zod";
import {
  branchBody,
  branchesAnswer,
  branchesQuery,
  branchInPath,
  comparisonAnswer,
  comparisonQuery,
  idInPath,
  sessionAnswer,
  turnAnswer,
  turnsAnswer,
  turnsQuery,
} from "../../protocol/schemas.ts";
import { wireBranch, wireEtag, wireTurn } from "../../protocol/wire.ts";
import { turnBody } from "../../protocol/write-schemas.ts";
import { defined } from "../../domain/values/defined.ts";
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
      query: turnsQuery,
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

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/branches",
      summary: "List the branches of a session, or the versions of one of its turns",
      scope: "read",
      params: idInPath,
      query: branchesQuery,
      answers: { 200: { description: "the branches", schema: branchesAnswer } },
    },
    async (c, { params, query }) => {
      const branches = await (await c.get("sessions").get(params.id)).branches(defined(query));
      return jsonAnswer(c, { items: branches.map(wireBranch) });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/branches/compare",
      summary: "Get the number of turns that two branches share",
      scope: "read",
      params: idInPath,
      query: comparisonQuery,
      answers: { 200: { description: "the number of turns", schema: comparisonAnswer } },
    },
    async (c, { params, query: { a, b } }) => {
      const { shared: turns } = await (await c.get("sessions").get(params.id)).compare(a, b);
      return jsonAnswer(c, { shared: turns });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/switch",
      summary: "Switch a session to another of its branches",
      scope: "write",
      params: idInPath,
      body: branchBody,
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id);
      return sessionReply(c, await session.switchTo(body.branch));
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/sessions/{id}/branches/{branch}",
      summary: "Remove a branch that is not the current one, with the turns that only it has",
      scope: "write",
      params: branchInPath,
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params }) => {
      const session = await c.get("sessions").get(params.id);
      await session.removeBranch(params.branch);
      return sessionReply(c, session.info);
    },
  );
}
