import { z } from "zod";
import { eventKinds, type EventType } from "../domain/event.ts";
import { agentName, instant } from "../protocol/schemas.ts";
import { wireTenantEvent } from "../protocol/wire.ts";
import { present } from "./present.ts";
import { addRoute, jsonAnswer } from "./route.ts";
import type { Shared } from "./shared.ts";

const eventType = z.enum(Object.keys(eventKinds) as [EventType, ...EventType[]]);

/** What happened in all sessions that a key opens. */
export function addEventRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/events",
      summary: "What happened in the sessions beside their turns, by time",
      scope: "read",
      query: z.object({
        type: z
          .string()
          .transform((text) => text.split(","))
          .pipe(z.array(eventType))
          .optional()
          .meta({ description: "one type, or several with commas between" }),
        category: z.enum(["lifecycle", "lease", "floor", "device"]).optional(),
        severity: z.enum(["info", "warning", "error"]).optional().meta({ description: "this grave or graver" }),
        session: z.string().max(4096).optional(),
        agent: agentName.optional().meta({ description: "whom the session is for" }),
        since: instant.optional(),
        before: instant.optional(),
        order: z.enum(["ascending", "descending"]).default("ascending"),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
        after: z.string().max(8192).optional(),
      }),
      answers: {
        200: {
          description: "a page of them",
          schema: z.object({
            events: z.array(z.looseObject({ session: z.string(), seq: z.number(), type: z.string(), at: instant })),
            next: z.string().optional(),
          }),
        },
      },
    },
    async (c, { query: { since, before, ...query } }) => {
      const page = await c.get("sessions").events({
        ...present(query),
        ...(since === undefined ? {} : { since: new Date(since) }),
        ...(before === undefined ? {} : { before: new Date(before) }),
      });
      return jsonAnswer(c, { ...page, events: page.events.map(wireTenantEvent) });
    },
  );
}
