import type { Context, Hono } from "hono";
import type { z } from "zod";
import { SessionError } from "../../errors.ts";
import type { KeyInfo, Sessions } from "../../index.ts";
import type { Audience } from "../../protocol/problem.ts";
import { fromJson, toJson } from "../../protocol/json.ts";
import type { OpenStreams } from "./open-streams.ts";

/** What travels with a request inside the server. */
export interface Env {
  readonly Variables: {
    requestId: string;
    /** Whether the browser's side speaks HTTPS. */
    secure: boolean;
    /** How much of what goes wrong the caller may read. */
    audience: Audience;
    /** Log and count what went wrong. */
    report: (error: SessionError) => void;
    /** The session that the request is about, for the log, once it is known who asks. */
    session: string | undefined;
    /** The sessions of the tenant that the request may reach. */
    sessions: Sessions;
    key: KeyInfo;
    /** Count a stream of this request until the returned function is called. @throws SessionError `streams_full` */
    countStream: () => () => void;
    streams: OpenStreams;
  };
}

export type App = Hono<Env>;
export type RequestContext = Context<Env>;

/** What one answer is, for the document. */
export interface Answered {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** It may also come as a stream of server-sent events. */
  readonly streams?: true;
}

/** A route and all there is to know of it: the same schemas check its requests and describe them. */
export interface Route<Params, Query, Body> {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** As OpenAPI writes it: `/v1/sessions/{id}`. */
  readonly path: string;
  readonly summary: string;
  /** Who may call it. */
  readonly scope: Scope;
  readonly params?: z.ZodType<Params>;
  readonly query?: z.ZodType<Query>;
  readonly body?: z.ZodType<Body>;
  /** Names of the headers it listens to. */
  readonly headers?: readonly string[];
  readonly answers: Readonly<Record<number, Answered>>;
}

/** A device, a key with a right, or anybody. */
export type Scope = "device" | "read" | "write" | "admin" | "open";

export interface Input<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
}

/** The routes of a server, in the order of their making, for the document. */
export type RouteTable = Route<unknown, unknown, unknown>[];

/** Where routes are hung. */
export interface Routes {
  readonly app: App;
  readonly table: RouteTable;
  /** Let in who may call a route of this scope. @throws SessionError `key_missing`, `key_forbidden`, `rate_limited` */
  readonly admit: (c: RequestContext, scope: Scope) => Promise<void>;
}

/** Hang a route into the app and the table. */
export function addRoute<Params, Query, Body>(
  { app, table, admit }: Routes,
  route: Route<Params, Query, Body>,
  answer: (c: RequestContext, input: Input<Params, Query, Body>) => Promise<Response>,
): void {
  table.push(route);
  app.on(route.method.toUpperCase(), pathOf(route), async (c) => {
    c.set("audience", route.scope === "device" ? "device" : "operator");
    // Who asks stands in headers that no cache between here and there compares.
    if (route.scope !== "open") c.header("cache-control", "no-store");
    await admit(c, route.scope);
    const params = checked(route.params, c.req.param(), "path");
    // Every `{id}` in a path is a session's.
    c.set("session", c.req.param("id")?.slice(0, 256));
    const query = checked(route.query, c.req.query(), "query");
    const body = route.body === undefined ? (undefined as Body) : checked(route.body, await jsonOf(c), "body");
    return await answer(c, { params, query, body });
  });
}

/** After all routes: what they have a path for, but no such method, is told which there are. */
export function addMethodRefusals({ app, table }: Routes): void {
  const methods = new Map<string, string[]>();
  for (const route of table) {
    const path = pathOf(route);
    methods.set(path, [...(methods.get(path) ?? []), route.method.toUpperCase()]);
  }
  for (const [path, known] of methods) {
    // Who answers GET answers HEAD, without the body.
    const allowed = known.includes("GET") ? [...known, "HEAD"] : known;
    app.all(path, (c) => {
      throw new SessionError("method_not_allowed", { method: c.req.method.slice(0, 100), allowed });
    });
  }
}

function pathOf({ path }: { readonly path: string }): string {
  return path.replace(/\{(\w+)\}/g, ":$1");
}

function checked<T>(schema: z.ZodType<T> | undefined, value: unknown, part: string): T {
  if (schema === undefined) return undefined as T;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = [part, ...(issue?.path ?? [])].map(String).join(".");
  throw new SessionError("request_invalid", {
    path: path.slice(0, 100),
    reason: `is refused: ${(issue?.message ?? "").slice(0, 200)}`,
  });
}

/** Whoever sent it left in the middle, which is no failure of the server's. */
export function brokenBody(cause: unknown): SessionError {
  return new SessionError("request_invalid", { path: "body", reason: "broke off" }, { cause });
}

/** The body, with what JSON has no word for as the codec tags it. */
async function jsonOf(c: RequestContext): Promise<unknown> {
  const type = c.req.header("content-type") ?? "";
  if (!/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new SessionError("request_invalid", {
      path: "header content-type",
      reason: `is ${JSON.stringify(type.slice(0, 100))}; send application/json`,
    });
  }
  const text = await c.req.text().catch((error: unknown) => {
    throw brokenBody(error);
  });
  try {
    return fromJson(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message.slice(0, 200) : "unreadable";
    throw new SessionError("request_invalid", { path: "body", reason: `is not JSON: ${reason}` }, { cause: error });
  }
}

/** An answer in JSON, with what JSON has no word for as the codec tags it. */
export function jsonAnswer(c: RequestContext, value: object, status: 200 | 201 = 200): Response {
  return textAnswer(c, toJson(value), status);
}

/** An answer whose JSON is written already, or comes as it is read. */
export function textAnswer(c: RequestContext, json: string | ReadableStream, status: 200 | 201 = 200): Response {
  return c.body(json, status, { "content-type": "application/json" });
}
