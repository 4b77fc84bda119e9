/**
 * A list of sessions through an MCP server on the loopback, beside the same list without a protocol, and beside a bare tool of the
 * protocol's package that answers with the same text. On SQLite, in this process, with a client in the same process. Needs
 * `node test/frameworks/install.ts`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMcpServer } from "../src/adapters/mcp.ts";
import { openSessions } from "../src/index.ts";
import { listen } from "../src/server/index.ts";
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "../test/frameworks/mcp/resolve.ts";
import { alternateAll, p50Of, type Bench } from "./measure.ts";

const [rounds, count] = [9, 100];

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  const sessions = await openSessions({ store: `sqlite:${join(folder, "mcp.db")}`, sweep: false });
  const { id, token } = await sessions.keys.create({ name: "bench", right: "read" });
  for (let n = 0; n < 1000; n++) await sessions.create({ id: `session-${n}`, title: `Session ${n}` });
  const mcp = await createMcpServer({
    sessions,
    extend: (server: { registerTool(name: string, config: object, run: () => object): void }) => {
      server.registerTool("bare", {}, () => ({ content: [{ type: "text", text: answer }] }));
    },
  });
  const stopped = { drain: (): void => undefined, stop: async () => await mcp.close() };
  const listening = await listen({ fetch: mcp.fetch, ...stopped }, { port: 0 });
  const agent = new Agent({ keepAlive: true });
  const call = (name: string): Promise<string> => post(`${listening.url}/mcp`, name, { agent, token });
  let answer = "";
  try {
    answer = await call("session_list");
    const [list, bare] = await alternateAll(rounds, {
      ours: () => p50Of(count, () => call("session_list")),
      limits: [
        () => p50Of(count, async () => [await sessions.keys.verify(token), await sessions.list({ limit: 20 })]),
        () => p50Of(count, () => call("bare")),
      ],
    });
    for (const [comparison, limitName] of [
      [list!, "key and list without a protocol"],
      [bare!, "a tool without work"],
    ] as const) {
      report({
        name: "session_list of 20 sessions over HTTP",
        unit: "µs",
        ours: comparison.ours,
        limit: comparison.limit,
        limitName,
        value: comparison.ours / 1000,
        valueUnit: "ms",
        bar: { atMost: 3 },
      });
    }
  } finally {
    agent.destroy();
    await listening.close(0);
    await sessions.keys.revoke(id);
    await sessions.close();
    rmSync(folder, { recursive: true });
  }
};

/** Calls a tool as a client of the revision 2026-07-28 does. */
async function post(
  url: string,
  name: string,
  { agent, token }: { readonly agent: Agent; readonly token: string },
): Promise<string> {
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "bench", version: "1.0.0" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: {}, _meta } });
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": name,
  };
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
