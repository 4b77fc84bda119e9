import type { Context, Hono } from "hono";
import type { z } from "zod";
import { SessionError } from "../../errors.ts";
import type { SharedSession, Sessions } from "../../index.ts";
import type { Audience } from "../../protocol/problem.ts";
import { fromJson, toJson } from "../../protocol/json.ts";
import type { AdmittedKey } from "../../serving/configured-keys.ts";
import { checked, guardFields, noFields } from "../../serving/known-fields.ts";
import type { OpenStreams } from "./open-streams.ts";

/** Context variables of a request. */
export interface Env {
  readonly Variables: {
    requestId: string;
    /** True if the client uses HTTPS. */
    secure: boolean;
    /** The audience of errors: a device sees less of an error than an operator. */
    audience: Audience;
    /** Makes a function that logs and counts an error of this request; it may outlive the request. */
    reporter: () => (error: SessionError) => void;
    /** The session of the request, for the log, once the caller is authorised. */
    session: string | undefined;
    /** Sessions of the tenant that the request may access. */
    sessions: Sessions;
    key: AdmittedKey;
    /** The session that the token of the request shares. */
    shared: SharedSession;
    /**
     * Counts a stream of this request until the returned function is called.
     * @throws SessionError `streams_full`
     */
    countStream: () => () => void;
    streams: OpenStreams;
  };
}

export type App = Hono<Env>;
export type RequestContext = Context<Env>;

/** A response, for the OpenAPI document. */
export interface Answered {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** The response is bytes of any type. */
  readonly bytes?: true;
  /** The response may also be a stream of server-sent events. */
  readonly streams?: true;
}

/** A route: the same schemas check its requests and document them. */
export interface Route<Params, Query, Body> {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** As in OpenAPI: `/v1/sessions/{id}`. */
  readonly path: string;
  /** A second path of the same route, in the same form. */
  readonly alias?: string;
  readonly summary: string;
  /** The callers that are admitted. */
  readonly scope: Scope;
  readonly params?: z.ZodType<Params>;
  readonly query?: z.ZodType<Query>;
  /** Parameters of the query that may occur several times; their values are lists. */
  readonly repeated?: readonly string[];
  readonly body?: z.ZodType<Body>;
  /** The body is bytes of any type, which the route reads itself. */
  readonly takesBytes?: true;
  /** Names of the request headers that it reads. */
  readonly headers?: readonly string[];
  readonly answers: Readonly<Record<number, Answered>>;
}

/** A device, a key with a right, the token of a share, or any caller. */
export type Scope = "device" | "read" | "write" | "admin" | "share" | "open";

export interface Input<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
}

/** The routes of a server, in order, for the document. */
export type RouteTable = Route<unknown, unknown, unknown>[];

/** The app and table to which routes are added. */
export interface Routes {
  readonly app: App;
  readonly table: RouteTable;
  /**
   * Admits the callers of a scope.
   * @throws SessionError `key_missing`, `key_expired`, `key_forbidden`, `rate_limited`
   */
  readonly admit: (c: RequestContext, scope: Scope) => Promise<void>;
}

/** Adds a route to the app and the table. */
export function addRoute<Params, Query, Body>(
  { app, table, admit }: Routes,
  route: Route<Params, Query, Body>,
  answer: (c: RequestContext, input: Input<Params, Query, Body>) => Promise<Response>,
): void {
  table.push(route);
  const paths = [route.path, ...(route.alias === undefined ? [] : [route.alias])].map(honoPath);
  app.on(route.method.toUpperCase(), paths, async (c) => {
    c.set("audience", route.scope === "device" || route.scope === "share" ? "device" : "operator");
    // Responses depend on headers that caches do not compare.
    if (route.scope !== "open") c.header("cache-control", "no-store");
    await admit(c, route.scope);
    if (route.scope !== "open") guardEncoding(c);
    const params = checked(route.params, c.req.param(), "path");
    // Every `{id}` in a path is a session's.
    c.set("session", c.req.param("id")?.slice(0, 256));
    if (route.scope !== "open") guardQuery(route, c.req.queries());
    const query = checked(route.query, { ...c.req.query(), ...repeatedOf(c, route.repeated) }, "query");
    const body = await bodyOf(c, route);
    const response = await answer(c, { params, query, body });
    // After the deadline the client has its error, and this response has no reader.
    if (c.finalized) await response.body?.cancel();
    return response;
  });
}

/** Added after all routes: a path with another method gets 405 with the allowed methods. */
export function addMethodRefusals({ app, table }: Routes): void {
  const methods = new Map<string, string[]>();
  for (const { path, alias = path, method } of table) {
    for (const each of new Set([path, alias].map(honoPath)))
      methods.set(each, [...(methods.get(each) ?? []), method.toUpperCase()]);
  }
  for (const [path, known] of methods) {
    // A GET route also answers HEAD, without the body.
    const allowed = known.includes("GET") ? [...known, "HEAD"] : known;
    app.all(path, (c) => {
      throw new SessionError("method_not_allowed", { method: c.req.method.slice(0, 100), allowed });
    });
  }
}

function honoPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ":$1");
}

/**
 * Refuses a path or a query that does not decode to UTF-8: Hono takes such a part as it is written, so `%FF` would name the
 * same thing as `%25FF`.
 * @throws SessionError `request_invalid`
 */
function guardEncoding(c: RequestContext): void {
  const { pathname, search } = new URL(c.req.url);
  for (const [part, sent] of [
    ["path", pathname],
    ["query", search],
  ] as const) {
    if (!sent.includes("%")) continue;
    try {
      decodeURIComponent(sent);
    } catch (cause) {
      throw new SessionError("request_invalid", { path: part, expected: "percent_encoded" }, { cause });
    }
  }
}

/**
 * Refuses a parameter that the route does not have, and a second value of a parameter that has one: ignored, it would
 * silently widen or move what the caller asks for. Open routes take any, because probes and scrapers add their own.
 * @throws SessionError `request_invalid`
 */
function guardQuery(
  { query, repeated = [] }: Pick<Route<unknown, unknown, unknown>, "query" | "repeated">,
  given: Record<string, readonly string[]>,
): void {
  const known = Object.keys((query as { readonly shape?: object } | undefined)?.shape ?? {});
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new SessionError("request_invalid", {
      path: `query.${unknown}`.slice(0, 100),
      expected: "no_parameter",
      known,
    });
  const twice = known.find((name) => !repeated.includes(name) && (given[name]?.length ?? 0) > 1);
  if (twice !== undefined) throw new SessionError("request_invalid", { path: `query.${twice}`, expected: "unique" });
}

function repeatedOf(c: RequestContext, names: readonly string[] = []): Record<string, readonly string[]> {
  const given = names.flatMap((name) => {
    const values = c.req.queries(name);
    return values === undefined ? [] : [[name, values] as const];
  });
  return Object.fromEntries(given);
}

/** @throws SessionError `request_invalid` */
async function bodyOf<Body>(
  c: RequestContext,
  {
    body: schema,
    method,
    scope,
    takesBytes,
  }: Pick<Route<unknown, unknown, Body>, "body" | "method" | "scope" | "takesBytes">,
): Promise<Body> {
  if (takesBytes === true) return undefined as Body;
  if (schema !== undefined) {
    const body = await jsonOf(c);
    guardFields(schema, body);
    return checked(schema, body, "body");
  }
  // A field in the body of a route that takes none is one that its caller relies on. An empty body is one of many clients.
  if (scope !== "open" && method !== "get" && isJson(c)) guardFields(noFields, parsedJson((await textOf(c)) || "{}"));
  return undefined as Body;
}

/** The client disconnected while sending; not an error of the server. */
export function brokenBody(cause: unknown): SessionError {
  return new SessionError("request_invalid", { path: "body", expected: "complete" }, { cause });
}

/** The body, decoded with the codec's tags. */
async function jsonOf(c: RequestContext): Promise<unknown> {
  if (!isJson(c)) {
    const type = c.req.header("content-type") ?? "";
    throw new SessionError("request_invalid", {
      path: "header content-type",
      value: JSON.stringify(type.slice(0, 100)),
      expected: "one_of",
      known: ["application/json"],
    });
  }
  return parsedJson(await textOf(c));
}

function isJson(c: RequestContext): boolean {
  return /^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(c.req.header("content-type") ?? "");
}

async function textOf(c: RequestContext): Promise<string> {
  return await c.req.text().catch((error: unknown) => {
    throw brokenBody(error);
  });
}

/** The body of a route that takes bytes, whole. The limits of bodies hold for it. */
export async function bytesOfBody(c: RequestContext): Promise<Uint8Array> {
  const bytes = await c.req.arrayBuffer().catch((error: unknown) => {
    throw brokenBody(error);
  });
  return new Uint8Array(bytes);
}

function parsedJson(text: string): unknown {
  try {
    return fromJson(text);
  } catch (error) {
    const reported = error instanceof Error ? error.message.slice(0, 200) : "";
    throw new SessionError("request_invalid", { path: "body", expected: "json" }, { cause: error, reported });
  }
}

/** A JSON response, encoded with the codec's tags. */
export function jsonAnswer(c: RequestContext, value: object, status: 200 | 201 = 200): Response {
  return textAnswer(c, toJson(value), status);
}

/** A response of JSON text, complete or as a stream. */
export function textAnswer(c: RequestContext, json: string | ReadableStream, status: 200 | 201 = 200): Response {
  return c.body(json, status, { "content-type": "application/json" });
}
