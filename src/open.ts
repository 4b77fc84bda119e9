import { defined } from "./domain/values/defined.ts";
import { hasCode, SessionError } from "./errors.ts";
import { traceCall } from "./sessions/tracing/operation.ts";
import { guardedSessionsOn, sessionsOn, type Sessions } from "./sessions/sessions.ts";
import { checkedOptions, type SessionsOptions } from "./sessions/options/options.ts";
import { takesAnySchema, type Access } from "./store/access.ts";
import { lateStore } from "./store/calls/lazy-store.ts";
import type { Store } from "./store/store.ts";
import { guardObject } from "./domain/values/option-names.ts";
import { invalidArgument } from "./domain/values/invalid-argument.ts";

/** Which store to open, and how its sessions behave. */
export interface OpenOptions extends SessionsOptions {
  /**
   * `sqlite:FILE`, `postgres://…`, `memory:`, or a store of your own.
   * @default "sqlite:perdure.db"
   */
  readonly store?: string | Store;
  /**
   * The fallback while the store cannot be reached: continue in temporary sessions whose `durable` is false, and replay
   * their turns later, each once. `"stateless"` buffers them in memory, an outbox in a local file (`{ outbox:
   * "sqlite:outbox.db" }`) also across a restart.
   * @default fail with `store_unavailable`
   */
  readonly fallback?: "stateless" | { readonly outbox: string };
}

const schemes = ["sqlite:", "postgres:", "memory:"];

/**
 * Opens the sessions of a store: `await openSessions("sqlite:perdure.db")`.
 * @throws SessionError `store_scheme_unknown`, the errors of the store, `argument_invalid` for invalid options,
 *   `secret_mismatch` if the store was written under another secret
 */
export async function openSessions(target: string | OpenOptions = {}): Promise<Sessions> {
  return await traceCall({ operation: "open", tenant: undefined }, () => open(target));
}

/** @throws SessionError `argument_invalid` for what is neither a URL nor options */
export function openOptions(target: string | OpenOptions): OpenOptions {
  if (typeof target === "string") return { store: target };
  guardObject(target, "options");
  return target;
}

async function open(target: string | OpenOptions): Promise<Sessions> {
  const { store = "sqlite:perdure.db", fallback, ...options } = openOptions(target);
  // Wrong options make no store.
  checkedOptions(options);
  const outbox = fallback === undefined ? undefined : await openOutbox(fallback, options);
  if (typeof store !== "string") guardStore(store);
  if (typeof store !== "string") return await guardedSessionsOn(store, options, outbox);
  const { opened, isLate } = outbox === undefined ? await openAtOnce(store, options) : await openOrLate(store, options);
  // The secret is compared once the store can be reached.
  if (isLate) return sessionsOn(opened, options, outbox);
  try {
    return await guardedSessionsOn(opened, options, outbox);
  } catch (error) {
    await opened.close();
    await outbox?.close();
    throw error;
  }
}

/** @throws SessionError `argument_invalid` for what is neither a URL nor a store */
function guardStore(store: Store): void {
  const { capabilities, commit } = Object(store) as Partial<Store>;
  if (typeof commit !== "function" || typeof capabilities !== "object")
    throw invalidArgument("store", store, { expected: "store" });
}

interface Opened {
  readonly opened: Store;
  /** The store was away. */
  readonly isLate: boolean;
}

async function openAtOnce(url: string, options: SessionsOptions): Promise<Opened> {
  return { opened: await openStore(url, options), isLate: false };
}

/**
 * The outbox for turns of the fallback.
 * @throws SessionError `argument_invalid`, and as opening an SQLite file
 */
async function openOutbox(fallback: NonNullable<OpenOptions["fallback"]>, options: SessionsOptions): Promise<Store> {
  if (fallback === "stateless") return await openStore("memory:", options);
  const url: unknown = typeof fallback === "object" ? (fallback as { outbox?: unknown } | null)?.outbox : fallback;
  if (typeof url === "string" && /^sqlite:/i.test(url)) return await openStore(url, options);
  throw invalidArgument("fallback", typeof url === "string" ? redact(url) : url, { expected: "outbox" });
}

/** Opens the store, or opens it lazily: with a fallback, an unreachable store must not fail the start. */
async function openOrLate(url: string, options: SessionsOptions): Promise<Opened> {
  try {
    return { opened: await openStore(url, options, impatience), isLate: false };
  } catch (error) {
    if (!hasCode(error, "store_unavailable")) throw error;
    const assumed = {
      durable: true,
      shared: true,
      batchMax: 256,
      lanes: 1,
      scrubs: false,
      searches: true,
      folder: null,
    };
    return { opened: lateStore(() => openStore(url, options, impatience), assumed), isLate: true };
  }
}

/** Shorter timeouts for a store with a fallback. */
const impatience = { connectTimeout: "2s", attempt: "3s", deadline: "5s" } as const;

/** Engines are imported on demand, so that unused drivers are not loaded. */
export async function openStore(
  url: string,
  { clock }: Pick<SessionsOptions, "clock"> = {},
  { access = "create", ...patience }: Partial<typeof impatience> & { readonly access?: Access } = {},
): Promise<Store> {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0].toLowerCase();
  switch (scheme) {
    case "sqlite:": {
      const { openSqlite } = await import("./store/sqlite/open.ts").catch(explainOldNode);
      return await openSqlite({ url, access, ...defined({ clock }) });
    }
    case "postgres:":
    case "postgresql:": {
      const { openPostgres } = await import("./store/postgres/open.ts");
      if (access === "create") return await openPostgres({ url, ...unlessInUrl(patience, url) });
      // Without the check of the schema at the start, which `serverless` leaves out, an older schema can be opened.
      return await openPostgres({ url, migrate: false, ...(takesAnySchema(access) ? { serverless: true } : {}) });
    }
    case "memory:": {
      const { openMemory } = await import("./store/memory.ts");
      return openMemory(defined({ clock }));
    }
    default:
      throw new SessionError("store_scheme_unknown", { url: redact(url), known: schemes });
  }
}

/** The timeouts that the URL does not set. */
function unlessInUrl(patience: Partial<typeof impatience>, url: string): Partial<typeof impatience> {
  const named = new URLSearchParams(url.split("?", 2)[1]);
  return Object.fromEntries(Object.entries(patience).filter(([name]) => !named.has(name)));
}

/** Older versions of Node have no SQLite. */
function explainOldNode(cause: unknown): never {
  const { code } = cause as { readonly code?: unknown };
  if (code !== "ERR_UNKNOWN_BUILTIN_MODULE") throw cause;
  throw new SessionError("store_unavailable", { problem: "node_too_old", node: process.versions.node }, { cause });
}

/** A URL for error messages: without credentials. */
function redact(url: string): string {
  return url.replace(/\/\/[^@/]*@/, "//***@").slice(0, 200);
}
