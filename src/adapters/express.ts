/**
 * Express. `expressStore`: the sessions of `express-session` in the store of Perdure. The program brings `express-session`.
 *
 * @module perdure/express
 */
import type { Sessions } from "../index.ts";
import { webSessionStore, type WebSessionStore } from "./web/session-store.ts";
import type { WebSessionsOptions } from "./web/web-sessions.ts";

export type { Callback, WebSessionStore } from "./web/session-store.ts";
export type { WebSession, WebSessionsOptions } from "./web/web-sessions.ts";

/** The package `express-session`, described by the class of its stores. */
export interface ExpressSession<Store extends object> {
  readonly Store: abstract new () => Store;
}

/**
 * A store for `session({ store })` of `express-session`. Pass the function that the package exports. The store emits `disconnect`
 * while the store of Perdure is away, and `connect` when it is back.
 * @throws SessionError `argument_invalid`, `id_invalid`, `duration_invalid`
 */
export function expressStore<Store extends object>(
  session: ExpressSession<Store>,
  sessions: Sessions,
  options: WebSessionsOptions = {},
): Store & WebSessionStore {
  const store = Reflect.construct(session.Store, []) as Store & { emit(event: string): void };
  return Object.assign(
    store,
    webSessionStore(sessions, options, (isThere) => store.emit(isThere ? "connect" : "disconnect")),
  );
}
