import type { Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import type { SharingPointer } from "../marks/sharing-devices.ts";
import { defined } from "../../domain/values/defined.ts";
import { internalChange, liveMetadata } from "../core/internal-record.ts";
import { checkOf, isDeviceName, secretId, secretsOf } from "../core/keyed-hash.ts";

/**
 * The destination of a device that does not have its first session: a user; the session of another device, by a link code; or
 * another session of its own, after it was unlinked.
 */
export type Pointer =
  | { readonly kind: "user"; readonly user: string }
  | SharingPointer
  | { readonly kind: "own"; readonly session: string };

/** Life of a pointer after its last use. A pointer in use is prolonged at half of it. */
export const pointerTtlMs: number = 365 * 86_400_000;

/** The key of a pointer: in an internal scope, which no session id can name. */
export function internalKey(tenant: string, id: string): SessionKey {
  return { tenant: internalScope(tenant, "devices"), id };
}

/** True for the scope of the pointers of a tenant. */
export function isDevicesScope(scope: string): boolean {
  return scope.endsWith(internalScope("", "devices"));
}

/** The change that writes a pointer. The pointer has the id of the secret under which its name was made. */
export function pointerChange(core: Core, key: SessionKey, found: SessionRecord | undefined, pointer: Pointer): Change {
  const user = pointer.kind === "user" ? { user: pointer.user } : {};
  // The owner of the session lists the devices that share it by this field.
  const shares = pointer.kind === "linked" ? { agent: pointer.session } : {};
  const secret = found === undefined ? currentSecretId(core) : found.metadata["secret"];
  const metadata = { ...pointer, ...defined({ secret }) };
  return internalChange(core, key, found, { ...user, ...shares, metadata, ttlMs: pointerTtlMs });
}

/** The pointer in a record; undefined for an expired one, and for the new name of a device. */
export function pointerOf(core: Core, record: SessionRecord | undefined): Pointer | undefined {
  return renamedTo(record) === undefined ? (liveMetadata(core, record) as Pointer | undefined) : undefined;
}

/** True for the pointer of a device; false for that of a user, and for the new name of a device. */
export function isDevicePointer(record: SessionRecord): boolean {
  return isDeviceName(record.id) && renamedTo(record) === undefined;
}

/** The name to which a record under a newer secret leads; undefined for a pointer. */
export function renamedTo(record: SessionRecord | undefined): string | undefined {
  const { kind, name } = record?.metadata ?? {};
  return kind === "renamed" && typeof name === "string" ? name : undefined;
}

/** The id of the secret under which a device or a user of this pointer is known; undefined: the first one of the store. */
export function secretOfPointer({ metadata }: SessionRecord): string | undefined {
  const { secret } = metadata;
  return typeof secret === "string" ? secret : undefined;
}

/** The id of the current secret; undefined without a secret. */
export function currentSecretId(core: Core): string | undefined {
  const [secret] = secretsOf(core);
  return secret === undefined ? undefined : secretId(checkOf(secret));
}
