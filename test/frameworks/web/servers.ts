/** Servers of Express and Fastify with sessions of browsers, on loopback, and a browser that keeps their cookie. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import express from "express";
import session, { type Store } from "express-session";
import fastify from "fastify";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expressStore } from "../../../src/adapters/express.ts";
import { fastifyStore } from "../../../src/adapters/fastify.ts";
import type { Sessions } from "../../../src/index.ts";

// As an application names the fields of its sessions.
declare module "express-session" {
  interface SessionData {
    name: string;
  }
}
declare module "fastify" {
  interface Session {
    name: string;
  }
}

export type Framework = "Express" | "Fastify";
export const frameworks: readonly Framework[] = ["Express", "Fastify"];

/** The session of a request, as the handlers use it. */
export type WebFields = Record<string, unknown> & {
  readonly cookie: { maxAge?: number | null; originalMaxAge: number | null; expires?: Date | null };
};

/** A request: its path, and its session, which is null once it is destroyed. */
export interface Asked {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly session: WebFields | undefined;
  readonly destroy: () => Promise<void>;
  readonly regenerate: () => Promise<void>;
  readonly reload: () => Promise<void>;
  readonly save: () => Promise<void>;
  /** The session now: another object after `regenerate` and `reload`. */
  readonly now: () => WebFields | undefined;
}

export type Handler = (asked: Asked) => Promise<unknown>;

export interface WebServer extends AsyncDisposable {
  readonly url: string;
  /** The store of `express-session`. */
  readonly store: Store | undefined;
}

const secret = "a secret of at least thirty-two characters";

export interface ServerOptions {
  /** ms. @default no end */
  readonly maxAge?: number;
  readonly rolling?: boolean;
}

export async function serve(
  framework: Framework,
  sessions: Sessions,
  handler: Handler,
  { maxAge, rolling = false }: ServerOptions = {},
): Promise<WebServer> {
  const cookie = { secure: false, ...(maxAge === undefined ? {} : { maxAge }) };
  if (framework === "Express") {
    const app = express();
    const store = expressStore(session, sessions);
    app.use(session({ secret, store, resave: false, saveUninitialized: false, rolling, cookie }));
    app.use(async (req, res) => {
      const url = new URL(req.originalUrl, "http://localhost");
      const call = async (name: "destroy" | "regenerate" | "reload" | "save"): Promise<void> =>
        await new Promise((resolve, reject) => {
          req.session[name]((error: unknown) => (error == null ? resolve() : reject(error)));
        });
      const now = (): WebFields | undefined => req.session as unknown as WebFields | undefined;
      const body = await handler({
        path: url.pathname,
        query: url.searchParams,
        session: now(),
        now,
        destroy: () => call("destroy"),
        regenerate: () => call("regenerate"),
        reload: () => call("reload"),
        save: () => call("save"),
      });
      res.json(body ?? null);
    });
    app.use(
      (error: Error & { code?: string }, _: express.Request, res: express.Response, next: express.NextFunction) => {
        if (res.headersSent) next();
        else res.status(500).json({ error: error.code ?? error.message });
      },
    );
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      store,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }
  const app = fastify({ forceCloseConnections: true });
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret,
    store: fastifyStore(sessions),
    saveUninitialized: false,
    rolling,
    cookie,
  });
  app.setErrorHandler((error: Error & { code?: string }, _, reply) => {
    void reply.status(500).send({ error: error.code ?? error.message });
  });
  app.all("/*", async (request) => {
    const url = new URL(request.url, "http://localhost");
    const now = (): WebFields | undefined => request.session as unknown as WebFields | undefined;
    const body = await handler({
      path: url.pathname,
      query: url.searchParams,
      session: now(),
      now,
      destroy: () => request.session.destroy(),
      regenerate: () => request.session.regenerate(),
      reload: () => request.session.reload(),
      save: () => request.session.save(),
    });
    return JSON.stringify(body ?? null);
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    store: undefined,
    [Symbol.asyncDispose]: () => app.close(),
  };
}

/** A browser with one cookie for all servers. */
export class Browser {
  cookie: string | undefined;
  /** The status of the last response. */
  status = 0;

  async get(url: string): Promise<unknown> {
    const response = await fetch(url, { headers: this.cookie === undefined ? {} : { cookie: this.cookie } });
    this.status = response.status;
    const [set] = response.headers.getSetCookie();
    if (set !== undefined) this.cookie = set.split(";")[0];
    return await response.json();
  }
}
