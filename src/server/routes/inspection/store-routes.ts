/** The key of a request, the hosts on the store, the doctor's report, the traces of a user. */
import { z } from "zod";
import { doctor, findReferences, listHosts, type Finding } from "../../../admin.ts";
import { defined } from "../../../domain/values/defined.ts";
import { instant } from "../../../protocol/schemas.ts";
import { addRoute, jsonAnswer } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";

/** Findings of one reply. */
const findingsMax = 1000;

export function addStoreRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/key",
      summary: "Get the key of this request: its name, its right and its tenant",
      scope: "read",
      answers: {
        200: {
          description: "the key, without its secret",
          schema: z.object({
            id: z.string(),
            name: z.string(),
            tenant: z.string(),
            right: z.enum(["read", "write", "admin"]),
          }),
        },
      },
    },
    async (c) => {
      const { id, name, tenant, right } = c.get("key");
      return jsonAnswer(c, { id, name, tenant, right });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/hosts",
      summary:
        "List the hosts of live sessions on the store, the latest heartbeat first; their addresses, machines and processes for admin",
      scope: "read",
      answers: {
        200: {
          description: "the hosts",
          schema: z.object({
            items: z.array(
              z.object({
                address: z.string().optional().meta({ description: "for a key with the right admin" }),
                host: z.string().optional().meta({ description: "the name of its machine, for admin" }),
                pid: z.number().optional().meta({ description: "for admin" }),
                seenAt: instant,
                alive: z.boolean(),
              }),
            ),
          }),
        },
      },
    },
    async (c) => {
      const { items } = await listHosts(c.get("sessions"));
      // A host serves all tenants. A reader sees whether hosts are alive, and not where they are.
      const isAdmin = c.get("key").right === "admin";
      const listed = items.map(({ seenAt, alive, ...where }) => ({
        ...(isAdmin && where),
        seenAt: seenAt.toISOString(),
        alive,
      }));
      return jsonAnswer(c, { items: listed });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/doctor",
      summary:
        "Check the store, and repair what needs no deletion; findings of other tenants are counted and not shown",
      scope: "admin",
      body: z.strictObject({ repair: z.boolean().optional() }),
      answers: {
        200: {
          description: "the report and its first findings",
          schema: z.looseObject({ sessions: z.number(), findings: z.number(), items: z.array(z.looseObject({})) }),
        },
      },
    },
    async (c, { body: { repair } }) => {
      const sessions = c.get("sessions");
      const items: Finding[] = [];
      const onFinding = (finding: Finding): void => {
        const isOwn = finding.tenant === null || finding.tenant === sessions.tenant;
        if (isOwn && items.length < findingsMax) items.push(finding);
      };
      const report = await doctor(sessions, { onFinding, ...defined({ repair }) });
      return jsonAnswer(c, { ...report, items });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/references",
      summary: "Count what the store has of a user or of the guest of a device; changes nothing",
      scope: "admin",
      body: z.strictObject({
        user: z.string().optional(),
        device: z.string().optional().meta({ description: "the id of a device that speaks for no user" }),
      }),
      answers: { 200: { description: "the counts", schema: z.looseObject({ sessions: z.number() }) } },
    },
    async (c, { body: { user, device } }) =>
      jsonAnswer(c, await findReferences(c.get("sessions"), device === undefined ? (user ?? "") : { device })),
  );
}
