/** Lists and revokes the keys of a tenant. The command line and programs make keys: no answer has a secret. */
import { z } from "zod";
import type { KeyInfo } from "../../../index.ts";
import { instant } from "../../../protocol/schemas.ts";
import { addRoute, jsonAnswer } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";

/** Keys of one answer. */
const listedMax = 100;
/** The store has the keys of all tenants in one list, of which an answer reads so many, the newest ones. */
const lookedMax = 1000;

const keyAnswer = z.object({
  id: z.string(),
  name: z.string(),
  right: z.enum(["read", "write", "admin"]),
  createdAt: instant,
  expiresAt: instant.nullable(),
  expired: z.boolean(),
  lastUsedAt: instant.nullable().meta({ description: "recorded once an hour; null: none is recorded" }),
});

export function addKeyRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/keys",
      summary: "List the keys of the tenant without their secrets, the newest first, at most 100",
      scope: "admin",
      answers: {
        200: {
          description: "the keys",
          schema: z.object({
            items: z.array(keyAnswer),
            isComplete: z.boolean().meta({ description: "false if the tenant may have others: perdure keys list" }),
          }),
        },
      },
    },
    async (c) => {
      const { tenant, keys } = c.get("sessions");
      const items: object[] = [];
      let looked = 0;
      for await (const key of keys.each()) {
        if (items.length === listedMax || looked++ === lookedMax) return jsonAnswer(c, { items, isComplete: false });
        if (key.tenant === tenant) items.push(wireKey(key));
      }
      return jsonAnswer(c, { items, isComplete: true });
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/keys/{key}",
      summary: "Revoke a key of the tenant, with immediate effect",
      scope: "admin",
      params: z.object({ key: z.string().min(1).max(4096) }),
      answers: {
        200: {
          description: "false if the tenant has no key of this id",
          schema: z.object({ revoked: z.boolean() }),
        },
      },
    },
    async (c, { params: { key } }) => {
      const { tenant, keys } = c.get("sessions");
      return jsonAnswer(c, { revoked: await keys.revoke(key, { tenant }) });
    },
  );
}

function wireKey({ id, name, right, createdAt, expiresAt, expired, lastUsedAt }: KeyInfo): object {
  const [created, expires, lastUsed] = [createdAt, expiresAt, lastUsedAt].map((time) => time?.toISOString() ?? null);
  return { id, name, right, createdAt: created, expiresAt: expires, expired, lastUsedAt: lastUsed };
}
