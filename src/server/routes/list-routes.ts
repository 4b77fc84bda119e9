/** Lists sessions, and searches their messages. */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import { labelFilterOf } from "../../domain/values/labels.ts";
import { hasCode } from "../../errors.ts";
import type { LeaseHolder, SessionInfo, Sessions } from "../../index.ts";
import { agentName, foundAnswer, instant, sessionAnswer } from "../../protocol/schemas.ts";
import { wireFound, wireSession } from "../../protocol/wire.ts";
import { addRoute } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { pageReply } from "../replies/list-reply.ts";

const labelQuery = z.array(z.string().max(400)).max(16).optional().meta({
  description: "name=value or name, several times: only sessions that have all of these labels, with this or any value",
});

const stateQuery = z.enum(["active", "inactive", "expired", "ended", "archived"]).optional();

export function addListRoutes(shared: Shared): void {
  addSearchRoute(shared);
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions",
      summary: "List sessions, most recently active first, newest first or by id",
      scope: "read",
      query: z.object({
        agent: agentName.optional(),
        user: z.string().optional(),
        label: labelQuery,
        waiting: z.string().max(256).optional().meta({
          description: "only sessions with a turn that waits: true for any reason, else the reason",
        }),
        state: stateQuery,
        activeSince: instant.optional(),
        activeBefore: instant.optional(),
        createdSince: instant.optional(),
        createdBefore: instant.optional(),
        order: z.enum(["recent", "created", "id"]).default("recent").meta({
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
      repeated: ["label"],
      answers: {
        200: {
          description: "a page of sessions; with held each has its leaseHolder",
          schema: z.object({
            items: z.array(sessionAnswer),
            next: z.string().optional(),
            unreadable: z.array(z.object({ id: z.string(), reason: z.string() })).optional(),
          }),
        },
      },
    },
    async (c, { query: { label, waiting, held: leased, ...query } }) => {
      const sessions = c.get("sessions");
      const { activeSince, activeBefore, createdSince, createdBefore } = query;
      const page = await sessions.list(
        defined({
          ...query,
          labels: label === undefined ? undefined : labelFilterOf(label),
          waiting: waiting === "true" ? (true as const) : waiting,
          activeSince: dateOf(activeSince),
          activeBefore: dateOf(activeBefore),
          createdSince: dateOf(createdSince),
          createdBefore: dateOf(createdBefore),
        }),
      );
      if (leased === undefined) return await pageReply(c, page, { wire: wireSession, nameOf: ({ id }) => ({ id }) });
      const items: LeasedSession[] = [];
      for (const info of page.items) {
        const leaseHolder = info.lease === null ? null : await holderOf(sessions, info.id);
        if (leaseHolder !== null) items.push({ info, leaseHolder });
      }
      const wire = ({ info, leaseHolder }: LeasedSession): object => ({
        ...wireSession(info),
        leaseHolder: { ...leaseHolder, acquiredAt: leaseHolder.acquiredAt.toISOString() },
      });
      return await pageReply(c, { ...page, items }, { wire, nameOf: ({ info: { id } }) => ({ id }) });
    },
  );
}

/** The most time that a request may bring the index up to date, ms. */
const waitMsMax = 60_000;

function addSearchRoute(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/search",
      summary: "Find messages and titles by their words, the newest first",
      scope: "read",
      query: z.object({
        text: z.string().max(4096).meta({
          description: 'words, "phrases in quotes" and beginnings of words (sess*), at most 1000 characters',
        }),
        session: z.string().optional().meta({ description: "only in this session, its shared turns included" }),
        agent: agentName.optional(),
        user: z.string().optional(),
        label: labelQuery,
        state: stateQuery,
        since: instant.optional().meta({ description: "only turns that began at or after this" }),
        before: instant.optional().meta({ description: "only turns that began before this" }),
        limit: z.coerce.number().int().min(1).max(1000).default(20),
        after: z.string().max(8192).optional(),
        waitMs: z.coerce.number().int().min(0).max(waitMsMax).optional().meta({
          description: "how long the search may bring the index up to date first, ms; 10000 is the default",
        }),
      }),
      repeated: ["label"],
      answers: {
        200: { description: "a page of messages, with what was found in them", schema: foundAnswer },
      },
    },
    async (c, { query: { label, since, before, ...query } }) => {
      const page = await c.get("sessions").search(
        defined({
          ...query,
          signal: c.req.raw.signal,
          labels: label === undefined ? undefined : labelFilterOf(label),
          since: dateOf(since),
          before: dateOf(before),
        }),
      );
      return await pageReply(c, page, { wire: wireFound, nameOf: ({ session }) => ({ session }) });
    },
  );
}

function dateOf(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : new Date(text);
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
