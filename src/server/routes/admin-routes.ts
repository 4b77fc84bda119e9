/** Stats and the sweep, for operators. */
import { z } from "zod";
import { stats, sweep } from "../../admin.ts";
import { wireStats } from "../../protocol/wire.ts";
import { defined } from "../../domain/values/defined.ts";
import { duration, instant } from "../../protocol/schemas.ts";
import { addRoute, jsonAnswer } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";

export function addAdminRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/stats",
      summary: "Get counts of sessions, turns and tokens, grouped by agent, user, model, day or hour",
      scope: "read",
      query: z.object({
        by: z.enum(["agent", "session", "user", "model", "day", "hour"]).optional(),
        since: instant.optional(),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
      }),
      answers: { 200: { description: "the stats", schema: z.looseObject({ at: instant }) } },
    },
    async (c, { query: { by, since, limit } }) => {
      const query = defined({ limit, by, since: since === undefined ? undefined : new Date(since) });
      return jsonAnswer(c, wireStats(await stats(c.get("sessions"), query)));
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sweep",
      summary:
        "Run a sweep: mark expired sessions, end expired handoffs, archive and remove sessions by the retention policies, delete old events and expired documents",
      scope: "admin",
      body: z.strictObject({
        rows: z.number().int().min(1).max(1_000_000).optional(),
        time: duration.optional(),
        retention: duration.optional(),
        olderThan: duration.optional(),
        dryRun: z.boolean().optional(),
        eventRetention: duration.optional(),
      }),
      answers: {
        200: {
          description: "counts of the sweep's actions",
          schema: z.object({
            expired: z.number(),
            handoffs: z.number(),
            archived: z.number(),
            removed: z.number(),
            events: z.number(),
            documents: z.number(),
            looked: z.number(),
            failed: z.number(),
            failures: z.array(
              z.object({
                tenant: z.string(),
                session: z.string(),
                action: z.enum(["expire", "archive", "purge"]),
                code: z.string(),
                message: z.string(),
              }),
            ),
            complete: z.boolean(),
            planned: z
              .array(
                z.object({ tenant: z.string(), session: z.string(), action: z.enum(["expire", "archive", "purge"]) }),
              )
              .optional(),
          }),
        },
      },
    },
    // A request ends soon, also where it removes sessions by age.
    async (c, { body }) => {
      const { rows = 10_000, time = "10s", ...request } = body;
      return jsonAnswer(c, await sweep(c.get("sessions"), { rows, time, ...defined(request) }));
    },
  );
}
