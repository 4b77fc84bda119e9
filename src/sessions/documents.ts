import type { DocumentKey, StoredDocument } from "../domain/documents/document.ts";
import {
  attemptsMax,
  deleteNames,
  listNames,
  putNames,
  selectionNames,
  updateNames,
  type DocumentListQuery,
  type DocumentSelection,
  type PutOptions,
} from "../domain/documents/document-options.ts";
import { decode, type Value } from "../domain/values/codec.ts";
import { defined } from "../domain/values/defined.ts";
import { parseDuration, type Duration } from "../domain/values/duration.ts";
import { parseId, parseNewId } from "../domain/values/ids.ts";
import { parseArray, parseFunction } from "../domain/values/invalid-argument.ts";
import { successorOf } from "../domain/values/key-order.ts";
import { eachItem, type Page } from "../domain/values/pages.ts";
import { SessionError } from "../errors.ts";
import type { DocumentConflict, DocumentRange } from "../store/store.ts";
import type { Core } from "./core/core.ts";
import { DocumentBatch, documentConflict } from "./documents/document-batch.ts";
import {
  encodeDocument,
  guardUnscoped,
  parseDocumentWrites,
  parseIf,
  parsePut,
  type DocumentWrite,
  type ParsedDocumentWrite,
  type ScopedDocumentWrite,
} from "./documents/document-write.ts";
import { guardNames } from "../domain/values/option-names.ts";
import { parseLimit, parseWholeNumber } from "./options/arguments.ts";
import { traceCall, type OperationName } from "./tracing/operation.ts";

/** A small value under a key. */
export interface Document {
  readonly key: string;
  readonly value: Value;
  /** Grows with each write of the key; no version comes twice, also after a deletion. */
  readonly version: number;
  /** The user whose erasure removes the document; null for none. */
  readonly user: string | null;
  /** When it was put where there was none. */
  readonly createdAt: Date;
  /** When it was put last. */
  readonly updatedAt: Date;
  /** When it expires; null: never. */
  readonly expiresAt: Date | null;
}

/** One page of documents, by key in code point order. It may end before `limit`, at `limits.pageBytesMax`. */
export interface DocumentPage extends Page<Document> {
  /** The keys of documents of the page whose value cannot be read; absent where there are none. */
  readonly unreadable?: readonly string[];
}

/**
 * Documents of one scope: small values under keys, outside of any session. A document that has expired is not found; the sweep
 * deletes it.
 */
export class Documents {
  /** The scope. */
  readonly scope: string;
  readonly #core: Core;
  readonly #tenant: string;

  /** Made by `Sessions`. @internal */
  constructor(core: Core, tenant: string, scope: string) {
    this.#core = core;
    this.#tenant = tenant;
    this.scope = parseNewId(scope, "scope");
  }

  /** The document with this key; null if there is none. @throws SessionError `id_invalid`, `store_invalid` if it cannot be read */
  async get(key: string): Promise<Document | null> {
    const document = this.#keyOf(parseId(key, "key"));
    return await this.#perform("documents.get", async () => {
      const found = await this.#stored(document);
      return found === undefined ? null : documentOf(found);
    });
  }

  /**
   * The documents with these keys, by key; those that are not stored are left out.
   * @throws SessionError `argument_invalid` for more keys than `limits.documentsMax`, and as `get`
   */
  async getMany(keys: readonly string[]): Promise<ReadonlyMap<string, Document>> {
    const { documentsMax: max } = this.#core.options.limits;
    parseArray(keys, "keys");
    if (keys.length > max)
      throw new SessionError("argument_invalid", { name: "keys", length: keys.length, expected: "list", max });
    const wanted = Array.from(keys, (key) => this.#keyOf(parseId(key, "key")));
    return await this.#perform("documents.getMany", async () => {
      if (wanted.length === 0) return new Map();
      const { documents } = await this.#core.store.documents({ keys: wanted });
      return new Map(documents.map((document) => [document.key, documentOf(document)]));
    });
  }

  /**
   * Put a value, which replaces the whole document with its `ttl` and `user`. Returns the version.
   * @throws SessionError `document_conflict` if the stored document is not that of `if`; `id_invalid`, `argument_invalid`,
   *   `duration_invalid`, `value_unstorable`, `document_too_large`; then nothing was written
   */
  async put(key: string, value: Value, options: PutOptions = {}): Promise<number> {
    guardNames(options, "put", putNames);
    const { limits } = this.#core.options;
    const write = parsePut(this.#keyOf(parseNewId(key, "key")), { ...options, value }, limits);
    return await this.#perform("documents.put", async () => {
      const [version] = await this.#commit([write]);
      return version ?? 0;
    });
  }

  /**
   * Replace the value by that which `change` makes of it, with the `user` and the time of expiry that the document has. If another
   * writer was faster, `change` is called again with the newer value. `change` gets undefined if there is no document, and
   * leaves the document as it is if it returns undefined. Returns the version; null if nothing was written.
   * `if`: the version that must be stored, or `"absent"`. `ttl`: the document expires after this time from now on.
   * @throws SessionError `document_conflict` after a hundred attempts, or if the stored document is not that of `if`, what `change` throws, and as `put`
   */
  async update(
    key: string,
    change: (value: Value | undefined) => Value | undefined,
    options: Pick<PutOptions, "if" | "ttl"> = {},
  ): Promise<number | null> {
    guardNames(options, "update", updateNames);
    parseFunction(change, "change");
    const required = options.if === undefined ? undefined : parseIf(options.if);
    const ttlMs = options.ttl === undefined ? undefined : parseDuration(options.ttl, "ttl");
    const document = this.#keyOf(parseNewId(key, "key"));
    return await this.#perform("documents.update", async () => {
      let found = await this.#stored(document);
      let lastVersion = found?.version ?? 0;
      for (let attempt = 1; ; attempt++) {
        const current = found?.version ?? "absent";
        if (required !== undefined && current !== required)
          throw documentConflict({ document, expected: required }, found?.version);
        const value = change(found === undefined ? undefined : documentOf(found).value);
        if (value === undefined) return null;
        const data = encodeDocument(document, value, this.#core.options.limits);
        const user = found?.user ?? null;
        const write = { document, expected: current, put: { data, ttlMs: ttlMs ?? null, user } } as const;
        // A touch leaves the version, so the store keeps the time of expiry that a touch meanwhile set.
        const batch = new DocumentBatch(this.#core, [write], { expiresAt: "kept", lastVersion });
        const outcome = await this.#tryCommit(batch);
        if (outcome.status === "ok") return outcome.versions[0] ?? null;
        if (attempt === attemptsMax) throw documentConflict(write, outcome.conflict.current?.version);
        ({ current: found, lastVersion } = outcome.conflict);
        if (attempt > 3) await this.#core.pause(Math.min(attempt, 20));
      }
    });
  }

  /**
   * Delete the document. False if there is none.
   * @throws SessionError `document_conflict` if the stored document does not have the version `if`; `id_invalid`, `argument_invalid`
   */
  async delete(key: string, options: { readonly if?: number } = {}): Promise<boolean> {
    guardNames(options, "delete", deleteNames);
    const document = this.#keyOf(parseId(key, "key"));
    const { if: version } = options;
    if (version !== undefined) parseWholeNumber(version, "if", 1);
    return await this.#perform("documents.delete", async () => {
      const batch = new DocumentBatch(this.#core, [{ document, expected: version ?? "present" }]);
      for (let attempt = 1; attempt <= attemptsMax; attempt++) {
        const outcome = await this.#tryCommit(batch);
        if (outcome.status === "ok") return true;
        if (version === undefined && outcome.conflict.current === undefined) return false;
        batch.met(outcome.conflict);
      }
      throw documentConflict({ document }, undefined);
    });
  }

  /**
   * Let the document expire after this time from now on; its version stays. False if there is none: an expired document is not
   * revived. @throws SessionError `id_invalid`, `duration_invalid`
   */
  async touch(key: string, ttl: Duration): Promise<boolean> {
    const document = this.#keyOf(parseId(key, "key"));
    const ttlMs = parseDuration(ttl, "ttl");
    return await this.#perform("documents.touch", async () => {
      await this.#core.learnTime();
      const expiresAt = this.#core.now() + ttlMs;
      const touch = { kind: "touch", document, expected: "present", expiresAt } as const;
      const outcome = await this.#core.commitWithDocuments({ changes: [], documents: [touch] });
      return outcome.status === "ok";
    });
  }

  /** One page of documents. @throws SessionError `argument_invalid`, `id_invalid` */
  async list(query: DocumentListQuery = {}): Promise<DocumentPage> {
    guardNames(query, "query", listNames);
    const { prefix, after, limit = 100 } = query;
    const range = this.#rangeOf(prefix);
    const from = after === undefined ? undefined : this.#keyOf(parseId(after, "after"));
    const { pageMax, pageBytesMax: bytesMax } = this.#core.options.limits;
    const page = { limit: parseLimit(limit, pageMax), bytesMax, ...defined({ after: from }) };
    return await this.#perform("documents.list", async () => {
      const { documents, next } = await this.#core.store.documents({ ...range, ...page });
      const items: Document[] = [];
      const unreadable: string[] = [];
      for (const document of documents) {
        const value = valueOf(document);
        if (value === undefined) unreadable.push(document.key);
        else items.push(withValue(document, value));
      }
      return defined({ items, next: next?.key, unreadable: unreadable.length === 0 ? undefined : unreadable });
    });
  }

  /** All documents, by key, one page in memory at a time; those that cannot be read are skipped. @throws SessionError as `list` */
  each(selection: DocumentSelection = {}): AsyncGenerator<Document, void, undefined> {
    guardNames(selection, "query", selectionNames);
    const { pageMax: limit } = this.#core.options.limits;
    return eachItem((after) => this.list({ ...selection, ...after, limit }));
  }

  /** How many documents there are; the store counts them. @throws SessionError `argument_invalid`, `id_invalid` */
  async count(selection: DocumentSelection = {}): Promise<number> {
    guardNames(selection, "query", selectionNames);
    const range = this.#rangeOf(selection.prefix);
    return await this.#perform("documents.count", async () => await this.#core.store.countDocuments(range));
  }

  /**
   * Write several documents, all or none. Returns the versions in the order of the writes; null for a deletion.
   * @throws SessionError `document_conflict` if a stored document is not that of its `if`; `argument_invalid` for more writes than
   *   `limits.documentsMax`, or two of one key; and as `put`
   */
  async write(writes: readonly DocumentWrite[]): Promise<readonly (number | null)[]> {
    parseArray(writes, "documents");
    guardUnscoped(writes);
    const scoped = Array.from(writes, (write) =>
      typeof write === "object" && write !== null ? { ...write, scope: this.scope } : write,
    ) as readonly ScopedDocumentWrite[];
    const parsed = parseDocumentWrites(this.#tenant, scoped, this.#core.options.limits);
    return await this.#perform("documents.write", async () => (parsed.length === 0 ? [] : await this.#commit(parsed)));
  }

  async #commit(writes: readonly ParsedDocumentWrite[]): Promise<readonly (number | null)[]> {
    const batch = new DocumentBatch(this.#core, writes);
    let last: DocumentConflict | undefined;
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      const outcome = await this.#tryCommit(batch);
      if (outcome.status === "ok") return outcome.versions;
      batch.met(outcome.conflict);
      last = outcome.conflict;
    }
    throw documentConflict({ document: last?.key ?? this.#keyOf("") }, last?.current?.version);
  }

  async #tryCommit(batch: DocumentBatch): Promise<Attempt> {
    await this.#core.learnTime();
    const outcome = await this.#core.commitWithDocuments({ changes: [], documents: batch.changes() });
    if (outcome.status === "ok") return { status: "ok", versions: batch.versions() };
    if (outcome.status === "document_conflict") return { status: "conflict", conflict: outcome };
    throw new Error(`a write of documents met a ${outcome.status} of a session`);
  }

  async #stored(document: DocumentKey): Promise<StoredDocument | undefined> {
    const { documents } = await this.#core.store.documents({ keys: [document] });
    return documents[0];
  }

  #rangeOf(prefix: string | undefined): DocumentRange {
    const scope = { tenant: this.#tenant, scope: this.scope };
    if (prefix === undefined || prefix === "") return scope;
    const from = parseId(prefix, "prefix");
    return { ...scope, from, to: successorOf(from) };
  }

  #keyOf(key: string): DocumentKey {
    return { tenant: this.#tenant, scope: this.scope, key };
  }

  async #perform<T>(operation: OperationName, work: () => Promise<T>): Promise<T> {
    return await traceCall({ operation, tenant: this.#tenant }, async () => {
      this.#core.guardOpen();
      return await work();
    });
  }
}

type Attempt =
  | { readonly status: "ok"; readonly versions: readonly (number | null)[] }
  | { readonly status: "conflict"; readonly conflict: DocumentConflict };

/** @throws SessionError `store_invalid` */
function documentOf(document: StoredDocument): Document {
  const value = valueOf(document);
  if (value !== undefined) return withValue(document, value);
  const { tenant, scope, key } = document;
  throw new SessionError("store_invalid", { problem: "document_invalid", tenant, scope, key });
}

/** Undefined if it cannot be read. */
function valueOf({ data }: StoredDocument): Value | undefined {
  try {
    return decode(data);
  } catch {
    return undefined;
  }
}

function withValue(document: StoredDocument, value: Value): Document {
  const { key, version, user, createdAt, updatedAt, expiresAt } = document;
  return {
    key,
    value,
    version,
    user,
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
  };
}
