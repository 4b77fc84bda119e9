import type { ListenedServer } from "../server/index.ts";
import type { Studio } from "./studio.ts";

/** The names of the loopback address in a `Host` header. */
const loopbackHosts = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i;

/**
 * The studio for a listener on the loopback. A request with another name in `Host` is refused: a page of another site can
 * make its own name point to this machine (DNS rebinding).
 */
export function loopbackOnly(studio: Studio): ListenedServer {
  return {
    fetch: async (request, env, context) => {
      const { pathname, host } = new URL(request.url);
      if (!loopbackHosts.test(request.headers.get("host") ?? host))
        return new Response("This address has no such host.\n", { status: 421 });
      if (pathname === "/") return new Response(null, { status: 302, headers: { location: "/studio/" } });
      return await studio.fetch(request, env, context);
    },
    drain: () => undefined,
    stop: async () => await studio.stop(),
  };
}
