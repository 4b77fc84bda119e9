/** Web sessions with callbacks, as `express-session` and `@fastify/session` call a store. */
import { hasCode, type Sessions } from "../../index.ts";
import { WebSessions, type WebSession, type WebSessionsOptions } from "./web-sessions.ts";

/** Called once, with an error or a result. */
export type Callback<Result = void> = (error?: unknown, result?: Result) => void;

/** The methods that `express-session` and `@fastify/session` call. */
export interface WebSessionStore {
  get(this: void, sid: string, callback: Callback<WebSession | null>): void;
  set(this: void, sid: string, session: object, callback?: Callback): void;
  destroy(this: void, sid: string, callback?: Callback): void;
  touch(this: void, sid: string, session: object, callback?: Callback): void;
  all(this: void, callback: Callback<WebSession[]>): void;
  length(this: void, callback: Callback<number>): void;
  clear(this: void, callback?: Callback): void;
}

/** How often the store is asked whether it is back, ms. */
const pingEveryMs = 1000;

/**
 * A store of web sessions. `changed` gets false when a call finds the store away, and true when it is back, each once.
 * @throws SessionError `argument_invalid`, `id_invalid`, `duration_invalid`
 */
export function webSessionStore(
  sessions: Sessions,
  options: WebSessionsOptions,
  changed: (isThere: boolean) => void,
): WebSessionStore {
  const web = new WebSessions(sessions, options);
  let isThere = true;
  const ping = (): void => {
    setTimeout(() => {
      web.ping().then(
        () => {
          isThere = true;
          changed(true);
        },
        (error: unknown) => {
          if (!hasCode(error, "closed")) ping();
        },
      );
    }, pingEveryMs).unref();
  };
  const answer = <Result>(work: () => Promise<Result>, callback: Callback<Result> | undefined): void => {
    // A callback that throws is no failure of the store.
    work().then(
      (result) => process.nextTick(() => callback?.(null, result)),
      (error: unknown) => {
        if (isThere && hasCode(error, "store_unavailable")) {
          isThere = false;
          changed(false);
          ping();
        }
        process.nextTick(() => callback?.(error));
      },
    );
  };
  return {
    get: (sid, callback) => answer(() => web.get(sid), callback),
    set: (sid, session, callback) => answer(() => web.set(sid, session), callback),
    destroy: (sid, callback) => answer(() => web.destroy(sid), callback),
    touch: (sid, session, callback) => answer(() => web.touch(sid, session), callback),
    all: (callback) => answer(() => web.all(), callback),
    length: (callback) => answer(() => web.length(), callback),
    clear: (callback) => answer(() => web.clear(), callback),
  };
}
