import { documentText, type DocumentChange, type StoredDocument } from "../../domain/documents/document.ts";
import { firstVersion } from "../../domain/record/change.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { DocumentConflict } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import type { ParsedDocumentWrite } from "./document-write.ts";

/**
 * Writes of documents that are committed together, over several attempts. A new version comes from the clock; if the store
 * has a greater one of the document, the next attempt exceeds that.
 */
export class DocumentBatch {
  readonly #core: Core;
  readonly #writes: readonly ParsedDocumentWrite[];
  /** The greatest version of each document that the store has returned. */
  readonly #stored = new Map<string, number>();
  /** The time of expiry of documents without a `ttl`. */
  readonly #expiresAt: null | "kept";
  #changes: readonly DocumentChange[] = [];

  /** `lastVersion`: a version of the documents that is known to be stored. */
  constructor(
    core: Core,
    writes: readonly ParsedDocumentWrite[],
    { expiresAt = null, lastVersion = 0 }: { readonly expiresAt?: null | "kept"; readonly lastVersion?: number } = {},
  ) {
    this.#core = core;
    this.#writes = writes;
    this.#expiresAt = expiresAt;
    for (const { document } of writes) this.#stored.set(documentText(document), lastVersion);
  }

  /** The changes of the next attempt. The store's time must be known. */
  changes(): readonly DocumentChange[] {
    this.#changes = this.#writes.map((write) => this.#changeOf(write));
    return this.#changes;
  }

  #changeOf({ document, expected, put }: ParsedDocumentWrite): DocumentChange {
    const now = this.#core.now();
    const made = Math.max(firstVersion(this.#core.context()), this.#core.lastDocumentVersion + 1);
    const version = Math.max(made, (this.#stored.get(documentText(document)) ?? 0) + 1);
    this.#core.lastDocumentVersion = made;
    const change = defined({ document, expected, version, updatedAt: now });
    if (put === undefined) return { kind: "remove", ...change };
    const { data, ttlMs, user } = put;
    const expiresAt = ttlMs === null ? this.#expiresAt : now + ttlMs;
    return { kind: "put", ...change, user, createdAt: now, expiresAt, data };
  }

  /** The versions of the last attempt, in the order of the writes; null for a deletion. */
  versions(): readonly (number | null)[] {
    return this.#changes.map((change) => (change.kind === "put" ? change.version : null));
  }

  /**
   * Prepare the next attempt after a conflict of a document of this batch.
   * @throws SessionError `document_conflict` if the stored document is not the expected one
   */
  met({ key, current, lastVersion }: DocumentConflict): void {
    const text = documentText(key);
    const write = this.#writes.find(({ document }) => documentText(document) === text);
    if (write === undefined) return;
    this.#stored.set(text, lastVersion);
    const { expected } = write;
    if (!isExpected(expected, current)) throw documentConflict(write, current?.version);
  }
}

/** True if a write with this expectation fits the stored document, whose version may be too great for it. */
function isExpected(expected: ParsedDocumentWrite["expected"], current: StoredDocument | undefined): boolean {
  if (expected === undefined) return true;
  if (typeof expected === "number") return current?.version === expected;
  return (expected === "present") === (current !== undefined);
}

export function documentConflict(
  { document: { scope, key }, expected }: ParsedDocumentWrite,
  storedVersion: number | undefined,
): SessionError<"document_conflict"> {
  const expectedVersion = typeof expected === "number" ? expected : undefined;
  return new SessionError("document_conflict", defined({ scope, key, expectedVersion, storedVersion }));
}
