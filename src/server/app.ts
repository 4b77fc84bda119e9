import { Hono, type ExecutionContext } from "hono";
import { admit } from "./admission.ts";
import { DeviceUsage } from "./http/device-budgets.ts";
import { deviceDoors } from "./http/device-doors.ts";
import { OpenStreams } from "./http/open-streams.ts";
import { RateLimits } from "../serving/rate-limits.ts";
import { addMethodRefusals, type Env } from "./http/route.ts";
import type { Shared } from "./http/server-context.ts";
import { ServerMetrics } from "./metrics/metrics.ts";
import { addMiddlewares } from "./middlewares.ts";
import { resolveOptions, type ServerOptions, type ServerSettings } from "./options.ts";
import { logBackgroundEvents } from "./request-log.ts";
import { addAdminRoutes } from "./routes/admin-routes.ts";
import { addAnswerRoutes } from "./routes/answer-routes.ts";
import { addAttachmentRoutes, addSharedAttachmentRoute } from "./routes/attachments/attachment-routes.ts";
import { addArchiveRoutes } from "./routes/archive-routes.ts";
import { addChatRoutes } from "./routes/chat-routes.ts";
import { addDeviceConversationRoutes } from "./routes/conversations/device-conversations.ts";
import { addSharedRoutes } from "./routes/conversations/shared-routes.ts";
import { addUserConversationRoutes } from "./routes/conversations/user-conversations.ts";
import { addDeviceRoutes } from "./routes/device-routes.ts";
import { addDocumentRoutes } from "./routes/documents/document-routes.ts";
import { addEventRoutes } from "./routes/event-routes.ts";
import { addHandoffRoutes } from "./routes/handoff-routes.ts";
import { addHostRoutes } from "./routes/host-routes.ts";
import { addInspectionRoutes } from "./routes/inspection/inspection-routes.ts";
import { addMemoryRoutes } from "./routes/memory/memory-routes.ts";
import { addListRoutes } from "./routes/list-routes.ts";
import { addLogRoutes } from "./routes/log-routes.ts";
import { addOperationRoutes } from "./routes/operation-routes.ts";
import { addSessionRoutes } from "./routes/session-routes.ts";
import { addStreamRoutes } from "./routes/stream-routes.ts";
import { addTurnRoutes } from "./routes/turn-routes.ts";
import { addWaitingRoutes } from "./routes/waiting-routes.ts";
import { addNewsRoute, addWatchRoutes } from "./routes/watch-routes.ts";
import { RunningWork } from "../serving/running-work.ts";
import { waitUntil } from "./request-lifetime.ts";

/** The context that a serverless host gives to a request: the function stays alive until the promise settles. */
export interface RequestLifetime {
  waitUntil(work: Promise<unknown>): void;
}

/** A server as a `fetch` function, for any listener: Node, Bun, Next.js, Vercel, Lambda, or another Hono app. */
export interface Server {
  /**
   * Answers a request. With a `context` the host keeps the function alive until the answer is sealed, also if the client
   * closes the connection.
   */
  readonly fetch: (request: Request, env?: unknown, context?: RequestLifetime) => Response | Promise<Response>;
  /** The server as a Hono app, to be mounted: `app.route("/", server.app)`. */
  readonly app: Hono<Env>;
  /** Makes the server not ready, so that a load balancer sends its requests elsewhere; it still answers those that come. */
  drain(): void;
  /**
   * Makes the server not ready, ends its watch streams, and waits for running requests and answers, up to `deadline`.
   * The sessions stay open.
   */
  stop(): Promise<void>;
}

/**
 * Creates a server of sessions over HTTP.
 * @throws SessionError `duration_invalid`, `argument_invalid` for invalid options
 */
export function createServer(options: ServerOptions): Server {
  const settings = resolveOptions(options);
  const { sessions, keys, deadlineMs, log } = settings;
  const limits = new RateLimits(settings.rates);
  const streams = new OpenStreams(settings.streams);
  const deviceUsage = new DeviceUsage(settings.deviceBudgets);
  const { countNew, ...doors } = deviceDoors(sessions, limits, settings.clientAddress);
  const metrics = new ServerMetrics(sessions, settings);
  const running = new RunningWork();
  const stopping = new AbortController();
  const draining = new AbortController();
  const app = new Hono<Env>();
  addMiddlewares(app, { settings, metrics, streams, running });
  addRoutes(settings, metrics, {
    app,
    table: [],
    admit: async (c, scope) => await admit(c, scope, { sessions, keys, limits, streams, countNew }),
    sessions,
    keys,
    converse: settings.converse,
    approve: settings.approve,
    deviceApprovals: settings.deviceApprovals,
    outlive: (c, answer) => waitUntil(c, running.track(answer.done)),
    limits,
    deviceUsage,
    ...doors,
    deadlineMs,
    drain: draining.signal,
    stop: stopping.signal,
  });
  const stopLogging = log === undefined ? () => undefined : logBackgroundEvents(log);
  return {
    app,
    fetch: (request, env, context) => app.fetch(request, env, context as ExecutionContext | undefined),
    drain: () => draining.abort(),
    async stop() {
      stopping.abort();
      await running.settle(deadlineMs);
      metrics.close();
      stopLogging();
    },
  };
}

function addRoutes(
  { host, version, openMetrics, deviceConversations }: ServerSettings,
  metrics: ServerMetrics,
  shared: Shared,
): void {
  addChatRoutes(shared);
  addDeviceRoutes(shared);
  addDeviceConversationRoutes(shared, deviceConversations);
  addUserConversationRoutes(shared);
  addSharedRoutes(shared);
  addSharedAttachmentRoute(shared);
  addSessionRoutes(shared);
  addListRoutes(shared);
  addTurnRoutes(shared);
  addMemoryRoutes(shared);
  addLogRoutes(shared);
  addDocumentRoutes(shared);
  addAttachmentRoutes(shared);
  addAnswerRoutes(shared);
  addWaitingRoutes(shared);
  addWatchRoutes(shared);
  addStreamRoutes(shared);
  addHandoffRoutes(shared);
  addArchiveRoutes(shared);
  if (host !== undefined) addHostRoutes(shared, host);
  addEventRoutes(shared);
  addNewsRoute(shared);
  addAdminRoutes(shared);
  addInspectionRoutes(shared);
  addOperationRoutes(shared, { metrics, version, openMetrics });
  addMethodRefusals(shared);
}
