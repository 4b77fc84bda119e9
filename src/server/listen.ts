import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { parseWholeNumber } from "../sessions/options/arguments.ts";
import type { AddressInfo } from "node:net";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import { problemOf, problemType } from "../protocol/problem.ts";
import type { Server } from "./app.ts";

/** Address to listen on. */
export interface ListenOptions {
  /**
   * 0: any free port.
   * @default 8080
   */
  readonly port?: number;
  /** @default "127.0.0.1" */
  readonly host?: string;
  /**
   * `close` first makes the server not ready for this time, ms: `/readyz` answers 503 while the port is still open, so that
   * a load balancer sends its requests elsewhere.
   * @default 0
   */
  readonly drainMs?: number;
}

/** A listening server. */
export interface Listening {
  readonly url: string;
  /**
   * After the drain time accepts no more connections, waits for running requests up to the grace period, then closes their connections.
   * Acknowledged writes are never lost.
   */
  close(graceMs?: number): Promise<void>;
}

/** The members of a server that a listener calls. */
export type ListenedServer = Pick<Server, "fetch" | "drain" | "stop">;

const idleMs = 50;
const optionNames: OptionNames<ListenOptions> = { port: true, host: true, drainMs: true };

/**
 * Listens with Node's HTTP server; requests wait while the server is being created.
 * @throws the system's error, such as `EADDRINUSE`; SessionError `argument_invalid` for an option that does not exist
 */
export async function listen(
  server: ListenedServer | Promise<ListenedServer>,
  options: ListenOptions = {},
): Promise<Listening> {
  guardNames(options, "options", optionNames);
  const { port = 8080, host = "127.0.0.1", drainMs = 0 } = options;
  if (typeof (Object(server) as Partial<Server>).fetch !== "function" && !(server instanceof Promise))
    throw invalidArgument("server", server, { expected: "server" });
  // Node takes a text as the path of a socket.
  if (!Number.isSafeInteger(port) || port < 0 || port > 65_535)
    throw invalidArgument("port", port, { expected: "whole_number", min: 0, max: 65_535 });
  parseWholeNumber(drainMs, "drainMs", 0);
  const http = createAdaptorServer({ fetch: (request, env) => answer(server, request, env) });
  await new Promise<void>((resolve, reject) => {
    http.once("error", reject);
    http.listen(port, host, resolve);
  });
  const { port: bound } = http.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  const close = async (graceMs: number): Promise<void> => {
    if (drainMs > 0) await drain(server, drainMs);
    const closed = new Promise<void>((resolve) => http.close(() => resolve()));
    // A connection would be kept alive after its last response.
    const idle = setInterval(() => "closeIdleConnections" in http && http.closeIdleConnections(), idleMs);
    const graceOver = Promise.withResolvers<void>();
    const cut = setTimeout(graceOver.resolve, graceMs);
    // Closing the sessions seals the answers that still run.
    await Promise.race([Promise.allSettled([stop(server), closed]), graceOver.promise]);
    if ("closeAllConnections" in http) http.closeAllConnections();
    await closed;
    clearInterval(idle);
    clearTimeout(cut);
  };
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`,
    close: (graceMs = 10_000) => (closing ??= close(graceMs)),
  };
}

function answer(
  server: ListenedServer | Promise<ListenedServer>,
  request: Request,
  env: unknown,
): Response | Promise<Response> {
  if (hasDotSegment((env as HttpBindings).incoming.url ?? ""))
    return normalised((env as HttpBindings).incoming.url ?? "");
  return server instanceof Promise ? server.then((made) => made.fetch(request, env)) : server.fetch(request, env);
}

/** True if the path has dot segments: URL parsing removes them, so the request would address another resource. */
function hasDotSegment(url: string): boolean {
  const [path = ""] = url.split(/[?#]/, 1);
  return /(^|[/\\])(\.|%2e){1,2}([/\\]|$)/i.test(path);
}

function normalised(url: string): Response {
  const error = new SessionError("request_invalid", {
    path: "path",
    value: JSON.stringify(url.slice(0, 100)),
    expected: "no_segment_of_dots",
  });
  const problem = problemOf(error, { requestId: crypto.randomUUID(), audience: "device" });
  return new Response(JSON.stringify(problem), { status: error.status, headers: { "content-type": problemType } });
}

/** Makes the server not ready for a time; a server that was not made has no requests to drain. */
async function drain(server: ListenedServer | Promise<ListenedServer>, ms: number): Promise<void> {
  const made = await Promise.resolve(server).catch(() => undefined);
  if (made === undefined) return;
  made.drain();
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function stop(server: ListenedServer | Promise<ListenedServer>): Promise<void> {
  await (await server).stop();
}
