/** Streams the commits of a session. */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import type { SessionNews } from "../../index.ts";
import { count, idInPath } from "../../protocol/schemas.ts";
import { wireNews } from "../../protocol/wire.ts";
import { keyCheck } from "../http/authority.ts";
import { addRoute, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { lastReceived } from "../replies/request-headers.ts";
import { eventsOf, eventStream, type StreamEvent, type StreamOptions } from "../streams/event-stream.ts";

export function addWatchRoutes(shared: Shared): void {
  const { stop } = shared;

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/watch",
      summary: "Stream the commits of a session; Last-Event-ID resumes a broken stream",
      scope: "read",
      headers: ["Last-Event-ID"],
      params: idInPath,
      query: z.object({ after: count.optional(), afterChunk: count.optional() }),
      answers: { 200: { description: "turns, chunks of answers, truncations", streams: true } },
    },
    async (c, { params, query: { after, afterChunk } }) => {
      const session = await c.get("sessions").get(params.id);
      const from = lastReceived(c) ?? defined({ after, afterChunk });
      return watchStream(c, { news: session.watch(from), stop, admitted: keyCheck(c, shared.keys) });
    },
  );
}

function watchStream(
  c: RequestContext,
  { news, ...options }: StreamOptions & { readonly news: AsyncIterable<SessionNews> },
): Response {
  return eventStream(c, () => eventsOf(news, newsEvent), options);
}

/** All watches of a process share the same turns and chunks, so they share the bytes of the events. */
function newsEvent(news: SessionNews): StreamEvent {
  const event = { event: news.type, ...wireNews(news) };
  if (news.type === "truncated") return event;
  const source = news.type === "turn" ? news.turn : news.chunk;
  return { ...event, shared: { source, slot: `watch ${news.type}`, variant: event.id } };
}
