/**
 * Sessions of web frameworks as documents. Requests of one browser that run at once change the same document: each of them writes
 * the fields that it has changed since it read them, so none takes back what another one wrote.
 */
import { encode } from "../../domain/values/codec.ts";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { defined } from "../../domain/values/defined.ts";
import { durationMaxMs } from "../../domain/values/limits.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { Sessions, type Document, type Documents, type Value } from "../../index.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** Options of a store of web sessions. */
export interface WebSessionsOptions {
  /** The scope of the documents. @default "web-sessions" */
  readonly scope?: string;
  /** The time to live of a session whose cookie has no end of its own. @default "1d" */
  readonly ttl?: Duration;
}

/** The fields of a web session. */
export interface WebSession {
  cookie: {
    /** The lifetime of the cookie, ms. */
    originalMaxAge?: number | null;
    expires?: Date | string | null;
    [attribute: string]: unknown;
  };
  [field: string]: unknown;
}

const optionNames: OptionNames<WebSessionsOptions> = { scope: true, ttl: true };

/** A session that is read again and again is prolonged so often, or every tenth of a shorter lifetime. */
const touchEveryMs = 60_000;
/** The last prolongations that this process remembers. */
const recentMax = 10_000;

/**
 * Has the name of the field in which a session carries the state that it was read in. The frameworks copy the fields of a session
 * to an object of their own, and compare sessions as JSON, in which this field does not occur.
 */
const carrier = "~perdure";

/** A session as a request has read or written it. */
class Seen {
  /** Tells the session from a later one with the same id. */
  readonly birth: string;
  /** Each field as text. */
  texts: ReadonlyMap<string, string>;
  expiresAt: number;

  constructor(birth: string, texts: ReadonlyMap<string, string>, expiresAt: number) {
    this.birth = birth;
    this.texts = texts;
    this.expiresAt = expiresAt;
  }

  toJSON(): undefined {
    return undefined;
  }
}

/** The fields of a session as they are stored. */
type Fields = { readonly cookie: Value; readonly [field: string]: Value };

type Stored = { readonly birth: string; readonly fields: Fields };

/** Web sessions by their ids. The store has a hash of each id, so a stolen database opens no session. */
export class WebSessions {
  readonly #documents: Documents;
  readonly #ttlMs: number;
  /** Sessions that were written by this object, and are still in memory. */
  readonly #seen = new WeakMap<object, Seen>();
  /** By key, the last times at which this process prolonged a session, oldest first. */
  readonly #touched = new Map<string, { readonly at: number; readonly ttlMs: number }>();

  constructor(sessions: Sessions, options: WebSessionsOptions = {}) {
    if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
    guardNames(options, "options", optionNames);
    const { scope = "web-sessions", ttl = "1d" } = options;
    this.#documents = sessions.documents(scope);
    this.#ttlMs = parseDuration(ttl, "ttl");
  }

  /** The session with this id; null if there is none, or it has expired. */
  async get(id: string): Promise<WebSession | null> {
    const document = await this.#documents.get(keyOf(id));
    return document === null ? null : sessionOf(document);
  }

  /**
   * Write the session. One that was read before is written only where it still exists: a session that was destroyed stays
   * destroyed. Of a field that two requests have changed, the value that is written last stays.
   * @throws SessionError `value_unstorable` with the path of the value, `document_too_large`
   */
  async set(id: string, session: object): Promise<void> {
    const key = keyOf(id);
    const fields = fieldsOf(session);
    const texts = textsOf(fields);
    const ttlMs = this.#ttlOf(fields);
    const seen = this.#seenOf(session);
    if (ttlMs <= 0) {
      await this.#documents.delete(key);
      return;
    }
    if (seen === undefined) {
      const birth = crypto.randomUUID();
      await this.#documents.put(key, { birth, fields }, { ttl: ttlMs });
      this.#seen.set(session, new Seen(birth, texts, Date.now() + ttlMs));
      this.#noteTouch(key, ttlMs);
      return;
    }
    const changed = Object.entries(fields).filter(([name]) => texts.get(name) !== seen.texts.get(name));
    const removed = new Set([...seen.texts.keys()].filter((name) => !texts.has(name)));
    if (changed.length === 0 && removed.size === 0) {
      await this.#prolong(key, seen, ttlMs);
      return;
    }
    await this.#documents.update(
      key,
      (value) => {
        const stored = value as Stored | undefined;
        if (stored?.birth !== seen.birth) return undefined;
        const kept = Object.entries(stored.fields).filter(([name]) => !removed.has(name));
        return { birth: seen.birth, fields: Object.fromEntries([...kept, ...changed]) };
      },
      { ttl: ttlMs },
    );
    // The next write compares with what this object has, which lacks the fields that others wrote.
    seen.texts = texts;
    seen.expiresAt = Date.now() + ttlMs;
    this.#noteTouch(key, ttlMs);
  }

  /**
   * Prolong the session, at most once a minute; one that does not exist is not revived. A framework that compares sessions as JSON
   * takes one with a new function for unchanged, and touches it.
   * @throws SessionError `value_unstorable` with the path of the value
   */
  async touch(id: string, session: object): Promise<void> {
    const fields = fieldsOf(session);
    textsOf(fields);
    await this.#prolong(keyOf(id), this.#seenOf(session), this.#ttlOf(fields));
  }

  /** Delete the session. */
  async destroy(id: string): Promise<void> {
    const key = keyOf(id);
    this.#touched.delete(key);
    await this.#documents.delete(key);
  }

  /** All sessions. */
  async all(): Promise<WebSession[]> {
    return await Array.fromAsync(this.#documents.each(), sessionOf);
  }

  async length(): Promise<number> {
    return await this.#documents.count();
  }

  /** Delete all sessions. */
  async clear(): Promise<void> {
    for (;;) {
      const { items, unreadable = [] } = await this.#documents.list();
      const keys = [...items.map(({ key }) => key), ...unreadable];
      if (keys.length === 0) return;
      await this.#documents.write(keys.map((key) => ({ key, delete: true as const })));
    }
  }

  /** Fails while the store is away. */
  async ping(): Promise<void> {
    await this.#documents.get("ping");
  }

  async #prolong(key: string, seen: Seen | undefined, ttlMs: number): Promise<void> {
    const now = Date.now();
    const everyMs = Math.min(touchEveryMs, ttlMs / 10);
    const isNear = (a: number, b: number): boolean => Math.abs(a - b) < everyMs;
    if (seen !== undefined && isNear(now + ttlMs, seen.expiresAt)) return;
    const last = this.#touched.get(key);
    if (last !== undefined && isNear(now, last.at) && isNear(ttlMs, last.ttlMs)) return;
    this.#noteTouch(key, ttlMs);
    try {
      if (ttlMs > 0) await this.#documents.touch(key, ttlMs);
      else await this.#documents.delete(key);
    } catch (error) {
      this.#touched.delete(key);
      throw error;
    }
  }

  #noteTouch(key: string, ttlMs: number): void {
    this.#touched.delete(key);
    this.#touched.set(key, { at: Date.now(), ttlMs });
    if (this.#touched.size <= recentMax) return;
    const [oldest = ""] = this.#touched.keys();
    this.#touched.delete(oldest);
  }

  #seenOf(session: object): Seen | undefined {
    const carried = (session as Partial<WebSession>)[carrier];
    return this.#seen.get(session) ?? (carried instanceof Seen ? carried : undefined);
  }

  /** The time to live, ms; not above 0 for a cookie that has expired. */
  #ttlOf({ cookie }: Fields): number {
    const { originalMaxAge, expires } = cookie as unknown as WebSession["cookie"];
    if (typeof originalMaxAge === "number") return Math.min(originalMaxAge, durationMaxMs);
    if (expires === null || expires === undefined) return this.#ttlMs;
    const end = new Date(expires).getTime();
    if (Number.isNaN(end)) throw invalidArgument("cookie.expires", expires, { expected: "date" });
    return Math.min(end - Date.now(), durationMaxMs);
  }
}

/** True for a session that can be stored, whatever its size. */
export function isStorable(session: object): boolean {
  try {
    textsOf(fieldsOf(session));
    return true;
  } catch {
    // `set` and `touch` throw the error.
    return false;
  }
}

function keyOf(id: string): string {
  if (typeof id !== "string") throw invalidArgument("sid", id, { expected: "text" });
  return nodeCrypto().createHash("sha256").update(JSON.stringify(id)).digest("base64url");
}

function fieldsOf(session: object): Fields {
  const { cookie } = session as { readonly cookie: object & { toJSON?(): object } };
  const attributes: { originalMaxAge?: unknown; expires?: unknown; originalExpires?: unknown } =
    cookie.toJSON?.() ?? cookie;
  const { expires: _, originalExpires: __, ...rest } = attributes;
  // The end of a cookie with a lifetime moves with each request: the document has it, and it is no change of the session.
  const own = { ...session, cookie: defined(typeof rest.originalMaxAge === "number" ? rest : { ...attributes }) };
  const kept = Object.entries(own).filter(([name, value]) => name !== carrier && value !== undefined);
  return Object.fromEntries(kept) as Fields;
}

function textsOf(fields: object): ReadonlyMap<string, string> {
  return new Map(Object.entries(fields).map(([name, value]) => [name, encode(value, name)]));
}

function sessionOf({ value, expiresAt }: Document): WebSession {
  const { birth, fields } = value as unknown as Stored;
  const { cookie, ...rest } = fields as unknown as WebSession;
  const end = expiresAt?.getTime() ?? 0;
  // The store found it alive, also if its clock is behind that of this machine.
  const expires =
    typeof cookie.originalMaxAge === "number" ? { expires: new Date(Math.max(end, Date.now() + 1000)) } : {};
  return { ...rest, cookie: { ...cookie, ...expires }, [carrier]: new Seen(birth, textsOf(fields), end) };
}
