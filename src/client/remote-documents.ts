import {
  attemptsMax,
  deleteNames,
  listNames,
  putNames,
  selectionNames,
  updateNames,
} from "../domain/documents/document-options.ts";
import { parseId, parseNewId } from "../domain/values/ids.ts";
import { defined } from "../domain/values/defined.ts";
import { invalidArgument, parseFunction } from "../domain/values/invalid-argument.ts";
import { guardNames } from "../domain/values/option-names.ts";
import { eachItem } from "../domain/values/pages.ts";
import { hasCode, SessionError } from "../errors.ts";
import type {
  Document,
  DocumentListQuery,
  DocumentPage,
  Documents,
  DocumentSelection,
  DocumentWrite,
  Duration,
  IfVersion,
  PutOptions,
  Value,
} from "../index.ts";
import {
  documentOfWire,
  documentPageOfWire,
  wireVersion,
  type WireDocument,
  type WireDocumentPage,
} from "../protocol/wire-documents.ts";
import type { Http, HttpRequest } from "./http.ts";
import { batchesOf } from "./key-batches.ts";

/** Documents of one scope, over HTTP. A write is sent once; a read and a touch are repeated where they are lost. */
export class RemoteDocuments implements Pick<Documents, keyof Documents> {
  readonly scope: string;
  readonly #http: Http;
  readonly #path: string;

  /** Made by `RemoteSessions.documents`. @internal */
  constructor(http: Http, scope: string) {
    this.#http = http;
    this.scope = parseNewId(scope, "scope");
    this.#path = `/v1/documents/${encodeURIComponent(this.scope)}`;
  }

  /** The document with this key; null if there is none. @throws SessionError as the local `get` */
  async get(key: string): Promise<Document | null> {
    const found = await this.#found({ method: "GET", path: this.#pathOf(key) });
    return found === undefined ? null : documentOfWire(found as WireDocument);
  }

  /** The documents with these keys, by key; those that are not stored are left out. @throws SessionError as `get` */
  async getMany(keys: readonly string[]): Promise<ReadonlyMap<string, Document>> {
    const found = new Map<string, Document>();
    for (const batch of batchesOf(keys)) {
      let after: string | undefined;
      do {
        const page = await this.#page({ key: batch, after });
        for (const document of page.items) found.set(document.key, document);
        after = page.next;
      } while (after !== undefined);
    }
    return found;
  }

  /** Put a value, which replaces the whole document with its `ttl` and `user`. Returns the version. @throws SessionError as the local `put` */
  async put(key: string, value: Value, options: PutOptions = {}): Promise<number> {
    guardNames(options, "put", putNames);
    const { if: expected, ...rest } = options;
    return await this.#write("PUT", parseNewId(key, "key"), { body: { value, ...rest }, expected });
  }

  /**
   * Replace the value by that which `change` makes of it, as the local `update`: `change` is called again if another writer was
   * faster.
   * @throws SessionError as the local `update`
   */
  async update(
    key: string,
    change: (value: Value | undefined) => Value | undefined,
    options: Pick<PutOptions, "if" | "ttl"> = {},
  ): Promise<number | null> {
    guardNames(options, "update", updateNames);
    const { if: required, ...rest } = options;
    parseNewId(key, "key");
    guardIf(required);
    parseFunction(change, "change");
    for (let attempt = 1; ; attempt++) {
      const found = await this.get(key);
      const expected = found?.version ?? "absent";
      if (required !== undefined && required !== expected) throw this.#conflict(key, required, found?.version);
      const value = change(found?.value);
      if (value === undefined) return null;
      try {
        return await this.#write("PATCH", key, { body: { value, ...rest }, expected });
      } catch (error) {
        if (!hasCode(error, "document_conflict") || attempt === attemptsMax) throw error;
      }
    }
  }

  /** Delete the document. False if there is none. @throws SessionError as the local `delete` */
  async delete(key: string, options: { readonly if?: number } = {}): Promise<boolean> {
    guardNames(options, "delete", deleteNames);
    const headers = headersOf(options.if);
    return (await this.#found({ method: "DELETE", path: this.#pathOf(key), headers, once: true })) !== undefined;
  }

  /**
   * Let the document expire after this time from now on; its version stays. False if there is none.
   * @throws SessionError as the local `touch`
   */
  async touch(key: string, ttl: Duration): Promise<boolean> {
    const request = { method: "POST", path: `${this.#pathOf(key)}/touch`, body: { ttl } } as const;
    return (await this.#found(request)) !== undefined;
  }

  /** One page of documents. @throws SessionError as the local `list` */
  async list(query: DocumentListQuery = {}): Promise<DocumentPage> {
    guardNames(query, "query", listNames);
    return await this.#page({ ...query });
  }

  /** All documents, by key, page by page; those that cannot be read are skipped. @throws SessionError as `list` */
  each(selection: DocumentSelection = {}): AsyncGenerator<Document, void, undefined> {
    guardNames(selection, "query", selectionNames);
    return eachItem((after) => this.list({ ...selection, ...after }));
  }

  /** How many documents there are. @throws SessionError as the local `count` */
  async count(selection: DocumentSelection = {}): Promise<number> {
    guardNames(selection, "query", selectionNames);
    const { body } = await this.#http.ask({ method: "POST", path: `${this.#path}/count`, body: selection });
    return (body as { readonly count: number }).count;
  }

  /**
   * Write several documents, all or none. Returns the versions in the order of the writes; null for a deletion.
   * @throws SessionError as the local `write`
   */
  async write(writes: readonly DocumentWrite[]): Promise<readonly (number | null)[]> {
    const request = { method: "POST", path: `${this.#path}/write`, body: { documents: writes }, once: true } as const;
    const { body } = await this.#http.ask(request);
    return (body as { readonly versions: readonly (number | null)[] }).versions;
  }

  async #page(query: NonNullable<HttpRequest["query"]>): Promise<DocumentPage> {
    const { body } = await this.#http.ask({ method: "GET", path: this.#path, query });
    return documentPageOfWire(body as WireDocumentPage);
  }

  async #write(
    method: "PUT" | "PATCH",
    key: string,
    { body, expected }: { readonly body: object; readonly expected: IfVersion | undefined },
  ): Promise<number> {
    const request = { method, path: this.#pathOf(key), body, headers: headersOf(expected), once: true } as const;
    return ((await this.#http.ask(request)).body as { readonly version: number }).version;
  }

  /** The body of the answer; undefined if there is no document. */
  async #found(request: HttpRequest): Promise<unknown> {
    try {
      return (await this.#http.ask(request)).body;
    } catch (error) {
      if (hasCode(error, "document_not_found")) return undefined;
      throw error;
    }
  }

  #conflict(key: string, expected: IfVersion, storedVersion: number | undefined): SessionError {
    const expectedVersion = expected === "absent" ? undefined : expected;
    return new SessionError("document_conflict", defined({ scope: this.scope, key, expectedVersion, storedVersion }));
  }

  /** @throws SessionError `id_invalid` */
  #pathOf(key: string): string {
    return `${this.#path}/${encodeURIComponent(parseId(key, "key"))}`;
  }
}

/** @throws SessionError `argument_invalid` */
function guardIf(expected: IfVersion | undefined): void {
  if (expected === undefined || expected === "absent" || (Number.isSafeInteger(expected) && expected >= 1)) return;
  throw invalidArgument("if", expected, { expected: "whole_number", min: 1 });
}

/** @throws SessionError `argument_invalid` */
function headersOf(expected: IfVersion | undefined): Readonly<Record<string, string>> {
  guardIf(expected);
  if (expected === "absent") return { "if-none-match": "*" };
  return defined({ "if-match": expected === undefined ? undefined : wireVersion(expected) });
}
