/** Schemas of documents: their writes and their pages. */
import { z } from "zod";
import type { DocumentWrite, Duration, PutOptions, ScopedDocumentWrite, Value } from "../index.ts";
import { anything, duration, instant } from "./schemas.ts";

const value = anything<Value>({ description: "any JSON value; values that JSON lacks are tagged" });

const ttl = duration.optional();

/** The body of a put. The versions that it expects are headers. */
export type PutBody = Omit<PutOptions, "if"> & { readonly value: Value };

export const putBody: z.ZodType<PutBody> = z.strictObject({
  value,
  ttl: ttl.meta({ description: "how long the document lives from now on (default: for ever)" }),
  user: z.string().optional().meta({ description: "the user whose erasure deletes the document (default: none)" }),
}) as z.ZodType as z.ZodType<PutBody>;

export const changeBody: z.ZodType<Omit<PutBody, "user">> = z.strictObject({
  value,
  ttl: ttl.meta({ description: "how long the document lives from now on (default: as long as before)" }),
}) as z.ZodType as z.ZodType<Omit<PutBody, "user">>;

export const touchBody: z.ZodType<{ readonly ttl: Duration }> = z.strictObject({
  ttl: duration.meta({ description: "how long the document lives from now on" }),
}) as z.ZodType as z.ZodType<{ readonly ttl: Duration }>;

/** The library checks the writes, and names what is wrong. */
const writesOf = (names: readonly string[], scope: object): Readonly<Record<string, unknown>> => ({
  type: "array",
  items: {
    type: "object",
    required: names,
    additionalProperties: false,
    properties: {
      ...scope,
      key: { type: "string" },
      value: { description: "the new value; any JSON value" },
      delete: { const: true, description: "deletes the document; without value, ttl and user" },
      if: {
        anyOf: [{ type: "integer", minimum: 1 }, { const: "absent" }],
        description: "the version that must be stored, or absent: none must be",
      },
      ttl: { type: ["string", "number"], description: "how long the document lives from now on" },
      user: { type: "string", description: "the user whose erasure deletes the document" },
    },
  },
});

export const batchBody: z.ZodType<{ readonly documents: readonly DocumentWrite[] }> = z.strictObject({
  documents: anything<readonly DocumentWrite[]>(writesOf(["key"], {})),
}) as z.ZodType as z.ZodType<{ readonly documents: readonly DocumentWrite[] }>;

/** The documents of any scope that a write of a session writes. */
export const scopedDocuments: z.ZodType<readonly ScopedDocumentWrite[]> = anything<readonly ScopedDocumentWrite[]>({
  ...writesOf(["scope", "key"], { scope: { type: "string" } }),
  description: "documents to write in the same commit",
});

export const documentAnswer: z.ZodType = z
  .object({
    key: z.string(),
    value: z.unknown().meta({ description: "as it was put" }),
    version: z.number(),
    user: z.string().nullable(),
    createdAt: instant,
    updatedAt: instant,
    expiresAt: instant.nullable(),
  })
  .meta({ id: "Document" });

export const documentsAnswer: z.ZodType = z.object({
  items: z.array(documentAnswer),
  unreadable: z
    .array(z.object({ key: z.string(), reason: z.string() }))
    .optional()
    .meta({ description: "the documents of the page that cannot be read" }),
  next: z
    .string()
    .optional()
    .meta({ description: "pass it as after, beside the same parameters, to get the next page" }),
});

export const versionAnswer: z.ZodType = z.object({ version: z.number() });

/** The versions of the documents of a write. */
export const versions: z.ZodType = z
  .array(z.number().nullable())
  .meta({ description: "the version of each document, in the order of the writes; null for a deletion" });
