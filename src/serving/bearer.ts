/** Bearer tokens of requests: the key of a token, and its right. */
import { hasCode, SessionError } from "../errors.ts";
import type { KeyRight } from "../index.ts";
import type { AdmittedKey, KeyRing } from "./configured-keys.ts";

const ranks: Readonly<Record<KeyRight, number>> = { read: 1, write: 2, admin: 3 };

/** The token of an `Authorization` header; undefined for one of another form. */
export function bearerToken(header: string | null | undefined): string | undefined {
  return /^Bearer +(\S{1,200})$/i.exec(header ?? "")?.[1];
}

/**
 * The key of a token.
 * @throws SessionError `key_missing`, the same for a missing, an unknown and a revoked key; `key_expired`
 */
export async function verified(token: string | undefined, keys: KeyRing): Promise<AdmittedKey> {
  const key = token === undefined ? null : await keys.verify(token);
  if (key !== null) return key;
  throw new SessionError("key_missing", { scheme: "Bearer" });
}

/** Makes a check that turns false once the key of the token is revoked or has expired; while the store is unavailable, it stays valid. */
export function holdsToken(token: string | undefined, keys: KeyRing): () => Promise<boolean> {
  return async () => {
    try {
      await verified(token, keys);
      return true;
    } catch (error) {
      return !hasCode(error, "key_missing") && !hasCode(error, "key_expired");
    }
  };
}

/** @throws SessionError `key_forbidden` */
export function guardRight({ right }: Pick<AdmittedKey, "right">, needed: KeyRight): void {
  if (ranks[right] >= ranks[needed]) return;
  throw new SessionError("key_forbidden", { right, needed });
}
