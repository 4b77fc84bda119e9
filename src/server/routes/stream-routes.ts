/** Routes to read and stop streams; they are produced by the programs that have the sessions. */
import { z } from "zod";
import { SessionError } from "../../errors.ts";
import type { StreamPart } from "../../index.ts";
import { idInPath } from "../../protocol/schemas.ts";
import { keyCheck } from "../http/authority.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { parsePlace } from "../../sessions/streams/reader.ts";
import { eventsOf, eventStream, type StreamEvent } from "../streams/event-stream.ts";

const streamInPath: z.ZodType<{ stream: string }> = z.object({ stream: z.string().min(1).max(4096) });

const streamAnswer: z.ZodType = z.object({
  stream: z.string(),
  status: z.enum(["streaming", "done", "error", "lost"]),
});

export function addStreamRoutes(shared: Shared): void {
  const { stop } = shared;

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/streams/{stream}",
      summary: "Get the status of a stream",
      scope: "read",
      params: streamInPath,
      answers: { 200: { description: "the stream", schema: streamAnswer } },
    },
    async (c, { params: { stream } }) => jsonAnswer(c, { stream, status: await standingStatus(c, stream) }),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/streams/{stream}/parts",
      summary:
        "Stream the parts of a stream, from the first one or after a part; Last-Event-ID resumes a broken stream",
      scope: "read",
      headers: ["Last-Event-ID"],
      params: streamInPath,
      query: z.object({
        after: z.string().max(64).optional().meta({ description: "the number of a part, or the id of its event" }),
      }),
      answers: { 200: { description: "the parts, then done", streams: true } },
    },
    async (c, { params: { stream }, query: { after } }) => {
      const place = placeOf(c.req.header("last-event-id") ?? after);
      await standingStatus(c, stream);
      const { streams } = c.get("sessions");
      const last = { event: "done", data: {} };
      return eventStream(c, ({ signal }) => eventsOf(streams.read(stream, { ...place, signal }), partEvent, last), {
        stop,
        admitted: keyCheck(c, shared.keys),
      });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/streams/{stream}/stop",
      summary: "Stop a stream, on any instance; responds once it has ended, or after 3 seconds",
      scope: "write",
      params: streamInPath,
      answers: { 200: { description: "true if it was in progress", schema: z.object({ stopped: z.boolean() }) } },
    },
    async (c, { params: { stream } }) => jsonAnswer(c, { stopped: await c.get("sessions").streams.stop(stream) }),
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/streams/{stream}",
      summary: "Delete a stream with its parts",
      scope: "write",
      params: streamInPath,
      answers: { 204: { description: "deleted" } },
    },
    async (c, { params: { stream } }) => {
      if (await c.get("sessions").streams.delete(stream)) return c.body(null, 204);
      throw new SessionError("stream_not_found", { stream });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/active-stream",
      summary: "Get the stream in progress of a session; 204 if there is none",
      scope: "read",
      params: idInPath,
      answers: {
        200: { description: "the stream", schema: z.object({ stream: z.string() }) },
        204: { description: "none is in progress" },
      },
    },
    async (c, { params }) => {
      const stream = await c.get("sessions").streams.active(params.id);
      return stream === null ? c.body(null, 204) : jsonAnswer(c, { stream });
    },
  );
}

/** @throws SessionError `stream_not_found` */
async function standingStatus(c: RequestContext, stream: string): Promise<string> {
  const status = await c.get("sessions").streams.status(stream);
  if (status === "missing") throw new SessionError("stream_not_found", { stream });
  return status;
}

/** The place of an event id, or of the number of a part. @throws SessionError `argument_invalid` */
function placeOf(text: string | undefined): { readonly after?: string | number } {
  if (text === undefined) return {};
  const after = /^\d{1,15}$/.test(text) ? Number(text) : text;
  parsePlace(after);
  return { after };
}

function partEvent({ cursor, seq, part }: StreamPart): StreamEvent {
  return { event: "part", id: cursor, data: { seq, part } };
}
