/** Health, readiness, metrics and documents of the server; open to every caller. */
import { z } from "zod";
import { SessionError } from "../../errors.ts";
import { docsPage } from "../http/docs-page.ts";
import { openapiOf } from "../http/openapi.ts";
import { addRoute, jsonAnswer } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import type { ServerMetrics } from "../metrics/metrics.ts";

/** The server is not ready if the store does not answer in this time, ms. */
const readyMs = 2000;

export function addOperationRoutes(
  shared: Shared,
  { metrics, version, openMetrics }: { metrics: ServerMetrics; version: string; openMetrics: boolean },
): void {
  const { sessions, table, stop, drain } = shared;
  // The document is built on the first request, after all routes are added.
  let document: ReturnType<typeof openapiOf> | undefined;
  let page: ReturnType<typeof docsPage> | undefined;
  const openapi = (): NonNullable<typeof document> => (document ??= openapiOf(table, version));

  addRoute(
    shared,
    {
      method: "get",
      path: "/healthz",
      summary: "Check that the process is alive",
      scope: "open",
      answers: { 200: { description: "the process is alive", schema: z.object({ status: z.string() }) } },
    },
    async (c) => jsonAnswer(c, { status: "ok" }),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/readyz",
      summary:
        "Check readiness: the store answers and takes writes, its schema is current, and the server is not stopping",
      scope: "open",
      answers: {
        200: {
          description: "ready; degraded if the server runs in the fallback without its store",
          schema: z.object({
            ready: z.boolean(),
            store: z.string(),
            degraded: z.boolean(),
            waiting: z.number().meta({ description: "turns in the outbox that are not yet in the store" }),
            writes: z.string().optional().meta({
              description: "why the store refuses writes: store_full or store_read_only; absent while it takes them",
            }),
          }),
        },
        503: { description: "not ready" },
      },
    },
    async (c) => {
      const store = await storeState();
      const { degraded, outbox, writes } = await sessions.health();
      const stopping = drain.aborted || stop.aborted;
      const ready = (store === "up" || outbox !== null) && writes.since === null && !stopping;
      const waiting = outbox?.waiting ?? 0;
      return c.json(
        {
          ready,
          store,
          degraded,
          waiting,
          ...(writes.code === null ? {} : { writes: writes.code }),
          ...(stopping ? { stopping } : {}),
        },
        ready ? 200 : 503,
      );
    },
  );

  let looking: Promise<string> | undefined;

  /** Concurrent requests share one query, as any caller may send them. */
  async function storeState(): Promise<string> {
    looking ??= askStore().finally(() => (looking = undefined));
    return await looking;
  }

  async function askStore(): Promise<string> {
    const tooLate = Promise.withResolvers<string>();
    const timer = setTimeout(() => tooLate.resolve("down: no answer in time"), readyMs);
    try {
      return await Promise.race([sessions.list({ limit: 1 }).then(() => "up"), tooLate.promise]);
    } catch (error) {
      return `down: ${(error as { code?: string }).code ?? "unknown"}`;
    } finally {
      clearTimeout(timer);
    }
  }

  addRoute(
    shared,
    {
      method: "get",
      path: "/metrics",
      summary: "Get metrics in the exposition format of Prometheus",
      scope: openMetrics ? "open" : "read",
      answers: { 200: { description: "the metrics" } },
    },
    async (c) => {
      // The metrics are those of the server's tenant.
      if (!openMetrics && c.get("key").tenant !== sessions.tenant) {
        const { right } = c.get("key");
        throw new SessionError("key_forbidden", { right, needed: "read", tenantOf: "server" });
      }
      return c.body(await metrics.exposition(), 200, { "content-type": metrics.contentType });
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/openapi.json",
      summary: "Get this API as an OpenAPI document",
      scope: "open",
      answers: { 200: { description: "the document" } },
    },
    async (c) => c.json(openapi()),
  );

  addRoute(
    shared,
    {
      method: "get",
      path: "/docs",
      summary: "Get this API as a web page",
      scope: "open",
      answers: { 200: { description: "a page" }, 503: { description: "the page is not built in this checkout" } },
    },
    async (c) => {
      page ??= docsPage(openapi());
      if (page === undefined)
        return c.text("The page is not built. Run: npm run build. The document for programs is /openapi.json.\n", 503);
      c.header("content-security-policy", page.policy);
      return c.html(page.html);
    },
  );
}
