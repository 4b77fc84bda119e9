/** The routes of conversations that devices and keys have alike: list, create, get, change and remove. */
import type { z } from "zod";
import type { Conversations } from "../../../index.ts";
import { addRoute, jsonAnswer, type RequestContext, type Scope } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import { wireConversation } from "../../../protocol/wire-conversations.ts";
import {
  conversationAnswer,
  conversationPatch,
  conversationsAnswer,
  createConversation,
  listConversations,
  newConversationBody,
  pageQuery,
  patchConversation,
  type NewConversationBody,
} from "./conversation-replies.ts";

/** The owner of the conversations under a path, and the rights that the routes need. */
export interface ConversationOwnerRoutes<Owner> {
  readonly base: string;
  /** The owner in the summaries of the routes. */
  readonly whose: string;
  readonly scopes: { readonly read: Scope; readonly write: Scope; readonly remove: Scope };
  /** The parameters of the path. */
  readonly params: { readonly owner: z.ZodType<Owner>; readonly one: z.ZodType<Owner & { readonly id: string }> };
  /** Calls with the conversations of the owner. */
  readonly reach: <T>(c: RequestContext, owner: Owner, work: (mine: Conversations) => Promise<T>) => Promise<T>;
  /** The conversations in which a new one may be created. */
  readonly toCreate: (c: RequestContext, owner: Owner, body: NewConversationBody) => Promise<Conversations>;
  /** Called for an owner without conversations. */
  readonly ifEmpty?: (c: RequestContext) => Promise<unknown>;
}

export function addConversationRoutes<Owner>(
  shared: Shared,
  { base, whose, scopes, params, reach, toCreate, ifEmpty }: ConversationOwnerRoutes<Owner>,
): void {
  addRoute(
    shared,
    {
      method: "get",
      path: base,
      summary: `List the conversations of ${whose}: pinned ones first, then the last active`,
      scope: scopes.read,
      params: params.owner,
      query: pageQuery,
      answers: { 200: { description: "a page of conversations", schema: conversationsAnswer } },
    },
    async (c, { params: owner, query }) =>
      await reach(c, owner, (mine) => listConversations(c, mine, query, async () => await ifEmpty?.(c))),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: base,
      summary: `Create a conversation of ${whose}; the current one stays unless isCurrent is true`,
      scope: scopes.write,
      params: params.owner,
      body: newConversationBody,
      answers: { 201: { description: "the conversation", schema: conversationAnswer } },
    },
    async (c, { params: owner, body }) => await createConversation(c, await toCreate(c, owner, body), body),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: `${base}/{id}`,
      summary: `Get a conversation of ${whose}`,
      scope: scopes.read,
      params: params.one,
      answers: { 200: { description: "the conversation", schema: conversationAnswer } },
    },
    async (c, { params: one }) => jsonAnswer(c, wireConversation(await reach(c, one, (mine) => mine.get(one.id)))),
  );

  addRoute(
    shared,
    {
      method: "patch",
      path: `${base}/{id}`,
      summary: `Rename, pin or unpin a conversation of ${whose}, or make it the current one`,
      scope: scopes.write,
      params: params.one,
      body: conversationPatch,
      answers: { 200: { description: "the conversation", schema: conversationAnswer } },
    },
    async (c, { params: one, body }) => await reach(c, one, (mine) => patchConversation(c, mine, one.id, body)),
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: `${base}/{id}`,
      summary: `Remove a conversation of ${whose} with all its data; one that a device shares by a code stays with its owner`,
      scope: scopes.remove,
      params: params.one,
      answers: { 204: { description: "it is removed" } },
    },
    async (c, { params: one }) => {
      await reach(c, one, (mine) => mine.remove(one.id));
      return c.body(null, 204);
    },
  );
}
