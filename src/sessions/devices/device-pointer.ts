import type { Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import type { SharingPointer } from "../core/fork-references.ts";
import { internalChange, liveMetadata } from "../core/internal-record.ts";

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

/** The change that writes a pointer. */
export function pointerChange(core: Core, key: SessionKey, found: SessionRecord | undefined, pointer: Pointer): Change {
  const user = pointer.kind === "user" ? { user: pointer.user } : {};
  // The owner of the session lists the devices that share it by this field.
  const shares = pointer.kind === "linked" ? { agent: pointer.session } : {};
  return internalChange(core, key, found, { ...user, ...shares, metadata: { ...pointer }, ttlMs: pointerTtlMs });
}

export function pointerOf(core: Core, record: SessionRecord | undefined): Pointer | undefined {
  return liveMetadata(core, record) as Pointer | undefined;
}
