/** Servers with the middleware of each framework, on loopback, and browsers that keep their cookies. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { RequestCookies, ResponseCookies } from "@edge-runtime/cookies";
import { serve as serveHono } from "@hono/node-server";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Server } from "node:http";
import * as forExpress from "../../../src/adapters/express.ts";
import * as forFastify from "../../../src/adapters/fastify.ts";
import { perdure as forHono, type PerdureVariables, type RequestSession } from "../../../src/adapters/hono.ts";
import { perdure as forNext, type NextCookies } from "../../../src/adapters/next.ts";
import type { Sessions } from "../../../src/index.ts";

export type RequestFramework = "Hono" | "Express" | "Fastify" | "Next.js";
export const requestFrameworks: readonly RequestFramework[] = ["Hono", "Express", "Fastify", "Next.js"];

declare module "fastify" {
  interface FastifyRequest {
    perdure: RequestSession;
  }
}

export type RequestHandler = (session: RequestSession, path: string) => Promise<unknown>;

export interface RequestServer extends AsyncDisposable {
  readonly url: string;
}

export interface RequestServerOptions {
  readonly secureCookies?: boolean;
  /** The users of requests are known, by a cookie `user`. */
  readonly hasUsers?: boolean;
  readonly keep?: "user" | "device";
}

/** The user in the cookies of a request: an application would check a token. */
function userIn(cookies: string | null | undefined): string | undefined {
  return /(?:^|; )user=(\w+)/.exec(cookies ?? "")?.[1];
}

export async function serveRequests(
  framework: RequestFramework,
  sessions: Sessions,
  handler: RequestHandler,
  { hasUsers = false, ...options }: RequestServerOptions = {},
): Promise<RequestServer> {
  switch (framework) {
    case "Hono": {
      const app = new Hono<PerdureVariables>();
      app.use(forHono(sessions, { ...options, ...(hasUsers ? { user: (c) => userIn(c.req.header("cookie")) } : {}) }));
      app.all("*", async (c) => c.json((await handler(c.var.perdure, c.req.path)) ?? null));
      return await listening(serveHono({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server);
    }
    case "Express": {
      const app = express();
      app.use(
        forExpress.perdure(sessions, {
          ...options,
          ...(hasUsers ? { user: (req: express.Request) => userIn(req.headers.cookie) } : {}),
        }),
      );
      app.use(express.json());
      app.use(async (req, res) => void res.json((await handler(req.perdure, req.path)) ?? null));
      app.use(forExpress.perdureErrors());
      app.use((_: unknown, __: express.Request, res: express.Response, ___: express.NextFunction) => {
        res.status(500).json("failed");
      });
      return await listening(app.listen(0, "127.0.0.1"));
    }
    case "Fastify": {
      const app = fastify({ forceCloseConnections: true });
      await app.register(
        forFastify.perdure(sessions, {
          ...options,
          ...(hasUsers ? { user: (request) => userIn(request.headers["cookie"]) } : {}),
        }),
      );
      app.setErrorHandler(forFastify.perdureErrors());
      app.all("/*", async (request) => JSON.stringify((await handler(request.perdure, request.url)) ?? null));
      await app.listen({ port: 0, host: "127.0.0.1" });
      return {
        url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
        [Symbol.asyncDispose]: () => app.close(),
      };
    }
    case "Next.js": {
      const user = (cookies: NextCookies): string | undefined => cookies.get("user")?.value;
      const { sessionOf, route } = forNext(sessions, { ...options, ...(hasUsers ? { user } : {}) });
      // As Next.js gives `cookies()` to a route handler, and adds the cookies that are set to the response.
      const answer = async (request: Request): Promise<Response> => {
        const given = new RequestCookies(request.headers);
        const set = new ResponseCookies(new Headers());
        const cookies: NextCookies = {
          get: (name) => given.get(name),
          set: (name, value, attributes) => set.set(name, value, attributes),
        };
        const handle = route(async (asked: Request) =>
          Response.json((await handler(sessionOf(cookies), new URL(asked.url).pathname)) ?? null),
        );
        const response = await handle(request).catch(() => new Response('"failed"', { status: 500 }));
        set.getAll().forEach((cookie) => response.headers.append("set-cookie", serialized(cookie)));
        return response;
      };
      return await listening(serveHono({ fetch: answer, port: 0, hostname: "127.0.0.1" }) as Server);
    }
  }
}

/** A cookie as Next.js sends it. */
function serialized(cookie: ReturnType<ResponseCookies["getAll"]>[number]): string {
  const set = new ResponseCookies(new Headers());
  set.set(cookie);
  return set.toString();
}

async function listening(server: Server): Promise<RequestServer> {
  if (!server.listening) await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A browser: it keeps the cookie of its device, and is logged in as a user or not. */
export class RequestBrowser {
  /** `name=value`. */
  cookie: string | undefined;
  user: string | undefined;
  /** The header `Set-Cookie` of the last response. */
  set: string | undefined;
  status = 0;
  headers: Headers = new Headers();

  async get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const cookies = [this.cookie, this.user === undefined ? undefined : `user=${this.user}`].filter(
      (cookie) => cookie !== undefined,
    );
    const response = await fetch(url, {
      method: "POST",
      body: JSON.stringify({ asked: true }),
      headers: {
        "content-type": "application/json",
        ...(cookies.length === 0 ? {} : { cookie: cookies.join("; ") }),
        ...headers,
      },
    });
    ({ status: this.status, headers: this.headers } = response);
    [this.set] = response.headers.getSetCookie();
    if (this.set !== undefined) this.cookie = this.set.split(";")[0];
    return JSON.parse(await response.text());
  }
}
