/** Reads, lists and writes documents. */
import { z } from "zod";
import { defined } from "../../../domain/values/defined.ts";
import { SessionError } from "../../../errors.ts";
import type { Document } from "../../../index.ts";
import {
  batchBody,
  changeBody,
  documentAnswer,
  documentsAnswer,
  putBody,
  touchBody,
  versionAnswer,
  versions,
} from "../../../protocol/document-schemas.ts";
import { wireDocument, wireVersion } from "../../../protocol/wire-documents.ts";
import { addRoute, jsonAnswer, type RequestContext } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import { documentsReply, type DocumentQuery } from "./document-page.ts";
import { expectedVersion, storedVersion } from "./expected-version.ts";

const segment = z.string().min(1).max(4096);
/** The library checks scopes and keys, and reports why they are invalid. */
const scopeInPath: z.ZodType<{ scope: string }> = z.object({ scope: segment });
const documentInPath: z.ZodType<{ scope: string; key: string }> = z.object({ scope: segment, key: segment });

const someKey = z.string().max(4096);
const prefix = someKey.optional().meta({ description: "the documents whose keys begin with this" });

const documentQuery: z.ZodType<DocumentQuery> = z.object({
  prefix,
  after: someKey.optional().meta({ description: "next of the page before" }),
  limit: z.coerce.number().int().min(1).optional().meta({ description: "the maximum number (default: 100)" }),
  key: z
    .array(someKey)
    .max(100)
    .optional()
    .meta({ description: "a key, several times: the documents with these keys" }),
});

const written = { 200: { description: "the version", schema: versionAnswer } };

export function addDocumentRoutes(shared: Shared): void {
  addReadRoutes(shared);
  addWriteRoutes(shared);
  addScopeRoutes(shared);
}

function addReadRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/documents/{scope}",
      summary: "List the documents of a scope by key, or get those with some keys; at most 1000 documents or 1 MiB",
      scope: "read",
      params: scopeInPath,
      query: documentQuery,
      repeated: ["key"],
      answers: { 200: { description: "a page of documents", schema: documentsAnswer } },
    },
    async (c, { params: { scope }, query }) => await documentsReply(c, c.get("sessions").documents(scope), query),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/v1/documents/{scope}/{key}",
      summary: "Get a document; its ETag is its version",
      scope: "read",
      params: documentInPath,
      answers: { 200: { description: "the document", schema: documentAnswer } },
    },
    async (c, { params: { scope, key } }) => {
      const document: Document | null = await c.get("sessions").documents(scope).get(key);
      if (document === null) throw missing(scope, key);
      c.header("etag", wireVersion(document.version));
      return jsonAnswer(c, wireDocument(document));
    },
  );
}

function addWriteRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "put",
      path: "/v1/documents/{scope}/{key}",
      summary:
        "Put a document, which replaces it with its ttl and user; with If-Match, only that version; with If-None-Match: *, only where there is none",
      scope: "write",
      headers: ["If-Match", "If-None-Match"],
      params: documentInPath,
      body: putBody,
      answers: written,
    },
    async (c, { params: { scope, key }, body: { value, ...options } }) => {
      const put = { ...options, ...expectedVersion(c) };
      return versionReply(c, await c.get("sessions").documents(scope).put(key, value, put));
    },
  );

  addRoute(
    shared,
    {
      method: "patch",
      path: "/v1/documents/{scope}/{key}",
      summary: "Put the value of a document, which keeps its user and its time of expiry; with headers as PUT",
      scope: "write",
      headers: ["If-Match", "If-None-Match"],
      params: documentInPath,
      body: changeBody,
      answers: written,
    },
    async (c, { params: { scope, key }, body: { value, ...options } }) => {
      const change = { ...options, ...expectedVersion(c) };
      const version = await c
        .get("sessions")
        .documents(scope)
        .update(key, () => value, change);
      return versionReply(c, version ?? 0);
    },
  );

  addRoute(
    shared,
    {
      method: "delete",
      path: "/v1/documents/{scope}/{key}",
      summary: "Delete a document; with If-Match, only that version",
      scope: "write",
      headers: ["If-Match"],
      params: documentInPath,
      answers: { 204: { description: "deleted" } },
    },
    async (c, { params: { scope, key } }) => {
      if (await c.get("sessions").documents(scope).delete(key, storedVersion(c))) return c.body(null, 204);
      throw missing(scope, key);
    },
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/documents/{scope}/{key}/touch",
      summary: "Let a document expire after a time from now on; its version stays",
      scope: "write",
      params: documentInPath,
      body: touchBody,
      answers: { 204: { description: "touched" } },
    },
    async (c, { params: { scope, key }, body: { ttl } }) => {
      if (await c.get("sessions").documents(scope).touch(key, ttl)) return c.body(null, 204);
      throw missing(scope, key);
    },
  );
}

/** The routes of a scope take POST, so that a document may have the key `count` or `write`. */
function addScopeRoutes(shared: Shared): void {
  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/documents/{scope}/count",
      summary: "Count the documents of a scope",
      scope: "read",
      params: scopeInPath,
      body: z.strictObject({ prefix }),
      answers: { 200: { description: "the number", schema: z.object({ count: z.number() }) } },
    },
    async (c, { params: { scope }, body }) =>
      jsonAnswer(c, { count: await c.get("sessions").documents(scope).count(defined(body)) }),
  );

  addRoute(
    shared,
    {
      method: "post",
      path: "/v1/documents/{scope}/write",
      summary: "Write several documents in one commit: all of them, or nothing",
      scope: "write",
      params: scopeInPath,
      body: batchBody,
      answers: { 200: { description: "the versions", schema: z.object({ versions }) } },
    },
    async (c, { params: { scope }, body: { documents } }) =>
      jsonAnswer(c, { versions: await c.get("sessions").documents(scope).write(documents) }),
  );
}

function versionReply(c: RequestContext, version: number): Response {
  c.header("etag", wireVersion(version));
  return jsonAnswer(c, { version });
}

function missing(scope: string, key: string): SessionError {
  return new SessionError("document_not_found", { scope, key });
}
