/** Writes of documents as plain data, and their parser: everything that a write can be refused for without the store. */
import type { DocumentKey } from "../../domain/documents/document.ts";
import { putNames, type IfVersion, type PutOptions } from "../../domain/documents/document-options.ts";
import { encode, type Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseDuration } from "../../domain/values/duration.ts";
import { parseNewId, parseId } from "../../domain/values/ids.ts";
import { invalidArgument, parseArray } from "../../domain/values/invalid-argument.ts";
import type { Limits } from "../../domain/values/limits.ts";
import { SessionError } from "../../errors.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { parseOneOf, parseWholeNumber } from "../options/arguments.ts";

/** The document and its new value, which replaces the whole document. */
export interface DocumentPutWrite extends PutOptions {
  readonly key: string;
  readonly value: Value;
}

/** The document to delete. */
export interface DocumentDeletion {
  readonly key: string;
  readonly delete: true;
  /** The version that must be stored. @default any, also none */
  readonly if?: number;
}

/** A put or a deletion. */
export type DocumentWrite = DocumentPutWrite | DocumentDeletion;

/** A write of a document in any scope. */
export type ScopedDocumentWrite = DocumentWrite & { readonly scope: string };

/** A write that is valid. */
export interface ParsedDocumentWrite {
  readonly document: DocumentKey;
  readonly expected?: number | "absent" | "present";
  /** Undefined: a deletion. */
  readonly put?: { readonly data: string; readonly ttlMs: number | null; readonly user: string | null };
}

const putWriteNames: OptionNames<DocumentPutWrite & { scope: string }> = {
  scope: true,
  key: true,
  value: true,
  ...putNames,
};
const deletionNames: OptionNames<DocumentDeletion & { scope: string }> = {
  scope: true,
  key: true,
  delete: true,
  if: true,
};

/**
 * @throws SessionError `argument_invalid`, `id_invalid`, `duration_invalid`, `value_unstorable`, `document_too_large`
 */
export function parseDocumentWrites(
  tenant: string,
  writes: readonly ScopedDocumentWrite[],
  limits: Limits,
): readonly ParsedDocumentWrite[] {
  const many = parseArray(writes, "documents");
  if (many.length > limits.documentsMax)
    throw new SessionError("argument_invalid", {
      name: "documents",
      length: many.length,
      expected: "list",
      max: limits.documentsMax,
    });
  // Unlike map, from visits the holes of a sparse array.
  const parsed = Array.from(many, (write, index) =>
    parseDocumentWrite(tenant, write, { limits, path: `documents[${index}]` }),
  );
  const names = parsed.map(({ document: { scope, key } }) => JSON.stringify([scope, key]));
  const twice = names.findIndex((name, index) => names.indexOf(name) !== index);
  if (twice >= 0) throw invalidArgument("documents", many[twice]?.key, { expected: "unique" });
  return parsed;
}

/**
 * Refuses a `scope` in writes to the documents of one scope, which would replace it.
 * @throws SessionError `argument_invalid`
 */
export function guardUnscoped(writes: readonly unknown[]): void {
  const { scope: _, ...put } = putWriteNames;
  const { scope: __, ...deletion } = deletionNames;
  for (const [index, write] of writes.entries()) {
    if (typeof write !== "object" || write === null) continue;
    guardNames<object>(write, `documents[${index}]`, "delete" in write ? deletion : put);
  }
}

function parseDocumentWrite(
  tenant: string,
  write: ScopedDocumentWrite,
  { limits, path }: { readonly limits: Limits; readonly path: string },
): ParsedDocumentWrite {
  if (typeof write !== "object" || write === null) throw invalidArgument(path, write, { expected: "object" });
  if ("delete" in write) {
    guardNames(write, path, deletionNames);
    const { delete: isDeletion }: { readonly delete: unknown } = write;
    if (isDeletion !== true)
      throw invalidArgument(`${path}.delete`, isDeletion, { expected: "one_of", known: ["true"] });
    const document = { tenant, scope: parseId(write.scope, "scope"), key: parseId(write.key, "key") };
    return defined({ document, expected: write.if === undefined ? undefined : parseWholeNumber(write.if, "if", 1) });
  }
  guardNames(write, path, putWriteNames);
  const document = { tenant, scope: parseNewId(write.scope, "scope"), key: parseNewId(write.key, "key") };
  return parsePut(document, write, limits);
}

/** @throws SessionError as {@link parseDocumentWrites} */
export function parsePut(
  document: DocumentKey,
  { value, if: expected, ttl, user }: Omit<DocumentPutWrite, "key">,
  limits: Limits,
): ParsedDocumentWrite {
  const put = {
    data: encodeDocument(document, value, limits),
    ttlMs: ttl === undefined ? null : parseDuration(ttl, "ttl"),
    user: user === undefined ? null : parseId(user, "user"),
  };
  return defined({ document, expected: expected === undefined ? undefined : parseIf(expected), put });
}

export function parseIf(expected: IfVersion): IfVersion {
  if (typeof expected === "string") return parseOneOf(expected, "if", ["absent"] as const);
  return parseWholeNumber(expected, "if", 1);
}

/** @throws SessionError `value_unstorable`, `document_too_large` */
export function encodeDocument({ scope, key }: DocumentKey, value: Value, { documentBytesMax }: Limits): string {
  const data = encode(value);
  const bytes = Buffer.byteLength(data);
  if (bytes <= documentBytesMax) return data;
  throw new SessionError("document_too_large", { scope, key, bytes, bytesMax: documentBytesMax });
}
