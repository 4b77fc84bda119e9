/** Documents in the results of every store. */
import { isLive, type DocumentKey, type StoredDocument } from "../domain/documents/document.ts";
import type { DocumentConflict } from "./store.ts";

/** The outcome of a change that does not fit the stored row. */
export function documentConflict(key: DocumentKey, row: StoredDocument | undefined, now: number): DocumentConflict {
  const current = row !== undefined && isLive(row, now) ? row : undefined;
  return { status: "document_conflict", key, current, lastVersion: row?.version ?? 0 };
}

export function documentKeyOf({ tenant, scope, key }: DocumentKey): DocumentKey {
  return { tenant, scope, key };
}
