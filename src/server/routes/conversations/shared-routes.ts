/** A shared session, to read, by the token of its share. */
import { z } from "zod";
import { hasCode } from "../../../errors.ts";
import type { SharedNews } from "../../../index.ts";
import { rangeQuery, textCount } from "../../../protocol/schemas.ts";
import { addRoute, jsonAnswer } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import { lastReceived } from "../../replies/request-headers.ts";
import { sharedTurnsReply } from "../../replies/log-page.ts";
import { eventsOf, eventStream, type StreamEvent } from "../../streams/event-stream.ts";
import { sharedAnswer, sharedTurnsAnswer } from "./conversation-replies.ts";
import { wireShared, wireSharedTurn } from "../../../protocol/wire-conversations.ts";

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
    async (c) => jsonAnswer(c, wireShared(await c.get("shared").info())),
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
      summary: "Stream the turns of a shared session as they begin and end; Last-Event-ID resumes a broken stream",
      scope: "share",
      headers: ["Last-Event-ID"],
      query: z.object({
        after: textCount.optional().meta({ description: "the last turn that the reader has; 0: from the first" }),
      }),
      answers: { 200: { description: "turns and truncations; end once the life of the session ends", streams: true } },
    },
    async (c, { query }) => {
      const session = c.get("shared");
      const { turns } = await session.info();
      const after = lastReceived(c)?.after ?? query.after ?? turns;
      const last = { event: "end", data: {} };
      return eventStream(c, ({ signal }) => eventsOf(session.watch({ after, signal }), newsEvent, last), {
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

/** A stream that is resumed sends a turn again that had not ended. */
function newsEvent(news: SharedNews): StreamEvent {
  if (news.type === "truncated") return { event: news.type, id: `${news.after}.0`, data: { after: news.after } };
  const { turn } = news;
  const isOver = turn.status !== "open" && turn.status !== "waiting";
  return { event: news.type, id: `${isOver ? turn.seq : turn.seq - 1}.0`, data: { turn: wireSharedTurn(turn) } };
}
