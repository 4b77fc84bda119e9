/** MCP servers over HTTP on a free port, and the official client of both generations of the protocol. */
import { serve as serveNode } from "@hono/node-server";
import { Client, StreamableHTTPClientTransport, type ClientOptions } from "@modelcontextprotocol/client";
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
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
  /** Sends a request over HTTP. */
  readonly fetch?: typeof fetch;
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
  const { key } = how;
  const transport = new StreamableHTTPClientTransport(url, {
    ...(how.fetch === undefined ? {} : { fetch: how.fetch }),
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
      // It waits for answers that still run: the end of their sessions ends them.
      void mcp.close();
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

/** A request of the revision 2026-07-28 as a client sends it that takes tasks; the official client takes none. */
export async function post(
  url: URL | string,
  method: string,
  params: object,
  {
    key,
    capabilities = withTasks,
    signal,
  }: { readonly key?: string | undefined; readonly capabilities?: object; readonly signal?: AbortSignal } = {},
): Promise<Structured> {
  const { name = "", taskId = name } = params as { readonly name?: string; readonly taskId?: string };
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1.0.0" },
    "io.modelcontextprotocol/clientCapabilities": capabilities,
  };
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      "mcp-name": taskId,
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta } }),
    ...(signal === undefined ? {} : { signal }),
  });
  return await response.json();
}

/** The result of a request that succeeds. */
export async function posted(...args: Parameters<typeof post>): Promise<Structured> {
  const answer = await post(...args);
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  return answer.result;
}

/** The task in this status; asks again until then. */
export async function taskIn(url: URL | string, taskId: string, status: string, key?: string): Promise<Structured> {
  for (;;) {
    const task = await posted(url, "tasks/get", { taskId }, { key });
    if (task.status === status) return task;
    assert.equal(task.status, "working", JSON.stringify(task));
    await sleep(10);
  }
}
