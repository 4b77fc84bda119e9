/** The events of a session, and those of all sessions that a key opens. */
import { z } from "zod";
import { eventKinds, type AppEventType, type OwnEventType } from "../../domain/record/event.ts";
import type { Value } from "../../domain/values/codec.ts";
import { SessionError } from "../../errors.ts";
import {
  agentName,
  anyJson,
  beforePage,
  idInPath,
  instant,
  rangeQuery,
  unreadableEntries,
} from "../../protocol/schemas.ts";
import { wireEvent, wireTenantEvent } from "../../protocol/wire.ts";
import { keyCheck } from "../http/authority.ts";
import { followedEvents, parseFollowId } from "../streams/followed-events.ts";
import { eventStream, wantsStream } from "../streams/event-stream.ts";
import { defined } from "../../domain/values/defined.ts";
import { pageReply } from "../replies/list-reply.ts";
import { eventsReply } from "../replies/log-page.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { formatValue } from "../../domain/values/format-value.ts";

const ownType = z.enum(Object.keys(eventKinds) as [OwnEventType, ...OwnEventType[]]);
const eventType = z.union([ownType, z.templateLiteral(["app.", z.string().max(60)])]);
const severity = z.enum(["info", "warning", "error"]);

export function addEventRoutes(shared: Shared): void {
  addSessionEventRoute(shared);
  addRecordRoute(shared);
  addTenantEventRoute(shared);
}

function addSessionEventRoute(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/events",
      summary: "Get the events of a session, oldest first",
      scope: "read",
      params: idInPath,
      query: rangeQuery,
      answers: {
        200: {
          description: "a page of events; without a range the last 100",
          schema: z.object({
            items: z.array(z.looseObject({ seq: z.number(), type: z.string(), at: instant })),
            unreadable: unreadableEntries,
            next: z.number().optional().meta({ description: "pass it as from to get the remaining events" }),
            before: beforePage,
          }),
        },
      },
    },
    async (c, { params, query }) => await eventsReply(c, await c.get("sessions").get(params.id), query),
  );
}

function addRecordRoute(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/events",
      summary: "Record an event of the application in a session",
      scope: "write",
      params: idInPath,
      body: z.strictObject({
        type: z.string().max(256).meta({ description: "app. and a name, as app.order_placed" }),
        data: anyJson.optional().meta({ description: "any value, at most 64 KiB" }),
        severity: severity.optional(),
      }),
      answers: {
        201: {
          description: "the event",
          schema: z.looseObject({ seq: z.number(), type: z.string(), at: instant }),
        },
      },
    },
    async (c, { params: { id }, body: { type, data, severity } }) => {
      const session = await c.get("sessions").get(id);
      const event = { type: type as AppEventType, data: (data ?? null) as Value };
      return jsonAnswer(c, wireEvent(await session.record({ ...event, ...defined({ severity }) })), 201);
    },
  );
}

function addTenantEventRoute(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/events",
      summary:
        "Get the events of the tenant by time, as pages or as a stream of new events; Last-Event-ID resumes a broken stream",
      scope: "read",
      headers: ["Last-Event-ID"],
      query: z.object({
        type: z
          .string()
          .transform((text) => text.split(","))
          .pipe(z.array(eventType))
          .optional()
          .meta({ description: "one type, or several separated by commas" }),
        category: z.enum(["lifecycle", "lease", "handoff", "device", "waiting", "app"]).optional(),
        severity: severity.optional().meta({ description: "this severity or a higher one" }),
        session: z.string().max(4096).optional(),
        agent: agentName.optional().meta({ description: "the agent of the session" }),
        since: instant.optional(),
        before: instant.optional(),
        order: z.enum(["ascending", "descending"]).default("ascending"),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
        after: z.string().max(8192).optional(),
      }),
      answers: {
        200: {
          description: "a page of events; a stream has the messages following, event and error",
          schema: z.object({
            items: z.array(z.looseObject({ session: z.string(), seq: z.number(), type: z.string(), at: instant })),
            next: z.string().optional(),
            unreadable: z.array(z.object({ id: z.string(), seq: z.number(), reason: z.string() })).optional(),
          }),
          streams: true,
        },
      },
    },
    async (c, { query: { since, before, ...query } }) => {
      if (wantsStream(c)) {
        guardStreamable(c);
        const { order: _, limit: __, after: ___, ...filter } = query;
        const lost = c.req.header("last-event-id");
        const from = lost === undefined ? since : parseFollowId(lost);
        const walk = defined({ ...filter, since: from === undefined ? undefined : new Date(from) });
        const sessions = c.get("sessions");
        return eventStream(c, ({ signal }) => followedEvents(sessions, { ...walk, signal }), {
          stop: shared.stop,
          admitted: keyCheck(c, shared.keys),
        });
      }
      const page = await c.get("sessions").listEvents(
        defined({
          ...query,
          since: since === undefined ? undefined : new Date(since),
          before: before === undefined ? undefined : new Date(before),
        }),
      );
      return await pageReply(c, page, {
        wire: wireTenantEvent,
        nameOf: ({ session, seq }) => ({ id: session, seq }),
      });
    },
  );
}

/** @throws SessionError `request_invalid` for parameters that only a page has */
function guardStreamable(c: RequestContext): void {
  const name = ["before", "order", "limit", "after"].find((one) => c.req.query(one) !== undefined);
  if (name === undefined) return;
  throw new SessionError("request_invalid", {
    path: `query.${name}`,
    value: formatValue(c.req.query(name)),
    expected: "no_page",
  });
}
