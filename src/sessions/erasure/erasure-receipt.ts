/** The signed receipt of an erasure: what was erased, when and where, without the user's name. */
import { isSameHash, keyedHashes } from "../core/keyed-hash.ts";
import type { Core } from "../core/core.ts";
import type { SharedForks } from "./shared-forks.ts";
import { hashedText, subjectsOf, type Erased } from "./subject.ts";

/** How much of each kind was erased. */
export interface ErasedCounts {
  readonly sessions: number;
  /** Of these sessions, those that were forks, and those that were archived. */
  readonly forks: number;
  readonly archives: number;
  readonly turns: number;
  readonly events: number;
  /** Devices that spoke for the user, and unused codes by which other devices could join. */
  readonly devices: number;
  readonly codes: number;
  /** Sessions in this machine's outbox. */
  readonly outbox: number;
}

/** The receipt of an erasure, a JSON document. */
export interface ErasureReceipt {
  readonly format: "perdure.erasure/1";
  readonly tenant: string;
  /** A keyed hash of the user: the secret and the user's name verify it. */
  readonly subject: string;
  /** The name of the store, from the request; null without one. */
  readonly store: string | null;
  /** ISO 8601, by the store's clock. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly erased: ErasedCounts;
  /** Sessions that stay, because they are under legal hold. */
  readonly held: number;
  /** Sessions of other users, or under legal hold, that still hold words of the user: forks, copies, or sessions that were the user's. */
  readonly sharedForks: SharedForks;
  /** The store's files were rewritten: deleted text cannot be read from them. */
  readonly scrubbed: boolean;
  /** A SHA-256 over the deleted records: kind, id and version of each, chained. */
  readonly hash: string;
  /** An HMAC-SHA256 of all this under the secret of `openSessions`. */
  readonly signature: string;
}

export type Unsigned = Omit<ErasureReceipt, "signature" | "format">;

/** @throws SessionError `secret_missing` */
export function signReceipt(core: Core, unsigned: Unsigned): ErasureReceipt {
  return {
    format: "perdure.erasure/1",
    ...unsigned,
    signature: (signaturesOf(core, unsigned)[0] ?? Buffer.of()).toString("base64url"),
  };
}

/** True for a receipt that {@link signReceipt} made, and, where a user or a guest is named, for that one. */
export function isReceipt(core: Core, receipt: ErasureReceipt, erased: Erased | undefined): boolean {
  if (!isForm(receipt)) return false;
  const isTheirs =
    erased === undefined || subjectsOf(core, receipt.tenant, hashedText(erased)).includes(receipt.subject);
  const signature = Buffer.from(receipt.signature, "base64url");
  return isTheirs && signaturesOf(core, receipt).some((own) => isSameHash(signature, own));
}

/** The fields of a receipt: the signature covers all of them, and nothing else passes beside them. */
const fields = {
  receipt: [
    "format",
    "tenant",
    "subject",
    "store",
    "startedAt",
    "finishedAt",
    "erased",
    "held",
    "sharedForks",
    "scrubbed",
    "hash",
    "signature",
  ],
  erased: ["sessions", "forks", "archives", "turns", "events", "devices", "codes", "outbox"],
  sharedForks: ["count", "held", "ids"],
} as const;

/** The caller may pass any value as a receipt. */
function isForm(shown: unknown): boolean {
  if (!hasExactly(shown, fields.receipt)) return false;
  const { format, tenant, erased, sharedForks, signature } = shown;
  const hasTexts = typeof tenant === "string" && typeof signature === "string";
  const hasParts = hasExactly(erased, fields.erased) && hasExactly(sharedForks, fields.sharedForks);
  return format === "perdure.erasure/1" && hasTexts && hasParts;
}

function hasExactly(value: unknown, names: readonly string[]): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const own = Object.keys(value);
  return own.length === names.length && names.every((name) => Object.hasOwn(value, name));
}

/**
 * The signatures under each secret, the current one first. They cover the values in a fixed order: JSON tools may reorder the
 * fields of a receipt.
 */
function signaturesOf(core: Core, receipt: Unsigned): readonly Buffer[] {
  const { tenant, subject, store, startedAt, finishedAt, erased, held, sharedForks, scrubbed, hash } = receipt;
  const { sessions, forks, archives, turns, events, devices, codes, outbox } = erased;
  const counts = [sessions, forks, archives, turns, events, devices, codes, outbox];
  const forked = [sharedForks.count, sharedForks.held, sharedForks.ids];
  const values = [subject, store, startedAt, finishedAt, counts, held, forked, scrubbed, hash];
  return keyedHashes(core, tenant, "receipt", JSON.stringify(values));
}
