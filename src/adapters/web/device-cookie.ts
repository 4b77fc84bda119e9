/** The cookie of a device: its id, sealed by the server. It is the one that `perdure/server` gives, so both know a browser as one device. */
import type { Devices } from "../../index.ts";

/** The longest lifetime of a cookie in browsers (RFC 6265bis): 400 days. */
const cookieSeconds = 400 * 86_400;
/** A sealed id is shorter; a longer value is none. */
const sealedMax = 200;

/** The name of the cookie. `__Host-`: no other host of the domain can set it and lead a user into a foreign session. */
export function cookieName(isSecure: boolean): string {
  return isSecure ? "__Host-perdure_device" : "perdure_device";
}

/** The values of the cookies with this name in the header `Cookie`, in their order. */
export function cookiesNamed(name: string, header: string | null | undefined): readonly string[] {
  return (header ?? "").split(";").flatMap((pair) => {
    const end = pair.indexOf("=");
    return end > 0 && pair.slice(0, end).trim() === name ? [pair.slice(end + 1).trim()] : [];
  });
}

/** The device whose sealed id is among the values, and that value; null if none is sealed by this server. */
export function deviceAmong(
  devices: Devices,
  values: readonly string[],
): { readonly device: string; readonly value: string } | null {
  for (const value of values) {
    const device = value.length > sealedMax ? null : devices.unseal(value);
    if (device !== null) return { device, value };
  }
  return null;
}

/** The attributes of the cookie, as the cookie stores of frameworks take them. */
export interface CookieAttributes {
  readonly httpOnly: true;
  readonly secure: boolean;
  readonly sameSite: "lax";
  readonly path: "/";
  /** Seconds. */
  readonly maxAge: number;
}

export function cookieAttributes(isSecure: boolean): CookieAttributes {
  return { httpOnly: true, secure: isSecure, sameSite: "lax", path: "/", maxAge: cookieSeconds };
}

/** The value of a header `Set-Cookie`. */
export function setCookie(sealed: string, isSecure: boolean): string {
  const secure = isSecure ? "; Secure" : "";
  return `${cookieName(isSecure)}=${sealed}; Max-Age=${cookieSeconds}; Path=/; HttpOnly${secure}; SameSite=Lax`;
}
