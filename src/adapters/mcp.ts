/**
 * The Model Context Protocol: sessions as tools, tasks, resources and prompts for any MCP client, over stdio and over stateless
 * streamable HTTP. It serves the revision 2026-07-28, and clients of 2025. The package `@modelcontextprotocol/server` is a peer,
 * which is loaded when a server is made.
 *
 * @module perdure/mcp
 */
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { version as ownVersion } from "../files/version.ts";
import type { Sessions } from "../index.ts";
import type { ConfiguredKey } from "../serving/configured-keys.ts";
import type { Approve, Converse } from "../serving/converse.ts";
import type { McpServer } from "./mcp/mcp-server.ts";

export type { ConfiguredKey } from "../serving/configured-keys.ts";
export type { Approve, Converse } from "../serving/converse.ts";
export type { McpRequestLifetime, McpServer } from "./mcp/mcp-server.ts";

/** Options of an MCP server; all but `sessions` are optional. */
export interface McpServerOptions {
  /** The served sessions. Without keys a client has those of its tenant, with a key those of the key's. The caller closes it. */
  readonly sessions: Sessions;
  /**
   * Keys that requests over HTTP may show, beside those of the store; `false`: requests need no key. A connection over stdio needs
   * none, since its client has started the process.
   * @default only the keys of the store
   */
  readonly keys?: readonly ConfiguredKey[] | false;
  /**
   * Names of this server in the URLs of its clients, without port: a request with another `Host`, or of a page with another
   * `Origin`, is refused. An IPv6 address has brackets.
   * @default those of the machine itself: localhost, 127.0.0.1, [::1]
   */
  readonly hosts?: readonly string[];
  /**
   * Answers a question, such as a manager's `send`.
   * @default `session.consult`
   */
  readonly converse?: Converse;
  /**
   * Decides on the tool calls for which a turn waits, such as a manager's `approve`: it has the tools.
   * @default `session.approve`
   */
  readonly approve?: Approve;
  /**
   * Registers more tools, resources and prompts on each server of a request or a connection: an `McpServer` of the package. Those
   * of Perdure come first. Called for each request over HTTP, so it registers, and makes nothing.
   * @default none
   */
  readonly extend?: (server: never) => void;
  /**
   * Called with internal errors, and with messages that the package cannot handle.
   * @default not called
   */
  readonly onError?: (error: unknown) => void;
  /**
   * Version of the program, as clients see it.
   * @default that of Perdure
   */
  readonly version?: string;
}

const optionNames: OptionNames<McpServerOptions> = {
  sessions: true,
  keys: true,
  hosts: true,
  converse: true,
  approve: true,
  extend: true,
  onError: true,
  version: true,
};

/**
 * Makes an MCP server of sessions.
 * @throws SessionError `argument_invalid`, also where the package `@modelcontextprotocol/server` is not installed
 */
export async function createMcpServer(options: McpServerOptions): Promise<McpServer> {
  guardNames(options, "createMcpServer", optionNames);
  // Schemas and the package take long to load: a program that makes no server does not wait for them.
  const { openMcpServer } = await import("./mcp/mcp-server.ts");
  return await openMcpServer({ version: ownVersion(), ...options });
}
