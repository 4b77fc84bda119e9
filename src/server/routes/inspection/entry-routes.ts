/** The entries of every log of a session as they are stored, and snapshots: taken, and restored. */
import { z } from "zod";
import { hasTurns } from "../../../domain/branches/segments.ts";
import { headOf } from "../../../domain/record/change.ts";
import type { Entry } from "../../../domain/record/entry.ts";
import { withoutResume } from "../../../domain/turns/turn.ts";
import { parseId } from "../../../domain/values/ids.ts";
import { isDate } from "../../../domain/values/limits.ts";
import { defined } from "../../../domain/values/defined.ts";
import { SessionError } from "../../../errors.ts";
import { idInPath, sessionAnswer } from "../../../protocol/schemas.ts";
import { readLog } from "../../../sessions/core/log-reader.ts";
import { coreOf } from "../../../sessions/sessions.ts";
import { addRoute, bytesOfBody, jsonAnswer, textAnswer, type RequestContext } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import { sessionReply } from "../../replies/reply.ts";

const logInPath: z.ZodType<{ id: string; log: string }> = z.object({
  id: z.string().min(1).max(4096),
  log: z.string().min(1).max(256),
});
const bytesMax = 1024 * 1024;

export function addEntryRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/stored",
      summary: "List all logs of a session as they are stored, and the number of the last entry of each",
      scope: "read",
      params: idInPath,
      answers: {
        200: {
          description: "the logs",
          schema: z.object({ items: z.array(z.object({ name: z.string(), end: z.number() })) }),
        },
      },
    },
    async (c, { params: { id } }) => {
      const sessions = c.get("sessions");
      const { record } = await coreOf(sessions).load({ tenant: sessions.tenant, id: parseId(id, "sessionId") });
      const names = new Set(Object.keys({ turns: 0, ...record.archive?.heads, ...record.heads }));
      const items = [...names].map((name) => ({ name, end: headOf(record, name) })).filter(({ end }) => end > 0);
      return jsonAnswer(c, { items });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/stored/{log}",
      summary: "Get entries of a log as they are stored, the last ones first; at most 100 entries or 1 MiB",
      scope: "read",
      params: logInPath,
      query: z.object({
        before: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional().meta({
          description: "only entries before this number: next of the page before",
        }),
        limit: z.coerce.number().int().min(1).max(100).default(50),
      }),
      answers: {
        200: {
          description: "a page of entries",
          schema: z.object({
            items: z.array(
              z.object({
                seq: z.number(),
                key: z.string().nullable(),
                at: z.string().nullable(),
                bytes: z.number().meta({ description: "of the stored text, in UTF-8" }),
                data: z.string().meta({ description: "the stored text" }),
              }),
            ),
            version: z.number().meta({ description: "of the session" }),
            next: z.number().optional().meta({ description: "pass it as before for the next page" }),
          }),
        },
      },
    },
    async (c, { params: { id, log }, query: { before, limit } }) => {
      const sessions = c.get("sessions");
      const core = coreOf(sessions);
      const { record } = await core.load({ tenant: sessions.tenant, id: parseId(id, "sessionId") });
      const to = Math.min(headOf(record, log), (before ?? Number.MAX_SAFE_INTEGER) - 1);
      const range = { log, from: 1, to, order: "descending", limit, bytesMax } as const;
      const stored = to < 1 ? [] : await readLog(core.asStored, record, range);
      const entries = hasTurns(log) && isReader(c) ? stored.map(withoutResume) : stored;
      const last = entries.at(-1)?.seq ?? 1;
      const next = last > 1 ? last : undefined;
      return jsonAnswer(c, { items: entries.map(storedEntry), version: record.version, ...defined({ next }) });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/sessions/{id}/snapshot",
      summary:
        "Get a session as a snapshot, which a store of any engine restores; where a turn waits, needs the right write",
      scope: "read",
      params: idInPath,
      answers: { 200: { description: "the snapshot", schema: z.looseObject({ format: z.string() }) } },
    },
    async (c, { params: { id } }) => {
      const snapshot = await c.get("sessions").snapshot(id);
      if (snapshot.session.waiting !== undefined && isReader(c))
        throw new SessionError("key_forbidden", { right: c.get("key").right, needed: "write" });
      return textAnswer(c, JSON.stringify(snapshot));
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/snapshots",
      summary: "Restore a session from a snapshot, which is the body: completely or not at all",
      scope: "admin",
      query: z.object({
        as: z.string().max(4096).optional().meta({ description: "the id of the session; that of the snapshot" }),
        onExists: z.enum(["fail", "replace", "new-id"]).default("fail").meta({
          description: "what becomes of a session with this id",
        }),
      }),
      takesBytes: true,
      answers: { 201: { description: "the restored session", schema: sessionAnswer } },
    },
    async (c, { query: { as, onExists } }) => {
      const snapshot = await bytesOfBody(c);
      return sessionReply(c, (await c.get("sessions").restore(snapshot, { onExists, ...defined({ as }) })).info, 201);
    },
  );
}

/** True for a key that may only read. It gets neither the token nor the state of a waiting turn, by which a program resumes it. */
function isReader(c: RequestContext): boolean {
  return c.get("key").right === "read";
}

function storedEntry({ seq, key, at, data }: Entry): object {
  return { seq, key, at: isDate(at) ? new Date(at).toISOString() : null, bytes: Buffer.byteLength(data), data };
}
