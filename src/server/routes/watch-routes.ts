/** Streams the commits of a session, and the news of a tenant. */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { News, SessionNews } from "../../index.ts";
import { idInPath, textCount } from "../../protocol/schemas.ts";
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
      query: z.object({ after: textCount.optional(), afterChunk: textCount.optional() }),
      answers: { 200: { description: "turns, chunks of answers, truncations", streams: true } },
    },
    async (c, { params, query: { after, afterChunk } }) => {
      const session = await c.get("sessions").get(params.id);
      const from = lastReceived(c) ?? defined({ after, afterChunk });
      return watchStream(c, { news: session.watch(from), stop, admitted: keyCheck(c, shared.keys) });
    },
  );
}

export function addNewsRoute(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/news",
      summary:
        "Stream the news of the tenant: positions of sessions, streams and documents that changed; Last-Event-ID resumes a broken stream",
      scope: "read",
      headers: ["Last-Event-ID"],
      query: z.object({
        after: z
          .string()
          .max(65_536)
          .optional()
          .meta({ description: "the id of the last event that the reader has, where it cannot send Last-Event-ID" }),
      }),
      answers: { 200: { description: "news, with a list of items, and error", streams: true } },
    },
    async (c, { query }) => {
      const sessions = c.get("sessions");
      const after = newsAfter(c, query.after);
      return eventStream(c, ({ signal }) => eventsOf(sessions.news({ ...after, signal }), tenantNewsEvent), {
        stop: shared.stop,
        admitted: keyCheck(c, shared.keys),
      });
    },
  );
}

/** The cursor of the request. @throws SessionError `request_invalid` */
function newsAfter(c: RequestContext, parameter: string | undefined): { readonly after?: string } {
  const header = c.req.header("last-event-id");
  const after = header ?? parameter;
  try {
    // Refuses a wrong cursor; news that are not read begin nothing.
    c.get("sessions").news(defined({ after }));
    return defined({ after });
  } catch (error) {
    if (!hasCode(error, "argument_invalid")) throw error;
    const path = header === undefined ? "query.after" : "header last-event-id";
    throw new SessionError("request_invalid", { path, value: formatValue(after), expected: "event_id" });
  }
}

function tenantNewsEvent({ cursor, items }: News): StreamEvent {
  return { event: "news", id: cursor, data: { items } };
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
