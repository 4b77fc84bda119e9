/** The cache of a graph's nodes: its values as documents that expire. */
import { Sessions, type Documents, type DocumentWrite, type Value } from "../../index.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import type { Serializer } from "./package-checkpoint.ts";
import { serializer } from "./serializer.ts";
import { fromStored, toStored } from "./stored-values.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** A namespace and a key in it. */
export type CacheKey = [namespace: string[], key: string];

/** The scope of the documents. */
const scope = "langgraph-cache";

/** Results of nodes, as documents. Made by {@link perdureCache}. */
export class PerdureCache<V = unknown> {
  serde: Serializer = serializer;
  readonly #documents: Documents;
  readonly #documentsMax: number;

  constructor(sessions: Sessions) {
    if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
    this.#documents = sessions.documents(scope);
    this.#documentsMax = sessions.limits.documentsMax;
  }

  /** The values that are stored under these keys. */
  async get(keys: CacheKey[]): Promise<{ key: CacheKey; value: V }[]> {
    guardKeys(keys);
    const found: { key: CacheKey; value: V }[] = [];
    for (const batch of batchesOf(keys, this.#documentsMax)) {
      const documents = await this.#documents.getMany([...new Set(batch.map(documentKey))]);
      for (const key of batch) {
        const document = documents.get(documentKey(key));
        if (document !== undefined) found.push({ key, value: (await fromStored(document.value)) as V });
      }
    }
    return found;
  }

  /** Stores values; `ttl` in seconds. @throws SessionError `value_unstorable`, `document_too_large` */
  async set(pairs: { key: CacheKey; value: V; ttl?: number }[]): Promise<void> {
    if (!Array.isArray(pairs)) throw invalidArgument("pairs", pairs, { expected: "array" });
    for (const [index, pair] of pairs.entries()) guardObject(pair, `pairs[${index}]`);
    guardKeys(pairs.map(({ key }) => key));
    const writes = new Map<string, DocumentWrite>();
    for (const { key, value, ttl } of pairs) {
      const document = documentKey(key);
      const stored: Value = toStored(value, key[1]);
      const ttlMs = ttl === undefined ? undefined : Math.max(1, Math.round(ttl * 1000));
      writes.set(document, { key: document, value: stored, ...defined({ ttl: ttlMs }) });
    }
    for (const batch of batchesOf([...writes.values()], this.#documentsMax)) await this.#documents.write(batch);
  }

  /** Deletes the values of the namespaces, or of all where none is named. */
  async clear(namespaces: string[][]): Promise<void> {
    const prefixes = namespaces.length === 0 ? [""] : namespaces.map(prefixOf);
    for (const prefix of prefixes)
      for await (const { key } of this.#documents.each({ prefix })) await this.#documents.delete(key);
  }
}

/** @throws SessionError `argument_invalid` */
function guardKeys(keys: readonly unknown[]): void {
  if (!Array.isArray(keys)) throw invalidArgument("keys", keys, { expected: "array" });
  for (const key of keys as readonly unknown[])
    if (!Array.isArray(key) || !Array.isArray(key[0]) || typeof key[1] !== "string")
      throw invalidArgument("key", key, { expected: "array" });
}

/** Namespaces and keys are hashes of any length already; their hash here has one. */
function documentKey([namespace, key]: CacheKey): string {
  return prefixOf(namespace) + hashed(key);
}

function prefixOf(namespace: readonly string[]): string {
  return `${hashed(JSON.stringify(namespace))}/`;
}

function hashed(text: string): string {
  return nodeCrypto().createHash("sha256").update(JSON.stringify(text)).digest("base64url");
}

function* batchesOf<T>(items: readonly T[], size: number): Generator<readonly T[], void, void> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}

/** A cache for graphs: `graph.compile({ cache: perdureCache(sessions) })`. Its values are documents. */
export function perdureCache(sessions: Sessions): PerdureCache {
  return new PerdureCache(sessions);
}
