/**
 * Next.js. `perdure`: the session of the user, or of the device, in route handlers and server actions.
 *
 * @module perdure/next
 */
import { SessionError, type Sessions } from "../index.ts";
import { cookieAttributes, cookieName, type CookieAttributes } from "./web/device-cookie.ts";
import {
  problemParts,
  requestIdHeader,
  requestIdOf,
  RequestSession,
  settingsOf,
  underId,
  type PerdureOptions,
} from "./web/request-session.ts";

export type { CookieAttributes } from "./web/device-cookie.ts";
export { RequestSession, type PerdureOptions, type UserOf } from "./web/request-session.ts";

/** The cookies of a request, as `await cookies()` of `next/headers` gives them. */
export interface NextCookies {
  get(name: string): { readonly value: string } | undefined;
  set(name: string, value: string, attributes: CookieAttributes): unknown;
}

/** What `perdure` gives. */
export interface NextSessions {
  /** The session of a request. A page can `find` it; only route handlers and server actions can `open` a new one, which sets a cookie. */
  sessionOf(this: void, cookies: NextCookies): RequestSession;
  /**
   * A route handler whose events carry the id of the request. A SessionError about the request, such as a conflict, becomes a
   * response with the status of its code.
   */
  route<Args extends readonly unknown[]>(
    this: void,
    handler: (request: Request, ...rest: Args) => Response | Promise<Response>,
  ): (request: Request, ...rest: Args) => Promise<Response>;
}

/**
 * Sessions of requests for these settings; `user` gets the cookies.
 * @throws SessionError `argument_invalid`, `secret_missing`
 */
export function perdure(sessions: Sessions, options: PerdureOptions<NextCookies> = {}): NextSessions {
  const settings = settingsOf(sessions, options);
  const { user, isSecure } = settings;
  const name = cookieName(isSecure);
  return {
    sessionOf(cookies) {
      const shown = cookies.get(name)?.value;
      return new RequestSession(settings, {
        id: requestIdOf(undefined),
        cookies: shown === undefined ? [] : [shown],
        user: user && (() => user(cookies)),
        giveCookie: (sealed) => void cookies.set(name, sealed, cookieAttributes(isSecure)),
      });
    },
    route(handler) {
      return async (request, ...rest) => {
        const id = requestIdOf(request.headers.get(requestIdHeader));
        try {
          return withId(await underId(id, () => handler(request, ...rest)), id);
        } catch (error) {
          if (!(error instanceof SessionError) || error.status >= 500) throw error;
          const { status, type, body } = problemParts(error, id);
          return withId(new Response(body, { status, headers: { "content-type": type } }), id);
        }
      };
    },
  };
}

/** The response with the id of its request; one whose headers cannot be changed is copied. */
function withId(response: Response, id: string): Response {
  try {
    response.headers.set(requestIdHeader, id);
    return response;
  } catch {
    const copy = new Response(response.body, response);
    copy.headers.set(requestIdHeader, id);
    return copy;
  }
}
