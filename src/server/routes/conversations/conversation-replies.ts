/** Conversations and shares on the wire, for devices and for keys. */
import { z } from "zod";
import type { Conversations } from "../../../index.ts";
import { agentName, instant, textCount, title } from "../../../protocol/schemas.ts";
import { wireConversation } from "../../../protocol/wire-conversations.ts";
import { defined } from "../../../domain/values/defined.ts";
import { jsonAnswer, type RequestContext } from "../../http/route.ts";

const cursor = z.string().max(8192);
export const pageQuery: z.ZodType<{ limit?: number | undefined; after?: string | undefined }> = z.object({
  limit: textCount.optional(),
  after: cursor.optional().meta({ description: "the next of the page before" }),
});

export const searchQuery: z.ZodType<{
  text: string;
  limit?: number | undefined;
  after?: string | undefined;
}> = z.object({ text: z.string().max(1000), limit: textCount.optional(), after: cursor.optional() });

export const conversationAnswer: z.ZodType = z
  .object({
    id: z.string(),
    title: z.string().nullable(),
    agent: agentName,
    turns: z.number(),
    isPinned: z.boolean(),
    createdAt: instant,
    updatedAt: instant,
  })
  .meta({ id: "Conversation" });

export const conversationsAnswer: z.ZodType = z.object({
  items: z.array(conversationAnswer),
  next: z.string().optional(),
});

/** The fields of a new conversation. */
export interface NewConversationBody {
  readonly title?: string | null | undefined;
  readonly agent?: string | undefined;
  readonly isCurrent?: true | undefined;
}

const isCurrent = z
  .literal(true)
  .optional()
  .meta({ description: "make it the current conversation, which POST /v1/chat continues" });

export const newConversationBody: z.ZodType<NewConversationBody> = z.strictObject({
  title: title.optional(),
  agent: agentName.optional(),
  isCurrent,
});

/** The changes of a conversation. */
export interface ConversationPatch {
  readonly title?: string | null | undefined;
  readonly isPinned?: boolean | undefined;
  readonly isCurrent?: true | undefined;
}

export const conversationPatch: z.ZodType<ConversationPatch> = z.strictObject({
  title: title.optional(),
  isPinned: z.boolean().optional(),
  isCurrent,
});

export async function listConversations(
  c: RequestContext,
  mine: Conversations,
  page: { readonly limit?: number | undefined; readonly after?: string | undefined },
  ifEmpty?: () => Promise<unknown>,
): Promise<Response> {
  const { items, next } = await mine.list(defined(page));
  if (items.length === 0) await ifEmpty?.();
  return jsonAnswer(c, { items: items.map(wireConversation), ...defined({ next }) });
}

export async function createConversation(
  c: RequestContext,
  mine: Conversations,
  { isCurrent: selects, ...options }: NewConversationBody,
): Promise<Response> {
  const { id } = await (selects === true ? mine.createCurrent(defined(options)) : mine.create(defined(options)));
  c.set("session", id);
  return jsonAnswer(c, wireConversation(await mine.get(id)), 201);
}

export async function patchConversation(
  c: RequestContext,
  mine: Conversations,
  id: string,
  change: ConversationPatch,
): Promise<Response> {
  if (Object.values(change).some((value) => value !== undefined)) await mine.patch(id, change);
  return jsonAnswer(c, wireConversation(await mine.get(id)));
}

export const shareBody: z.ZodType<{ ttl?: string | number | undefined }> = z.strictObject({
  ttl: z
    .union([z.string().max(40), z.number()])
    .optional()
    .meta({ description: 'how long it is valid, as "7d" or in ms; at most 365 days' }),
});

const shareFields = { id: z.string(), session: z.string(), createdAt: instant, expiresAt: instant };
export const sharesAnswer: z.ZodType = z.object({ items: z.array(z.object(shareFields).meta({ id: "Share" })) });
export const newShareAnswer: z.ZodType = z.object({ ...shareFields, token: z.string() });
export const unshared: z.ZodType = z.object({ revoked: z.boolean() });

export const sharedAnswer: z.ZodType = z.object({
  title: z.string().nullable(),
  turns: z.number().meta({ description: "the number of the last turn" }),
  createdAt: instant,
  updatedAt: instant,
  expiresAt: instant,
});

export const sharedTurnsAnswer: z.ZodType = z.object({
  items: z.array(
    z
      .object({
        seq: z.number(),
        at: instant,
        status: z.enum(["open", "waiting", "done", "failed", "interrupted"]),
        input: z.array(z.unknown()),
        output: z.array(z.unknown()),
      })
      .meta({ id: "SharedTurn" }),
  ),
  next: z.number().optional(),
  before: z.number().optional(),
  unreadable: z.array(z.object({ seq: z.number(), reason: z.string() })).optional(),
});
