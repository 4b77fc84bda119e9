/** Sessions that several parts of a process share: one store, one pool of connections, one sweep. */
import { invalidArgument } from "./domain/values/invalid-argument.ts";
import { parseId } from "./domain/values/ids.ts";
import { openOptions, openSessions, type OpenOptions } from "./open.ts";
import { viewOf, type Sessions } from "./sessions/sessions.ts";

interface Shared {
  readonly options: OpenOptions;
  readonly opening: Promise<Sessions>;
  users: number;
}

/** By the URL of the store. */
const shared = new Map<string, Shared>();

/**
 * Opens the sessions of a store, or shares those that this process has opened by the same URL. Each call is paired with one
 * `close`; the last one closes the store. Calls may differ in `tenant` alone.
 * @throws SessionError `argument_invalid` for another option than that of the first call, and for a store that is no URL;
 *   as `openSessions`
 */
export async function sharedSessions(target: string | OpenOptions = {}): Promise<Sessions> {
  const { store = "sqlite:perdure.db", tenant = "default", ...rest } = openOptions(target);
  if (typeof store !== "string") throw invalidArgument("store", store, { expected: "url" });
  parseId(tenant, "tenant");
  const options: OpenOptions = { store, ...rest };
  const known = shared.get(store);
  if (known !== undefined) guardSame(known.options, options);
  const entry: Shared = known ?? { options, opening: openSessions(options), users: 0 };
  shared.set(store, entry);
  entry.users++;
  try {
    const sessions = await entry.opening;
    return viewOf(sessions, tenant, () => leave(store, entry));
  } catch (error) {
    forget(store, entry);
    throw error;
  }
}

async function leave(store: string, entry: Shared): Promise<void> {
  if (--entry.users > 0) return;
  forget(store, entry);
  await (await entry.opening).close();
}

/** A later call opens the store again. */
function forget(store: string, entry: Shared): void {
  if (shared.get(store) === entry) shared.delete(store);
}

function guardSame(first: OpenOptions, later: OpenOptions): void {
  // Node takes 4 ms to import this module, so it is loaded by the second call, and not by every import of the library.
  const { isDeepStrictEqual } = process.getBuiltinModule("node:util");
  const names = new Set([...Object.keys(first), ...Object.keys(later)]) as Set<keyof OpenOptions>;
  for (const name of names) {
    if (isDeepStrictEqual(first[name], later[name])) continue;
    throw invalidArgument("options", name, { expected: "shared_option" });
  }
}
