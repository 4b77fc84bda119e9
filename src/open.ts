import { SessionError } from "./errors.ts";
import { Sessions } from "./sessions/sessions.ts";
import type { SessionsOptions } from "./sessions/options.ts";
import type { Store } from "./store/store.ts";

/** Where sessions are kept, and how they behave. */
export interface OpenOptions extends SessionsOptions {
  /** `sqlite:FILE`, `postgres://…`, `memory:`, or a store of your own. @default "sqlite:perdure.db" */
  readonly store?: string | Store;
}

const schemes = ["sqlite:", "postgres:", "memory:"];

/**
 * Open the sessions of a store: `await openSessions("sqlite:chat.db")`.
 * @throws SessionError `store_scheme_unknown`, those of the store's opening, `argument_invalid` for wrong options
 */
export async function openSessions(target: string | OpenOptions = {}): Promise<Sessions> {
  const { store = "sqlite:perdure.db", ...options } = typeof target === "string" ? { store: target } : target;
  return Sessions.on(typeof store === "string" ? await openStore(store, options) : store, options);
}

/** Engines are imported when they are asked for, so that nobody loads a driver for a store that is not theirs. */
async function openStore(url: string, { clock }: SessionsOptions): Promise<Store> {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0].toLowerCase();
  switch (scheme) {
    case "sqlite:": {
      const { openSqlite } = await import("./store/sqlite/open.ts");
      return await openSqlite({ url, ...(clock === undefined ? {} : { clock }) });
    }
    case "postgres:":
    case "postgresql:": {
      const { openPostgres } = await import("./store/postgres/open.ts");
      return await openPostgres({ url });
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
