/**
 * The server of one request or one connection: the handlers of tools, tasks, resources and prompts, beside those that an extension
 * registers. It is made for each request over HTTP, so it registers functions alone; all values are made once.
 */
import { z } from "zod";
import { defined } from "../../domain/values/defined.ts";
import type { SessionError } from "../../errors.ts";
import { problemOf } from "../../protocol/problem.ts";
import { guardRight } from "../../serving/bearer.ts";
import { asSessionError } from "../../serving/thrown.ts";
import type { KeyRight } from "../../index.ts";
import type { McpHandler, McpServerLike, PackageMcp, ProtocolServer } from "./package-mcp.ts";
import { listPrompts, promptOf } from "./prompts.ts";
import { listResources, readResource, sessionTemplate } from "./resources.ts";
import { cancelTask, findTask, knowsTasks, taskForm, tasksExtension, updateTask, type FoundTask } from "./tasks.ts";
import type { Caller, ClientCapabilities, Consulting, McpContext, SessionTool } from "./tools/tool.ts";

/** What all servers of a program share. */
export interface ServerParts {
  readonly sdk: PackageMcp;
  readonly version: string;
  readonly tools: readonly SessionTool[];
  readonly consulting: Consulting;
  /** Tracks calls of tools, for which a closing server waits. */
  readonly track: <T>(work: Promise<T>) => Promise<T>;
  readonly extend: ((server: never) => void) | undefined;
}

const instructions =
  "Perdure stores conversations with agents as sessions of turns. List sessions, show their turns, ask their agents. Pass a new key with each question, and the same key to ask for the same answer again.";

/** The lists of tools and prompts change with the program alone. */
const cacheHints = Object.fromEntries(
  ["tools/list", "prompts/list", "resources/templates/list", "server/discover"].map((method) => [
    method,
    { ttlMs: 300_000, cacheScope: "private" },
  ]),
);

const clientCapabilitiesField = "io.modelcontextprotocol/clientCapabilities";
const invalidParams = -32602;
const internalError = -32603;

/** A request of a method of the protocol. */
interface Request {
  readonly params?: {
    readonly cursor?: string;
    readonly name?: string;
    readonly uri?: string;
    readonly arguments?: { readonly [name: string]: unknown };
  };
}

const taskParams = z.looseObject({ taskId: z.string() });
type TaskParams = { readonly taskId: string };

/** @param subscribes the connection can carry changes of resources */
export function protocolServer(
  parts: ServerParts,
  caller: Caller,
  { subscribes }: { readonly subscribes: boolean },
): McpServerLike {
  const { sdk, version, tools, consulting, track, extend } = parts;
  const mcp = new sdk.McpServer({ name: "perdure", title: "Perdure", version }, { instructions, cacheHints });
  const server = mcp.server as ProtocolServer;
  server.registerCapabilities({
    tools: {},
    prompts: {},
    resources: { subscribe: subscribes, listChanged: subscribes },
    extensions: { [tasksExtension]: {} },
  });
  const extended = extend === undefined ? undefined : extendedHandlers(server, () => extend(mcp as never));
  /** The answer of the extension; undefined without a handler of its own. */
  const others = async <T extends object>(method: string, input: object, context: McpContext): Promise<T | undefined> =>
    (await extended?.get(method)?.(input as never, context)) as T | undefined;
  const guarded = async <T>(needed: KeyRight, work: () => Promise<T>): Promise<T> => {
    try {
      guardRight(caller, needed);
      return await work();
    } catch (error) {
      throw protocolError(sdk, error, consulting.report);
    }
  };
  const handle = (method: string, handler: (request: Request, context: McpContext) => Promise<object>): void =>
    server.setRequestHandler(method, handler as McpHandler);

  handle("tools/list", async (request, context) => {
    const own = tools.map((tool) => tool.listed());
    const { tools: more = [] } = (await others<{ tools: object[] }>("tools/list", request, context)) ?? {};
    return { tools: [...own, ...more] };
  });
  handle("tools/call", async (request, context) => {
    const { name = "", arguments: args } = request.params ?? {};
    const tool = tools.find((one) => one.name === name);
    const call = { ...caller, context, client: capabilitiesOf(server, context) };
    if (tool !== undefined) return await track(tool.call(args, call, consulting.report));
    const answer = await others("tools/call", request, context);
    if (answer !== undefined) return answer;
    throw new sdk.ProtocolError(invalidParams, `no tool has the name ${JSON.stringify(name.slice(0, 100))}`);
  });
  handle("prompts/list", async (request, context) => {
    const { prompts: more = [] } = (await others<{ prompts: object[] }>("prompts/list", request, context)) ?? {};
    return { prompts: [...listPrompts(caller.sessions), ...more] };
  });
  handle("prompts/get", async (request, context) => {
    const { name = "", arguments: args } = request.params ?? {};
    const prompt = promptOf(caller.sessions, { name, ...defined({ arguments: args }) });
    const found = prompt ?? (await others("prompts/get", request, context));
    if (found !== undefined) return found;
    throw new sdk.ProtocolError(invalidParams, `no agent has the name ${JSON.stringify(name.slice(0, 100))}`);
  });
  handle("resources/list", async (request, context) => {
    const cursor = request.params?.cursor;
    const own = await guarded("read", async () => await listResources(caller.sessions, cursor));
    if (cursor !== undefined) return own;
    const { resources: more = [] } = (await others<{ resources: object[] }>("resources/list", request, context)) ?? {};
    return { ...own, resources: [...more, ...own.resources] };
  });
  handle("resources/templates/list", async (request, context) => {
    const more = await others<{ resourceTemplates: object[] }>("resources/templates/list", request, context);
    return { resourceTemplates: [sessionTemplate, ...(more?.resourceTemplates ?? [])] };
  });
  handle("resources/read", async (request, context) => {
    const { uri = "" } = request.params ?? {};
    const own = await guarded("read", async () => await readResource(caller.sessions, uri));
    const found = own ?? (await others("resources/read", request, context));
    if (found !== undefined) return found;
    throw new sdk.ResourceNotFoundError(uri);
  });

  const handleTask = (
    method: string,
    right: KeyRight,
    work: (task: FoundTask, context: McpContext) => Promise<object>,
  ): void =>
    server.setRequestHandler(method, { params: taskParams }, (async (params: TaskParams, context: McpContext) => {
      if (!knowsTasks(capabilitiesOf(server, context)))
        throw new sdk.MissingRequiredClientCapabilityError({
          requiredCapabilities: { extensions: { [tasksExtension]: {} } },
        });
      const task = await guarded(right, async () => await findTask(caller.sessions, params.taskId));
      if (task !== undefined) return await guarded(right, async () => await work(task, context));
      const answer = await others(method, params, context);
      if (answer !== undefined) return answer;
      throw new sdk.ProtocolError(invalidParams, `no task has the id ${JSON.stringify(params.taskId.slice(0, 100))}`);
    }) as McpHandler);
  handleTask("tasks/get", "read", async (task) => await taskForm(task));
  handleTask("tasks/update", "write", async (task, { mcpReq: { inputResponses = {} } }) => {
    await updateTask(task, inputResponses, { ...consulting, waitUntil: caller.waitUntil });
    return {};
  });
  handleTask("tasks/cancel", "write", async (task) => {
    await cancelTask(task);
    return {};
  });
  return mcp;
}

/** The handlers that an extension registers; the handlers of Perdure call them for names that are not its own. */
function extendedHandlers(server: ProtocolServer, extend: () => void): ReadonlyMap<string, McpHandler> {
  const handlers = new Map<string, McpHandler>();
  const register = server.setRequestHandler.bind(server) as (method: string, ...rest: unknown[]) => void;
  const recording = (method: string, ...rest: unknown[]): void => {
    handlers.set(method, rest.at(-1) as McpHandler);
    register(method, ...rest);
  };
  const own = Object.assign(server, { setRequestHandler: recording });
  try {
    extend();
  } finally {
    // The method of the class is there again.
    delete (own as { setRequestHandler?: unknown }).setRequestHandler;
  }
  return handlers;
}

/** The capabilities of the client: of the request, or of the handshake of its connection. */
function capabilitiesOf(server: ProtocolServer, { mcpReq }: McpContext): ClientCapabilities {
  return Object(mcpReq.envelope?.[clientCapabilitiesField] ?? server.getClientCapabilities()) as ClientCapabilities;
}

/** An error as one of the protocol: of the request, or of the server. */
function protocolError(sdk: PackageMcp, thrown: unknown, report: (error: SessionError) => void): Error {
  const requestId = crypto.randomUUID();
  const error = asSessionError(thrown, requestId);
  if (error.status >= 500) report(error);
  const problem = problemOf(error, { requestId, audience: "operator" });
  return new sdk.ProtocolError(error.status < 500 ? invalidParams : internalError, problem.detail, problem);
}
