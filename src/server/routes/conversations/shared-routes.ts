/** A shared session, to read, by the token of its share. */
import { z } from "zod";
import { hasCode } from "../../../errors.ts";
import type { SharedNews } from "../../../index.ts";
import { count, rangeQuery } from "../../../protocol/schemas.ts";
import { addRoute, jsonAnswer } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import { sharedTurnsReply } from "../../replies/log-page.ts";
import { eventsOf, eventStream, type StreamEvent } from "../../streams/event-stream.ts";
import { sharedAnswer, sharedTurnsAnswer, wireSharedTurn } from "./conversation-replies.ts";

export function addSharedRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/shared",
      summary: "Get the title and the number of turns of a shared session; the token of the share is the bearer",
      scope: "share",
      answers: { 200: { description: "the session as its readers see it", schema: sharedAnswer } },
    },
    async (c) => {
      const { createdAt, updatedAt, expiresAt, ...info } = await c.get("shared").info();
      const times = { createdAt, updatedAt, expiresAt };
      const texts = Object.entries(times).map(([name, at]) => [name, at.toISOString()] as const);
      return jsonAnswer(c, { ...info, ...Object.fromEntries(texts) });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/shared/turns",
      summary: "Get the messages of the turns of a shared session, oldest first: the last 20 or n, or a range",
      scope: "share",
      query: rangeQuery,
      answers: { 200: { description: "a page of turns", schema: sharedTurnsAnswer } },
    },
    async (c, { query }) => await sharedTurnsReply(c, c.get("shared"), { range: query, wire: wireSharedTurn }),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/shared/watch",
      summary: "Stream the turns of a shared session as they begin and end",
      scope: "share",
      query: z.object({
        after: count.optional().meta({ description: "the last turn that the reader has; 0: from the first" }),
      }),
      answers: { 200: { description: "turns and truncations", streams: true } },
    },
    async (c, { query }) => {
      const session = c.get("shared");
      const { turns } = await session.info();
      const after = query.after ?? turns;
      return eventStream(c, ({ signal }) => eventsOf(session.watch({ after, signal }), newsEvent), {
        stop: shared.stop,
        admitted: async () => await isValid(session),
      });
    },
  );
}

/** While the store is away, a share stays valid. */
async function isValid(session: { verify(): Promise<void> }): Promise<boolean> {
  try {
    await session.verify();
    return true;
  } catch (error) {
    return !hasCode(error, "share_not_found");
  }
}

function newsEvent(news: SharedNews): StreamEvent {
  return { event: news.type, data: news.type === "turn" ? { turn: wireSharedTurn(news.turn) } : { after: news.after } };
}
