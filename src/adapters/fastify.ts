/**
 * Fastify. `perdure`: a plugin that puts the session of the user, or of the device, on each request. `fastifyStore`: the sessions of
 * `@fastify/session` in the store of Perdure.
 *
 * @module perdure/fastify
 */
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
import { webSessionStore, type Callback } from "./web/session-store.ts";
import type { WebSessionsOptions } from "./web/web-sessions.ts";

export type { Callback } from "./web/session-store.ts";
export type { WebSessionsOptions } from "./web/web-sessions.ts";

export { RequestSession, type PerdureOptions, type UserOf } from "./web/request-session.ts";

/** A request of Fastify, as far as it is read here. */
export interface FastifyRequestLike {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** A reply of Fastify, described by the methods that are called. */
export interface FastifyReplyLike {
  readonly sent: boolean;
  header(name: string, value: string): unknown;
  code(status: number): unknown;
  send(body: unknown): unknown;
}

/** A hook of Fastify. */
export type FastifyHook<Request> = (request: Request, reply: FastifyReplyLike, done: () => void) => void;

/** An instance of Fastify, described by the methods that are called. */
export interface FastifyLike<Request> {
  decorateRequest(name: "perdure", value: null): unknown;
  addHook(name: "onRequest" | "preHandler", hook: FastifyHook<Request>): unknown;
}

/**
 * A plugin that sets `request.perdure`, for all routes of the instance that it is registered on and of those below.
 * @throws SessionError `argument_invalid`, `secret_missing`
 */
export function perdure<Request extends FastifyRequestLike>(
  sessions: Sessions,
  options: PerdureOptions<Request> = {},
): (instance: FastifyLike<Request>, given: unknown, done: () => void) => void {
  const settings = settingsOf(sessions, options);
  const { user, isSecure } = settings;
  const plugin = (instance: FastifyLike<Request>, _: unknown, done: () => void): void => {
    instance.decorateRequest("perdure", null);
    instance.addHook("onRequest", (request, reply, next) => {
      const id = requestIdOf(request.headers[requestIdHeader]);
      const { cookie } = request.headers;
      const session = new RequestSession(settings, {
        id,
        cookies: cookiesNamed(cookieName(isSecure), typeof cookie === "string" ? cookie : undefined),
        user: user && (() => user(request)),
        giveCookie: (sealed) => void reply.header("set-cookie", setCookie(sealed, isSecure)),
      });
      Object.assign(request, { perdure: session });
      reply.header(requestIdHeader, id);
      next();
    });
    // Behind the parser of bodies, which loses the context of the request.
    instance.addHook("preHandler", (request, _reply, next) => {
      underId((request as unknown as { readonly perdure: RequestSession }).perdure.requestId, next);
    });
    done();
  };
  // Fastify then adds the plugin to the instance itself, not to a scope of its own.
  return Object.assign(plugin, {
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: "perdure",
  });
}

/**
 * A handler of errors for `setErrorHandler`: a SessionError, such as a conflict, becomes a response with the status of its code. Other
 * errors go to the handler that Fastify has by default.
 */
export function perdureErrors(): (error: unknown, request: FastifyRequestLike, reply: FastifyReplyLike) => void {
  return (error, request, reply) => {
    if (!(error instanceof SessionError)) throw error;
    const { perdure: session, log } = request as {
      readonly perdure?: RequestSession;
      readonly log?: { error(error: unknown): void };
    };
    if (error.status >= 500) log?.error(error);
    const { status, type, body } = problemParts(error, session?.requestId ?? requestIdOf(undefined));
    reply.code(status);
    reply.header("content-type", type);
    reply.send(body);
  };
}

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
