import { guestDeviceOf } from "../../domain/values/device.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "./core.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** The purpose of a keyed hash: the same text under another purpose gives another hash. */
type Purpose = "device" | "user" | "code" | "code-secret" | "code-handle" | "cookie" | "erased" | "receipt";

/** The secrets of these sessions, the current one first; none without a secret. */
export function secretsOf(core: Core): readonly string[] {
  const { secret, previousSecrets } = core.options;
  return secret === undefined ? [] : [secret, ...previousSecrets];
}

/** A value by which a store recognises a secret. It reveals nothing of the secret. */
export function checkOf(secret: string): string {
  return nodeCrypto().createHmac("sha256", secret).update('["perdure","check"]').digest("hex");
}

/** A short name of a secret, by its check value. */
export function secretId(check: string): string {
  return check.slice(0, 8);
}

/**
 * The keyed hash of a text, of one tenant and for one purpose. The key is not in the store: a reader of the store cannot find
 * the device of a hash, nor the session of a device.
 * @throws SessionError `secret_missing`
 */
export function keyedHash(core: Core, tenant: string, purpose: Purpose, text: string): Buffer {
  return hashUnder(requiredSecrets(core, purpose)[0], tenant, purpose, text);
}

/** The keyed hashes under each secret, the current one first. @throws SessionError `secret_missing` */
export function keyedHashes(core: Core, tenant: string, purpose: Purpose, text: string): readonly Buffer[] {
  return requiredSecrets(core, purpose).map((secret) => hashUnder(secret, tenant, purpose, text));
}

function requiredSecrets(core: Core, purpose: Purpose): readonly [string, ...string[]] {
  const [secret, ...previous] = secretsOf(core);
  const name = purpose === "erased" || purpose === "receipt" ? "erasures" : "devices";
  if (secret === undefined) throw new SessionError("secret_missing", { name });
  return [secret, ...previous];
}

function hashUnder(secret: string, tenant: string, purpose: Purpose, text: string): Buffer {
  return nodeCrypto()
    .createHmac("sha256", secret)
    .update(JSON.stringify(["perdure", purpose, tenant, text]))
    .digest();
}

/** A keyed hash as part of an id: 160 bits. */
export function keyedName(core: Core, tenant: string, purpose: Purpose, text: string): string {
  return nameOf(keyedHash(core, tenant, purpose, text));
}

/** As {@link keyedName} under each secret, the current one first. */
export function keyedNames(core: Core, tenant: string, purpose: Purpose, text: string): readonly string[] {
  return keyedHashes(core, tenant, purpose, text).map(nameOf);
}

function nameOf(hash: Buffer): string {
  return hash.subarray(0, 20).toString("hex");
}

/** The names that a device may have in the store, that under the current secret first. */
export function deviceNames(core: Core, tenant: string, device: string): readonly string[] {
  return keyedNames(core, tenant, "device", device).map((name) => `device_${name}`);
}

/** True for the name of a device, which is also the id of its first session. */
export function isDeviceName(name: string): boolean {
  return guestDeviceOf(name) === name;
}

/** The names of a user in records that must not contain the user's id, that under the current secret first. */
export function userNames(core: Core, tenant: string, user: string): readonly string[] {
  return keyedNames(core, tenant, "user", user).map((name) => `user_${name}`);
}

/** Compares in constant time. */
export function isSameHash(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && nodeCrypto().timingSafeEqual(one, other);
}
