import {
  documentAfter,
  documentFits,
  documentText,
  isLive,
  type DocumentChange,
  type DocumentKey,
  type StoredDocument,
} from "../../domain/documents/document.ts";
import type { Position } from "../cursor.ts";
import { documentConflict, documentKeyOf } from "../documents.ts";
import { OrderedRows, comparePositions } from "../ordered-rows.ts";
import type { DeletedDocuments, DocumentConflict, DocumentQuery, DocumentRange, FoundDocuments } from "../store.ts";
import { entryBytes, pageOf } from "../within-bytes.ts";

/** The documents of a store in memory, removed ones included until they are deleted. */
export class MemoryDocuments {
  readonly #rows = new Map<string, StoredDocument>();
  readonly #ordered = new OrderedRows<StoredDocument>();

  /** The outcome of a change that does not fit; undefined for one that fits. */
  conflict(change: DocumentChange, now: number): DocumentConflict | undefined {
    const row = this.#rows.get(documentText(change.document));
    return documentFits(change, row, now) ? undefined : documentConflict(change.document, row, now);
  }

  /** Applies a change that fits. */
  apply(change: DocumentChange, now: number): void {
    const text = documentText(change.document);
    const row = this.#rows.get(text);
    const after = documentAfter(change, row, now);
    if (after === undefined) return;
    this.#rows.set(text, after);
    const position = positionOf(after);
    if (row === undefined) this.#ordered.add(position, after);
    else this.#ordered.replace(position, after);
  }

  find(query: DocumentQuery, now: number): FoundDocuments {
    if ("keys" in query) {
      const keys = new Set(query.keys.map(documentText));
      const found = [...keys].map((key) => this.#rows.get(key)).filter((row) => row !== undefined);
      const documents = found.filter((row) => isLive(row, now));
      return {
        documents: documents.sort((a, b) => comparePositions(positionOf(a), positionOf(b))),
        next: undefined,
      };
    }
    const { page, hasMore } = pageOf(this.#within(query, now), entryBytes, query);
    const last = hasMore ? page.at(-1) : undefined;
    return { documents: page, next: last && documentKeyOf(last) };
  }

  count(range: DocumentRange, now: number): number {
    return [...this.#within(range, now)].length;
  }

  /** The documents of a range in order. */
  *#within(
    range: DocumentRange & { readonly after?: DocumentKey },
    now: number,
  ): Generator<StoredDocument, void, undefined> {
    const { tenant, scope, from, to, user } = range;
    const beginning = [tenant, scope, from].filter((part) => part !== undefined);
    const after = range.after && positionOf(range.after);
    const begins = after !== undefined && comparePositions(after, beginning) > 0 ? after : beginning;
    for (const row of this.#from(begins)) {
      if (row === undefined || (begins === after && comparePositions(positionOf(row), begins) === 0)) continue;
      if ((tenant !== undefined && row.tenant !== tenant) || (scope !== undefined && row.scope !== scope)) return;
      if (to !== undefined && comparePositions([row.key], [to]) >= 0) return;
      if (isLive(row, now) && (user === undefined || row.user === user)) yield row;
    }
  }

  /** The row at this position, if there is one, and all rows after it. */
  *#from(position: Position): Generator<StoredDocument | undefined, void, undefined> {
    yield this.#rows.get(position.join("\u0000"));
    for (const { row } of this.#ordered.following(position)) yield row;
  }

  /** Deletes documents, which leave nothing behind, and returns them. */
  delete(selection: DeletedDocuments): readonly StoredDocument[] {
    const isPast = ({ expiresAt, updatedAt }: StoredDocument, before: number): boolean =>
      expiresAt !== null && expiresAt < before && updatedAt < before;
    const { tenant } = selection;
    const isSelected = (row: StoredDocument): boolean =>
      (tenant === undefined || row.tenant === tenant) &&
      ("user" in selection ? row.user === selection.user : isPast(row, selection.before));
    const rows = [...this.#rows.values()].filter(isSelected).slice(0, selection.limit);
    for (const row of rows) {
      this.#rows.delete(documentText(row));
      this.#ordered.remove(positionOf(row));
    }
    return rows;
  }

  clear(): void {
    this.#rows.clear();
    this.#ordered.clear();
  }
}

function positionOf({ tenant, scope, key }: DocumentKey): Position {
  return [tenant, scope, key];
}
