/** Documents on the wire: as in the library, with instants as ISO 8601. */
import { defined } from "../domain/values/defined.ts";
import type { Document, DocumentPage } from "../index.ts";

/** A document. */
export interface WireDocument extends Omit<Document, "createdAt" | "updatedAt" | "expiresAt"> {
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly expiresAt: string | null;
}

/** A page of documents. */
export interface WireDocumentPage {
  readonly items: readonly WireDocument[];
  readonly unreadable?: readonly { readonly key: string }[];
  readonly next?: string;
}

export function wireDocument({ createdAt, updatedAt, expiresAt, ...document }: Document): WireDocument {
  return {
    ...document,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
  };
}

export function documentOfWire({ createdAt, updatedAt, expiresAt, ...document }: WireDocument): Document {
  return {
    ...document,
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
  };
}

export function documentPageOfWire({ items, next, unreadable }: WireDocumentPage): DocumentPage {
  return defined({ items: items.map(documentOfWire), next, unreadable: unreadable?.map(({ key }) => key) });
}

export function wireVersion(version: number): string {
  return `"${version}"`;
}

/** The version of an ETag; null for an invalid tag. A proxy may have made it weak. */
export function parseVersion(tag: string): number | null {
  const digits = /^(?:W\/)?"([1-9]\d{0,15})"$/.exec(tag.trim())?.[1];
  return digits === undefined ? null : Number(digits);
}
