import { createHmac, timingSafeEqual } from "node:crypto";
import { SessionError } from "../../errors.ts";
import type { Core } from "./core.ts";

/** The purpose of a keyed hash: the same text under another purpose gives another hash. */
type Purpose = "device" | "user" | "code" | "code-secret" | "code-handle" | "cookie" | "erased" | "receipt";

/**
 * The keyed hash of a text, of one tenant and for one purpose. The key is not in the store: a reader of the store cannot find
 * the device of a hash, nor the session of a device.
 * @throws SessionError `secret_missing`
 */
export function keyedHash(core: Core, tenant: string, purpose: Purpose, text: string): Buffer {
  const { secret } = core.options;
  const name = purpose === "erased" || purpose === "receipt" ? "erasures" : "devices";
  if (secret === undefined) throw new SessionError("secret_missing", { name });
  return createHmac("sha256", secret)
    .update(JSON.stringify(["perdure", purpose, tenant, text]))
    .digest();
}

/** A keyed hash as part of an id: 160 bits. */
export function keyedName(core: Core, tenant: string, purpose: Purpose, text: string): string {
  return keyedHash(core, tenant, purpose, text).subarray(0, 20).toString("hex");
}

/** The id of a device in the store. */
export function deviceName(core: Core, tenant: string, device: string): string {
  return `device_${keyedName(core, tenant, "device", device)}`;
}

/** True for the name of a device, which is also the id of its first session. */
export function isDeviceName(name: string): boolean {
  return guestDeviceOf(name) === name;
}

/** The device whose name the id of a guest's session begins with; undefined for other ids. */
export function guestDeviceOf(id: string): string | undefined {
  return /^device_[0-9a-f]{40}/.exec(id)?.[0];
}

/** The name of a user in records that must not contain the user's id. */
export function userName(core: Core, tenant: string, user: string): string {
  return `user_${keyedName(core, tenant, "user", user)}`;
}

/** Compares in constant time. */
export function isSameHash(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
