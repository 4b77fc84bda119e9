/** Routes to fork and archive sessions, and to set legal holds. */
import { z } from "zod";
import { idInPath, receiptAnswer, sessionAnswer } from "../../protocol/schemas.ts";
import { sessionReply } from "../replies/reply.ts";
import { addRoute, jsonAnswer } from "../http/route.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Shared } from "../http/server-context.ts";
import { erase } from "../../admin.ts";

const answers = { 200: { description: "the session", schema: sessionAnswer } };

export function addArchiveRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/fork",
      summary: "Fork a session from one of its turns",
      scope: "write",
      params: idInPath,
      body: z.strictObject({ at: z.number().optional(), as: z.string().optional() }),
      answers: { 201: answers[200] },
    },
    async (c, { params, body: { at, as } }) => {
      const fork = await (await c.get("sessions").get(params.id)).fork(defined({ at, as }));
      return sessionReply(c, fork.info, 201);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/archive",
      summary: "Archive a session: compress its logs; it can still be listed, counted and read",
      scope: "write",
      params: idInPath,
      answers,
    },
    async (c, { params }) => {
      const session = await c.get("sessions").get(params.id);
      await session.archive();
      return sessionReply(c, session.info);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/sessions/{id}/unarchive",
      summary: "Unarchive a session",
      scope: "write",
      params: idInPath,
      answers,
    },
    async (c, { params }) => {
      const session = await c.get("sessions").get(params.id);
      await session.unarchive();
      return sessionReply(c, session.info);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/erase",
      summary:
        "Erase a user or the guest of a device; a repeated request resumes an interrupted erasure and returns the same receipt",
      scope: "admin",
      body: z.strictObject({
        user: z.string().optional(),
        device: z
          .string()
          .optional()
          .meta({ description: "the id of a device that speaks for no user, instead of a user" }),
        store: z.string().max(1000).optional(),
        forks: z
          .enum(["keep", "erase"])
          .optional()
          .meta({ description: "keep or erase the forks of the user's sessions that belong to other users" }),
      }),
      answers: { 200: { description: "the receipt", schema: receiptAnswer } },
    },
    async (c, { body }) => jsonAnswer(c, await erase(c.get("sessions"), defined(body))),
  );

  addRoute(
    shared,
    {
      method: "put",
      path: "/v1/sessions/{id}/legal-hold",
      summary: "Set a legal hold: the session cannot be deleted, truncated or erased",
      scope: "admin",
      params: idInPath,
      body: z.strictObject({ reason: z.string() }),
      answers,
    },
    async (c, { params, body }) => {
      const session = await c.get("sessions").get(params.id);
      await session.setLegalHold(body.reason);
      return sessionReply(c, session.info);
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/sessions/{id}/legal-hold",
      summary: "Clear the legal hold of a session",
      scope: "admin",
      params: idInPath,
      answers,
    },
    async (c, { params }) => {
      const session = await c.get("sessions").get(params.id);
      await session.clearLegalHold();
      return sessionReply(c, session.info);
    },
  );
}
