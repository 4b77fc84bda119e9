import { createHash } from "node:crypto";
import type { SessionKey } from "../domain/record/entry.ts";
import { parseId, parseNewId, sortableId } from "../domain/values/ids.ts";
import { removeSession } from "../domain/record/lifecycle.ts";
import type { SessionRecord } from "../domain/record/record.ts";
import { internalScope } from "../domain/values/internal-scope.ts";
import { defined } from "../domain/values/defined.ts";
import { eachItem, type Page, type PageQuery } from "../domain/values/pages.ts";
import type { Core } from "./core/core.ts";
import { internalChange, liveMetadata } from "./core/internal-record.ts";
import { isSameHash } from "./core/keyed-hash.ts";
import { traceCall } from "./tracing/operation.ts";
import { parseLimit, parseOneOf } from "./options/arguments.ts";

/** The right of a key: `write` includes `read`, and `admin` includes both. */
export type KeyRight = "read" | "write" | "admin";

/** A key without its secret. */
export interface KeyInfo {
  readonly id: string;
  /** Its purpose. */
  readonly name: string;
  /** The only tenant whose sessions it opens. */
  readonly tenant: string;
  readonly right: KeyRight;
  readonly createdAt: Date;
}

/** Options of `create`. */
export interface NewKey {
  readonly name: string;
  /** @default "default" */
  readonly tenant?: string;
  /** @default "write" */
  readonly right?: KeyRight;
}

type Content = { readonly name: string; readonly tenant: string; readonly right: KeyRight; readonly hash: string };

/** The keys of all tenants are in one scope: a request with a key does not name its tenant. */
const scope = internalScope("", "keys");
/** A key holds until it is revoked. */
const ttlMs = 100 * 365 * 86_400_000;
const rights: readonly KeyRight[] = ["read", "write", "admin"];

/** Keys by which operators and programs reach a tenant's sessions over HTTP. The store has a hash of each. */
export class Keys {
  readonly #core: Core;

  /** Made by `Sessions`. @internal */
  constructor(core: Core) {
    this.#core = core;
  }

  /** A new key; only this call returns its `token`. @throws SessionError `id_invalid`, `argument_invalid` */
  async create({ name, tenant = "default", right = "write" }: NewKey): Promise<KeyInfo & { readonly token: string }> {
    return await traceCall({ operation: "keys.create", tenant: undefined }, async () => {
      const core = this.#core;
      core.guardOpen();
      parseNewId(name, "name");
      parseNewId(tenant, "tenant");
      parseOneOf(right, "right", rights);
      const { clock } = core.options;
      const id = sortableId(core.now(), clock.random(16));
      const secret = Buffer.from(clock.random(32)).toString("base64url");
      const token = `pdk_${id}_${secret}`;
      const content: Content = { name, tenant, right, hash: hashOf(token).toString("hex") };
      await core.learnTime();
      const change = internalChange(core, keyOf(id), undefined, { metadata: content, ttlMs });
      await core.commit([change]);
      return { id, name, tenant, right, createdAt: new Date(core.now()), token };
    });
  }

  /** One page of the keys, the newest first. @throws SessionError `argument_invalid` */
  async list({ limit = 100, after }: PageQuery = {}): Promise<Page<KeyInfo>> {
    return await traceCall({ operation: "keys.list", tenant: undefined }, async () => {
      const core = this.#core;
      core.guardOpen();
      const pageSize = parseLimit(limit, core.options.limits.pageMax);
      const { now } = await core.store.instances([]);
      const query = { order: "recent", tenant: scope, now, limit: pageSize } as const;
      const { records, next } = await core.store.find({ ...query, ...defined({ after }) });
      const items = records.flatMap((record) => {
        const content = contentOf(core, record);
        return content === undefined ? [] : [infoOf(record, content)];
      });
      return defined({ items, next });
    });
  }

  /** All keys, the newest first. */
  each(): AsyncGenerator<KeyInfo, void, undefined> {
    return eachItem((after) => this.list(after));
  }

  /** The key opens nothing any more; false where there is none of this id. */
  async revoke(id: string): Promise<boolean> {
    return await traceCall({ operation: "keys.revoke", tenant: undefined }, async () => {
      const found = (await this.#core.find(keyOf(parseId(id, "key"))))?.record;
      return found !== undefined && (await this.#core.commit([removeSession(found)])).status === "ok";
    });
  }

  /** The key that this token is of; null for what is none, or was revoked. */
  async verify(token: string): Promise<KeyInfo | null> {
    return await traceCall({ operation: "keys.verify", tenant: undefined }, async () => {
      const id = /^pdk_([0-9a-z]{26})_[\w-]{43}$/.exec(token)?.[1];
      if (id === undefined) return null;
      const found = (await this.#core.find(keyOf(id)))?.record;
      const content = contentOf(this.#core, found);
      if (found === undefined || content === undefined) return null;
      return isSameHash(Buffer.from(content.hash, "hex"), hashOf(token)) ? infoOf(found, content) : null;
    });
  }
}

/** A token has 256 bits of chance: no slow hash is needed to keep it from being guessed. */
function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function keyOf(id: string): SessionKey {
  return { tenant: scope, id };
}

function contentOf(core: Core, record: SessionRecord | undefined): Content | undefined {
  return liveMetadata(core, record) as Content | undefined;
}

function infoOf(record: SessionRecord, { name, tenant, right }: Content): KeyInfo {
  return { id: record.id, name, tenant, right, createdAt: new Date(record.createdAt) };
}
