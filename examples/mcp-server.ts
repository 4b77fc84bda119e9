/**
 * Sessions for clients of the Model Context Protocol: `npm install @modelcontextprotocol/server @modelcontextprotocol/client`, then
 * run this file twice. Its client is the official one, without a network, and its model is scripted, so it needs no key.
 */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { openSessions, type Model } from "perdure";
import { createMcpServer } from "perdure/mcp";

/** A model that counts the questions. */
const model: Model = async function* ({ messages }) {
  yield { type: "text", text: `This is question ${messages.filter(({ role }) => role === "user").length}.` };
};

await using sessions = await openSessions({ store: "sqlite:mcp-server.db", model, agents: { support: {} } });
const mcp = await createMcpServer({ sessions, keys: false });

// An application has a server instead, such as Node's: serve({ fetch: mcp.fetch, port: 8787 }).
const fetch = async (url: string | URL, init?: RequestInit): Promise<Response> =>
  await mcp.fetch(new Request(url, init));
const client = new Client({ name: "example", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
await client.connect(new StreamableHTTPClientTransport(new URL("http://localhost/mcp"), { fetch }));

console.log((await client.listTools()).tools.map(({ name }) => name).join(" "));
const question = { session: "ticket-7", key: crypto.randomUUID(), message: "How many?", create: { agent: "support" } };
const ask = async (): Promise<unknown> =>
  (await client.callTool({ name: "session_consult", arguments: question })).content;
console.log(await ask());
// The connection broke, and the client asks again: the same key is the same answer.
console.log(await ask());

await client.close();
await mcp.close();
