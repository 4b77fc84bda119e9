/** Creates, reads, changes, ends and deletes sessions. */
import { z } from "zod";
import { removeSession } from "../../admin.ts";
import { defined } from "../../domain/values/defined.ts";
import {
  agentName,
  budget,
  duration,
  idInPath,
  labels,
  lifetime,
  metadata,
  sessionAnswer,
  title,
} from "../../protocol/schemas.ts";
import { patchBody } from "../../protocol/write-schemas.ts";
import { patchOf } from "../../protocol/written.ts";
import { addRoute, jsonAnswer } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { sessionReply } from "../replies/reply.ts";

const beginning = {
  agent: agentName.optional(),
  user: z.string().optional(),
  title: title.optional(),
  labels: labels.optional(),
  metadata: metadata.optional(),
  instructions: z.string().optional(),
  ttl: lifetime.optional(),
  maxAge: duration.optional(),
  budget: budget.optional(),
};

export function addSessionRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions",
      summary: "Create a session",
      scope: "write",
      body: z.strictObject({ id: z.string().optional(), ...beginning }),
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
      body: z.strictObject({ ...beginning, onExpired: z.enum(["fail", "revive", "reset"]).optional() }),
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, body }) => sessionReply(c, (await c.get("sessions").ensure(params.id, defined(body))).info),
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
      summary: "Change title, labels, metadata, deadlines, user, agent, instructions or budget",
      scope: "write",
      params: idInPath,
      body: patchBody,
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id);
      await session.update(patchOf(body));
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
}
