import type { Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import type { SharingPointer } from "../core/fork-references.ts";
import { internalChange, liveMetadata } from "../core/internal-record.ts";

/**
 * Whom a device speaks for, where that is not simply itself: a user; another device's session, by a link code; or a
 * session of its own other than its first, after it was unlinked.
 */
export type Pointer =
  | { readonly kind: "user"; readonly user: string }
  | SharingPointer
  | { readonly kind: "own"; readonly session: string };

/** Kept so long after it was last of use; in use, it is prolonged at half of that. */
export const pointerTtlMs: number = 365 * 86_400_000;

/** The place of such a record: beside the tenant's sessions, where no session id leads. */
export function internalKey(tenant: string, id: string): SessionKey {
  return { tenant: internalScope(tenant, "devices"), id };
}

/** A device speaks for whom the pointer says, from here on. */
export function pointerChange(core: Core, key: SessionKey, found: SessionRecord | undefined, pointer: Pointer): Change {
  const user = pointer.kind === "user" ? { user: pointer.user } : {};
  // Found by it where the owner asks who shares the session.
  const shares = pointer.kind === "linked" ? { agent: pointer.session } : {};
  return internalChange(core, key, found, { ...user, ...shares, metadata: { ...pointer }, ttlMs: pointerTtlMs });
}

export function pointerOf(core: Core, record: SessionRecord | undefined): Pointer | undefined {
  return liveMetadata(core, record) as Pointer | undefined;
}
