/** MCP servers over HTTP on a free port, and the official client of both generations of the protocol. */
import { serve as serveNode } from "@hono/node-server";
import { Client, StreamableHTTPClientTransport, type ClientOptions } from "@modelcontextprotocol/client";
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { createMcpServer, type McpServer, type McpServerOptions } from "../../../src/adapters/mcp.ts";
import type { Sessions } from "../../../src/index.ts";

export type Era = "2025" | "2026";
export const eras: readonly Era[] = ["2026", "2025"];

export interface Serving extends AsyncDisposable {
  readonly url: URL;
  readonly mcp: McpServer;
  readonly errors: unknown[];
  /** A connected client, which is closed with the server. */
  client(how?: ClientHow): Promise<Client>;
}

export interface ClientHow {
  readonly era?: Era;
  readonly key?: string;
  readonly capabilities?: ClientOptions["capabilities"];
  /** Called with each request over HTTP before it is sent. */
  readonly before?: (url: string | URL, init: RequestInit) => RequestInit;
}

/** The capabilities of a client that takes tasks. */
export const withTasks: { readonly extensions: Record<string, object> } = {
  extensions: { "io.modelcontextprotocol/tasks": {} },
};

/** A client of one generation, not connected. */
export function clientOf({ era = "2026", capabilities = {} }: ClientHow = {}): Client {
  return new Client(
    { name: "test", version: "1.0.0" },
    { capabilities, ...(era === "2026" ? { versionNegotiation: { mode: "auto" } } : {}) },
  );
}

export async function connected(url: URL, how: ClientHow = {}): Promise<Client> {
  const client = clientOf(how);
  const { key, before = (_, init) => init } = how;
  const transport = new StreamableHTTPClientTransport(url, {
    fetch: async (to, init = {}) => await fetch(to, before(to, init)),
    ...(key === undefined ? {} : { requestInit: { headers: { authorization: `Bearer ${key}` } } }),
  });
  await client.connect(transport);
  return client;
}

export async function serving(sessions: Sessions, options: Partial<McpServerOptions> = {}): Promise<Serving> {
  const errors: unknown[] = [];
  const mcp = await createMcpServer({ sessions, keys: false, onError: (error) => errors.push(error), ...options });
  const server = serveNode({ fetch: (request) => mcp.fetch(request), port: 0, hostname: "127.0.0.1" });
  await once(server, "listening");
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);
  const clients: Client[] = [];
  return {
    url,
    mcp,
    errors,
    async client(how) {
      const client = await connected(url, how);
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client.close();
      await mcp.close();
      (server as unknown as { closeAllConnections(): void }).closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

// oxlint-disable-next-line typescript/no-explicit-any -- a result is whatever came
export type Structured = any;

/** The structured result of a call that succeeds. The client compares it with the schema of the tool. */
export async function call(client: Client, name: string, args: object = {}): Promise<Structured> {
  const { structuredContent, isError, content } = await client.callTool({ name, arguments: { ...args } });
  assert.notEqual(isError, true, JSON.stringify(content));
  return structuredContent;
}

/** The problem of a call that fails. */
export async function problem(client: Client, name: string, args: object = {}): Promise<Structured> {
  return problemIn(await client.callTool({ name, arguments: { ...args } }));
}

export function problemIn(result: Structured): Structured {
  assert.equal(result.isError, true, JSON.stringify(result));
  return JSON.parse(result.content[0].text);
}

const anything = z.looseObject({});

/** A request that the client has no method for; over HTTP the client sends the header with the id of the task. */
export async function raw(client: Client, method: string, params: object): Promise<Structured> {
  return await client.request({ method, params: { ...params } }, anything);
}

/** Sends the header that requests for a task carry; clients without support for tasks do not. */
export function nameTask(_: string | URL, init: RequestInit): RequestInit {
  const { params } = JSON.parse(String(init.body ?? "{}")) as { params?: { taskId?: string } };
  const headers = new Headers(init.headers);
  if (params?.taskId !== undefined) headers.set("mcp-name", params.taskId);
  return { ...init, headers };
}
