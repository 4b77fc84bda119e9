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
  /** Documents that named the user. Receipts of earlier builds do not count them. */
  readonly documents?: number;
  /** Attachments of these sessions. Receipts of earlier builds do not count them. */
  readonly attachments?: number;
  /** Sessions in this machine's outbox. */
  readonly outbox: number;
}

/** The receipt of an erasure, a JSON document. */
export interface ErasureReceipt {
  readonly format: "perdure.erasure/2";
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
  readonly legalHold: number;
  /** Sessions of other users, or under legal hold, that still hold words of the user: forks, copies, or sessions that were the user's. */
  readonly sharedForks: SharedForks;
  /** The store's files were rewritten: deleted text cannot be read from them. */
  readonly scrubbed: boolean;
  /** A SHA-256 over the deleted records: kind, id and version of each, chained. */
  readonly hash: string;
  /** An HMAC-SHA256 of all this under the secret of `openSessions`. */
  readonly signature: string;
}

/** A receipt of an earlier version: the same with other names, which the signature does not cover. */
export interface ErasureReceiptFormat1 extends Omit<ErasureReceipt, "format" | "legalHold" | "sharedForks"> {
  readonly format: "perdure.erasure/1";
  /** `legalHold` of format 2. */
  readonly held: number;
  /** With `held` for `legalHold`. */
  readonly sharedForks: Omit<SharedForks, "legalHold"> & { readonly held: number };
}

/** The receipt in the current format. */
export function currentReceipt(receipt: ErasureReceipt | ErasureReceiptFormat1): ErasureReceipt {
  if (receipt.format !== "perdure.erasure/1") return receipt;
  const { format: _, held: legalHold, sharedForks, scrubbed, hash, signature, ...rest } = receipt;
  const { count, held, ids } = sharedForks;
  const forks = { count, legalHold: held, ids };
  return { format: "perdure.erasure/2", ...rest, legalHold, sharedForks: forks, scrubbed, hash, signature };
}

export type Unsigned = Omit<ErasureReceipt, "signature" | "format">;

/** @throws SessionError `secret_missing` */
export function signReceipt(core: Core, unsigned: Unsigned): ErasureReceipt {
  return {
    format: "perdure.erasure/2",
    ...unsigned,
    signature: (signaturesOf(core, unsigned)[0] ?? Buffer.of()).toString("base64url"),
  };
}

/** True for a receipt that {@link signReceipt} made, and, where a user or a guest is named, for that one. */
export function isReceipt(
  core: Core,
  given: ErasureReceipt | ErasureReceiptFormat1,
  erased: Erased | undefined,
): boolean {
  if (!isForm(given)) return false;
  const receipt = currentReceipt(given);
  const isTheirs =
    erased === undefined || subjectsOf(core, receipt.tenant, hashedText(core, erased)).includes(receipt.subject);
  const signature = Buffer.from(receipt.signature, "base64url");
  return isTheirs && signaturesOf(core, receipt).some((own) => isSameHash(signature, own));
}

/** The fields of a receipt: the signature covers all of them, and nothing else passes beside them. */
const fieldsWith = (
  legalHold: string,
): Readonly<Record<"receipt" | "erased" | "erasedOptional" | "sharedForks", readonly string[]>> => ({
  receipt: [
    "format",
    "tenant",
    "subject",
    "store",
    "startedAt",
    "finishedAt",
    "erased",
    legalHold,
    "sharedForks",
    "scrubbed",
    "hash",
    "signature",
  ],
  erased: ["sessions", "forks", "archives", "turns", "events", "devices", "codes", "outbox"],
  erasedOptional: ["documents", "attachments"],
  sharedForks: ["count", legalHold, "ids"],
});
const fields = new Map<unknown, ReturnType<typeof fieldsWith>>([
  ["perdure.erasure/1", fieldsWith("held")],
  ["perdure.erasure/2", fieldsWith("legalHold")],
]);

/** The caller may pass any value as a receipt. */
function isForm(shown: unknown): boolean {
  const names = fields.get(Object(shown)["format"]);
  if (names === undefined || !hasExactly(shown, names.receipt)) return false;
  const { tenant, erased, sharedForks, signature } = shown;
  const hasTexts = typeof tenant === "string" && typeof signature === "string";
  const hasParts = hasExactly(erased, names.erased, names.erasedOptional) && hasExactly(sharedForks, names.sharedForks);
  return hasTexts && hasParts;
}

function hasExactly(
  value: unknown,
  names: readonly string[],
  optional: readonly string[] = [],
): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const own = Object.keys(value).filter((name) => !optional.includes(name));
  return own.length === names.length && names.every((name) => Object.hasOwn(value, name));
}

/**
 * The signatures under each secret, the current one first. They cover the values in a fixed order: JSON tools may reorder the
 * fields of a receipt.
 */
function signaturesOf(core: Core, receipt: Unsigned): readonly Buffer[] {
  const { tenant, subject, store, startedAt, finishedAt, erased, legalHold, sharedForks, scrubbed, hash } = receipt;
  const { sessions, forks, archives, turns, events, devices, codes, outbox, documents, attachments } = erased;
  const counts = [sessions, forks, archives, turns, events, devices, codes, outbox];
  if (documents !== undefined) counts.push(documents);
  if (attachments !== undefined) counts.push(attachments);
  const forked = [sharedForks.count, sharedForks.legalHold, sharedForks.ids];
  const values = [subject, store, startedAt, finishedAt, counts, legalHold, forked, scrubbed, hash];
  return keyedHashes(core, tenant, "receipt", JSON.stringify(values));
}
