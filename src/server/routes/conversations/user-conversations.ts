/** The conversations of a user, and the shares of any session, for keys. */
import { z } from "zod";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversations } from "../../../index.ts";
import { idInPath } from "../../../protocol/schemas.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import { addConversationRoutes } from "./conversation-routes.ts";
import { newShareAnswer, shareBody, sharesAnswer, unshared } from "./conversation-replies.ts";
import { wireShare } from "../../../protocol/wire-conversations.ts";

const user = z.string().min(1).max(256);
const userInPath: z.ZodType<{ user: string }> = z.object({ user });
const userAndId: z.ZodType<{ user: string; id: string }> = z.object({ user, id: z.string().min(1).max(4096) });

export function addUserConversationRoutes(shared: Shared): void {
  const ofUser = (c: RequestContext, owner: { readonly user: string }): Conversations =>
    c.get("sessions").conversations({ user: owner.user });

  addConversationRoutes(shared, {
    base: "/v1/users/{user}/conversations",
    whose: "a user",
    scopes: { read: "read", write: "write", remove: "admin" },
    params: { owner: userInPath, one: userAndId },
    reach: async (c, owner, work) => await work(ofUser(c, owner)),
    toCreate: (c, owner) => Promise.resolve(ofUser(c, owner)),
  });

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/shares",
      summary: "Share a session: the token opens it to read, until it expires or is revoked",
      scope: "write",
      params: idInPath,
      body: shareBody,
      answers: { 201: { description: "the share; only this answer has its token", schema: newShareAnswer } },
    },
    async (c, { params, body }) =>
      jsonAnswer(c, wireShare(await c.get("sessions").share(params.id, defined(body))), 201),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/shares",
      summary: "List the valid shares of a session",
      scope: "read",
      params: idInPath,
      answers: { 200: { description: "the shares", schema: sharesAnswer } },
    },
    async (c, { params }) => jsonAnswer(c, { items: (await c.get("sessions").shares(params.id)).map(wireShare) }),
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/shares/{share}",
      summary: "Revoke a share: its token opens nothing from now on",
      scope: "write",
      params: z.object({ share: z.string().min(1).max(256) }),
      answers: { 200: { description: "true if there was such a share", schema: unshared } },
    },
    async (c, { params }) => jsonAnswer(c, { revoked: await c.get("sessions").unshare(params.share) }),
  );
}
