import { createHmac, timingSafeEqual } from "node:crypto";
import { SessionError } from "../../errors.ts";
import type { Core } from "./core.ts";

/** What a keyed hash is for: the same text under another purpose gives another hash. */
type Purpose = "device" | "user" | "code" | "code-secret" | "code-handle" | "cookie" | "erased" | "receipt";

/**
 * The keyed hash of a text, of one tenant and for one purpose. Without the key, which is not in the store, nobody gets from
 * a hash to the device or from a device to its session.
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

/** As part of an id: 160 bits. */
export function keyedName(core: Core, tenant: string, purpose: Purpose, text: string): string {
  return keyedHash(core, tenant, purpose, text).subarray(0, 20).toString("hex");
}

/** Compare in a time that tells nothing of where they differ. */
export function isSame(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
