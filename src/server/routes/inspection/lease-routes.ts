/** The lease of a session: shows its holder, breaks it, recovers a session whose holder is dead. */
import { z } from "zod";
import { idInPath, instant } from "../../../protocol/schemas.ts";
import { addRoute, jsonAnswer } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";

const holderAnswer = z.object({
  instance: z.string(),
  host: z.string().nullable().meta({ description: "the name of its machine" }),
  pid: z.number().nullable(),
  fence: z.number(),
  acquiredAt: instant,
  expiresAt: instant.nullable().meta({ description: "null: the lease lasts as long as its holder is alive" }),
  heldMs: z.number(),
  alive: z.boolean().meta({ description: "false if another writer can take the lease" }),
});

export function addLeaseRoutes(shared: Shared): void {
  const path = "/v1/sessions/{id}/lease";

  addRoute(
    shared,
    {
      method: "get",
      path,
      summary: "Get the holder of the lease of a session",
      scope: "read",
      params: idInPath,
      answers: {
        200: { description: "the holder", schema: holderAnswer },
        204: { description: "the session has no lease" },
      },
    },
    async (c, { params }) => {
      const session = await c.get("sessions").get(params.id);
      const holder = await session.leaseHolder();
      if (holder === null) return c.body(null, 204);
      // The address of a host is for hosts.
      const { address: _, acquiredAt, ...rest } = holder;
      const endsAt = session.info.lease?.expiresAt ?? null;
      const expiresAt = endsAt === null ? null : new Date(endsAt).toISOString();
      return jsonAnswer(c, { ...rest, acquiredAt: acquiredAt.toISOString(), expiresAt });
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path,
      summary: "Break the lease of a session: its holder can write no more, and the answer in progress is sealed",
      scope: "admin",
      params: idInPath,
      answers: {
        200: { description: "false if there was no lease", schema: z.object({ broken: z.boolean() }) },
      },
    },
    async (c, { params }) => jsonAnswer(c, { broken: await (await c.get("sessions").get(params.id)).breakLease() }),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/recover",
      summary: "Recover a session whose lease holder is dead: seal the answer that it left open",
      scope: "write",
      params: idInPath,
      answers: {
        200: { description: "false if there was nothing to recover", schema: z.object({ recovered: z.boolean() }) },
      },
    },
    async (c, { params }) => jsonAnswer(c, { recovered: await (await c.get("sessions").get(params.id)).recover() }),
  );
}
