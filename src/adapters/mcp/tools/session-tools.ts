/** The tools that read, write and end sessions, without a model. */
import { z } from "zod";
import { defined } from "../../../domain/values/defined.ts";
import { SessionError } from "../../../errors.ts";
import type { MessageInput, Seen, Session, Sessions } from "../../../index.ts";
import { fromJson } from "../../../protocol/json.ts";
import { agentName, instant, labels, message, title } from "../../../protocol/schemas.ts";
import { parseEtag, wireActiveAgent } from "../../../protocol/wire.ts";
import { plain, sessionForm, sessionShape, turnForm, turnShape, turnsPage, turnsShape } from "./shown.ts";
import { result, sessionTool, type SessionTool } from "./tool.ts";

export const sessionId: z.ZodType<string> = z.string().describe("the id of the session");

export const key: z.ZodType<string> = z
  .string()
  .describe("a new text for each write, such as a UUID; the same call with the same key is done once");

/** Creates the session of a call. */
export interface Creation {
  readonly agent?: string | undefined;
  readonly user?: string | undefined;
  readonly title?: string | null | undefined;
  readonly labels?: { readonly [name: string]: string } | undefined;
}

export const creation: z.ZodType<Creation | undefined> = z
  .strictObject({
    agent: agentName.optional(),
    user: z.string().optional(),
    title: title.optional(),
    labels: labels.optional(),
  })
  .optional()
  .describe("create the session, with these fields, where it does not exist");

/** The session of a call, created where the call says so. @throws SessionError as `ensure` and `get` */
export async function sessionOf(
  sessions: Sessions,
  id: string,
  { create, seen }: { readonly create: Creation | undefined; readonly seen?: Seen | undefined },
): Promise<Session> {
  if (create === undefined || seen !== undefined) return await sessions.get(id, defined({ seen }));
  return await sessions.ensure(id, defined({ ...create, title: create.title ?? undefined }));
}

/** Messages of a call: values that JSON lacks are tagged, as over HTTP. */
export function messagesOf(sent: MessageInput): MessageInput {
  return typeof sent === "string" ? sent : (fromJson(JSON.stringify(sent)) as unknown as MessageInput);
}

const labelFilter = z
  .record(z.string(), z.union([z.string(), z.literal(true)]))
  .optional()
  .describe("only sessions with all of these labels, each with this value, or with any value for true");

const list = sessionTool({
  name: "session_list",
  title: "List sessions",
  description: "List sessions, the most recently active first. The result names the next page.",
  right: "read",
  annotations: { readOnlyHint: true },
  input: z.strictObject({
    agent: agentName.optional(),
    user: z.string().optional(),
    labels: labelFilter,
    state: z.enum(["active", "inactive", "expired", "ended", "archived"]).optional(),
    waiting: z.literal(true).optional().describe("only sessions with a turn that waits, such as for an approval"),
    order: z.enum(["recent", "created", "id"]).optional().describe("recent is the default"),
    limit: z.number().int().min(1).max(100).optional().describe("the most sessions of the page; 20 is the default"),
    after: z.string().max(8192).optional().describe("the field next of the page before"),
  }),
  output: z.object({
    sessions: z.array(sessionShape),
    next: z.string().optional().describe("pass it as after for the next page"),
    unreadable: z.array(z.object({ id: z.string(), reason: z.string() })).optional(),
  }),
  run: async ({ limit = 20, ...query }, { sessions }) => {
    const { items, next, unreadable = [] } = await sessions.list(defined({ ...query, limit }));
    return result({
      sessions: items.map(sessionForm),
      ...defined({ next, unreadable: unreadable.length === 0 ? undefined : plain(unreadable) }),
    });
  },
});

const show = sessionTool({
  name: "session_show",
  title: "Show a session",
  description:
    "Show a session with a page of its turns, oldest first: the last 10 by default. The result names the pages around it.",
  right: "read",
  annotations: { readOnlyHint: true },
  input: z.strictObject({
    session: sessionId,
    last: z.number().int().min(0).max(100).optional().describe("the last so many turns; 10 is the default"),
    before: z.number().int().min(1).optional().describe("only turns before this number"),
    from: z.number().int().min(1).optional().describe("the turns from this number on, instead of the last ones"),
  }),
  output: z.object({ session: sessionShape, metadata: z.looseObject({}), usage: z.looseObject({}), ...turnsShape }),
  run: async ({ session: id, ...range }, { sessions }) => {
    const session = await sessions.get(id);
    const { info } = session;
    const { metadata, counters: usage } = plain({ metadata: info.metadata, counters: info.counters });
    return result({ session: sessionForm(info), metadata, usage, ...(await turnsPage(session, range)) });
  },
});

const search = sessionTool({
  name: "search",
  title: "Search messages",
  description:
    "Find messages and titles by their words, the newest first, with the words around what was found. The result names the next page.",
  right: "read",
  annotations: { readOnlyHint: true },
  input: z.strictObject({
    text: z
      .string()
      .max(1000)
      .describe('words, "phrases in quotes" and beginnings of words with a star: a message has all of them'),
    session: sessionId.optional().describe("only in this session; without agent, user, labels and state"),
    agent: agentName.optional(),
    user: z.string().optional(),
    labels: labelFilter,
    state: z.enum(["active", "inactive", "expired", "ended", "archived"]).optional(),
    since: instant.optional().describe("only messages of turns that began at or after this"),
    before: instant.optional().describe("only messages of turns that began before this"),
    limit: z.number().int().min(1).max(100).optional().describe("the most messages of the page; 20 is the default"),
    after: z.string().max(8192).optional().describe("the field next of the page before"),
  }),
  output: z.object({
    found: z.array(
      z.object({
        session: z.string(),
        title: z.string().nullable(),
        agent: z.string(),
        user: z.string().nullable(),
        turn: z.number().nullable().describe("null: the title was found"),
        message: z.number().describe("the place of the message in its turn, from 0"),
        role: z.string().nullable(),
        at: z.string(),
        text: z.string().describe("the words around what was found"),
      }),
    ),
    next: z.string().optional().describe("pass it as after for the next page"),
    isCurrent: z.boolean().describe("false: messages may be missing that are not indexed yet"),
  }),
  run: async ({ since, before, ...query }, { sessions }) => {
    const dateOf = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text));
    const instants = { since: dateOf(since), before: dateOf(before) };
    const { items, next, isCurrent } = await sessions.search(defined({ ...query, ...instants }));
    return result({
      found: items.map(({ snippet, at, ...found }) => ({ ...found, at: at.toISOString(), text: snippet.text })),
      ...defined({ next }),
      isCurrent,
    });
  },
});

const append = sessionTool({
  name: "session_append",
  title: "Append a turn",
  description:
    "Append a finished turn to a session: its input and its output. No model is asked. With the same key again the result is the same turn.",
  right: "write",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  input: z.strictObject({
    session: sessionId,
    key,
    input: message,
    output: message.optional(),
    agent: agentName.optional().describe("the agent of the output"),
    create: creation,
    ifSeen: z
      .string()
      .max(300)
      .optional()
      .describe("the field seen of the session: refuse with conflict where another turn was appended since"),
  }),
  output: z.object({ session: sessionShape, turn: turnShape }),
  run: async ({ session: id, key, input, output, agent, create, ifSeen }, { sessions }) => {
    const seen = ifSeen === undefined ? undefined : seenOf(ifSeen);
    const session = await sessionOf(sessions, id, { create, seen });
    const turn = await session.append(
      { input: messagesOf(input), ...defined({ output: output && messagesOf(output), agent }) },
      { key },
    );
    return result({ session: sessionForm(session.info), turn: turnForm(turn) });
  },
});

/** @throws SessionError `request_invalid` */
function seenOf(text: string): Seen {
  const view = parseEtag(`"${text}"`);
  if (view !== null) return view.seen;
  throw new SessionError("request_invalid", { path: "arguments.ifSeen", expected: "etag" });
}

const handOff = sessionTool({
  name: "session_hand_off",
  title: "Hand off to an agent",
  description: "Make an agent the active one of a session for a limited time: it answers the questions of the session.",
  right: "write",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  input: z.strictObject({
    session: sessionId,
    agent: agentName,
    ttlSeconds: z.number().min(0.001).max(3_153_600_000).optional().describe("how long the agent is active"),
    note: z.string().optional().describe("a note that the agent reads with its first message"),
  }),
  output: z.object({ agent: z.string(), since: z.string(), expiresAt: z.string(), note: z.string().nullable() }),
  run: async ({ session: id, agent, ttlSeconds, note }, { sessions }) => {
    const session = await sessions.get(id);
    const ttl = ttlSeconds === undefined ? undefined : Math.max(1, Math.round(ttlSeconds * 1000));
    const active = await session.handOff(agent, defined({ ttl, note }));
    return result({ ...wireActiveAgent(active) });
  },
});

const fork = sessionTool({
  name: "session_fork",
  title: "Fork a session",
  description: "Make a new session that shares the turns of a session up to one of them. Later turns are separate.",
  right: "write",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false },
  input: z.strictObject({
    session: sessionId,
    at: z.number().int().min(0).optional().describe("the last turn that is shared; the last one is the default"),
    as: z.string().optional().describe("the id of the new session; an id is made by default"),
  }),
  output: z.object({ session: sessionShape }),
  run: async ({ session: id, at, as }, { sessions }) => {
    const forked = await (await sessions.get(id)).fork(defined({ at, as }));
    return result({ session: sessionForm(forked.info) });
  },
});

const end = sessionTool({
  name: "session_end",
  title: "End a session",
  description: "End a session for good. It stays readable, and takes no more turns.",
  right: "write",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  input: z.strictObject({
    session: sessionId,
    reason: z.string().max(4000).optional().describe("stored in the event of the end"),
  }),
  output: z.object({ session: sessionShape }),
  run: async ({ session: id, reason }, { sessions }) => {
    const session = await sessions.get(id);
    await session.end(defined({ reason }));
    return result({ session: sessionForm(session.info) });
  },
});

/** The tools that only read, in order. */
export const readingTools: readonly SessionTool[] = [list, show, search];

/** The tools that change a session without a model: the first one before `session_consult`, the others behind it. */
export const writingTools: { readonly append: SessionTool; readonly others: readonly SessionTool[] } = {
  append,
  others: [handOff, fork, end],
};
