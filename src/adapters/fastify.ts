/**
 * Fastify. `fastifyStore`: the sessions of `@fastify/session` in the store of Perdure.
 *
 * @module perdure/fastify
 */
import type { Sessions } from "../index.ts";
import { webSessionStore, type Callback } from "./web/session-store.ts";
import type { WebSessionsOptions } from "./web/web-sessions.ts";

export type { Callback } from "./web/session-store.ts";
export type { WebSessionsOptions } from "./web/web-sessions.ts";

/** The methods that `@fastify/session` calls. */
export interface FastifySessionStore {
  /** The result is a session with the fields that the application has declared. */
  get(sid: string, callback: Callback<never>): void;
  set(sid: string, session: object, callback?: Callback): void;
  destroy(sid: string, callback?: Callback): void;
}

/**
 * A store for the option `store` of `@fastify/session`.
 * @throws SessionError `argument_invalid`, `id_invalid`, `duration_invalid`
 */
export function fastifyStore(sessions: Sessions, options: WebSessionsOptions = {}): FastifySessionStore {
  const { get, set, destroy } = webSessionStore(sessions, options, () => undefined);
  return { get: get as FastifySessionStore["get"], set, destroy };
}
