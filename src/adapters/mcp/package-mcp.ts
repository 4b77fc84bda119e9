/** The package `@modelcontextprotocol/server`, described by the members that are called. It is loaded when a server is made. */
import { loadPeer } from "../peers/load-peer.ts";
import type { McpContext } from "./tools/tool.ts";

/** A handler of requests: of a method of the protocol it gets the request, of another one the parameters. */
export type McpHandler = (input: never, context: McpContext) => object | Promise<object>;

/** The server of one connection or one request, below the functions that register tools. */
export interface ProtocolServer {
  setRequestHandler(method: string, handler: McpHandler): void;
  setRequestHandler(method: string, schemas: { readonly params: object }, handler: McpHandler): void;
  registerCapabilities(capabilities: object): void;
  getClientCapabilities(): object | undefined;
  sendResourceUpdated(params: { readonly uri: string }): Promise<void>;
  sendResourceListChanged(): Promise<void>;
}

/** The class `McpServer` of the package, as `extend` gets it. */
export interface McpServerLike {
  readonly server: object;
  connect(transport: never): Promise<void>;
  close(): Promise<void>;
}

/** The construction context of a server. */
export interface FactoryContext {
  readonly era: "legacy" | "modern";
  readonly authInfo?: { readonly extra?: { readonly [name: string]: unknown } };
}

type Factory = (context: FactoryContext) => McpServerLike;

/** A change that open subscriptions hear of. */
export type McpEvent =
  | { readonly kind: "resources_list_changed" }
  | { readonly kind: "resource_updated"; readonly uri: string };

/** The source of the changes that open subscriptions hear of. */
export interface McpEventBus {
  publish(event: McpEvent): void;
  subscribe(listener: (event: McpEvent) => void): () => void;
}

/** The package's handler of HTTP requests. */
export interface McpHttpHandler {
  fetch(request: Request, options: { readonly authInfo: object }): Promise<Response>;
  close(): Promise<void>;
}

/** A connection, as the package takes it. */
export interface McpTransport {
  onmessage?: ((message: never, extra?: never) => void) | undefined;
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  start(): Promise<void>;
  send(message: never, options?: never): Promise<void>;
  close(): Promise<void>;
}

/** The functions of the package that are called. */
export interface PackageMcp {
  readonly McpServer: new (
    info: { readonly name: string; readonly version: string; readonly title: string },
    options: { readonly instructions: string; readonly cacheHints: object },
  ) => McpServerLike;
  readonly ProtocolError: new (code: number, message: string, data?: unknown) => Error;
  readonly MissingRequiredClientCapabilityError: new (data: { readonly requiredCapabilities: object }) => Error;
  readonly ResourceNotFoundError: new (uri: string) => Error;
  createMcpHandler(
    this: void,
    factory: Factory,
    options: {
      readonly bus?: McpEventBus;
      readonly onerror: (error: Error) => void;
      readonly maxRequestBodySize: number;
    },
  ): McpHttpHandler;
  validateHostHeader(this: void, host: string | null, hosts: string[]): { readonly ok: boolean };
  validateOriginHeader(this: void, origin: string | null, hosts: string[]): { readonly ok: boolean };
}

/** The functions of the package for stdio that are called. */
export interface PackageStdio {
  readonly StdioServerTransport: new () => McpTransport;
  serveStdio(
    this: void,
    factory: Factory,
    options: { readonly transport: McpTransport; readonly onerror: (error: Error) => void },
  ): { close(): Promise<void> };
}

/** @throws SessionError `argument_invalid` where the package is not installed */
export async function packageMcp(): Promise<PackageMcp> {
  return await loadPeer<PackageMcp>(
    "@modelcontextprotocol/server",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("@modelcontextprotocol/server"),
  );
}

/** @throws SessionError `argument_invalid` where the package is not installed */
export async function packageStdio(): Promise<PackageStdio> {
  return await loadPeer<PackageStdio>(
    "@modelcontextprotocol/server",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("@modelcontextprotocol/server/stdio"),
  );
}
