/** Live sessions, for callers with a key: send messages, inspect, start and stop. */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Host } from "../../host/index.ts";
import { isStream } from "../../host/workers/inline-slot.ts";
import { toJson } from "../../protocol/json.ts";
import { anyJson, hostAnswer, idInPath } from "../../protocol/schemas.ts";
import { wireHost } from "../../protocol/wire.ts";
import { countStream, eventsOf, eventStream, wantsStream, type StreamEvent } from "../streams/event-stream.ts";
import { forwardToOwner } from "../forward/forward.ts";
import { OwnerWatch } from "../forward/owner-watch.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";

/** Size limit of a streamed answer that is requested as one JSON document. */
const partsBytesMax = 8 * 1024 * 1024;

export function addHostRoutes(shared: Shared, host: Host): void {
  const { deadlineMs } = shared;
  const owners = new OwnerWatch(shared.sessions);

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/messages",
      summary: "Send a message to a session's runtime, on any host; a passivated session is activated",
      scope: "write",
      params: idInPath,
      body: z.strictObject({
        message: anyJson.meta({ description: "the message, in the form that the runtime accepts" }),
        create: z.boolean().optional().meta({ description: "create the session if it does not exist" }),
      }),
      answers: {
        200: {
          description: "the reply of the runtime: a value, or chunks; chunks also as a stream",
          schema: z.object({ answer: anyJson.optional(), parts: z.array(anyJson).optional() }),
          streams: true,
        },
      },
    },
    async (c, { params: { id }, body: { message, create } }) => {
      if (message === undefined) {
        throw new SessionError("request_invalid", { path: "body.message", expected: "value" });
      }
      return await atHostOf(c, { id, path: `/v1/sessions/${encodeURIComponent(id)}/messages` }, async () => {
        if (create === true) await host.ensure(id);
        return await reply(c, () => host.send(id, message));
      });
    },
  );

  /**
   * Runs work on a session in the host where it is live, here or elsewhere. This host has the sessions of one tenant;
   * any other is not found.
   * @throws SessionError `session_not_found`, `session_stopped` if this host is stopping
   */
  async function atHostOf(
    c: RequestContext,
    { id: sessionId, path }: { readonly id: string; readonly path: string },
    answer: () => Promise<Response>,
  ): Promise<Response> {
    const { tenant } = c.get("sessions");
    if (tenant !== host.tenant) throw new SessionError("session_not_found", { sessionId, tenant });
    try {
      return await forwardToOwner(c, { path, deadlineMs, owners }, answer);
    } catch (cause) {
      if (!hasCode(cause, "closed")) throw cause;
      throw new SessionError("session_stopped", { sessionId, tenant, how: "host_stopped" }, { cause });
    }
  }

  async function reply(c: RequestContext, send: () => Promise<unknown>): Promise<Response> {
    // A stream over the limit is refused before its message is sent.
    const close = wantsStream(c) ? countStream(c) : undefined;
    let isStreamed = false;
    try {
      const answer = await send();
      if (!isStream(answer)) return jsonAnswer(c, { answer: answer ?? null });
      if (close === undefined) return jsonAnswer(c, { parts: await gathered(answer) });
      isStreamed = true;
      return eventStream(c, () => eventsOf(answer, partEvent, { event: "done", data: {} }), { close });
    } finally {
      if (!isStreamed) close?.();
    }
  }

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/host",
      summary: "Get the metrics of this host and a page of its live sessions, by id",
      scope: "read",
      query: z.object({
        limit: z.coerce.number().int().min(1).max(1000).default(100),
        after: z.string().max(4096).optional(),
      }),
      answers: { 200: { description: "the host", schema: hostAnswer } },
    },
    async (c, { query: { limit, after } }) => {
      // Its metrics contain agents and sessions of the host's tenant.
      if (c.get("sessions").tenant !== host.tenant) {
        throw new SessionError("key_forbidden", { right: c.get("key").right, needed: "read", tenantOf: "host" });
      }
      const { items, next } = host.list({ limit, ...defined({ after }) });
      return jsonAnswer(c, wireHost(await host.metrics(), items, { memoryBytes: process.memoryUsage.rss(), next }));
    },
  );

  const orders = {
    start: { summary: "Activate a session, even if it is marked as failed", give: (id: string) => host.start(id) },
    stop: { summary: "Finish the mailbox of a session, then passivate it", give: (id: string) => host.stop(id) },
    kill: {
      summary: "Kill the activation of a session immediately; its last stored state is kept",
      give: (id: string) => host.kill(id),
    },
  } as const;

  for (const [order, { summary, give }] of Object.entries(orders)) {
    addRoute(
      shared,
      {
        method: "post",
        path: `/v1/host/sessions/{id}/${order}`,
        summary: `${summary}; works on any host`,
        scope: "admin",
        params: idInPath,
        answers: { 204: { description: "done" } },
      },
      async (c, { params: { id } }) => {
        return await atHostOf(c, { id, path: `/v1/host/sessions/${encodeURIComponent(id)}/${order}` }, async () => {
          if (host.live(id) === undefined) await guardElsewhere(c, id);
          await give(id);
          return c.body(null, 204);
        });
      },
    );
  }
}

/** @throws SessionError `session_not_found`; `not_owner` if the session is live in another host */
async function guardElsewhere(c: RequestContext, sessionId: string): Promise<void> {
  const sessions = c.get("sessions");
  const holder = await (await sessions.get(sessionId)).leaseHolder();
  if (holder === null || !holder.alive || holder.address === null) return;
  const { instance: owner, address } = holder;
  throw new SessionError("not_owner", { sessionId, tenant: sessions.tenant, owner, address });
}

function partEvent(part: unknown): StreamEvent {
  return { event: "part", data: { part: part ?? null } };
}

/** @throws SessionError `request_invalid` if the chunks exceed the limit */
async function gathered(parts: AsyncIterable<unknown>): Promise<readonly unknown[]> {
  const all: unknown[] = [];
  let bytes = 0;
  for await (const part of parts) {
    all.push(part ?? null);
    bytes += Buffer.byteLength(toJson(part ?? null));
    if (bytes <= partsBytesMax) continue;
    throw new SessionError("request_invalid", {
      path: "header accept",
      value: "application/json",
      expected: "event_stream",
      max: partsBytesMax,
    });
  }
  return all;
}
