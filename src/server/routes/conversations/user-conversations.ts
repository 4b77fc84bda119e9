/** The conversations of a user, and the shares of any session, for keys. */
import { z } from "zod";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversations } from "../../../index.ts";
import { idInPath } from "../../../protocol/schemas.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import {
  conversationAnswer,
  conversationPatch,
  conversationsAnswer,
  createConversation,
  listConversations,
  newConversationBody,
  newShareAnswer,
  pageQuery,
  patchConversation,
  shareBody,
  sharesAnswer,
  unshared,
} from "./conversation-replies.ts";
import { wireConversation, wireShare } from "../../../protocol/wire-conversations.ts";

const user = z.string().min(1).max(256);
const userInPath: z.ZodType<{ user: string }> = z.object({ user });
const userAndId: z.ZodType<{ user: string; id: string }> = z.object({ user, id: z.string().min(1).max(4096) });
const base = "/v1/users/{user}/conversations";

export function addUserConversationRoutes(shared: Shared): void {
  const ofUser = (c: RequestContext, params: { readonly user: string }): Conversations =>
    c.get("sessions").conversations({ user: params.user });

  addRoute(
    shared,
    {
      method: "get",
      path: base,
      summary: "List the conversations of a user: pinned ones first, then the last active",
      scope: "read",
      params: userInPath,
      query: pageQuery,
      answers: { 200: { description: "a page of conversations", schema: conversationsAnswer } },
    },
    async (c, { params, query }) => await listConversations(c, ofUser(c, params), query),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: base,
      summary: "Create a conversation of a user; the current one stays unless isCurrent is true",
      scope: "write",
      params: userInPath,
      body: newConversationBody,
      answers: { 201: { description: "the conversation", schema: conversationAnswer } },
    },
    async (c, { params, body }) => await createConversation(c, ofUser(c, params), body),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: `${base}/{id}`,
      summary: "Get a conversation of a user",
      scope: "read",
      params: userAndId,
      answers: { 200: { description: "the conversation", schema: conversationAnswer } },
    },
    async (c, { params }) => jsonAnswer(c, wireConversation(await ofUser(c, params).get(params.id))),
  );

  addRoute(
    shared,
    {
      method: "patch",
      path: `${base}/{id}`,
      summary: "Rename, pin or unpin a conversation of a user, or make it the current one",
      scope: "write",
      params: userAndId,
      body: conversationPatch,
      answers: { 200: { description: "the conversation", schema: conversationAnswer } },
    },
    async (c, { params, body }) => await patchConversation(c, ofUser(c, params), params.id, body),
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: `${base}/{id}`,
      summary: "Remove a conversation of a user with all its data",
      scope: "admin",
      params: userAndId,
      answers: { 204: { description: "it is removed" } },
    },
    async (c, { params }) => {
      await ofUser(c, params).remove(params.id);
      return c.body(null, 204);
    },
  );

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
