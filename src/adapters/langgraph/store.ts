/** The store of a graph, for memories that outlive threads: its items as documents. */
import { SessionError, type Document, type Documents, type DocumentWrite, Sessions, type Value } from "../../index.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import { isFields } from "../langchain/fields.ts";
import { keyPart, keyLengthMax } from "../keys/composed-keys.ts";
import type { Item } from "./package-checkpoint.ts";
import { fromStored, toStored } from "./stored-values.ts";

/** An operation of a batch, as the package declares it. */
export type StoreOperation =
  | { readonly namespace: string[]; readonly key: string }
  | {
      readonly namespace: string[];
      readonly key: string;
      readonly value: Record<string, unknown> | null;
      readonly index?: false | string[];
    }
  | {
      readonly namespacePrefix: string[];
      readonly filter?: Record<string, unknown>;
      readonly limit?: number;
      readonly offset?: number;
      readonly query?: string;
    }
  | {
      readonly matchConditions?: readonly {
        readonly matchType: "prefix" | "suffix";
        readonly path: readonly string[];
      }[];
      readonly maxDepth?: number;
      readonly limit: number;
      readonly offset: number;
    };

type Put = Extract<StoreOperation, { value: unknown }>;
type Search = Extract<StoreOperation, { namespacePrefix: unknown }>;
type List = Extract<StoreOperation, { offset: number }>;

/** An item as it is stored. */
interface StoredItem {
  readonly ns: readonly string[];
  readonly key: string;
  readonly value: Value;
}

/** How to search. */
export interface SearchOptions {
  /** Fields of the value, compared by equality or by `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in` and `$nin`. */
  filter?: Record<string, unknown>;
  limit?: number;
  offset?: number;
  /** Refused: documents have no vectors. */
  query?: string;
}

/** The scope of the documents. */
const scope = "langgraph-store";

/** The memories of graphs, as documents. Made by {@link perdureStore}. */
export class PerdureStore {
  readonly #documents: Documents;
  readonly #writesMax: number;

  constructor(sessions: Sessions) {
    if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
    this.#documents = sessions.documents(scope);
    this.#writesMax = sessions.limits.documentsMax;
  }

  /** The item with this key; null if there is none. */
  async get(namespace: string[], key: string): Promise<Item | null> {
    const [item] = (await this.batch([{ namespace, key }])) as [Item | null];
    return item;
  }

  /** The items of the namespaces below the prefix. @throws SessionError as `batch` */
  async search(namespacePrefix: string[], options: SearchOptions = {}): Promise<Item[]> {
    const [items] = (await this.batch([{ namespacePrefix, ...options }])) as [Item[]];
    return items;
  }

  /** Puts an item in place of the one with this key. @throws SessionError `argument_invalid`, and as `batch` */
  async put(namespace: string[], key: string, value: Record<string, unknown>, index?: false | string[]): Promise<void> {
    guardNamespace(namespace);
    await this.batch([{ namespace, key, value, ...defined({ index }) }]);
  }

  async delete(namespace: string[], key: string): Promise<void> {
    await this.batch([{ namespace, key, value: null }]);
  }

  async listNamespaces(
    options: { prefix?: string[]; suffix?: string[]; maxDepth?: number; limit?: number; offset?: number } = {},
  ): Promise<string[][]> {
    const { prefix, suffix, maxDepth, limit = 100, offset = 0 } = options;
    const matchConditions = (["prefix", "suffix"] as const).flatMap((matchType) => {
      const path = matchType === "prefix" ? prefix : suffix;
      return path === undefined ? [] : [{ matchType, path }];
    });
    const operation = { matchConditions, limit, offset, ...defined({ maxDepth }) };
    const [names] = (await this.batch([operation])) as [string[][]];
    return names;
  }

  /** Does nothing: operations begin at once. */
  start(): void {}

  /** Does nothing: the sessions are closed by the program that opened them. */
  stop(): void {}

  /**
   * Does operations: reads see the state before the writes. Up to `limits.documentsMax` writes are one commit.
   * @throws SessionError `argument_invalid` for a search by meaning, which documents have no vectors for, and for a name that is too
   *   long; `value_unstorable`, `document_too_large`
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- the types of the results follow from those of the operations
  async batch(operations: readonly StoreOperation[]): Promise<any> {
    if (!Array.isArray(operations)) throw invalidArgument("operations", operations, { expected: "array" });
    for (const [index, operation] of operations.entries()) guardObject(operation, `operations[${index}]`);
    const writes = new Map<string, DocumentWrite>();
    for (const operation of operations as readonly StoreOperation[])
      if (isPut(operation)) writes.set(documentKey(operation), writeOf(operation));
    const results = await Promise.all(operations.map((operation: StoreOperation) => this.#read(operation)));
    const all = [...writes.values()];
    for (let at = 0; at < all.length; at += this.#writesMax)
      await this.#documents.write(all.slice(at, at + this.#writesMax));
    return results;
  }

  async #read(operation: StoreOperation): Promise<unknown> {
    if (isPut(operation)) return null;
    if ("namespacePrefix" in operation) return await this.#search(operation);
    if (!("namespace" in operation)) return await this.#namespaces(operation);
    const document = await this.#documents.get(documentKey(operation));
    return document === null ? null : await itemOf(document);
  }

  /** The items below the prefix whose value fits the filter, by namespace and key. */
  async #search({ namespacePrefix, filter = {}, limit = 10, offset = 0, query }: Search): Promise<Item[]> {
    if (query !== undefined)
      throw new SessionError("argument_invalid", { name: "query", value: "a text", expected: "no_field" });
    const items: Item[] = [];
    let found = 0;
    for await (const document of this.#documents.each({ prefix: prefixOf(namespacePrefix) })) {
      if (items.length >= limit) break;
      const item = await itemOf(document);
      if (fits(item.value, filter) && found++ >= offset) items.push(item);
    }
    return items;
  }

  async #namespaces({ matchConditions = [], maxDepth, limit, offset }: List): Promise<string[][]> {
    const exact = matchConditions.find(({ matchType, path }) => matchType === "prefix" && !path.includes("*"));
    const found = new Map<string, string[]>();
    for await (const { value } of this.#documents.each({ prefix: prefixOf(exact?.path ?? []) })) {
      const { ns } = value as unknown as StoredItem;
      if (!matchConditions.every((condition) => matches(ns, condition))) continue;
      const name = ns.slice(0, maxDepth);
      found.set(JSON.stringify(name), [...name]);
    }
    return [...found.values()].slice(offset, offset + limit);
  }
}

/** Names of namespaces, as the package takes them. @throws SessionError `argument_invalid` */
function guardNamespace(namespace: readonly string[]): void {
  if (!Array.isArray(namespace)) throw invalidArgument("namespace", namespace, { expected: "array" });
  const invalid = namespace.find((name) => typeof name !== "string" || name === "" || /[.:\0]/.test(name));
  if (namespace.length > 0 && invalid === undefined && namespace[0] !== "langgraph") return;
  const value = JSON.stringify(invalid ?? namespace);
  throw new SessionError("argument_invalid", { name: "namespace", value, expected: "text", min: 1 });
}

function isPut(operation: StoreOperation): operation is Put {
  return "value" in operation;
}

function writeOf(put: Put): DocumentWrite {
  const { namespace: ns, key, value } = put;
  const document = documentKey(put);
  if (value === null) return { key: document, delete: true };
  return { key: document, value: { ns, key, value: toStored(value, key) } };
}

/** The keys of a namespace begin with its names, so that those of all below it are next to each other. */
function documentKey({ namespace, key }: { readonly namespace: readonly string[]; readonly key: string }): string {
  if (typeof key !== "string") throw invalidArgument("key", key, { expected: "text" });
  const text = `${prefixOf(namespace)}/${keyPart(key)}`;
  if (text.length <= keyLengthMax) return text;
  throw new SessionError("argument_invalid", {
    name: "namespace",
    length: text.length,
    expected: "text",
    max: keyLengthMax,
  });
}

function prefixOf(namespace: readonly string[]): string {
  if (!Array.isArray(namespace) || !namespace.every((name) => typeof name === "string"))
    throw invalidArgument("namespace", namespace, { expected: "array" });
  return namespace.map((name) => `${keyPart(name)}/`).join("");
}

async function itemOf({ value: stored, createdAt, updatedAt }: Document): Promise<Item> {
  const { ns, key, value } = stored as unknown as StoredItem;
  return { value: (await fromStored(value)) as Item["value"], key, namespace: [...ns], createdAt, updatedAt };
}

function matches(
  ns: readonly string[],
  { matchType, path }: { readonly matchType: "prefix" | "suffix"; readonly path: readonly string[] },
): boolean {
  const from = matchType === "prefix" ? 0 : ns.length - path.length;
  return from >= 0 && path.every((name, index) => name === "*" || name === ns[from + index]);
}

/** True where the fields of the value are as the filter says, which compares as the package does. */
function fits(value: Item["value"], filter: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(filter).every(([name, wanted]) => compares(value[name], wanted));
}

const operators: Readonly<Record<string, (value: unknown, wanted: unknown) => boolean>> = {
  $eq: (value, wanted) => value === wanted,
  $ne: (value, wanted) => value !== wanted,
  $gt: (value, wanted) => Number(value) > Number(wanted),
  $gte: (value, wanted) => Number(value) >= Number(wanted),
  $lt: (value, wanted) => Number(value) < Number(wanted),
  $lte: (value, wanted) => Number(value) <= Number(wanted),
  $in: (value, wanted) => Array.isArray(wanted) && wanted.includes(value),
  $nin: (value, wanted) => !Array.isArray(wanted) || !wanted.includes(value),
};

function compares(value: unknown, wanted: unknown): boolean {
  if (!isFields(wanted) || !Object.keys(wanted).every((name) => Object.hasOwn(operators, name)))
    return value === wanted;
  return Object.entries(wanted).every(([name, one]) => operators[name]?.(value, one) === true);
}

/** A store for graphs: `graph.compile({ store: perdureStore(sessions) })`. Its items are documents. */
export function perdureStore(sessions: Sessions): PerdureStore {
  return new PerdureStore(sessions);
}
