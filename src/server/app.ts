import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { routePath } from "hono/route";
import { secureHeaders } from "hono/secure-headers";
import { parseDuration } from "../domain/values/duration.ts";
import { defined } from "../domain/values/defined.ts";
import { defaultAgent } from "../domain/turns/agent-choice.ts";
import { SessionError } from "../errors.ts";
import type { Host } from "../host/index.ts";
import {
  correlated,
  type Agent,
  type Duration,
  type FallbackNews,
  type ReplayNews,
  type Sessions,
  type SweepNews,
} from "../index.ts";
import { deviceHeader, guardRight, isSecure, keyOf, shownDevice } from "./http/authority.ts";
import { addChatRoutes } from "./routes/chat-routes.ts";
import type { ClientAddress } from "./http/client-address.ts";
import { DeviceSpending, type DeviceBudgets } from "./http/device-budgets.ts";
import { deviceDoors } from "./http/device-doors.ts";
import { addDeviceRoutes } from "./routes/device-routes.ts";
import { addEventRoutes } from "./routes/event-routes.ts";
import { addHostRoutes } from "./routes/host-routes.ts";
import { ServerMetrics } from "./metrics/metrics.ts";
import { addOperationRoutes } from "./routes/operation-routes.ts";
import { asSessionError, problemResponse } from "./http/problem-response.ts";
import { OpenStreams, type StreamLimits } from "./http/open-streams.ts";
import { RateLimits, type Rates } from "./http/rate-limits.ts";
import { addArchiveRoutes } from "./routes/archive-routes.ts";
import { addMethodRefusals, brokenBody, type Env, type RequestContext, type Scope } from "./http/route.ts";
import { addSessionRoutes } from "./routes/session-routes.ts";
import type { Converse, Shared } from "./http/server-context.ts";

/** Options of a server; all but `sessions` are optional. */
export interface ServerOptions {
  /** The served sessions: devices belong to its tenant, keys to their own tenants. The caller closes it. */
  readonly sessions: Sessions;
  /**
   * How a message is answered, such as a manager's `send`.
   * @default `session.consult`
   */
  readonly converse?: Converse;
  /**
   * Host of live sessions on `sessions`; the caller closes it.
   * @default none
   */
  readonly host?: Host;
  /**
   * Origins whose pages may call the server.
   * @default none
   */
  readonly cors?: readonly string[];
  /**
   * Maximum size of a body, bytes.
   * @default 8 MiB
   */
  readonly bodyBytesMax?: number;
  /**
   * Maximum size of a device's body, bytes: each later question may show it to the model again.
   * @default 256 KiB
   */
  readonly deviceBodyBytesMax?: number;
  /**
   * Time limit of a request that is not a stream.
   * @default "2m"
   */
  readonly deadline?: Duration;
  readonly rates?: Rates;
  /**
   * Limits of concurrent streams.
   * @default the limits of `StreamLimits`
   */
  readonly streams?: StreamLimits;
  /**
   * Usage limits of devices per 24 hours, counted by this server.
   * @default no limits
   */
  readonly deviceBudgets?: DeviceBudgets;
  /**
   * `connection`, or the header in which the proxy sets the client's address.
   * @default addresses are not used
   */
  readonly clientAddress?: ClientAddress;
  /**
   * Send cookies over HTTPS only, even if the request came without.
   * @default true
   */
  readonly secureCookies?: boolean;
  /**
   * Whether `/metrics` needs no key.
   * @default false
   */
  readonly openMetrics?: boolean;
  /**
   * Called for each request, and for each internal error.
   * @default no log
   */
  readonly log?: (entry: LogEntry) => void;
  /**
   * Version of the program, for the OpenAPI document.
   * @default "0.0.0"
   */
  readonly version?: string;
}

/** One line of the server's log. It contains no message and no device id. */
export interface LogEntry {
  readonly level: "info" | "warn" | "error";
  /**
   * `fallback`: a session was opened without the store; `told`: its turns were replayed to the store; `parked`: the store refused
   * them; `failing`: the replay failed and is retried; `unswept`: a sweep failed on a session; `sweep_failed`: a sweep ended early.
   */
  readonly event: "request" | "failure" | "fallback" | "told" | "parked" | "failing" | "unswept" | "sweep_failed";
  readonly requestId?: string;
  readonly method?: string;
  readonly route?: string;
  readonly status?: number;
  readonly ms?: number;
  readonly code?: string;
  readonly session?: string;
  readonly reason?: string;
  /** The internal error. */
  readonly error?: unknown;
}

/** A server as a `fetch` function, for any listener: Node, Bun, Next.js, Vercel, Lambda, or another Hono app. */
export interface Server {
  readonly fetch: (request: Request, env?: unknown) => Response | Promise<Response>;
  /** The server as a Hono app, to be mounted: `app.route("/", server.app)`. */
  readonly app: Hono<Env>;
  /**
   * Makes the server not ready, ends its watch streams, and waits for running requests and answers, up to `deadline`.
   * The sessions stay open.
   */
  stop(): Promise<void>;
}

/** Paths of devices, wherever the app is mounted. */
const devicePath = /\/v1\/(chat|devices)(\/|$)/;

/**
 * Creates a server of sessions over HTTP.
 * @throws SessionError `duration_invalid`, `argument_invalid` for invalid options
 */
export function createServer(options: ServerOptions): Server {
  const {
    sessions,
    host,
    cors: origins = [],
    bodyBytesMax = 8 * 1024 * 1024,
    deviceBodyBytesMax = 256 * 1024,
    secureCookies = true,
    version = "0.0.0",
  } = options;
  for (const origin of origins) guardOrigin(origin);
  guardDefaultAgent(sessions);
  const deadlineMs = parseDuration(options.deadline ?? "2m", "deadline");
  const limits = new RateLimits(options.rates ?? {});
  const streams = new OpenStreams(options.streams ?? {});
  const spending = new DeviceSpending(options.deviceBudgets ?? {});
  const { countNew, ...doors } = deviceDoors(sessions, limits, options.clientAddress);
  const metrics = new ServerMetrics(sessions, host);
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  const stopLogging = options.log === undefined ? () => undefined : logBackgroundEvents(options.log);
  const app = new Hono<Env>();

  async function track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => undefined,
      () => undefined,
    );
    running.add(settled);
    try {
      return await work;
    } finally {
      running.delete(settled);
    }
  }

  app.use(async (c, next) => {
    const started = performance.now();
    c.set("requestId", requestIdOf(c));
    c.set("secure", isSecure(c, secureCookies));
    c.set("audience", "device");
    c.set("streams", streams);
    c.set("countStream", () => streams.open({}));
    c.set("report", (error) => {
      metrics.countError(error.code);
      if (error.status >= 500) logFailure(options, c, error);
    });
    c.header("x-request-id", c.get("requestId"));
    await track(correlated(c.get("requestId"), next));
    const route = routeOf(c);
    const request = { method: c.req.method, route, status: c.res.status, ms: performance.now() - started };
    const session = c.get("session");
    metrics.countRequest(request);
    options.log?.({
      level: c.res.status >= 500 ? "error" : "info",
      event: "request",
      requestId: c.get("requestId"),
      ...request,
      ...defined({ session }),
    });
  });
  app.use(
    secureHeaders({
      crossOriginResourcePolicy: "cross-origin",
      xFrameOptions: "DENY",
      // Without includeSubDomains: subdomains are configured elsewhere.
      strictTransportSecurity: "max-age=15552000",
    }),
  );
  if (origins.length > 0) {
    app.use(
      cors({
        origin: [...origins],
        credentials: true,
        allowHeaders: ["content-type", "authorization", deviceHeader, "idempotency-key", "if-match", "last-event-id"],
        exposeHeaders: ["etag", "retry-after", "x-request-id"],
        maxAge: 600,
      }),
    );
  }
  const limitedTo = (bytesMax: number): MiddlewareHandler =>
    bodyLimit({
      maxSize: bytesMax,
      onError: (c) => problemResponse(c as RequestContext, new SessionError("body_too_large", { bytesMax })),
    });
  const operatorLimit = limitedTo(bodyBytesMax);
  const deviceLimit = limitedTo(Math.min(bodyBytesMax, deviceBodyBytesMax));
  app.use(async (c, next) => {
    let isComplete = false;
    const proceed = async (): Promise<void> => {
      isComplete = true;
      await next();
    };
    try {
      return await (devicePath.test(c.req.path) ? deviceLimit : operatorLimit)(c, proceed);
    } catch (error) {
      throw isComplete ? error : brokenBody(error);
    }
  });
  app.use(async (_, next) => await withDeadline(deadlineMs, next()));
  app.onError((thrown, c) => {
    const error = asSessionError(thrown, c.get("requestId"));
    c.get("report")(error);
    return problemResponse(c, error);
  });
  app.notFound((c) => {
    throw new SessionError("route_unknown", { method: c.req.method, path: c.req.path.slice(0, 100) });
  });

  const shared: Shared = {
    app,
    table: [],
    admit: async (c, scope) => await admit(c, scope),
    sessions,
    converse: options.converse ?? ((session, message, how) => session.consult(message, how)),
    outlive: (answer) => void track(answer.done).catch(() => undefined),
    limits,
    spending,
    ...doors,
    deadlineMs,
    stop: stopping.signal,
  };
  addChatRoutes(shared);
  addDeviceRoutes(shared);
  addSessionRoutes(shared);
  addArchiveRoutes(shared);
  if (host !== undefined) addHostRoutes(shared, host);
  addEventRoutes(shared);
  addOperationRoutes(shared, { metrics, version, openMetrics: options.openMetrics ?? false });
  addMethodRefusals(shared);

  async function admit(c: RequestContext, scope: Scope): Promise<void> {
    if (scope === "open") return;
    if (scope === "device") {
      const device = shownDevice(c, sessions);
      c.set("countStream", () => streams.open({ device: device ?? undefined, session: sessionIn(c, sessions.tenant) }));
      if (device === null) countNew(c);
      else limits.count("device", device);
      return;
    }
    const key = await keyOf(c, sessions);
    limits.count("key", key.id);
    guardRight(key, scope);
    c.set("key", key);
    c.set("sessions", sessions.for(key.tenant));
    c.set("countStream", () => streams.open({ key: key.id, session: sessionIn(c, key.tenant) }));
  }

  return {
    app,
    fetch: (request, env) => app.fetch(request, env),
    async stop() {
      stopping.abort();
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, deadlineMs);
      await Promise.race([Promise.all(running), late.promise]);
      clearTimeout(timer);
      metrics.close();
      stopLogging();
    },
  };
}

/** The session of a request, qualified by its tenant. */
function sessionIn(c: RequestContext, tenant: string): string | undefined {
  const session = c.get("session");
  return session === undefined ? undefined : `${tenant} ${session}`;
}

/**
 * Refuses an origin that no browser sends, as it would silently match no page.
 * @throws SessionError `argument_invalid`
 */
function guardOrigin(origin: string): void {
  if (URL.canParse(origin) && new URL(origin).origin === origin) return;
  throw new SessionError("argument_invalid", { name: "cors", value: JSON.stringify(origin), expected: "origin" });
}

/**
 * Refuses several agents without a default one: devices and most programs name no agent, so their sessions would fail.
 * @throws SessionError `argument_invalid`
 */
function guardDefaultAgent({ agents = new Map<string, Agent>() }: Sessions): void {
  if (agents.size === 0 || defaultAgent(agents) !== undefined) return;
  const known = [...agents.keys()];
  throw new SessionError("argument_invalid", { name: "agents.default", expected: "default_agent", known });
}

/** The caller's request id if it is a plain one, so that the logs of both sides can be compared. */
function requestIdOf(c: RequestContext): string {
  const given = c.req.header("x-request-id") ?? "";
  return /^[\w.-]{8,80}$/.test(given) ? given : crypto.randomUUID();
}

/** The path of the route, never of the request: ids do not belong into logs and labels. */
function routeOf(c: RequestContext): string {
  const path = routePath(c, -1);
  return path === "" || path === "/*" || path === "*" ? "unknown" : path;
}

/** Logs sessions opened without the store, and failed replays and sweeps. */
function logBackgroundEvents(log: (entry: LogEntry) => void): () => void {
  const onFallback = (message: unknown): void => {
    const { session, reason } = message as FallbackNews;
    log({ level: "warn", event: "fallback", session, reason });
  };
  const onReplay = (message: unknown): void => {
    const { session, parked, failing } = message as ReplayNews;
    if (failing !== undefined) log({ level: "error", event: "failing", session, code: failing });
    else if (parked === undefined) log({ level: "info", event: "told", session });
    else log({ level: "error", event: "parked", session, code: parked });
  };
  const onSweep = (message: unknown): void => {
    const { failures, error } = message as SweepNews;
    for (const { session, code } of failures) log({ level: "error", event: "unswept", session, code });
    if (error !== undefined) log({ level: "error", event: "sweep_failed", code: error });
  };
  subscribe("perdure:sweep", onSweep);
  subscribe("perdure:fallback", onFallback);
  subscribe("perdure:replay", onReplay);
  return () => {
    unsubscribe("perdure:sweep", onSweep);
    unsubscribe("perdure:fallback", onFallback);
    unsubscribe("perdure:replay", onReplay);
  };
}

function logFailure({ log }: ServerOptions, c: RequestContext, error: SessionError): void {
  const details = error.details as { sessionId?: string };
  log?.({
    level: "error",
    event: "failure",
    requestId: c.get("requestId"),
    method: c.req.method,
    route: routeOf(c),
    status: error.status,
    code: error.code,
    ...defined({ session: details.sessionId }),
    // The message says what to do; its cause only what failed.
    reason: error.message,
    error: error.cause ?? error,
  });
}

/** @throws SessionError `deadline_passed`; the work continues */
async function withDeadline(ms: number, work: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new SessionError("deadline_passed", { deadlineMs: ms })), ms);
  try {
    await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
