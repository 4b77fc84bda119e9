/** A tenant's sessions, for callers with a key. */
import { z } from "zod";
import { hasCode, SessionError } from "../../errors.ts";
import type { LeaseHolder, Metadata, Seen, SessionInfo, SessionNews, Sessions } from "../../index.ts";
import {
  agentName,
  beforePage,
  budget,
  busyPolicy,
  chatAnswer,
  count,
  duration,
  lifetime,
  handoffBody,
  activeAgentAnswer,
  idInPath,
  instant,
  message,
  metadata,
  sessionAnswer,
  streamAnswers,
  streamQuery,
  turnAnswer,
  turnsAnswer,
  unreadableEntries,
  rangeQuery,
} from "../../protocol/schemas.ts";
import { parseEtag, parseNewsId, wireEtag, wireNews, wireSession, wireTurn, type Heard } from "../../protocol/wire.ts";
import { keyCheck } from "../http/authority.ts";
import { eventsOf, eventStream, type StreamEvent, type StreamOptions } from "../streams/event-stream.ts";
import { defined } from "../../domain/values/defined.ts";
import { answerReply, activeAgentReply, handOffReply, idempotencyKey, sessionReply, streamReply } from "./reply.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { pageReply } from "./list-reply.ts";
import { eventsReply, turnsReply } from "./log-page.ts";
import { sweep, stats, removeSession } from "../../admin.ts";
import { formatValue } from "../../domain/values/format-value.ts";

const beginning = {
  agent: agentName.optional(),
  user: z.string().optional(),
  metadata: metadata.optional(),
  instructions: z.string().optional(),
  ttl: lifetime.optional(),
  maxAge: duration.optional(),
  budget: budget.optional(),
};

const shownTurns = z.number().int().min(0).max(1000);

export function addSessionRoutes(shared: Shared): void {
  addLifeRoutes(shared);
  addTurnRoutes(shared);
  addActiveAgentRoutes(shared);
}

function addLifeRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions",
      summary: "Create a session",
      scope: "write",
      body: z.object({ id: z.string().optional(), ...beginning }),
      answers: { 201: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { body }) => sessionReply(c, (await c.get("sessions").create(defined(body))).info, 201),
  );

  addRoute(
    shared,
    {
      method: "put",
      path: "/v1/sessions/{id}",
      summary: "Get the session with this id; create it if it does not exist",
      scope: "write",
      params: idInPath,
      body: z.object({ ...beginning, onExpired: z.enum(["fail", "revive", "reset"]).optional() }),
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, body }) => sessionReply(c, (await c.get("sessions").ensure(params.id, defined(body))).info),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions",
      summary: "List sessions, most recently active first or by id",
      scope: "read",
      query: z.object({
        agent: agentName.optional(),
        user: z.string().optional(),
        state: z.enum(["active", "inactive", "expired", "ended", "archived"]).optional(),
        activeSince: instant.optional(),
        activeBefore: instant.optional(),
        order: z.enum(["recent", "id"]).default("recent").meta({
          description:
            "with id, the pages contain each session that exists throughout exactly once, even if sessions change meanwhile",
        }),
        held: z.literal("true").optional().meta({
          description:
            "true: only the sessions of the page that have a lease, each with its holder; a page may be empty and have a next one",
        }),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
        after: z.string().max(8192).optional(),
      }),
      answers: {
        200: {
          description: "a page of sessions; with held each has its leaseHolder",
          schema: z.object({
            sessions: z.array(sessionAnswer),
            next: z.string().optional(),
            unreadable: z.array(z.object({ id: z.string(), reason: z.string() })).optional(),
          }),
        },
      },
    },
    async (c, { query: { activeSince, activeBefore, held: leased, ...query } }) => {
      const sessions = c.get("sessions");
      const page = await sessions.list(
        defined({
          ...query,
          activeSince: activeSince === undefined ? undefined : new Date(activeSince),
          activeBefore: activeBefore === undefined ? undefined : new Date(activeBefore),
        }),
      );
      if (leased === undefined)
        return await pageReply(c, "sessions", page, { wire: wireSession, nameOf: ({ id }) => ({ id }) });
      const items: LeasedSession[] = [];
      for (const info of page.items) {
        const leaseHolder = info.lease === null ? null : await holderOf(sessions, info.id);
        if (leaseHolder !== null) items.push({ info, leaseHolder });
      }
      const wire = ({ info, leaseHolder }: LeasedSession): object => ({
        ...wireSession(info),
        leaseHolder: { ...leaseHolder, acquiredAt: leaseHolder.acquiredAt.toISOString() },
      });
      return await pageReply(c, "sessions", { ...page, items }, { wire, nameOf: ({ info: { id } }) => ({ id }) });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}",
      summary: "Get a session; pass its ETag as If-Match to a later write",
      scope: "read",
      params: idInPath,
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params }) => sessionReply(c, (await c.get("sessions").get(params.id)).info),
  );

  addRoute(
    shared,
    {
      method: "patch",
      path: "/v1/sessions/{id}",
      summary: "Change metadata, deadlines, user, agent, instructions or budget",
      scope: "write",
      params: idInPath,
      body: z.object({
        metadata: metadata.optional(),
        removeMetadata: z.array(z.string()).max(1000).optional().meta({ description: "keys of metadata to remove" }),
        user: z.string().nullable().optional(),
        agent: agentName
          .optional()
          .meta({ description: "the session's agent, from the next turn on; replaces the stored instructions" }),
        instructions: z.string().optional(),
        ttl: lifetime.optional(),
        maxAge: duration.nullable().optional(),
        budget: budget.nullable().optional(),
      }),
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, body: { removeMetadata = [], metadata: merged, ...patch } }) => {
      const session = await c.get("sessions").get(params.id);
      const hasMetadata = merged !== undefined || removeMetadata.length > 0;
      await session.update({
        ...defined(patch),
        ...(hasMetadata ? { metadata: metadataPatch(merged, removeMetadata) } : {}),
      });
      return sessionReply(c, session.info);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/end",
      summary: "End a session permanently; it stays readable",
      scope: "write",
      params: idInPath,
      query: z.object({
        reason: z.string().max(4000).optional().meta({ description: "stored in the event ended" }),
        after: z
          .enum(["answer"])
          .optional()
          .meta({ description: "end once the answer in progress in this process is done; default: at once" }),
      }),
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, query }) => {
      const session = await c.get("sessions").get(params.id);
      await session.end(defined(query));
      return sessionReply(c, session.info);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/touch",
      summary: "Record activity: extend the deadline of a session by its lifetime",
      scope: "write",
      params: idInPath,
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params }) => {
      const session = await c.get("sessions").get(params.id);
      await session.touch();
      return sessionReply(c, session.info);
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/sessions/{id}",
      summary: "Delete a session and all its data",
      scope: "admin",
      params: idInPath,
      answers: { 204: { description: "the session is deleted" } },
    },
    async (c, { params }) => {
      await removeSession(c.get("sessions"), params.id);
      return c.body(null, 204);
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/instructions",
      summary: "Get the instructions of a session",
      scope: "read",
      params: idInPath,
      answers: { 200: { description: "the text", schema: z.object({ instructions: z.string().nullable() }) } },
    },
    async (c, { params }) => {
      const instructions = await (await c.get("sessions").get(params.id)).instructions();
      return jsonAnswer(c, { instructions: instructions ?? null });
    },
  );

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
      return jsonAnswer(c, await stats(c.get("sessions"), query));
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sweep",
      summary:
        "Run a sweep: mark expired sessions, end expired handoffs, archive and remove sessions by the retention policies, delete old events",
      scope: "admin",
      body: z.object({
        rows: z.number().int().min(1).max(1_000_000).optional(),
        time: duration.optional(),
        retention: duration.optional(),
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
    async (c, { body }) => jsonAnswer(c, await sweep(c.get("sessions"), defined(body))),
  );
}

function metadataPatch(merged: unknown, removed: readonly string[]): Metadata {
  // The library refuses values that are not plain objects; spreading would turn them into one.
  if (merged !== undefined && !isPlain(merged)) return merged as Metadata;
  return { ...Object.fromEntries(removed.map((key) => [key, undefined])), ...merged };
}

function isPlain(value: unknown): value is Metadata {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function addTurnRoutes(shared: Shared): void {
  const { outlive, stop } = shared;

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/turns",
      summary:
        "Get turns, oldest first: the last 20 or n, also before a number, or a range; at most 500 turns or 1 MiB",
      scope: "read",
      params: idInPath,
      query: rangeQuery,
      answers: { 200: { description: "a page of turns", schema: turnsAnswer } },
    },
    async (c, { params, query }) => await turnsReply(c, await c.get("sessions").get(params.id), query),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/turns",
      summary: "Append a finished turn; with If-Match, only if no turn was appended since",
      scope: "write",
      headers: ["Idempotency-Key", "If-Match"],
      params: idInPath,
      body: z.object({
        input: message,
        output: message.optional(),
        agent: agentName.optional(),
        model: z.string().optional(),
        usage: z
          .strictObject({
            inputTokens: z.number().nullish(),
            outputTokens: z.number().nullish(),
            totalTokens: z.number().nullish(),
            cachedTokens: z.number().nullish(),
            reasoningTokens: z.number().nullish(),
            estimated: z.literal(true).optional(),
          })
          .optional(),
        durationMs: z.number().optional(),
        requests: z.number().optional(),
        status: z.enum(["done", "failed", "interrupted"]).optional(),
        finish: z.string().optional(),
      }),
      answers: { 201: { description: "the turn", schema: turnAnswer } },
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id, ifMatch(c));
      const turn = await session.append(defined(body), idempotencyKey(c));
      c.header("etag", wireEtag(session.info));
      return jsonAnswer(c, wireTurn(turn), 201);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/truncate",
      summary: "Truncate a session: delete the turns after a number",
      scope: "write",
      headers: ["If-Match"],
      params: idInPath,
      body: z.object({ after: z.number() }),
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id, ifMatch(c));
      await session.truncate(body.after);
      return sessionReply(c, session.info);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/consult",
      summary: "Ask the model, with the turns of the session as context; the answer as JSON or as a stream",
      scope: "write",
      headers: ["Idempotency-Key", "Last-Event-ID", "If-Match"],
      params: idInPath,
      body: z.object({
        message,
        agent: agentName.optional(),
        busy: busyPolicy.optional(),
        model: z.string().max(256).optional(),
        window: z
          .union([shownTurns, z.object({ turns: shownTurns.optional(), tokens: z.number().int().min(0).optional() })])
          .optional()
          .meta({ description: "the past turns that the model is shown: a number of turns, or bounds of both" }),
        settings: z.record(z.string(), z.unknown()).optional().meta({
          description:
            "temperature, maxTokens, effort, timeoutMs, and body with more fields of the model's request; ahead of those of the agent",
        }),
        after: count
          .optional()
          .meta({ description: "replace the turns after this one; they are put back if no answer begins" }),
      }),
      answers: { 200: { description: "the answer", schema: chatAnswer, streams: true } },
    },
    async (c, { params, body: { message: question, window, settings, ...options } }) => {
      const session = await c.get("sessions").get(params.id, ifMatch(c));
      const ask = (withdraw: AbortSignal) =>
        session.consult(question, {
          withdraw,
          ...defined({ ...options, window: typeof window === "object" ? defined(window) : window }),
          // `consult` checks them.
          ...defined({ settings }),
          ...idempotencyKey(c),
        });
      return await answerReply(c, session, { ask, outlive, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/cancel",
      summary: "Cancel the running answer, on any instance; with a key, only its question, also while that waits",
      scope: "write",
      headers: ["Idempotency-Key"],
      params: idInPath,
      answers: { 200: { description: "true if an answer was running", schema: z.object({ cancelled: z.boolean() }) } },
    },
    async (c, { params }) => {
      const session = await c.get("sessions").get(params.id);
      return jsonAnswer(c, { cancelled: await session.cancel(idempotencyKey(c)) });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/stream",
      summary: "Stream the running answer from its beginning, or a broken stream after Last-Event-ID",
      scope: "read",
      headers: ["Last-Event-ID"],
      params: idInPath,
      query: streamQuery,
      answers: streamAnswers,
    },
    async (c, { params, query: { lastEventId } }) => {
      const lost = c.req.header("last-event-id") ?? lastEventId;
      const session = await c.get("sessions").get(params.id);
      return await streamReply(c, session, { lost, stop, admitted: keyCheck(c, shared.sessions) });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/watch",
      summary: "Stream the commits of a session; Last-Event-ID resumes a broken stream",
      scope: "read",
      headers: ["Last-Event-ID"],
      params: idInPath,
      query: z.object({ after: count.optional(), afterChunk: count.optional() }),
      answers: { 200: { description: "turns, chunks of answers, truncations", streams: true } },
    },
    async (c, { params, query: { after, afterChunk } }) => {
      const session = await c.get("sessions").get(params.id);
      const from = lastHeard(c) ?? defined({ after, afterChunk });
      return watchStream(c, { news: session.watch(from), stop, admitted: keyCheck(c, shared.sessions) });
    },
  );
}

function watchStream(
  c: RequestContext,
  { news, ...options }: StreamOptions & { readonly news: AsyncIterable<SessionNews> },
): Response {
  return eventStream(c, () => eventsOf(news, newsEvent), options);
}

/** All watches of a process share the same turns and chunks, so they share the bytes of the events. */
function newsEvent(news: SessionNews): StreamEvent {
  const event = { event: news.type, ...wireNews(news) };
  if (news.type === "truncated") return event;
  const source = news.type === "turn" ? news.turn : news.chunk;
  return { ...event, shared: { source, slot: `watch ${news.type}`, variant: event.id } };
}

function lastHeard(c: RequestContext): Heard | undefined {
  const id = c.req.header("last-event-id");
  if (id === undefined) return undefined;
  const heard = parseNewsId(id);
  if (heard !== null) return heard;
  throw new SessionError("request_invalid", {
    path: "header last-event-id",
    value: formatValue(id),
    expected: "event_id",
  });
}

/**
 * The state of the session that the client has seen, if it sends one.
 * @throws SessionError `request_invalid`
 */
function ifMatch(c: RequestContext): { seen?: Seen } {
  const tag = c.req.header("if-match");
  if (tag === undefined || tag.trim() === "*") return {};
  const view = parseEtag(tag);
  if (view !== null) return { seen: view.seen };
  throw new SessionError("request_invalid", {
    path: "header if-match",
    value: formatValue(tag),
    expected: "etag",
  });
}

function addActiveAgentRoutes(shared: Shared): void {
  const path = "/v1/sessions/{id}/active-agent";
  const alias = "/v1/sessions/{id}/lock";

  addRoute(
    shared,
    {
      method: "get",
      path,
      alias,
      summary: "Get the active agent",
      scope: "read",
      params: idInPath,
      answers: {
        200: { description: "the agent", schema: activeAgentAnswer },
        204: { description: "no handoff is in force; the default agent answers" },
      },
    },
    async (c, { params }) => await activeAgentReply(c, await c.get("sessions").get(params.id)),
  );

  addRoute(
    shared,
    {
      method: "put",
      path,
      alias,
      summary: "Hand off to an agent for a limited time",
      scope: "write",
      params: idInPath,
      body: handoffBody,
      answers: { 200: { description: "the agent", schema: activeAgentAnswer } },
    },
    async (c, { params, body }) => await handOffReply(c, await c.get("sessions").get(params.id), body),
  );

  addRoute(
    shared,
    {
      method: "delete",
      path,
      alias,
      summary: "End the handoff",
      scope: "write",
      params: idInPath,
      answers: { 204: { description: "no handoff is in force" } },
    },
    async (c, { params }) => {
      await (await c.get("sessions").get(params.id)).endHandoff();
      return c.body(null, 204);
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/events",
      summary: "Get the events of a session, oldest first",
      scope: "read",
      params: idInPath,
      query: rangeQuery,
      answers: {
        200: {
          description: "a page of events; without a range the last 100",
          schema: z.object({
            events: z.array(z.looseObject({ seq: z.number(), type: z.string(), at: instant })),
            unreadable: unreadableEntries,
            next: z.number().optional().meta({ description: "pass it as from to get the remaining events" }),
            before: beforePage,
          }),
        },
      },
    },
    async (c, { params, query }) => await eventsReply(c, await c.get("sessions").get(params.id), query),
  );
}

/** A session with a lease, and its holder without the address of its host, which is for hosts. */
interface LeasedSession {
  readonly info: SessionInfo;
  readonly leaseHolder: Omit<LeaseHolder, "address">;
}

/** Null if the lease, or the session, has ended meanwhile. */
async function holderOf(sessions: Sessions, id: string): Promise<LeasedSession["leaseHolder"] | null> {
  try {
    const holder = await (await sessions.get(id)).leaseHolder();
    if (holder === null) return null;
    const { address: _, ...rest } = holder;
    return rest;
  } catch (error) {
    if (hasCode(error, "session_not_found")) return null;
    throw error;
  }
}
