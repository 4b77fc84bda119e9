/** Who may do what: keys of operators, and devices by header or cookie. */
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { parseDeviceId } from "../../domain/values/device.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { KeyInfo, KeyRight, Sessions } from "../../index.ts";
import type { RequestContext } from "./route.ts";

const ranks: Readonly<Record<KeyRight, number>> = { read: 1, write: 2, admin: 3 };

/** The key that the request shows. @throws SessionError `key_missing`, the same for none, an unknown and a revoked one */
export async function keyOf(c: RequestContext, sessions: Sessions): Promise<KeyInfo> {
  const token = /^Bearer +(\S{1,200})$/i.exec(c.req.header("authorization") ?? "")?.[1];
  const key = token === undefined ? null : await sessions.keys.verify(token);
  if (key !== null) return key;
  throw new SessionError("key_missing", { scheme: "Bearer" });
}

/** False once the key was revoked; a store that is away says nothing of that. */
export async function holdsKey(c: RequestContext, sessions: Sessions): Promise<boolean> {
  try {
    await keyOf(c, sessions);
    return true;
  } catch (error) {
    return !hasCode(error, "key_missing");
  }
}

/** @throws SessionError `key_forbidden` */
export function guardRight({ right }: KeyInfo, needed: KeyRight): void {
  if (ranks[right] >= ranks[needed]) return;
  throw new SessionError("key_forbidden", { right, needed });
}

/** The header by which a device says who it is. */
export const deviceHeader = "X-Device-ID";
const cookieName = "perdure_device";
/** As long as browsers keep a cookie at most (RFC 6265bis): 400 days. */
const cookieSeconds = 400 * 86_400;

/** Whether cookies go over HTTPS only: as the server says, or behind a proxy as the browser's side does. */
export function isSecure(c: RequestContext, always: boolean): boolean {
  return always || c.req.header("x-forwarded-proto")?.split(",", 1)[0]?.trim() === "https";
}

/** `__Host-`: no other host of the domain can set it, and so lead somebody into a chat of its own. */
function attributes(c: RequestContext): { secure: boolean; path: "/"; prefix?: "host" } {
  return c.get("secure") ? { secure: true, path: "/", prefix: "host" } : { secure: false, path: "/" };
}

function cookieOf(c: RequestContext): string | undefined {
  return c.get("secure") ? getCookie(c, cookieName, "host") : getCookie(c, cookieName);
}

/**
 * The device that the request is from, by its header, or else by its sealed cookie.
 * @throws SessionError `device_missing` where there is neither, or the cookie was altered; `id_invalid`
 */
export function deviceOf(c: RequestContext, sessions: Sessions): string {
  const device = shownDevice(c, sessions);
  if (device !== null) return device;
  // A browser could not get rid of it by itself, and would be refused for as long as it keeps it.
  if (cookieOf(c) !== undefined) deleteCookie(c, cookieName, attributes(c));
  throw new SessionError("device_missing", { header: deviceHeader });
}

/** As {@link deviceOf}; who comes with nothing is given a cookie with a fresh id. */
export function deviceOrNew(c: RequestContext, sessions: Sessions): string {
  if (c.req.header(deviceHeader) !== undefined || cookieOf(c) !== undefined) return deviceOf(c, sessions);
  const device = crypto.randomUUID();
  setCookie(c, cookieName, sessions.devices.seal(device), {
    httpOnly: true,
    sameSite: "Lax",
    ...attributes(c),
    maxAge: cookieSeconds,
  });
  return device;
}

/** In one way of writing, so that it is counted as one; null where there is none of ours. @throws SessionError `id_invalid` */
export function shownDevice(c: RequestContext, sessions: Sessions): string | null {
  const header = c.req.header(deviceHeader);
  if (header !== undefined) return parseDeviceId(header);
  const cookie = cookieOf(c);
  return cookie === undefined ? null : sessions.devices.unseal(cookie);
}
