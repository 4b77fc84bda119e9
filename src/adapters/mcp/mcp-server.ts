/** An MCP server: its requests over HTTP, its connection over stdio, its end. */
import { defined } from "../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Sessions } from "../../index.ts";
import { problemOf, problemType } from "../../protocol/problem.ts";
import { bearerToken, holdsToken } from "../../serving/bearer.ts";
import { KeyRing, type ConfiguredKey } from "../../serving/configured-keys.ts";
import type { Approve, Converse } from "../../serving/converse.ts";
import { RateLimits } from "../../serving/rate-limits.ts";
import { RunningWork } from "../../serving/running-work.ts";
import { asSessionError } from "../../serving/thrown.ts";
import { admitted, loopbackHosts, type Conditions } from "./admission.ts";
import { consultTool } from "./consult-tool.ts";
import {
  packageMcp,
  type FactoryContext,
  type McpEventBus,
  type McpHttpHandler,
  type McpServerLike,
} from "./package-mcp.ts";
import { protocolServer, type ServerParts } from "./protocol-server.ts";
import { memoryTools } from "./tools/memory-tools.ts";
import { readingTools, writingTools } from "./tools/session-tools.ts";
import { serveOverStdio } from "./stdio.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { Caller } from "./tools/tool.ts";

/** The context that a serverless host gives to a request: the function stays alive until the promise settles. */
export interface McpRequestLifetime {
  waitUntil(work: Promise<unknown>): void;
}

/** The options of a server, with their names checked. */
interface ServerOptions {
  readonly sessions: Sessions;
  readonly keys?: readonly ConfiguredKey[] | false;
  readonly hosts?: readonly string[];
  readonly converse?: Converse;
  readonly approve?: Approve;
  readonly extend?: (server: never) => void;
  readonly onError?: (error: unknown) => void;
  readonly version: string;
}

/** The largest body of a request, bytes. */
const bodyBytesMax = 8 * 1024 * 1024;
/** The longest wait for running calls and answers when a server closes, ms. */
const closeMs = 120_000;

/** @throws SessionError `argument_invalid`, also where the package is not installed */
export async function openMcpServer(options: ServerOptions): Promise<McpServer> {
  const { sessions, keys = [], hosts = loopbackHosts } = options;
  const sdk = await packageMcp();
  return new McpServer(options, {
    sdk,
    sessions,
    keys: keys === false ? undefined : new KeyRing(sessions, keys),
    hosts,
    limits: new RateLimits({}),
  });
}

/** An MCP server. Each request over HTTP stands alone, so any number of processes serve one store. */
export class McpServer {
  readonly #conditions: Conditions;
  readonly #parts: ServerParts;
  readonly #handler: McpHttpHandler;
  readonly #report: (error: unknown) => void;
  readonly #running = new RunningWork();
  readonly #subscriptions: Subscriptions;
  #closing: Promise<void> | undefined;

  /** Made by `createMcpServer`. @internal */
  constructor({ converse, approve, extend, onError, version }: ServerOptions, conditions: Conditions) {
    const report = (error: unknown): void => onError?.(error);
    const consulting = {
      converse: converse ?? (async (session, message, how) => await session.consult(message, how)),
      approve: approve ?? (async (session, token, decisions) => await session.approve(token, decisions)),
      outlive: (answer) => void this.#running.track(answer.done).catch(() => undefined),
      report,
    } satisfies ServerParts["consulting"];
    this.#conditions = conditions;
    this.#report = report;
    const { sdk } = conditions;
    const { append, others } = writingTools;
    const tools = [...readingTools, append, consultTool(consulting), ...others, ...memoryTools];
    const track = async <T>(work: Promise<T>): Promise<T> => await this.#running.track(work);
    this.#parts = { sdk, version, tools, consulting, track, extend };
    this.#handler = this.#httpHandler();
    this.#subscriptions = new Subscriptions((events) => this.#httpHandler(events), report);
  }

  /** Answers a request over HTTP, at any path. Several arguments, as servers and serverless hosts pass them. */
  readonly fetch = async (request: Request, _env?: unknown, context?: McpRequestLifetime): Promise<Response> => {
    try {
      if (this.#closing !== undefined) throw new SessionError("store_unavailable", { problem: "server_closing" });
      const caller = await admitted(request, this.#conditions);
      const waitUntil = (work: Promise<unknown>): void => context?.waitUntil(work.catch(() => undefined));
      return await this.#answer(request, { ...caller, waitUntil });
    } catch (error) {
      return this.#refusal(error);
    }
  };

  /** Serves the client that has started this process, over stdin and stdout, until it leaves. */
  async serveStdio(): Promise<void> {
    const { sessions } = this.#conditions;
    await serveOverStdio(this.#parts, { sessions, report: this.#report });
  }

  /** Ends the open subscriptions, waits for running calls and answers, and refuses later requests. The sessions stay open. */
  async close(): Promise<void> {
    await (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    await this.#subscriptions.close();
    await this.#running.settle(closeMs);
    await this.#handler.close();
  }

  async #answer(request: Request, caller: Caller): Promise<Response> {
    const authInfo = { token: "", clientId: "perdure", scopes: [caller.right], extra: { caller } };
    if (!Subscriptions.opens(request)) return await this.#handler.fetch(request, { authInfo });
    const { keys } = this.#conditions;
    const token = bearerToken(request.headers.get("authorization"));
    const admitted = keys === undefined ? async () => true : holdsToken(token, keys);
    return await this.#subscriptions.answer(request, caller, { authInfo, admitted });
  }

  #httpHandler(bus?: McpEventBus): McpHttpHandler {
    const make = ({ era, authInfo }: FactoryContext): McpServerLike =>
      // Each request over HTTP has its caller.
      protocolServer(this.#parts, authInfo?.extra?.["caller"] as Caller, { subscribes: era === "modern" });
    return this.#conditions.sdk.createMcpHandler(make, {
      onerror: this.#report,
      maxRequestBodySize: bodyBytesMax,
      ...defined({ bus }),
    });
  }

  #refusal(thrown: unknown): Response {
    const requestId = crypto.randomUUID();
    const error = asSessionError(thrown, requestId);
    if (error.status >= 500) this.#report(error);
    const problem = problemOf(error, { requestId, audience: "operator" });
    const headers = new Headers({ "content-type": problemType, "cache-control": "no-store" });
    if (hasCode(error, "key_missing")) headers.set("www-authenticate", "Bearer");
    if (hasCode(error, "key_expired")) headers.set("www-authenticate", 'Bearer error="invalid_token"');
    if (hasCode(error, "rate_limited"))
      headers.set("retry-after", String(Math.ceil(error.details.retryAfterMs / 1000)));
    return new Response(JSON.stringify(problem), { status: error.status, headers });
  }
}
