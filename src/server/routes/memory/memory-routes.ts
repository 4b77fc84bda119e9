/** Summaries, pinned turns, turns that are left out, and ratings of turns. */
import { defined } from "../../../domain/values/defined.ts";
import type { Session } from "../../../index.ts";
import { idInPath } from "../../../protocol/schemas.ts";
import {
  changedAnswer,
  memoryAnswer,
  ratingBody,
  ratingsAnswer,
  ratingsQuery,
  summarizeBody,
  summariesAnswer,
  summaryAnswer,
  turnInPath,
} from "../../../protocol/memory-schemas.ts";
import { wireRating, wireSummary } from "../../../protocol/wire-memory.ts";
import { addRoute, jsonAnswer } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";

export function addMemoryRoutes(shared: Shared): void {
  addSummaryRoutes(shared);
  addMarkRoutes(shared);
  addRatingRoutes(shared);
}

function addSummaryRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/summaries",
      summary: "Summarize the turns up to one of them; 204 if the conversation is too short",
      scope: "write",
      params: idInPath,
      body: summarizeBody,
      answers: {
        200: { description: "the summary", schema: summaryAnswer },
        204: { description: "the conversation is too short" },
      },
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id);
      const summary = await session.summarize({ ...defined(body), signal: c.req.raw.signal });
      return summary === null ? c.body(null, 204) : jsonAnswer(c, wireSummary(summary));
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/summaries",
      summary: "List the summaries of a session, those that cover most first",
      scope: "read",
      params: idInPath,
      answers: { 200: { description: "the summaries", schema: summariesAnswer } },
    },
    async (c, { params }) => {
      const summaries = await Array.fromAsync((await c.get("sessions").get(params.id)).summaries());
      return jsonAnswer(c, { items: summaries.map(wireSummary) });
    },
  );
}

function addMarkRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/memory",
      summary: "Get the turns of a session that are pinned, and those that are left out",
      scope: "read",
      params: idInPath,
      answers: { 200: { description: "the numbers of the turns", schema: memoryAnswer } },
    },
    async (c, { params }) => jsonAnswer(c, await (await c.get("sessions").get(params.id)).memory()),
  );

  const marks = [
    { method: "put", path: "pin", summary: "Pin a turn: models are shown it however old it is", operation: "pin" },
    { method: "delete", path: "pin", summary: "End the pin of a turn", operation: "unpin" },
    { method: "put", path: "left-out", summary: "Leave a turn out: no model is shown it", operation: "leaveOut" },
    { method: "delete", path: "left-out", summary: "Show models a turn again that was left out", operation: "takeIn" },
  ] as const satisfies readonly { operation: keyof Session; method: string; path: string; summary: string }[];
  for (const { method, path, summary, operation } of marks)
    addRoute(
      shared,
      {
        method,
        path: `/v1/sessions/{id}/turns/{turn}/${path}`,
        summary,
        scope: "write",
        params: turnInPath,
        answers: { 200: { description: "false if it was so already", schema: changedAnswer } },
      },
      async (c, { params }) => {
        const session = await c.get("sessions").get(params.id);
        return jsonAnswer(c, { changed: await session[operation](params.turn) });
      },
    );
}

function addRatingRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "put",
      path: "/v1/sessions/{id}/turns/{turn}/rating",
      summary: "Rate a turn; a later rating by the same rater replaces it, and null removes it",
      scope: "write",
      params: turnInPath,
      body: ratingBody,
      answers: { 204: { description: "the rating is stored" } },
    },
    async (c, { params, body }) => {
      const { rating, ...others } = body;
      await (await c.get("sessions").get(params.id)).rate(params.turn, { rating, ...defined(others) });
      return c.body(null, 204);
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/ratings",
      summary: "List the ratings of the turns of a session, in the order of the turns",
      scope: "read",
      params: idInPath,
      query: ratingsQuery,
      answers: { 200: { description: "the ratings", schema: ratingsAnswer } },
    },
    async (c, { params, query }) => {
      const ratings = await (await c.get("sessions").get(params.id)).ratings(defined(query));
      return jsonAnswer(c, { items: ratings.map(wireRating) });
    },
  );
}
