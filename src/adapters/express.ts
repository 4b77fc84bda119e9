/**
 * Express. `perdure`: a middleware that puts the session of the user, or of the device, on each request. `expressStore`: the sessions
 * of `express-session` in the store of Perdure; the program brings that package.
 *
 * @module perdure/express
 */
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { SessionError, type Sessions } from "../index.ts";
import { cookieName, cookiesNamed, setCookie } from "./web/device-cookie.ts";
import {
  problemParts,
  requestIdHeader,
  requestIdOf,
  RequestSession,
  settingsOf,
  underId,
  type PerdureOptions,
} from "./web/request-session.ts";
import { webSessionStore, type Callback, type WebSessionStore } from "./web/session-store.ts";
import { isStorable, type WebSessionsOptions } from "./web/web-sessions.ts";

export type { Callback, WebSessionStore } from "./web/session-store.ts";
export type { WebSession, WebSessionsOptions } from "./web/web-sessions.ts";

export { RequestSession, type PerdureOptions, type UserOf } from "./web/request-session.ts";

declare global {
  namespace Express {
    interface Request {
      /** The session of the user, or of the device. */
      perdure: RequestSession;
    }
  }
}

/** A request of Express, and of every server of `node:http`, as far as it is read here. */
export interface ExpressRequestLike {
  readonly headers: { readonly [name: string]: string | string[] | undefined };
}

/** A response of Express, and of every server of `node:http`, described by the methods that are called. */
export interface ExpressResponseLike {
  readonly headersSent: boolean;
  setHeader(name: string, value: string): unknown;
  appendHeader(name: string, value: string): unknown;
  writeHead(status: number, headers: { readonly "content-type": string }): { end(body: string): unknown };
}

/** A middleware of Express, and of every server that has `(request, response, next)`. */
export type ExpressHandler<Request extends ExpressRequestLike> = (
  request: Request,
  response: ExpressResponseLike,
  next: (error?: unknown) => void,
) => void;

/**
 * A middleware that sets `req.perdure`.
 * @throws SessionError `argument_invalid`, `secret_missing`
 */
export function perdure<Request extends ExpressRequestLike>(
  sessions: Sessions,
  options: PerdureOptions<Request> = {},
): ExpressHandler<Request> {
  const settings = settingsOf(sessions, options);
  const { user, isSecure } = settings;
  return (request, response, next) => {
    const id = requestIdOf(request.headers[requestIdHeader]);
    const { cookie } = request.headers;
    const session = new RequestSession(settings, {
      id,
      cookies: cookiesNamed(cookieName(isSecure), typeof cookie === "string" ? cookie : undefined),
      user: user && (() => user(request)),
      giveCookie: (sealed) => void response.appendHeader("set-cookie", setCookie(sealed, isSecure)),
    });
    Object.assign(request, { perdure: session });
    response.setHeader(requestIdHeader, id);
    underId(id, () => next());
  };
}

/**
 * A handler of errors, behind all routes: a SessionError about the request, such as a conflict, becomes a response with the status of
 * its code. Other errors go to the next handler.
 */
export function perdureErrors(): (
  error: unknown,
  request: ExpressRequestLike,
  response: ExpressResponseLike,
  next: (error?: unknown) => void,
) => void {
  return (error, request, response, next) => {
    const { perdure: session } = request as unknown as { readonly perdure?: RequestSession };
    if (!(error instanceof SessionError) || error.status >= 500 || response.headersSent) {
      next(error);
      return;
    }
    const { status, type, body } = problemParts(error, session?.requestId ?? requestIdOf(undefined));
    response.writeHead(status, { "content-type": type }).end(body);
  };
}

/** The package `express-session`, described by the class of its stores. */
export interface ExpressSession<Store extends object> {
  readonly Store: abstract new () => Store;
}

/** A session of `express-session`: its request, and the response that Express puts on it. */
interface ExpressSessionFields {
  readonly req?: { readonly res?: { readonly headersSent: boolean; statusCode: number } };
}

/** The names of the callbacks that `express-session` passes where a response ends. A `save` of the program has its own callback. */
const endOfResponse: ReadonlySet<string> = new Set(["onsave", "ontouch"]);

/**
 * Gives a response the status 500 that ends with a session which cannot be stored: `express-session` passes the error to handlers
 * of errors alone, and sends the response as the program made it.
 */
function refuseResponse(session: object, callback: Callback | undefined): void {
  const response = (session as ExpressSessionFields).req?.res;
  const isEnd = callback !== undefined && endOfResponse.has(callback.name);
  if (isEnd && response?.headersSent === false && !isStorable(session)) response.statusCode = 500;
}

/**
 * A store for `session({ store })` of `express-session`. Pass the function that the package exports. The store emits `disconnect`
 * while the store of Perdure is away, and `connect` when it is back. A response whose session has a value that cannot be stored gets
 * the status 500.
 * @throws SessionError `argument_invalid`, `id_invalid`, `duration_invalid`
 */
export function expressStore<Store extends object>(
  session: ExpressSession<Store>,
  sessions: Sessions,
  options: WebSessionsOptions = {},
): Store & WebSessionStore {
  const { Store } = Object(session) as Partial<typeof session>;
  if (typeof Store !== "function") throw invalidArgument("session.Store", Store, { expected: "function" });
  const store = Reflect.construct(Store, []) as Store & { emit(event: string): void };
  const web = webSessionStore(sessions, options, (isThere) => store.emit(isThere ? "connect" : "disconnect"));
  return Object.assign(store, web, {
    set: (sid: string, fields: object, callback?: Callback) => {
      refuseResponse(fields, callback);
      web.set(sid, fields, callback);
    },
    touch: (sid: string, fields: object, callback?: Callback) => {
      refuseResponse(fields, callback);
      web.touch(sid, fields, callback);
    },
  });
}
