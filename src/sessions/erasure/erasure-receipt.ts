/** What an erasure leaves behind: what was erased, when and where, signed, and without a word of whom it was about. */
import { keyedHash, isSameHash } from "../core/keyed-hash.ts";
import type { Core } from "../core/core.ts";
import type { SharedForks } from "./shared-forks.ts";
import { subjectOf } from "./subject.ts";

/** How much of each kind was erased. */
export interface ErasedCounts {
  readonly sessions: number;
  /** Of these sessions, those that were forks, and those that were archived. */
  readonly forks: number;
  readonly archives: number;
  readonly turns: number;
  readonly events: number;
  /** Devices that spoke for the user, and codes by which others were to join them. */
  readonly devices: number;
  readonly codes: number;
  /** Sessions that waited, on this machine, for the store to be told of them. */
  readonly outbox: number;
}

/** The receipt of an erasure, a JSON document. */
export interface ErasureReceipt {
  readonly format: "perdure.erasure/1";
  readonly tenant: string;
  /** A keyed hash of the user: who has the secret and the user's name can tell that they belong together. */
  readonly subject: string;
  /** How the store was called by who asked; null: not at all. */
  readonly store: string | null;
  /** ISO 8601, by the store's clock. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly erased: ErasedCounts;
  /** Sessions that were left, because they are under hold. */
  readonly held: number;
  /** Sessions of others, or under hold, that still hold something the user said: they were forked from it, or were the user's. */
  readonly sharedForks: SharedForks;
  /** The store's files were written anew, so that what was erased cannot be read from them. */
  readonly scrubbed: boolean;
  /** A SHA-256 over what was erased, record by record: kind, id and version, each with the hash before it. */
  readonly hash: string;
  /** An HMAC-SHA256 of all this under the secret of `openSessions`. */
  readonly signature: string;
}

export type Unsigned = Omit<ErasureReceipt, "signature" | "format">;

/** @throws SessionError `secret_missing` */
export function signReceipt(core: Core, unsigned: Unsigned): ErasureReceipt {
  return { format: "perdure.erasure/1", ...unsigned, signature: signatureOf(core, unsigned).toString("base64url") };
}

/** True for a receipt as {@link signReceipt} made it, and, where a user is named, of that user. */
export function isReceipt(core: Core, receipt: ErasureReceipt, user: string | undefined): boolean {
  if (!isForm(receipt)) return false;
  const isTheirs = user === undefined || receipt.subject === subjectOf(core, receipt.tenant, user);
  return isTheirs && isSameHash(Buffer.from(receipt.signature, "base64url"), signatureOf(core, receipt));
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

/** Of the values in an order of our own: a receipt may have been written anew by somebody's JSON. */
function signatureOf(core: Core, receipt: Unsigned): Buffer {
  const { tenant, subject, store, startedAt, finishedAt, erased, held, sharedForks, scrubbed, hash } = receipt;
  const { sessions, forks, archives, turns, events, devices, codes, outbox } = erased;
  const counts = [sessions, forks, archives, turns, events, devices, codes, outbox];
  const forked = [sharedForks.count, sharedForks.held, sharedForks.ids];
  const values = [subject, store, startedAt, finishedAt, counts, held, forked, scrubbed, hash];
  return keyedHash(core, tenant, "receipt", JSON.stringify(values));
}
