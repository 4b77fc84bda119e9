/** Routes to write, read and stop streams. A producer writes under a token, through any instance. */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { AcquireTokenOptions, StreamPart, TokenEnd, TokenWrite, Value } from "../../index.ts";
import { anything, duration, idInPath, instant, lifetime } from "../../protocol/schemas.ts";
import { wireStream } from "../../protocol/wire-streams.ts";
import { keyedTurnBody } from "../../protocol/write-schemas.ts";
import { keyCheck } from "../http/authority.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { pageReply } from "../replies/list-reply.ts";
import { parsePlace } from "../../sessions/streams/reader.ts";
import { eventsOf, eventStream, type StreamEvent } from "../streams/event-stream.ts";

const streamInPath: z.ZodType<{ stream: string }> = z.object({ stream: z.string().min(1).max(4096) });

const status = z.enum(["streaming", "done", "error", "lost"]);

const streamAnswer: z.ZodType = z
  .object({
    stream: z.string(),
    status: status.meta({ description: "lost: the producer has ended without an end of the stream" }),
    session: z.string().nullable().meta({ description: "the session whose answer it is" }),
    parts: z.number().meta({ description: "how many parts it has" }),
    createdAt: instant,
    lastActivityAt: instant.meta({ description: "the time of the last part, or of the end" }),
    expiresAt: instant.nullable(),
  })
  .meta({ id: "Stream" });

const token = z.string().meta({ description: "of the producer, as the acquisition sent it" });
const after = z.number().meta({ description: "how many parts the producer has written before" });
const parts = z
  .array(
    z.strictObject({
      part: anything<Value>({ description: "any JSON value; values that JSON lacks are tagged" }),
      said: z.string().optional().meta({ description: "the text that the part adds to the answer" }),
    }),
  )
  .max(1000);

const acquireBody: z.ZodType<AcquireTokenOptions> = z.strictObject({
  ttl: lifetime.optional(),
  session: z.string().optional().meta({ description: "the session whose answer the stream is" }),
  lease: duration.optional().meta({ description: "how long the producer may write nothing" }),
}) as z.ZodType as z.ZodType<AcquireTokenOptions>;

const acquireAnswer: z.ZodType = z.union([
  z.object({
    role: z.literal("producer"),
    token,
    bytesMax: z.number().meta({ description: "the largest size of all parts, as bytes of their JSON" }),
  }),
  z.object({ role: z.literal("consumer") }),
]);

const partsBody: z.ZodType<TokenWrite> = z.strictObject({ token, after, parts }) as z.ZodType as z.ZodType<TokenWrite>;

const endBody: z.ZodType<TokenEnd> = z.strictObject({
  token,
  after,
  parts: parts.optional(),
  append: keyedTurnBody.optional().meta({ description: "a finished turn for the session of the stream" }),
  failure: z.string().optional().meta({ description: "the stream failed: its readers get this message" }),
}) as z.ZodType as z.ZodType<TokenEnd>;

export function addStreamRoutes(shared: Shared): void {
  const { stop } = shared;

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/streams/{stream}",
      summary: "Acquire a stream: the first caller is its producer, every later one a consumer",
      scope: "write",
      params: streamInPath,
      body: acquireBody,
      answers: { 200: { description: "the role, and the token of a producer", schema: acquireAnswer } },
    },
    async (c, { params: { stream }, body }) => {
      const { streams, limits } = c.get("sessions");
      const acquired = await streams.acquireToken(stream, body);
      const isProducer = acquired.role === "producer";
      return jsonAnswer(c, isProducer ? { ...acquired, bytesMax: limits.turnBytesMax } : acquired);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/streams/{stream}/parts",
      summary: "Write parts of a stream, and renew the lease of its producer; a repeated request writes nothing twice",
      scope: "write",
      params: streamInPath,
      body: partsBody,
      answers: {
        200: { description: "how many parts are stored", schema: z.object({ parts: z.number() }) },
      },
    },
    async (c, { params: { stream }, body }) =>
      jsonAnswer(c, { parts: await c.get("sessions").streams.append(stream, body) }),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/streams/{stream}/end",
      summary: "End a stream: its last parts, its end and a turn of its session become visible in one commit",
      scope: "write",
      params: streamInPath,
      body: endBody,
      answers: {
        200: { description: "false if it had ended before", schema: z.object({ ended: z.boolean() }) },
      },
    },
    async (c, { params: { stream }, body }) =>
      jsonAnswer(c, { ended: await c.get("sessions").streams.finish(stream, body) }),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/streams/{stream}",
      summary: "Get a stream without its parts",
      scope: "read",
      params: streamInPath,
      answers: { 200: { description: "the stream", schema: streamAnswer } },
    },
    async (c, { params: { stream } }) => {
      const info = await c.get("sessions").streams.get(stream);
      if (info === null) throw new SessionError("stream_not_found", { stream });
      return jsonAnswer(c, wireStream(info));
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/streams",
      summary: "List the streams, the most recently written first",
      scope: "read",
      query: z.object({
        status: z
          .array(status)
          .max(4)
          .optional()
          .meta({ description: "several times: only streams of these statuses" }),
        session: z.string().optional().meta({ description: "only the streams of this session" }),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
        after: z.string().max(8192).optional(),
      }),
      repeated: ["status"],
      answers: {
        200: {
          description: "a page of streams; it may be empty and have a next one",
          schema: z.object({
            items: z.array(streamAnswer),
            next: z.string().optional(),
            unreadable: z.array(z.object({ id: z.string(), reason: z.string() })).optional(),
          }),
        },
      },
    },
    async (c, { query }) => {
      const page = await c.get("sessions").streams.list(defined(query));
      return await pageReply(c, page, { wire: wireStream, nameOf: ({ stream: id }) => ({ id }) });
    },
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
