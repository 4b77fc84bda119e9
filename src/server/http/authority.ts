/** Authorisation: keys of operators, and devices by header or cookie. */
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { parseDeviceId } from "../../domain/values/device.ts";
import { bearerToken, holdsToken, verified } from "../../serving/bearer.ts";
import type { AdmittedKey, KeyRing } from "../../serving/configured-keys.ts";
import { SessionError } from "../../errors.ts";
import type { Sessions } from "../../index.ts";
import { coreOf } from "../../sessions/sessions.ts";
import type { RequestContext } from "./route.ts";

/**
 * The key of the request.
 * @throws SessionError `key_missing`, the same for a missing, an unknown and a revoked key; `key_expired`
 */
export async function keyOf(c: RequestContext, keys: KeyRing): Promise<AdmittedKey> {
  return await verified(bearerToken(c.req.header("authorization")), keys);
}

/**
 * Makes a check that turns false once the key of the request is revoked or has expired; while the store is unavailable, the
 * key stays valid.
 */
export function keyCheck(c: RequestContext, keys: KeyRing): () => Promise<boolean> {
  return holdsToken(bearerToken(c.req.header("authorization")), keys);
}

/** The header with a device's id. */
export const deviceHeader = "X-Device-ID";
const cookieName = "perdure_device";
/** The longest lifetime of a cookie in browsers (RFC 6265bis): 400 days. */
const cookieSeconds = 400 * 86_400;

/** True if cookies are sent over HTTPS only: as configured, or if the client uses HTTPS. */
export function isSecure(c: RequestContext, always: boolean): boolean {
  return always || c.req.header("x-forwarded-proto")?.split(",", 1)[0]?.trim() === "https";
}

/** `__Host-`: no other host of the domain can set this cookie and lead a user into a foreign chat. */
function attributes(c: RequestContext): { secure: boolean; path: "/"; prefix?: "host" } {
  return c.get("secure") ? { secure: true, path: "/", prefix: "host" } : { secure: false, path: "/" };
}

function cookieOf(c: RequestContext): string | undefined {
  return c.get("secure") ? getCookie(c, cookieName, "host") : getCookie(c, cookieName);
}

/**
 * The device of the request, by its header, or else by its sealed cookie.
 * @throws SessionError `device_missing` if both are missing, or the cookie was altered; `id_invalid`
 */
export function deviceOf(c: RequestContext, sessions: Sessions): string {
  const device = shownDevice(c, sessions);
  if (device !== null) {
    const cookie = c.req.header(deviceHeader) === undefined ? cookieOf(c) : undefined;
    // A cookie that was sealed under an earlier secret is sealed again, so that it outlives that secret.
    if (cookie !== undefined && cookie !== sessions.devices.seal(device)) giveCookie(c, sessions, device);
    return device;
  }
  // The response deletes the cookie: a page cannot delete it, and each request with it would be refused.
  if (cookieOf(c) !== undefined) deleteCookie(c, cookieName, attributes(c));
  throw new SessionError("device_missing", { header: deviceHeader });
}

/** As {@link deviceOf}; a client without an id gets a cookie with a new one. */
export function deviceOrNew(c: RequestContext, sessions: Sessions): string {
  if (c.req.header(deviceHeader) !== undefined || cookieOf(c) !== undefined) return deviceOf(c, sessions);
  const device = crypto.randomUUID();
  giveCookie(c, sessions, device);
  return device;
}

function giveCookie(c: RequestContext, sessions: Sessions, device: string): void {
  setCookie(c, cookieName, sessions.devices.seal(device), {
    httpOnly: true,
    sameSite: "Lax",
    ...attributes(c),
    maxAge: cookieSeconds,
  });
}

/**
 * The device id in canonical form, so that each device is counted once; null if there is none.
 * @throws SessionError `id_invalid`
 */
export function shownDevice(c: RequestContext, sessions: Sessions): string | null {
  const header = c.req.header(deviceHeader);
  if (header !== undefined) return parseDeviceId(header, coreOf(sessions).options.deviceIds);
  const cookie = cookieOf(c);
  return cookie === undefined ? null : sessions.devices.unseal(cookie);
}
