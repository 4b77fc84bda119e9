/**
 * The middlewares around every route, outermost first: the frame of a request (id, log, metrics), headers for browsers,
 * CORS, the limit of bodies, and the deadline.
 */
import type { Hono, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { secureHeaders } from "hono/secure-headers";
import { defined } from "../domain/values/defined.ts";
import { SessionError } from "../errors.ts";
import { correlated } from "../index.ts";
import { lengthHeader } from "../protocol/wire.ts";
import { deviceHeader, isSecure } from "./http/authority.ts";
import type { OpenStreams } from "./http/open-streams.ts";
import { asSessionError, problemResponse } from "./http/problem-response.ts";
import { brokenBody, type Env, type RequestContext } from "./http/route.ts";
import type { ServerMetrics } from "./metrics/metrics.ts";
import type { ServerSettings } from "./options.ts";
import { failedRequest, failureEntry, routeOf, type FailedRequest } from "./request-log.ts";
import type { RunningWork } from "../serving/running-work.ts";
import { waitUntil } from "./request-lifetime.ts";

/** The parts of a server that its middlewares use. */
export interface Surroundings {
  readonly settings: ServerSettings;
  readonly metrics: ServerMetrics;
  readonly streams: OpenStreams;
  readonly running: RunningWork;
}

export function addMiddlewares(app: Hono<Env>, surroundings: Surroundings): void {
  const { origins, deadlineMs } = surroundings.settings;
  app.use(requestFrame(surroundings));
  app.use(
    secureHeaders({
      crossOriginResourcePolicy: "cross-origin",
      xFrameOptions: "DENY",
      // Without includeSubDomains: subdomains are configured elsewhere.
      strictTransportSecurity: "max-age=15552000",
    }),
  );
  if (origins.length > 0) app.use(corsOf(origins));
  app.use(bodyLimits(surroundings.settings));
  // An upload takes as long as its client needs to send it, and the listener limits that.
  app.use(async (c, next) => await (isUpload(c) ? next() : withDeadline(deadlineMs, next())));
  app.onError((thrown, c) => {
    const error = asSessionError(thrown, c.get("requestId"));
    c.get("reporter")()(error);
    return problemResponse(c, error);
  });
  app.notFound((c) => {
    throw new SessionError("route_unknown", { method: c.req.method, path: c.req.path.slice(0, 100) });
  });
}

/** Sets the variables of a request, and logs and counts it once it is answered. */
function requestFrame({ settings, metrics, streams, running }: Surroundings): MiddlewareHandler<Env> {
  const { secureCookies, log } = settings;
  return async (c, next) => {
    const started = performance.now();
    c.set("requestId", requestIdOf(c));
    c.set("secure", isSecure(c, secureCookies));
    c.set("audience", "device");
    c.set("streams", streams);
    c.set("countStream", () => streams.open({}));
    c.set("reporter", () => reporterOf(failedRequest(c), { metrics, log }));
    c.header("x-request-id", c.get("requestId"));
    const answered = running.track(correlated(c.get("requestId"), next));
    // A client may leave before its question is durable, or while it waits for the session.
    waitUntil(c, answered);
    await answered;
    const { status } = c.res;
    const request = { method: c.req.method, route: routeOf(c), status, ms: performance.now() - started };
    metrics.countRequest(request);
    log?.({
      level: status >= 500 ? "error" : "info",
      event: "request",
      requestId: c.get("requestId"),
      ...request,
      ...defined({ session: c.get("session") }),
    });
  };
}

/** Counts and logs errors of a request. It is created outside the scope of the request, so that it keeps nothing of the request in memory. */
function reporterOf(
  request: FailedRequest,
  { metrics, log }: { readonly metrics: ServerMetrics; readonly log: ServerSettings["log"] },
): (error: SessionError) => void {
  return (error) => {
    metrics.countError(error.code);
    if (error.status >= 500) log?.(failureEntry(request, error));
  };
}

/**
 * The caller's request id, so that the logs of both sides can be compared: 1 to 200 visible ASCII characters. Another one is
 * replaced, and the response says so.
 */
function requestIdOf(c: RequestContext): string {
  const given = c.req.header("x-request-id");
  if (given !== undefined && /^[!-~]{1,200}$/.test(given)) return given;
  if (given !== undefined) c.header(replacedHeader, "true");
  return crypto.randomUUID();
}

/** The header of a response to a request whose id was replaced. */
const replacedHeader = "x-request-id-replaced";

function corsOf(origins: readonly string[]): MiddlewareHandler {
  return cors({
    origin: [...origins],
    credentials: true,
    allowHeaders: [
      "content-type",
      "authorization",
      deviceHeader,
      "idempotency-key",
      "if-match",
      "if-none-match",
      "last-event-id",
      "range",
    ],
    exposeHeaders: [
      "etag",
      "retry-after",
      "x-request-id",
      replacedHeader,
      "content-disposition",
      "content-range",
      lengthHeader,
    ],
    maxAge: 600,
  });
}

/** Paths of devices, wherever the app is mounted. */
const devicePath = /\/v1\/(chat|devices)(\/|$)/;

/** True for the upload of an attachment, wherever the app is mounted. */
function isUpload({ req: { method, path } }: RequestContext): boolean {
  return method === "POST" && /\/v1\/sessions\/[^/]+\/attachments$/.test(path);
}

/** Limits the size of a body: less for devices than for keys. */
function bodyLimits({ bodyBytesMax, deviceBodyBytesMax }: ServerSettings): MiddlewareHandler<Env> {
  const operatorLimit = bodyLimitOf(bodyBytesMax);
  const deviceLimit = bodyLimitOf(deviceBodyBytesMax);
  return async (c, next) => {
    // An upload is limited by `limits.attachmentBytesMax` as it arrives: Hono would read all of it first.
    if (isUpload(c)) {
      await next();
      return;
    }
    // Hono builds the whole request to look at its body, so requests without one skip the limit.
    if (c.req.method === "GET" || c.req.method === "HEAD") {
      await next();
      return;
    }
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
  };
}

function bodyLimitOf(bytesMax: number): MiddlewareHandler {
  return bodyLimit({
    maxSize: bytesMax,
    onError: (c) => problemResponse(c as RequestContext, new SessionError("body_too_large", { bytesMax })),
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
