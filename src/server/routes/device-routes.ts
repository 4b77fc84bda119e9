/** Devices that share a session: one requests a code, another redeems it. */
import { z } from "zod";
import { parseLinkCode } from "../../domain/values/device.ts";
import { hasCode } from "../../errors.ts";
import { instant, sessionAnswer } from "../../protocol/schemas.ts";
import { deviceOf, deviceOrNew } from "../http/authority.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Counted } from "../../serving/rate-limits.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../http/route.ts";
import { sessionReply } from "../replies/reply.ts";
import type { Shared } from "../http/server-context.ts";

export function addDeviceRoutes(shared: Shared): void {
  const { sessions, limits, findDevice } = shared;

  /** The device of the request. A device without a session counts as new, which limits callers that invent ids. */
  async function countedDevice(c: RequestContext): Promise<string> {
    const device = deviceOf(c, sessions);
    await findDevice(c, device);
    return device;
  }

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/devices/link-codes",
      summary: "Create a link code with which another device joins this session; valid once, for ten minutes",
      scope: "device",
      answers: { 201: { description: "the code", schema: z.object({ code: z.string(), expiresAt: instant }) } },
    },
    async (c) => {
      const device = await countedDevice(c);
      const { code, expiresAt } = await sessions.devices.linkCode(device);
      return jsonAnswer(c, { code, expiresAt: expiresAt.toISOString() }, 201);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/devices/link",
      summary: "Redeem a link code: this device joins the session of the other device",
      scope: "device",
      body: z.strictObject({ code: z.string().max(40) }),
      answers: { 200: { description: "the shared session", schema: sessionAnswer } },
    },
    async (c, { body: { code } }) => {
      const device = deviceOrNew(c, sessions);
      await findDevice(c, device);
      const wrong = wrongCodeCounts(device, code);
      // The attempt is counted before it is made, so that concurrent guesses do not pass the limit.
      for (const [counted, sender] of wrong) limits.count(counted, sender);
      const giveBack = (): void => {
        for (const [counted, sender] of wrong) limits.giveBack(counted, sender);
      };
      try {
        const session = await sessions.devices.link(device, code);
        giveBack();
        return sessionReply(c, session.info);
      } catch (error) {
        if (!hasCode(error, "link_code_invalid")) giveBack();
        throw error;
      }
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/devices/link",
      summary:
        "Stop sharing the session: a linked device gets a new session; the device that owns the session keeps it",
      scope: "device",
      answers: { 200: { description: "true if the session was shared", schema: z.object({ unlinked: z.boolean() }) } },
    },
    async (c) => jsonAnswer(c, { unlinked: await sessions.devices.unlink(await countedDevice(c)) }),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/devices/link",
      summary: "List the other devices that joined this session with a link code",
      scope: "device",
      query: z.object({ after: z.string().max(8192).optional() }),
      answers: {
        200: {
          description: "a page of devices, by names that are not device ids",
          schema: z.object({
            items: z.array(z.object({ id: z.string(), linkedAt: instant })),
            next: z.string().optional(),
          }),
        },
      },
    },
    async (c, { query }) => {
      const { items, next } = await sessions.devices.listSharing(await countedDevice(c), defined(query));
      const wire = items.map(({ id, linkedAt }) => ({ id, linkedAt: linkedAt.toISOString() }));
      return jsonAnswer(c, { items: wire, ...defined({ next }) });
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/devices/link/{device}",
      summary: "Stop sharing the session with one device, which gets a new session",
      scope: "device",
      params: z.object({ device: z.string().min(1).max(256) }),
      answers: {
        200: { description: "true if the device shared the session", schema: z.object({ unlinked: z.boolean() }) },
      },
    },
    async (c, { params }) =>
      jsonAnswer(c, { unlinked: await sessions.devices.endSharing(await countedDevice(c), params.device) }),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/devices/claim",
      summary: "Link a device to a user, as after a login; its session becomes the user's",
      scope: "write",
      body: z.strictObject({
        device: z.string().meta({ description: "the id of the device" }),
        user: z.string(),
        keep: z
          .enum(["user", "device", "both"])
          .optional()
          .meta({ description: "the session that continues if both have one; the other is ended, with both none is" }),
      }),
      answers: { 200: { description: "the user's session", schema: sessionAnswer } },
    },
    async (c, { body: { device, user, keep } }) => {
      const session = await c.get("sessions").devices.claim(device, user, defined({ keep }));
      return sessionReply(c, session.info);
    },
  );
}

/** The limits that a code counts against until it proves valid: of its device, of the code, and of all devices. */
function wrongCodeCounts(device: string, code: string): readonly (readonly [Counted, string])[] {
  const typed = parseLinkCode(code);
  return [
    ["wrongCodes", device],
    ...(typed === null ? [] : ([["wrongTriesOfCode", typed.handle]] as const)),
    ["allWrongCodes", "all"],
  ];
}
