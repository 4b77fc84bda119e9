import { hasCode, SessionError } from "./errors.ts";
import { perform } from "./sessions/tracing/operation.ts";
import { Sessions } from "./sessions/sessions.ts";
import type { SessionsOptions } from "./sessions/options/options.ts";
import { lateStore } from "./store/calls/lazy-store.ts";
import type { Store } from "./store/store.ts";

/** Where sessions are kept, and how they behave. */
export interface OpenOptions extends SessionsOptions {
  /** `sqlite:FILE`, `postgres://…`, `memory:`, or a store of your own. @default "sqlite:perdure.db" */
  readonly store?: string | Store;
  /**
   * What to do where the store cannot be reached: go on in sessions without memory, whose `durable` is false, and tell the
   * store later what was said, once. `"stateless"` keeps it in memory until then, an outbox in a file of this machine
   * (`{ outbox: "sqlite:outbox.db" }`) also over the end of the process. @default fail with `store_unavailable`
   */
  readonly fallback?: "stateless" | { readonly outbox: string };
}

const schemes = ["sqlite:", "postgres:", "memory:"];

/**
 * Open the sessions of a store: `await openSessions("sqlite:chat.db")`.
 * @throws SessionError `store_scheme_unknown`, those of the store's opening, `argument_invalid` for wrong options
 */
export async function openSessions(target: string | OpenOptions = {}): Promise<Sessions> {
  return await perform({ operation: "open", tenant: undefined }, () => open(target));
}

async function open(target: string | OpenOptions): Promise<Sessions> {
  const { store = "sqlite:perdure.db", fallback, ...options } = typeof target === "string" ? { store: target } : target;
  if (fallback === undefined) {
    return Sessions.on(typeof store === "string" ? await openStore(store, options) : store, options);
  }
  const outbox = await openOutbox(fallback, options);
  return Sessions.on(typeof store === "string" ? await openOrLate(store, options) : store, options, outbox);
}

/** Where what was said waits for the store. @throws SessionError `argument_invalid`, and as opening an SQLite file */
async function openOutbox(fallback: NonNullable<OpenOptions["fallback"]>, options: SessionsOptions): Promise<Store> {
  if (fallback === "stateless") return await openStore("memory:", options);
  const url: unknown = typeof fallback === "object" ? fallback.outbox : fallback;
  if (typeof url === "string" && /^sqlite:/i.test(url)) return await openStore(url, options);
  const expected = '"stateless", or { outbox: "sqlite:FILE" } on a disk of this machine';
  throw new SessionError("argument_invalid", {
    name: "fallback",
    value: typeof url === "string" ? redact(url) : typeof url,
    expected,
  });
}

/** The store, or one that is opened once it can be reached: what falls back must not fail at its start either. */
async function openOrLate(url: string, options: SessionsOptions): Promise<Store> {
  try {
    return await openStore(url, options, impatience);
  } catch (error) {
    if (!hasCode(error, "store_unavailable")) throw error;
    const assumed = { durable: true, shared: true, batchMax: 128, lanes: 1, scrubs: false };
    return lateStore(() => openStore(url, options, impatience), assumed);
  }
}

/** Who has something to fall back on does not wait half a minute for the database. */
const impatience = { connectTimeout: "2s", attempt: "3s", deadline: "5s" } as const;

/** Engines are imported when they are asked for, so that nobody loads a driver for a store that is not theirs. */
export async function openStore(
  url: string,
  { clock }: Pick<SessionsOptions, "clock"> = {},
  patience: Partial<typeof impatience> = {},
): Promise<Store> {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0].toLowerCase();
  switch (scheme) {
    case "sqlite:": {
      const { openSqlite } = await import("./store/sqlite/open.ts");
      return await openSqlite({ url, ...(clock === undefined ? {} : { clock }) });
    }
    case "postgres:":
    case "postgresql:": {
      const { openPostgres } = await import("./store/postgres/open.ts");
      return await openPostgres({ url, ...patience });
    }
    case "memory:": {
      const { openMemory } = await import("./store/memory.ts");
      return openMemory(clock === undefined ? {} : { clock });
    }
    default:
      throw new SessionError("store_scheme_unknown", { url: redact(url), known: schemes });
  }
}

/** A URL as an error message may show it: without what stands before its host. */
function redact(url: string): string {
  return url.replace(/\/\/[^@/]*@/, "//***@").slice(0, 200);
}
