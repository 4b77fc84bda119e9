/** The conversations of a device, or of its user: the device id is the secret that opens them. */
import { z } from "zod";
import { defined } from "../../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../../errors.ts";
import type { Answer, Conversations, Session } from "../../../index.ts";
import {
  agentName,
  approveBody,
  branchBody,
  branchesAnswer,
  branchesQuery,
  busyPolicy,
  chatAnswer,
  count,
  foundAnswer,
  idInPath,
  message,
  sessionAnswer,
  streamAnswers,
  streamQuery,
  turnsAnswer,
  turnsQuery,
} from "../../../protocol/schemas.ts";
import { wireBranch, wireFound } from "../../../protocol/wire.ts";
import { addRoutesBelow } from "../attachments/attachment-routes.ts";
import { deviceOf, deviceOrNew } from "../../http/authority.ts";
import { guardOpenAgent, guardUserRole } from "../../http/device-guards.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import { pageReply } from "../../replies/list-reply.ts";
import { turnsReply } from "../../replies/log-page.ts";
import { answerReply, sessionReply, streamReply } from "../../replies/reply.ts";
import { approveAnswers, waitingAnswers, waitingReply } from "../../replies/waiting-reply.ts";
import { idempotencyKey } from "../../replies/request-headers.ts";
import { addConversationRoutes } from "./conversation-routes.ts";
import { newShareAnswer, searchQuery, shareBody, sharesAnswer, unshared } from "./conversation-replies.ts";
import { wireShare } from "../../../protocol/wire-conversations.ts";

const base = "/v1/chat/conversations";
const noParameters: z.ZodType<object> = z.object({});
const shareInPath: z.ZodType<{ id: string; share: string }> = z.object({
  id: z.string().min(1).max(4096),
  share: z.string().min(1).max(256),
});

/** `ofUsers`: a device of a user reaches all sessions of the user. */
export function addDeviceConversationRoutes(shared: Shared, ofUsers: boolean): void {
  const { sessions, converse, approve, deviceApprovals, outlive, stop, deviceUsage, findDevice, limits } = shared;

  function conversationsOf(c: RequestContext, device: string): Conversations {
    return sessions.conversations({ device }).guarded((user) => {
      if (user === null || ofUsers) return;
      throw new SessionError("route_unknown", { method: c.req.method, path: c.req.path.slice(0, 100) });
    });
  }

  /** Call with the conversations of the device. A device that has none counts as new, which limits callers that invent ids. */
  async function ofDevice<T>(c: RequestContext, work: (mine: Conversations) => Promise<T>): Promise<T> {
    const device = deviceOf(c, sessions);
    try {
      return await work(conversationsOf(c, device));
    } catch (error) {
      if (hasCode(error, "session_not_found")) await findDevice(c, device);
      throw error;
    }
  }

  async function opened(c: RequestContext, id: string): Promise<Session> {
    return await ofDevice(c, (mine) => mine.open(id));
  }

  addRoutesBelow(shared, {
    path: `${base}/{id}/attachments`,
    of: "a conversation",
    puts: "device",
    reads: "device",
    found: opened,
    counted: (c, session, bytes) => deviceUsage.counted({ device: deviceOf(c, sessions), session }, bytes),
  });

  async function openedForApproval(c: RequestContext, id: string): Promise<Session> {
    const session = await opened(c, id);
    if (!deviceApprovals) throw new SessionError("key_forbidden", { right: "device", needed: "write" });
    return session;
  }

  addConversationRoutes(shared, {
    base,
    whose: "the device or its user",
    scopes: { read: "device", write: "device", remove: "device" },
    params: { owner: noParameters, one: idInPath },
    reach: (c, _, work) => ofDevice(c, work),
    async toCreate(c, _, { agent }) {
      if (agent !== undefined) guardOpenAgent(sessions, agent);
      const device = deviceOrNew(c, sessions);
      if ((await findDevice(c, device)) === undefined) limits.count("newDeviceSessions", "all");
      return conversationsOf(c, device);
    },
    ifEmpty: async (c) => await findDevice(c, deviceOf(c, sessions)),
  });

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/chat/search",
      summary: "Search the messages and titles of the device's conversations, the newest first",
      scope: "device",
      query: searchQuery,
      answers: { 200: { description: "a page of messages, with what was found in them", schema: foundAnswer } },
    },
    async (c, { query: { text, ...page } }) => {
      const device = deviceOf(c, sessions);
      await findDevice(c, device);
      const found = await conversationsOf(c, device).search(text, { ...defined(page), signal: c.req.raw.signal });
      return await pageReply(c, found, { wire: wireFound, nameOf: ({ session }) => ({ session }) });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: `${base}/{id}/consult`,
      summary: "Send a message, or with edit a turn in other words, whose earlier version is kept",
      scope: "device",
      headers: ["Idempotency-Key", "Last-Event-ID"],
      params: idInPath,
      body: z.strictObject({
        message,
        agent: agentName.optional(),
        busy: busyPolicy.optional(),
        edit: count.optional().meta({ description: "the turn that the message replaces; a branch keeps that turn" }),
      }),
      answers: { 200: { description: "the answer", schema: chatAnswer, streams: true } },
    },
    async (c, { params, body: { message: question, agent, busy, edit } }) => {
      guardUserRole(question);
      if (agent !== undefined) guardOpenAgent(sessions, agent);
      const device = deviceOf(c, sessions);
      const session = await opened(c, params.id);
      const { key } = idempotencyKey(c);
      const ask = (withdraw: AbortSignal): Promise<Answer> =>
        deviceUsage.count({ device, session, key }, async () => {
          const replaces = edit === undefined ? undefined : replacing(session, edit, "edit");
          return await converse(session, question, { ...defined({ agent, busy, key, withdraw }), ...replaces });
        });
      return await answerReply(c, session, { ask, outlive, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: `${base}/{id}/regenerate`,
      summary: "Answer a turn again, by default the last one; a branch keeps the earlier answer",
      scope: "device",
      headers: ["Idempotency-Key", "Last-Event-ID"],
      params: idInPath,
      body: z.strictObject({ turn: count.optional(), busy: busyPolicy.optional() }),
      answers: { 200: { description: "the answer", schema: chatAnswer, streams: true } },
    },
    async (c, { params, body }) => {
      const device = deviceOf(c, sessions);
      const session = await opened(c, params.id);
      const { turn = session.info.turn, busy } = body;
      const { key } = idempotencyKey(c);
      const ask = (withdraw: AbortSignal): Promise<Answer> =>
        deviceUsage.count({ device, session, key }, async () => {
          const replaces = replacing(session, turn, "turn");
          const [earlier] = await Array.fromAsync(session.turns({ from: turn, to: turn }));
          if (earlier === undefined)
            throw new SessionError("range_invalid", { name: "turn", from: turn, to: session.info.turn });
          return await converse(session, earlier.input, { ...defined({ busy, key, withdraw }), ...replaces });
        });
      return await answerReply(c, session, { ask, outlive, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: `${base}/{id}/stream`,
      summary: "Stream the running answer from its beginning, or a broken stream after Last-Event-ID",
      scope: "device",
      headers: ["Last-Event-ID"],
      params: idInPath,
      query: streamQuery,
      answers: streamAnswers,
    },
    async (c, { params, query: { lastEventId } }) => {
      const lost = c.req.header("last-event-id") ?? lastEventId;
      return await streamReply(c, await opened(c, params.id), { lost, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: `${base}/{id}/turns`,
      summary: "Get turns, oldest first: the last 20 or n, also before a number, or a range, of any branch",
      scope: "device",
      params: idInPath,
      query: turnsQuery,
      answers: { 200: { description: "a page of turns", schema: turnsAnswer } },
    },
    async (c, { params, query }) => await turnsReply(c, await opened(c, params.id), query),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: `${base}/{id}/cancel`,
      summary: "Cancel the running answer, on any instance; with a key, only its question, also while that waits",
      scope: "device",
      headers: ["Idempotency-Key"],
      params: idInPath,
      answers: { 200: { description: "true if an answer was running", schema: z.object({ cancelled: z.boolean() }) } },
    },
    async (c, { params }) => jsonAnswer(c, { cancelled: await (await opened(c, params.id)).cancel(idempotencyKey(c)) }),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: `${base}/{id}/waiting`,
      summary: "Get the turn of a conversation that waits, with its token and the tool calls to approve",
      scope: "device",
      params: idInPath,
      answers: waitingAnswers,
    },
    async (c, { params }) => await waitingReply(c, await openedForApproval(c, params.id)),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: `${base}/{id}/approve`,
      summary: "Decide on the tool calls for which a turn of a conversation waits; the rest of the answer",
      scope: "device",
      headers: ["Last-Event-ID"],
      params: idInPath,
      body: approveBody,
      answers: approveAnswers,
    },
    async (c, { params, body }) => {
      const session = await openedForApproval(c, params.id);
      const device = deviceOf(c, sessions);
      const ask = (): Promise<Answer> =>
        deviceUsage.count({ device, session, key: undefined }, () => approve(session, body.token, body.decisions));
      return await answerReply(c, session, { ask, outlive, stop });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: `${base}/{id}/branches`,
      summary: "List the branches of a conversation, or the versions of one of its turns",
      scope: "device",
      params: idInPath,
      query: branchesQuery,
      answers: { 200: { description: "the branches", schema: branchesAnswer } },
    },
    async (c, { params, query }) => {
      const branches = await (await opened(c, params.id)).branches(defined(query));
      return jsonAnswer(c, { items: branches.map(wireBranch) });
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: `${base}/{id}/switch`,
      summary: "Switch a conversation to another of its branches",
      scope: "device",
      params: idInPath,
      body: branchBody,
      answers: { 200: { description: "the session", schema: sessionAnswer } },
    },
    async (c, { params, body }) => {
      const session = await opened(c, params.id);
      return sessionReply(c, await session.switchTo(body.branch));
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: `${base}/{id}/shares`,
      summary: "Share a conversation: the token opens it to read, until it expires or is revoked",
      scope: "device",
      params: idInPath,
      body: shareBody,
      answers: { 201: { description: "the share; only this answer has its token", schema: newShareAnswer } },
    },
    async (c, { params, body }) => {
      const session = await ofDevice(c, (mine) => mine.openOwn(params.id));
      return jsonAnswer(c, wireShare(await sessions.share(session.id, defined(body))), 201);
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: `${base}/{id}/shares`,
      summary: "List the valid shares of a conversation",
      scope: "device",
      params: idInPath,
      answers: { 200: { description: "the shares", schema: sharesAnswer } },
    },
    async (c, { params }) => {
      const session = await ofDevice(c, (mine) => mine.openOwn(params.id));
      return jsonAnswer(c, { items: (await sessions.shares(session.id)).map(wireShare) });
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: `${base}/{id}/shares/{share}`,
      summary: "Revoke a share of a conversation: its token opens nothing from now on",
      scope: "device",
      params: shareInPath,
      answers: { 200: { description: "true if there was such a share", schema: unshared } },
    },
    async (c, { params }) => {
      const session = await ofDevice(c, (mine) => mine.openOwn(params.id));
      const isItsOwn = (await sessions.shares(session.id)).some(({ id }) => id === params.share);
      return jsonAnswer(c, { revoked: isItsOwn && (await sessions.unshare(params.share)) });
    },
  );
}

/** The answer takes the place of the turn and of those after it; a branch keeps them. @throws SessionError `range_invalid` */
function replacing({ info }: Session, turn: number, name: string): { readonly after: number; readonly keep: true } {
  if (turn < 1 || turn > info.turn) throw new SessionError("range_invalid", { name, from: turn, to: info.turn });
  return { after: turn - 1, keep: true };
}
