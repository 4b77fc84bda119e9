/** The options of documents, as the library and its client over HTTP take them. */
import type { Duration } from "../values/duration.ts";
import type { OptionNames } from "../values/option-names.ts";
import type { PageQuery } from "../values/pages.ts";

/** The condition of a write: the document is stored with this version, or does not exist. */
export type IfVersion = number | "absent";

/** Options of a put. */
export interface PutOptions {
  /** The version that must be stored, or `"absent"`. @default any */
  readonly if?: IfVersion;
  /** The document expires after this time. @default never */
  readonly ttl?: Duration;
  /** The user whose erasure removes the document. @default none */
  readonly user?: string;
}

/** Which documents of a scope. */
export interface DocumentSelection {
  /** The keys begin with this. @default all */
  readonly prefix?: string;
}

/** The documents to list, and the page of them. */
export interface DocumentListQuery extends DocumentSelection, PageQuery {
  /** The page begins behind this key: the `next` of the page before. */
  readonly after?: string;
}

export const selectionNames: OptionNames<DocumentSelection> = { prefix: true };
export const listNames: OptionNames<DocumentListQuery> = { prefix: true, after: true, limit: true };
export const putNames: OptionNames<PutOptions> = { if: true, ttl: true, user: true };
export const updateNames: OptionNames<Pick<PutOptions, "if" | "ttl">> = { if: true, ttl: true };
export const deleteNames: OptionNames<{ if: number }> = { if: true };

/** Attempts of one write or update, while other writers change the same documents. */
export const attemptsMax = 100;
