import { changeOf, draftOf, set } from "../domain/record/change.ts";
import { parseLifetime, type Lifetime } from "../domain/values/duration.ts";
import type { SessionKey } from "../domain/record/entry.ts";
import { parseId, parseNewId, sortableId } from "../domain/values/ids.ts";
import { removeSession } from "../domain/record/lifecycle.ts";
import type { SessionRecord } from "../domain/record/record.ts";
import { internalScope } from "../domain/values/internal-scope.ts";
import { defined } from "../domain/values/defined.ts";
import { eachItem, pageNames, type Page, type PageQuery } from "../domain/values/pages.ts";
import { SessionError } from "../errors.ts";
import type { Core } from "./core/core.ts";
import { internalChange, liveMetadata } from "./core/internal-record.ts";
import { isSameHash } from "./core/keyed-hash.ts";
import { retryOnConflict } from "./core/retry-on-conflict.ts";
import { traceCall } from "./tracing/operation.ts";
import { parseLimit, parseOneOf } from "./options/arguments.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { nodeCrypto } from "../node-crypto.ts";

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
  /** When it stops to open anything; null: when it is revoked. */
  readonly expiresAt: Date | null;
  /** True from `expiresAt` on. The sweep removes an expired key after 30 days. */
  readonly expired: boolean;
  /** A use of the key at most an hour before its last one; null: none is recorded. */
  readonly lastUsedAt: Date | null;
}

/** Options of `create`. */
export interface NewKey {
  readonly name: string;
  /** @default "default" */
  readonly tenant?: string;
  /** @default "write" */
  readonly right?: KeyRight;
  /** How long it is valid; `"never"`: until it is revoked. @default "never" */
  readonly ttl?: Lifetime;
}

const newKeyNames: OptionNames<NewKey> = { name: true, tenant: true, right: true, ttl: true };

/** Which key `revoke` revokes. */
export interface RevokeKeyOptions {
  /** The tenant of the key. @default any */
  readonly tenant?: string;
}

const revokeNames: OptionNames<RevokeKeyOptions> = { tenant: true };

/** The metadata of a key's record. */
type Content = {
  readonly name: string;
  readonly tenant: string;
  readonly right: KeyRight;
  readonly hash: string;
  /** Epoch ms; absent in a key without an end. */
  readonly expiresAt?: number;
  /** Epoch ms; absent in a key that was not used. */
  readonly usedAt?: number;
};

/** The keys of all tenants are in one scope: a request with a key does not name its tenant. */
const scope = internalScope("", "keys");
/** An expired key is listed for this time, and its holder gets an error that says so. */
const listedMs = 30 * 86_400_000;
/** A use is recorded where the last recorded one is as old as this. */
const useIntervalMs = 3_600_000;
const rights: readonly KeyRight[] = ["read", "write", "admin"];

/**
 * Keys by which operators and programs reach a tenant's sessions over HTTP. The store has a hash of each. States of a key:
 * - valid. Exits: it is revoked; its time is up;
 * - expired, for 30 days. Exits: it is revoked; the sweep removes it;
 * - deleted: it is as unknown as a text that never was a key.
 */
export class Keys {
  readonly #core: Core;
  /** When this process last tried to record a use of a key, epoch ms: a store that refuses writes is not asked each time. */
  readonly #triedAt = new Map<string, number>();

  /** Made by `Sessions`. @internal */
  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * A new key; only this call returns its `token`.
   * @throws SessionError `id_invalid`, `argument_invalid`, `duration_invalid`
   */
  async create(key: NewKey): Promise<KeyInfo & { readonly token: string }> {
    return await traceCall({ operation: "keys.create", tenant: undefined }, async () => {
      const core = this.#core;
      core.guardOpen();
      guardNames(key, "keys.create", newKeyNames);
      const { name, tenant = "default", right = "write", ttl = "never" } = key;
      const ttlMs = parseLifetime(ttl, "ttl");
      parseNewId(name, "name");
      parseNewId(tenant, "tenant");
      parseOneOf(right, "right", rights);
      const { clock } = core.options;
      const id = sortableId(core.now(), clock.random(16));
      const secret = Buffer.from(clock.random(32)).toString("base64url");
      const token = `pdk_${id}_${secret}`;
      await core.learnTime();
      const now = core.now();
      const expiresAt = ttl === "never" ? undefined : now + ttlMs;
      const content: Content = { name, tenant, right, hash: hashOf(token).toString("hex"), ...defined({ expiresAt }) };
      const change = internalChange(core, keyOf(id), undefined, { metadata: content, ttlMs: ttlMs + listedMs, now });
      await core.commit([change]);
      return { ...infoOf({ id, createdAt: now }, content, now), token };
    });
  }

  /** One page of the keys, the newest first. @throws SessionError `argument_invalid` */
  async list(page: PageQuery = {}): Promise<Page<KeyInfo>> {
    return await traceCall({ operation: "keys.list", tenant: undefined }, async () => {
      guardNames(page, "page", pageNames);
      const { limit = 100, after } = page;
      const core = this.#core;
      core.guardOpen();
      const pageSize = parseLimit(limit, core.options.limits.pageMax);
      const { now } = await core.store.instances([]);
      const query = { order: "recent", tenant: scope, now, limit: pageSize } as const;
      const { records, next } = await core.store.find({ ...query, ...defined({ after }) });
      const items = records.flatMap((record) => {
        const content = contentOf(core, record);
        return content === undefined ? [] : [infoOf(record, content, now)];
      });
      return defined({ items, next });
    });
  }

  /** All keys, the newest first. */
  each(): AsyncGenerator<KeyInfo, void, undefined> {
    return eachItem((after) => this.list(after));
  }

  /**
   * The key opens nothing any more; false where there is none of this id, or with a `tenant`, none of that tenant.
   * @throws SessionError `id_invalid`, `argument_invalid`
   */
  async revoke(id: string, options: RevokeKeyOptions = {}): Promise<boolean> {
    return await traceCall({ operation: "keys.revoke", tenant: undefined }, async () => {
      guardNames(options, "options", revokeNames);
      const tenant = options.tenant === undefined ? undefined : parseId(options.tenant, "tenant");
      const key = keyOf(parseId(id, "key"));
      return await retryOnConflict({ sessionId: key.id, tenant: key.tenant }, async () => {
        const found = (await this.#core.find(key))?.record;
        if (found === undefined) return false;
        if (tenant !== undefined && contentOf(this.#core, found)?.tenant !== tenant) return false;
        // The other writer records a use of the key.
        return (await this.#core.commit([removeSession(found)])).status === "ok" ? true : undefined;
      });
    });
  }

  /**
   * The key that this token is of; null for a text that is none, and for a revoked key. It records the use of a key at most
   * once an hour, in the background.
   * @throws SessionError `key_expired`
   */
  async verify(token: string): Promise<KeyInfo | null> {
    return await traceCall({ operation: "keys.verify", tenant: undefined }, async () => {
      const core = this.#core;
      const id = /^pdk_([0-9a-z]{26})_[\w-]{43}$/.exec(token)?.[1];
      if (id === undefined) return null;
      const found = (await core.find(keyOf(id)))?.record;
      const content = contentOf(core, found);
      if (found === undefined || content === undefined) return null;
      if (!isSameHash(Buffer.from(content.hash, "hex"), hashOf(token))) return null;
      const info = infoOf(found, content, core.now());
      if (info.expired) throw new SessionError("key_expired", { id, expiresAt: content.expiresAt ?? 0 });
      this.#recordUse(found, content);
      return info;
    });
  }

  /** Record the use, unless a recent one is recorded. A use that cannot be recorded fails no request. */
  #recordUse(record: SessionRecord, content: Content): void {
    const now = this.#core.now();
    const lastAt = Math.max(content.usedAt ?? 0, this.#triedAt.get(record.id) ?? 0);
    if (now - lastAt < useIntervalMs) return;
    this.#triedAt.set(record.id, now);
    const draft = draftOf(record);
    set(draft, { metadata: { ...content, usedAt: now } });
    this.#core.commitAside(changeOf(draft));
  }
}

/** A token has 256 bits of chance: no slow hash is needed to keep it from being guessed. */
function hashOf(token: string): Buffer {
  return nodeCrypto().createHash("sha256").update(token).digest();
}

function keyOf(id: string): SessionKey {
  return { tenant: scope, id };
}

function contentOf(core: Core, record: SessionRecord | undefined): Content | undefined {
  return liveMetadata(core, record) as Content | undefined;
}

function infoOf(
  { id, createdAt }: Pick<SessionRecord, "id" | "createdAt">,
  { name, tenant, right, expiresAt, usedAt }: Content,
  now: number,
): KeyInfo {
  return {
    id,
    name,
    tenant,
    right,
    createdAt: new Date(createdAt),
    expiresAt: expiresAt === undefined ? null : new Date(expiresAt),
    expired: expiresAt !== undefined && now >= expiresAt,
    lastUsedAt: usedAt === undefined ? null : new Date(usedAt),
  };
}
