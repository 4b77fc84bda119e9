import { randomBytes } from "node:crypto";
import { invalidArgument, parseFunction } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { defined } from "../domain/values/defined.ts";
import type { KeyRight } from "../index.ts";
import { createServer, type RequestLifetime, type ServerOptions } from "../server/index.ts";
import { studioFiles, type StudioFiles } from "./files.ts";
import { OneTimeTokens } from "./one-time-tokens.ts";
import { pageReply } from "./page-routes.ts";

/** Options of a studio; all but `sessions` are optional. */
export interface StudioOptions extends Pick<ServerOptions, "sessions" | "converse" | "approve" | "host" | "log"> {
  /**
   * The path where the handler is mounted. The page and the HTTP interface that it calls are below it.
   * @default "/studio"
   */
  readonly path?: string;
  /**
   * The right of a request by the login of the program; null refuses the request. `read` shows everything and changes
   * nothing.
   * @default the page asks for an API key of the store
   */
  readonly allow?: (request: Request) => KeyRight | null | Promise<KeyRight | null>;
}

/** The studio as a `fetch` function, to be mounted at its path. */
export interface Studio {
  readonly fetch: (request: Request, env?: unknown, context?: RequestLifetime) => Promise<Response>;
  /**
   * Makes a link that opens the studio once, with this right: the path of the page with a token in its fragment. The page
   * exchanges the token, within ten minutes, for a key that is valid until the studio stops.
   */
  link(right: KeyRight): string;
  /** Ends the streams of the page, and waits for running requests. The sessions stay open. */
  stop(): Promise<void>;
}

const optionNames: OptionNames<StudioOptions> = {
  sessions: true,
  converse: true,
  approve: true,
  host: true,
  log: true,
  path: true,
  allow: true,
};
const rights: readonly KeyRight[] = ["read", "write", "admin"];

/** A request of the page carries it. A form of another site cannot, and a script of another site may not. */
const pageHeader = "x-perdure-studio";

/**
 * Creates a studio: a page that shows the sessions of a store, and the HTTP interface that it calls.
 * @throws SessionError `argument_invalid`
 */
export function createStudio(options: StudioOptions): Studio {
  guardNames(options, "options", optionNames);
  return studioOf(options, studioFiles());
}

export function studioOf({ path = "/studio", allow, ...options }: StudioOptions, files: StudioFiles): Studio {
  if (!/^(\/[\w.~-]+)+$/.test(path)) throw invalidArgument("path", path, { expected: "url_path" });
  if (allow !== undefined) parseFunction(allow, "allow");
  const secrets = new Map(rights.map((right) => [right, `pds_${randomBytes(32).toString("base64url")}`]));
  const secretOf = (right: KeyRight): string => {
    const secret = secrets.get(right);
    if (secret !== undefined) return secret;
    throw invalidArgument("right", right, { expected: "one_of", known: rights });
  };
  const keys = [...secrets].map(([right, token]) => ({ token, right, name: `studio ${right}` }));
  const server = createServer({ ...options, keys });
  const tokens = new OneTimeTokens();
  const place = { path, api: path, login: allow === undefined ? "key" : "none" } as const;

  /** The request of the page as one to the server. Undefined where the login of the program refuses it. */
  async function apiRequest(request: Request, url: URL): Promise<Request | undefined> {
    const headers = new Headers(request.headers);
    if (allow !== undefined) {
      const right = await allow(request);
      if (right === null) return undefined;
      // The browser sends a cookie of the program's login with a request of another site, too.
      if (request.method !== "GET" && request.method !== "HEAD" && !headers.has(pageHeader)) return undefined;
      headers.set("authorization", `Bearer ${secretOf(right)}`);
    }
    const { method, body, signal } = request;
    return new Request(new URL(`${url.pathname.slice(path.length)}${url.search}`, url.origin), {
      method,
      headers,
      signal,
      ...defined({ body: body ?? undefined, duplex: body === null ? undefined : "half" }),
    } as RequestInit);
  }

  return {
    async fetch(request, env, context) {
      const url = new URL(request.url);
      if (url.pathname.startsWith(`${path}/v1/`)) {
        const inner = await apiRequest(request, url);
        return inner === undefined ? new Response(null, { status: 403 }) : await server.fetch(inner, env, context);
      }
      return (await pageReply(request, place, { files, tokens })) ?? new Response(null, { status: 404 });
    },
    link: (right) => `${path}/#token=${tokens.issue(secretOf(right))}`,
    stop: async () => await server.stop(),
  };
}
