/**
 * Hono. `perdure`: a middleware that puts the session of the user, or of the device, on each request.
 *
 * @module perdure/hono
 */
import type { Context, MiddlewareHandler } from "hono";
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

export { RequestSession, type PerdureOptions, type UserOf } from "./web/request-session.ts";

/** The variables of a request behind the middleware. */
export interface PerdureVariables {
  readonly Variables: { perdure: RequestSession };
}

/**
 * A middleware that sets `c.var.perdure`. A SessionError that a handler throws, such as a conflict, becomes a response with the status
 * of its code, unless `app.onError` has chosen one.
 * @throws SessionError `argument_invalid`, `secret_missing`
 */
export function perdure(
  sessions: Sessions,
  options: PerdureOptions<Context> = {},
): MiddlewareHandler<PerdureVariables> {
  const settings = settingsOf(sessions, options);
  const { user, isSecure } = settings;
  return async (c, next) => {
    const id = requestIdOf(c.req.header(requestIdHeader));
    const session = new RequestSession(settings, {
      id,
      cookies: cookiesNamed(cookieName(isSecure), c.req.header("cookie")),
      user: user && (() => user(c)),
      giveCookie: (sealed) => c.header("set-cookie", setCookie(sealed, isSecure), { append: true }),
    });
    c.set("perdure", session);
    c.header(requestIdHeader, id);
    await underId(id, next);
    const { error } = c;
    // Hono answers 500 for an error that `onError` does not know.
    if (!(error instanceof SessionError) || c.res.status !== 500) return;
    const { status, type, body } = problemParts(error, id);
    // The headers that are set already stay.
    c.res = new Response(body, { status, headers: { "content-type": type } });
  };
}
