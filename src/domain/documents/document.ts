/** Documents: small values under a tenant, a scope and a key, beside the sessions. */

/** The key of a document. The tenant leads every key and every predicate. */
export interface DocumentKey {
  readonly tenant: string;
  readonly scope: string;
  readonly key: string;
}

/** A document as a store keeps it. */
export interface StoredDocument extends DocumentKey {
  readonly version: number;
  /** The user whose erasure removes the document; null for none. */
  readonly user: string | null;
  /** Epoch ms, as all times here. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** From this time on no read finds the document; null: never. */
  readonly expiresAt: number | null;
  /** Text made by the codec. */
  readonly data: string;
}

/**
 * One atomic write of one document.
 * - `put` replaces the document, or creates it with its `createdAt`.
 * - `remove` removes it. The store keeps the version for a minute, without data.
 * - `touch` sets the time of expiry and leaves the version as it is.
 */
export type DocumentChange = DocumentPut | DocumentRemoval | DocumentTouch;

interface OfDocument {
  readonly document: DocumentKey;
  /** The version of the stored document, or whether there must be one. An expired document counts as absent. @default any */
  readonly expected?: number | "absent" | "present";
}

/** Replaces a document, or creates it. */
export interface DocumentPut extends OfDocument {
  readonly kind: "put";
  /** Greater than every earlier version of the key. */
  readonly version: number;
  readonly user: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** `"kept"`: the time of expiry that the stored document has at the commit; null if there is none. */
  readonly expiresAt: number | null | "kept";
  readonly data: string;
}

/** Removes a document. */
export interface DocumentRemoval extends OfDocument {
  readonly kind: "remove";
  /** Greater than every earlier version of the key. */
  readonly version: number;
  readonly updatedAt: number;
}

/** Sets the time at which a stored document expires. */
export interface DocumentTouch extends OfDocument {
  readonly kind: "touch";
  readonly expected: "present";
  readonly expiresAt: number;
}

/**
 * A removed or expired document stays in the store for this time, so that its key does not get the same version again
 * when the clock is set back. After it, a version made by the clock is greater.
 */
export const versionKeptMs = 60_000;

/** The `expiresAt` of a removed document: it has expired, whatever the clock says. */
const removed = 0;

/** True for the row that a removed document leaves. */
export function isRemoved({ expiresAt }: Pick<StoredDocument, "expiresAt">): boolean {
  return expiresAt === removed;
}

/** True if a read finds the document at this time. */
export function isLive({ expiresAt }: Pick<StoredDocument, "expiresAt">, now: number): boolean {
  return expiresAt === null || expiresAt > now;
}

/** True if the change fits the stored row of its key, which may be expired or removed. */
export function documentFits(
  change: DocumentChange,
  row: Pick<StoredDocument, "version" | "expiresAt"> | undefined,
  now: number,
): boolean {
  const live = row !== undefined && isLive(row, now) ? row : undefined;
  const { expected } = change;
  if (expected === "absent" && live !== undefined) return false;
  if (expected === "present" && live === undefined) return false;
  if (typeof expected === "number" && live?.version !== expected) return false;
  return change.kind === "touch" || change.version > (row?.version ?? 0);
}

/** The row after a change that fits; undefined if there is none before and none after. */
export function documentAfter(
  change: DocumentChange,
  row: StoredDocument | undefined,
  now: number,
): StoredDocument | undefined {
  const { document } = change;
  switch (change.kind) {
    case "put": {
      const { version, user, updatedAt, data } = change;
      const live = row !== undefined && isLive(row, now) ? row : undefined;
      const createdAt = live?.createdAt ?? change.createdAt;
      const expiresAt = change.expiresAt === "kept" ? (live?.expiresAt ?? null) : change.expiresAt;
      return { ...document, version, user, createdAt, updatedAt, expiresAt, data };
    }
    case "remove":
      return (
        row && {
          ...row,
          version: change.version,
          user: null,
          updatedAt: change.updatedAt,
          expiresAt: removed,
          data: "",
        }
      );
    case "touch":
      return row && { ...row, expiresAt: change.expiresAt };
  }
}

/** A document's key as one text, to index maps by; no part can contain the separator. */
export function documentText({ tenant, scope, key }: DocumentKey): string {
  return `${tenant}\u0000${scope}\u0000${key}`;
}
