/** Devices that share a session: one asks for a code, another redeems it. */
import { z } from "zod";
import { hasCode } from "../errors.ts";
import { instant, sessionAnswer } from "../protocol/schemas.ts";
import { deviceOf, deviceOrNew } from "./authority.ts";
import { addRoute, jsonAnswer } from "./route.ts";
import { sessionReply } from "./reply.ts";
import type { Shared } from "./shared.ts";

export function addDeviceRoutes(shared: Shared): void {
  const { sessions, limits } = shared;

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/devices/link-codes",
      summary: "A code by which another device comes to share this one's session, good once and for ten minutes",
      scope: "device",
      answers: { 201: { description: "the code", schema: z.object({ code: z.string(), expiresAt: instant }) } },
    },
    async (c) => {
      const { code, expiresAt } = await sessions.devices.linkCode(deviceOf(c, sessions));
      return jsonAnswer(c, { code, expiresAt: expiresAt.toISOString() }, 201);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/devices/link",
      summary: "Redeem a code: this device shares the other one's session from here on",
      scope: "device",
      body: z.object({ code: z.string().max(40) }),
      answers: { 200: { description: "the shared session", schema: sessionAnswer } },
    },
    async (c, { body: { code } }) => {
      const device = deviceOrNew(c, sessions);
      // Counted before it is tried, or many at once would all be tried.
      await limits.count("wrongCodes", "all");
      try {
        const session = await sessions.devices.link(device, code);
        await limits.giveBack("wrongCodes", "all");
        return sessionReply(c, session.info);
      } catch (error) {
        if (!hasCode(error, "link_code_invalid")) await limits.giveBack("wrongCodes", "all");
        throw error;
      }
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/devices/link",
      summary: "Be for oneself again, with a fresh session",
      scope: "device",
      answers: { 200: { description: "whether it was linked", schema: z.object({ unlinked: z.boolean() }) } },
    },
    async (c) => jsonAnswer(c, { unlinked: await sessions.devices.unlink(deviceOf(c, sessions)) }),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/devices/claim",
      summary: "A device speaks for a user from here on, as after a login, and its session becomes the user's",
      scope: "write",
      body: z.object({
        device: z.string().meta({ description: "the device's id" }),
        user: z.string(),
        keep: z
          .enum(["user", "device"])
          .optional()
          .meta({ description: "which session goes on where both have one; the other is kept as ended" }),
      }),
      answers: { 200: { description: "the user's session", schema: sessionAnswer } },
    },
    async (c, { body: { device, user, keep } }) => {
      const session = await c.get("sessions").devices.claim(device, user, keep === undefined ? {} : { keep });
      return sessionReply(c, session.info);
    },
  );
}
